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
    /// Whether it waits for real processes, so that it may fail because the machine is slow.
    pub(crate) waits: bool,
}

impl Stage {
    /// The command as one would type it.
    pub(crate) fn line(&self) -> String {
        self.command.join(" ")
    }
}

macro_rules! features {
    () => {
        "menagerie/gssapi,menagerie/opentelemetry"
    };
}

/// What is off unless it is asked for.
const FEATURES: &str = features!();
const KERBEROS: &str = concat!(
    "cargo test --quiet --workspace --no-run --features ",
    features!(),
    " && target/release/menagerie-compat kerberos"
);

const fn own(name: &'static str, command: &'static [&'static str]) -> Stage {
    Stage {
        name,
        command,
        needs: None,
        waits: false,
    }
}

const fn compat(name: &'static str, command: &'static [&'static str]) -> Stage {
    Stage {
        name,
        command,
        needs: Some("build"),
        waits: false,
    }
}

const fn waits(name: &'static str, command: &'static [&'static str]) -> Stage {
    Stage {
        waits: true,
        ..compat(name, command)
    }
}

/// Every stage, in the order of running: what fails fastest comes first. `ensemble` itself tries again
/// what may have been too slow.
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
            "--features",
            FEATURES,
            "--",
            "-D",
            "warnings",
        ],
    ),
    own(
        "unit",
        &[
            "cargo",
            "test",
            "--quiet",
            "--workspace",
            "--no-fail-fast",
            "--features",
            FEATURES,
        ],
    ),
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
            "4000",
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
            "8000",
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
            "--bin",
            "menagerie-tools",
        ],
    ),
    compat("packages", &["cargo", "xtask", "check-packages"]),
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
    waits("pages", &["target/release/menagerie-compat", "pages"]),
    waits("sasl", &["target/release/menagerie-compat", "sasl"]),
    // Takes the server that the unit tests have built with all features.
    waits("kerberos", &["sh", "-c", KERBEROS]),
    waits("audit", &["target/release/menagerie-compat", "audit"]),
    waits("tls", &["target/release/menagerie-compat", "tls"]),
    compat(
        "ensemble",
        &["target/release/menagerie-compat", "ensemble", "--jobs", "3"],
    ),
    waits("badinput", &["target/release/menagerie-compat", "badinput"]),
    waits("suites", &["target/release/menagerie-compat", "suites"]),
    waits(
        "console",
        &[
            "sh",
            "-c",
            "cd compat-tests/console && { test -d node_modules || npm ci --silent; } && node suite.mjs",
        ],
    ),
    waits("python", &["cargo", "xtask", "python"]),
    waits("java", &["cargo", "xtask", "java"]),
    waits("kubernetes", &["cargo", "xtask", "kubernetes"]),
    waits("docker", &["target/release/menagerie-compat", "docker"]),
];

/// The stages named and those that they need, or all of them.
pub(crate) fn select(only: &[String]) -> Result<Vec<Stage>> {
    for name in only {
        if !STAGES.iter().any(|stage| stage.name == name) {
            let names: Vec<_> = STAGES.iter().map(|stage| stage.name).collect();
            bail!("there is no stage {name:?}; there are {}", names.join(", "));
        }
    }
    let named = |stage: &Stage| only.iter().any(|name| name == stage.name);
    let needed = |stage: &Stage| {
        let mut users = STAGES
            .iter()
            .filter(|other| other.needs == Some(stage.name));
        users.any(named)
    };
    let wanted = |stage: &&Stage| only.is_empty() || named(stage) || needed(stage);
    Ok(STAGES.iter().filter(wanted).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stage_needs_comes_before_it() {
        let names = |only: &[&str]| -> Vec<&str> {
            let only: Vec<String> = only.iter().map(|&name| name.to_owned()).collect();
            select(&only)
                .unwrap()
                .iter()
                .map(|stage| stage.name)
                .collect()
        };
        assert_eq!(names(&["docker"]), ["build", "docker"]);
        assert_eq!(names(&["docker", "fmt"]), ["fmt", "build", "docker"]);
        assert_eq!(names(&[]).len(), STAGES.len());
        assert!(select(&["nothing".to_owned()]).is_err());
        for (at, stage) in STAGES.iter().enumerate() {
            let before = |name| STAGES[..at].iter().any(|other| other.name == name);
            assert!(stage.needs.is_none_or(before), "{}", stage.name);
        }
    }
}
