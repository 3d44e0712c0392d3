//! Owns finding the servers: Java, Apache's class path by way of Maven, Menagerie's binary. Must
//! not start them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::CompareArgs;
use super::server::{Programs, Side};

/// Finds what `sides` need.
pub(crate) fn find(args: &CompareArgs, sides: &[Side]) -> Result<Programs> {
    let class_path = if sides.contains(&Side::Apache) {
        class_path(args)?
    } else {
        String::new()
    };
    let java = std::env::var_os("JAVA_HOME")
        .map(|home| PathBuf::from(home).join("bin/java"))
        .filter(|java| java.is_file())
        .unwrap_or_else(|| PathBuf::from("java"));
    let mut menagerie = args.menagerie.clone();
    if sides.contains(&Side::Menagerie) {
        ensure!(
            menagerie.is_file(),
            "{} is missing: build it with `cargo build --release`, or use --only-apache",
            menagerie.display()
        );
        menagerie = menagerie.canonicalize()?;
    }
    Ok(Programs {
        java,
        class_path,
        heap: args.heap.clone(),
        menagerie,
    })
}

fn class_path(args: &CompareArgs) -> Result<String> {
    let file = match &args.classpath_file {
        Some(file) => file.clone(),
        None => from_maven(&args.pom)?,
    };
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let text = text.trim();
    ensure!(
        text.contains("zookeeper"),
        "{} names no ZooKeeper",
        file.display()
    );
    Ok(text.to_owned())
}

/// Asks Maven once; the answer stays in the project's `target`.
fn from_maven(pom: &Path) -> Result<PathBuf> {
    let project = pom.parent().unwrap_or_else(|| Path::new("."));
    let file = project.join("target/classpath.txt");
    if file.is_file() {
        return Ok(file);
    }
    ensure!(
        pom.is_file(),
        "{} is missing: run this at the top of the repository",
        pom.display()
    );
    eprintln!("fetching Apache ZooKeeper with Maven …");
    let status = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(pom)
        .args([
            "dependency:build-classpath",
            "-Dmdep.outputFile=target/classpath.txt",
        ])
        .status()
        .context("cannot run mvn")?;
    ensure!(status.success() && file.is_file(), "mvn failed: {status}");
    Ok(file)
}
