//! Owns sending the tree to a learner while clients are served, and receiving one.
//! Source: `SerializeUtils.serializeSnapshot`, `Learner.syncWithLeader`.

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use menagerie_core::event::Event;
use menagerie_core::ids::{LinkId, SessionId, Zxid};
use menagerie_core::tree::Tree;
use menagerie_database::{Builder, Walk};
use menagerie_storage::snapshot::read::load_stream;
use menagerie_storage::snapshot::write::SnapshotWriter;
use tokio_util::io::SyncIoBridge;

use super::halves::{Incoming, Outlet};
use super::{Peers, Received};
use crate::runtime::snapshots::next_slice;
use crate::shared::Shared;

/// Bytes of the tree that are taken at once; the core thread needs about a millisecond for each mebibyte.
const AT_ONCE: usize = 8 << 20;

/// The tree on its way to a learner.
#[derive(Debug)]
pub(crate) struct Outgoing {
    walk: Walk,
    bytes: Vec<u8>,
    /// Whether the walk is not at its end.
    more: bool,
}

impl Outgoing {
    /// Takes the tree at the moment in which its zxid is told to the learner. A tree that is taken at
    /// once is exactly that of the zxid; a larger one becomes so only with the transactions that the
    /// learner gets behind it, and learners of Apache's that compare digests meanwhile say that they
    /// do not match.
    pub(crate) fn new(tree: &Tree, sessions: &[(SessionId, i32)]) -> Self {
        let mut walk = Walk::new(tree, sessions);
        let mut bytes = walk.start();
        let more = walk.next(tree, &mut bytes, |bytes| bytes.len() < AT_ONCE);
        Self { walk, bytes, more }
    }
}

/// Sends the tree as it was taken, and the rest of it as it becomes while it is walked.
pub(super) async fn send(
    shared: &Arc<Shared>,
    to: &mut Outlet,
    outgoing: Outgoing,
) -> io::Result<()> {
    let begun = Instant::now();
    let Outgoing {
        mut walk,
        mut bytes,
        mut more,
    } = outgoing;
    let mut sent = 0;
    while more {
        to.send_all(&bytes).await?;
        sent += bytes.len();
        bytes.clear();
        more = next_slice(&mut walk, &shared.read_tree(), &mut bytes);
        tokio::task::yield_now().await;
    }
    SnapshotWriter::encode_stream_end(&mut bytes);
    to.send_all(&bytes).await?;
    sent += bytes.len();
    let took_ms = begun.elapsed().as_millis();
    shared.stats.metrics.snap_count.add(1);
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
    from: Incoming,
    input: BytesMut,
) -> io::Result<(Incoming, BytesMut)> {
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

#[cfg(test)]
mod tests {
    use menagerie_core::tree::TreeOptions;

    use super::*;

    #[test]
    fn a_small_tree_is_taken_at_once() {
        let tree = Tree::new(TreeOptions::default());
        let outgoing = Outgoing::new(&tree, &[(SessionId(7), 4000)]);
        assert!(!outgoing.more);
        let text = String::from_utf8_lossy(&outgoing.bytes);
        assert!(text.contains("/zookeeper/quota"), "{text}");
    }
}
