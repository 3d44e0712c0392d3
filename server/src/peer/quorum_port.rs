//! Owns the quorum port and the port of observer masters: accepting learners while this server
//! leads, or observers while it follows, and reading and writing packets on links of either side.
//! Source: `LearnerCnxAcceptor`, `ObserverMaster`, `LearnerHandler`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use menagerie_core::effect::Port;
use menagerie_core::event::Event;
use menagerie_core::ids::LinkId;
use menagerie_core::zab::packet::Packet;
use menagerie_tls::{Stream, TlsFailure};
use menagerie_wire::quorum::packet_len;
use menagerie_wire::text::cfg::ServerAddress;
use socket2::SockRef;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::halves::{Incoming, Outlet, split};
use super::links::{Link, Part, Way};
use super::{Peers, open_aside, secure, snapshot_stream};

/// Learners and strangers together.
const LINKS_MAX: usize = 1024;
/// How a connection to the election port begins. Source:
/// `QuorumCnxManager.PROTOCOL_VERSION_V1`.
const ELECTION_HELLO: &[u8] = &[0xFF; 6];
/// How long an address that could not be opened is left alone.
const REOPEN: Duration = Duration::from_secs(2);
/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// Accepts learners at `port` whenever `wanted`.
pub(super) async fn run(peers: Arc<Peers>, port: Port, mut wanted: watch::Receiver<bool>) {
    let mut stop = peers.stop.clone();
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            now = wanted.wait_for(|wanted| *wanted) => if now.is_err() { return },
        }
        let mut addresses = peers.book.mine();
        if let Some(at) = port_number(&peers, port) {
            addresses.iter_mut().for_each(|address| address.port = at);
        }
        if peers.shared.config.quorum.listen_on_all_ips {
            addresses.sort_by_key(|address| address.port);
            addresses.dedup_by_key(|address| address.port);
        }
        let mut accepting = Vec::new();
        let mut again = false;
        loop {
            addresses = open_all(&peers, port, addresses, &mut accepting, again).await;
            again = true;
            tokio::select! {
                _ = stop.changed() => break,
                _ = wanted.wait_for(|wanted| !*wanted) => break,
                () = tokio::time::sleep(REOPEN), if !addresses.is_empty() => {}
            }
        }
        for task in accepting {
            task.abort();
            let _aborted = task.await;
        }
        if *stop.borrow() {
            return;
        }
    }
}

/// Opens addresses and accepts learners there; those that cannot be opened are left, to be tried
/// again.
async fn open_all(
    peers: &Arc<Peers>,
    port: Port,
    addresses: Vec<ServerAddress>,
    accepting: &mut Vec<JoinHandle<()>>,
    again: bool,
) -> Vec<ServerAddress> {
    let mut left = Vec::new();
    for address in addresses {
        match open_aside(&peers.shared, &address.host, address.port).await {
            Ok(listener) => {
                accepting.push(tokio::spawn(accept(Arc::clone(peers), port, listener)));
            }
            Err(_) if again => left.push(address),
            Err(error) => {
                tracing::error!(host = address.host, port = address.port, %error,
                "cannot open the {}", match port {
                    Port::Quorum => "quorum port; nobody can follow this leader there",
                    Port::ObserverMaster => "port for observers; none will learn from here",
                });
                left.push(address);
            }
        }
    }
    left
}

/// The number, where it is not that of the configuration's server line.
fn port_number(peers: &Peers, port: Port) -> Option<u16> {
    match port {
        Port::Quorum => None,
        Port::ObserverMaster => peers.shared.config.quorum.observer_master_port(),
    }
}

async fn accept(peers: Arc<Peers>, port: Port, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                if peers.links.len() >= LINKS_MAX {
                    tracing::warn!(%remote, ?port, "too many connections of learners");
                    continue;
                }
                let (id, link) = peers.links.open();
                tracing::debug!(%remote, link = id.0, ?port, "a learner connects");
                let patience = peers.tick(peers.shared.config.quorum.init_limit);
                let first = match port {
                    Port::Quorum => First::Learner(patience),
                    Port::ObserverMaster => First::Observer(patience),
                };
                spawn(&peers, id, link, Connection::Accepted(stream, first));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a learner");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Who has to say within which time who it is, on a link that was accepted.
#[derive(Debug, Clone, Copy)]
pub(super) enum First {
    /// Any learner.
    Learner(Duration),
    /// An observer. Source: `LearnerHandler.run`, which refuses others at an observer master.
    Observer(Duration),
}

/// What a link runs over.
#[derive(Debug)]
pub(super) enum Connection {
    /// This server has connected.
    Dialled(Stream),
    /// The other side has, and something has to come first.
    Accepted(TcpStream, First),
}

/// Runs a link.
pub(super) fn spawn(peers: &Arc<Peers>, id: LinkId, link: Arc<Link>, connection: Connection) {
    let socket = match &connection {
        Connection::Dialled(stream) => stream.socket(),
        Connection::Accepted(socket, _) => socket,
    };
    let _slower = socket.set_nodelay(true);
    if peers.shared.config.quorum.tcp_keep_alive {
        let _unsupported = SockRef::from(socket).set_keepalive(true);
    }
    let peers = Arc::clone(peers);
    let remote = socket.peer_addr().ok();
    peers.runtime.clone().spawn(async move {
        let reason = match connection {
            Connection::Dialled(stream) => {
                let input = BytesMut::with_capacity(READ_BYTES);
                converse(&peers, id, &link, (stream, input), None).await
            }
            Connection::Accepted(socket, first) => match let_in(&peers, socket, first).await {
                Ok(Some(begun)) => converse(&peers, id, &link, begun, Some(first)).await,
                Ok(None) => Ok(TlsFailure::Gone.to_string()),
                Err(reason) => Err(reason),
            },
        };
        let reason = reason.unwrap_or_else(|reason| {
            tracing::warn!(
                ?remote,
                "a connection to the quorum port is no learner's: {reason}"
            );
            reason
        });
        peers.links.forget(id);
        peers.parked().remove(&id);
        tracing::debug!(link = id.0, reason, "a link ends");
        peers
            .shared
            .inbox
            .urgent(Event::LinkDown { link: id, reason });
    });
}

/// Does what comes before the packets of who has connected; what has been read of them, unless the
/// other side went without a word.
async fn let_in(
    peers: &Peers,
    socket: TcpStream,
    first: First,
) -> Result<Option<(Stream, BytesMut)>, String> {
    let shared = &peers.shared;
    let mut stream = match secure::incoming(shared, &peers.book, socket).await {
        Ok(stream) => stream,
        Err(TlsFailure::Gone) => return Ok(None),
        Err(failure) => return Err(failure.to_string()),
    };
    let Some(sasl) = &shared.config.quorum_auth.sasl else {
        return Ok(Some((stream, BytesMut::with_capacity(READ_BYTES))));
    };
    let (First::Learner(limit) | First::Observer(limit)) = first;
    let input = sasl.let_in(&mut stream, limit).await;
    let input = input.map_err(|error| error.to_string())?;
    Ok(Some((stream, input)))
}

/// Reads and writes until the link ends; tells why, as an error where it is the fault of someone who
/// has not said who it is.
async fn converse(
    peers: &Arc<Peers>,
    id: LinkId,
    link: &Link,
    (stream, input): (Stream, BytesMut),
    first: Option<First>,
) -> Result<String, String> {
    let (from, to) = split(stream);
    let mut known = first.is_none();
    let end = tokio::select! {
        end = read(Arc::clone(peers), id, (from, input), first, &mut known) => end,
        reason = write(peers, link, to) => return Ok(reason),
    };
    match end {
        Ok(()) => Ok("the other side closed the connection".to_owned()),
        Err(error) if known => Ok(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

async fn write(peers: &Arc<Peers>, link: &Link, mut to: Outlet) -> String {
    link.attach(match &to {
        Outlet::Plain(socket) => Way::Socket(Arc::clone(socket)),
        Outlet::Tls(_) => Way::Task,
    });
    loop {
        let sent = match link.next().await {
            Ok((Part::Bytes(bytes), sent)) => {
                to.send_all(bytes.get(sent..).unwrap_or_default()).await
            }
            Ok((Part::Snapshot(outgoing), _)) => {
                snapshot_stream::send(&peers.shared, &mut to, *outgoing).await
            }
            Err(reason) => {
                to.end().await;
                return reason;
            }
        };
        if let Err(error) = sent {
            return error.to_string();
        }
    }
}

async fn read(
    peers: Arc<Peers>,
    id: LinkId,
    (mut from, mut input): (Incoming, BytesMut),
    mut first: Option<First>,
    known: &mut bool,
) -> io::Result<()> {
    let wrong = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
    let max = peers
        .shared
        .config
        .jute_max_buffer
        .saturating_mul(2)
        .max(4 << 20);
    let mut events = Vec::new();
    loop {
        let mut snapshot = None;
        if first.is_some() && input.starts_with(ELECTION_HELLO) {
            return Err(wrong(
                "so begins a connection for elections: the other side has the quorum port and the \
                 election port of this server the wrong way round"
                    .to_owned(),
            ));
        }
        while let Some(len) = packet_len(&input, max).map_err(|error| wrong(error.to_string()))? {
            let bytes = input.split_to(len).freeze();
            let packet = Packet::decode(&bytes).map_err(|error| wrong(error.to_string()))?;
            if let Packet::Snap(zxid) = packet {
                snapshot = Some(zxid);
                break;
            }
            if let Some(First::Observer(_)) = first
                && !matches!(packet, Packet::Info { observer: true, .. })
            {
                return Err(wrong(format!("{packet} instead of an observer's greeting")));
            }
            first = None;
            *known = true;
            events.push(Event::Packet { link: id, packet });
        }
        if !events.is_empty() {
            peers.deliver(&mut events).await;
        }
        if let Some(zxid) = snapshot {
            let rest;
            (from, rest) = snapshot_stream::receive(&peers, id, zxid, from, input).await?;
            input = rest;
            continue;
        }
        input.reserve(READ_BYTES);
        let reading = from.read_buf(&mut input);
        let got = match first {
            Some(First::Learner(limit) | First::Observer(limit)) => {
                tokio::time::timeout(limit, reading)
                    .await
                    .map_err(|_| wrong("it did not say who it is".to_owned()))??
            }
            None => reading.await?,
        };
        if got == 0 {
            return Ok(());
        }
    }
}
