//! Owns running stages: one after the other, with their commands, times and results. Must not
//! leave out a stage in silence.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::excerpt::Excerpt;
use crate::stages::Stage;

/// What came of a stage.
struct Outcome {
    stage: Stage,
    took: Duration,
    passed: u64,
    failed: u64,
    /// Why it failed; empty when it passed.
    reason: String,
    /// The lines of its output that tell of failures.
    failures: Excerpt,
    /// What was tried a second time: why it failed at the first.
    second_tries: Vec<String>,
}

impl Outcome {
    fn of(stage: &Stage) -> Self {
        Self {
            stage: *stage,
            took: Duration::ZERO,
            passed: 0,
            failed: 0,
            reason: String::new(),
            failures: Excerpt::default(),
            second_tries: Vec::new(),
        }
    }
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Runs the stages and prints a summary; false when one fails.
pub(crate) fn all(stages: &[Stage]) -> Result<bool> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for stage in stages {
        println!("\n== {}: {}", stage.name, stage.line());
        let broken = outcomes
            .iter()
            .find(|o| Some(o.stage.name) == stage.needs && !o.reason.is_empty());
        let outcome = match broken {
            Some(other) => Outcome {
                failed: 1,
                reason: format!("cannot run, since {} failed", other.stage.name),
                ..Outcome::of(stage)
            },
            None => one(stage),
        };
        let (took, reason) = (outcome.took.as_secs_f64(), &outcome.reason);
        match reason.is_empty() {
            true => println!("== {}: ok, {took:.1} s", stage.name),
            false => println!("== {}: FAILED, {took:.1} s: {reason}", stage.name),
        }
        outcomes.push(outcome);
    }
    Ok(summary(&outcomes))
}

/// Runs a stage; one that waits for real processes a second time, if it failed without breaking a
/// guarantee. That is told in the summary.
fn one(stage: &Stage) -> Outcome {
    let first = once(stage);
    if first.reason.is_empty() || !stage.waits || first.failures.breaks_a_guarantee() {
        return first;
    }
    println!(
        "== {}: AGAIN, since it failed: {}",
        stage.name, first.reason
    );
    let mut second = once(stage);
    second.took += first.took;
    second.second_tries = first.failures.headlines().collect();
    second.second_tries.push(first.reason);
    second
}

fn once(stage: &Stage) -> Outcome {
    let begin = Instant::now();
    let mut outcome = Outcome::of(stage);
    if let Err(error) = follow(stage, &mut outcome) {
        outcome.reason = format!("{error:#}");
    }
    // A stage that does not count its tests is one test.
    if outcome.reason.is_empty() && outcome.passed == 0 {
        outcome.passed = 1;
    }
    if !outcome.reason.is_empty() && outcome.failed == 0 {
        outcome.failed = 1;
    }
    outcome.took = begin.elapsed();
    outcome
}

fn follow(stage: &Stage, outcome: &mut Outcome) -> Result<()> {
    let (program, arguments) = stage.command.split_first().unwrap_or((&"false", &[]));
    let mut child = outside_cargo(program)
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| anyhow::anyhow!("cannot run {program}: {e}"))?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            outcome.failures.take(&line);
            if line.contains(": AGAIN, ") {
                outcome.second_tries.push(line.to_string());
            }
            if let Some((passed, failed)) = counts(&line) {
                outcome.passed += passed;
                outcome.failed += failed;
            }
        }
    }
    let status = child.wait()?;
    if !status.success() {
        outcome.reason = status.to_string();
    } else if outcome.failed > 0 {
        outcome.reason = format!("{} tests failed", outcome.failed);
    }
    Ok(())
}

/// A command that does not see what Cargo tells this program of its own package: build scripts
/// that look at it would run again, and all that depends on them be built again.
pub(crate) fn outside_cargo(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// What a line says of tests: Cargo's result lines, and `N passed, N failed` at the end of a line.
fn counts(line: &str) -> Option<(u64, u64)> {
    let line = line.trim_end();
    let (passed, failed) = if let Some(rest) = line.strip_prefix("test result: ") {
        let (passed, rest) = rest.split_once(" passed; ")?;
        (passed, rest.split_once(" failed;")?.0)
    } else {
        line.strip_suffix(" failed")?.rsplit_once(" passed, ")?
    };
    Some((
        passed.rsplit(' ').next()?.parse().ok()?,
        failed.parse().ok()?,
    ))
}

fn summary(outcomes: &[Outcome]) -> bool {
    println!(
        "\n{:<12} {:>8} {:>8} {:>8}",
        "stage", "passed", "failed", "seconds"
    );
    for outcome in outcomes {
        println!(
            "{:<12} {:>8} {:>8} {:>8.1}  {}",
            outcome.stage.name,
            outcome.passed,
            outcome.failed,
            outcome.took.as_secs_f64(),
            outcome.reason
        );
    }
    let sum = |count: fn(&Outcome) -> u64| outcomes.iter().map(count).sum::<u64>();
    println!(
        "\n{} passed, {} failed",
        sum(|o| o.passed),
        sum(|o| o.failed)
    );
    for outcome in outcomes {
        let name = outcome.stage.name;
        for what in &outcome.second_tries {
            println!("\n== {name}: not at the first try: {what}");
        }
    }
    // Once more at the end, where one looks first.
    for outcome in outcomes.iter().filter(|o| !o.reason.is_empty()) {
        let (name, reason) = (outcome.stage.name, &outcome.reason);
        println!("\n== {name} failed: {reason}");
        for line in outcome.failures.lines() {
            println!("   {line}");
        }
    }
    // And in a few lines, for whoever sees the last ones only.
    for outcome in outcomes.iter().filter(|o| !o.reason.is_empty()) {
        println!("\n== {} failed: {}", outcome.stage.name, outcome.reason);
        for headline in outcome.failures.headlines() {
            println!("   {headline}");
        }
    }
    outcomes.iter().all(|o| o.reason.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{counts, one};
    use crate::stages::Stage;

    /// A stage that fails the first time, and says something then.
    fn fails_once(says: &str, waits: bool, at: &std::path::Path) -> Stage {
        let script = format!(
            "test -e {0} || {{ touch {0}; echo '{says}'; exit 1; }}",
            at.display()
        );
        let command = ["sh", "-c", script.leak()];
        Stage {
            name: "fails-once",
            command: Box::leak(Box::new(command)),
            needs: None,
            waits,
        }
    }

    #[test]
    fn only_what_waits_and_breaks_no_guarantee_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);

        let slow = one(&fails_once("FAILED a: not within 5 s", true, &file("slow")));
        assert_eq!((slow.passed, slow.reason.as_str()), (1, ""));
        assert_eq!(
            slow.second_tries,
            ["FAILED a: not within 5 s", "exit status: 1"]
        );

        let broken = one(&fails_once(
            "FAILED a: GUARANTEE BROKEN: b",
            true,
            &file("broken"),
        ));
        assert_eq!((broken.failed, broken.second_tries.len()), (1, 0));

        let wrong = one(&fails_once("FAILED a", false, &file("wrong")));
        assert_eq!((wrong.failed, wrong.reason.as_str()), (1, "exit status: 1"));
    }

    #[test]
    fn result_lines_of_cargo_and_of_suites_count() {
        let cargo = "test result: FAILED. 41 passed; 2 failed; 0 ignored; 0 measured";
        assert_eq!(counts(cargo), Some((41, 2)));
        assert_eq!(
            counts("80 steps in 3 s; 12 passed, 3 failed"),
            Some((12, 3))
        );
        assert_eq!(counts("12 passed, 0 failed"), Some((12, 0)));
        assert_eq!(counts("the check failed"), None);
    }
}
