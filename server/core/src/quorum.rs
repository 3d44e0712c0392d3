//! Owns who the members of the ensemble are and how many of them decide: majorities, weighted
//! groups, and two configurations at once while the ensemble is reconfigured. May use `ids` and
//! `wire::text::cfg`. Must not know what is decided.
//! Source: `QuorumMaj`, `QuorumHierarchical`, `SyncedLearnerTracker`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use menagerie_wire::text::cfg::{Members, Role};

use crate::ids::{Sid, Zxid};

/// A configuration of the ensemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    members: Members,
    voters: BTreeSet<Sid>,
    /// Of every voter, where votes are counted by groups.
    weights: Option<BTreeMap<Sid, i64>>,
}

impl Membership {
    /// The configuration that `members` describes.
    #[must_use]
    pub fn new(members: Members) -> Self {
        let voters = members
            .servers
            .iter()
            .filter(|(_, spec)| spec.role == Role::Participant)
            .map(|(id, _)| Sid(*id))
            .collect();
        let weights = members.is_hierarchical().then(|| {
            let all = members.all_weights();
            all.into_iter()
                .map(|(id, weight)| (Sid(id), weight))
                .collect()
        });
        Self {
            members,
            voters,
            weights,
        }
    }

    /// The lines it came from.
    #[must_use]
    pub const fn members(&self) -> &Members {
        &self.members
    }

    /// The zxid of the reconfiguration that made it; 0 when it came from the files of the start.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.members.version.unwrap_or(0)
    }

    /// Those who vote.
    pub fn voters(&self) -> impl Iterator<Item = Sid> + '_ {
        self.voters.iter().copied()
    }

    /// Whether a server votes.
    #[must_use]
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.voters.contains(&sid)
    }

    /// Whether a server is a member without a vote.
    #[must_use]
    pub fn is_observer(&self, sid: Sid) -> bool {
        self.members.servers.contains_key(&sid.0) && !self.is_voter(sid)
    }

    /// Whether both are the same but for their versions.
    #[must_use]
    pub fn same_members(&self, other: &Self) -> bool {
        let (a, b) = (&self.members, &other.members);
        a.servers == b.servers && a.groups == b.groups && a.all_weights() == b.all_weights()
    }

    /// The same members under another version.
    #[must_use]
    pub fn with_version(&self, version: i64) -> Self {
        let mut other = self.clone();
        other.members.version = Some(version);
        other
    }

    /// The weight of a server's vote. Source: `QuorumVerifier.getWeight`.
    #[must_use]
    pub fn weight(&self, sid: Sid) -> i64 {
        let listed = self.weights.as_ref().map(|weights| weights.get(&sid));
        listed.map_or(1, |weight| weight.copied().unwrap_or(0))
    }

    /// Whether a server's vote counts.
    #[must_use]
    pub fn has_weight(&self, sid: Sid) -> bool {
        self.is_voter(sid) && self.weight(sid) != 0
    }

    /// Whether the servers for which `has` holds can decide: more than half of the voters, or more
    /// than half of the weight in more than half of the groups that have any.
    /// Source: `QuorumMaj.containsQuorum`, `QuorumHierarchical.containsQuorum`.
    #[must_use]
    pub fn is_quorum(&self, has: impl Fn(Sid) -> bool) -> bool {
        if self.weights.is_none() {
            let count = self.voters.iter().filter(|sid| has(**sid)).count();
            return count > self.voters.len() / 2;
        }
        let (mut groups, mut agreeing) = (0, 0);
        for group in self.members.groups.values() {
            let weight = |wanted: &dyn Fn(Sid) -> bool| -> i64 {
                let members = group.iter().map(|id| Sid(*id));
                members
                    .filter(|sid| self.voters.contains(sid) && wanted(*sid))
                    .map(|sid| self.weight(sid))
                    .sum()
            };
            let total = weight(&|_| true);
            if total > 0 {
                groups += 1;
                if weight(&has) > total / 2 {
                    agreeing += 1;
                }
            }
        }
        agreeing > groups / 2
    }

    /// Whether two servers vote, one by one.
    #[must_use]
    pub fn is_pair(&self) -> bool {
        self.weights.is_none() && self.voters.len() == 2
    }
}

/// As `/zookeeper/config` holds it.
impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.members.fmt(f)
    }
}

/// What an oracle outside of the ensemble says where one of two voters is left.
/// Source: `QuorumOracleMaj`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Oracle {
    /// Nothing: there is none, or the other voter follows and has to agree.
    #[default]
    Silent,
    /// This server may decide alone.
    Alone,
    /// The other one may, and is to be followed though nobody else does.
    Other,
}

/// The configuration in force, and the one that is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configs {
    /// In force.
    pub committed: Membership,
    /// Proposed and not known to be committed; of no meaning unless it is newer.
    /// Source: `QuorumPeer.lastSeenQuorumVerifier`.
    pub last_seen: Option<Membership>,
    /// Where that decides.
    pub oracle: Oracle,
}

impl Configs {
    /// Only one configuration.
    #[must_use]
    pub const fn new(committed: Membership) -> Self {
        Self {
            committed,
            last_seen: None,
            oracle: Oracle::Silent,
        }
    }

    /// Notes a configuration that was proposed, in place of any other one; whether that is news.
    /// Source: `QuorumPeer.setLastSeenQuorumVerifier`.
    pub fn see(&mut self, seen: Membership) -> bool {
        if self.newest().version() == seen.version() {
            return false;
        }
        self.last_seen = Some(seen);
        true
    }

    /// Puts a configuration into force, unless it is older; the one before, if it was not.
    /// Source: `QuorumPeer.setQuorumVerifier`.
    pub fn activate(&mut self, new: Membership) -> Option<Membership> {
        if self.committed.version() >= new.version() {
            return None;
        }
        let before = std::mem::replace(&mut self.committed, new);
        if self.next().is_none() {
            self.last_seen = None;
        }
        Some(before)
    }

    /// The newer configuration, if there is one.
    #[must_use]
    pub fn next(&self) -> Option<&Membership> {
        self.last_seen
            .as_ref()
            .filter(|next| next.version() > self.committed.version())
    }

    /// The newest configuration heard of.
    #[must_use]
    pub fn newest(&self) -> &Membership {
        self.next().unwrap_or(&self.committed)
    }

    /// Whether the servers for which `has` holds can decide in every configuration that counts.
    #[must_use]
    pub fn is_quorum(&self, has: impl Fn(Sid) -> bool) -> bool {
        self.decides(&self.committed, &has)
            && self.next().is_none_or(|next| self.decides(next, &has))
    }

    /// Whether the servers for which `has` holds can decide in `members`: one of two, if the oracle
    /// says so. Source: `QuorumOracleMaj.containsQuorum`.
    fn decides(&self, members: &Membership, has: impl Fn(Sid) -> bool) -> bool {
        let alone = self.oracle == Oracle::Alone && members.is_pair();
        members.is_quorum(&has) || alone && members.voters().any(has)
    }

    /// The highest zxid with which enough of the voters in `members` agree, when `acked` tells how
    /// far each has come.
    #[must_use]
    pub fn highest_with_quorum(
        &self,
        members: &Membership,
        acked: impl Fn(Sid) -> Option<Zxid>,
    ) -> Option<Zxid> {
        let mut marks: Vec<Zxid> = members.voters().filter_map(&acked).collect();
        marks.sort_unstable_by(|a, b| b.cmp(a));
        marks.dedup();
        marks
            .into_iter()
            .find(|mark| self.decides(members, |sid| acked(sid).is_some_and(|at| at >= *mark)))
    }

    /// Those who vote in any of them, each once, in order. Source:
    /// `QuorumPeer.getCurrentAndNextConfigVoters`.
    #[must_use]
    pub fn voters(&self) -> BTreeSet<Sid> {
        let next = self.next().into_iter().flat_map(Membership::voters);
        self.committed.voters().chain(next).collect()
    }

    /// Whether a server's vote counts in any of them.
    #[must_use]
    pub fn has_weight(&self, sid: Sid) -> bool {
        let next = self.next();
        self.committed.has_weight(sid) || next.is_some_and(|next| next.has_weight(sid))
    }

    /// Whether a server votes in any of them.
    #[must_use]
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.committed.is_voter(sid) || self.next().is_some_and(|next| next.is_voter(sid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn membership(text: &str) -> Membership {
        Membership::new(Members::parse_dynamic(text).unwrap())
    }

    fn plain(servers: i64, observers: i64) -> Membership {
        let mut text = String::new();
        for id in 1..=servers + observers {
            let role = if id > servers {
                "observer"
            } else {
                "participant"
            };
            text += &format!("server.{id}=h{id}:2888:3888:{role}\n");
        }
        membership(&text)
    }

    fn among(members: &[i64]) -> impl Fn(Sid) -> bool {
        move |sid| members.contains(&sid.0)
    }

    #[test]
    fn more_than_half_of_the_voters_decide() {
        let three = plain(3, 2);
        assert!(!three.is_quorum(among(&[1, 4, 5])));
        assert!(three.is_quorum(among(&[1, 3])));
        let four = plain(4, 0);
        assert!(!four.is_quorum(among(&[1, 2])));
        assert!(four.is_quorum(among(&[1, 2, 4])));
    }

    #[test]
    fn groups_decide_by_weight_and_number() {
        let mut text: String = (1..=9).map(|n| format!("server.{n}=h:1:2\n")).collect();
        text += "group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7:8:9\nweight.7=0\nweight.8=0\nweight.9=0\nweight.1=3\n";
        let groups = membership(&text);
        assert!(groups.is_quorum(among(&[1, 4, 5])));
        assert!(!groups.is_quorum(among(&[2, 3, 4, 5])), "1 outweighs both");
        assert!(!groups.is_quorum(among(&[1, 2, 3, 4, 7, 8, 9])));
        assert_eq!(groups.weight(Sid(7)), 0);
    }

    #[test]
    fn the_commit_point_is_what_a_quorum_has() {
        let three = plain(3, 0);
        let at = |marks: [i64; 3]| {
            Configs::new(three.clone()).highest_with_quorum(&three, |sid| {
                let index = usize::try_from(sid.0 - 1).unwrap();
                (marks[index] > 0).then_some(Zxid(marks[index]))
            })
        };
        assert_eq!(at([5, 0, 0]), None);
        assert_eq!(at([5, 3, 0]), Some(Zxid(3)));
        assert_eq!(at([5, 3, 4]), Some(Zxid(4)));
        assert_eq!(at([5, 5, 1]), Some(Zxid(5)));
    }

    #[test]
    fn two_configurations_must_both_agree() {
        let mut both = Configs::new(plain(3, 0));
        both.last_seen = Some(membership("server.4=h:1:2\nserver.5=h:1:2\nversion=100\n"));
        assert!(!both.is_quorum(among(&[1, 2])));
        assert!(!both.is_quorum(among(&[4, 5])));
        assert!(both.is_quorum(among(&[1, 2, 4, 5])));
        assert_eq!(both.voters().len(), 5);
    }

    #[test]
    fn an_oracle_decides_for_one_of_two_and_for_nobody_else() {
        let with = |members: Membership, oracle| Configs {
            oracle,
            ..Configs::new(members)
        };
        let pair = || plain(2, 1);
        assert!(!with(pair(), Oracle::Silent).is_quorum(among(&[1])));
        assert!(!with(pair(), Oracle::Other).is_quorum(among(&[1])));
        let alone = with(pair(), Oracle::Alone);
        assert!(alone.is_quorum(among(&[1])) && alone.is_quorum(among(&[2])));
        assert!(!alone.is_quorum(among(&[3])), "an observer does not vote");
        let mine = |sid: Sid| (sid == Sid(2)).then_some(Zxid(7));
        assert_eq!(
            alone.highest_with_quorum(&alone.committed, mine),
            Some(Zxid(7))
        );
        assert!(!with(plain(3, 0), Oracle::Alone).is_quorum(among(&[1])));
        let text = "server.1=h:1:2\nserver.2=h:1:2\ngroup.1=1:2\n";
        assert!(!with(membership(text), Oracle::Alone).is_quorum(among(&[1])));
    }

    /// Any two quorums have a member in common.
    #[test]
    fn quorums_intersect() {
        let mut text: String = (1..=6).map(|n| format!("server.{n}=h:1:2\n")).collect();
        text += "group.1=1:2\ngroup.2=3:4\ngroup.3=5:6\nweight.1=2\nweight.4=5\nweight.6=3\n";
        for config in [plain(5, 1), plain(4, 0), membership(&text)] {
            let quorums: Vec<u32> = (0_u32..64)
                .filter(|set| config.is_quorum(|sid| set & (1 << (sid.0 - 1)) != 0))
                .collect();
            assert!(!quorums.is_empty());
            for a in &quorums {
                assert!(quorums.iter().all(|b| a & b != 0), "{config}");
            }
        }
    }
}
