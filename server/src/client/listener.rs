//! Owns accepting connections and the limits on their number. Must not serve them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::handshake;
use super::registry::Refusal;
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

/// Accepts until `stop` changes, then ends all connections.
pub(crate) async fn run(
    shared: Arc<Shared>,
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, remote)) => accept(&shared, stream, remote, &mut tasks),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // What is decided is still sent; who does not read it in time is cut off.
    for conn in shared.conns.all() {
        conn.outbox.push_and_wake(|out| out.close = true);
    }
    let all_ended = async { while tasks.join_next().await.is_some() {} };
    let _cut_off = tokio::time::timeout(GRACE, all_ended).await;
    tasks.shutdown().await;
}

fn accept(shared: &Arc<Shared>, stream: TcpStream, remote: SocketAddr, tasks: &mut JoinSet<()>) {
    // A client that came by IPv4 is known by its IPv4 address, also on a socket for both.
    let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
    let config = &shared.config;
    match shared
        .conns
        .open(remote, config.max_client_cnxns, config.max_cnxns)
    {
        Ok(conn) => {
            let _slower_without = stream.set_nodelay(true);
            if config.client_tcp_keep_alive {
                let _unsupported = SockRef::from(&stream).set_keepalive(true);
            }
            let established = shared.clock.now().wall_ms;
            conn.stats.established_ms.store(established, Relaxed);
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
