//! Owns ZooKeeper's rules as pure values: the tree, sessions, watches, request processing and the
//! replica that composes them. May use `menagerie-wire`. Must not do IO, read clocks, spawn
//! threads, lock, or draw randomness of its own: events and the time go in, effects come out.
#![forbid(unsafe_code)]

pub mod acl;
pub mod ids;
pub mod watch;
