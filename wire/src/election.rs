//! Owns the messages of the election port: how a connection begins, and votes. Must not know when
//! they are sent. Source: `QuorumCnxManager.InitialMessage`, `FastLeaderElection`.

use bytes::BufMut as _;
use nom::bytes::complete::take;
use nom::combinator::{all_consuming, map_res, opt, rest};
use nom::number::complete::{be_i32, be_i64};
use nom::{IResult, Parser as _};

/// Announces one address behind it.
const ONE_ADDRESS: i64 = -65536;
/// Announces several addresses, separated by `|`.
const SEVERAL_ADDRESSES: i64 = -65535;
/// Bytes of the addresses. Source: `QuorumCnxManager.maxBuffer`.
pub const ADDRESSES_MAX: usize = 2048;
/// Bytes before the addresses.
pub const INITIAL_PREFIX: usize = 20;
/// Bytes of a message. Source: `QuorumCnxManager.PACKETMAXSIZE`.
pub const MESSAGE_MAX: usize = 512 << 10;
/// The version of the notifications that this code writes.
pub const NOTIFICATION_VERSION: i32 = 2;

/// Why a message of the election port was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElectionError {
    /// Its first number is no version.
    #[error("0x{0:x} is no version of the first message on the election port")]
    Version(i64),
    /// Longer than allowed, or negative.
    #[error("{0} bytes of addresses, of 1 to {ADDRESSES_MAX}")]
    Length(i32),
    /// Something in the addresses is not `host:port`.
    #[error("\"{0}\" is not a list of host:port")]
    Address(String),
    /// The bytes end early, or there are more than there should be.
    #[error("{len} bytes are not a {what}")]
    Malformed {
        /// What it should have been.
        what: &'static str,
        /// How long it was.
        len: usize,
    },
    /// No such state.
    #[error("{0} is no state of a server")]
    State(i32),
}

/// How the connecting side introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialMessage {
    /// Its number; `i64::MAX` for an observer without one.
    pub sid: i64,
    /// Its election addresses, as it calls them: host without brackets, and port.
    pub addresses: Vec<(String, u16)>,
}

impl InitialMessage {
    /// The bytes; with `several` in the form that can have more than one address, which servers
    /// before 3.6 do not know.
    #[must_use]
    pub fn encode(&self, several: bool) -> Vec<u8> {
        let shown: Vec<String> = self.addresses.iter().map(show_address).collect();
        let text = shown.join("|");
        let version = if several {
            SEVERAL_ADDRESSES
        } else {
            ONE_ADDRESS
        };
        let mut out = Vec::with_capacity(INITIAL_PREFIX + text.len());
        out.put_i64(version);
        out.put_i64(self.sid);
        out.put_i32(i32::try_from(text.len()).unwrap_or(i32::MAX));
        out.put_slice(text.as_bytes());
        out
    }

    /// How many bytes the message has in all, once `begun` of them suffice to tell.
    ///
    /// # Errors
    /// When no message begins like that.
    pub fn length(begun: &[u8]) -> Result<Option<usize>, ElectionError> {
        let number = |bytes: &[u8]| -> Option<i64> { be_i64::<_, ()>(bytes).ok().map(|(_, n)| n) };
        let Some(version) = number(begun) else {
            return Ok(None);
        };
        if version >= 0 {
            // Servers before 3.5 say only who they are.
            return Ok(Some(8));
        }
        if !matches!(version, ONE_ADDRESS | SEVERAL_ADDRESSES) {
            return Err(ElectionError::Version(version));
        }
        let len: IResult<&[u8], i32, ()> =
            nom::sequence::preceded(take(16_usize), be_i32).parse(begun);
        match len {
            Err(_) => Ok(None),
            Ok((_, len)) => match usize::try_from(len) {
                Ok(len) if (1..=ADDRESSES_MAX).contains(&len) => Ok(Some(INITIAL_PREFIX + len)),
                _ => Err(ElectionError::Length(len)),
            },
        }
    }

    /// Reads a whole message. Source: `QuorumCnxManager.InitialMessage.parse`.
    ///
    /// # Errors
    /// When the bytes are not one.
    pub fn decode(bytes: &[u8]) -> Result<Self, ElectionError> {
        let malformed = || ElectionError::Malformed {
            what: "first message of the election port",
            len: bytes.len(),
        };
        if Self::length(bytes)? != Some(bytes.len()) {
            return Err(malformed());
        }
        let mut parts = (be_i64, opt((be_i64, be_i32)), rest);
        let (_, (first, more, text)) = parts.parse(bytes).map_err(|_: nom::Err<()>| malformed())?;
        let Some((sid, _)) = more else {
            return Ok(Self {
                sid: first,
                addresses: Vec::new(),
            });
        };
        let text = String::from_utf8_lossy(text).into_owned();
        let addresses: Option<Vec<_>> = text.split('|').map(read_address).collect();
        match addresses {
            Some(addresses) if first == SEVERAL_ADDRESSES || addresses.len() == 1 => {
                Ok(Self { sid, addresses })
            }
            _ => Err(ElectionError::Address(text)),
        }
    }
}

fn show_address((host, port): &(String, u16)) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn read_address(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']')?,
        None => host,
    };
    (!host.is_empty()).then_some(())?;
    Some((host.to_owned(), port.parse().ok()?))
}

/// What a server is doing, in the order of `QuorumPeer.ServerState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
pub enum ServerState {
    /// Looking for a leader.
    Looking = 0,
    /// Following one, with a vote.
    Following = 1,
    /// Being one.
    Leading = 2,
    /// Following one, without a vote.
    Observing = 3,
}

impl TryFrom<i32> for ServerState {
    type Error = ElectionError;

    fn try_from(number: i32) -> Result<Self, ElectionError> {
        Ok(match number {
            0 => Self::Looking,
            1 => Self::Following,
            2 => Self::Leading,
            3 => Self::Observing,
            _ => return Err(ElectionError::State(number)),
        })
    }
}

/// A vote on its way from one server to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// What the sender is doing.
    pub state: ServerState,
    /// Whom it votes for.
    pub leader: i64,
    /// The last zxid of that one.
    pub zxid: i64,
    /// The sender's round of election.
    pub round: i64,
    /// The epoch of the one voted for.
    pub peer_epoch: i64,
    /// 0 before 3.4.6, 1 before 3.5, then 2.
    pub version: i32,
    /// The sender's configuration; empty if it did not tell.
    pub config: Vec<u8>,
}

impl Notification {
    /// The bytes, without their length, as version 2. Source: `FastLeaderElection.buildMsg`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(44 + self.config.len());
        out.put_i32(self.state as i32);
        out.put_i64(self.leader);
        out.put_i64(self.zxid);
        out.put_i64(self.round);
        out.put_i64(self.peer_epoch);
        out.put_i32(NOTIFICATION_VERSION);
        out.put_i32(i32::try_from(self.config.len()).unwrap_or(i32::MAX));
        out.put_slice(&self.config);
        out
    }

    /// Reads a message of any version. Source: `FastLeaderElection.WorkerReceiver.run`.
    ///
    /// # Errors
    /// When the bytes are not one.
    pub fn decode(bytes: &[u8]) -> Result<Self, ElectionError> {
        let len = bytes.len();
        let malformed = |_: nom::Err<()>| ElectionError::Malformed {
            what: "notification",
            len,
        };
        let mut head = (be_i32, be_i64, be_i64, be_i64);
        let (behind, (state, leader, zxid, round)) = head.parse(bytes).map_err(malformed)?;
        let mut notification = Self {
            state: ServerState::try_from(state)?,
            leader,
            zxid,
            round,
            peer_epoch: zxid >> 32,
            version: 0,
            config: Vec::new(),
        };
        if behind.is_empty() {
            return Ok(notification);
        }
        let (behind, peer_epoch) = be_i64(behind).map_err(malformed)?;
        notification.peer_epoch = peer_epoch;
        // A message of 40 bytes is from servers whose version did not count yet.
        if behind.len() <= 4 {
            return Ok(notification);
        }
        let (behind, version) = be_i32(behind).map_err(malformed)?;
        notification.version = version;
        if version > 1 {
            let length = map_res(be_i32, usize::try_from);
            let (_, config) = all_consuming(nom::multi::length_data(length))
                .parse(behind)
                .map_err(malformed)?;
            notification.config = config.to_vec();
        }
        Ok(notification)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_messages_are_those_of_apache() {
        let one = InitialMessage {
            sid: 3,
            addresses: vec![("127.0.0.1".into(), 3888)],
        };
        let bytes = one.encode(false);
        assert_eq!(bytes[..8], 0xFFFF_FFFF_FFFF_0000_u64.to_be_bytes());
        assert_eq!(&bytes[20..], b"127.0.0.1:3888");
        assert_eq!(InitialMessage::decode(&bytes), Ok(one));
        let two = InitialMessage {
            sid: 1,
            addresses: vec![("::1".into(), 3888), ("zoo1".into(), 3889)],
        };
        let bytes = two.encode(true);
        assert_eq!(bytes[..8], 0xFFFF_FFFF_FFFF_0001_u64.to_be_bytes());
        assert_eq!(&bytes[20..], b"[::1]:3888|zoo1:3889");
        assert_eq!(InitialMessage::decode(&bytes), Ok(two));
        let old = InitialMessage::decode(&7_i64.to_be_bytes()).unwrap();
        assert_eq!((old.sid, old.addresses.len()), (7, 0));
    }

    #[test]
    fn first_messages_that_are_none_are_refused_early() {
        let start = |version: i64, len: i32| {
            let mut bytes = version.to_be_bytes().to_vec();
            bytes.extend(1_i64.to_be_bytes());
            bytes.extend(len.to_be_bytes());
            InitialMessage::length(&bytes)
        };
        assert_eq!(start(-5, 1), Err(ElectionError::Version(-5)));
        for len in [0, -1, 2049, i32::MIN] {
            assert_eq!(start(-65536, len), Err(ElectionError::Length(len)));
        }
        assert_eq!(start(-65536, 10), Ok(Some(30)));
        assert_eq!(InitialMessage::length(&[0xFF; 7]), Ok(None));
        for text in ["", "host", ":1", "h:99999", "[::1:2", "a:1|b:2"] {
            let mut bytes = start_bytes(text);
            assert!(InitialMessage::decode(&bytes).is_err(), "{text}");
            bytes.push(0);
            assert!(InitialMessage::decode(&bytes).is_err());
        }
    }

    fn start_bytes(text: &str) -> Vec<u8> {
        let mut bytes = (-65536_i64).to_be_bytes().to_vec();
        bytes.extend(1_i64.to_be_bytes());
        bytes.extend(i32::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend(text.as_bytes());
        bytes
    }

    #[test]
    fn notifications_of_every_version_are_read() {
        let vote = Notification {
            state: ServerState::Leading,
            leader: 2,
            zxid: 0x1_0000_0007,
            round: 4,
            peer_epoch: 3,
            version: 2,
            config: b"version=0".to_vec(),
        };
        let bytes = vote.encode();
        assert_eq!(Notification::decode(&bytes), Ok(vote));
        let short = Notification::decode(&bytes[..28]).unwrap();
        assert_eq!((short.peer_epoch, short.version), (1, 0));
        let middle = Notification::decode(&bytes[..40]).unwrap();
        assert_eq!((middle.peer_epoch, middle.version), (3, 0));
        for cut in [0, 27, 29, 41, bytes.len() - 1] {
            assert!(Notification::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        let mut wrong = bytes;
        wrong[3] = 9;
        assert_eq!(Notification::decode(&wrong), Err(ElectionError::State(9)));
    }
}
