//! Owns when a leader brings its learners up, and from when on they get what is new.
//! Source: `LearnerHandler.syncFollower`, `Leader.startForwarding`.

use bytes::Bytes;

use super::{Peer, Progress, Stage};
use crate::effect::Effect;
use crate::ids::{LinkId, Zxid};
use crate::member::bring_up::{Newcomer, Way};
use crate::member::{Io, Member};
use crate::planted::Bug;
use crate::zab::packet::Packet;

impl Member {
    /// Sends a learner all that it lacks; from here on it also gets what is new.
    pub(super) fn synchronise(&mut self, link: LinkId, io: &mut Io<'_>) {
        let peer = self.leading.as_ref().and_then(|l| l.peers.get(&link));
        let Some(Progress::Accepted(last)) = peer.map(|peer| peer.progress) else {
            return;
        };
        match self.way(last, io) {
            Way::Disk { upto } => {
                self.progresses(link, Progress::Reading(last));
                let from = last;
                io.act(Effect::ReadLog { link, from, upto });
            }
            Way::Memory { how, from } => {
                if self.must_wait(link, matches!(how, Packet::Snap(_)), io) {
                    return;
                }
                if let Some(newcomer) = self.newcomer(link, last) {
                    self.bring_up(newcomer, how, from, io);
                    self.progresses(link, Progress::Syncing);
                }
            }
        }
    }

    /// What a learner lacks was looked for in the log on disk.
    pub(in crate::member) fn lead_log_read(
        &mut self,
        link: LinkId,
        entries: Option<Vec<(Zxid, Bytes)>>,
        io: &mut Io<'_>,
    ) {
        let peer = self.leading.as_ref().and_then(|l| l.peers.get(&link));
        let Some(Progress::Reading(last)) = peer.map(|peer| peer.progress) else {
            return;
        };
        if self.must_wait(link, entries.is_none(), io) {
            return;
        }
        if let Some(newcomer) = self.newcomer(link, last) {
            self.bring_up_by(newcomer, entries, io);
            self.progresses(link, Progress::Syncing);
        }
    }

    /// Notes how a learner is synchronised; whether it has to come again, since so many are being
    /// synchronised the same way. Only observers ever have to. Source: `LearnerSyncThrottler.beginSync`.
    fn must_wait(&mut self, link: LinkId, by_snapshot: bool, io: &mut Io<'_>) -> bool {
        let Some(leading) = &mut self.leading else {
            return false;
        };
        let (limit, key) = if by_snapshot {
            (self.config.max_snap_syncs, "leader.maxConcurrentSnapSyncs")
        } else {
            (self.config.max_diff_syncs, "leader.maxConcurrentDiffSyncs")
        };
        let same =
            |peer: &&Peer| peer.progress == Progress::Syncing && peer.by_snapshot == by_snapshot;
        let busy = leading.peers.values().filter(same).count();
        let Some(peer) = leading.peers.get_mut(&link) else {
            return false;
        };
        peer.by_snapshot = by_snapshot;
        if !peer.observer || busy < limit {
            return false;
        }
        let sid = peer.sid;
        leading.forget(link);
        let reason = format!("observer {sid} has to wait: {key} is {limit}");
        io.say(reason.clone());
        io.close(link, reason);
        true
    }

    fn newcomer(&self, link: LinkId, last: Zxid) -> Option<Newcomer> {
        let leading = self.leading.as_ref()?;
        let peer = leading.peers.get(&link)?;
        let reconfigures = leading.stage == Stage::Established
            && self.configs.next().is_some()
            && !self.config.planted.has(Bug::ProposedConfigInForce);
        Some(Newcomer {
            link,
            sid: peer.sid,
            observer: peer.observer,
            last,
            epoch: leading.epoch,
            reconfigures,
        })
    }

    fn progresses(&mut self, link: LinkId, progress: Progress) {
        let leading = self.leading.as_mut();
        if let Some(peer) = leading.and_then(|leading| leading.peers.get_mut(&link)) {
            peer.progress = progress;
            if progress == Progress::Syncing {
                peer.brought = self.history.committed();
            }
        }
    }
}
