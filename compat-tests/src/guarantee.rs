//! Owns the mark on failures of what ZooKeeper guarantees: an acknowledged write or a session lost,
//! members that differ, a history that cannot be. What waits for real processes can also fail because
//! the machine is slow, and is tried again; what bears this mark never is. Must not run anything.

use anyhow::{Context as _, Result};

/// Stands in the text of a failure; `cargo xtask` looks for it too.
pub(crate) const BROKEN: &str = "GUARANTEE BROKEN";

/// Marks the failure of a check of a guarantee.
pub(crate) fn check<T>(result: Result<T>) -> Result<T> {
    result.context(BROKEN)
}

/// Whether a failure bears the mark.
pub(crate) fn is_broken(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains(BROKEN)
}

/// What stands before a failure if a server's log tells of a panic, which nothing excuses.
pub(crate) fn of_log(log: &str) -> Result<()> {
    check(match log.contains(" panicked at ") {
        true => Err(anyhow::anyhow!("a server has panicked")),
        false => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::{check, is_broken, of_log};

    #[test]
    fn the_mark_stays_under_what_is_said_later() {
        let marked = check::<()>(Err(anyhow!("trees differ"))).context("at server 2");
        let told_again = anyhow!("{:#}\n  server 1: ...", marked.unwrap_err());
        assert!(is_broken(&told_again), "{told_again}");
        assert!(!is_broken(&anyhow!("not done within 5 s")));
        assert!(of_log("thread 'core' panicked at src/lib.rs:1").is_err());
        assert!(of_log("following server 5").is_ok());
    }
}
