//! Owns primary integrity: before a primary broadcasts, it has delivered all that is ever delivered of
//! earlier epochs.

use menagerie_core::ids::{Sid, Zxid};

use super::Violation;

/// `zxid` is delivered for the first time; the newest established epoch is `newest`, whose leader's
/// history has been delivered.
///
/// # Errors
/// When that leader did not have it.
pub fn check(sid: Sid, zxid: Zxid, newest: i64) -> Result<(), Violation> {
    if zxid.epoch() >= newest {
        return Ok(());
    }
    Err(format!(
        "primary integrity: server {sid} delivered {zxid}, which the leader of epoch {newest} did \
         not have"
    ))
}

/// A leader is established; `lost` is the first transaction that others have delivered and it has
/// not.
///
/// # Errors
/// When that is of an earlier epoch.
pub fn established(sid: Sid, epoch: i64, lost: Option<Zxid>) -> Result<(), Violation> {
    match lost.filter(|lost| lost.epoch() < epoch) {
        None => Ok(()),
        Some(lost) => Err(format!(
            "primary integrity: server {sid} leads epoch {epoch} without {lost}, which was committed"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_lacks_something_is_found() {
        let first = |epoch: i64| Zxid((epoch << 32) | 1);
        check(Sid(1), first(2), 2).unwrap();
        assert!(check(Sid(1), first(1), 2).is_err());
        established(Sid(1), 2, Some(first(2))).unwrap();
        assert!(established(Sid(1), 2, Some(first(1))).is_err());
    }
}
