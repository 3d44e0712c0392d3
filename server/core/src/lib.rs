//! Owns ZooKeeper's rules as pure values: the tree, sessions, watches, request processing and the
//! replica that composes them. May use `menagerie-wire`. Must not do IO, read clocks, spawn
//! threads, lock, or draw randomness of its own: events and the time go in, effects come out.
#![forbid(unsafe_code)]

pub mod acl;
pub mod effect;
pub mod election;
pub mod event;
pub mod ids;
pub mod member;
pub mod planted;
pub mod processor;
pub mod quorum;
pub mod quota;
mod random;
pub mod reaper;
pub mod replica;
pub mod sasl;
pub mod session;
pub mod sessions;
pub mod snap_policy;
pub mod tree;
pub mod txn;
pub mod watch;
pub mod zab;
