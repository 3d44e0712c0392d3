//! Owns taking snapshots while the server serves: the cursor walks the tree in slices, each under a
//! shared guard of at most half a millisecond, and the file is written between the guards.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use menagerie_core::event::Event;
use menagerie_core::ids::Zxid;
use menagerie_core::replica::Replica;
use menagerie_core::tree::Tree;
use menagerie_database::{SaveOptions, Saving, Walk};
use menagerie_storage::{DataDirs, StorageError};

use super::inbox::SnapshotAsk;
use crate::config::Config;
use crate::metrics::ms;
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
    /// Whether the one that was started last is at its end.
    done: Arc<AtomicBool>,
    /// Who is told of the next one.
    asked: Vec<SnapshotAsk>,
}

impl SnapshotWorker {
    pub(crate) fn new(dirs: DataDirs) -> Self {
        Self {
            dirs,
            running: None,
            done: Arc::new(AtomicBool::new(true)),
            asked: Vec::new(),
        }
    }

    /// Notes who wants to know of the next snapshot.
    pub(crate) fn ask(&mut self, asked: &mut Vec<SnapshotAsk>) {
        self.asked.append(asked);
    }

    /// Whether one is wanted and none is under way: a snapshot that began before somebody asked may
    /// lack what was written before.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.asked.is_empty() && !self.is_under_way()
    }

    /// Whether one is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        !self.done.load(Acquire)
    }

    /// Starts a snapshot of the tree as it is now. Only the core thread may call it: nothing must be
    /// applied between the look at the sessions and the one at the tree, as a session created in
    /// between would be in neither the snapshot nor the log behind it.
    pub(crate) fn start(&mut self, shared: &Arc<Shared>, replica: &Replica) {
        self.join();
        let walk = Walk::new(&shared.read_tree(), &replica.sessions().all());
        let dirs = self.dirs.clone();
        let for_thread = Arc::clone(shared);
        let asked = std::mem::take(&mut self.asked);
        let done = Arc::clone(&self.done);
        done.store(false, Release);
        let started = std::thread::Builder::new()
            .name("snapshot".to_owned())
            .spawn(move || {
                let shared = for_thread;
                let begun = Instant::now();
                let saved = save(&shared, &dirs, walk);
                match &saved {
                    Ok(zxid) => {
                        let took_ms = ms(begun.elapsed());
                        shared.stats.metrics.snapshottime.add(took_ms);
                        tracing::info!(
                            %zxid,
                            took_ms,
                            "snapshot taken"
                        );
                    }
                    // The log still has everything; the next one may succeed.
                    Err(error) => tracing::error!(%error, "snapshot failed"),
                }
                for asker in asked {
                    let told = saved.as_ref().map_err(ToString::to_string);
                    let _asker_gone = asker.send(told.copied());
                }
                done.store(true, Release);
                shared.inbox.urgent(Event::SnapshotDone);
            });
        match started {
            Ok(handle) => self.running = Some(handle),
            Err(error) => {
                tracing::error!(%error, "cannot start the snapshot thread");
                self.done.store(true, Release);
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

/// Takes the next nodes of a walk, as many as one guard may cover; false behind the last.
pub(crate) fn next_slice(walk: &mut Walk, tree: &Tree, bytes: &mut Vec<u8>) -> bool {
    walk.next(tree, bytes, one_guard())
}

/// Whether the guard may be held for another node.
fn one_guard() -> impl FnMut(&[u8]) -> bool {
    let end = Instant::now() + SLICE_TIME;
    let mut nodes = 0;
    move |bytes| {
        nodes += 1;
        bytes.len() < SLICE_BYTES && (nodes % NODES_PER_LOOK != 0 || Instant::now() < end)
    }
}

/// How this server writes snapshots.
pub(crate) const fn options(config: &Config) -> SaveOptions {
    SaveOptions {
        compression: config.snapshot_compression,
        digest: config.digest_enabled,
        last_zxid: config.serialize_last_processed_zxid,
    }
}

/// Writes a snapshot of the tree that is served meanwhile, and returns the zxid that names it.
fn save(shared: &Shared, dirs: &DataDirs, walk: Walk) -> Result<Zxid, StorageError> {
    let options = options(&shared.config);
    let mut saving = Saving::new(dirs, walk, &options)?;
    loop {
        let more = saving.take(&shared.read_tree(), one_guard());
        saving.write()?;
        if !more {
            break;
        }
        std::thread::sleep(SLICE_PAUSE);
    }
    let tree = shared.read_tree();
    let (last, digest) = (Zxid(tree.last_zxid()), tree.digest());
    drop(tree);
    saving.finish(last, digest)
}
