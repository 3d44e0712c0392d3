//! Owns where things are: this repository, Java with Apache ZooKeeper's classpath, Menagerie's
//! binary. May run Maven. Must not start servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::server::Kind;

/// How to run both servers.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// `java`.
    pub(crate) java: PathBuf,
    /// A classpath with Apache ZooKeeper's server on it.
    pub(crate) class_path: String,
    /// Menagerie's binary.
    pub(crate) menagerie: PathBuf,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The folder of the compatibility tests.
pub(crate) fn compat_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The folder Cargo builds into.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

impl Programs {
    /// Finds everything; asks Maven for the classpath when it has not been asked before.
    pub(crate) fn find(menagerie: Option<PathBuf>) -> Result<Self> {
        let menagerie = menagerie.unwrap_or_else(|| target_dir().join("release/menagerie"));
        let java = std::env::var_os("JAVA_HOME").map_or_else(
            || PathBuf::from("java"),
            |home| PathBuf::from(home).join("bin/java"),
        );
        Ok(Self {
            java,
            class_path: class_path("apache-server")?,
            menagerie,
        })
    }

    /// The classpath of a kind of Apache's server; asks Maven for it when it has not been asked before.
    pub(crate) fn class_path_of(&self, kind: Kind) -> Result<String> {
        match kind {
            Kind::Apache38 => class_path("apache-3.8-server"),
            _ => Ok(self.class_path.clone()),
        }
    }

    /// Fails unless Menagerie's binary is there.
    pub(crate) fn require_menagerie(&self) -> Result<()> {
        ensure!(
            self.menagerie.exists(),
            "{} is missing: cargo build --release --bin menagerie",
            self.menagerie.display()
        );
        Ok(())
    }
}

/// The classpath of a project of `java/`; asks Maven for it when it has not been asked before.
pub(crate) fn class_path(project: &str) -> Result<String> {
    let folder = compat_dir().join("java").join(project);
    let (pom, file) = (folder.join("pom.xml"), folder.join("target/classpath.txt"));
    let modified = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    let fresh = modified(&file).is_some_and(|made| modified(&pom).is_some_and(|pom| pom <= made));
    let known = fs::read_to_string(&file).unwrap_or_default();
    if fresh && known.trim().split(':').all(|jar| Path::new(jar).exists()) {
        return Ok(known.trim().to_owned());
    }
    let status = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(&pom)
        .args([
            "dependency:build-classpath",
            "-Dmdep.outputFile=target/classpath.txt",
        ])
        .status()
        .context("cannot run mvn, which fetches the jars")?;
    ensure!(
        status.success(),
        "mvn could not resolve {}: {status}",
        pom.display()
    );
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    Ok(text.trim().to_owned())
}
