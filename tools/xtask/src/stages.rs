//! Owns the list of what `cargo xtask test` runs. A new stage is a new row. Must not run anything.

use anyhow::{Result, bail};

/// One command of the test run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stage {
    /// What `cargo xtask test NAME` calls it.
    pub(crate) name: &'static str,
    /// The command and its arguments, in the root of the repository.
    pub(crate) command: &'static [&'static str],
    /// The stage without which this one cannot run.
    pub(crate) needs: Option<&'static str>,
}

impl Stage {
    /// The command as one would type it.
    pub(crate) fn line(&self) -> String {
        self.command.join(" ")
    }
}

const fn own(name: &'static str, command: &'static [&'static str]) -> Stage {
    Stage {
        name,
        command,
        needs: None,
    }
}

const fn compat(name: &'static str, command: &'static [&'static str]) -> Stage {
    Stage {
        name,
        command,
        needs: Some("build"),
    }
}

/// Every stage, in the order of running: what fails fastest comes first.
pub(crate) const STAGES: &[Stage] = &[
    own("fmt", &["cargo", "fmt", "--all", "--check"]),
    own("tidy", &["cargo", "xtask", "tidy"]),
    own(
        "clippy",
        &[
            "cargo",
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    ),
    own("unit", &["cargo", "test", "--quiet", "--workspace"]),
    own(
        "sim",
        &[
            "cargo",
            "run",
            "--quiet",
            "--release",
            "-p",
            "menagerie-sim",
            "--",
            "--count",
            "8000",
        ],
    ),
    own(
        "planted",
        &[
            "cargo",
            "run",
            "--quiet",
            "--release",
            "-p",
            "menagerie-sim",
            "--features",
            "planted-bugs",
            "--",
            "--planted",
            "--count",
            "2000",
        ],
    ),
    own(
        "build",
        &[
            "cargo",
            "build",
            "--release",
            "--bin",
            "menagerie",
            "--bin",
            "menagerie-compat",
        ],
    ),
    compat(
        "self-test",
        &[
            "target/release/menagerie-compat",
            "diff",
            "--subject",
            "apache",
            "--seed",
            "1000000",
            "--runs",
            "60",
            "--seconds",
            "20",
        ],
    ),
    compat(
        "diff",
        &[
            "target/release/menagerie-compat",
            "diff",
            "--seed",
            "1",
            "--runs",
            "1600",
            "--seconds",
            "120",
        ],
    ),
    compat("files", &["target/release/menagerie-compat", "files"]),
    compat(
        "matrix",
        &["target/release/menagerie-compat", "matrix", "--check"],
    ),
    compat("ensemble", &["target/release/menagerie-compat", "ensemble"]),
    compat("badinput", &["target/release/menagerie-compat", "badinput"]),
    compat("suites", &["target/release/menagerie-compat", "suites"]),
];

/// The stages named, or all of them.
pub(crate) fn select(only: &[String]) -> Result<Vec<Stage>> {
    for name in only {
        if !STAGES.iter().any(|stage| stage.name == name) {
            let names: Vec<_> = STAGES.iter().map(|stage| stage.name).collect();
            bail!("there is no stage {name:?}; there are {}", names.join(", "));
        }
    }
    let wanted = |stage: &&Stage| only.is_empty() || only.iter().any(|name| name == stage.name);
    Ok(STAGES.iter().filter(wanted).copied().collect())
}
