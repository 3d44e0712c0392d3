//! Owns the comparison of TLS for clients: who gets in and as whom, over which ports, with stores of
//! every format, and what clients in Java, Python and Go make of it. May use `certs`, `server`. Must not
//! look into a server.

mod client;
mod programs;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use menagerie_ports::free_address;

use crate::certs::{Authority, FORMATS};
use crate::programs::Programs;
use crate::server::{Kind, Server, Settings, four_letter};
use crate::tally::Tally;
use client::{Identity, Outcome};

/// Only this stack of Apache's knows TLS.
const NETTY: &str =
    "-Dzookeeper.serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory";

/// Subjects that are not easy to write.
const SUBJECTS: &[&str] = &[
    "/CN=plain",
    "/C=DE/ST=Bayern/L=M\u{fc}nchen/O=Zoo, Inc./OU=a+OU=b/street=Way 1/CN=long",
    "/DC=org/DC=example/UID=u/CN=dc/emailAddress=a@b.c",
    "/CN= #x<y>;z=\\\\ \"q\" ",
    "/serialNumber=7/title=Dr/GN=Given/SN=Sur/CN=rare",
    "/O=only an organization",
    "/CN=one/CN=two",
];

/// Something to compare; what to tell of it.
type Test = fn(&Programs, &Authority) -> Result<String>;

/// A server with a port for TLS.
struct Side {
    server: Server,
    secure: SocketAddr,
}

impl Side {
    fn start(kind: Kind, programs: &Programs, lines: &[String]) -> Result<Self> {
        let secure = free_address()?;
        let mut settings = Settings::new(&["tickTime=500", "4lw.commands.whitelist=*"], &[NETTY]);
        settings.lines.extend(lines.iter().cloned());
        settings.lines.extend([
            format!("secureClientPort={}", secure.port()),
            format!("secureClientPortAddress={}", secure.ip()),
        ]);
        let server = Server::started(kind, programs, settings)?;
        Ok(Self { server, secure })
    }

    /// Both servers with the same settings.
    fn both(programs: &Programs, lines: &[String]) -> Result<[Self; 2]> {
        Ok([
            Self::start(Kind::Apache, programs, lines)?,
            Self::start(Kind::Menagerie, programs, lines)?,
        ])
    }
}

/// What both make of the same; fails when they differ.
fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    sides: &[Side; 2],
    mut of: impl FnMut(&Side) -> Result<T>,
) -> Result<T> {
    let [apache, ours] = sides;
    let said = of(apache).with_context(|| format!("{what}: Apache"))?;
    let answered = of(ours).with_context(|| format!("{what}: Menagerie"))?;
    ensure!(
        said == answered,
        "{what}: Apache {said:?}, Menagerie {answered:?}"
    );
    Ok(said)
}

pub(crate) fn run(programs: &Programs) -> Result<bool> {
    let authority = Authority::new()?;
    authority.issue(
        "server",
        "/O=Zoo/CN=server",
        "DNS:localhost,IP:127.0.0.1",
        30,
    )?;
    authority.issue("alice", "/O=Zoo, Inc./CN=alice", "DNS:alice", 30)?;
    authority.issue("bob", "/O=Zoo, Inc./CN=bob", "DNS:bob", 30)?;
    let mut tally = Tally::default();
    let tests: [(&str, Test); 7] = [
        ("who gets in", who_gets_in),
        ("subjects", subjects),
        ("formats", formats),
        ("versions", versions),
        ("words and the wrong tongue", words),
        ("one port for both", unification),
        ("clients", programs::all),
    ];
    for (name, test) in tests {
        tally.note(name, test(programs, &authority));
    }
    Ok(tally.end())
}

fn who_gets_in(programs: &Programs, authority: &Authority) -> Result<String> {
    authority.issue("expired", "/CN=expired", "DNS:x", -1)?;
    let other = Authority::new()?;
    other.issue("stranger", "/CN=stranger", "DNS:x", 30)?;
    authority.trust_itself("carol")?;
    authority.issue_below("dave")?;
    let people = [
        ("nobody", None),
        ("alice", Some(Identity::read(authority, "alice")?)),
        ("expired", Some(Identity::read(authority, "expired")?)),
        ("carol", Some(Identity::read(authority, "carol")?)),
        ("dave", Some(Identity::read(authority, "dave")?)),
        ("stranger", Some(Identity::read(&other, "stranger")?)),
    ];
    let mut told = Vec::new();
    for demand in ["need", "want", "none"] {
        let mut lines = authority.settings("ssl", "server", "pem");
        lines.push(format!("ssl.clientAuth={demand}"));
        lines.push("X509AuthenticationProvider.superUser=CN=alice,O=Zoo\\\\, Inc.".to_owned());
        let sides = Side::both(programs, &lines)?;
        for (name, identity) in &people {
            let what = format!("{name} where clientAuth={demand}");
            let seen = same(&what, &sides, |side| {
                client::whoami(side.secure, authority, identity.as_ref(), &[])
            })?;
            told.push(matches!(seen, Outcome::In(_)));
        }
    }
    let got_in = told.iter().filter(|got_in| **got_in).count();
    ensure!(got_in == 3 + 4 + 6, "{told:?}");
    Ok(format!("{} cases", told.len()))
}

fn subjects(programs: &Programs, authority: &Authority) -> Result<String> {
    let sides = Side::both(programs, &authority.settings("ssl", "server", "pem"))?;
    for (at, subject) in SUBJECTS.iter().enumerate() {
        let name = format!("subject{at}");
        authority.issue(&name, subject, "DNS:x", 30)?;
        let identity = Identity::read(authority, &name)?;
        let seen = same(subject, &sides, |side| {
            client::whoami(side.secure, authority, Some(&identity), &[])
        })?;
        let Outcome::In(ids) = seen else {
            anyhow::bail!("{subject} does not get in");
        };
        ensure!(ids.iter().any(|(scheme, _)| scheme == "x509"), "{ids:?}");
    }
    Ok(format!("{} of them", SUBJECTS.len()))
}

fn formats(programs: &Programs, authority: &Authority) -> Result<String> {
    let alice = Identity::read(authority, "alice")?;
    for format in FORMATS {
        let sides = Side::both(programs, &authority.settings("ssl", "server", format))?;
        let seen = same(format, &sides, |side| {
            client::whoami(side.secure, authority, Some(&alice), &[])
        })?;
        ensure!(matches!(seen, Outcome::In(_)), "{format}: {seen:?}");
    }
    Ok(FORMATS.join(", "))
}

fn versions(programs: &Programs, authority: &Authority) -> Result<String> {
    use tokio_rustls::rustls::version::{TLS12, TLS13};
    let alice = Identity::read(authority, "alice")?;
    let mut cases = 0;
    for (line, wanted) in [
        ("", [false, true]),
        ("ssl.protocol=TLSv1.2", [true, false]),
        ("ssl.enabledProtocols=TLSv1.2,TLSv1.3", [true, true]),
    ] {
        let mut lines = authority.settings("ssl", "server", "pem");
        lines.push(line.to_owned());
        let sides = Side::both(programs, &lines)?;
        for (version, wanted) in [&TLS12, &TLS13].into_iter().zip(wanted) {
            let what = format!("{:?} with {line:?}", version.version);
            let seen = same(&what, &sides, |side| {
                client::whoami(side.secure, authority, Some(&alice), &[version])
            })?;
            ensure!(matches!(seen, Outcome::In(_)) == wanted, "{what}: {seen:?}");
            cases += 1;
        }
    }
    Ok(format!("{cases} cases"))
}

fn words(programs: &Programs, authority: &Authority) -> Result<String> {
    let sides = Side::both(programs, &authority.settings("ssl", "server", "pem"))?;
    let alice = Identity::read(authority, "alice")?;
    let ports = |side: &Side, text: &str| {
        let plain = side.server.address().port().to_string();
        let text = text.replace(&plain, "PLAIN");
        text.replace(&side.secure.port().to_string(), "SECURE")
    };
    for word in ["ruok", "isro", "cons", "srvr", "conf", "stat"] {
        same(&format!("{word} over TLS"), &sides, |side| {
            let text = client::ask(side.secure, authority, &alice, word)?;
            let lines = ports(side, &text);
            let lines = lines.lines().filter(|line| {
                ["client", "secure", "imok", "rw", "Mode", "Connections"]
                    .iter()
                    .any(|start| line.starts_with(start))
            });
            Ok(lines.map(str::to_owned).collect::<Vec<_>>())
        })?;
    }
    // Each port tells of its own connections.
    let _session = [
        client::Session::open(sides[0].secure, authority, &alice)?,
        client::Session::open(sides[1].secure, authority, &alice)?,
    ];
    for word in ["cons", "stat"] {
        let count = |text: &str| text.lines().filter(|line| line.starts_with(" /")).count();
        let plain = same(word, &sides, |side| {
            Ok(count(&four_letter(side.server.address(), word)?))
        })?;
        let secure = same(word, &sides, |side| {
            Ok(count(&client::ask(side.secure, authority, &alice, word)?))
        })?;
        ensure!((plain, secure) == (1, 2), "{word}: {plain} and {secure}");
    }
    same("no TLS at the port for it", &sides, |side| {
        Ok(four_letter(side.secure, "ruok")
            .unwrap_or_default()
            .contains("imok"))
    })?;
    same("TLS where there is none", &sides, |side| {
        client::whoami(side.server.address(), authority, Some(&alice), &[])
    })?;
    same("handshakes that failed", &sides, |side| {
        let _refused = client::whoami(side.secure, authority, None, &[])?;
        std::thread::sleep(Duration::from_millis(200));
        let text = four_letter(side.server.address(), "mntr")?;
        let line = |name: &str| {
            text.lines()
                .find(|l| l.starts_with(name))
                .map(str::to_owned)
        };
        Ok([
            line("zk_outstanding_tls_handshake"),
            line("zk_non_mtls_remote_conn_count"),
        ])
    })?;
    Ok("8 words".to_owned())
}

fn unification(programs: &Programs, authority: &Authority) -> Result<String> {
    let mut lines = authority.settings("ssl", "server", "pem");
    lines.push("client.portUnification=true".to_owned());
    let sides = Side::both(programs, &lines)?;
    let alice = Identity::read(authority, "alice")?;
    let seen = same("with TLS", &sides, |side| {
        client::whoami(side.server.address(), authority, Some(&alice), &[])
    })?;
    ensure!(matches!(seen, Outcome::In(_)), "{seen:?}");
    let seen = same("without a certificate", &sides, |side| {
        client::whoami(side.server.address(), authority, None, &[])
    })?;
    ensure!(seen == Outcome::Out, "{seen:?}");
    let plain = same("without TLS", &sides, |side| {
        four_letter(side.server.address(), "ruok")
    })?;
    ensure!(plain == "imok", "{plain}");
    Ok("with TLS and without".to_owned())
}
