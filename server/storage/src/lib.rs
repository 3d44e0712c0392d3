//! Owns ZooKeeper's files: transaction logs, snapshots, epoch files, their directories and their
//! retention. May use `menagerie-wire` and std IO. Must not know what a transaction does.
//!
//! A directory written here can be opened by Apache ZooKeeper and the other way round.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

pub mod dirs;
pub mod disk;
pub mod epoch;
mod error;
pub mod planted;
pub mod purge;
pub mod replace;
pub mod snapshot;
pub mod txnlog;
mod window;

pub use dirs::{DataDirs, DirLock};
pub use disk::{Disk, DiskFile, StdDisk};
pub use error::StorageError;
