//! Owns bringing a learner up to this server's history: by transactions from memory or from the log
//! on disk, by truncation, or by a snapshot. Leaders do it, and followers for their observers. Must
//! not know either's bookkeeping. Source: `LearnerHandler.syncFollower`.

use bytes::Bytes;

use super::{Io, Member};
use crate::ids::{LinkId, Sid, Zxid};
use crate::planted::Bug;
use crate::zab::history::SyncPlan;
use crate::zab::packet::Packet;

/// Who is brought up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newcomer {
    pub(super) link: LinkId,
    pub(super) sid: Sid,
    pub(super) observer: bool,
    /// Where its history ends.
    pub(super) last: Zxid,
    /// The epoch that it joins.
    pub(super) epoch: i64,
    /// Whether a configuration that is only proposed comes behind NEWLEADER.
    pub(super) reconfigures: bool,
}

/// How it gets what it lacks.
#[derive(Debug)]
pub(super) enum Way {
    /// Told by `how`; then come the entries of the history from index `from` on.
    Memory { how: Packet, from: usize },
    /// The log on disk has to be read up to `upto` first.
    Disk { upto: Zxid },
}

impl Member {
    /// How a learner whose history ends at `last` is brought up.
    pub(super) fn way(&self, last: Zxid, io: &Io<'_>) -> Way {
        let committed = self.history.committed();
        match self.history.plan(last, self.config.force_snapshot_sync) {
            SyncPlan::Diff { from } => Way::Memory {
                how: Packet::Diff(committed),
                from,
            },
            SyncPlan::Trunc { zxid, from } => Way::Memory {
                how: Packet::Trunc(zxid),
                from,
            },
            SyncPlan::Older if last.counter() != 0 => Way::Disk { upto: committed },
            SyncPlan::Older | SyncPlan::Snap => self.by_snapshot(io),
        }
    }

    fn by_snapshot(&self, io: &Io<'_>) -> Way {
        let zxid = Zxid(io.tree.last_zxid());
        let from = if self.config.planted.has(Bug::SnapForgetsRest) {
            usize::MAX
        } else {
            self.history.after(zxid)
        };
        let how = Packet::Snap(zxid);
        Way::Memory { how, from }
    }

    /// Sends a learner all that it lacks; `way` is from [`Member::way`].
    pub(super) fn bring_up(&self, to: Newcomer, how: Packet, from: usize, io: &mut Io<'_>) {
        self.send_history(to, how, &[], from, io);
    }

    /// The same, once the log on disk was read.
    pub(super) fn bring_up_by(
        &self,
        to: Newcomer,
        entries: Option<Vec<(Zxid, Bytes)>>,
        io: &mut Io<'_>,
    ) {
        let entries = entries.unwrap_or_default();
        // The entries in memory have gone on meanwhile and must still join.
        let joins = |upto: Zxid| self.history.first().is_some_and(|first| first <= upto);
        let upto = entries.last().map(|(zxid, _)| *zxid);
        if let Some(upto) = upto.filter(|upto| joins(*upto)) {
            let how = Packet::Diff(self.history.committed());
            self.send_history(to, how, &entries, self.history.after(upto), io);
        } else if let Way::Memory { how, from } = self.by_snapshot(io) {
            self.send_history(to, how, &[], from, io);
        }
    }

    /// Sends `older` transactions and those of the history from index `from` on.
    fn send_history(
        &self,
        to: Newcomer,
        how: Packet,
        older: &[(Zxid, Bytes)],
        from: usize,
        io: &mut Io<'_>,
    ) {
        let from = from.saturating_add(usize::from(
            self.config.planted.has(Bug::DiffSkipsOne) && matches!(how, Packet::Diff(_)),
        ));
        let (sid, last) = (to.sid, to.last);
        io.say(format!(
            "synchronising server {sid}, last zxid {last}, by {how}{}",
            if older.is_empty() {
                ""
            } else {
                " from the log"
            }
        ));
        io.send(to.link, how);
        let committed = self.history.committed();
        // A learner puts the configuration of NEWLEADER into force, so it must not be one that is
        // only proposed; and it must be the last one that it hears of before that proposal.
        let config = if to.reconfigures {
            &self.configs.committed
        } else {
            self.configs.newest()
        };
        let mut later = Vec::new();
        for (zxid, entry) in older.iter().chain(self.history.from(from)) {
            let (zxid, entry) = (*zxid, entry.clone());
            if zxid <= committed {
                io.send(to.link, Packet::Proposal { zxid, entry });
                io.send(to.link, Packet::Commit(zxid));
            } else if !to.observer && to.reconfigures {
                later.push(Packet::Proposal { zxid, entry });
            } else if !to.observer {
                io.send(to.link, Packet::Proposal { zxid, entry });
            }
        }
        let zxid = Zxid::first_of(to.epoch);
        let config = Bytes::from(config.to_string());
        io.send(to.link, Packet::NewLeader { zxid, config });
        for packet in later {
            io.send(to.link, packet);
        }
    }
}
