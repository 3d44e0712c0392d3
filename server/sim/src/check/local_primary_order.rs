//! Owns local primary order: what a primary broadcast is delivered in its order, without gaps.

use menagerie_core::ids::{Sid, Zxid};

use super::Violation;

/// `zxid` is delivered for the first time, behind `before`; its primary has broadcast `previous`
/// before it.
///
/// # Errors
/// When there is a gap.
pub fn check(sid: Sid, before: Zxid, zxid: Zxid, previous: Option<Zxid>) -> Result<(), Violation> {
    match previous {
        Some(previous) if previous != before => Err(format!(
            "local primary order: server {sid} delivered {zxid} behind {before}, but {previous} was \
             broadcast before it"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_found() {
        let zxid = |counter: i64| Zxid((1 << 32) | counter);
        check(Sid(1), Zxid(5), zxid(1), None).unwrap();
        check(Sid(1), zxid(1), zxid(2), Some(zxid(1))).unwrap();
        assert!(check(Sid(1), zxid(1), zxid(3), Some(zxid(2))).is_err());
    }
}
