//! Owns the splitting of `JVMFLAGS` and its like into Java properties and other flags. May use nom.
//! Must not know what a property means.
//!
//! Words are split at white space. Quotes and backslashes work as in a shell; zkServer.sh itself
//! leaves them in the words, so that a value that needs them never reached Java whole.

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_while1};
use nom::character::complete::{anychar, char, multispace0, one_of};
use nom::combinator::{map, opt, recognize, rest};
use nom::multi::{fold_many0, fold_many1, many0};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser as _};

/// One word of the flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flag {
    /// `-Dname=value`, or `-Dname` with an empty value.
    Property {
        /// What stands before the first `=`.
        name: String,
        /// What stands behind it.
        value: String,
    },
    /// Anything else, such as `-Xmx1g`.
    Other(String),
}

/// Splits `text`. A quote without its partner stands for itself.
#[must_use]
pub fn parse(text: &str) -> Vec<Flag> {
    match many0(preceded(multispace0, word)).parse(text) {
        Ok((_, words)) => words.into_iter().map(flag).collect(),
        Err(_) => Vec::new(),
    }
}

fn property(word: &str) -> IResult<&str, Flag> {
    let name = map(preceded(tag("-D"), is_not("=")), String::from);
    let value = map(preceded(opt(char('=')), rest), String::from);
    map((name, value), |(name, value)| Flag::Property {
        name,
        value,
    })
    .parse(word)
}

fn flag(word: String) -> Flag {
    match property(&word) {
        Ok((_, flag)) => flag,
        Err(_) => Flag::Other(word),
    }
}

fn join(mut all: String, part: String) -> String {
    all.push_str(&part);
    all
}

fn word(input: &str) -> IResult<&str, String> {
    let plain = take_while1(|c: char| !c.is_whitespace() && !"'\"\\".contains(c));
    let unpaired = recognize(one_of("'\"\\"));
    let part = alt((
        map(plain, String::from),
        single_quoted,
        double_quoted,
        preceded(char('\\'), map(anychar, String::from)),
        map(unpaired, String::from),
    ));
    fold_many1(part, String::new, join).parse(input)
}

fn single_quoted(input: &str) -> IResult<&str, String> {
    let text = map(opt(is_not("'")), |text: Option<&str>| {
        text.unwrap_or_default().to_owned()
    });
    delimited(char('\''), text, char('\'')).parse(input)
}

/// Between double quotes a backslash escapes only a quote, a backslash, `$` and a backtick.
fn double_quoted(input: &str) -> IResult<&str, String> {
    let part = alt((
        map(is_not("\"\\"), String::from),
        preceded(char('\\'), map(one_of("\"\\$`"), String::from)),
        map(tag("\\"), String::from),
    ));
    let text = fold_many0(part, String::new, join);
    delimited(char('"'), text, char('"')).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property(name: &str, value: &str) -> Flag {
        Flag::Property {
            name: name.into(),
            value: value.into(),
        }
    }

    #[test]
    fn properties_and_other_flags() {
        assert_eq!(
            parse(" -Xmx1g\t-Dzookeeper.snapCount=10 -Da -Db== -D -D=x\n"),
            [
                Flag::Other("-Xmx1g".into()),
                property("zookeeper.snapCount", "10"),
                property("a", ""),
                property("b", "="),
                Flag::Other("-D".into()),
                Flag::Other("-D=x".into()),
            ]
        );
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(
            parse(r#"-XX:OnOutOfMemoryError="kill -9 %p" -Da='x "y"'z "-Db=\"q\" \n" -Dc=a\ b ''"#),
            [
                Flag::Other("-XX:OnOutOfMemoryError=kill -9 %p".into()),
                property("a", "x \"y\"z"),
                property("b", "\"q\" \\n"),
                property("c", "a b"),
                Flag::Other(String::new()),
            ]
        );
    }

    #[test]
    fn a_lone_quote_is_a_character() {
        assert_eq!(
            parse("-Da=it's -Db=\"x"),
            [property("a", "it's"), property("b", "\"x")]
        );
        assert_eq!(parse("-Da=\\"), [property("a", "\\")]);
        assert!(parse(" \n").is_empty());
    }
}
