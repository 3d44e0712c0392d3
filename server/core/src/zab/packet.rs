//! Owns the packets between leader and learner as values, and their bytes.
//! Source: the constants of `Leader`, `LearnerHandler.packetToString`.

use std::fmt;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes};
use menagerie_wire::data::Id;
use menagerie_wire::jute::{self, DecodeError, decode_all};
use menagerie_wire::quorum::{LearnerInfo, PROTOCOL_VERSION, QuorumPacket, kind};

use crate::acl::AuthId;
use crate::ids::{Cxid, SessionId, Sid, Zxid};

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A learner introduces itself and tells the epoch that it has accepted.
    Info {
        /// Whether it observes only.
        observer: bool,
        /// Its acceptedEpoch.
        accepted_epoch: i64,
        /// Its number; negative for an observer without one.
        sid: Sid,
        /// Version of its configuration.
        config_version: i64,
    },
    /// The leader's new epoch.
    LeaderInfo {
        /// The epoch.
        epoch: i64,
    },
    /// The learner accepts it.
    AckEpoch {
        /// Its last zxid.
        zxid: Zxid,
        /// Its currentEpoch; `None` when it had accepted that epoch before.
        epoch: Option<i64>,
    },
    /// The learner's history is the beginning of the leader's, which ends at that zxid.
    Diff(Zxid),
    /// The learner must forget what comes behind.
    Trunc(Zxid),
    /// A snapshot as of that zxid follows.
    Snap(Zxid),
    /// The learner has all that it needs.
    NewLeader {
        /// The epoch's first zxid.
        zxid: Zxid,
        /// The leader's newest configuration.
        config: Bytes,
    },
    /// The leader is established.
    UpToDate,
    /// A transaction.
    Proposal {
        /// Its zxid.
        zxid: Zxid,
        /// The log entry.
        entry: Bytes,
    },
    /// It is in the learner's log.
    Ack(Zxid),
    /// It is committed.
    Commit(Zxid),
    /// It is committed, and a new configuration.
    CommitAndActivate {
        /// Its zxid.
        zxid: Zxid,
        /// Who leads from here on.
        leader: Sid,
    },
    /// A transaction that is committed, for observers.
    Inform {
        /// Its zxid.
        zxid: Zxid,
        /// The log entry.
        entry: Bytes,
    },
    /// The same, and a new configuration.
    InformAndActivate {
        /// Its zxid.
        zxid: Zxid,
        /// Who leads from here on.
        leader: Sid,
        /// The log entry.
        entry: Bytes,
    },
    /// The leader is there, or the learner with the sessions it heard of: time-outs in ms.
    Ping {
        /// The leader's last proposal.
        zxid: Zxid,
        /// `None` from a leader.
        touched: Option<Vec<(SessionId, i32)>>,
    },
    /// A learner asks whether a session is open.
    Revalidate {
        /// The session.
        session: SessionId,
        /// Its time-out, ms.
        timeout_ms: i32,
    },
    /// The leader answers.
    Revalidated {
        /// The session.
        session: SessionId,
        /// Whether it is open.
        valid: bool,
    },
    /// A client's request.
    Request {
        /// Whose.
        session: SessionId,
        /// Its number.
        cxid: Cxid,
        /// One of `op_code`.
        op: i32,
        /// The record.
        body: Bytes,
        /// The client's identities.
        auth: Arc<[AuthId]>,
    },
    /// Everything that the leader had when it took the learner's sync request has been sent.
    Sync,
}

/// Why a packet was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// The bytes are none.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// A kind that no server sends.
    #[error("{0} is no kind of packet")]
    Kind(i32),
    /// Its data is not what its kind wants.
    #[error("{len} bytes of data do not fit a packet of kind {kind}")]
    Data {
        /// The kind.
        kind: i32,
        /// How long the data is.
        len: usize,
    },
}

impl Packet {
    /// Appends the packet's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let no_data = |out: &mut Vec<u8>, kind: i32, zxid: i64| {
            out.put_i32(kind);
            out.put_i64(zxid);
            out.put_i32(-1);
            out.put_i32(-1);
        };
        let with = |out: &mut Vec<u8>, kind: i32, zxid: i64, parts: &[&[u8]]| {
            let len: usize = parts.iter().map(|part| part.len()).sum();
            out.put_i32(kind);
            out.put_i64(zxid);
            out.put_i32(i32::try_from(len).unwrap_or(i32::MAX));
            parts.iter().for_each(|part| out.put_slice(part));
            out.put_i32(-1);
        };
        match self {
            Self::Info {
                observer,
                accepted_epoch,
                sid,
                config_version,
            } => {
                let kind = if *observer {
                    kind::OBSERVER_INFO
                } else {
                    kind::FOLLOWER_INFO
                };
                let info = jute::to_vec(&LearnerInfo {
                    server_id: sid.0,
                    protocol_version: PROTOCOL_VERSION,
                    config_version: *config_version,
                });
                with(out, kind, Zxid::first_of(*accepted_epoch).0, &[&info]);
            }
            Self::LeaderInfo { epoch } => {
                let version = PROTOCOL_VERSION.to_be_bytes();
                with(
                    out,
                    kind::LEADER_INFO,
                    Zxid::first_of(*epoch).0,
                    &[&version],
                );
            }
            Self::AckEpoch { zxid, epoch } => {
                let epoch = epoch.unwrap_or(-1) as i32;
                with(out, kind::ACK_EPOCH, zxid.0, &[&epoch.to_be_bytes()]);
            }
            Self::Diff(zxid) => no_data(out, kind::DIFF, zxid.0),
            Self::Trunc(zxid) => no_data(out, kind::TRUNC, zxid.0),
            Self::Snap(zxid) => no_data(out, kind::SNAP, zxid.0),
            Self::NewLeader { zxid, config } => with(out, kind::NEW_LEADER, zxid.0, &[config]),
            Self::UpToDate => no_data(out, kind::UP_TO_DATE, -1),
            Self::Proposal { zxid, entry } => with(out, kind::PROPOSAL, zxid.0, &[entry]),
            Self::Ack(zxid) => no_data(out, kind::ACK, zxid.0),
            Self::Commit(zxid) => no_data(out, kind::COMMIT, zxid.0),
            Self::CommitAndActivate { zxid, leader } => {
                let leader = leader.0.to_be_bytes();
                with(out, kind::COMMIT_AND_ACTIVATE, zxid.0, &[&leader]);
            }
            Self::Inform { zxid, entry } => with(out, kind::INFORM, zxid.0, &[entry]),
            Self::InformAndActivate {
                zxid,
                leader,
                entry,
            } => {
                let leader = leader.0.to_be_bytes();
                with(out, kind::INFORM_AND_ACTIVATE, zxid.0, &[&leader, entry]);
            }
            Self::Ping { zxid, touched } => match touched {
                None => no_data(out, kind::PING, zxid.0),
                Some(touched) => {
                    let mut data = Vec::with_capacity(touched.len() * TOUCH_LEN);
                    for (session, timeout_ms) in touched {
                        data.put_i64(session.0);
                        data.put_i32(*timeout_ms);
                    }
                    with(out, kind::PING, zxid.0, &[&data]);
                }
            },
            Self::Revalidate {
                session,
                timeout_ms,
            } => {
                let (session, timeout) = (session.0.to_be_bytes(), timeout_ms.to_be_bytes());
                with(out, kind::REVALIDATE, -1, &[&session, &timeout]);
            }
            Self::Revalidated { session, valid } => {
                let session = session.0.to_be_bytes();
                with(out, kind::REVALIDATE, -1, &[&session, &[u8::from(*valid)]]);
            }
            Self::Request { .. } => self.encode_request(out),
            Self::Sync => no_data(out, kind::SYNC, 0),
        }
    }

    fn encode_request(&self, out: &mut Vec<u8>) {
        let Self::Request {
            session,
            cxid,
            op,
            body,
            auth,
        } = self
        else {
            return;
        };
        let mut data = Vec::with_capacity(REQUEST_HEAD + body.len());
        data.put_i64(session.0);
        data.put_i32(cxid.0);
        data.put_i32(*op);
        data.put_slice(body);
        let id = |id: &AuthId| Id {
            scheme: Some(id.scheme.to_string().into()),
            id: Some(id.id.to_string().into()),
        };
        let packet = QuorumPacket {
            kind: kind::REQUEST,
            zxid: -1,
            data: Some(&data),
            auth_info: Some(auth.iter().map(id).collect()),
        };
        jute::append(out, &packet);
    }

    /// Reads a whole packet.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(bytes: &Bytes) -> Result<Self, PacketError> {
        let packet: QuorumPacket<'_> = decode_all(bytes)?;
        let mut data = match packet.data {
            None | Some([]) => Bytes::new(),
            Some(data) => bytes.slice_ref(data),
        };
        let zxid = Zxid(packet.zxid);
        let epoch = zxid.epoch();
        let wrong = PacketError::Data {
            kind: packet.kind,
            len: data.len(),
        };
        let need = |len: usize| {
            if packet.data.is_some_and(|data| data.len() >= len) {
                Ok(())
            } else {
                Err(wrong.clone())
            }
        };
        Ok(match packet.kind {
            kind::FOLLOWER_INFO | kind::OBSERVER_INFO => {
                let observer = packet.kind == kind::OBSERVER_INFO;
                let (sid, config_version) = learner_info(&data).ok_or(wrong)?;
                Self::Info {
                    observer,
                    accepted_epoch: epoch,
                    sid,
                    config_version,
                }
            }
            kind::LEADER_INFO => Self::LeaderInfo { epoch },
            kind::ACK_EPOCH => {
                need(4)?;
                let epoch = Some(i64::from(data.get_i32())).filter(|epoch| *epoch != -1);
                Self::AckEpoch { zxid, epoch }
            }
            kind::DIFF => Self::Diff(zxid),
            kind::TRUNC => Self::Trunc(zxid),
            kind::SNAP => Self::Snap(zxid),
            kind::NEW_LEADER => Self::NewLeader { zxid, config: data },
            kind::UP_TO_DATE => Self::UpToDate,
            kind::PROPOSAL => Self::Proposal { zxid, entry: data },
            kind::ACK => Self::Ack(zxid),
            kind::COMMIT => Self::Commit(zxid),
            kind::COMMIT_AND_ACTIVATE => {
                need(8)?;
                let leader = Sid(data.get_i64());
                Self::CommitAndActivate { zxid, leader }
            }
            kind::INFORM => Self::Inform { zxid, entry: data },
            kind::INFORM_AND_ACTIVATE => {
                need(8)?;
                let leader = Sid(data.get_i64());
                Self::InformAndActivate {
                    zxid,
                    leader,
                    entry: data,
                }
            }
            kind::PING => {
                let touched = packet.data.map(|_| {
                    let mut touched = Vec::with_capacity(data.len() / TOUCH_LEN);
                    while data.len() >= TOUCH_LEN {
                        touched.push((SessionId(data.get_i64()), data.get_i32()));
                    }
                    touched
                });
                Self::Ping { zxid, touched }
            }
            kind::REVALIDATE => {
                need(9)?;
                let session = SessionId(data.get_i64());
                if data.len() >= 4 {
                    let timeout_ms = data.get_i32();
                    Self::Revalidate {
                        session,
                        timeout_ms,
                    }
                } else {
                    let valid = data.get_u8() != 0;
                    Self::Revalidated { session, valid }
                }
            }
            kind::REQUEST => {
                need(REQUEST_HEAD)?;
                request(data, packet.auth_info.unwrap_or_default())
            }
            kind::SYNC => Self::Sync,
            other => return Err(PacketError::Kind(other)),
        })
    }

    /// Bytes that it keeps in memory, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        const SMALL: usize = 64;
        SMALL
            + match self {
                Self::Proposal { entry, .. }
                | Self::Inform { entry, .. }
                | Self::InformAndActivate { entry, .. } => entry.len(),
                Self::Request { body, .. } => body.len(),
                Self::NewLeader { config, .. } => config.len(),
                Self::Ping {
                    touched: Some(touched),
                    ..
                } => touched.len() * TOUCH_LEN,
                _ => 0,
            }
    }
}

/// A session and its time-out.
const TOUCH_LEN: usize = 12;
/// Session, number and code of a request.
const REQUEST_HEAD: usize = 16;

fn request(mut data: Bytes, ids: Vec<Id<'_>>) -> Packet {
    let (session, cxid) = (SessionId(data.get_i64()), Cxid(data.get_i32()));
    let op = data.get_i32();
    let auth = |id: Id<'_>| {
        let (scheme, id) = (id.scheme.unwrap_or_default(), id.id.unwrap_or_default());
        AuthId::new(&scheme, &id)
    };
    Packet::Request {
        session,
        cxid,
        op,
        body: data,
        auth: ids.into_iter().map(auth).collect(),
    }
}

/// Number and configuration version of a learner of any age; who says nothing has no number.
/// Source: `LearnerHandler.run`.
fn learner_info(data: &[u8]) -> Option<(Sid, i64)> {
    let mut rest = data;
    if rest.is_empty() {
        return Some((Sid(-1), 0));
    }
    let sid = rest.try_get_i64().ok()?;
    if rest.is_empty() {
        return Some((Sid(sid), 0));
    }
    let _version = rest.try_get_i32().ok()?;
    Some((Sid(sid), rest.try_get_i64().unwrap_or(0)))
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proposal { zxid, entry } => write!(f, "PROPOSAL {zxid} ({} bytes)", entry.len()),
            Self::Inform { zxid, entry } => write!(f, "INFORM {zxid} ({} bytes)", entry.len()),
            Self::NewLeader { zxid, .. } => write!(f, "NEWLEADER {zxid}"),
            Self::Diff(zxid) => write!(f, "DIFF {zxid}"),
            Self::Trunc(zxid) => write!(f, "TRUNC {zxid}"),
            Self::Snap(zxid) => write!(f, "SNAP {zxid}"),
            Self::Ack(zxid) => write!(f, "ACK {zxid}"),
            Self::Commit(zxid) => write!(f, "COMMIT {zxid}"),
            Self::CommitAndActivate { zxid, .. } => write!(f, "COMMITANDACTIVATE {zxid}"),
            Self::InformAndActivate { zxid, .. } => write!(f, "INFORMANDACTIVATE {zxid}"),
            Self::UpToDate => f.write_str("UPTODATE"),
            Self::Sync => f.write_str("SYNC"),
            Self::LeaderInfo { epoch } => write!(f, "LEADERINFO for epoch {epoch}"),
            Self::AckEpoch { zxid, .. } => write!(f, "ACKEPOCH {zxid}"),
            Self::Ping { .. } => f.write_str("PING"),
            Self::Request { session, op, .. } => write!(f, "REQUEST of {session}, operation {op}"),
            other => write!(f, "{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_survives_its_bytes() {
        let (zxid, entry) = (Zxid(0x2_0000_0003), Bytes::from_static(b"entry"));
        let (session, leader) = (SessionId(0x0300_0000_0000_0001), Sid(3));
        let packets = [
            Packet::Info {
                observer: false,
                accepted_epoch: 4,
                sid: Sid(2),
                config_version: 0x1_0000_0000,
            },
            Packet::LeaderInfo { epoch: 5 },
            Packet::AckEpoch { zxid, epoch: None },
            Packet::AckEpoch {
                zxid,
                epoch: Some(4),
            },
            Packet::Diff(zxid),
            Packet::Trunc(zxid),
            Packet::Snap(zxid),
            Packet::NewLeader {
                zxid,
                config: Bytes::from_static(b"version=0"),
            },
            Packet::UpToDate,
            Packet::Proposal {
                zxid,
                entry: entry.clone(),
            },
            Packet::Ack(zxid),
            Packet::Commit(zxid),
            Packet::CommitAndActivate { zxid, leader },
            Packet::Inform {
                zxid,
                entry: entry.clone(),
            },
            Packet::InformAndActivate {
                zxid,
                leader,
                entry: entry.clone(),
            },
            Packet::Ping {
                zxid,
                touched: None,
            },
            Packet::Ping {
                zxid,
                touched: Some(vec![(session, 30_000)]),
            },
            Packet::Revalidate {
                session,
                timeout_ms: 4000,
            },
            Packet::Revalidated {
                session,
                valid: true,
            },
            Packet::Request {
                session,
                cxid: Cxid(7),
                op: 1,
                body: entry,
                auth: Arc::from([AuthId::new("ip", "127.0.0.1")]),
            },
            Packet::Sync,
        ];
        for packet in packets {
            let mut bytes = Vec::new();
            packet.encode(&mut bytes);
            let bytes = Bytes::from(bytes);
            assert_eq!(Packet::decode(&bytes), Ok(packet.clone()), "{packet}");
            let len = menagerie_wire::quorum::packet_len(&bytes, 1 << 20);
            assert_eq!(len, Ok(Some(bytes.len())), "{packet}");
            for cut in 0..bytes.len() {
                let len = menagerie_wire::quorum::packet_len(&bytes[..cut], 1 << 20);
                assert_eq!(len, Ok(None), "{packet} cut at {cut}");
                assert!(Packet::decode(&bytes.slice(..cut)).is_err());
            }
        }
    }

    #[test]
    fn data_that_does_not_fit_is_refused() {
        for kind in [11, 18, 9, 19, 6, 1] {
            let mut bytes = Vec::new();
            let data = Some(&[1_u8, 2, 3][..]);
            let packet = QuorumPacket {
                kind,
                zxid: 0,
                data,
                auth_info: None,
            };
            jute::append(&mut bytes, &packet);
            let decoded = Packet::decode(&bytes.into());
            assert_eq!(decoded, Err(PacketError::Data { kind, len: 3 }));
        }
    }
}
