//! Owns the local rules of epochs: on a member's disk neither goes back, and none is current that was
//! not accepted.

use std::collections::BTreeMap;

use menagerie_core::event::EpochKind;
use menagerie_core::ids::Sid;

use super::Violation;

/// acceptedEpoch and currentEpoch of each member.
#[derive(Debug, Default)]
pub struct Epochs(BTreeMap<Sid, (i64, i64)>);

impl Epochs {
    /// An epoch has reached a disk.
    ///
    /// # Errors
    /// When it goes back, or is current without having been accepted.
    pub fn written(&mut self, sid: Sid, kind: EpochKind, epoch: i64) -> Result<(), Violation> {
        let mut now = self.0.get(&sid).copied().unwrap_or_default();
        match kind {
            EpochKind::Accepted => now.0 = epoch,
            EpochKind::Current => now.1 = epoch,
        }
        self.moved(sid, now)
    }

    /// A member starts with these.
    ///
    /// # Errors
    /// As [`Epochs::written`].
    pub fn moved(&mut self, sid: Sid, now: (i64, i64)) -> Result<(), Violation> {
        let before = self.0.insert(sid, now).unwrap_or_default();
        if now.0 < before.0 || now.1 < before.1 || now.1 > now.0 {
            return Err(format!(
                "epochs: server {sid} went from {before:?} to {now:?}"
            ));
        }
        Ok(())
    }

    /// A member's disk is empty.
    pub fn wiped(&mut self, sid: Sid) {
        self.0.remove(&sid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_that_goes_back_is_found() {
        let mut epochs = Epochs::default();
        epochs.written(Sid(1), EpochKind::Accepted, 2).unwrap();
        epochs.written(Sid(1), EpochKind::Current, 2).unwrap();
        epochs.moved(Sid(1), (2, 2)).unwrap();
        assert!(epochs.moved(Sid(1), (1, 1)).is_err());
        let mut epochs = Epochs::default();
        assert!(epochs.written(Sid(1), EpochKind::Current, 1).is_err());
    }
}
