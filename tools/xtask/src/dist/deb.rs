//! Owns the Debian package: what is in it, its control files. May use dpkg's tools. Must not clash
//! with Debian's package of ZooKeeper.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{
    PROGRAMS, SCRIPTS, VERSION, link, output, put, put_program, run, source_time, template,
};

/// What users may change, and dpkg then asks about.
const CONFFILES: [&str; 2] = ["etc/menagerie/zoo.cfg", "etc/default/menagerie"];

/// Who answers for the package. The domain is one that nobody can have: there is no address yet.
const MAINTAINER: &str = "Menagerie maintainers <maintainers@menagerie.invalid>";

/// Files as they are, and where they go.
const FILES: [(&str, &str); 6] = [
    ("debian/default", "etc/default/menagerie"),
    ("debian/copyright", "usr/share/doc/menagerie/copyright"),
    (
        "systemd/menagerie.service",
        "lib/systemd/system/menagerie.service",
    ),
    (
        "systemd/menagerie@.service",
        "lib/systemd/system/menagerie@.service",
    ),
    ("systemd/sysusers.conf", "usr/lib/sysusers.d/menagerie.conf"),
    ("systemd/tmpfiles.conf", "usr/lib/tmpfiles.d/menagerie.conf"),
];

pub(super) fn make(dist: &Path, programs: &Path) -> Result<PathBuf> {
    let top = dist.join("deb");
    for program in PROGRAMS {
        put_program(programs, program, &top.join("usr/bin"))?;
    }
    for script in SCRIPTS {
        let name = format!("usr/share/menagerie/bin/{script}");
        link(&top, &name, "../../../bin/menagerie-tools")?;
    }
    // The scripts look for conf and logs beside bin.
    link(&top, "usr/share/menagerie/conf", "/etc/menagerie")?;
    link(&top, "usr/share/menagerie/logs", "/var/log/menagerie")?;
    for (from, to) in FILES {
        put(&top, to, template(from)?.as_bytes(), 0o644)?;
    }
    let config = template("zoo_sample.cfg")?
        .replace("dataDir=/var/lib/zookeeper", "dataDir=/var/lib/menagerie")
        .replace(
            "is listed in README.md",
            "is listed in the README, see menagerie(8)",
        );
    put(&top, "etc/menagerie/zoo.cfg", config.as_bytes(), 0o644)?;
    for (page, section) in [("menagerie.8", 8), ("menagerie-tools.1", 1)] {
        let text = template(&format!("man/{page}"))?.replace("@VERSION@", VERSION);
        put_zipped(&top, &format!("usr/share/man/man{section}/{page}"), &text)?;
    }
    put_zipped(&top, "usr/share/doc/menagerie/changelog", &changelog()?)?;
    control_files(dist, &top)?;
    let architecture = architecture()?;
    let deb = dist.join(format!("menagerie_{VERSION}_{architecture}.deb"));
    let mut build = Command::new("dpkg-deb");
    build
        .args(["--root-owner-group", "-Zxz", "--build"])
        .arg(&top)
        .arg(&deb)
        .env("SOURCE_DATE_EPOCH", source_time()?)
        .stdout(std::process::Stdio::null());
    run(&mut build)?;
    Ok(deb)
}

fn architecture() -> Result<String> {
    output(Command::new("dpkg").arg("--print-architecture"))
}

/// A text that Debian wants compressed.
fn put_zipped(top: &Path, name: &str, text: &str) -> Result<()> {
    put(top, name, text.as_bytes(), 0o644)?;
    run(Command::new("gzip")
        .args(["-9", "--no-name"])
        .arg(top.join(name)))
}

fn changelog() -> Result<String> {
    let date = output(
        Command::new("date")
            .args(["--rfc-email", "--utc", "--date"])
            .arg(format!("@{}", source_time()?)),
    )?;
    Ok(format!(
        "menagerie ({VERSION}) unstable; urgency=medium\n\n  * See CHANGELOG.md of the sources.\n\n \
         -- {}  {date}\n",
        MAINTAINER
    ))
}

fn control_files(dist: &Path, top: &Path) -> Result<()> {
    let mut files = Vec::new();
    list(top, top, &mut files)?;
    files.sort();
    let bytes: u64 = files
        .iter()
        .map(|file| fs::metadata(top.join(file)).map_or(0, |m| m.len()))
        .sum();
    let control = template("debian/control")?
        .replace("@VERSION@", VERSION)
        .replace("@ARCH@", &architecture()?)
        .replace("@MAINTAINER@", MAINTAINER)
        .replace("@SIZE@", &bytes.div_ceil(1024).to_string())
        .replace("@DEPENDS@", &dependencies(dist, top)?);
    let mut sums = Command::new("md5sum");
    let checked = files
        .iter()
        .filter(|file| !CONFFILES.contains(&file.as_str()));
    let sums = output(sums.args(checked).current_dir(top))? + "\n";
    let conffiles: String = CONFFILES.iter().map(|file| format!("/{file}\n")).collect();
    put(top, "DEBIAN/control", control.as_bytes(), 0o644)?;
    put(top, "DEBIAN/md5sums", sums.as_bytes(), 0o644)?;
    put(top, "DEBIAN/conffiles", conffiles.as_bytes(), 0o644)?;
    for script in ["postinst", "prerm", "postrm"] {
        let text = template(&format!("debian/{script}"))?;
        put(top, &format!("DEBIAN/{script}"), text.as_bytes(), 0o755)?;
    }
    Ok(())
}

/// The regular files below `dir`, named from `top`.
fn list(top: &Path, dir: &Path, files: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(top, &entry.path(), files)?;
        } else if kind.is_file() {
            let path = entry.path();
            files.push(path.strip_prefix(top)?.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// The libraries that the programs need, as packages.
fn dependencies(dist: &Path, top: &Path) -> Result<String> {
    // dpkg-shlibdeps wants to be in a source package.
    put(
        dist,
        "shlibs/debian/control",
        b"Source: menagerie\n\nPackage: menagerie\nArchitecture: any\n",
        0o644,
    )?;
    let mut command = Command::new("dpkg-shlibdeps");
    command.arg("-O").current_dir(dist.join("shlibs"));
    for program in PROGRAMS {
        command.arg(top.join("usr/bin").join(program));
    }
    let text = output(&mut command)?;
    let depends = text.strip_prefix("shlibs:Depends=");
    Ok(depends
        .with_context(|| format!("dpkg-shlibdeps says {text:?}"))?
        .to_owned())
}
