//! Owns the names of the four-letter words and how they look on the wire. May use nom. Must not
//! answer them. Source: `FourLetterCommands`, `NIOServerCnxn.checkFourLetterWord`.

use std::fmt;
use std::str::FromStr;

use nom::Parser as _;
use nom::bytes::streaming::take;
use nom::combinator::{cond, map, map_opt};
use nom::number::streaming::be_i64;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $bytes:literal, $text:literal;)*) => {
        /// What a client may send in place of a connect request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum FourLetterWord {
            $($(#[$doc])* $name,)*
        }

        impl FourLetterWord {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word that these four bytes are.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 4]) -> Option<Self> {
                match &bytes {
                    $($bytes => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The four bytes.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 4] {
                match self {
                    $(Self::$name => *$bytes,)*
                }
            }

            /// The name, as the whitelist and the refusal spell it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

words! {
    /// Configuration.
    Conf = b"conf", "conf";
    /// Connections in full.
    Cons = b"cons", "cons";
    /// Resets the connections' statistics.
    Crst = b"crst", "crst";
    /// Sessions and ephemeral nodes.
    Dump = b"dump", "dump";
    /// Environment.
    Envi = b"envi", "envi";
    /// Is it alive.
    Ruok = b"ruok", "ruok";
    /// Resets the server's statistics.
    Srst = b"srst", "srst";
    /// Statistics.
    Srvr = b"srvr", "srvr";
    /// Statistics with connections in brief.
    Stat = b"stat", "stat";
    /// Watches in sum.
    Wchs = b"wchs", "wchs";
    /// Watches by session.
    Wchc = b"wchc", "wchc";
    /// Watches by path.
    Wchp = b"wchp", "wchp";
    /// Sizes of the directories.
    Dirs = b"dirs", "dirs";
    /// Metrics.
    Mntr = b"mntr", "mntr";
    /// Is it read-only.
    Isro = b"isro", "isro";
    /// Gets the trace mask.
    Gtmk = b"gtmk", "gtmk";
    /// Sets the trace mask, which follows in eight bytes.
    Stmk = b"stmk", "stmk";
    /// Digests of the tree.
    Hash = b"hash", "hash";
    /// What telnet sends when it is interrupted; asks for nothing.
    TelnetClose = b"\xFF\xF4\xFF\xFD", "telnet close";
}

impl FourLetterWord {
    /// Bytes that follow the word.
    #[must_use]
    pub const fn argument_len(self) -> usize {
        match self {
            Self::Stmk => 8,
            _ => 0,
        }
    }
}

impl fmt::Display for FourLetterWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no four-letter word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a four-letter word")]
pub struct UnknownWord(pub String);

impl FromStr for FourLetterWord {
    type Err = UnknownWord;

    fn from_str(name: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .iter()
            .copied()
            .find(|word| word.name() == name)
            .ok_or_else(|| UnknownWord(name.to_owned()))
    }
}

/// A word with its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// The word.
    pub word: FourLetterWord,
    /// The mask that `stmk` sets; `None` for all others.
    pub trace_mask: Option<i64>,
}

/// Reads a command from the first bytes of a connection.
///
/// # Errors
/// [`nom::Err::Incomplete`] while bytes are missing, [`nom::Err::Error`] if it is none.
pub fn command(input: &[u8]) -> nom::IResult<&[u8], Command> {
    let (input, word) = map_opt(take(4usize), |bytes: &[u8]| {
        FourLetterWord::from_bytes(bytes.try_into().ok()?)
    })
    .parse(input)?;
    let mask = cond(word.argument_len() > 0, be_i64);
    map(mask, |trace_mask| Command { word, trace_mask }).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bytes_go_both_ways() {
        assert_eq!(FourLetterWord::ALL.len(), 19);
        for &word in FourLetterWord::ALL {
            assert_eq!(FourLetterWord::from_bytes(word.to_bytes()), Some(word));
            assert_eq!(word.name().parse(), Ok(word));
            if word != FourLetterWord::TelnetClose {
                assert_eq!(word.name().as_bytes(), word.to_bytes());
            }
        }
        assert_eq!(
            "RUOK".parse::<FourLetterWord>(),
            Err(UnknownWord("RUOK".into()))
        );
    }

    #[test]
    fn commands_take_their_argument_and_no_more() {
        let (rest, ruok) = command(b"ruok\n").unwrap();
        assert_eq!(
            (rest, ruok.word, ruok.trace_mask),
            (&b"\n"[..], FourLetterWord::Ruok, None)
        );
        let (rest, stmk) = command(b"stmk\0\0\0\0\0\0\x01\x32").unwrap();
        assert_eq!((rest, stmk.trace_mask), (&b""[..], Some(306)));
        for short in [&b"stm"[..], b"stmk\0\0"] {
            assert!(matches!(command(short), Err(nom::Err::Incomplete(_))));
        }
        assert!(matches!(command(b"\0\0\0\x2c"), Err(nom::Err::Error(_))));
    }
}
