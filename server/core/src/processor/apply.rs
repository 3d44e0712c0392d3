//! Owns what a transaction does to the tree, live and in replay, and which watches it fires.
//! Total: a transaction that does not fit the tree, as on a fuzzy snapshot, yields a code.
//! Source: `DataTree.processTxn`.

use menagerie_wire::data::Stat;
use menagerie_wire::op::{ErrorCode, EventType, op_code};
use menagerie_wire::txn::TxnHeader;

use crate::acl::AclList;
use crate::effect::{Deliver, Fired};
use crate::ids::{ConnId, SessionId, Zxid};
use crate::tree::{CONTAINER_OWNER, NewNode, Tree, parent_path};
use crate::txn::{CreateKind, Txn};
use crate::watch::WatchTableKind;

/// Who watches, as applying needs to know it.
pub trait Watches {
    /// Appends to `out` who watches `path` in that table and is not in `exclude`; one-shot
    /// watches are used up. For the data table this includes recursive watches on ancestors.
    fn fire(&self, kind: WatchTableKind, path: &str, exclude: &[ConnId], out: &mut Vec<ConnId>);
}

/// Hears of changes to nodes.
pub trait Observer {
    /// A node was created.
    fn created(&mut self, tree: &Tree, path: &str, zxid: Zxid);
    /// A node with that ACL was deleted.
    fn deleted(&mut self, tree: &Tree, path: &str, acl: &AclList, zxid: Zxid);
    /// A node's data was set.
    fn data_changed(&mut self, tree: &Tree, path: &str, zxid: Zxid);
    /// An ephemeral node went with its session, or was not there any more.
    fn ephemeral_gone(&mut self, _session: SessionId, _path: &str, _existed: bool) {}
}

/// Nobody hears: replay.
#[derive(Debug)]
pub struct Silent;

impl Observer for Silent {
    fn created(&mut self, _: &Tree, _: &str, _: Zxid) {}
    fn deleted(&mut self, _: &Tree, _: &str, _: &AclList, _: Zxid) {}
    fn data_changed(&mut self, _: &Tree, _: &str, _: Zxid) {}
}

/// Fires watches.
pub struct Firing<'a, W: ?Sized, D: ?Sized> {
    watches: &'a W,
    deliver: &'a mut D,
    conns: Vec<ConnId>,
}

impl<'a, W: Watches + ?Sized, D: Deliver + ?Sized> Firing<'a, W, D> {
    /// Finds watchers in `watches` and hands the events to `deliver`.
    pub fn new(watches: &'a W, deliver: &'a mut D) -> Self {
        Self {
            watches,
            deliver,
            conns: Vec::new(),
        }
    }

    /// Where events and replies go.
    pub fn deliver(&mut self) -> &mut D {
        self.deliver
    }

    fn fire(
        &mut self,
        kind: WatchTableKind,
        event: EventType,
        path: &str,
        zxid: Zxid,
        acl: &AclList,
    ) {
        self.conns.clear();
        self.watches.fire(kind, path, &[], &mut self.conns);
        if !self.conns.is_empty() {
            self.deliver.fired(&Fired {
                event,
                path,
                zxid,
                acl,
                conns: &self.conns,
            });
        }
    }

    fn fire_parent(&mut self, tree: &Tree, path: &str, zxid: Zxid) {
        let parent = match parent_path(path) {
            "" => "/",
            parent => parent,
        };
        if let Ok(node) = tree.get(parent) {
            let acl = tree.acl_of(node);
            self.fire(
                WatchTableKind::Child,
                EventType::NodeChildrenChanged,
                parent,
                zxid,
                acl,
            );
        }
    }

    fn fire_data(&mut self, tree: &Tree, event: EventType, path: &str, zxid: Zxid) {
        if let Ok(node) = tree.get(path) {
            self.deliver.wrote(path, node.data_len());
            self.fire(WatchTableKind::Data, event, path, zxid, tree.acl_of(node));
        }
    }
}

impl<W: Watches + ?Sized, D: Deliver + ?Sized> Observer for Firing<'_, W, D> {
    fn created(&mut self, tree: &Tree, path: &str, zxid: Zxid) {
        self.fire_data(tree, EventType::NodeCreated, path, zxid);
        self.fire_parent(tree, path, zxid);
    }

    /// A connection that watches the node in both tables hears of it once.
    fn deleted(&mut self, tree: &Tree, path: &str, acl: &AclList, zxid: Zxid) {
        self.deliver.wrote(path, 0);
        let event = EventType::NodeDeleted;
        self.conns.clear();
        self.watches
            .fire(WatchTableKind::Data, path, &[], &mut self.conns);
        let told = std::mem::take(&mut self.conns);
        self.watches
            .fire(WatchTableKind::Child, path, &told, &mut self.conns);
        for conns in [&told, &self.conns] {
            if !conns.is_empty() {
                self.deliver.fired(&Fired {
                    event,
                    path,
                    zxid,
                    acl,
                    conns,
                });
            }
        }
        self.fire_parent(tree, path, zxid);
    }

    fn data_changed(&mut self, tree: &Tree, path: &str, zxid: Zxid) {
        self.fire_data(tree, EventType::NodeDataChanged, path, zxid);
    }

    fn ephemeral_gone(&mut self, session: SessionId, path: &str, existed: bool) {
        self.deliver.ephemeral_gone(session, path, existed);
    }
}

/// The outcome of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to tell but success.
    Done,
    /// A node was created; with its stat where the operation returns it.
    Created(Option<Stat>),
    /// The node's stat after a change.
    Changed(Stat),
    /// It failed, or noted a failure.
    Failed(ErrorCode),
    /// One outcome for each part of a multi.
    Multi(Vec<Self>),
}

/// Applies a transaction to the tree. Sessions are the caller's business.
pub fn apply(tree: &mut Tree, hdr: &TxnHeader, txn: &Txn, observer: &mut impl Observer) -> Outcome {
    match txn {
        Txn::Multi(parts) => apply_multi(tree, hdr, parts, observer),
        _ => apply_one(tree, hdr, txn, observer).unwrap_or_else(Outcome::Failed),
    }
}

fn apply_one(
    tree: &mut Tree,
    hdr: &TxnHeader,
    txn: &Txn,
    observer: &mut impl Observer,
) -> Result<Outcome, ErrorCode> {
    let zxid = Zxid(hdr.zxid);
    match txn {
        Txn::Create { .. } => create(tree, hdr, txn, observer),
        Txn::Delete { path, .. } => {
            let acl = tree.delete(path, hdr.zxid)?;
            observer.deleted(tree, path, &acl, zxid);
            Ok(Outcome::Done)
        }
        Txn::SetData {
            path,
            data,
            version,
            ..
        } => {
            let id = tree.set_data(path, data.as_deref(), *version, hdr.zxid, hdr.time)?;
            let stat = tree.stat_of(tree.node(id));
            observer.data_changed(tree, path, zxid);
            Ok(Outcome::Changed(stat))
        }
        Txn::SetAcl { path, acl, version } => {
            let id = tree.set_acl(path, acl, *version)?;
            Ok(Outcome::Changed(tree.stat_of(tree.node(id))))
        }
        Txn::CloseSession { paths } => {
            close_session(
                tree,
                SessionId(hdr.client_id),
                paths.as_deref(),
                zxid,
                observer,
            );
            Ok(Outcome::Done)
        }
        Txn::Check { .. } | Txn::CreateSession { .. } => Ok(Outcome::Done),
        Txn::Error(code) => Err(*code),
        // Multis do not nest: the decoder refuses them.
        Txn::Multi(_) => Err(ErrorCode::MarshallingError),
    }
}

fn create(
    tree: &mut Tree,
    hdr: &TxnHeader,
    txn: &Txn,
    observer: &mut impl Observer,
) -> Result<Outcome, ErrorCode> {
    let Txn::Create {
        kind,
        path,
        data,
        acl,
        parent_cversion,
    } = txn
    else {
        return Err(ErrorCode::MarshallingError);
    };
    let owner = match kind {
        CreateKind::Plain {
            ephemeral: true, ..
        } => hdr.client_id,
        CreateKind::Plain { .. } => 0,
        CreateKind::Container => CONTAINER_OWNER,
        CreateKind::Ttl(ttl) => tree.owner_rules().ttl_owner(*ttl),
    };
    let new = NewNode {
        path,
        data: data.as_deref(),
        acl,
        owner,
        parent_cversion: *parent_cversion,
        zxid: hdr.zxid,
        time: hdr.time,
    };
    let created = tree.create(&new);
    if created == Err(ErrorCode::NodeExists) && txn.op() == op_code::CREATE {
        // Replay met a node that the snapshot has; its parent may still be from before.
        let parent = parent_path(path);
        if let Some(id) = tree.lookup(parent) {
            tree.raise_cversion(parent, id, *parent_cversion, hdr.zxid);
        }
    }
    let id = created?;
    let stat = returns_stat(*kind).then(|| tree.stat_of(tree.node(id)));
    observer.created(tree, path, Zxid(hdr.zxid));
    Ok(Outcome::Created(stat))
}

const fn returns_stat(kind: CreateKind) -> bool {
    !matches!(
        kind,
        CreateKind::Plain {
            op: op_code::CREATE,
            ..
        }
    )
}

fn close_session(
    tree: &mut Tree,
    session: SessionId,
    paths: Option<&[Box<str>]>,
    zxid: Zxid,
    observer: &mut impl Observer,
) {
    for path in paths.unwrap_or_default() {
        remove_ephemeral(tree, session, path, zxid, observer);
    }
    // What the session owns beyond the list: logs of older servers, fuzzy snapshots.
    for path in tree.take_ephemerals(session.0) {
        remove_ephemeral(tree, session, &path, zxid, observer);
    }
}

fn remove_ephemeral(
    tree: &mut Tree,
    session: SessionId,
    path: &str,
    zxid: Zxid,
    observer: &mut impl Observer,
) {
    let deleted = tree.delete(path, zxid.0);
    if let Ok(acl) = &deleted {
        observer.deleted(tree, path, acl, zxid);
    }
    observer.ephemeral_gone(session, path, deleted.is_ok());
}

/// A multi with an error in it changes nothing: operations before the error get code 0.
fn apply_multi(
    tree: &mut Tree,
    hdr: &TxnHeader,
    parts: &[Txn],
    observer: &mut impl Observer,
) -> Outcome {
    let failed = parts.iter().any(|part| matches!(part, Txn::Error(_)));
    let mut past_error = false;
    let mut outcomes = Vec::with_capacity(parts.len());
    for part in parts {
        let outcome = match part {
            Txn::Error(code) => {
                past_error = true;
                Outcome::Failed(*code)
            }
            _ if failed && past_error => Outcome::Failed(ErrorCode::RuntimeInconsistency),
            _ if failed => Outcome::Failed(ErrorCode::Ok),
            _ => apply_one(tree, hdr, part, observer).unwrap_or_else(Outcome::Failed),
        };
        outcomes.push(outcome);
    }
    Outcome::Multi(outcomes)
}
