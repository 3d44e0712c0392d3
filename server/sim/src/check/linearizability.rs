//! Owns, at the end of a run, what clients saw as a whole: writes took effect once and one after the
//! other, in an order that respects real time, each with the outcome that a plain map gives it; reads
//! show the map as it was at their zxid.

use std::collections::BTreeMap;

use bytes::Bytes;
use menagerie_core::ids::{Cxid, SessionId, Zxid};
use menagerie_core::txn::{LoggedTxn, Txn};
use menagerie_wire::op::ErrorCode;

use super::Violation;
use super::prefix_consistency::Order;

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A new node with data.
    Create(String, Vec<u8>),
    /// New data.
    Write(String, Vec<u8>),
    /// The data, and whether to watch it.
    Read(String, bool),
    /// Another ensemble.
    Reconfig,
    /// What everyone has seen.
    Sync,
    /// To end the session.
    Close,
}

/// A request and what was answered.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Whose.
    pub session: SessionId,
    /// Which.
    pub cxid: Cxid,
    /// The request.
    pub asked: Asked,
    /// The reply's zxid.
    pub zxid: Zxid,
    /// The reply's error.
    pub err: ErrorCode,
    /// What a read showed.
    pub data: Option<Vec<u8>>,
}

/// A plain map that does what transactions say.
#[derive(Debug, Default)]
struct Map {
    nodes: BTreeMap<Box<str>, (Bytes, i64)>,
}

impl Map {
    fn apply(&mut self, client: i64, txn: Txn) {
        match txn {
            Txn::Create {
                path, data, kind, ..
            } => {
                let ephemeral = matches!(
                    kind,
                    menagerie_core::txn::CreateKind::Plain {
                        ephemeral: true,
                        ..
                    }
                );
                let owner = if ephemeral { client } else { 0 };
                self.nodes.insert(path, (data.unwrap_or_default(), owner));
            }
            Txn::SetData { path, data, .. } => {
                if let Some((old, _)) = self.nodes.get_mut(&path) {
                    *old = data.unwrap_or_default();
                }
            }
            Txn::Delete { path, .. } => {
                self.nodes.remove(&path);
            }
            Txn::CloseSession { .. } => self.nodes.retain(|_, (_, owner)| *owner != client),
            Txn::Multi(parts) => parts.into_iter().for_each(|part| self.apply(client, part)),
            _ => {}
        }
    }

    fn get(&self, path: &str) -> Option<&[u8]> {
        self.nodes.get(path).map(|(data, _)| data.as_ref())
    }
}

/// Compares all answers with the sequence that was delivered.
///
/// # Errors
/// The first answer that does not fit.
pub fn check(order: &Order, answers: &[Answered]) -> Result<(), Violation> {
    let mut sorted: Vec<&Answered> = answers.iter().collect();
    // At a zxid the write comes first.
    let is_read = |answered: &Answered| matches!(answered.asked, Asked::Read(..) | Asked::Sync);
    sorted.sort_by_key(|answered| (answered.zxid, is_read(answered)));
    let mut answers = sorted.into_iter().peekable();
    let mut map = Map::default();
    let mut writes = std::collections::BTreeSet::new();
    let upto = |zxid: Zxid| move |answered: &&Answered| answered.zxid < zxid;
    for (zxid, bytes) in order.iter() {
        while let Some(answered) = answers.next_if(upto(zxid)) {
            reads_fit(&map, answered)?;
        }
        let logged = LoggedTxn::decode(bytes).map_err(|error| error.to_string())?;
        let (client, cxid) = (SessionId(logged.header.client_id), Cxid(logged.header.cxid));
        let is_write = matches!(logged.txn, Txn::Create { .. } | Txn::SetData { .. });
        if is_write && cxid.0 > 0 && !writes.insert((client, cxid)) {
            return Err(format!(
                "linearizability: request {cxid} of session {client} took effect twice, at last in \
                 {zxid}"
            ));
        }
        let its = answers.next_if(|answered| {
            answered.zxid == zxid && answered.session == client && answered.cxid == cxid
        });
        if let Some(answered) = its {
            write_fits(&map, answered, &logged.txn)?;
        }
        map.apply(logged.header.client_id, logged.txn);
        while let Some(answered) = answers.next_if(|answered| answered.zxid == zxid) {
            if answered.session == client && answered.cxid == cxid {
                continue;
            }
            reads_fit(&map, answered)?;
        }
    }
    answers.try_for_each(|answered| reads_fit(&map, answered))
}

/// An answer that is not about the transaction of its zxid.
fn reads_fit(map: &Map, answered: &Answered) -> Result<(), Violation> {
    let wrong = |why: &str| Err(format!("linearizability: {why}: {answered:?}"));
    match &answered.asked {
        Asked::Read(path, _) => {
            let expected = map.get(path);
            match answered.err {
                ErrorCode::Ok if answered.data.as_deref() == expected => Ok(()),
                ErrorCode::NoNode if expected.is_none() => Ok(()),
                ErrorCode::Ok | ErrorCode::NoNode => {
                    wrong(&format!("a read shows something else than {expected:?}"))
                }
                _ => Ok(()),
            }
        }
        Asked::Create(..) | Asked::Write(..) | Asked::Reconfig if answered.err == ErrorCode::Ok => {
            wrong("a write was acknowledged that is not there")
        }
        _ => Ok(()),
    }
}

/// An answer that is about this transaction, before which the map is this.
fn write_fits(map: &Map, answered: &Answered, txn: &Txn) -> Result<(), Violation> {
    let wrong = |why: &str| Err(format!("linearizability: {why}: {answered:?}, {txn:?}"));
    let exists = |path: &str| map.get(path).is_some();
    match (&answered.asked, txn, answered.err) {
        (
            Asked::Create(path, data),
            Txn::Create {
                path: p, data: d, ..
            },
            ErrorCode::Ok,
        ) => {
            if **p != **path || d.as_deref() != Some(data) || exists(path) {
                return wrong("a node was created that was not asked for, or was there");
            }
        }
        (
            Asked::Write(path, data),
            Txn::SetData {
                path: p, data: d, ..
            },
            ErrorCode::Ok,
        ) => {
            if **p != **path || d.as_deref() != Some(data) || !exists(path) {
                return wrong("data was set that was not asked for, or without a node");
            }
        }
        (Asked::Create(path, _), Txn::Error(_), ErrorCode::NodeExists) if !exists(path) => {
            return wrong("there was no node");
        }
        (Asked::Write(path, _), Txn::Error(_), ErrorCode::NoNode) if exists(path) => {
            return wrong("there was a node");
        }
        // The client's member knows a better reason than the leader, which does not know the session.
        (Asked::Create(..), Txn::Error(_), ErrorCode::EphemeralOnLocalSession) => {}
        (Asked::Create(..) | Asked::Write(..), Txn::Error(code), err) if *code != err => {
            return wrong("another error");
        }
        (Asked::Create(..) | Asked::Write(..), Txn::Error(_), _)
        | (Asked::Reconfig | Asked::Sync | Asked::Close | Asked::Read(..), ..) => {}
        _ => return wrong("another transaction"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use menagerie_core::acl::AclList;
    use menagerie_core::txn::CreateKind;
    use menagerie_wire::op::op_code;
    use menagerie_wire::txn::TxnHeader;

    use super::*;

    fn order() -> Order {
        let mut order = Order::default();
        let create = Txn::Create {
            kind: CreateKind::Plain {
                op: op_code::CREATE,
                ephemeral: false,
            },
            path: "/a".into(),
            data: Some(Bytes::from_static(b"1")),
            acl: AclList::open(),
            parent_cversion: 1,
        };
        let write = Txn::SetData {
            op: op_code::SET_DATA,
            path: "/a".into(),
            data: Some(Bytes::from_static(b"2")),
            version: 1,
        };
        for (zxid, txn) in [(1, create), (2, write)] {
            let header = TxnHeader {
                client_id: 7,
                cxid: i32::try_from(zxid).unwrap(),
                zxid,
                time: 0,
                op: txn.op(),
            };
            let mut bytes = Vec::new();
            let logged = LoggedTxn {
                header,
                txn,
                digest: None,
            };
            logged.encode(&mut bytes);
            order.push(Zxid(zxid), bytes.into());
        }
        order
    }

    fn answered(cxid: i32, asked: Asked, zxid: i64, data: Option<&[u8]>) -> Answered {
        Answered {
            session: SessionId(7),
            cxid: Cxid(cxid),
            asked,
            zxid: Zxid(zxid),
            err: ErrorCode::Ok,
            data: data.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn answers_that_fit_no_order_are_found() {
        let read =
            |zxid, data: &[u8]| answered(9, Asked::Read("/a".into(), false), zxid, Some(data));
        let write =
            |zxid, data: &[u8]| answered(2, Asked::Write("/a".into(), data.to_vec()), zxid, None);
        let order = order();
        check(&order, &[read(1, b"1"), write(2, b"2"), read(2, b"2")]).unwrap();
        assert!(check(&order, &[read(1, b"2")]).is_err());
        assert!(check(&order, &[read(2, b"1")]).is_err());
        assert!(check(&order, &[write(2, b"3")]).is_err());
        assert!(check(&order, &[write(1, b"2")]).is_err());
        let mut missing = read(1, b"1");
        missing.err = ErrorCode::NoNode;
        assert!(check(&order, &[missing]).is_err());
    }
}
