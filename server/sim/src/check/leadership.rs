//! Owns leadership: an epoch has at most one established leader.

use std::collections::BTreeMap;

use menagerie_core::ids::Sid;

use super::Violation;

/// Who was established in which epoch.
#[derive(Debug, Default)]
pub struct Leadership(BTreeMap<i64, Sid>);

impl Leadership {
    /// A leader is established.
    ///
    /// # Errors
    /// When its epoch has another.
    pub fn established(&mut self, sid: Sid, epoch: i64) -> Result<(), Violation> {
        let leader = *self.0.entry(epoch).or_insert(sid);
        if leader == sid {
            return Ok(());
        }
        Err(format!(
            "leadership: servers {leader} and {sid} both established epoch {epoch}"
        ))
    }

    /// The leader of an epoch.
    #[must_use]
    pub fn of(&self, epoch: i64) -> Option<Sid> {
        self.0.get(&epoch).copied()
    }

    /// The newest epoch with a leader.
    #[must_use]
    pub fn newest(&self) -> i64 {
        self.0.keys().next_back().copied().unwrap_or_default()
    }

    /// How many epochs had a leader.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_leader_of_an_epoch_is_found() {
        let mut leadership = Leadership::default();
        leadership.established(Sid(1), 3).unwrap();
        leadership.established(Sid(1), 3).unwrap();
        leadership.established(Sid(2), 4).unwrap();
        assert!(leadership.established(Sid(2), 3).is_err());
    }
}
