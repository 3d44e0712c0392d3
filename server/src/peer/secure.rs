//! Owns who speaks TLS on the ports between servers: whoever connects by `sslQuorum`, and who is
//! accepted by that and `portUnification`. May look up the members' names. Must not shake hands
//! itself. Source: `UnifiedServerSocket`, `QuorumCnxManager.initiateConnection`.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use menagerie_tls::{Stream, TlsFailure};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::book::AddressBook;
use super::resolve;
use crate::shared::Shared;

/// How long the name service has for the members' names.
const NAMES: Duration = Duration::from_secs(5);

/// Makes of a socket that is connected to `host` what the settings want.
pub(super) async fn outgoing(shared: &Shared, socket: TcpStream, host: &str) -> io::Result<Stream> {
    match &shared.tls.quorum {
        Some(tls) if shared.config.quorum.ssl => {
            let at = socket.peer_addr()?;
            tls.connect(socket, host).await.map_err(|failure| {
                let failure = io::Error::from(failure);
                let text = format!("{host} ({at}): TLS: {failure}");
                io::Error::new(failure.kind(), text)
            })
        }
        _ => Ok(Stream::Plain(socket)),
    }
}

/// The same of a socket that was accepted.
pub(super) async fn incoming(
    shared: &Shared,
    book: &AddressBook,
    socket: TcpStream,
) -> Result<Stream, TlsFailure> {
    let Some(tls) = &shared.tls.quorum else {
        return Ok(Stream::Plain(socket));
    };
    if shared.config.quorum.port_unification && !tls.detect(&socket).await? {
        return Ok(Stream::Plain(socket));
    }
    let names = if tls.checks_clients() {
        let remote = socket.peer_addr()?.ip().to_canonical();
        names_of(book, remote).await
    } else {
        Vec::new()
    };
    tls.accept_known_as(socket, &names).await
}

/// The members' names that stand for an address.
async fn names_of(book: &AddressBook, ip: IpAddr) -> Vec<String> {
    let members = book.members();
    let mut asking = JoinSet::new();
    for address in members.servers.values().flat_map(|spec| &spec.addresses) {
        let host = address.host.clone();
        asking.spawn(async move {
            let found = tokio::time::timeout(NAMES, resolve(&host, 0))
                .await
                .ok()?
                .ok()?;
            let is_it = found.iter().any(|at| at.ip().to_canonical() == ip);
            is_it.then_some(host)
        });
    }
    let mut names = Vec::new();
    while let Some(name) = asking.join_next().await {
        names.extend(name.ok().flatten());
    }
    names
}
