//! Owns what is given to users: the tarball with Apache's layout and the Debian package, made of the
//! release binaries and the files in `tools/packages`. Must not need root.

pub(crate) mod check;
mod deb;
mod tarball;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::run::{outside_cargo, root};

/// The version of everything in the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The programs.
const PROGRAMS: [&str; 2] = ["menagerie", "menagerie-tools"];
/// Apache's names for what menagerie-tools does.
const SCRIPTS: [&str; 6] = [
    "zkServer.sh",
    "zkCli.sh",
    "zkCleanup.sh",
    "zkTxnLogToolkit.sh",
    "zkSnapShotToolkit.sh",
    "zkSnapshotComparer.sh",
];

/// What has been made.
pub(crate) struct Packages {
    pub(crate) tarball: PathBuf,
    pub(crate) deb: PathBuf,
}

/// Builds the programs and makes both packages in `target/dist`.
pub(crate) fn make() -> Result<Packages> {
    let mut cargo = outside_cargo("cargo");
    cargo.args(["build", "--release", "--quiet"]);
    for program in PROGRAMS {
        cargo.args(["--bin", program]);
    }
    run(cargo.current_dir(root()))?;
    let dist = root().join("target/dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).with_context(|| format!("cannot remove {}", dist.display()))?;
    }
    let programs = dist.join("programs");
    fs::create_dir_all(&programs)?;
    for program in PROGRAMS {
        let stripped = programs.join(program);
        let built = root().join("target/release").join(program);
        let mut strip = Command::new("strip");
        strip
            .arg("--strip-unneeded")
            .arg("-o")
            .arg(&stripped)
            .arg(built);
        run(&mut strip)?;
        set_mode(&stripped, 0o755)?;
    }
    let packages = Packages {
        tarball: tarball::make(&dist, &programs)?,
        deb: deb::make(&dist, &programs)?,
    };
    for path in [&packages.tarball, &packages.deb] {
        println!(
            "{} ({} KiB)",
            path.display(),
            fs::metadata(path)?.len() >> 10
        );
    }
    Ok(packages)
}

/// Runs a command; its output is its own.
fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// Runs a command and returns what it says on its standard output.
fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?}: {}: {errors}",
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// When the sources were last changed, in seconds: files of packages have that time, so that the
/// same sources make the same packages.
fn source_time() -> Result<String> {
    output(
        Command::new("git")
            .args(["log", "-1", "--format=%ct"])
            .current_dir(root()),
    )
}

/// A file of `tools/packages`.
fn template(name: &str) -> Result<String> {
    let path = root().join("tools/packages").join(name);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a file below `top`, with the directories above it.
fn put(top: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let path = top.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    set_mode(&path, mode)
}

/// Copies a program.
fn put_program(programs: &Path, name: &str, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let from = programs.join(name);
    fs::copy(&from, to.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

/// Makes a symbolic link below `top`.
fn link(top: &Path, name: &str, target: &str) -> Result<()> {
    let path = top.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    std::os::unix::fs::symlink(target, &path)
        .with_context(|| format!("cannot make {}", path.display()))
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("cannot change {}", path.display()))
}
