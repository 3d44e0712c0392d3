//! Owns the output of `menagerie doctor`. Must not examine anything itself.

use std::process::ExitCode;

use menagerie::config::Config;
use menagerie::doctor::{Grade, examine};

use super::{INVALID_INVOCATION, say};

/// Examines what the arguments, as those of a server, point to.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let (config, warnings) = match Config::from_args(args, &|name| std::env::var(name).ok()) {
        Ok(read) => read,
        Err(error) => {
            say(&format!("WRONG configuration: {error}"));
            return ExitCode::from(INVALID_INVOCATION);
        }
    };
    let findings = examine(&config, &warnings);
    for finding in &findings {
        say(&finding.to_string());
    }
    let count = |grade| findings.iter().filter(|f| f.grade == grade).count();
    let (wrong, risky) = (count(Grade::Wrong), count(Grade::Risky));
    say(&format!(
        "{wrong} wrong, {risky} risky, {} in order",
        count(Grade::Good)
    ));
    ExitCode::from(u8::from(wrong > 0))
}
