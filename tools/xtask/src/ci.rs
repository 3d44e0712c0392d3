//! Owns what a fresh Debian machine lacks for the tests. May call apt. Must not change a machine
//! that has everything.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

/// Programs the tests use, and what they are for.
const TOOLS: &[(&str, &str, &str)] = &[
    ("java", "-version", "a JDK, 17 or later"),
    ("mvn", "--version", "Maven"),
    ("go", "version", "Go"),
    ("node", "--version", "Node.js"),
    ("npm", "--version", "npm"),
    ("python3", "--version", "Python"),
];

/// Debian packages, and what is there when they are installed, or something that does as well.
const PACKAGES: &[(&str, &[&str])] = &[
    ("build-essential", &["/usr/bin/cc"]),
    ("build-essential", &["/usr/bin/make"]),
    (
        "libzookeeper-mt-dev",
        &["/usr/include/zookeeper/zookeeper.h"],
    ),
    ("chromium", &["/usr/bin/chromium", "/usr/bin/google-chrome"]),
    ("krb5-kdc", &["/usr/sbin/krb5kdc"]),
    ("krb5-admin-server", &["/usr/sbin/kadmin.local"]),
    ("krb5-user", &["/usr/bin/kinit"]),
    ("libkrb5-dev", &["/usr/include/gssapi/gssapi_ext.h"]),
    ("iproute2", &["/bin/ip"]),
    ("openssl", &["/usr/bin/openssl"]),
    ("mount", &["/bin/mount"]),
    // Docker's own packages have it elsewhere, and cannot be installed beside Debian's.
    ("docker.io", &["/usr/sbin/dockerd", "/usr/bin/dockerd"]),
    ("docker-compose", &["/usr/bin/docker-compose"]),
    ("debootstrap", &["/usr/sbin/debootstrap"]),
    ("iptables", &["/usr/sbin/iptables"]),
    ("dpkg-dev", &["/usr/bin/dpkg-shlibdeps"]),
    ("lintian", &["/usr/bin/lintian"]),
    ("systemd", &["/usr/bin/systemd-analyze"]),
];

/// Installs the packages that are missing; fails when a tool is that apt is not asked for.
pub(crate) fn install() -> Result<()> {
    let missing: Vec<_> = TOOLS
        .iter()
        .filter(|(name, flag, _)| !runs(name, flag))
        .collect();
    if let Some((name, _, what)) = missing.first() {
        bail!("{name} does not run: install {what}");
    }
    let mut packages: Vec<&str> = PACKAGES
        .iter()
        .filter(|(_, proofs)| !proofs.iter().any(|proof| Path::new(proof).exists()))
        .map(|(package, _)| *package)
        .collect();
    packages.dedup();
    if !has_venv() {
        packages.push("python3-venv");
    }
    if packages.is_empty() {
        return Ok(());
    }
    apt(&["update"])?;
    apt(&[
        &["install", "--yes", "--no-install-recommends"],
        packages.as_slice(),
    ]
    .concat())
}

fn has_venv() -> bool {
    runs_with("python3", &["-c", "import venv, ensurepip"])
}

fn runs(program: &str, flag: &str) -> bool {
    runs_with(program, &[flag])
}

fn runs_with(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn apt(arguments: &[&str]) -> Result<()> {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|out| out.stdout == b"0\n");
    let mut command = Command::new(if root { "apt-get" } else { "sudo" });
    if !root {
        command.args(["--non-interactive", "apt-get"]);
    }
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    println!("== {command:?}");
    let status = command.status().context("cannot run apt-get")?;
    ensure!(
        status.success(),
        "apt-get {}: {status}",
        arguments.join(" ")
    );
    Ok(())
}
