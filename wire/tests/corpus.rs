//! Replays the fuzz corpus: each input of `fuzz/corpus/<target>` must hold what the target checks.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../fuzz/checks.rs"]
#[allow(clippy::expect_used)]
mod checks;

use std::fs;

/// Runs `check` on every input of a target.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        let outcome = std::panic::catch_unwind(|| check(&input));
        assert!(outcome.is_ok(), "{} breaks {target}", path.display());
        // Cut inputs are the cheapest way to more of them.
        for end in 0..input.len().min(200) {
            check(&input[..end]);
        }
        count += 1;
    }
    assert!(count > 0, "{folder} is empty");
}

macro_rules! targets {
    ($($target:ident),*) => {$(
        #[test]
        fn $target() {
            replay(stringify!($target), checks::$target);
        }
    )*};
}
targets!(
    connect, requests, multi, txns, records, properties, fourletter, frames
);
