//! Owns a leader's part in reconfigurations: what they start from, and who leads after them.
//! Source: `Leader.isQuorumSynced`, `Leader.getDesignatedLeader`.

use std::collections::BTreeSet;

use super::Progress;
use crate::ids::{Sid, Zxid};
use crate::member::{Io, Member};
use crate::processor::reconfig::EnsembleView;
use crate::quorum::Membership;

impl Member {
    /// Tells the replica what a reconfiguration that a client asks for starts from.
    pub(in crate::member) fn prepare_reconfig(&mut self, io: &mut Io<'_>) {
        self.take_proposals(io);
        let view = EnsembleView {
            last_seen: self.configs.newest().clone(),
            in_progress: self.configs.next().is_some(),
            synced: self.synced(io.now.mono_ms),
            standalone_enabled: self.config.standalone_enabled,
            multi_address: self.config.multi_address,
        };
        self.replica.set_ensemble(view);
    }

    /// Those who can vote from one moment to the next: this server, and who follows it closely.
    fn synced(&self, now: i64) -> BTreeSet<Sid> {
        let peers = self.leading.iter().flat_map(|l| l.peers.values());
        let close = peers.filter(|peer| {
            let alive = now - peer.heard_ms <= self.config.sync_ms();
            !peer.observer && alive && peer.progress >= Progress::Synced
        });
        close.map(|peer| peer.sid).chain([self.config.me]).collect()
    }

    /// An ensemble whose configuration has no version gets one with its first leader, so that it
    /// wins over that of servers that never were part of it. Source: `Leader.lead`.
    pub(super) fn give_version(&mut self, io: &mut Io<'_>) {
        let Some(leading) = &self.leading else { return };
        let version = Zxid::first_of(leading.epoch).0;
        if self.configs.newest().version() == 0 {
            let versioned = self.configs.committed.with_version(version);
            self.see(versioned, io);
        }
    }

    /// Who leads when `new`, proposed at `zxid`, is in force: this server, if it votes there at the
    /// same address; else the one of the new voters that has most of what was proposed.
    pub(super) fn designated(&self, new: &Membership, zxid: Zxid) -> Sid {
        let me = self.config.me;
        let ports = |membership: &Membership| {
            let spec = membership.members().servers.get(&me.0);
            spec.map(|spec| {
                let at = spec.addresses.iter();
                at.map(|address| (address.host.clone(), address.port))
                    .collect::<BTreeSet<_>>()
            })
        };
        if new.is_voter(me) && ports(new) == ports(&self.configs.committed) {
            return me;
        }
        let peers = self.leading.iter().flat_map(|l| l.peers.values());
        let candidates = peers.filter(|peer| {
            let has_it = peer.progress >= Progress::Synced && peer.acked >= zxid;
            !peer.observer && has_it && new.is_voter(peer.sid) && peer.sid != me
        });
        candidates
            .max_by_key(|peer| (peer.acked, peer.sid))
            .map_or(me, |peer| peer.sid)
    }
}
