//! Owns client connections: accepting, handshake, reading, serving, flushing. May use the core's
//! readers and the inbox. Must not change the tree.

pub(crate) mod conn;
pub(crate) mod handshake;
pub(crate) mod inside;
pub(crate) mod late;
pub(crate) mod limits;
pub(crate) mod listener;
mod load;
mod logins;
pub(crate) mod noting;
pub(crate) mod outbox;
pub(crate) mod ports;
pub(crate) mod registry;
pub(crate) mod throttle;
