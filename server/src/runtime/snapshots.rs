//! Owns taking snapshots while the server serves: the cursor walks the tree in slices, each under a
//! shared guard of at most half a millisecond, and the file is written between the guards.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use menagerie_core::acl::acl_to_wire;
use menagerie_core::event::Event;
use menagerie_core::ids::SessionId;
use menagerie_core::replica::Replica;
use menagerie_core::tree::{SnapshotCursor, Tree};
use menagerie_storage::snapshot::write::SnapshotWriter;
use menagerie_storage::{DataDirs, StorageError};
use menagerie_wire::data::Acl;
use menagerie_wire::txn::DIGEST_VERSION;

use crate::shared::Shared;

/// Bytes of nodes that one guard may cover.
const SLICE_BYTES: usize = 256 << 10;
/// Time that one guard may last.
const SLICE_TIME: Duration = Duration::from_micros(500);
/// Pause between slices: a writer that waits gets its turn, and the disk some air.
const SLICE_PAUSE: Duration = Duration::from_micros(200);
/// Nodes between two looks at the clock.
const NODES_PER_LOOK: usize = 32;

/// Takes snapshots, one at a time.
#[derive(Debug)]
pub(crate) struct SnapshotWorker {
    dirs: DataDirs,
    running: Option<JoinHandle<()>>,
}

impl SnapshotWorker {
    pub(crate) const fn new(dirs: DataDirs) -> Self {
        Self {
            dirs,
            running: None,
        }
    }

    /// Starts a snapshot of the tree as it is now.
    pub(crate) fn start(&mut self, shared: &Arc<Shared>, replica: &Replica) {
        self.join();
        let sessions = replica.sessions().all();
        let dirs = self.dirs.clone();
        let for_thread = Arc::clone(shared);
        let started = std::thread::Builder::new()
            .name("snapshot".to_owned())
            .spawn(move || {
                let shared = for_thread;
                let begun = Instant::now();
                match save(&shared, &dirs, &sessions, true) {
                    Ok(zxid) => {
                        shared.stats.snapshots.fetch_add(1, Relaxed);
                        tracing::info!(
                            zxid = format_args!("0x{zxid:x}"),
                            took_ms = begun.elapsed().as_millis(),
                            "snapshot taken"
                        );
                    }
                    // The log still has everything; the next one may succeed.
                    Err(error) => tracing::error!(%error, "snapshot failed"),
                }
                shared.inbox.urgent(Event::SnapshotDone);
            });
        match started {
            Ok(handle) => self.running = Some(handle),
            Err(error) => {
                tracing::error!(%error, "cannot start the snapshot thread");
                shared.inbox.urgent(Event::SnapshotDone);
            }
        }
    }

    /// Waits for the snapshot under way.
    pub(crate) fn join(&mut self) {
        if let Some(handle) = self.running.take() {
            let _already_reported = handle.join();
        }
    }
}

/// The tree on its way out, slice by slice, each copied under a guard of its own.
pub(crate) struct Walk {
    cursor: SnapshotCursor,
    start: Vec<u8>,
}

impl Walk {
    /// A walk over the tree as it is now, and becomes until it ends.
    pub(crate) fn new(shared: &Shared, sessions: &[(SessionId, i32)]) -> Self {
        let tree = shared.read_tree();
        let cursor = SnapshotCursor::new(&tree);
        let acls: Vec<(i64, Vec<Acl<'static>>)> = tree
            .snapshot_acls()
            .map(|(id, list)| (id, acl_to_wire(list).into_iter().map(owned_acl).collect()))
            .collect();
        drop(tree);
        let sessions = sessions.iter().map(|(id, timeout)| (id.0, *timeout));
        let mut start = Vec::with_capacity(SLICE_BYTES * 2);
        SnapshotWriter::encode_start(&mut start, sessions, acls.iter());
        Self { cursor, start }
    }

    /// What comes before the nodes.
    pub(crate) fn start(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.start)
    }

    /// Appends the next nodes; false behind the last.
    pub(crate) fn next(&mut self, tree: &Tree, bytes: &mut Vec<u8>) -> bool {
        let end = Instant::now() + SLICE_TIME;
        let mut nodes = 0;
        self.cursor.advance(tree, |node| {
            SnapshotWriter::encode_node(bytes, node.path, node.data, node.acl_id, node.stat);
            nodes += 1;
            bytes.len() < SLICE_BYTES && (nodes % NODES_PER_LOOK != 0 || Instant::now() < end)
        })
    }
}

/// Writes a snapshot and returns the zxid that names it.
pub(crate) fn save(
    shared: &Shared,
    dirs: &DataDirs,
    sessions: &[(SessionId, i32)],
    live: bool,
) -> Result<i64, StorageError> {
    let mut walk = Walk::new(shared, sessions);
    let zxid = walk.cursor.start_zxid();
    let compression = shared.config.snapshot_compression;
    let mut writer = SnapshotWriter::create(dirs, zxid, compression)?;
    let mut slice = walk.start();
    writer.write(&slice)?;
    slice.clear();
    loop {
        let more = walk.next(&shared.read_tree(), &mut slice);
        writer.write(&slice)?;
        slice.clear();
        if !more {
            break;
        }
        if live {
            std::thread::sleep(SLICE_PAUSE);
        }
    }
    let tree = shared.read_tree();
    let (last, digest) = (tree.last_zxid(), tree.digest());
    drop(tree);
    let digest = shared
        .config
        .digest_enabled
        .then_some((last, DIGEST_VERSION, digest as i64));
    let last = shared.config.serialize_last_processed_zxid.then_some(zxid);
    writer.end(digest, last)?;
    writer.finish(true)?;
    Ok(zxid)
}

fn owned_acl(acl: Acl<'_>) -> Acl<'static> {
    let id = acl.id;
    Acl::new(
        acl.perms,
        id.scheme.unwrap_or_default().into_owned(),
        id.id.unwrap_or_default().into_owned(),
    )
}
