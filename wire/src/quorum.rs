//! Owns the records between servers. Must not know when they are sent.
//! Source: `zookeeper.jute`, module `org.apache.zookeeper.server.quorum`.

use nom::bytes::streaming::take;
use nom::number::streaming::be_i32;
use nom::{IResult, Parser as _};

use crate::data::Id;
use crate::jute::record;

/// The kinds of packets. Source: the constants of `Leader`.
pub mod kind {
    /// A learner passes on a client's request.
    pub const REQUEST: i32 = 1;
    /// A transaction.
    pub const PROPOSAL: i32 = 2;
    /// It is in a log.
    pub const ACK: i32 = 3;
    /// It is committed.
    pub const COMMIT: i32 = 4;
    /// A sign of life.
    pub const PING: i32 = 5;
    /// Is a session open?
    pub const REVALIDATE: i32 = 6;
    /// The answer to a sync request.
    pub const SYNC: i32 = 7;
    /// A committed transaction, for observers.
    pub const INFORM: i32 = 8;
    /// A reconfiguration is committed.
    pub const COMMIT_AND_ACTIVATE: i32 = 9;
    /// The end of synchronisation.
    pub const NEW_LEADER: i32 = 10;
    /// A follower introduces itself.
    pub const FOLLOWER_INFO: i32 = 11;
    /// The leader is established.
    pub const UP_TO_DATE: i32 = 12;
    /// Synchronisation by transactions.
    pub const DIFF: i32 = 13;
    /// Synchronisation by truncation.
    pub const TRUNC: i32 = 14;
    /// Synchronisation by a snapshot.
    pub const SNAP: i32 = 15;
    /// An observer introduces itself.
    pub const OBSERVER_INFO: i32 = 16;
    /// The new epoch.
    pub const LEADER_INFO: i32 = 17;
    /// It is accepted.
    pub const ACK_EPOCH: i32 = 18;
    /// A committed reconfiguration, for observers.
    pub const INFORM_AND_ACTIVATE: i32 = 19;
}

/// The protocol since 3.4: with LEADERINFO and ACKEPOCH.
pub const PROTOCOL_VERSION: i32 = 0x1_0000;
/// Identities that one request may carry.
const IDS_MAX: usize = 10_000;

/// Why bytes cannot become a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a packet with a part of {len} bytes, of at most {max}")]
pub struct Oversized {
    /// The length that it announces.
    pub len: i32,
    /// What is allowed.
    pub max: usize,
}

/// A buffer or string, or null.
fn skip_part(input: &[u8], max: usize) -> IResult<&[u8], (), Option<Oversized>> {
    let (rest, len) = be_i32(input).map_err(without_reason)?;
    match usize::try_from(len) {
        Err(_) if len == -1 => Ok((rest, ())),
        Ok(wanted) if wanted <= max => {
            let (rest, _) = take(wanted).parse(rest).map_err(without_reason)?;
            Ok((rest, ()))
        }
        _ => Err(nom::Err::Failure(Some(Oversized { len, max }))),
    }
}

fn without_reason(error: nom::Err<()>) -> nom::Err<Option<Oversized>> {
    error.map(|()| None)
}

/// How long the packet at the front of `bytes` is, once all of it is there.
///
/// # Errors
/// When a part of it is longer than `max`, which no amount of bytes can mend.
pub fn packet_len(bytes: &[u8], max: usize) -> Result<Option<usize>, Oversized> {
    let whole = |input| -> IResult<&[u8], (), Option<Oversized>> {
        let (rest, _) = take(12_usize).parse(input).map_err(without_reason)?;
        let (rest, ()) = skip_part(rest, max)?;
        let (rest, ids) = be_i32(rest).map_err(without_reason)?;
        match usize::try_from(ids) {
            Err(_) if ids == -1 => Ok((rest, ())),
            Ok(ids) if ids <= IDS_MAX => {
                (0..ids * 2).try_fold((rest, ()), |(rest, ()), _| skip_part(rest, max))
            }
            _ => Err(nom::Err::Failure(Some(Oversized {
                len: ids,
                max: IDS_MAX,
            }))),
        }
    };
    match whole(bytes) {
        Ok((rest, ())) => Ok(Some(bytes.len() - rest.len())),
        Err(nom::Err::Failure(Some(oversized))) => Err(oversized),
        Err(_) => Ok(None),
    }
}

record! {
    /// Every message between leader and learner; there is no length before it.
    pub struct QuorumPacket<'a> {
        /// The kind, such as `Leader.PROPOSAL`.
        pub kind: i32,
        /// A zxid, or what the kind makes of it.
        pub zxid: i64,
        /// What the kind wants.
        #[serde(with = "serde_bytes")]
        pub data: Option<&'a [u8]>,
        /// Identities of the client in a forwarded request.
        pub auth_info: Option<Vec<Id<'a>>>,
    }
}

record! {
    /// How a learner introduces itself, 20 bytes; servers before 3.4 and 3.5 sent 8 and 12.
    #[derive(Copy)]
    pub struct LearnerInfo {
        /// The server's number.
        pub server_id: i64,
        /// 0x10000 since 3.4.
        pub protocol_version: i32,
        /// Version of the configuration it has.
        pub config_version: i64,
    }
}
