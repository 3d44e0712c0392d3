//! Owns global primary order: what an earlier primary broadcast is delivered before what a later one
//! did.

use menagerie_core::ids::{Sid, Zxid};

use super::Violation;

/// `zxid` is delivered for the first time, behind `before`.
///
/// # Errors
/// When it comes too late.
pub fn check(sid: Sid, before: Zxid, zxid: Zxid) -> Result<(), Violation> {
    if before < zxid {
        return Ok(());
    }
    Err(format!(
        "global primary order: server {sid} delivered {zxid} behind {before}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_is_found() {
        check(Sid(1), Zxid(1), Zxid(1 << 32)).unwrap();
        assert!(check(Sid(1), Zxid(1 << 32), Zxid(2)).is_err());
    }
}
