//! Owns the election of a leader: rounds, votes, and when enough of them agree. May use `quorum`
//! and `wire::election`. Must not send, wait, or know what a leader does.
//! Source: `FastLeaderElection`.

use std::collections::{BTreeMap, BTreeSet};

use menagerie_wire::election::{NOTIFICATION_VERSION, Notification, ServerState};

use crate::ids::{Sid, Zxid};
use crate::planted::{Bug, Planted};
use crate::quorum::{Configs, Oracle};
use crate::session::MonoMs;

#[cfg(test)]
mod tests;

/// Answers that a server without a vote gets within the shortest interval of notifications.
const ANSWERS_MAX: u32 = 4;

/// Shortest intervals of notifications for which a server proposes itself that will vote only when
/// the next configuration is in force.
const OWN_INTERVALS: i64 = 5;
/// Those for which it leaves that to others: long enough for them to be elected.
const OTHERS_INTERVALS: i64 = 25;

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
    fn beats(&self, other: &Self, configs: &Configs, planted: Planted) -> bool {
        let weighs = |ballot: &Self| configs.has_weight(ballot.leader);
        let rank = |ballot: &Self| {
            let (mut epoch, mut zxid) = (ballot.peer_epoch, ballot.zxid);
            if planted.has(Bug::VoteIgnoresHistory) {
                epoch = 0;
            }
            if planted.has(Bug::VoteIgnoresZxid) || planted.has(Bug::VoteIgnoresHistory) {
                zxid = Zxid(0);
            }
            // Nobody else votes for one without weight: with no more history it must not insist on
            // itself, as its vote may be needed in the next configuration. And those who do not know
            // of the next configuration vote for none of its new voters.
            let known = configs.committed.has_weight(ballot.leader);
            (epoch, zxid, weighs(ballot), known, ballot.leader)
        };
        weighs(self) && rank(self) > rank(other)
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
    /// The server's own ballot, and what it begins a round with.
    own: Ballot,
    initial: Ballot,
    proposal: Ballot,
    /// The round of `proposal` once it has won.
    decided_round: i64,
    /// Votes of this round.
    received: BTreeMap<Sid, Vote>,
    /// Votes of servers that have a leader already.
    settled: BTreeMap<Sid, Vote>,
    unreachable: BTreeSet<Sid>,
    /// The last votes of those who began to look while this server did not yet, and when they came.
    early: BTreeMap<Sid, (Notification, MonoMs)>,
    /// Answers to servers without a vote: how many since when.
    answered: BTreeMap<Sid, (MonoMs, u32)>,
    interval_ms: i64,
    resend_at: MonoMs,
    /// When it proposes itself no longer, or again.
    reconsider_at: MonoMs,
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
            own: Ballot::NOBODY,
            initial: Ballot::NOBODY,
            proposal: Ballot::NOBODY,
            decided_round: 0,
            received: BTreeMap::new(),
            settled: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            early: BTreeMap::new(),
            answered: BTreeMap::new(),
            interval_ms: 0,
            resend_at: MonoMs::MAX,
            reconsider_at: MonoMs::MAX,
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
        self.own = Ballot {
            leader: self.me,
            zxid,
            peer_epoch: epoch,
        };
        self.initial = if configs.is_voter(self.me) {
            self.own
        } else {
            Ballot::NOBODY
        };
        // Apache proposes only voters of the configuration in force. Then one that will vote, and has
        // more of the history than these, could keep them from ever finishing a reconfiguration. But
        // who does not know of the reconfiguration votes for none of its new voters: so they propose
        // themselves for a while, and for a while leave it to others.
        self.reconsider_at = MonoMs::MAX;
        if self.initial == self.own && !configs.committed.has_weight(self.me) {
            self.reconsider_at = now + self.config.min_interval_ms * OWN_INTERVALS;
        }
        self.received.clear();
        self.settled.clear();
        self.interval_ms = self.config.min_interval_ms;
        self.resend_at = now + self.interval_ms;
        self.propose(self.initial, configs, out);
        let leader = self.judge(configs, now);
        leader.or_else(|| self.recall(configs, now, out))
    }

    /// Keeps a vote that comes before this server looks itself. Members notice at slightly different
    /// times that the leader is gone; who noticed first would repeat its vote only after a while.
    pub fn remember(&mut self, from: Sid, n: &Notification, configs: &Configs, now: MonoMs) {
        if n.state == ServerState::Looking && configs.is_voter(from) {
            self.early.insert(from, (n.clone(), now));
        } else {
            self.early.remove(&from);
        }
    }

    /// Takes the votes that came shortly before, as if they came now.
    fn recall(&mut self, configs: &Configs, now: MonoMs, out: &mut Outbox) -> Option<Sid> {
        for (from, (n, at)) in std::mem::take(&mut self.early) {
            if now - at >= self.config.min_interval_ms || self.unreachable.contains(&from) {
                continue;
            }
            let leader = self.receive(from, &n, configs, now, out);
            if leader.is_some() {
                return leader;
            }
        }
        None
    }

    /// Somebody leads without having been elected: a reconfiguration has chosen.
    /// Source: `QuorumPeer.updateVote`.
    pub fn appoint(&mut self, leader: Sid, zxid: Zxid, epoch: i64) {
        self.received.clear();
        self.settled.clear();
        let ballot = Ballot {
            leader,
            zxid,
            peer_epoch: epoch,
        };
        self.decide(ballot, self.round);
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

    /// Whether a server has voted for the leader that was elected.
    #[must_use]
    pub fn was_elected_by(&self, sid: Sid) -> bool {
        let vote = self.received.get(&sid);
        vote.is_some_and(|vote| vote.ballot.leader == self.proposal.leader)
    }

    /// Whether a vote is of this round or a later one, and for a better leader than the elected one.
    #[must_use]
    pub fn is_for_better(&self, notification: &Notification, configs: &Configs) -> bool {
        let Vote { ballot, round, .. } = Vote::of(notification);
        round >= self.round && ballot.beats(&self.proposal, configs, self.config.planted)
    }

    /// Something else than a vote has changed who can decide; the leader if that makes one.
    pub fn rejudge(&mut self, configs: &Configs, now: MonoMs) -> Option<Sid> {
        if self.state == ServerState::Looking {
            self.judge(configs, now)
        } else {
            None
        }
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
        self.rejudge(configs, now)
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
            if self.may_answer(from, now) {
                out.push((from, self.notification(configs)));
            }
            return None;
        }
        if self.state != ServerState::Looking {
            self.remember(from, n, configs, now);
            if n.state == ServerState::Looking {
                out.push((from, self.notification(configs)));
            }
            return None;
        }
        if n.state == ServerState::Looking && n.round < self.round {
            if self.proposal == Ballot::NOBODY && configs.is_voter(Sid(n.leader)) {
                // Who has proposed nobody in its round can as well join another one.
                self.round = n.round;
            }
            out.push((from, self.notification(configs)));
        }
        if !configs.is_voter(Sid(n.leader)) {
            let later = n.state == ServerState::Looking && n.round > self.round;
            if later && self.initial != Ballot::NOBODY {
                // It proposes nobody yet, but votes of earlier rounds do not count for it.
                self.round = n.round;
                self.received.clear();
                self.propose(self.initial, configs, out);
            }
            return None;
        }
        let vote = Vote::of(n);
        match n.state {
            ServerState::Looking => self.looking(from, vote, configs, now, out),
            ServerState::Following | ServerState::Leading => self.has_leader(from, vote, configs),
            ServerState::Observing => None,
        }
    }

    /// Whether a server without a vote gets an answer. Two servers that both take the other for one
    /// without a vote would answer each other for ever.
    fn may_answer(&mut self, to: Sid, now: MonoMs) -> bool {
        let (since, count) = self.answered.entry(to).or_insert((now, 0));
        if now - *since >= self.config.min_interval_ms {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= ANSWERS_MAX
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
        if vote.round > self.round {
            self.round = vote.round;
            self.received.clear();
            let mine = self.initial;
            let better = if vote.ballot.beats(&mine, configs, self.config.planted) {
                vote.ballot
            } else {
                mine
            };
            self.propose(better, configs, out);
        } else if vote
            .ballot
            .beats(&self.proposal, configs, self.config.planted)
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
        // A configuration that is only proposed has no say here. Its voters may wait for this very
        // server before they can follow that leader, or, if it will never be committed, have never
        // heard of it. Whether a leader leads is for the leader to decide. Apache asks both.
        let settled = &self.settled;
        let agrees = |sid| settled.get(&sid).is_some_and(|other| other.agrees(&vote));
        if configs.committed.is_quorum(agrees) && self.leads(settled, &vote) {
            self.round = vote.round;
            return Some(self.decide(vote.ballot, vote.round));
        }
        // The other one of two leads alone, and has the oracle's permission if this one has not.
        // Source: `FastLeaderElection.receivedLeadingNotification`.
        let lone = configs.oracle == Oracle::Other && configs.committed.is_pair();
        if lone && vote.state == ServerState::Leading && vote.ballot.leader == from {
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
        // Where it is an oracle that decides, the other one may still come.
        if configs.oracle != Oracle::Alone && configs.voters().iter().all(heard) {
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
        if self.reconsider_at <= now {
            let (initial, intervals) = if self.initial == self.own {
                (Ballot::NOBODY, OTHERS_INTERVALS)
            } else {
                (self.own, OWN_INTERVALS)
            };
            self.initial = initial;
            self.reconsider_at = now + self.config.min_interval_ms * intervals;
            self.round += 1;
            self.received.clear();
            self.propose(self.initial, configs, out);
            return self.judge(configs, now);
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
        let settle_at = self.settle_at.unwrap_or(MonoMs::MAX);
        settle_at.min(self.resend_at).min(self.reconsider_at)
    }
}

fn agree(votes: &BTreeMap<Sid, Vote>, vote: &Vote, configs: &Configs) -> bool {
    configs.is_quorum(|sid| votes.get(&sid).is_some_and(|other| other.agrees(vote)))
}
