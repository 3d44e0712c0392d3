//! Owns client connections: accepting, handshake, reading, serving, flushing. May use the core's
//! readers and the inbox. Must not change the tree.

pub(crate) mod conn;
pub(crate) mod handshake;
pub(crate) mod listener;
pub(crate) mod outbox;
pub(crate) mod registry;
pub(crate) mod throttle;
