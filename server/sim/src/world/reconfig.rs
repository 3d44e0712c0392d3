//! Owns changing the ensemble while it runs: what clients ask for.

use menagerie_core::ids::Sid;
use menagerie_core::quorum::Membership;
use menagerie_wire::client::ReconfigRequest;
use menagerie_wire::jute;

use super::{Happening, World};

impl World {
    /// A reconfiguration that a client might ask server `at` for.
    pub(super) fn random_reconfig(&mut self, at: Sid) -> Vec<u8> {
        let sids: Vec<Sid> = self.machines.keys().copied().collect();
        let running = self.machines.get(&at).and_then(|m| m.running.as_ref());
        let current = running.map(|running| running.member.configs().committed.clone());
        let version = current.as_ref().map_or(-1, Membership::version);
        let conditional = self.rng.u8(..4) == 0;
        let any = sids[self.rng.usize(..sids.len())];
        let mut request = ReconfigRequest {
            joining_servers: None,
            leaving_servers: None,
            new_members: None,
            cur_config_id: if conditional { version } else { -1 },
        };
        match self.rng.u8(..6) {
            0 | 1 => request.joining_servers = Some(self.line(any).into()),
            2 | 3 => request.leaving_servers = Some(any.to_string().into()),
            _ => request.new_members = Some(self.random_members(&sids).into()),
        }
        if self.rng.bool() {
            // The dangerous time is while it is on its way.
            let delay = self.rng.i64(0..10);
            self.at(delay, Happening::Strike);
        }
        self.say(|| format!("reconfiguration of version {version:x}: {request:?}"));
        jute::to_vec(&request)
    }

    fn line(&mut self, sid: Sid) -> String {
        let role = if self.rng.u8(..4) == 0 {
            "observer"
        } else {
            "participant"
        };
        // Now and then a server has moved to another host.
        let host = if self.rng.u8(..6) == 0 {
            "other"
        } else {
            "host"
        };
        format!("server.{sid}={host}{sid}:2888:3888:{role};2181")
    }

    fn random_members(&mut self, sids: &[Sid]) -> String {
        let mut chosen: Vec<Sid> = sids.iter().copied().filter(|_| self.rng.bool()).collect();
        self.rng.shuffle(&mut chosen);
        let mut lines: Vec<String> = chosen.iter().map(|sid| self.line(*sid)).collect();
        if chosen.len() > 3 && self.rng.u8(..3) == 0 {
            let (a, b) = chosen.split_at(2);
            let ids = |sids: &[Sid]| {
                let ids: Vec<String> = sids.iter().map(ToString::to_string).collect();
                ids.join(":")
            };
            lines.push(format!("group.1={}", ids(a)));
            lines.push(format!("group.2={}", ids(b)));
            lines.push(format!("weight.{}=2", a[0]));
        }
        lines.join(",")
    }
}
