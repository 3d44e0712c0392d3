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
                stage: *stage,
                took: Duration::ZERO,
                passed: 0,
                failed: 1,
                reason: format!("cannot run, since {} failed", other.stage.name),
                failures: Excerpt::default(),
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

fn one(stage: &Stage) -> Outcome {
    let begin = Instant::now();
    let mut outcome = Outcome {
        stage: *stage,
        took: Duration::ZERO,
        passed: 0,
        failed: 0,
        reason: String::new(),
        failures: Excerpt::default(),
    };
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
    use super::counts;

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
