//! Owns the threads that execute what the core decides: the core's own, the log's, the
//! snapshots'. May use core, storage and the clients' outboxes. Must not decide anything.

pub(crate) mod ack_times;
pub(crate) mod core_thread;
pub(crate) mod delivery;
pub(crate) mod engine;
mod errands;
pub(crate) mod inbox;
pub(crate) mod log_thread;
mod oldest;
pub(crate) mod restoring;
pub(crate) mod snapshots;
pub mod watches;
