//! Owns the core thread's inbox: what happened, in order of arrival. Producers never wait; what
//! they may put in is bounded by the permits of `client::conn` and by the log thread itself.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use menagerie_core::event::Event;
use menagerie_core::tree::Tree;

use super::engine::Engine;

/// A look at the core's state, for four-letter words.
pub(crate) type Inspection = Box<dyn FnOnce(&Engine, &Tree) + Send>;

/// What the core thread takes at once.
#[derive(Default)]
pub(crate) struct Batch {
    /// From disk and other members: taken first.
    pub(crate) urgent: Vec<Event>,
    /// From clients.
    pub(crate) requests: Vec<Event>,
    /// Questions about the core's state.
    pub(crate) inspections: Vec<Inspection>,
    /// Stop when everything before is done.
    pub(crate) stop: bool,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.urgent.is_empty()
            && self.requests.is_empty()
            && self.inspections.is_empty()
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

    /// Asks for a look at the core's state.
    pub(crate) fn inspect(&self, inspection: Inspection) {
        self.put(|batch| batch.inspections.push(inspection));
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
