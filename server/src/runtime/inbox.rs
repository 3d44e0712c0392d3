//! Owns the core thread's inbox: what happened, in order of arrival. Producers never wait; what
//! they may put in is bounded by the permits of `client::conn` and by the log thread itself.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use menagerie_core::event::Event;
use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::member::Place;
use menagerie_core::tree::Tree;
use menagerie_database::Staged;
use tokio::sync::oneshot;

use super::engine::Engine;

/// A look at the core's state.
pub(crate) type Inspection = Box<dyn FnOnce(&Engine, &Tree) + Send>;

/// Who asked for a snapshot is told its zxid, or why there is none.
pub(crate) type SnapshotAsk = oneshot::Sender<Result<Zxid, String>>;

/// A tree that an operator wants back.
pub(crate) struct Restore {
    pub(crate) tree: Box<Tree>,
    pub(crate) sessions: Vec<(SessionId, i32)>,
    /// In an ensemble, the same tree on the disk, and where its leader was asked to put it.
    pub(crate) staged: Option<(Box<Staged>, Place)>,
    /// Is told at which zxid it is served, or why it is not.
    pub(crate) tell: oneshot::Sender<Result<Zxid, String>>,
}

/// What the core thread takes at once.
#[derive(Default)]
pub(crate) struct Batch {
    /// From disk and other members: taken first.
    pub(crate) urgent: Vec<Event>,
    /// From clients.
    pub(crate) requests: Vec<Event>,
    /// Questions about the core's state.
    pub(crate) inspections: Vec<Inspection>,
    /// Snapshots that operators want.
    pub(crate) snapshots: Vec<SnapshotAsk>,
    /// Trees that are to take the place of the one that there is.
    pub(crate) restores: Vec<Restore>,
    /// Stop when everything before is done.
    pub(crate) stop: bool,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.urgent.is_empty()
            && self.requests.is_empty()
            && self.inspections.is_empty()
            && self.snapshots.is_empty()
            && self.restores.is_empty()
            && !self.stop
    }
}

#[derive(Default)]
struct State {
    batch: Batch,
    /// Whether the core thread waits; only then is there someone to wake.
    idle: bool,
}

/// The inbox.
#[derive(Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    wake: Condvar,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, add: impl FnOnce(&mut Batch)) {
        let mut state = self.lock();
        add(&mut state.batch);
        let wake = std::mem::take(&mut state.idle);
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Adds client requests, all of `events`.
    pub(crate) fn requests(&self, events: &mut Vec<Event>) {
        if !events.is_empty() {
            self.put(|batch| batch.requests.append(events));
        }
    }

    /// Adds one client request.
    pub(crate) fn request(&self, event: Event) {
        self.put(|batch| batch.requests.push(event));
    }

    /// Adds an event from disk.
    pub(crate) fn urgent(&self, event: Event) {
        self.put(|batch| batch.urgent.push(event));
    }

    /// Adds events from other members, all of `events`.
    pub(crate) fn urgent_all(&self, events: &mut Vec<Event>) {
        if !events.is_empty() {
            self.put(|batch| batch.urgent.append(events));
        }
    }

    /// Asks for a look at the core's state. None when the server is ending: then nobody answers.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine, &Tree) -> T + Send + 'static,
    ) -> Option<T> {
        let (send, receive) = oneshot::channel();
        let inspection = move |engine: &Engine, tree: &Tree| {
            let _asker_gone = send.send(question(engine, tree));
        };
        self.put(|batch| batch.inspections.push(Box::new(inspection)));
        receive.await.ok()
    }

    /// Asks for a snapshot of the tree as it is now, or a little later. None when the server is
    /// ending.
    pub(crate) async fn snapshot(&self) -> Option<Result<Zxid, String>> {
        let (send, receive) = oneshot::channel();
        self.put(|batch| batch.snapshots.push(send));
        receive.await.ok()
    }

    /// Puts a tree in the place of the one that there is. None when the server is ending.
    pub(crate) async fn restore(
        &self,
        tree: Box<Tree>,
        sessions: Vec<(SessionId, i32)>,
        staged: Option<(Box<Staged>, Place)>,
    ) -> Option<Result<Zxid, String>> {
        let (tell, receive) = oneshot::channel();
        let restore = Restore {
            tree,
            sessions,
            staged,
            tell,
        };
        self.put(|batch| batch.restores.push(restore));
        receive.await.ok()
    }

    /// Asks the core thread to end when all before is done.
    pub(crate) fn stop(&self) {
        self.put(|batch| batch.stop = true);
    }

    /// Exchanges `batch`, which is empty, for what has arrived; waits for something at most
    /// `timeout`.
    pub(crate) fn take(&self, batch: &mut Batch, timeout: Duration) {
        let mut state = self.lock();
        if state.batch.is_empty() && !timeout.is_zero() {
            state.idle = true;
            state = match self
                .wake
                .wait_timeout_while(state, timeout, |state| state.batch.is_empty())
            {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
            state.idle = false;
        }
        std::mem::swap(&mut state.batch, batch);
    }
}
