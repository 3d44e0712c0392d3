//! Owns the comparison of Kerberos: a realm of its own, the same clients against both servers with
//! the same keytab, under the same settings; what they print must be the same. May use `server`,
//! `sasl`. Must not look into tokens.

mod clients;
mod realm;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use self::clients::{Client, Jaas};
use self::realm::{REALM, Realm};
use crate::programs::{Programs, target_dir};
use crate::sasl::{PROVIDER, same};
use crate::server::{Kind, Server, Settings};
use crate::tally::Tally;

const SERVICE: &str = "zookeeper/localhost";
/// Somebody else's service: clients get tickets for it, the server has no key.
const OTHER: &str = "other/localhost";
/// Clients, one with a host.
const BOB: &str = "bob";
const ZOE: &str = "zoe/client.example";
/// A service whose key changes.
const STALE: &str = "stale/localhost";

/// How long a server may take that does not start.
const REFUSAL: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Menagerie's binary with the feature gssapi, instead of the one that the unit tests build.
    #[arg(long)]
    with_gssapi: Option<PathBuf>,
}

/// Settings, and what is done under them.
struct Case {
    name: &'static str,
    lines: &'static [&'static str],
    clients: &'static [Client],
}

const LOG_IN: Client = Client::Steps("log-in", &[BOB, ZOE]);

const CASES: &[Case] = &[
    Case {
        name: "tickets",
        lines: &[PROVIDER],
        clients: &[
            Client::Official("bob", Jaas::Keytab),
            Client::Official("bob", Jaas::Tickets),
            Client::Official("bob", Jaas::NoTickets),
            Client::Official("bob", Jaas::ForService(OTHER)),
            Client::Official("bob", Jaas::ForService("nobody/localhost")),
            LOG_IN,
            Client::Steps("choices", &[BOB]),
            Client::Steps("disorder", &[BOB]),
            Client::Steps("pipelined", &[BOB]),
            Client::Steps("crowd", &[BOB]),
            Client::Steps("garbage", &[BOB]),
        ],
    },
    Case {
        name: "without the host",
        lines: &[PROVIDER, "kerberos.removeHostFromPrincipal=true"],
        clients: &[LOG_IN],
    },
    Case {
        name: "without the realm",
        lines: &[PROVIDER, "kerberos.removeRealmFromPrincipal=true"],
        clients: &[LOG_IN],
    },
    Case {
        name: "without host and realm, super users",
        lines: &[
            PROVIDER,
            "kerberos.removeHostFromPrincipal=true",
            "kerberos.removeRealmFromPrincipal=true",
            "superUser=zoe",
        ],
        clients: &[LOG_IN, Client::Official("bob", Jaas::Keytab)],
    },
    Case {
        name: "rules",
        lines: &[
            PROVIDER,
            "kerberos.removeRealmFromPrincipal=true",
            "security.auth_to_local=RULE:[2:$2-$1@$0](client.*@EXAMPLE.ORG)s/([a-z]+)[.](.*)@.*/$2_$1/ RULE:[1:$1]s/b/p/g DEFAULT",
        ],
        clients: &[LOG_IN],
    },
    Case {
        name: "rules that name nobody",
        lines: &[
            PROVIDER,
            "kerberos.removeRealmFromPrincipal=true",
            "security.auth_to_local=RULE:[1:$1@$0](.*)",
        ],
        clients: &[LOG_IN],
    },
    Case {
        name: "without the provider",
        lines: &[],
        clients: &[LOG_IN],
    },
    Case {
        name: "failed clients allowed",
        lines: &[PROVIDER, "allowSaslFailedClients=true"],
        clients: &[
            Client::Steps("garbage", &[BOB]),
            Client::Steps("choices", &[BOB]),
            Client::Steps("disorder", &[BOB]),
            LOG_IN,
        ],
    },
    Case {
        name: "SASL required",
        lines: &[PROVIDER, "sessionRequireClientSASLAuth=true"],
        clients: &[Client::Steps("garbage", &[BOB]), LOG_IN],
    },
];

/// Runs everything; false when something differs.
pub(crate) fn run(options: &Options, plain: &Programs) -> Result<bool> {
    let mut programs = plain.clone();
    programs.menagerie = options
        .with_gssapi
        .clone()
        .unwrap_or_else(|| target_dir().join("debug/menagerie"));
    let home = tempfile::Builder::new()
        .prefix("menagerie-kerberos-")
        .tempdir()?;
    let realm = Realm::start(home.path(), &[SERVICE, OTHER, STALE, BOB, ZOE])?;
    let server_keys = realm.keytab("server.keytab", &[SERVICE])?;
    let client_keys = realm.keytab("clients.keytab", &[BOB, ZOE])?;
    realm.ticket("tickets", &client_keys, BOB)?;
    clients::compile(&programs, &realm)?;
    let mut tally = Tally::default();
    for case in CASES {
        match both(case, &programs, &realm) {
            Ok((apache, ours)) => {
                for (client, (apache, ours)) in case.clients.iter().zip(apache.iter().zip(&ours)) {
                    let name = format!("{}: {}", case.name, client.name());
                    tally.note(&name, judge(apache, ours));
                }
            }
            Err(error) => tally.note(case.name, Err(error)),
        }
    }
    tally.note("an old key, then the new one", stale(&programs, &realm));
    let missing = home.path().join("nowhere.keytab");
    for (name, keytab, principal) in [
        ("a keytab that is not there", &missing, SERVICE),
        ("a principal that is not in the keytab", &server_keys, OTHER),
    ] {
        tally.note(name, refused(&programs, &realm, keytab, principal));
    }
    tally.note("a build without Kerberos", refused_by(plain, &realm));
    Ok(tally.end())
}

/// The JAAS file of a server.
fn server_jaas(realm: &Realm, keytab: &Path, principal: &str) -> Result<PathBuf> {
    let file = realm.file("server.conf");
    let text = format!(
        "Server {{\n  com.sun.security.auth.module.Krb5LoginModule required\n  useKeyTab=true \
         keyTab=\"{}\" storeKey=true useTicketCache=false\n  principal=\"{principal}@{REALM}\";\n}};\n",
        keytab.display()
    );
    std::fs::write(&file, text)?;
    Ok(file)
}

fn settings(realm: &Realm, lines: &[&str], jaas: &Path) -> Settings {
    let mut settings = Settings::new(lines, &[]);
    settings.flags = vec![
        crate::sasl::flag(jaas),
        format!("-Djava.security.krb5.conf={}", realm.krb5_conf().display()),
    ];
    settings
}

/// What each client of a case prints.
type Seen = Vec<Vec<String>>;

/// What is seen of Apache's server, and of ours.
fn both(case: &Case, programs: &Programs, realm: &Realm) -> Result<(Seen, Seen)> {
    let jaas = server_jaas(realm, &realm.file("server.keytab"), SERVICE)?;
    let of = |kind| -> Result<Seen> {
        let settings = settings(realm, case.lines, &jaas);
        let server = Server::started(kind, programs, settings)?;
        let run = |client: &Client| client.run(programs, realm, kind, server.address());
        case.clients.iter().map(run).collect()
    };
    thread::scope(|scope| {
        let apache = scope.spawn(|| of(Kind::Apache));
        let ours = of(Kind::Menagerie);
        let Ok(apache) = apache.join() else {
            bail!("the thread with Apache's server panicked");
        };
        Ok((apache?, ours?))
    })
}

fn judge(apache: &[String], ours: &[String]) -> Result<String> {
    ensure!(
        ours.last().is_some_and(|line| line == "end"),
        "the client did not come to its end: {ours:?}"
    );
    same(apache, ours)
}

/// The server's key changes while it runs, so that no ticket for it can be read, until the new key
/// is in the keytab too.
fn stale(programs: &Programs, realm: &Realm) -> Result<String> {
    let of = |kind: Kind| -> Result<Vec<String>> {
        let name = format!("{}.keytab", kind.name());
        let jaas = server_jaas(realm, &realm.keytab(&name, &[STALE])?, STALE)?;
        let server = Server::started(kind, programs, settings(realm, &[PROVIDER], &jaas))?;
        realm.change_key(STALE)?;
        let client = Client::Official("bob", Jaas::ForService(STALE));
        let mut seen = client.run(programs, realm, kind, server.address())?;
        realm.keytab(&name, &[STALE])?;
        seen.extend(client.run(programs, realm, kind, server.address())?);
        Ok(seen)
    };
    let (apache, ours) = (of(Kind::Apache)?, of(Kind::Menagerie)?);
    let renewed = format!("sasl:bob@{REALM}");
    ensure!(
        ours.iter().any(|line| line.contains(&renewed)),
        "the new key does not count: {ours:?}"
    );
    judge(&apache, &ours)
}

/// A key that is not there keeps both from starting.
fn refused(programs: &Programs, realm: &Realm, keytab: &Path, principal: &str) -> Result<String> {
    let jaas = server_jaas(realm, keytab, principal)?;
    for kind in [Kind::Apache, Kind::Menagerie] {
        let mut server = Server::new(kind, programs, settings(realm, &[PROVIDER], &jaas))?;
        server.spawn()?;
        let status = server.wait_exit(REFUSAL)?;
        ensure!(!status.success(), "{} ends with {status}", kind.name());
        let (log, place) = (server.log(), format!("{}:2: no key of", jaas.display()));
        ensure!(
            kind == Kind::Apache || log.contains(&place),
            "it says {log}"
        );
    }
    Ok("both refuse to start".to_owned())
}

fn refused_by(plain: &Programs, realm: &Realm) -> Result<String> {
    let jaas = server_jaas(realm, &realm.file("server.keytab"), SERVICE)?;
    let mut server = Server::new(Kind::Menagerie, plain, settings(realm, &[PROVIDER], &jaas))?;
    server.spawn()?;
    let status = server.wait_exit(REFUSAL)?;
    ensure!(!status.success(), "it ends with {status}");
    let (log, reason) = (server.log(), "Cargo feature gssapi");
    ensure!(log.contains(reason), "it says {log}");
    Ok("refuses the JAAS file and names the feature".to_owned())
}
