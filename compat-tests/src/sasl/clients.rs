//! Owns running official clients that log in by SASL; what they print must be the same with both
//! servers. Must not know what they do.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::guard;
use crate::programs::{Programs, compat_dir};
use crate::server::Kind;
use crate::suites;

/// The lines that a client prints about a server.
type Client = fn(&Programs, &Path, &str) -> Result<Vec<String>>;

/// Every client.
pub(super) const CLIENTS: &[(&str, Client)] = &[
    ("Apache's Java client", java),
    ("kazoo with pure-sasl", kazoo),
];

/// Runs a client against both.
pub(super) fn compare(
    client: Client,
    programs: &Programs,
    home: &Path,
    jaas: &Path,
) -> Result<String> {
    let of = |kind| -> Result<Vec<String>> {
        let server = super::start(kind, programs, &[super::PROVIDER], Some(jaas))?;
        client(programs, home, &server.address().to_string())
    };
    let (apache, ours) = (of(Kind::Apache)?, of(Kind::Menagerie)?);
    ensure!(
        ours.last().is_some_and(|line| line == "end"),
        "the client did not come to its end: {ours:?}"
    );
    super::same(&apache, &ours)
}

fn java(programs: &Programs, home: &Path, address: &str) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for (user, password) in [("bob", "geheim"), ("bob", "wrong"), ("", "")] {
        let file = home.join("client.conf");
        let text = format!(
            "Client {{\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n  \
             username=\"{user}\" password=\"{password}\";\n}};\n"
        );
        std::fs::write(&file, text)?;
        let mut command = guard::dying_with_us(&programs.java)?;
        command.args(["-Xmx128m", "-XX:TieredStopAtLevel=1"]);
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=off");
        // DIGEST-MD5 is nothing for a client that may use approved algorithms only.
        command.arg("-Dzookeeper.fips-mode=false");
        if user.is_empty() {
            command.arg("-Dzookeeper.sasl.client=false");
        } else {
            command.arg(super::flag(&file));
        }
        command.args(["-cp", &programs.class_path]);
        command.arg(compat_dir().join("java/sasl/SaslSteps.java"));
        all.push(format!("-- {user}:{password}"));
        all.extend(lines(command.args([address, user]))?);
    }
    Ok(all)
}

fn kazoo(_: &Programs, _: &Path, address: &str) -> Result<Vec<String>> {
    let folder = suites::prepare("python")?;
    let python = folder.join(".venv/bin/python");
    let mut command = guard::dying_with_us(&python)?;
    lines(command.arg(folder.join("sasl_steps.py")).arg(address))
}

/// What a program prints; it has to succeed.
pub(crate) fn lines(command: &mut Command) -> Result<Vec<String>> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{}: {text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text.lines().map(str::to_owned).collect())
}
