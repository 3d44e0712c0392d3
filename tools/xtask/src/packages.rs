//! Owns building and testing what is packed for others: packages for other languages, manifests for
//! Kubernetes. May use package managers and write below `target`. Must not publish anything.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::run::{outside_cargo, root};

/// Builds the wheel, installs it in a fresh virtual environment, and runs its tests from there.
pub(crate) fn python() -> Result<bool> {
    let work = root().join("target/python");
    let wheels = work.join("wheels");
    for old in [&wheels, &work.join("tests")] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    let source = root().join("tools/python");
    let builder = work.join("builder");
    if !builder.join("bin/maturin").exists() {
        environment(&builder, &["maturin>=1.7,<2"])?;
    }
    let mut build = outside_cargo(builder.join("bin/maturin"));
    build
        .args(["build", "--quiet", "--release", "--out"])
        .arg(&wheels)
        .current_dir(&source);
    succeed(&mut build)?;
    let wheel = the_only_file(&wheels)?;
    println!("{}", wheel.display());
    let fresh = work.join("tests");
    let wheel = wheel.to_string_lossy();
    environment(&fresh, &[&wheel, "pytest", "pytest-timeout", "kazoo"])?;
    // Not in the folder of the sources, which would be imported in place of what is installed.
    let mut tests = Command::new(fresh.join("bin/python"));
    tests
        .args(["-I", "-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .args(["--timeout", "120", "-c"])
        .arg(source.join("pyproject.toml"))
        .arg("--rootdir")
        .arg(&source)
        .arg(source.join("tests"))
        .current_dir(&fresh)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("MENAGERIE_BINARY");
    let status = tests.status().context("cannot run Python")?;
    Ok(status.success())
}

/// Builds the jar with the release binary in it, and runs its tests against the jar.
pub(crate) fn java() -> Result<bool> {
    let target = root().join("target");
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let binaries = target.join("java/bin");
    let folder = binaries.join(platform);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(folder.join("menagerie"));
    succeed(strip.arg(target.join("release/menagerie")))?;
    let project = root().join("tools/java");
    let reports = project.join("target/failsafe-reports");
    if reports.exists() {
        fs::remove_dir_all(&reports)
            .with_context(|| format!("cannot remove {}", reports.display()))?;
    }
    let mut maven = Command::new("mvn");
    maven
        .args(["-q", "-B", "-Dstyle.color=never", "verify"])
        .arg(format!("-Dmenagerie.binaries={}", binaries.display()))
        .current_dir(&project)
        .env_remove("MENAGERIE_BINARY")
        .stdin(Stdio::null());
    let status = maven.status().context("cannot run mvn")?;
    let (run, failed) = reported(&reports)?;
    // Maven may leave the codes of a terminal on an unfinished line.
    println!("\n{} passed, {failed} failed", run.saturating_sub(failed));
    ensure!(run > 0, "Maven ran no test");
    Ok(status.success() && failed == 0)
}

/// Checks the manifests for Kubernetes, and runs what they start.
pub(crate) fn kubernetes() -> Result<bool> {
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "--release", "--bin", "menagerie-tools"]);
    succeed(build.current_dir(root()))?;
    let mut tests = Command::new("go");
    tests
        .args(["test", "-v", "-count=1", "-timeout", "600s", "./..."])
        .current_dir(root().join("compat-tests/kubernetes"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = tests.spawn().context("cannot run go")?;
    let output = child.stdout.take().context("no output of go")?;
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        passed += u64::from(line.starts_with("--- PASS: "));
        if let Some(name) = line.strip_prefix("--- FAIL: ") {
            println!("{name}: FAILED, as said above");
            failed += 1;
        }
    }
    let status = child.wait()?;
    println!("{passed} passed, {failed} failed");
    Ok(status.success() && passed > 0)
}

/// How many tests Maven ran, and how many of them failed.
fn reported(reports: &Path) -> Result<(u64, u64)> {
    let path = reports.join("failsafe-summary.xml");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("Maven left no {}; its messages tell why", path.display()))?;
    let number = |name: &str| -> Result<u64> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let inside = text
            .split_once(&open)
            .and_then(|(_, rest)| rest.split_once(&close));
        let (number, _) = inside.with_context(|| format!("{}: no {open}", path.display()))?;
        Ok(number.parse()?)
    };
    Ok((
        number("completed")?,
        number("errors")? + number("failures")?,
    ))
}

/// A virtual environment with packages in it.
fn environment(at: &Path, packages: &[&str]) -> Result<()> {
    succeed(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(at),
    )?;
    let mut pip = Command::new(at.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]);
    succeed(pip.args(packages))
}

fn the_only_file(folder: &Path) -> Result<PathBuf> {
    let found = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    let [file] = found.as_slice() else {
        anyhow::bail!("one file was expected in {}: {found:?}", folder.display());
    };
    Ok(file.clone())
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
