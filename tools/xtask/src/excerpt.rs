//! Owns what is kept of a failed stage's output, so that it can be read again behind the summary.
//! Must not keep more than a screen or two.

use std::collections::VecDeque;

/// Lines kept in all.
const MOST_LINES: usize = 60;
/// Lines kept from one that tells of a failure.
const LINES_OF_A_FAILURE: usize = 12;
/// Lines kept from the end of an output in which nothing tells of a failure.
const LAST_LINES: usize = 15;
/// Characters kept of a line.
const LONGEST: usize = 400;
/// Characters kept of a line that stands for a failure in a list of all.
const HEADLINE: usize = 320;

/// Marks failures that no slow machine excuses; `menagerie-compat` prints it.
const BROKEN: &str = "GUARANTEE BROKEN";

/// The telling part of an output.
#[derive(Debug, Default)]
pub(crate) struct Excerpt {
    broken: bool,
    failures: Vec<String>,
    /// How many of the next lines belong to the last failure.
    more: usize,
    last: VecDeque<String>,
}

impl Excerpt {
    /// Takes the next line of the output.
    pub(crate) fn take(&mut self, line: &str) {
        self.broken |= line.contains(BROKEN) || line.contains("panicked at");
        let line: String = plain(line).chars().take(LONGEST).collect();
        if tells_of_failure(&line) {
            self.more = LINES_OF_A_FAILURE;
        }
        if self.more > 0 && self.failures.len() < MOST_LINES {
            self.more -= 1;
            self.failures.push(line.clone());
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// Whether something is lost, or different from what it has to be.
    pub(crate) const fn breaks_a_guarantee(&self) -> bool {
        self.broken
    }

    /// The lines that tell of failures; the last lines if there are none.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        let last = self.last.iter().filter(|_| self.failures.is_empty());
        self.failures.iter().chain(last).map(String::as_str)
    }

    /// The beginnings of the lines that tell of failures, without what follows them.
    pub(crate) fn headlines(&self) -> impl Iterator<Item = String> {
        let telling = self.failures.iter().filter(|line| tells_of_failure(line));
        telling.map(|line| line.trim().chars().take(HEADLINE).collect())
    }
}

/// The line without the colours a terminal would show.
fn plain(line: &str) -> String {
    let mut pieces = line.split("\x1b[");
    let first = pieces.next().unwrap_or_default();
    let rest = pieces.map(|piece| piece.split_once('m').map_or(piece, |(_, text)| text));
    std::iter::once(first).chain(rest).collect()
}

/// Suites write FAILED, Rust's tests panic, kazoo's and others' tests name an assertion.
fn tells_of_failure(line: &str) -> bool {
    ["FAILED", "panicked at", "AssertionError", "error: "]
        .iter()
        .any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::{Excerpt, LAST_LINES, LINES_OF_A_FAILURE, MOST_LINES};

    fn of(lines: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut excerpt = Excerpt::default();
        for line in lines {
            excerpt.take(&line);
        }
        excerpt.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_failure_is_kept_with_what_follows() {
        let before = (0..20).map(|n| format!("ok {n}"));
        let after = (0..20).map(|n| format!("log {n}"));
        let kept = of(before.chain(["AMA: FAILED".to_owned()]).chain(after));
        assert_eq!(kept.first().map(String::as_str), Some("AMA: FAILED"));
        assert_eq!(kept.len(), LINES_OF_A_FAILURE);
    }

    #[test]
    fn a_broken_guarantee_is_seen_wherever_it_stands() {
        let mut excerpt = Excerpt::default();
        excerpt.take("FAILED go: not done within 5 s");
        assert!(!excerpt.breaks_a_guarantee());
        excerpt.take(&format!(
            "{} GUARANTEE BROKEN: trees differ",
            "x".repeat(500)
        ));
        assert!(excerpt.breaks_a_guarantee());
    }

    #[test]
    fn headlines_are_the_failures_alone() {
        let mut excerpt = Excerpt::default();
        for line in ["ok", "AMA: FAILED", "log", "MMM: FAILED"] {
            excerpt.take(line);
        }
        let headlines: Vec<_> = excerpt.headlines().collect();
        assert_eq!(headlines, ["AMA: FAILED", "MMM: FAILED"]);
    }

    #[test]
    fn colours_are_left_out() {
        let kept = of(["\x1b[0m\x1b[31mAMA: \x1b[1mFAILED\x1b[0m".to_owned()]);
        assert_eq!(kept, ["AMA: FAILED"]);
    }

    #[test]
    fn an_output_without_a_failure_is_kept_from_its_end() {
        let kept = of((0..50).map(|n| n.to_string()));
        assert_eq!(kept.len(), LAST_LINES);
        assert_eq!(kept.last().map(String::as_str), Some("49"));
    }

    #[test]
    fn no_more_than_a_screen_or_two_is_kept() {
        let kept = of((0..900).map(|n| format!("{n} FAILED {}", "x".repeat(900))));
        assert_eq!(kept.len(), MOST_LINES);
        assert!(kept.iter().all(|line| line.len() <= 400));
    }
}
