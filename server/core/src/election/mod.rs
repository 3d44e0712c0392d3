//! Owns the election of a leader: rounds, votes, and when enough of them agree. May use `quorum`
//! and `wire::election`. Must not send, wait, or know what a leader does.
//! Source: `FastLeaderElection`.

use std::collections::{BTreeMap, BTreeSet};

use menagerie_wire::election::{NOTIFICATION_VERSION, Notification, ServerState};

use crate::ids::{Sid, Zxid};
use crate::planted::{Bug, Planted};
use crate::quorum::{Configs, Membership};
use crate::session::MonoMs;

#[cfg(test)]
mod tests;

/// Whose vote it is, and where messages go.
pub type Outbox = Vec<(Sid, Notification)>;

/// Waiting times, ms.
#[derive(Debug, Clone, Copy)]
pub struct ElectionConfig {
    /// `fastleader.minNotificationInterval`: before votes are sent again for the first time.
    pub min_interval_ms: i64,
    /// `fastleader.maxNotificationInterval`: the interval doubles up to this.
    pub max_interval_ms: i64,
    /// How long a better vote is waited for when enough servers agree while some have not been
    /// heard. Source: `FastLeaderElection.finalizeWait`.
    pub finalize_ms: i64,
    /// For the simulator.
    pub planted: Planted,
}

impl Default for ElectionConfig {
    fn default() -> Self {
        Self {
            min_interval_ms: 200,
            max_interval_ms: 60_000,
            finalize_ms: 200,
            planted: Planted::default(),
        }
    }
}

/// Whom a server proposes, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ballot {
    /// The proposed leader.
    pub leader: Sid,
    /// Its last zxid.
    pub zxid: Zxid,
    /// Its epoch.
    pub peer_epoch: i64,
}

impl Ballot {
    /// Who does not vote proposes nobody.
    pub const NOBODY: Self = Self {
        leader: Sid(i64::MIN),
        zxid: Zxid(i64::MIN),
        peer_epoch: i64::MIN,
    };

    /// Whether it wins over `other`. Source: `FastLeaderElection.totalOrderPredicate`.
    fn beats(&self, other: &Self, members: &Membership, planted: Planted) -> bool {
        let rank = |ballot: &Self| {
            let (mut epoch, mut zxid) = (ballot.peer_epoch, ballot.zxid);
            if planted.has(Bug::VoteIgnoresHistory) {
                epoch = 0;
            }
            if planted.has(Bug::VoteIgnoresZxid) || planted.has(Bug::VoteIgnoresHistory) {
                zxid = Zxid(0);
            }
            (epoch, zxid, ballot.leader)
        };
        members.weight(self.leader) != 0 && rank(self) > rank(other)
    }
}

/// A ballot as some server has cast it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// For whom.
    pub ballot: Ballot,
    /// In which round of elections.
    pub round: i64,
    /// What the one who cast it was doing.
    pub state: ServerState,
    version: i32,
}

impl Vote {
    const fn of(n: &Notification) -> Self {
        Self {
            ballot: Ballot {
                leader: Sid(n.leader),
                zxid: Zxid(n.zxid),
                peer_epoch: n.peer_epoch,
            },
            round: n.round,
            state: n.state,
            version: n.version,
        }
    }

    /// Whether two votes count as one. Servers that follow already may have cast theirs in other
    /// rounds. Source: `Vote.equals`.
    fn agrees(&self, other: &Self) -> bool {
        if self.state == ServerState::Looking || other.state == ServerState::Looking {
            return self.ballot == other.ballot && self.round == other.round;
        }
        let epochs = self.ballot.peer_epoch == other.ballot.peer_epoch
            || (self.version > 0) != (other.version > 0);
        self.ballot.leader == other.ballot.leader && epochs
    }
}

/// One server's part in elections.
#[derive(Debug)]
pub struct Election {
    me: Sid,
    config: ElectionConfig,
    state: ServerState,
    round: i64,
    initial: Ballot,
    proposal: Ballot,
    /// The round of `proposal` once it has won.
    decided_round: i64,
    /// Votes of this round.
    received: BTreeMap<Sid, Vote>,
    /// Votes of servers that have a leader already.
    settled: BTreeMap<Sid, Vote>,
    unreachable: BTreeSet<Sid>,
    interval_ms: i64,
    resend_at: MonoMs,
    /// When the proposal wins unless a better one comes.
    settle_at: Option<MonoMs>,
}

impl Election {
    /// A server that has not begun to look.
    #[must_use]
    pub const fn new(me: Sid, config: ElectionConfig) -> Self {
        Self {
            me,
            config,
            state: ServerState::Looking,
            round: 0,
            initial: Ballot::NOBODY,
            proposal: Ballot::NOBODY,
            decided_round: 0,
            received: BTreeMap::new(),
            settled: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            interval_ms: 0,
            resend_at: MonoMs::MAX,
            settle_at: None,
        }
    }

    /// Begins a round with the server's own ballot, which only a voter casts; the leader when one
    /// is found at once.
    pub fn start(
        &mut self,
        zxid: Zxid,
        epoch: i64,
        configs: &Configs,
        now: MonoMs,
        out: &mut Outbox,
    ) -> Option<Sid> {
        self.state = ServerState::Looking;
        self.round += 1;
        self.initial = if configs.is_voter(self.me) {
            Ballot {
                leader: self.me,
                zxid,
                peer_epoch: epoch,
            }
        } else {
            Ballot::NOBODY
        };
        self.received.clear();
        self.settled.clear();
        self.interval_ms = self.config.min_interval_ms;
        self.resend_at = now + self.interval_ms;
        self.propose(self.initial, configs, out);
        self.judge(configs, now)
    }

    /// Takes part no longer: the server leads, follows or observes in `epoch`. Those who look will
    /// hear of it. Source: `QuorumPeer.updateElectionVote`.
    pub const fn settle(&mut self, state: ServerState, epoch: i64) {
        self.state = state;
        self.proposal.peer_epoch = epoch;
    }

    /// What the server is doing, as it tells others.
    #[must_use]
    pub const fn state(&self) -> ServerState {
        self.state
    }

    /// The round of elections. Source: `FastLeaderElection.logicalclock`.
    #[must_use]
    pub const fn round(&self) -> i64 {
        self.round
    }

    /// What it proposes, or has voted for.
    #[must_use]
    pub const fn proposal(&self) -> &Ballot {
        &self.proposal
    }

    /// Notes whether a server can be reached; one that cannot is not waited for.
    pub fn reachable(
        &mut self,
        sid: Sid,
        reachable: bool,
        configs: &Configs,
        now: MonoMs,
    ) -> Option<Sid> {
        if reachable {
            self.unreachable.remove(&sid);
            return None;
        }
        self.unreachable.insert(sid);
        if self.state == ServerState::Looking {
            self.judge(configs, now)
        } else {
            None
        }
    }

    /// Takes a message of another server; the leader when that decides it.
    pub fn receive(
        &mut self,
        from: Sid,
        n: &Notification,
        configs: &Configs,
        now: MonoMs,
        out: &mut Outbox,
    ) -> Option<Sid> {
        self.unreachable.remove(&from);
        if !configs.is_voter(from) {
            out.push((from, self.notification(configs)));
            return None;
        }
        if self.state != ServerState::Looking {
            if n.state == ServerState::Looking {
                out.push((from, self.notification(configs)));
            }
            return None;
        }
        if n.state == ServerState::Looking && n.round < self.round {
            out.push((from, self.notification(configs)));
        }
        if !configs.is_voter(Sid(n.leader)) {
            return None;
        }
        let vote = Vote::of(n);
        match n.state {
            ServerState::Looking => self.looking(from, vote, configs, now, out),
            ServerState::Following | ServerState::Leading => self.has_leader(from, vote, configs),
            ServerState::Observing => None,
        }
    }

    fn looking(
        &mut self,
        from: Sid,
        vote: Vote,
        configs: &Configs,
        now: MonoMs,
        out: &mut Outbox,
    ) -> Option<Sid> {
        if self.initial.zxid == Zxid(-1) || vote.ballot.zxid == Zxid(-1) || vote.round < self.round
        {
            return None;
        }
        let members = configs.newest();
        if vote.round > self.round {
            self.round = vote.round;
            self.received.clear();
            let mine = self.initial;
            let better = if vote.ballot.beats(&mine, members, self.config.planted) {
                vote.ballot
            } else {
                mine
            };
            self.propose(better, configs, out);
        } else if vote
            .ballot
            .beats(&self.proposal, members, self.config.planted)
        {
            self.propose(vote.ballot, configs, out);
        }
        self.received.insert(from, vote);
        self.judge(configs, now)
    }

    /// Source: `FastLeaderElection.receivedFollowingNotification`.
    fn has_leader(&mut self, from: Sid, vote: Vote, configs: &Configs) -> Option<Sid> {
        if vote.round == self.round {
            self.received.insert(from, vote);
            if agree(&self.received, &vote, configs) && self.leads(&self.received, &vote) {
                return Some(self.decide(vote.ballot, vote.round));
            }
        }
        self.settled.insert(from, vote);
        if agree(&self.settled, &vote, configs) && self.leads(&self.settled, &vote) {
            self.round = vote.round;
            return Some(self.decide(vote.ballot, vote.round));
        }
        None
    }

    /// Whether the one voted for says that it leads: without that, servers could elect over and
    /// over one that is gone. Source: `FastLeaderElection.checkLeader`.
    fn leads(&self, votes: &BTreeMap<Sid, Vote>, vote: &Vote) -> bool {
        let leader = vote.ballot.leader;
        if leader == self.me {
            return self.round == vote.round;
        }
        votes
            .get(&leader)
            .is_some_and(|its| its.state == ServerState::Leading)
    }

    fn propose(&mut self, ballot: Ballot, configs: &Configs, out: &mut Outbox) {
        self.proposal = ballot;
        self.settle_at = None;
        if configs.is_voter(self.me) {
            self.received.insert(self.me, self.own_vote());
        }
        self.tell_all(configs, out);
    }

    const fn own_vote(&self) -> Vote {
        Vote {
            ballot: self.proposal,
            round: self.round,
            state: ServerState::Looking,
            version: NOTIFICATION_VERSION,
        }
    }

    fn tell_all(&self, configs: &Configs, out: &mut Outbox) {
        let message = self.notification(configs);
        let others = configs.voters().into_iter().filter(|sid| *sid != self.me);
        out.extend(others.map(|sid| (sid, message.clone())));
    }

    /// What this server tells of itself.
    #[must_use]
    pub fn notification(&self, configs: &Configs) -> Notification {
        let looking = self.state == ServerState::Looking;
        Notification {
            state: self.state,
            leader: self.proposal.leader.0,
            zxid: self.proposal.zxid.0,
            round: if looking {
                self.round
            } else {
                self.decided_round
            },
            peer_epoch: self.proposal.peer_epoch,
            version: NOTIFICATION_VERSION,
            config: configs.committed.to_string().into_bytes(),
        }
    }

    /// Looks whether the proposal has won. With the votes of all who can be reached there is no
    /// better one to wait for.
    fn judge(&mut self, configs: &Configs, now: MonoMs) -> Option<Sid> {
        let mine = self.own_vote();
        if !agree(&self.received, &mine, configs) {
            self.settle_at = None;
            return None;
        }
        let heard = |sid: &Sid| {
            let vote = self.received.get(sid);
            vote.is_some_and(|vote| vote.agrees(&mine)) || self.unreachable.contains(sid)
        };
        if configs.voters().iter().all(heard) {
            return Some(self.decide(self.proposal, self.round));
        }
        self.settle_at = Some(now + self.config.finalize_ms);
        None
    }

    fn decide(&mut self, ballot: Ballot, round: i64) -> Sid {
        self.proposal = ballot;
        self.decided_round = round;
        self.settle_at = None;
        ballot.leader
    }

    /// Time has passed; the leader when nothing better came.
    pub fn tick(&mut self, configs: &Configs, now: MonoMs, out: &mut Outbox) -> Option<Sid> {
        if self.state != ServerState::Looking {
            return None;
        }
        if self.settle_at.is_some_and(|at| at <= now) {
            return Some(self.decide(self.proposal, self.round));
        }
        if self.resend_at <= now {
            self.interval_ms = (self.interval_ms * 2).min(self.config.max_interval_ms);
            self.resend_at = now + self.interval_ms;
            self.tell_all(configs, out);
        }
        None
    }

    /// When [`Election::tick`] has something to do.
    #[must_use]
    pub fn next_tick(&self) -> MonoMs {
        if self.state != ServerState::Looking {
            return MonoMs::MAX;
        }
        self.settle_at.unwrap_or(MonoMs::MAX).min(self.resend_at)
    }
}

fn agree(votes: &BTreeMap<Sid, Vote>, vote: &Vote, configs: &Configs) -> bool {
    configs.is_quorum(|sid| votes.get(&sid).is_some_and(|other| other.agrees(vote)))
}
