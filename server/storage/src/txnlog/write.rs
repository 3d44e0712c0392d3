//! Owns appending. All entries since the last commit are written with one call and synced once.
//!
//! The file grows ahead of the entries by really writing zeros, a chunk at a time: syncing data
//! over blocks that exist and have been written touches no metadata, which halves the cost of a
//! sync against a file that grows sparsely, as Apache's does. The chunks double, so that a server
//! that writes little has a small file; readers take the zeros for the end.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use menagerie_wire::jute;
use menagerie_wire::txn::{FILE_VERSION, FileHeader, LOG_MAGIC};

use super::{END_OF_RECORD, HEADER_LEN};
use crate::StorageError;
use crate::dirs::sync_dir;

/// The first step in which a file grows, bytes.
const GROW_MIN: u64 = 256 << 10;
/// The largest one.
const GROW_MAX: u64 = 2 << 20;
/// The file grows when less than this is left, bytes.
const GROW_AHEAD: u64 = 4096;
/// A buffer that one huge batch left behind is given back.
const KEEP_BUFFER: usize = 1 << 20;

/// Settings.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// `zookeeper.preAllocSize` in bytes: how far a file grows ahead at most; 0 is not at all.
    pub prealloc_bytes: u64,
    /// `zookeeper.forceSync`; without it a crash of the machine loses what was acknowledged.
    pub force_sync: bool,
    /// `zookeeper.txnLogSizeLimitInKb` in bytes: a larger file is followed by a new one.
    pub size_limit_bytes: Option<u64>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { prealloc_bytes: 64 << 20, force_sync: true, size_limit_bytes: None }
    }
}

/// What a commit did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitStats {
    /// Bytes of entries written.
    pub bytes: u64,
    /// Duration of the sync.
    pub synced_in: Duration,
}

#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    /// Where the next entry goes.
    end: u64,
    /// Up to where blocks exist.
    allocated: u64,
    grow: u64,
}

/// The log that is being written.
#[derive(Debug)]
pub struct TxnLog {
    dir: PathBuf,
    options: LogOptions,
    open: Option<Open>,
    buffer: Vec<u8>,
    failed: Option<PathBuf>,
}

impl TxnLog {
    /// A log in `dir`; the first entry starts a new file, never continues an old one.
    #[must_use]
    pub const fn new(dir: PathBuf, options: LogOptions) -> Self {
        Self { dir, options, open: None, buffer: Vec::new(), failed: None }
    }

    /// Adds an entry: header, transaction and digest as the log holds them.
    ///
    /// # Errors
    /// When a new file cannot be started.
    pub fn append(&mut self, zxid: i64, entry: &[u8]) -> Result<(), StorageError> {
        if let Some(path) = &self.failed {
            return Err(StorageError::Failed { path: path.clone() });
        }
        if self.open.is_none() {
            self.start_file(zxid)?;
        }
        let checksum = u64::from(simd_adler32::adler32(&entry));
        // An entry is bounded by the requests in it, far below 2^31.
        let len = u32::try_from(entry.len()).unwrap_or(u32::MAX);
        self.buffer.extend_from_slice(&checksum.to_be_bytes());
        self.buffer.extend_from_slice(&len.to_be_bytes());
        self.buffer.extend_from_slice(entry);
        self.buffer.push(END_OF_RECORD);
        Ok(())
    }

    fn start_file(&mut self, zxid: i64) -> Result<(), StorageError> {
        let path = self.dir.join(format!("log.{zxid:x}"));
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(StorageError::io("create", &path))?;
        sync_dir(&self.dir)?;
        jute::append(
            &mut self.buffer,
            &FileHeader { magic: LOG_MAGIC, version: FILE_VERSION, dbid: 0 },
        );
        self.open = Some(Open { file, path, end: 0, allocated: 0, grow: GROW_MIN });
        Ok(())
    }

    /// Writes and syncs what was appended. After an error the log refuses everything: what the
    /// disk then holds is unknown.
    ///
    /// # Errors
    /// When the system cannot write or sync.
    pub fn commit(&mut self) -> Result<CommitStats, StorageError> {
        if let Some(path) = &self.failed {
            return Err(StorageError::Failed { path: path.clone() });
        }
        let Some(open) = &mut self.open else { return Ok(CommitStats::default()) };
        let result = open.write(&self.buffer, &self.options);
        if result.is_err() {
            self.failed = Some(open.path.clone());
        }
        self.buffer.clear();
        self.buffer.shrink_to(KEEP_BUFFER);
        let limit = self.options.size_limit_bytes;
        if limit.is_some_and(|limit| limit > 0 && open.end > limit) {
            self.open = None;
        }
        result
    }

    /// Commits, and lets the next entry start a new file.
    ///
    /// # Errors
    /// As [`TxnLog::commit`].
    pub fn roll(&mut self) -> Result<(), StorageError> {
        if !self.buffer.is_empty() {
            self.commit()?;
        }
        self.open = None;
        Ok(())
    }
}

impl Open {
    fn write(&mut self, bytes: &[u8], options: &LogOptions) -> Result<CommitStats, StorageError> {
        if bytes.is_empty() {
            return Ok(CommitStats::default());
        }
        let written = bytes.len() as u64;
        self.grow_for(self.end + written, options)?;
        self.file
            .write_all_at(bytes, self.end)
            .map_err(StorageError::io("write to", &self.path))?;
        self.end += written;
        let start = Instant::now();
        if options.force_sync {
            self.file.sync_data().map_err(StorageError::io("sync", &self.path))?;
        }
        Ok(CommitStats { bytes: written, synced_in: start.elapsed() })
    }

    fn grow_for(&mut self, needed: u64, options: &LogOptions) -> Result<(), StorageError> {
        if options.prealloc_bytes == 0 || needed + GROW_AHEAD <= self.allocated {
            return Ok(());
        }
        let step = self.grow.min(options.prealloc_bytes.max(GROW_AHEAD));
        self.grow = (self.grow * 2).min(GROW_MAX);
        let from = self.allocated.max(HEADER_LEN).max(self.end);
        let to = needed.max(from) + step;
        let zeros = vec![0; usize::try_from(step).unwrap_or(4096)];
        let mut at = from;
        while at < to {
            let len = zeros.len().min(usize::try_from(to - at).unwrap_or(usize::MAX));
            let chunk = zeros.get(..len).unwrap_or_default();
            self.file.write_all_at(chunk, at).map_err(StorageError::io("extend", &self.path))?;
            at += len as u64;
        }
        self.allocated = to;
        Ok(())
    }
}
