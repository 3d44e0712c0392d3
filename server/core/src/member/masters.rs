//! Owns whom an observer learns through: followers in turns, if they serve observers, else the
//! leader; and how long it waits before. Must not connect.
//! Source: `QuorumPeer.nextObserverMaster`, `Observer.findLearnerMaster`.

use super::Member;
use crate::effect::Port;
use crate::ids::Sid;
use crate::quorum::Membership;
use crate::random::Random;

/// The part of `initLimit` for which an observer asks a leader's followers only. Then it also goes to
/// the leader in its turn, which Apache's observers never do: a new leader may need one that is about
/// to vote, and followers serve nobody until there is a leader.
const PATIENCE: i64 = 4;

/// Times of observers.
#[derive(Debug, Clone, Copy, Default)]
pub struct ObserverConfig {
    /// `observerMasterPort` is set: followers serve observers, and observers look for followers.
    pub masters: bool,
    /// `observer.reconnectDelayMs`: an observer waits for up to so many milliseconds before it goes
    /// to the leader, or begins with the first follower again.
    pub reconnect_delay_ms: i64,
    /// `observer.election.DelayMs`: it waits for up to so many milliseconds before it looks for a
    /// leader again.
    pub election_delay_ms: i64,
    /// Seed of its choices.
    pub seed: u64,
}

/// Whom to learn through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) to: Sid,
    pub(super) port: Port,
    /// Milliseconds to wait before.
    pub(super) delay_ms: i64,
}

/// A leader and the round in which it was elected.
type Elected = (Sid, i64);

/// The followers, in an order of this observer's own.
#[derive(Debug)]
pub(super) struct Masters {
    config: ObserverConfig,
    order: Vec<Sid>,
    next: usize,
    /// Which election the followers are of that have been asked in vain, and since when.
    since: Option<(Elected, i64)>,
    random: Random,
}

impl Masters {
    pub(super) const fn new(config: ObserverConfig) -> Self {
        Self {
            config,
            order: Vec::new(),
            next: 0,
            since: None,
            random: Random::new(config.seed),
        }
    }

    /// From 0 to below `limit`, or 0.
    const fn below(&mut self, limit: i64) -> i64 {
        if limit <= 0 {
            return 0;
        }
        (self.random.next() >> 1).cast_signed() % limit
    }

    /// How long an observer that has lost its leader waits before it looks for one.
    pub(super) const fn election_delay_ms(&mut self) -> i64 {
        self.below(self.config.election_delay_ms)
    }

    /// Whether the voters are those of the last time; else they are put into a new order.
    fn refresh(&mut self, membership: &Membership) {
        let mut known = self.order.clone();
        known.sort_unstable();
        if membership.voters().eq(known) {
            return;
        }
        self.order = membership.voters().collect();
        for at in (1..self.order.len()).rev() {
            let other = self.below(i64::try_from(at + 1).unwrap_or(1));
            self.order.swap(at, usize::try_from(other).unwrap_or(0));
        }
        self.next = 0;
    }

    /// The next one to try. It is the leader when there is no follower, and in its turn from
    /// `patience_ms` after the first attempt on.
    fn choose(
        &mut self,
        membership: &Membership,
        elected: Elected,
        now: i64,
        patience_ms: i64,
    ) -> Choice {
        self.refresh(membership);
        // A new leader's followers get the whole time: an observer that goes to a leader stays there.
        let (_, since) = *match &mut self.since {
            Some(since) if since.0 == elected => since,
            other => other.insert((elected, now)),
        };
        let (leader, _) = elected;
        let mut delay_ms = 0;
        for _ in 0..=self.order.len() {
            if self.next >= self.order.len() {
                self.next = 0;
                delay_ms = self.below(self.config.reconnect_delay_ms);
                if now - since >= patience_ms {
                    break;
                }
            }
            let Some(to) = self.order.get(self.next).copied() else {
                break;
            };
            self.next += 1;
            if to != leader {
                let port = Port::ObserverMaster;
                return Choice { to, port, delay_ms };
            }
        }
        Choice {
            to: leader,
            port: Port::Quorum,
            delay_ms,
        }
    }

    /// One has served this observer.
    pub(super) const fn served(&mut self) {
        self.since = None;
    }
}

impl Member {
    /// Whom to learn through. Who will vote goes to the leader, who may need it to begin at all.
    pub(super) fn choose_master(&mut self, leader: Sid, observer: bool, now: i64) -> Choice {
        let direct = Choice {
            to: leader,
            port: Port::Quorum,
            delay_ms: 0,
        };
        if !observer {
            return direct;
        }
        if self.config.observers.masters && !self.configs.is_voter(self.config.me) {
            let patience_ms = self.config.init_ms() / PATIENCE;
            let members = &self.configs.committed;
            let elected = (leader, self.election.round());
            return self.masters.choose(members, elected, now, patience_ms);
        }
        let delay_ms = self.masters.below(self.config.observers.reconnect_delay_ms);
        Choice { delay_ms, ..direct }
    }
}

#[cfg(test)]
mod tests {
    use menagerie_wire::text::cfg::Members;

    use super::*;

    fn membership(voters: i64) -> Membership {
        let line = |id| format!("server.{id}=h{id}:1:2:participant\n");
        let mut text: String = (1..=voters).map(line).collect();
        text += "server.9=h9:1:2:observer\n";
        Membership::new(Members::parse_dynamic(&text).unwrap())
    }

    fn masters(reconnect_delay_ms: i64, seed: u64) -> Masters {
        Masters::new(ObserverConfig {
            masters: true,
            reconnect_delay_ms,
            election_delay_ms: 200,
            seed,
        })
    }

    #[test]
    fn every_follower_is_tried_in_turns_and_the_leader_too_after_a_while() {
        let members = membership(4);
        let mut masters = masters(50, 1);
        let mut tried = Vec::new();
        for round in 0..2 {
            let mut seen: Vec<Sid> = (0..3)
                .map(|at| {
                    let choice = masters.choose(&members, (Sid(2), 1), 100 + round, 50);
                    assert_eq!(choice.port, Port::ObserverMaster);
                    assert!(choice.delay_ms == 0 || round == 1 && at == 0);
                    choice.to
                })
                .collect();
            tried.extend(seen.clone());
            seen.sort_unstable();
            assert_eq!(seen, [Sid(1), Sid(3), Sid(4)]);
        }
        assert_eq!(tried[..3], tried[3..], "the same order again");
        let last = masters.choose(&members, (Sid(2), 1), 150, 50);
        assert_eq!((last.to, last.port), (Sid(2), Port::Quorum));
        assert!((0..50).contains(&last.delay_ms));
        assert_eq!(masters.choose(&members, (Sid(2), 1), 151, 50).to, tried[0]);
        for _ in 0..8 {
            let of_next = masters.choose(&members, (Sid(2), 2), 152, 50);
            assert_eq!(of_next.port, Port::ObserverMaster, "a new leader");
        }
    }

    #[test]
    fn who_was_served_goes_on_with_the_next_follower() {
        let members = membership(3);
        let mut masters = masters(0, 2);
        for now in 0..20 {
            let choice = masters.choose(&members, (Sid(3), 1), 100 * now, 50);
            assert_eq!(choice.port, Port::ObserverMaster);
            assert_eq!(choice.delay_ms, 0);
            masters.served();
        }
    }

    #[test]
    fn a_leader_without_followers_serves_observers_itself() {
        let choice = masters(0, 3).choose(&membership(1), (Sid(1), 1), 0, 50);
        assert_eq!((choice.to, choice.port), (Sid(1), Port::Quorum));
    }

    #[test]
    fn observers_differ_in_their_order_and_begin_anew_with_other_voters() {
        let first = |seed| {
            masters(0, seed)
                .choose(&membership(7), (Sid(1), 1), 0, 50)
                .to
        };
        let firsts: std::collections::BTreeSet<Sid> = (0..40).map(first).collect();
        assert!(firsts.len() > 4, "{firsts:?}");
        let mut masters = masters(0, 5);
        masters.choose(&membership(3), (Sid(1), 1), 0, 50);
        let mut seen: Vec<Sid> = (0..4)
            .map(|_| masters.choose(&membership(5), (Sid(1), 1), 0, 50).to)
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, [Sid(2), Sid(3), Sid(4), Sid(5)]);
        assert!((0..200).contains(&masters.election_delay_ms()));
    }
}
