//! Owns the other members: whether their names are known, whether they can be reached, and what they
//! say of themselves. Every wait is short. Must not speak their protocol.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::thread;
use std::time::Duration;

use menagerie_wire::text::cfg::{ServerAddress, ServerSpec};

use super::{Finding, good, risky, wrong};
use crate::config::Config;

/// How long a member may take.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let Some(ensemble) = &config.ensemble else {
        return vec![good("ensemble", "none: this server stands alone")];
    };
    let members = &ensemble.members.servers;
    let mut findings = vec![match members.get(&ensemble.me) {
        Some(spec) => good("myid", format!("{} is {spec}", ensemble.me)),
        None => wrong(
            "myid",
            format!("{} is not among servers {:?}", ensemble.me, members.keys()),
            format!(
                "write this server's number into {}",
                config.data_dir.join("myid").display()
            ),
        ),
    }];
    let others = members.iter().filter(|(sid, _)| **sid != ensemble.me);
    // Together: those that do not answer take all the time that they are given.
    findings.extend(thread::scope(|scope| {
        let asked: Vec<_> = others
            .map(|(sid, spec)| scope.spawn(|| member(*sid, spec, config.client_port)))
            .collect();
        let findings = asked.into_iter().filter_map(|asked| asked.join().ok());
        findings.flatten().collect::<Vec<_>>()
    }));
    findings
}

fn member(sid: i64, spec: &ServerSpec, client_port: u16) -> Vec<Finding> {
    let mut findings = Vec::new();
    for address in &spec.addresses {
        let what = format!("server {sid} at {}", address.host);
        let known = match resolve(address, address.election_port) {
            Ok(known) => known,
            Err(error) => {
                findings.push(wrong(
                    what,
                    format!("its name is not known: {error}"),
                    "correct the name, or its entry in DNS or /etc/hosts; members find it as soon as it is known",
                ));
                continue;
            }
        };
        findings.push(match connect(&known) {
            Ok(stream) => {
                drop(stream);
                good(
                    what,
                    format!("its election port {} answers", address.election_port),
                )
            }
            Err(error) => risky(
                what,
                format!(
                    "its election port {} does not answer: {error}",
                    address.election_port
                ),
                "start it, or let ports of servers pass the firewall",
            ),
        });
    }
    let client = spec.client.as_ref();
    let port = client.map_or(client_port, |client| client.port);
    let first = spec.addresses.first();
    if let Some(mode) = first.and_then(|address| mode(address, port)) {
        findings.push(good(format!("server {sid}"), mode));
    }
    findings
}

fn resolve(address: &ServerAddress, port: u16) -> Result<Vec<SocketAddr>, String> {
    let host = match address.host.as_str() {
        "" => "localhost",
        host => host,
    };
    let known = (host, port)
        .to_socket_addrs()
        .map_err(|error| error.to_string())?;
    let known: Vec<SocketAddr> = known.collect();
    if known.is_empty() {
        return Err("it has no address".to_owned());
    }
    Ok(known)
}

fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut failure = String::new();
    for address in addresses {
        match TcpStream::connect_timeout(address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error.to_string(),
        }
    }
    Err(failure)
}

/// What it says of itself to clients.
fn mode(address: &ServerAddress, port: u16) -> Option<String> {
    let mut stream = connect(&resolve(address, port).ok()?).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"srvr").ok()?;
    let mut answer = String::new();
    stream.take(64 << 10).read_to_string(&mut answer).ok()?;
    let line = |key: &str| answer.lines().find_map(|line| line.strip_prefix(key));
    let version = line("Zookeeper version: ")?.split(',').next()?;
    match (line("Mode: "), line("Zxid: ")) {
        (Some(mode), Some(zxid)) => Some(format!("{mode}, zxid {zxid}, version {version}")),
        _ => Some(answer.lines().next()?.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::Grade;
    use super::*;

    #[test]
    fn members_are_looked_for() {
        let there = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = there.local_addr().unwrap().port();
        let closed = menagerie_ports::free_address().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("myid"), "1").unwrap();
        let mut config = Config::embedded_default();
        for (key, value) in [
            ("server.1", "127.0.0.1:1:2".to_owned()),
            ("server.2", format!("127.0.0.1:1:{port}")),
            ("server.3", format!("127.0.0.1:1:{closed}")),
            ("server.4", "no-such-host.invalid:1:2".to_owned()),
            ("dataDir", dir.path().display().to_string()),
            ("initLimit", "10".to_owned()),
            ("syncLimit", "5".to_owned()),
            ("clientPort", closed.to_string()),
        ] {
            config.set(key, &value).unwrap();
        }
        config.complete().unwrap();
        let grades: Vec<Grade> = examine(&config).iter().map(|f| f.grade).collect();
        assert_eq!(
            grades,
            [Grade::Good, Grade::Good, Grade::Risky, Grade::Wrong]
        );
    }
}
