//! Owns the bytes on their way to a client, in the order in which they were decided. The core
//! pushes while it holds the tree exclusively, a connection's own task while it holds it shared:
//! that order is the protocol's. Nobody waits here; who lets too much pile up is disconnected.

use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use menagerie_core::ids::SessionId;

/// Bytes that may wait for a slow client beyond the reply that is being sent.
pub(crate) const OUTBOX_BYTES_MAX: usize = 64 << 20;

/// What a connection's task takes.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Frames.
    pub(crate) bytes: Vec<u8>,
    /// Frames in `bytes`.
    pub(crate) packets: u64,
    /// Requests of this connection that the core is done with.
    pub(crate) done: usize,
    /// The session that was opened or resumed, with its time-out in ms.
    pub(crate) established: Option<(SessionId, i32)>,
    /// Close when the bytes are sent.
    pub(crate) close: bool,
    /// Close without sending.
    pub(crate) abort: bool,
}

#[derive(Debug, Default)]
struct State {
    out: Outgoing,
    waker: Option<Waker>,
}

/// One connection's outbox.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Whether the core has this connection on its list of those to wake.
    listed: AtomicBool,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to what goes out. Does not wake the connection's task.
    pub(crate) fn push(&self, add: impl FnOnce(&mut Outgoing)) {
        let mut state = self.lock();
        add(&mut state.out);
        if state.out.bytes.len() > OUTBOX_BYTES_MAX {
            state.out.abort = true;
            state.out.bytes = Vec::new();
        }
    }

    /// True for the first caller since the last [`Outbox::wake`].
    pub(crate) fn list(&self) -> bool {
        !self.listed.swap(true, AcqRel)
    }

    /// Wakes the connection's task.
    pub(crate) fn wake(&self) {
        self.listed
            .store(false, std::sync::atomic::Ordering::Release);
        let waker = self.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Adds and wakes.
    pub(crate) fn push_and_wake(&self, add: impl FnOnce(&mut Outgoing)) {
        self.push(add);
        self.wake();
    }

    /// Moves everything into `into`, whose bytes are empty.
    pub(crate) fn take(&self, into: &mut Outgoing) {
        let mut state = self.lock();
        std::mem::swap(&mut state.out, into);
    }

    /// Ready when there is something to take.
    pub(crate) fn poll_ready(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        let out = &state.out;
        let ready = !out.bytes.is_empty()
            || out.done > 0
            || out.established.is_some()
            || out.close
            || out.abort;
        if !ready && state.waker.as_ref().is_none_or(|old| !old.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        ready
    }

    /// Resolves when there is something to take.
    pub(crate) async fn ready(&self) {
        std::future::poll_fn(|cx| {
            if self.poll_ready(cx.waker()) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }

    /// Resolves when the connection is to be dropped at once.
    pub(crate) async fn aborted(&self) {
        std::future::poll_fn(|cx| {
            let mut state = self.lock();
            if state.out.abort {
                return std::task::Poll::Ready(());
            }
            state.waker = Some(cx.waker().clone());
            std::task::Poll::Pending
        })
        .await;
    }

    /// Bytes waiting.
    pub(crate) fn queued(&self) -> usize {
        self.lock().out.bytes.len()
    }
}
