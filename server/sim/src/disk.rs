//! Owns what survives a crash: the log, the newest snapshot, the epochs; and the queue of what the
//! disk has been asked to do. Work is done in order and takes time; a crash cuts it anywhere.

use std::collections::VecDeque;

use bytes::Bytes;
use menagerie_core::event::EpochKind;
use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::processor::apply::{Silent, apply};
use menagerie_core::tree::{SnapshotCursor, Tree, TreeOptions};
use menagerie_core::txn::{LoggedTxn, Txn};
use menagerie_wire::data::{Acl, StatPersisted};

/// A tree as values.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// As of when.
    pub zxid: Zxid,
    acls: Vec<(i64, Vec<Acl<'static>>)>,
    nodes: Vec<(String, Option<Vec<u8>>, i64, StatPersisted)>,
    /// The sessions with their time-outs.
    pub sessions: Vec<(SessionId, i32)>,
    /// The transactions that made it, for the checker.
    pub lineage: Vec<(Zxid, Bytes)>,
}

impl Snapshot {
    /// Takes one.
    #[must_use]
    pub fn of(tree: &Tree, sessions: Vec<(SessionId, i32)>, lineage: Vec<(Zxid, Bytes)>) -> Self {
        let owned = |acl: Acl<'_>| {
            let (scheme, id) = (
                acl.id.scheme.unwrap_or_default(),
                acl.id.id.unwrap_or_default(),
            );
            Acl::new(acl.perms, scheme.into_owned(), id.into_owned())
        };
        let acls = tree.snapshot_acls().map(|(id, list)| {
            let acls = menagerie_core::acl::acl_to_wire(list).into_iter();
            (id, acls.map(owned).collect())
        });
        let mut nodes = Vec::new();
        SnapshotCursor::new(tree).advance(tree, |node| {
            let data = node.data.map(<[u8]>::to_vec);
            nodes.push((node.path.to_owned(), data, node.acl_id, *node.stat));
            true
        });
        Self {
            zxid: Zxid(tree.last_zxid()),
            acls: acls.collect(),
            nodes,
            sessions,
            lineage,
        }
    }

    /// The tree that it is of.
    ///
    /// # Panics
    /// When the nodes do not form a tree, which is a fault of the simulator.
    #[must_use]
    pub fn tree(&self) -> Tree {
        let mut tree = Tree::for_loading(TreeOptions::default());
        for (id, acls) in &self.acls {
            tree.load_acl(*id, acls);
        }
        for (path, data, acl, stat) in &self.nodes {
            let loaded = tree.load_node(path, data.as_deref(), *acl, *stat);
            assert!(loaded.is_ok(), "{path} has no parent in the snapshot");
        }
        tree.finish_loading(self.zxid.0, None);
        tree
    }
}

/// Something to write.
#[derive(Debug)]
pub enum Task {
    /// Log entries; made durable together.
    Append(Vec<(Zxid, Bytes)>),
    /// An epoch.
    Epoch(EpochKind, i64),
    /// End the log; read the tree anew if asked to.
    Truncate(Zxid, bool),
    /// Replace everything by a snapshot.
    Install(Snapshot),
    /// A snapshot of the server's own.
    Save(Snapshot),
}

/// What is read at a start.
#[derive(Debug)]
pub struct Restored {
    /// With everything in the log applied.
    pub tree: Tree,
    /// The sessions that are open.
    pub sessions: Vec<(SessionId, i32)>,
    /// The end of the log.
    pub recent: Vec<(Zxid, Bytes)>,
    /// The transactions that made the tree.
    pub lineage: Vec<(Zxid, Bytes)>,
}

/// A disk.
#[derive(Debug, Default)]
pub struct Disk {
    log: Vec<(Zxid, Bytes)>,
    snapshot: Option<Snapshot>,
    /// Whether the log no longer begins with the first transaction of all.
    begun_later: bool,
    /// acceptedEpoch.
    pub accepted: i64,
    /// currentEpoch.
    pub current: i64,
    /// What has not been done yet.
    pub queue: VecDeque<Task>,
}

impl Disk {
    /// Does a task.
    pub fn perform(&mut self, task: &Task) {
        match task {
            Task::Append(entries) => self.log.extend(entries.iter().cloned()),
            Task::Epoch(EpochKind::Accepted, epoch) => self.accepted = *epoch,
            Task::Epoch(EpochKind::Current, epoch) => self.current = *epoch,
            Task::Truncate(zxid, _) => {
                self.log.retain(|(at, _)| at <= zxid);
                if self
                    .snapshot
                    .as_ref()
                    .is_some_and(|snapshot| snapshot.zxid > *zxid)
                {
                    self.snapshot = None;
                }
            }
            Task::Install(snapshot) => {
                self.log.clear();
                self.begun_later = true;
                self.snapshot = Some(snapshot.clone());
            }
            Task::Save(snapshot) => self.snapshot = Some(snapshot.clone()),
        }
    }

    /// The machine stops: of what was being written, a part may have reached the disk.
    pub fn crash(&mut self, rng: &mut fastrand::Rng) {
        let mut tasks: VecDeque<Task> = std::mem::take(&mut self.queue);
        let whole = rng.usize(..=tasks.len());
        for _ in 0..whole {
            // What is beyond the first task was not begun, as each waits for the one before.
            if rng.u8(..3) > 0 {
                break;
            }
            if let Some(task) = tasks.pop_front() {
                self.perform(&task);
            }
        }
        if let Some(Task::Append(mut entries)) = tasks.pop_front() {
            entries.truncate(rng.usize(..=entries.len()));
            self.perform(&Task::Append(entries));
        }
    }

    /// The last entry of the log.
    #[must_use]
    pub fn last(&self) -> Option<Zxid> {
        self.log.last().map(|(zxid, _)| *zxid)
    }

    /// The entries behind `from` up to `upto`, if the log holds both.
    #[must_use]
    pub fn read(&self, from: Zxid, upto: Zxid) -> Option<Vec<(Zxid, Bytes)>> {
        let at = |zxid: Zxid| self.log.binary_search_by_key(&zxid, |(zxid, _)| *zxid).ok();
        let (first, last) = (at(from)? + 1, at(upto)?);
        self.log.get(first..=last).map(<[_]>::to_vec)
    }

    /// Whether the log and the snapshot still reach back to that transaction.
    #[must_use]
    pub fn can_truncate(&self, zxid: Zxid) -> bool {
        let from = self
            .snapshot
            .as_ref()
            .map_or(Zxid(0), |snapshot| snapshot.zxid);
        from <= zxid || !self.begun_later
    }

    /// Reads everything, as at a start.
    ///
    /// # Panics
    /// When an entry cannot be decoded, which only a fault of the core can cause.
    #[must_use]
    pub fn restore(&self) -> Restored {
        let (mut tree, mut sessions) = match &self.snapshot {
            Some(snapshot) => (snapshot.tree(), snapshot.sessions.clone()),
            None => (Tree::new(TreeOptions::default()), Vec::new()),
        };
        let from = Zxid(tree.last_zxid());
        let before = self
            .snapshot
            .as_ref()
            .map(|snapshot| snapshot.lineage.clone());
        let mut lineage = before.unwrap_or_default();
        for (zxid, bytes) in self.log.iter().filter(|(zxid, _)| *zxid > from) {
            lineage.push((*zxid, bytes.clone()));
            let Ok(logged) = LoggedTxn::decode(bytes) else {
                panic!("an entry of the log cannot be read");
            };
            apply(&mut tree, &logged.header, &logged.txn, &mut Silent);
            tree.advance(logged.header.zxid);
            let session = SessionId(logged.header.client_id);
            sessions.retain(|(id, _)| {
                *id != session
                    || !matches!(
                        logged.txn,
                        Txn::CloseSession { .. } | Txn::CreateSession { .. }
                    )
            });
            if let Txn::CreateSession { timeout_ms } = logged.txn {
                sessions.push((session, timeout_ms));
            }
        }
        let keep = self.log.len().saturating_sub(RECENT);
        Restored {
            tree,
            sessions,
            recent: self.log[keep..].to_vec(),
            lineage,
        }
    }
}

/// Entries that a server keeps in memory; few, so that snapshots are needed too.
pub const RECENT: usize = 12;
