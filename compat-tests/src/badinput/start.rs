//! Owns what must keep a server from starting, and what it must say then. May start Menagerie.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::programs::Programs;
use crate::raw::Raw;
use crate::server::{Kind, Server, Settings};

/// A case that starts servers of its own.
pub(super) type Case = (&'static str, fn(&Programs) -> Result<()>);

/// Every case.
pub(super) const CASES: &[Case] = &[
    ("wrong values in zoo.cfg", wrong_values),
    ("no zoo.cfg", no_config),
    ("a dataDir that is a file", data_dir_is_a_file),
    ("a dataDir that cannot be read", data_dir_unreadable),
    ("a port in use", port_in_use),
    ("a second server on the same directory", second_instance),
];

const LIMIT: Duration = Duration::from_secs(10);

/// Starts the server, which must end by itself with an error that says all of `words`.
fn refused(server: &mut Server, words: &[&str]) -> Result<()> {
    server.spawn()?;
    let status = server.wait_exit(LIMIT)?;
    let log = server.log();
    ensure!(!status.success(), "ended with success: {log}");
    for word in words {
        ensure!(log.contains(word), "{word:?} is not in: {log}");
    }
    ensure!(!log.contains("panicked"), "panicked: {log}");
    Ok(())
}

/// Each line is the fourth of its file, behind directory, address and port.
fn wrong_values(programs: &Programs) -> Result<()> {
    let lines = [
        ("tickTime=2s", "tickTime=2s"),
        ("maxClientCnxns=many", "maxClientCnxns=many"),
        ("clientPort=99999999999", "clientPort=99999999999"),
        ("minSessionTimeout=", "minSessionTimeout="),
        ("reconfigEnabled=perhaps", "reconfigEnabled=perhaps"),
        ("ssl.ocsp=true", "ssl.ocsp"),
        (
            "autopurge.purgeInterval=daily",
            "autopurge.purgeInterval=daily",
        ),
    ];
    for (line, named) in lines {
        let settings = Settings::new(&[line], &[]);
        let mut server = Server::new(Kind::Menagerie, programs, settings)?;
        refused(&mut server, &["zoo.cfg:4", named])?;
    }
    Ok(())
}

fn no_config(programs: &Programs) -> Result<()> {
    let output = std::process::Command::new(&programs.menagerie)
        .arg("/nonexistent/zoo.cfg")
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "ended with success");
    ensure!(
        log.contains("/nonexistent/zoo.cfg"),
        "the file is not named: {log}"
    );
    Ok(())
}

fn data_dir_is_a_file(programs: &Programs) -> Result<()> {
    let mut server = Server::new(Kind::Menagerie, programs, Settings::default())?;
    fs::write(server.data_dir(), b"not a directory")?;
    let path = server.data_dir().display().to_string();
    refused(&mut server, &[&path])
}

fn data_dir_unreadable(programs: &Programs) -> Result<()> {
    let mut server = Server::started(Kind::Menagerie, programs, Settings::default())?;
    server.stop()?;
    let files = server.data_dir().join("version-2");
    fs::set_permissions(&files, fs::Permissions::from_mode(0o000))?;
    // The superuser may read what nobody may, but not a link to itself.
    if fs::read_dir(&files).is_ok() {
        fs::rename(&files, server.data_dir().join("aside"))?;
        symlink(&files, &files)?;
        let path = server.data_dir().display().to_string();
        return refused(&mut server, &[&path]);
    }
    let path = server.data_dir().display().to_string();
    let result = refused(&mut server, &[&path]);
    fs::set_permissions(&files, fs::Permissions::from_mode(0o755))?;
    result
}

fn port_in_use(programs: &Programs) -> Result<()> {
    let mut server = Server::new(Kind::Menagerie, programs, Settings::default())?;
    let _taken = TcpListener::bind(server.address())?;
    let address = server.address().to_string();
    refused(&mut server, &[&address])
}

fn second_instance(programs: &Programs) -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut first = Server::at(Kind::Menagerie, programs, Settings::default(), home.path())?;
    first.start()?;
    let mut second = Server::at(Kind::Menagerie, programs, Settings::default(), home.path())?;
    let path = home.path().display().to_string();
    refused(&mut second, &[&path])?;
    let (raw, _) = Raw::session(first.address(), 10_000)?;
    raw.close_session()?;
    first.stop()
}
