//! Owns transaction logs: writing, reading, finding their end, cutting them.
//! Source: `FileTxnLog`, `Util`.

pub mod read;
pub mod recover;
mod write;

pub use write::{CommitStats, LogOptions, TxnLog};

/// Bytes of the file header.
pub(crate) const HEADER_LEN: usize = 16;
/// The byte behind every entry.
pub(crate) const END_OF_RECORD: u8 = 0x42;
/// Bytes of checksum and length before every entry.
pub(crate) const PREFIX_LEN: usize = 12;
/// The longest entry that is believed; a multi may be larger than one request.
pub(crate) const ENTRY_MAX: usize = 64 << 20;
