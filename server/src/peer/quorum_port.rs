//! Owns the quorum port: accepting learners while this server leads, and reading and writing
//! packets on links of either side. Source: `LearnerCnxAcceptor`, `LearnerHandler`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use menagerie_core::event::Event;
use menagerie_core::ids::LinkId;
use menagerie_core::zab::packet::Packet;
use menagerie_wire::quorum::packet_len;
use socket2::SockRef;
use tokio::io::AsyncReadExt as _;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::links::{Link, Part};
use super::{Peers, listen_on, open, snapshot_stream};

/// Learners and strangers together.
const LINKS_MAX: usize = 1024;
/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// Accepts learners whenever this server leads.
pub(super) async fn run(peers: Arc<Peers>, mut leads: watch::Receiver<bool>) {
    let mut stop = peers.stop.clone();
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            led = leads.wait_for(|leads| *leads) => if led.is_err() { return },
        }
        let addresses = peers.addresses(peers.me).to_vec();
        let mut listeners = Vec::new();
        for address in addresses {
            let opened = listen_on(&peers.shared, &address.host, address.port)
                .and_then(|addresses| open(&addresses));
            match opened {
                Ok(listener) => listeners.push(listener),
                Err(error) => tracing::error!(host = address.host, port = address.port, %error,
                    "cannot open the quorum port; nobody can follow this leader"),
            }
        }
        let accepting: Vec<_> = listeners
            .into_iter()
            .map(|listener| tokio::spawn(accept(Arc::clone(&peers), listener)))
            .collect();
        tokio::select! {
            _ = stop.changed() => {}
            _ = leads.wait_for(|leads| !*leads) => {}
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

async fn accept(peers: Arc<Peers>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                if peers.links.len() >= LINKS_MAX {
                    tracing::warn!(%remote, "too many connections to the quorum port");
                    continue;
                }
                let (id, link) = peers.links.open();
                tracing::debug!(%remote, link = id.0, "a learner connects");
                let patience = peers.tick(peers.shared.config.quorum.init_limit);
                spawn(&peers, id, link, stream, Some(patience));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a learner");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Runs a link. Who has `patience` must hear something within that time.
pub(super) fn spawn(
    peers: &Arc<Peers>,
    id: LinkId,
    link: Arc<Link>,
    stream: TcpStream,
    patience: Option<Duration>,
) {
    let _slower = stream.set_nodelay(true);
    if peers.shared.config.quorum.tcp_keep_alive {
        let _unsupported = SockRef::from(&stream).set_keepalive(true);
    }
    let peers = Arc::clone(peers);
    peers.runtime.clone().spawn(async move {
        let (from, to) = stream.into_split();
        let reason = tokio::select! {
            end = read(Arc::clone(&peers), id, from, patience) => match end {
                Ok(()) => "the other side closed the connection".to_owned(),
                Err(error) => error.to_string(),
            },
            reason = write(&peers, &link, to) => reason,
        };
        peers.links.forget(id);
        peers.parked().remove(&id);
        tracing::debug!(link = id.0, reason, "a link ends");
        peers
            .shared
            .inbox
            .urgent(Event::LinkDown { link: id, reason });
    });
}

async fn write(peers: &Arc<Peers>, link: &Link, to: OwnedWriteHalf) -> String {
    let to = Arc::new(to);
    link.attach(Arc::clone(&to));
    loop {
        let sent = match link.next().await {
            Ok((Part::Bytes(bytes), sent)) => {
                send_all(&to, bytes.get(sent..).unwrap_or_default()).await
            }
            Ok((Part::Snapshot, _)) => snapshot_stream::send(&peers.shared, &to).await,
            Err(reason) => {
                let stream: &TcpStream = (*to).as_ref();
                let _already_gone = SockRef::from(stream).shutdown(std::net::Shutdown::Write);
                return reason;
            }
        };
        if let Err(error) = sent {
            return error.to_string();
        }
    }
}

/// Sends all of `bytes`.
pub(super) async fn send_all(to: &OwnedWriteHalf, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn read(
    peers: Arc<Peers>,
    id: LinkId,
    mut from: OwnedReadHalf,
    patience: Option<Duration>,
) -> io::Result<()> {
    let wrong = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
    let max = peers
        .shared
        .config
        .jute_max_buffer
        .saturating_mul(2)
        .max(4 << 20);
    let mut input = BytesMut::with_capacity(READ_BYTES);
    let mut events = Vec::new();
    let mut first = patience;
    loop {
        let mut snapshot = None;
        while let Some(len) = packet_len(&input, max).map_err(|error| wrong(error.to_string()))? {
            let bytes = input.split_to(len).freeze();
            let packet = Packet::decode(&bytes).map_err(|error| wrong(error.to_string()))?;
            if let Packet::Snap(zxid) = packet {
                snapshot = Some(zxid);
                break;
            }
            first = None;
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
            Some(patience) => tokio::time::timeout(patience, reading)
                .await
                .map_err(|_| wrong("it did not say who it is".to_owned()))??,
            None => reading.await?,
        };
        if got == 0 {
            return Ok(());
        }
    }
}
