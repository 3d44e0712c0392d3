//! Owns accepting connections and the limits on their number. Must not serve them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use menagerie_wire::text::cfg::Client;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::handshake;
use super::registry::Refusal;
use crate::config::addresses_to_bind;
use crate::shared::Shared;

/// Pause after an accept that failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long connections get for what is still to be sent.
const GRACE: Duration = Duration::from_secs(1);

/// Opens the listening socket. Port 0 takes a free one.
///
/// # Errors
/// When the address cannot be bound.
pub(crate) fn bind(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(if backlog > 0 { backlog } else { 1024 })?;
    TcpListener::from_std(socket.into())
}

/// Accepts until `stop` changes, then ends all connections. `secure` says that it is the port for TLS.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut listener: TcpListener,
    secure: bool,
    mut stop: watch::Receiver<bool>,
) {
    let mut moved = shared.client_address.subscribe();
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            Ok(()) = moved.changed(), if !secure => {
                let client = moved.borrow_and_update().clone();
                if let Some(client) = client {
                    listener = move_to(&shared, client, listener).await;
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, remote)) => accept(&shared, stream, (remote, secure), &mut tasks),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // What is decided is still sent; who does not read it in time is cut off.
    for conn in shared.conns.of_port(secure) {
        conn.outbox.push_and_wake(|out| out.close = true);
    }
    let all_ended = async { while tasks.join_next().await.is_some() {} };
    let _cut_off = tokio::time::timeout(GRACE, all_ended).await;
    tasks.shutdown().await;
}

/// Listens where a reconfiguration wants it; connections that there are stay. Where that cannot be,
/// the old address goes on. Source: `ServerCnxnFactory.reconfigure`.
async fn move_to(shared: &Arc<Shared>, client: Client, old: TcpListener) -> TcpListener {
    let Client { host, port } = client;
    let name = (host != "0.0.0.0").then(|| host.clone());
    let backlog = shared.config.listen_backlog();
    let current = old.local_addr().ok();
    let opened = tokio::task::spawn_blocking(move || {
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let addresses = addresses_to_bind(name.as_deref(), port)?;
        if current.is_some_and(|current| addresses.contains(&current)) {
            return Ok(None);
        }
        for address in addresses {
            match bind(address, backlog) {
                Ok(listener) => return Ok(Some(listener)),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    });
    match opened.await {
        Ok(Ok(Some(listener))) => {
            tracing::info!(host, port, "clients are served at a new address");
            shared.client_port.store(port, Relaxed);
            listener
        }
        Ok(Err(error)) => {
            tracing::error!(host, port, %error, "cannot listen for clients at the new address");
            old
        }
        Ok(Ok(None)) | Err(_) => old,
    }
}

fn accept(
    shared: &Arc<Shared>,
    stream: TcpStream,
    (remote, secure): (SocketAddr, bool),
    tasks: &mut JoinSet<()>,
) {
    // A client that came by IPv4 is known by its IPv4 address, also on a socket for both.
    let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
    let config = shared.live.load();
    match shared
        .conns
        .open(remote, secure, config.max_client_cnxns, config.max_cnxns)
    {
        Ok(conn) => {
            let _slower_without = stream.set_nodelay(true);
            if config.client_tcp_keep_alive {
                let _unsupported = SockRef::from(&stream).set_keepalive(true);
            }
            let established = shared.clock.now().wall_ms;
            conn.stats.established_ms.store(established, Relaxed);
            if !secure && shared.tls.clients.is_some() {
                shared.stats.note_plain(remote.ip());
            }
            tasks.spawn(handshake::run(Arc::clone(shared), conn, stream));
        }
        Err(refusal) => {
            shared.stats.connections_rejected.fetch_add(1, Relaxed);
            match refusal {
                Refusal::TooMany => {
                    tracing::warn!(%remote, max = config.max_cnxns, "too many connections");
                }
                Refusal::TooManyFromAddress => tracing::warn!(
                    %remote, max = config.max_client_cnxns, "too many connections from the address"
                ),
            }
            // A reset, as ZooKeeper sends, tells the client at once.
            let _plain_close = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }
}
