//! Owns what Menagerie would say to the members' configurations: its own doctor judges them, here and,
//! where the admin server tells them, those of other machines. Must not judge settings itself.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::CheckArgs;
use super::members::{Member, Software};
use crate::http;

/// How long an admin server may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the doctor may take.
const DOCTOR: Duration = Duration::from_secs(60);
/// Java properties without the prefix `zookeeper.` that say something about the server.
const BARE: [&str; 4] = [
    "jute.maxbuffer",
    "java.security.auth.login.config",
    "readonlymode.enabled",
    "znode.container.checkIntervalMs",
];

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    grade: &'static str,
    text: String,
}

impl Finding {
    pub(crate) fn good(text: impl Into<String>) -> Self {
        let (grade, text) = ("ok", text.into());
        Self { grade, text }
    }

    pub(crate) fn risky(text: impl Into<String>) -> Self {
        let (grade, text) = ("RISK", text.into());
        Self { grade, text }
    }

    pub(crate) fn wrong(text: impl Into<String>) -> Self {
        let (grade, text) = ("WRONG", text.into());
        Self { grade, text }
    }

    pub(crate) fn is_wrong(&self) -> bool {
        self.grade == "WRONG"
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<5} {}", self.grade, self.text)
    }
}

/// Examines the configurations that can be had.
pub(crate) fn examine(args: &CheckArgs, members: &[Member]) -> Vec<Finding> {
    let menagerie = args.menagerie.clone().unwrap_or_else(beside);
    let mut findings = Vec::new();
    if let Some(path) = &args.targets.config {
        let name = path.display().to_string();
        findings.extend(doctor(&menagerie, path, "", &name, true));
    }
    for member in members {
        if !member
            .said
            .as_ref()
            .is_ok_and(|said| matches!(said.software, Software::Apache(_)))
        {
            continue;
        }
        let name = &member.known.name;
        match remote(member, args) {
            Err(error) => findings.push(Finding::risky(format!(
                "{name}: its configuration is not looked at from here ({error:#}); run menagerie doctor zoo.cfg on its machine"
            ))),
            Ok((file, flags)) => {
                findings.extend(doctor(&menagerie, file.path(), &flags, name, false));
            }
        }
    }
    findings
}

/// Menagerie's binary beside this one, else the one that is found.
fn beside() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.with_file_name("menagerie");
    if beside.exists() {
        beside
    } else {
        PathBuf::from("menagerie")
    }
}

/// The configuration file of a member as it was started with, and its Java flags.
fn remote(member: &Member, args: &CheckArgs) -> Result<(tempfile::NamedTempFile, String)> {
    let (port, tls) = (args.admin_port, &args.targets.tls);
    let host = &member.known.host;
    let scheme = if args.admin_https { "https" } else { "http" };
    let server = match host.contains(':') {
        true => format!("{scheme}://[{host}]:{port}"),
        false => format!("{scheme}://{host}:{port}"),
    };
    let properties = tls.properties()?;
    let ask = |command: &str| -> Result<Value> {
        let path = format!("/commands/{command}");
        let answer = http::get(&server, &path, &[], &properties, PATIENCE)?;
        ensure!(
            answer.status == 200,
            "{server}{path}: status {}",
            answer.status
        );
        serde_json::from_str(&answer.text()?).with_context(|| format!("{server}{path}"))
    };
    // Several members on one machine have admin servers on different ports: ask for the right one.
    let port_of = ask("configuration")?["client_port"].as_u64();
    // It does not tell the port for TLS.
    ensure!(
        tls.client()?.is_some() || port_of == Some(u64::from(member.known.port)),
        "the admin server at {server} is another server's"
    );
    let text = ask("initial_configuration")?;
    let text = text["initial_configuration"].as_str().unwrap_or_default();
    ensure!(!text.is_empty(), "{server} does not tell its configuration");
    let mut file = tempfile::Builder::new().suffix(".cfg").tempfile()?;
    file.write_all(text.as_bytes())?;
    let properties = ask("system_properties")?;
    let mut flags = String::new();
    for (key, value) in properties.as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let ours = key.starts_with("zookeeper.") || BARE.contains(&key.as_str());
        if ours && !value.contains(char::is_whitespace) {
            flags.push_str(&format!("-D{key}={value} "));
        }
    }
    Ok((file, flags))
}

/// What the doctor says of a configuration; of one of another machine only what is in it.
fn doctor(menagerie: &Path, file: &Path, flags: &str, name: &str, here: bool) -> Vec<Finding> {
    let output = match run(menagerie, file, flags) {
        Ok(output) => output,
        Err(error) => {
            return vec![Finding::risky(format!(
                "{name}: {} doctor did not run: {error:#}",
                menagerie.display()
            ))];
        }
    };
    let found = read(&output, &file.display().to_string(), name, here);
    if found.iter().any(|finding| finding.grade != "ok") {
        return found;
    }
    vec![Finding::good(format!(
        "{name}: Menagerie takes its configuration as it is"
    ))]
}

fn read(output: &str, file: &str, name: &str, here: bool) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let mut taken = false;
    for line in output.lines() {
        if let Some(remedy) = line.strip_prefix("      ") {
            if let Some(last) = found.last_mut().filter(|_| taken) {
                last.text.push_str(&format!("\n      {remedy}"));
            }
            continue;
        }
        let (grade, text) = line.split_once(' ').unwrap_or((line, ""));
        let text = text.trim_start();
        let grade = ["WRONG", "RISK"].into_iter().find(|known| *known == grade);
        taken = grade.is_some() && (here || text.starts_with("configuration"));
        if let Some(grade) = grade.filter(|_| taken) {
            // The temporary file's name says nothing to anybody.
            let text = text.replace(file, "zoo.cfg");
            let text = format!("{name}: {text}");
            found.push(Finding { grade, text });
        }
    }
    found
}

fn run(menagerie: &Path, file: &Path, flags: &str) -> Result<String> {
    let mut child = Command::new(menagerie)
        .arg("doctor")
        .arg(file)
        .env("SERVER_JVMFLAGS", flags)
        .env_remove("JVMFLAGS")
        .env("RUST_LOG", "off")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let end = Instant::now() + DOCTOR;
    // It says some lines, which a pipe holds.
    while child.try_wait()?.is_none() {
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            anyhow::bail!("no end within {} s", DOCTOR.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_another_machine_only_the_configuration_counts() {
        let output = "RISK  configuration: /tmp/x.cfg:3: a: b\n      do c\nWRONG dataDir: is missing\n      make it\n\
                      ok    disk: fine\n1 wrong, 1 risky, 1 in order\n";
        let there = read(output, "/tmp/x.cfg", "server 1", false);
        assert_eq!(there.len(), 1);
        assert_eq!(
            there[0].text,
            "server 1: configuration: zoo.cfg:3: a: b\n      do c"
        );
        let here = read(output, "/tmp/x.cfg", "zoo.cfg", true);
        assert_eq!(here.len(), 2);
        assert!(here[1].is_wrong());
    }
}
