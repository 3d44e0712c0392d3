//! Owns the tarball, with the layout of Apache's: `bin`, `conf`, `docs`. Must not hold anything that
//! depends on the machine that makes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{PROGRAMS, SCRIPTS, VERSION, link, put, put_program, run, source_time, template};
use crate::run::root;

/// The name without `.tar.gz`, which is that of the folder in it.
pub(super) fn name() -> String {
    format!("menagerie-{VERSION}-linux-{}", std::env::consts::ARCH)
}

pub(super) fn make(dist: &Path, programs: &Path) -> Result<PathBuf> {
    let name = name();
    let top = dist.join("tarball").join(&name);
    for program in PROGRAMS {
        put_program(programs, program, &top.join("bin"))?;
    }
    for script in SCRIPTS {
        link(&top, &format!("bin/{script}"), "menagerie-tools")?;
    }
    put(
        &top,
        "conf/zoo_sample.cfg",
        template("zoo_sample.cfg")?.as_bytes(),
        0o644,
    )?;
    for (from, to) in [
        ("LICENSE", "LICENSE"),
        ("README.md", "docs/README.md"),
        ("ARCHITECTURE.md", "docs/ARCHITECTURE.md"),
        ("CHANGELOG.md", "docs/CHANGELOG.md"),
        ("tools/README.md", "docs/tools/README.md"),
        ("docker/README.md", "docs/docker/README.md"),
    ] {
        put(&top, to, &fs::read(root().join(from))?, 0o644)?;
    }
    let tarball = dist.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--mtime=@{}", source_time()?))
        .args([
            "--use-compress-program",
            "gzip -9 --no-name",
            "--create",
            "--file",
        ])
        .arg(&tarball)
        .arg("--directory")
        .arg(dist.join("tarball"))
        .arg(&name);
    run(&mut tar)?;
    Ok(tarball)
}
