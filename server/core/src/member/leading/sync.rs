//! Owns bringing a learner up to the leader's history: by transactions from memory or from the log
//! on disk, by truncation, or by a snapshot. Source: `LearnerHandler.syncFollower`.

use bytes::Bytes;

use super::Progress;
use crate::effect::Effect;
use crate::ids::{LinkId, Zxid};
use crate::member::{Io, Member};
use crate::planted::Bug;
use crate::zab::history::SyncPlan;
use crate::zab::packet::Packet;

impl Member {
    /// Sends a learner all that it lacks; from here on it also gets what is new.
    /// Source: `LearnerHandler.syncFollower`, `Leader.startForwarding`.
    pub(super) fn synchronise(&mut self, link: LinkId, io: &mut Io<'_>) {
        let Some(leading) = &mut self.leading else {
            return;
        };
        let Some(peer) = leading.peers.get_mut(&link) else {
            return;
        };
        let Progress::Accepted(last) = peer.progress else {
            return;
        };
        let committed = self.history.committed();
        let (how, from) = match self.history.plan(last, self.config.force_snapshot_sync) {
            SyncPlan::Diff { from } => (Packet::Diff(committed), from),
            SyncPlan::Trunc { zxid, from } => (Packet::Trunc(zxid), from),
            SyncPlan::Older if last.counter() != 0 => {
                peer.progress = Progress::Reading(last);
                io.act(Effect::ReadLog {
                    link,
                    from: last,
                    upto: committed,
                });
                return;
            }
            SyncPlan::Older | SyncPlan::Snap => self.by_snapshot(io),
        };
        self.bring_up(link, last, how, &[], from, io);
    }

    fn by_snapshot(&self, io: &Io<'_>) -> (Packet, usize) {
        let zxid = Zxid(io.tree.last_zxid());
        let rest = if self.config.planted.has(Bug::SnapForgetsRest) {
            usize::MAX
        } else {
            self.history.after(zxid)
        };
        (Packet::Snap(zxid), rest)
    }

    /// What a learner lacks was looked for in the log on disk.
    pub(in crate::member) fn log_read(
        &mut self,
        link: LinkId,
        entries: Option<Vec<(Zxid, Bytes)>>,
        io: &mut Io<'_>,
    ) {
        let peer = self.leading.as_ref().and_then(|l| l.peers.get(&link));
        let Some(Progress::Reading(last)) = peer.map(|peer| peer.progress) else {
            return;
        };
        let entries = entries.unwrap_or_default();
        // The entries in memory have gone on meanwhile and must still join.
        let joins = |upto: Zxid| self.history.first().is_some_and(|first| first <= upto);
        let upto = entries.last().map(|(zxid, _)| *zxid);
        if let Some(upto) = upto.filter(|upto| joins(*upto)) {
            let how = Packet::Diff(self.history.committed());
            let from = self.history.after(upto);
            self.bring_up(link, last, how, &entries, from, io);
        } else {
            let (how, from) = self.by_snapshot(io);
            self.bring_up(link, last, how, &[], from, io);
        }
    }

    /// Sends `older` transactions and those of the history from index `from` on.
    fn bring_up(
        &mut self,
        link: LinkId,
        last: Zxid,
        how: Packet,
        older: &[(Zxid, Bytes)],
        from: usize,
        io: &mut Io<'_>,
    ) {
        let Some(leading) = &mut self.leading else {
            return;
        };
        let Some(peer) = leading.peers.get_mut(&link) else {
            return;
        };
        let from = from.saturating_add(usize::from(
            self.config.planted.has(Bug::DiffSkipsOne) && matches!(how, Packet::Diff(_)),
        ));
        io.say(format!(
            "synchronising server {}, last zxid {last}, by {how}{}",
            peer.sid,
            if older.is_empty() {
                ""
            } else {
                " from the log"
            }
        ));
        io.send(link, how);
        let committed = self.history.committed();
        for (zxid, entry) in older.iter().chain(self.history.from(from)) {
            let (zxid, entry) = (*zxid, entry.clone());
            if zxid <= committed {
                io.send(link, Packet::Proposal { zxid, entry });
                io.send(link, Packet::Commit(zxid));
            } else if !peer.observer {
                io.send(link, Packet::Proposal { zxid, entry });
            }
        }
        peer.progress = Progress::Syncing;
        let zxid = Zxid::first_of(leading.epoch);
        let config = Bytes::from(self.configs.newest().to_string());
        io.send(link, Packet::NewLeader { zxid, config });
    }
}
