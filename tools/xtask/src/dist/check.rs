//! Owns the stage `packages`: that what is given to users installs, starts and stops. May start
//! servers on free ports, and containers where Docker runs. Must not need root.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Packages, SCRIPTS, make, output, run, tarball};
use crate::run::root;

/// The image in which the Debian package is installed, if it is there.
const IMAGE: &str = "debian:bookworm-slim";

/// One check: its name and what it does.
type Check = (&'static str, fn(&Packages) -> Result<()>);

const CHECKS: [Check; 6] = [
    ("lintian finds nothing in the Debian package", lintian),
    ("systemd accepts the units", units),
    ("the units are confined", confined),
    (
        "the tarball's scripts start, ask, stop and restart",
        scripts,
    ),
    (
        "the tarball is the same when it is made again",
        reproducible,
    ),
    ("the Debian package installs, runs and goes", install),
];

/// Makes the packages and checks them; false when a check fails.
///
/// # Errors
/// When the packages cannot be made.
pub(crate) fn all() -> Result<bool> {
    let packages = make()?;
    let (mut passed, mut failed) = (0, 0);
    for (name, check) in CHECKS {
        match check(&packages) {
            Ok(()) => {
                passed += 1;
                println!("ok      {name}");
            }
            Err(error) => {
                failed += 1;
                println!("FAILED  {name}: {error:#}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

fn lintian(packages: &Packages) -> Result<()> {
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error,warning", "--tag-display-limit", "0"]);
    // Lintian calls it wrong to be root, but for this.
    run(lintian.arg("--allow-root").arg(&packages.deb))
}

/// An empty directory in `target/dist`.
fn fresh(name: &str) -> Result<PathBuf> {
    let path = root().join("target/dist/check").join(name);
    if path.exists() {
        fs::remove_dir_all(&path)?;
    }
    fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

/// The package's units, with the programs where they are unpacked: systemd looks for them.
fn unpacked_units(packages: &Packages) -> Result<Vec<PathBuf>> {
    let top = fresh("deb")?;
    run(Command::new("dpkg-deb")
        .arg("--extract")
        .arg(&packages.deb)
        .arg(&top))?;
    let mut units = Vec::new();
    for (name, as_name) in [
        ("menagerie.service", "menagerie.service"),
        ("menagerie@.service", "menagerie@one.service"),
    ] {
        let text = fs::read_to_string(top.join("lib/systemd/system").join(name))?;
        let program = top.join("usr/bin/menagerie");
        let text = text
            .replace("/usr/bin/menagerie", &program.to_string_lossy())
            // There is no manual where nothing is installed.
            .replace("Documentation=man:menagerie(8)\n", "")
            .replace("%i", "one");
        let unit = top.join(as_name);
        fs::write(&unit, text)?;
        units.push(unit);
    }
    Ok(units)
}

fn units(packages: &Packages) -> Result<()> {
    let mut verify = Command::new("systemd-analyze");
    verify
        .args(["verify", "--recursive-errors=no"])
        .args(unpacked_units(packages)?);
    let output = verify.output().context("cannot run systemd-analyze")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.trim().is_empty(),
        "{}: {said}",
        output.status
    );
    Ok(())
}

/// Exposure in tenths, of 100: what systemd calls good is up to 25.
fn confined(packages: &Packages) -> Result<()> {
    for unit in unpacked_units(packages)? {
        let mut security = Command::new("systemd-analyze");
        security
            .args(["security", "--offline=yes", "--no-pager", "--threshold=25"])
            .arg(&unit)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        run(&mut security)?;
    }
    Ok(())
}

/// Stops the server of a tarball whatever the check comes to.
struct Home(PathBuf);

impl Home {
    fn script(&self, name: &str, words: &[&str]) -> Command {
        let mut command = Command::new(self.0.join("bin").join(name));
        command
            .args(words)
            .env_remove("ZOOCFGDIR")
            .env_remove("ZOO_LOG_DIR");
        command.stdin(Stdio::null());
        command
    }

    fn says(&self, name: &str, words: &[&str], expected: &str) -> Result<()> {
        let said = output(&mut self.script(name, words))?;
        ensure!(
            said.ends_with(expected),
            "{name} {}: {said:?}",
            words.join(" ")
        );
        Ok(())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let mut stop = self.script("zkServer.sh", &["stop"]);
        let _stopped = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn unpack_tarball(packages: &Packages, name: &str) -> Result<PathBuf> {
    let dir = fresh(name)?;
    let mut tar = Command::new("tar");
    run(tar
        .arg("--extract")
        .arg("--file")
        .arg(&packages.tarball)
        .arg("--directory")
        .arg(&dir))?;
    Ok(dir.join(tarball::name()))
}

fn scripts(packages: &Packages) -> Result<()> {
    let home = Home(unpack_tarball(packages, "tarball")?);
    let port = menagerie_ports::free_address()?.port();
    let sample = fs::read_to_string(home.0.join("conf/zoo_sample.cfg"))?;
    let config = sample
        .replace("clientPort=2181", &format!("clientPort={port}"))
        .replace("/var/lib/zookeeper", &home.0.join("data").to_string_lossy());
    fs::write(home.0.join("conf/zoo.cfg"), config)?;
    let server = format!("localhost:{port}");
    home.says("zkServer.sh", &["start"], "Starting zookeeper ... STARTED")?;
    home.says("zkServer.sh", &["status"], "Mode: standalone")?;
    output(&mut home.script("zkCli.sh", &["-server", &server, "create", "/a", "kept"]))?;
    let restarted = "STOPPED\nStarting zookeeper ... STARTED";
    home.says("zkServer.sh", &["restart"], restarted)?;
    home.says("zkCli.sh", &["-server", &server, "get", "/a"], "kept")?;
    home.says("menagerie-tools", &["health", &server], "standalone")?;
    home.says("zkServer.sh", &["stop"], "Stopping zookeeper ... STOPPED")?;
    home.says("zkCleanup.sh", &["-n", "3"], "")?;
    let log = home.0.join("data/version-2/log.1");
    home.says("zkTxnLogToolkit.sh", &[&log.to_string_lossy()], "")?;
    ensure!(home.0.join("logs").is_dir(), "no folder for logs");
    if home
        .script("zkServer.sh", &["status"])
        .stderr(Stdio::null())
        .status()?
        .success()
    {
        bail!("a stopped server has a status");
    }
    Ok(())
}

fn reproducible(packages: &Packages) -> Result<()> {
    let before = fs::read(&packages.tarball)?;
    let dist = root().join("target/dist");
    fs::remove_dir_all(dist.join("tarball"))?;
    let again = tarball::make(&dist, &dist.join("programs"))?;
    ensure!(fs::read(again)? == before, "the bytes differ");
    Ok(())
}

/// What a user does with the package, in a container that is gone afterwards.
const STORY: &str = "set -e
dpkg --install /menagerie.deb >/dev/null
id menagerie >/dev/null
test \"$(stat -c %U:%a /var/lib/menagerie)\" = menagerie:750
menagerie --version | grep -q 'compatible with ZooKeeper'
export ZOO_LOG_DIR=/tmp
PATH=/usr/share/menagerie/bin:$PATH
zkServer.sh start
zkServer.sh status
zkCli.sh create /a 1
zkServer.sh stop
dpkg --remove menagerie >/dev/null
test -f /etc/menagerie/zoo.cfg
dpkg --purge menagerie >/dev/null
test ! -e /etc/menagerie/zoo.cfg
test -d /var/lib/menagerie/version-2
echo all is well
";

fn install(packages: &Packages) -> Result<()> {
    let mut inspect = Command::new("docker");
    inspect
        .args(["image", "inspect", IMAGE])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if !inspect.status().is_ok_and(|status| status.success()) {
        println!("not run: there is no Docker with {IMAGE}; its files are checked all the same");
        return contents(packages);
    }
    let id = output(Command::new("docker").args(["create", IMAGE, "sh", "-c", STORY]))?;
    let mut copy = Command::new("docker");
    copy.args(["cp", "--quiet"])
        .arg(&packages.deb)
        .arg(format!("{id}:/menagerie.deb"));
    let told = run(&mut copy).and_then(|()| {
        let mut start = Command::new("docker");
        output(start.args(["start", "--attach", &id]))
    });
    run(Command::new("docker")
        .args(["rm", "--force", "--volumes", &id])
        .stdout(Stdio::null()))?;
    let told = told?;
    ensure!(told.ends_with("all is well"), "{told}");
    contents(packages)
}

/// The files, and that none is one of Debian's package of ZooKeeper.
fn contents(packages: &Packages) -> Result<()> {
    let list = output(
        Command::new("dpkg-deb")
            .arg("--contents")
            .arg(&packages.deb),
    )?;
    let has = |path: &str| list.lines().any(|line| line.contains(&format!(" .{path}")));
    for script in SCRIPTS {
        let path = format!("/usr/share/menagerie/bin/{script} -> ../../../bin/menagerie-tools");
        ensure!(has(&path), "{path} is missing");
    }
    for path in [
        "/etc/zookeeper",
        "/usr/share/zookeeper",
        "/var/lib/zookeeper",
    ] {
        ensure!(!has(path), "{path} belongs to the package zookeeper");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_units_differ_in_names_only() {
        let read = |name: &str| crate::dist::template(&format!("systemd/{name}")).unwrap();
        let instance = read("menagerie@.service")
            .replace(" (%i)", "")
            .replace("EnvironmentFile=-/etc/default/menagerie-%i\n", "")
            .replace("-%i", "")
            .replace("/%i", "");
        assert_eq!(instance, read("menagerie.service"));
    }
}
