//! Owns `menagerie doctor`: what is wrong or risky about a server's configuration, directories and
//! neighbours, found out without starting it, each with a remedy. May read files, resolve names and
//! connect. Must not change anything but files of its own, which it removes.

mod disk;
mod machine;
mod peers;
mod settings;
mod tls;

use std::fmt;

use crate::config::{Config, Severity, Warning};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Grade {
    /// As it should be.
    Good,
    /// Works today.
    Risky,
    /// The server would not start, or not serve.
    Wrong,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "ok",
            Self::Risky => "RISK",
            Self::Wrong => "WRONG",
        })
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// What was looked at: a key, a path, a member.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What to do; empty if nothing.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<5} {}: {}",
            self.grade.to_string(),
            self.what,
            self.found
        )?;
        if !self.remedy.is_empty() {
            write!(f, "\n      {}", self.remedy)?;
        }
        Ok(())
    }
}

fn good(what: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding {
        grade: Grade::Good,
        what: what.into(),
        found: found.into(),
        remedy: String::new(),
    }
}

fn risky(what: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding {
        grade: Grade::Risky,
        what: what.into(),
        found: found.into(),
        remedy: remedy.into(),
    }
}

fn wrong(what: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding {
        grade: Grade::Wrong,
        ..risky(what, found, remedy)
    }
}

/// Looks at everything that `config`, which is complete, points to. It takes a few seconds when
/// members do not answer.
#[must_use]
pub fn examine(config: &Config, warnings: &[Warning]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = warnings
        .iter()
        .filter(|warning| warning.severity != Severity::Notice)
        .map(|warning| risky("configuration", warning.to_string(), ""))
        .collect();
    findings.extend(settings::examine(config));
    findings.extend(tls::examine(config));
    findings.extend(disk::examine(config));
    findings.extend(machine::examine(config));
    findings.extend(peers::examine(config));
    findings
}
