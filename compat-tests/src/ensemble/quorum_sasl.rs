//! Owns ensembles whose members log in to each other by SASL, and the way there from those that do
//! not.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::cluster::Cluster;
use super::load::Load;
use super::scenarios::{begin, next_leader, write};

/// Begins each packet of an exchange.
const MAGIC: [u8; 8] = 0x5F24_3501_3501_EDCC_i64.to_be_bytes();
/// How a follower begins, and how server 9 does on the election port.
const FOLLOWER: &[u8] = &[0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
const SERVER_9: &[u8] = b"\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0\0\0\0\0\0\x09\0\0\0\x0b127.0.0.1:1";

const ENABLED: &str = "quorum.auth.enableSasl=true";
const LOGS_IN: &str = "quorum.auth.learnerRequireSasl=true";
const INSISTS: &str = "quorum.auth.serverRequireSasl=true";

/// Gives a member another configuration from its next start on, and a password to log in by.
fn configure(cluster: &mut Cluster, at: usize, password: &str, lines: &[&str]) -> Result<()> {
    let server = &mut cluster.servers[at];
    let jaas: PathBuf = server.data_dir().with_file_name("jaas.conf");
    let module = "org.apache.zookeeper.server.auth.DigestLoginModule required";
    let text = format!(
        "QuorumServer {{\n  {module} user_zk=\"geheim\" user_other=\"x\";\n}};\n\
         QuorumLearner {{\n  {module} username=\"zk\" password=\"{password}\";\n}};\n"
    );
    fs::write(&jaas, text)?;
    let mut settings = server.settings().clone();
    settings
        .lines
        .retain(|line| !line.starts_with("quorum.auth."));
    settings
        .lines
        .extend(lines.iter().map(|&line| line.to_owned()));
    let ours = ["-Djava.security", "-Dzookeeper.fips"];
    settings
        .flags
        .retain(|flag| !ours.iter().any(|start| flag.starts_with(start)));
    if !lines.is_empty() {
        let jaas = jaas.display();
        settings
            .flags
            .push(format!("-Djava.security.auth.login.config={jaas}"));
        // Without it Apache's members do not know DIGEST-MD5.
        settings
            .flags
            .push("-Dzookeeper.fips-mode=false".to_owned());
    }
    server.configure(settings);
    Ok(())
}

/// Nobody without a password.
pub(super) fn all(cluster: &mut Cluster) -> Result<String> {
    let lines = [ENABLED, LOGS_IN, INSISTS];
    for at in 0..cluster.servers.len() {
        configure(cluster, at, "geheim", &lines)?;
    }
    begin(cluster)?;
    for (at, server) in cluster.servers.iter().enumerate() {
        write(server.address(), &format!("s{at}"), 50)?;
    }
    cluster.compare()?;
    strangers_are_refused(cluster)?;
    let nodes = next_leader(cluster)?;
    let follower = cluster.follower()?;
    for (password, lines) in [("wrong", &lines[..]), ("geheim", &[ENABLED][..])] {
        cluster.servers[follower].stop()?;
        configure(cluster, follower, password, lines)?;
        cluster.servers[follower].spawn()?;
        thread::sleep(Duration::from_secs(4));
        let mode = cluster.mode(follower);
        ensure!(mode.is_empty(), "with {password} {lines:?} it is {mode}");
    }
    cluster.servers[follower].stop()?;
    configure(cluster, follower, "geheim", &lines)?;
    cluster.servers[follower].start()?;
    cluster.compare()?;
    Ok(format!("{nodes} nodes compared"))
}

/// What a port answers until it closes or says nothing for a while.
fn answer(port: u16, says: &[u8]) -> Result<(Vec<u8>, bool)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(8)))?;
    stream.write_all(says)?;
    let (mut all, mut chunk) = (Vec::new(), [0; 512]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok((all, true)),
            Ok(got) => all.extend_from_slice(chunk.get(..got).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return Ok((all, true));
            }
            Err(_) => return Ok((all, false)),
        }
    }
}

/// A packet of the exchange.
fn packet(status: i32, token: &[u8]) -> Vec<u8> {
    let mut packet = MAGIC.to_vec();
    packet.extend(status.to_be_bytes());
    packet.extend(u32::try_from(token.len()).unwrap_or_default().to_be_bytes());
    packet.extend_from_slice(token);
    packet
}

/// Who does not log in gets no answer, and who does so wrongly is told; both are disconnected.
fn strangers_are_refused(cluster: &Cluster) -> Result<()> {
    let leader = cluster.leader()?;
    for (at, (quorum, election)) in cluster.ports.iter().enumerate() {
        let ports = [
            (Some(*election), SERVER_9),
            (Some(*quorum).filter(|_| at == leader), &[]),
        ];
        for (port, hello) in ports {
            let Some(port) = port else { continue };
            let name = format!("server {} at port {port}", at + 1);
            let (heard, closed) = answer(port, &[hello, FOLLOWER].concat())?;
            ensure!(heard.is_empty(), "{name} answers {heard:x?}");
            ensure!(closed, "{name} keeps who does not log in");
            let says = [hello, &packet(0, b""), &packet(0, b"username=\"zk\"")].concat();
            let (heard, closed) = answer(port, &says)?;
            let text = String::from_utf8_lossy(&heard);
            ensure!(
                text.contains("realm=\"zk-quorum-sasl-md5\""),
                "{name}: {text}"
            );
            ensure!(
                heard.ends_with(&packet(-1, b"")),
                "{name} does not tell: {heard:x?}"
            );
            ensure!(closed, "{name} keeps who fails");
        }
    }
    Ok(())
}

/// From none to nobody without and back, member by member, while clients write.
pub(super) fn upgrade(cluster: &mut Cluster) -> Result<String> {
    begin(cluster)?;
    let addresses: Vec<_> = cluster
        .servers
        .iter()
        .map(crate::server::Server::address)
        .collect();
    let load = Load::start(&addresses, 3)?;
    let steps: [&[&str]; 6] = [
        &[ENABLED],
        &[ENABLED, LOGS_IN],
        &[ENABLED, LOGS_IN, INSISTS],
        &[ENABLED, LOGS_IN],
        &[ENABLED],
        &[],
    ];
    for lines in steps {
        for at in 0..cluster.servers.len() {
            configure(cluster, at, "geheim", lines)?;
            cluster.servers[at].stop()?;
            cluster.servers[at].start()?;
            cluster.await_serving()?;
        }
    }
    let told = load.finish(addresses[0])?;
    cluster.compare()?;
    Ok(told)
}
