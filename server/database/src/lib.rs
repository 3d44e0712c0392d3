//! Owns the tree on disk: loading it, saving it, cutting it back and replacing it, each in the order
//! of disk operations that a crash between any two of them leaves something to go on from. May use
//! `menagerie-core` and `menagerie-storage`. Must not use threads or the file system directly,
//! nor decide by a clock: the simulator runs it over a disk of its own and crashes it everywhere.
#![forbid(unsafe_code)]

mod behind;
mod blank;
mod change;
mod epochs;
mod load;
mod one_file;
mod save;

pub use behind::read_behind;
pub use blank::{is_blank, set_blank};
pub use change::{Cut, cut, remove_before, replace};
pub use epochs::{load_epochs, save_epoch};
pub use load::{Builder, LoadOptions, RestoreError, Restored, restore};
pub use one_file::{OneFile, load_one_file};
pub use save::{SaveOptions, Saving, Staged, Walk};
