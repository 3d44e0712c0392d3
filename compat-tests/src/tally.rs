//! Owns counting what passed and what failed, and the lines that tell it. Must not run anything.

use anyhow::Result;

/// How many comparisons passed and failed so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Counts a comparison and prints what came of it.
    pub(crate) fn note(&mut self, name: &str, result: Result<String>) {
        match result {
            Ok(text) => {
                self.passed += 1;
                println!("ok {name}: {text}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED {name}: {error:#}");
            }
        }
    }

    /// Prints the sums; false when something failed.
    pub(crate) fn end(&self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }
}
