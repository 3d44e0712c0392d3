//! Owns a disk that never loses what it was given whole: log entries, snapshots and epochs as values.
//! Work is done in order; a crash cuts it anywhere. Quick, for seeds that are about the protocol.

use std::collections::VecDeque;

use bytes::Bytes;
use menagerie_core::event::EpochKind;
use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::processor::apply::{Silent, apply};
use menagerie_core::quorum::Configs;
use menagerie_core::tree::{Tree, TreeOptions};
use menagerie_core::txn::{LoggedTxn, Txn};

use super::{Done, RECENT, Restored, Snapshot, Task};

/// The disk.
#[derive(Debug, Default)]
pub struct Model {
    log: Vec<(Zxid, Bytes)>,
    snapshot: Option<Snapshot>,
    /// Whether the log no longer begins with the first transaction of all.
    begun_later: bool,
    /// acceptedEpoch.
    pub accepted: i64,
    /// currentEpoch.
    pub current: i64,
    /// The configuration files.
    pub configs: Option<Configs>,
}

impl Model {
    /// An empty one.
    #[must_use]
    pub fn new(configs: Configs) -> Self {
        Self {
            configs: Some(configs),
            ..Self::default()
        }
    }

    /// Does a task.
    pub fn perform(&mut self, task: Task) -> Option<Done> {
        match task {
            Task::Append(entries) => {
                let last = entries.last().map(|(zxid, _)| *zxid);
                self.log.extend(entries);
                last.map(Done::Logged)
            }
            Task::Configs(configs) => {
                self.configs = Some(configs);
                None
            }
            Task::Epoch(kind, epoch) => {
                match kind {
                    EpochKind::Accepted => self.accepted = epoch,
                    EpochKind::Current => self.current = epoch,
                }
                Some(Done::Epoch(kind, epoch))
            }
            Task::Truncate(zxid, _) if !self.can_truncate(zxid) => {
                let reason = "the log does not reach back".to_owned();
                Some(Done::CutFailed { zxid, reason })
            }
            Task::Truncate(zxid, reload) => {
                self.log.retain(|(at, _)| *at <= zxid);
                if self.snapshot.as_ref().is_some_and(|it| it.zxid > zxid) {
                    self.snapshot = None;
                }
                let reloaded = reload.then(|| Box::new(self.restore()));
                Some(Done::Cut { zxid, reloaded })
            }
            Task::Install(snapshot) => {
                self.log.clear();
                self.begun_later = true;
                self.snapshot = Some(snapshot.clone());
                Some(Done::Installed(snapshot))
            }
            Task::Save(snapshot) => {
                self.snapshot = Some(snapshot);
                Some(Done::Saved)
            }
            Task::Roll | Task::RegainVote => None,
        }
    }

    /// The machine stops: of what was being written, a part may have reached the disk.
    pub fn crash(&mut self, mut tasks: VecDeque<Task>, rng: &mut fastrand::Rng) {
        let whole = rng.usize(..=tasks.len());
        for _ in 0..whole {
            // What is beyond the first task was not begun, as each waits for the one before.
            if rng.u8(..3) > 0 {
                break;
            }
            if let Some(task) = tasks.pop_front() {
                self.perform(task);
            }
        }
        if let Some(Task::Append(mut entries)) = tasks.pop_front() {
            entries.truncate(rng.usize(..=entries.len()));
            self.perform(Task::Append(entries));
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
    fn can_truncate(&self, zxid: Zxid) -> bool {
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
            accepted: self.accepted,
            current: self.current,
            configs: self.configs.clone(),
            mismatches: 0,
            blank: false,
        }
    }
}
