//! Owns running clients that log in by Kerberos. Must not judge what they print.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::realm::{REALM, Realm};
use crate::guard;
use crate::programs::{Programs, compat_dir};
use crate::sasl::lines;
use crate::server::Kind;

/// A client and what it does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Client {
    /// Apache's client, by that user.
    Official(&'static str, Jaas),
    /// One of ours: a conversation, by each of these principals.
    Steps(&'static str, &'static [&'static str]),
}

/// Where the official client has its ticket from, and for whom it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jaas {
    /// A key in a file.
    Keytab,
    /// A ticket that `kinit` has fetched.
    Tickets,
    /// A file for tickets that is not there.
    NoTickets,
    /// A key in a file; the ticket is for another service than the usual one.
    ForService(&'static str),
}

impl Client {
    pub(super) fn name(self) -> String {
        match self {
            Self::Official(_, Jaas::Keytab) => "the Java client with a keytab".to_owned(),
            Self::Official(_, Jaas::Tickets) => "the Java client with a ticket".to_owned(),
            Self::Official(_, Jaas::NoTickets) => "the Java client without a ticket".to_owned(),
            Self::Official(_, Jaas::ForService(service)) => {
                format!("the Java client with a ticket for {service}")
            }
            Self::Steps(conversation, _) => conversation.to_owned(),
        }
    }

    /// The lines that it prints. Files for clients of both kinds of servers are apart.
    pub(super) fn run(
        self,
        programs: &Programs,
        realm: &Realm,
        kind: Kind,
        address: SocketAddr,
    ) -> Result<Vec<String>> {
        let mut command = guard::dying_with_us(&programs.java)?;
        command
            .args(["-Xmx128m", "-XX:TieredStopAtLevel=1"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=off")
            .arg(format!(
                "-Djava.security.krb5.conf={}",
                realm.krb5_conf().display()
            ))
            .arg("-cp")
            .arg(format!(
                "{}:{}",
                classes(realm).display(),
                programs.class_path
            ));
        let keytab = realm.file("clients.keytab");
        match self {
            Self::Official(user, jaas) => official(&mut command, realm, kind, user, jaas)?
                .arg(format!("localhost:{}", address.port()))
                .arg(user),
            Self::Steps(conversation, principals) => command
                .arg("KerberosSteps")
                .arg(address.port().to_string())
                .arg(conversation)
                .arg(keytab)
                .args(principals),
        };
        lines(&mut command)
    }
}

/// Compiles what the clients are; to be called before the first runs.
pub(super) fn compile(programs: &Programs, realm: &Realm) -> Result<()> {
    let sources = compat_dir().join("java");
    let mut command = guard::dying_with_us(&programs.java.with_file_name("javac"))?;
    command
        .args(["-cp", &programs.class_path, "-d"])
        .arg(classes(realm))
        .arg(sources.join("sasl/SaslSteps.java"))
        .arg(sources.join("kerberos/KerberosSteps.java"));
    lines(&mut command).map(drop)
}

fn classes(realm: &Realm) -> PathBuf {
    realm.file("classes")
}

fn official<'a>(
    command: &'a mut Command,
    realm: &Realm,
    kind: Kind,
    user: &str,
    jaas: Jaas,
) -> Result<&'a mut Command> {
    let file = realm.file(&format!("client-of-{}.conf", kind.name()));
    let cache = |name: &str| {
        let path = realm.file(name);
        format!("useTicketCache=true ticketCache=\"{}\"", path.display())
    };
    let source = match jaas {
        Jaas::Keytab | Jaas::ForService(_) => by_key(&realm.file("clients.keytab")),
        Jaas::Tickets => cache("tickets"),
        Jaas::NoTickets => cache("no-tickets"),
    };
    let text = format!(
        "Client {{\n  com.sun.security.auth.module.Krb5LoginModule required doNotPrompt=true\n  \
         {source}\n  principal=\"{user}@{REALM}\";\n}};\n"
    );
    std::fs::write(&file, text)?;
    command.arg(crate::sasl::flag(&file));
    if let Jaas::ForService(service) = jaas {
        command.arg(format!("-Dzookeeper.server.principal={service}@{REALM}"));
    }
    Ok(command.arg("SaslSteps"))
}

fn by_key(keytab: &Path) -> String {
    format!(
        "useKeyTab=true storeKey=true useTicketCache=false keyTab=\"{}\"",
        keytab.display()
    )
}
