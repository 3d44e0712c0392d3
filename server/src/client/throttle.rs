//! Owns the limit on connection attempts: a bucket of tokens that refills with time, and, when it
//! stays empty, a growing chance to be turned away at once. Must not know connections.
//! Source: `BlueThrottle`.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use crate::config::ConnectionThrottle;

#[derive(Debug)]
struct State {
    tokens: i64,
    filled_ms: i64,
    adjusted_ms: i64,
    drop_chance: f64,
    draws: u64,
}

/// What a connection asks for, which decides its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    New,
    /// A session that only this server knows.
    NewLocal,
    Old,
}

/// The bucket.
#[derive(Debug)]
pub(crate) struct Throttle {
    rules: ConnectionThrottle,
    capacity: i64,
    refill: i64,
    state: Mutex<State>,
}

impl Throttle {
    pub(crate) fn new(rules: ConnectionThrottle, now_ms: i64) -> Self {
        let weight = if rules.weight_enabled {
            rules.global_session_weight.max(1)
        } else {
            1
        };
        let capacity = rules.tokens.saturating_mul(weight);
        let refill = rules.fill_count.saturating_mul(weight);
        let state = State {
            tokens: capacity,
            filled_ms: now_ms,
            adjusted_ms: now_ms,
            drop_chance: 0.0,
            draws: 0,
        };
        Self {
            rules,
            capacity,
            refill,
            state: Mutex::new(state),
        }
    }

    const fn price(&self, asks: Asks) -> i64 {
        match asks {
            _ if !self.rules.weight_enabled => 1,
            Asks::New => self.rules.global_session_weight,
            Asks::NewLocal => self.rules.local_session_weight,
            Asks::Old => self.rules.renew_session_weight,
        }
    }

    /// Whether a connection may go on.
    pub(crate) fn admit(&self, asks: Asks, now_ms: i64) -> bool {
        if self.capacity == 0 {
            return true;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now_ms - state.filled_ms;
        if passed > self.rules.fill_time_ms {
            let more = passed.saturating_mul(self.refill) / self.rules.fill_time_ms.max(1);
            state.tokens = state.tokens.saturating_add(more).min(self.capacity);
            state.filled_ms = now_ms;
        }
        if self.rules.freeze_time_ms != -1 && self.unlucky(&mut state, now_ms) {
            return false;
        }
        let price = self.price(asks);
        if state.tokens < price {
            return false;
        }
        state.tokens -= price;
        true
    }

    /// Adjusts the chance to be dropped and draws.
    #[allow(clippy::cast_precision_loss)]
    fn unlucky(&self, state: &mut State, now_ms: i64) -> bool {
        let missing = self.capacity - state.tokens;
        let enough = (self.capacity as f64 * self.rules.decrease_ratio).round();
        if now_ms - state.adjusted_ms > self.rules.freeze_time_ms {
            if missing == self.capacity {
                state.drop_chance = (state.drop_chance + self.rules.drop_increase).min(1.0);
            } else if missing as f64 <= enough {
                state.drop_chance = (state.drop_chance - self.rules.drop_decrease).max(0.0);
            }
            state.adjusted_ms = now_ms;
        }
        state.draws = state.draws.wrapping_add(1);
        let draw = RandomState::new().hash_one(state.draws) >> 11;
        (draw as f64 / (1_u64 << 53) as f64) < state.drop_chance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle(edit: impl FnOnce(&mut ConnectionThrottle)) -> Throttle {
        let mut rules = ConnectionThrottle::default();
        edit(&mut rules);
        Throttle::new(rules, 0)
    }

    fn admitted(throttle: &Throttle, asks: Asks, now_ms: i64) -> usize {
        (0..1000)
            .take_while(|_| throttle.admit(asks, now_ms))
            .count()
    }

    #[test]
    fn without_tokens_there_is_no_limit() {
        assert_eq!(admitted(&throttle(|_| {}), Asks::New, 0), 1000);
    }

    #[test]
    fn the_bucket_empties_and_refills_up_to_its_size() {
        let throttle = throttle(|rules| {
            rules.tokens = 10;
            rules.fill_time_ms = 100;
            rules.fill_count = 2;
        });
        assert_eq!(admitted(&throttle, Asks::New, 0), 10);
        assert_eq!(admitted(&throttle, Asks::New, 200), 4);
        assert_eq!(admitted(&throttle, Asks::New, 1_000_000), 10);
    }

    #[test]
    fn sessions_have_their_price_when_weights_are_on() {
        let throttle = throttle(|rules| {
            rules.tokens = 4;
            rules.weight_enabled = true;
        });
        assert_eq!(admitted(&throttle, Asks::New, 0), 4);
        assert_eq!(admitted(&throttle, Asks::Old, 100), 6);
        assert_eq!(admitted(&throttle, Asks::NewLocal, 200), 12);
    }

    #[test]
    fn a_bucket_that_stays_empty_raises_the_chance_to_be_dropped() {
        let throttle = throttle(|rules| {
            rules.tokens = 1;
            rules.fill_time_ms = 1_000_000;
            rules.freeze_time_ms = 1;
            rules.drop_increase = 0.5;
        });
        assert!(throttle.admit(Asks::New, 0));
        for now in [10, 20, 30] {
            assert!(!throttle.admit(Asks::New, now));
        }
        let chance = throttle.state.lock().unwrap().drop_chance;
        assert!((chance - 1.0).abs() < f64::EPSILON, "{chance}");
    }
}
