//! Owns the mark on failures of what ZooKeeper guarantees: an acknowledged write or a session lost,
//! members that differ, a history that cannot be. What waits for real processes can also fail because
//! the machine is slow, and is tried again; what bears this mark never is. Must not run anything.

use std::fmt::Display;

use anyhow::{Context as _, Result, anyhow};

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

/// The failure of a guarantee.
pub(crate) fn broken(what: impl Display) -> anyhow::Error {
    anyhow!("{what}").context(BROKEN)
}

/// Puts the mark before what is told of a failure, if a server's log tells of a panic: nothing excuses
/// that.
pub(crate) fn look_for_panic(told: &mut String, log: &str) {
    if log.contains(" panicked at ") {
        told.insert_str(0, &format!("{BROKEN}: a server has panicked; "));
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::{broken, check, is_broken, look_for_panic};

    #[test]
    fn the_mark_stays_under_what_is_said_later() {
        let marked = check::<()>(Err(anyhow!("trees differ"))).context("at server 2");
        let told_again = anyhow!("{:#}\n  server 1: ...", marked.unwrap_err());
        assert!(is_broken(&told_again), "{told_again}");
        assert!(!is_broken(&anyhow!("not done within 5 s")));
        assert!(is_broken(&broken("2 sessions were lost")));
        let told_of = |log: &str| {
            let mut told = "not done within 5 s".to_owned();
            look_for_panic(&mut told, log);
            anyhow!(told)
        };
        assert!(is_broken(&told_of(
            "thread 'core' panicked at src/lib.rs:1"
        )));
        assert!(!is_broken(&told_of("following server 5")));
    }
}
