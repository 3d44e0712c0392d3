//! Owns what operators should know of the other members while this server finds no leader: who
//! cannot be reached, who says something that does not fit. Must not decide anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use menagerie_core::ids::Sid;
use menagerie_wire::election::{Notification, ServerState};
use menagerie_wire::text::cfg::{Members, Role};

/// Warnings that were given already; beyond that none is given.
const TOLD_MAX: usize = 1000;

/// What is known of one member.
#[derive(Debug, Default, Clone)]
struct Known {
    /// Why there is no connection.
    error: Option<String>,
    /// Whether it was reached, and should have connected in turn, but did not.
    waited_for: bool,
    /// What it last said.
    said: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    members: BTreeMap<Sid, Known>,
    told: BTreeSet<String>,
}

/// The doubts.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    state: Mutex<State>,
}

impl Doubts {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something once.
    pub(super) fn warn(&self, text: String) {
        let mut state = self.lock();
        if state.told.len() < TOLD_MAX && state.told.insert(text.clone()) {
            tracing::warn!("{text}");
        }
    }

    fn note(&self, sid: Sid, change: impl FnOnce(&mut Known)) {
        let mut state = self.lock();
        // Who is no member is not waited for.
        if state.members.len() < TOLD_MAX || state.members.contains_key(&sid) {
            change(state.members.entry(sid).or_default());
        }
    }

    /// There is no connection to a member.
    pub(super) fn unreachable(&self, sid: Sid, error: &str) {
        self.note(sid, |known| {
            known.error = Some(error.to_owned());
            known.said = None;
        });
    }

    /// A member with a larger number has been reached and is to connect in turn.
    pub(super) fn waits_for(&self, sid: Sid) {
        self.note(sid, |known| {
            known.error = None;
            known.waited_for = true;
        });
    }

    /// There is a connection.
    pub(super) fn connected(&self, sid: Sid) {
        self.note(sid, |known| *known = Known::default());
    }

    /// A member has voted; `mine` are the members as this server has them.
    pub(super) fn heard(&self, sid: Sid, vote: &Notification, mine: &Members) {
        let says = match vote.state {
            ServerState::Looking if vote.leader == i64::MIN => {
                format!("looks for a leader in round {} and has no vote", vote.round)
            }
            ServerState::Looking => format!(
                "looks for a leader in round {}, votes for server {} with epoch {} and last zxid 0x{:x}",
                vote.round, vote.leader, vote.peer_epoch, vote.zxid
            ),
            ServerState::Leading => "leads".to_owned(),
            ServerState::Following => format!("follows server {}", vote.leader),
            ServerState::Observing => format!("observes server {}", vote.leader),
        };
        self.note(sid, |known| known.said = Some(says));
        let text = String::from_utf8_lossy(&vote.config);
        let theirs = Members::parse_dynamic(&text).ok();
        let same = |theirs: &Members| {
            let version = |members: &Members| members.version.unwrap_or(0);
            version(theirs) != version(mine)
                || theirs.servers.is_empty()
                || essence(theirs) == essence(mine)
        };
        if let Some(theirs) = theirs.filter(|theirs| !same(theirs)) {
            self.warn(format!(
                "server {sid} has other server lines than this one: {}; here they are {}",
                one_line(&theirs),
                one_line(mine)
            ));
        }
    }

    /// What keeps this server from finding a leader, as far as can be told: a part for each of the
    /// `others`.
    pub(super) fn summary(&self, me: Sid, others: impl Iterator<Item = Sid>) -> String {
        let state = self.lock();
        let parts = others.map(|sid| {
            let known = state.members.get(&sid).cloned().unwrap_or_default();
            let says = match known {
                Known {
                    error: Some(error), ..
                } => format!("cannot be reached: {error}"),
                Known {
                    said: Some(said), ..
                } => said,
                Known {
                    waited_for: true, ..
                } => format!(
                    "was reached, and does not connect to this server in turn; is its line for \
                     server {me} right, and is there another server {me}?"
                ),
                Known { .. } => "has said nothing".to_owned(),
            };
            format!("server {sid} {says}")
        });
        parts.collect::<Vec<_>>().join("; ")
    }
}

/// A server's number and role, and its ports.
type Essence = (i64, Role, Vec<(u16, u16)>);

/// What must be the same everywhere. Host names may differ: everybody has its own view of the network.
fn essence(members: &Members) -> Vec<Essence> {
    let servers = members.servers.iter();
    servers
        .map(|(id, spec)| {
            let ports = spec.addresses.iter();
            let ports = ports.map(|address| (address.port, address.election_port));
            (*id, spec.role, ports.collect())
        })
        .collect()
}

fn one_line(members: &Members) -> String {
    let lines = members.servers.iter();
    let lines: Vec<String> = lines
        .map(|(id, spec)| format!("server.{id}={spec}"))
        .collect();
    lines.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: &str = "server.1=a:1:2:participant\nserver.2=b:1:2:participant\nversion=0";

    fn vote(state: ServerState, config: &str) -> Notification {
        Notification {
            state,
            leader: 2,
            zxid: 0x1_0000_0002,
            round: 3,
            peer_epoch: 1,
            version: 2,
            config: config.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_summary_tells_the_last_that_is_known_of_everybody() {
        let doubts = Doubts::default();
        let mine = Members::parse_dynamic(MINE).unwrap();
        doubts.unreachable(Sid(2), "b:2: refused");
        doubts.waits_for(Sid(3));
        doubts.connected(Sid(4));
        doubts.heard(Sid(4), &vote(ServerState::Looking, MINE), &mine);
        let text = doubts.summary(Sid(1), (2..=5).map(Sid));
        let parts: Vec<&str> = text.split("; server ").collect();
        assert_eq!(parts[0], "server 2 cannot be reached: b:2: refused");
        assert!(parts[1].starts_with("3 was reached, and does not connect"));
        assert_eq!(
            parts[2],
            "4 looks for a leader in round 3, votes for server 2 with epoch 1 and last zxid 0x100000002"
        );
        assert_eq!(parts[3], "5 has said nothing");
        doubts.connected(Sid(2));
        assert!(
            doubts
                .summary(Sid(1), [Sid(2)].into_iter())
                .ends_with("said nothing")
        );
    }

    #[test]
    fn other_server_lines_are_told_once_unless_they_are_of_another_version() {
        let doubts = Doubts::default();
        let mine = Members::parse_dynamic(MINE).unwrap();
        let told = || doubts.lock().told.len();
        let other_names = MINE.replace("=a:", "=10.0.0.1:");
        let newer = "server.1=a:1:2:participant\nversion=100000000";
        for config in [MINE, &other_names, newer, "", "nonsense"] {
            doubts.heard(Sid(2), &vote(ServerState::Looking, config), &mine);
            assert_eq!(told(), 0, "{config}");
        }
        let more = format!(
            "{}\nserver.3=c:1:2:participant\nversion=0",
            &MINE[..MINE.len() - 10]
        );
        let swapped = MINE.replace("b:1:2", "b:2:1");
        for (config, count) in [(&more, 1), (&more, 1), (&swapped, 2)] {
            doubts.heard(Sid(2), &vote(ServerState::Looking, config), &mine);
            assert_eq!(told(), count, "{config}");
        }
    }
}
