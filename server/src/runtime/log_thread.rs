//! Owns the log thread: it takes all that is queued, writes it with one call, syncs once, and says
//! up to where the log is durable. While it syncs, the next batch gathers: the batch's size follows
//! the device. A failed write or sync is final.
//!
//! While the log thread has nothing to do and the device is quick, the core thread writes a
//! single entry itself: with a single client, waking another thread and being woken by it would only
//! add to the latency.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use menagerie_core::effect::LogBatch;
use menagerie_core::event::{EpochKind, Event};
use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::tree::Tree;
use menagerie_storage::StorageError;
use menagerie_storage::txnlog::TxnLog;

use super::errands;
use super::oldest::Oldest;
use crate::metrics::ms;
use crate::shared::Shared;
use crate::traces;

/// Work for the log, in order.
#[derive(Debug)]
enum Task {
    Append(LogBatch),
    Roll,
    Errand(Errand),
}

/// What a member of an ensemble has to write besides its log, in its place among the entries.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Note that the database is no longer a lost one.
    RegainVote,
    /// An epoch.
    Epoch(EpochKind, i64),
    /// Cut the log; with `reload`, read the tree anew.
    Truncate {
        /// The last transaction that stays.
        zxid: Zxid,
        /// Whether the tree has more.
        reload: bool,
    },
    /// Forget what was before a snapshot that an operator brought.
    Forget {
        /// The snapshot's zxid.
        before: Zxid,
        /// What it took the place of; large ones take a while to go.
        tree: Box<Tree>,
    },
    /// Replace the tree and everything on disk.
    Install {
        /// As of when.
        zxid: Zxid,
        /// The tree.
        tree: Box<Tree>,
        /// The sessions with their time-outs in ms.
        sessions: Vec<(SessionId, i32)>,
    },
}

#[derive(Debug, Default)]
struct State {
    tasks: Vec<Task>,
    stop: bool,
    idle: bool,
}

/// Entries that the core thread may write itself: with more there are others to prepare meanwhile.
const DIRECT_MAX: usize = 1;
/// A device that takes longer gets its own thread always, so that the core never waits for it
/// noticeably.
const DIRECT_SYNC_MAX: Duration = Duration::from_micros(500);

/// The queue between the core and the log.
pub(crate) struct LogQueue {
    state: Mutex<State>,
    wake: Condvar,
    failed: AtomicBool,
    writer: Mutex<LogWriter>,
    policy: FlushPolicy,
}

impl std::fmt::Debug for LogQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogQueue").finish_non_exhaustive()
    }
}

impl LogQueue {
    /// An empty queue in front of a writer.
    pub(crate) fn new(writer: LogWriter, policy: FlushPolicy) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            failed: AtomicBool::new(false),
            writer: Mutex::new(writer),
            policy,
        }
    }

    fn writer(&self) -> MutexGuard<'_, LogWriter> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, add: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        add(&mut state);
        let wake = std::mem::take(&mut state.idle);
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Queues entries, or writes and syncs them here and returns the last; `batch` is empty
    /// afterwards. Only the core thread may call it: what else writes is the log thread, which
    /// rests while it is idle.
    pub(crate) fn append(&self, batch: &mut LogBatch) -> Option<Zxid> {
        let batch = std::mem::take(batch);
        if batch.ends.len() <= DIRECT_MAX && self.policy.delay.is_zero() && self.lock().idle {
            let mut writer = self.writer();
            if writer.last_sync <= DIRECT_SYNC_MAX {
                return self.write(&mut writer, &mut vec![Task::Append(batch)]);
            }
        }
        self.put(|state| state.tasks.push(Task::Append(batch)));
        None
    }

    /// Writes all and syncs; the last entry that is durable now and has not been told of.
    fn write(&self, writer: &mut LogWriter, tasks: &mut Vec<Task>) -> Option<Zxid> {
        match writer.write(tasks) {
            Ok(durable) => durable,
            Err(error) => {
                self.failed.store(true, Ordering::Release);
                tracing::error!(%error, "the transaction log failed; stopping, nothing more is acknowledged");
                if let Some(tell) = writer.on_failure.take() {
                    tell(error);
                }
                None
            }
        }
    }

    /// Queues something else to write; an event tells when it is done.
    pub(crate) fn errand(&self, errand: Errand) {
        self.put(|state| state.tasks.push(Task::Errand(errand)));
    }

    /// Queues the start of a new file.
    pub(crate) fn roll(&self) {
        self.put(|state| state.tasks.push(Task::Roll));
    }

    /// Ends the thread when everything before is on disk.
    pub(crate) fn stop(&self) {
        self.put(|state| state.stop = true);
    }

    /// Whether the log can no longer be trusted.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Waits for work; false when there will be none any more.
    fn take(&self, tasks: &mut Vec<Task>) -> bool {
        let mut state = self.lock();
        while state.tasks.is_empty() && !state.stop {
            state.idle = true;
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.tasks, tasks);
        !tasks.is_empty()
    }

    /// Takes what has come meanwhile.
    fn take_more(&self, tasks: &mut Vec<Task>) {
        tasks.append(&mut self.lock().tasks);
    }
}

/// How long to gather before a sync. Source: `SyncRequestProcessor`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlushPolicy {
    /// `zookeeper.flushDelay`; zero syncs at once.
    pub(crate) delay: Duration,
    /// `zookeeper.maxBatchSize`: so many transactions end the delay.
    pub(crate) max_batch: usize,
}

/// The log, and who is told when it fails.
pub(crate) struct LogWriter {
    shared: Arc<Shared>,
    log: TxnLog,
    /// How long the last sync took; as long as can be before the first.
    last_sync: Duration,
    /// Entries since then.
    unsynced: u64,
    oldest: Oldest,
    /// Told once: the server must not go on.
    on_failure: Option<Box<dyn FnOnce(StorageError) + Send>>,
}

impl LogWriter {
    /// A writer that calls `on_failure` when the log has failed.
    pub(crate) fn new(
        shared: Arc<Shared>,
        log: TxnLog,
        on_failure: impl FnOnce(StorageError) + Send + 'static,
    ) -> Self {
        Self {
            shared,
            log,
            last_sync: Duration::MAX,
            unsynced: 0,
            oldest: Oldest::default(),
            on_failure: Some(Box::new(on_failure)),
        }
    }

    /// Writes and syncs; the last entry.
    fn write(&mut self, tasks: &mut Vec<Task>) -> Result<Option<Zxid>, StorageError> {
        let mut durable = None;
        let mut synced = true;
        for task in tasks.drain(..) {
            match task {
                Task::Append(batch) => {
                    for (zxid, entry) in batch.entries() {
                        self.log.append(zxid.0, entry)?;
                        self.unsynced += 1;
                        self.oldest.note(entry);
                        durable = Some(zxid);
                        synced = false;
                    }
                }
                Task::Roll => {
                    if !std::mem::replace(&mut synced, true) {
                        self.sync()?;
                    }
                    self.log.roll()?;
                }
                Task::Errand(errand) => {
                    if !std::mem::replace(&mut synced, true) {
                        self.sync()?;
                    }
                    let event = errands::run(&self.shared, &mut self.log, errand)?;
                    if let Some(zxid) = durable.take() {
                        self.shared.inbox.urgent(Event::LogDurable { zxid });
                    }
                    if let Some(event) = event {
                        self.shared.inbox.urgent(event);
                    }
                }
            }
        }
        if !synced {
            self.sync()?;
        }
        Ok(durable)
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        let stats = self.log.commit()?;
        self.last_sync = stats.synced_in;
        let limit_ms = self.shared.live.load().fsync_warning_threshold_ms;
        let metrics = &self.shared.stats.metrics;
        metrics.fsynctime.add(ms(stats.synced_in));
        let entries = std::mem::take(&mut self.unsynced);
        metrics.sync_processor_batch_size.add(entries);
        traces::sync(stats.synced_in, entries, stats.bytes);
        let took_ms = i64::try_from(stats.synced_in.as_millis()).unwrap_or(i64::MAX);
        if took_ms > limit_ms {
            self.shared
                .stats
                .fsync_threshold_exceeded
                .fetch_add(1, Ordering::Relaxed);
            let (session, zxid, path) = self.oldest.told().unwrap_or_default();
            let session = SessionId(session);
            let zxid = format_args!("0x{zxid:x}");
            tracing::warn!(
                took_ms,
                limit_ms,
                bytes = stats.bytes,
                %session,
                zxid,
                path,
                "syncing the transaction log took long; this delays every write"
            );
        }
        self.oldest.forget();
        Ok(())
    }
}

/// What the thread works with.
pub(crate) struct LogThread {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: Arc<LogQueue>,
}

impl LogThread {
    /// Runs until stopped, or until the log fails.
    pub(crate) fn run(self) {
        let mut tasks = Vec::new();
        while self.queue.take(&mut tasks) {
            self.gather(&mut tasks);
            let mut writer = self.queue.writer();
            let durable = self.queue.write(&mut writer, &mut tasks);
            drop(writer);
            if self.queue.has_failed() {
                self.shared.inbox.stop();
                return;
            }
            if let Some(zxid) = durable {
                self.shared.inbox.urgent(Event::LogDurable { zxid });
            }
        }
    }

    fn gather(&self, tasks: &mut Vec<Task>) {
        let policy = self.queue.policy;
        if policy.delay.is_zero() {
            return;
        }
        let end = Instant::now() + policy.delay;
        while count(tasks) < policy.max_batch {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(1)));
            self.queue.take_more(tasks);
        }
    }
}

fn count(tasks: &[Task]) -> usize {
    let len = |task: &Task| match task {
        Task::Append(batch) => batch.ends.len(),
        Task::Roll | Task::Errand(_) => 0,
    };
    tasks.iter().map(len).sum()
}
