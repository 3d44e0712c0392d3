//! Owns ensembles whose members speak TLS with each other, and the way there from those that do not.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::cluster::Cluster;
use super::load::Load;
use super::scenarios::{begin, next_leader, write};
use crate::certs::{Authority, FORMATS};

/// How a member of an ensemble begins to talk on the election port.
const HELLO: [u8; 8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00];

/// Members whose certificates are for their address, each with stores of another format.
fn issue(cluster: &Cluster) -> Result<Authority> {
    let authority = Authority::new()?;
    for at in 0..cluster.servers.len() {
        let subject = format!("/O=Zoo/CN=member {at}");
        authority.issue(&format!("member{at}"), &subject, "IP:127.0.0.1", 30)?;
    }
    Ok(authority)
}

/// Replaces a member's settings of TLS; they hold from its next start on.
fn configure(cluster: &mut Cluster, at: usize, authority: &Authority, more: &[&str]) {
    let server = &mut cluster.servers[at];
    let mut settings = server.settings().clone();
    let of_tls = ["sslQuorum", "portUnification", "ssl.quorum.", "fips-mode"];
    settings
        .lines
        .retain(|line| !of_tls.iter().any(|start| line.starts_with(start)));
    let format = FORMATS[at % FORMATS.len()];
    let stores = authority.settings("ssl.quorum", &format!("member{at}"), format);
    settings.lines.extend(stores);
    settings
        .lines
        .extend(more.iter().map(|&line| line.to_owned()));
    server.configure(settings);
}

/// Nothing but TLS, with names checked and without.
pub(super) fn all(cluster: &mut Cluster) -> Result<String> {
    let authority = issue(cluster)?;
    for at in 0..cluster.servers.len() {
        configure(
            cluster,
            at,
            &authority,
            &["sslQuorum=true", "fips-mode=false"],
        );
    }
    begin(cluster)?;
    for (at, server) in cluster.servers.iter().enumerate() {
        write(server.address(), &format!("t{at}"), 50)?;
    }
    cluster.compare()?;
    plain_is_refused(cluster)?;
    // A snapshot, and then the next leader's turn.
    let follower = cluster.follower()?;
    cluster.servers[follower].kill()?;
    let version = cluster.servers[follower].data_dir().join("version-2");
    fs::remove_dir_all(version)?;
    cluster.servers[follower].start()?;
    cluster.compare()?;
    let nodes = next_leader(cluster)?;
    strangers_stay_outside(cluster, &authority)?;
    Ok(format!("{nodes} nodes compared"))
}

/// Neither port talks to anybody without TLS.
fn plain_is_refused(cluster: &Cluster) -> Result<()> {
    let leader = cluster.leader()?;
    for (at, (quorum, election)) in cluster.ports.iter().enumerate() {
        let ports = [Some(*election), Some(*quorum).filter(|_| at == leader)];
        for port in ports.into_iter().flatten() {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.write_all(&HELLO)?;
            let mut answer = [0; 64];
            let got = stream.read(&mut answer).unwrap_or(0);
            // An alert of TLS is no answer.
            let told = answer.first() == Some(&0x15);
            ensure!(
                got == 0 || told,
                "server {} answers at port {port} without TLS",
                at + 1
            );
        }
    }
    Ok(())
}

/// A member with a certificate of another authority, or for another host, does not get in; with its
/// own it does.
fn strangers_stay_outside(cluster: &mut Cluster, authority: &Authority) -> Result<()> {
    let follower = cluster.follower()?;
    let (address, other) = (cluster.servers[follower].address(), Authority::new()?);
    let name = format!("member{follower}");
    other.issue(&name, "/CN=stranger", "IP:127.0.0.1", 30)?;
    let lines = ["sslQuorum=true", "fips-mode=false"];
    for misfit in 0..2 {
        cluster.servers[follower].stop()?;
        configure(cluster, follower, authority, &lines);
        let mut settings = cluster.servers[follower].settings().clone();
        let wrong = match misfit {
            0 => other.path(&format!("{name}.pem")),
            _ => {
                let file = "elsewhere";
                authority.issue(file, "/CN=elsewhere", "DNS:elsewhere.example.org", 30)?;
                authority.path("elsewhere.pem")
            }
        };
        settings
            .lines
            .retain(|line| !line.starts_with("ssl.quorum.keyStore"));
        let wrong = format!("ssl.quorum.keyStore.location={}", wrong.display());
        settings.lines.push(wrong);
        cluster.servers[follower].configure(settings);
        cluster.servers[follower].spawn()?;
        thread::sleep(Duration::from_secs(4));
        let mode = cluster.mode(follower);
        ensure!(mode.is_empty(), "stranger {misfit} at {address} is {mode}");
    }
    cluster.servers[follower].stop()?;
    configure(cluster, follower, authority, &lines);
    cluster.servers[follower].start()?;
    cluster.compare()?;
    Ok(())
}

/// From none to TLS only and back, member by member, while clients write.
pub(super) fn upgrade(cluster: &mut Cluster) -> Result<String> {
    let authority = issue(cluster)?;
    begin(cluster)?;
    let addresses: Vec<_> = cluster
        .servers
        .iter()
        .map(crate::server::Server::address)
        .collect();
    let load = Load::start(&addresses, 3)?;
    let steps: [&[&str]; 5] = [
        &["sslQuorum=false", "portUnification=true"],
        &["sslQuorum=true", "portUnification=true"],
        &["sslQuorum=true", "portUnification=false"],
        &["sslQuorum=true", "portUnification=true"],
        &["sslQuorum=false", "portUnification=true"],
    ];
    for lines in steps {
        for at in 0..cluster.servers.len() {
            configure(cluster, at, &authority, lines);
            cluster.servers[at].stop()?;
            cluster.servers[at].start()?;
            cluster.await_serving()?;
        }
        if lines.contains(&"portUnification=false") {
            plain_is_refused(cluster)?;
        }
    }
    let told = load.finish(addresses[0])?;
    cluster.compare()?;
    Ok(told)
}
