//! Owns ZooKeeper's files: transaction logs, snapshots, epoch files, their directories and their
//! retention. May use `menagerie-wire` and std IO. Must not know what a transaction does.
//!
//! A directory written here can be opened by Apache ZooKeeper and the other way round.

pub mod dirs;
pub mod epoch;
mod error;
pub mod purge;
pub mod snapshot;
pub mod txnlog;

pub use dirs::{DataDirs, DirLock};
pub use error::StorageError;
