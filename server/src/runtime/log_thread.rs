//! Owns the log thread: it takes all that is queued, writes it with one call, syncs once, and says
//! up to where the log is durable. While it syncs, the next batch gathers: the batch's size follows
//! the device. A failed write or sync is final.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use menagerie_core::effect::LogBatch;
use menagerie_core::event::Event;
use menagerie_core::ids::Zxid;
use menagerie_storage::StorageError;
use menagerie_storage::txnlog::TxnLog;

use crate::shared::Shared;

/// Work for the log, in order.
#[derive(Debug)]
enum Task {
    Append(LogBatch),
    Roll,
}

#[derive(Debug, Default)]
struct State {
    tasks: Vec<Task>,
    stop: bool,
    idle: bool,
}

/// The queue between the core and the log.
#[derive(Debug, Default)]
pub(crate) struct LogQueue {
    state: Mutex<State>,
    wake: Condvar,
    failed: AtomicBool,
}

impl LogQueue {
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

    /// Queues entries; `batch` is empty afterwards.
    pub(crate) fn append(&self, batch: &mut LogBatch) {
        let batch = std::mem::take(batch);
        self.put(|state| state.tasks.push(Task::Append(batch)));
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

/// What the thread works with.
pub(crate) struct LogThread {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: Arc<LogQueue>,
    pub(crate) log: TxnLog,
    pub(crate) policy: FlushPolicy,
    /// Told when the log has failed: the server must not go on.
    pub(crate) on_failure: Box<dyn FnOnce(StorageError) + Send>,
}

impl LogThread {
    /// Runs until stopped, or until the log fails.
    pub(crate) fn run(mut self) {
        let mut tasks = Vec::new();
        while self.queue.take(&mut tasks) {
            self.gather(&mut tasks);
            if let Err(error) = self.write(&mut tasks) {
                self.queue.failed.store(true, Ordering::Release);
                tracing::error!(%error, "the transaction log failed; stopping, nothing more is acknowledged");
                (self.on_failure)(error);
                self.shared.inbox.stop();
                return;
            }
        }
    }

    fn gather(&self, tasks: &mut Vec<Task>) {
        if self.policy.delay.is_zero() {
            return;
        }
        let end = Instant::now() + self.policy.delay;
        while count(tasks) < self.policy.max_batch {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(1)));
            self.queue.take_more(tasks);
        }
    }

    fn write(&mut self, tasks: &mut Vec<Task>) -> Result<(), StorageError> {
        let mut durable = None;
        for task in tasks.drain(..) {
            match task {
                Task::Append(batch) => {
                    for (zxid, entry) in batch.entries() {
                        self.log.append(zxid.0, entry)?;
                        durable = Some(zxid);
                    }
                }
                Task::Roll => {
                    self.commit(durable.take())?;
                    self.log.roll()?;
                }
            }
        }
        self.commit(durable)
    }

    fn commit(&mut self, durable: Option<Zxid>) -> Result<(), StorageError> {
        let Some(zxid) = durable else { return Ok(()) };
        let stats = self.log.commit()?;
        let limit_ms = self.shared.config.fsync_warning_threshold_ms;
        let took_ms = i64::try_from(stats.synced_in.as_millis()).unwrap_or(i64::MAX);
        if took_ms > limit_ms {
            self.shared
                .stats
                .fsync_threshold_exceeded
                .fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                took_ms,
                limit_ms,
                bytes = stats.bytes,
                "syncing the transaction log took long; this delays every write"
            );
        }
        self.shared.inbox.urgent(Event::LogDurable { zxid });
        Ok(())
    }
}

fn count(tasks: &[Task]) -> usize {
    let len = |task: &Task| match task {
        Task::Append(batch) => batch.ends.len(),
        Task::Roll => 0,
    };
    tasks.iter().map(len).sum()
}
