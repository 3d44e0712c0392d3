//! Owns sending the tree to a learner while clients are served, and receiving one.
//! Source: `SerializeUtils.serializeSnapshot`, `Learner.syncWithLeader`.

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use menagerie_core::event::Event;
use menagerie_core::ids::{LinkId, Zxid};
use menagerie_storage::snapshot::read::load_stream;
use menagerie_storage::snapshot::write::SnapshotWriter;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::io::SyncIoBridge;

use super::quorum_port::send_all;
use super::{Peers, Received};
use crate::runtime::load::Builder;
use crate::runtime::snapshots::Walk;
use crate::shared::Shared;

/// Sends the tree as it is, and becomes, while it is walked.
pub(super) async fn send(shared: &Arc<Shared>, to: &OwnedWriteHalf) -> io::Result<()> {
    let begun = Instant::now();
    let sessions = crate::fourletter::sessions(shared).await;
    let mut walk = Walk::new(shared, &sessions);
    let mut bytes = walk.start();
    let mut sent = 0;
    loop {
        send_all(to, &bytes).await?;
        sent += bytes.len();
        bytes.clear();
        let more = walk.next(&shared.read_tree(), &mut bytes);
        if !more {
            SnapshotWriter::encode_stream_end(&mut bytes);
            send_all(to, &bytes).await?;
            break;
        }
        tokio::task::yield_now().await;
    }
    sent += bytes.len();
    let took_ms = begun.elapsed().as_millis();
    tracing::info!(bytes = sent, took_ms, "snapshot sent to a learner");
    Ok(())
}

/// Tells the core now and then that the leader is still there.
struct Listening<R> {
    inner: R,
    peers: Arc<Peers>,
    link: LinkId,
    told: Instant,
}

impl<R: Read> Read for Listening<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        if self.told.elapsed() > Duration::from_millis(500) {
            self.told = Instant::now();
            let link = self.link;
            self.peers.shared.inbox.urgent(Event::Heard { link });
        }
        Ok(got)
    }
}

/// Receives a tree; gives back the link and what was read beyond.
pub(super) async fn receive(
    peers: &Arc<Peers>,
    link: LinkId,
    zxid: Zxid,
    from: OwnedReadHalf,
    input: BytesMut,
) -> io::Result<(OwnedReadHalf, BytesMut)> {
    let its = Arc::clone(peers);
    let receiving = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        let mut bridge = SyncIoBridge::new(from);
        let mut builder = Builder::new(its.shared.config.tree_options(its.shared.hash_seed));
        let stream = Listening {
            inner: Cursor::new(input).chain(&mut bridge),
            peers: Arc::clone(&its),
            link,
            told: begun,
        };
        let rest = load_stream(stream, "the leader's snapshot", &mut builder)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        let (tree, sessions) = builder.finish_stream(zxid.0);
        tracing::info!(%zxid, nodes = tree.node_count(), took_ms = begun.elapsed().as_millis(),
            "snapshot received from the leader");
        let sessions = sessions.into_iter().collect();
        its.parked().insert(link, Received { tree, sessions });
        its.shared
            .inbox
            .urgent(Event::SnapshotReceived { link, zxid });
        Ok((bridge.into_inner(), BytesMut::from(&rest[..])))
    });
    receiving.await.map_err(io::Error::other)?
}
