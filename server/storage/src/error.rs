//! Owns what can go wrong with files; every error names the file, and the place in it.

use std::io;
use std::path::PathBuf;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} is corrupt at offset {offset}: {reason} (last good zxid 0x{last_zxid:x})", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Bytes from its start, uncompressed.
        offset: u64,
        /// What is wrong there.
        reason: String,
        /// The last transaction before that place, 0 when there is none.
        last_zxid: i64,
    },
    /// A snapshot whose contents make no tree.
    #[error("{} cannot be loaded: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Every snapshot there is has been tried.
    #[error("no snapshot in {} can be loaded; the newest fails with: {newest}", dir.display())]
    NoValidSnapshot {
        /// The directory.
        dir: PathBuf,
        /// The error of the newest.
        newest: Box<Self>,
    },
    /// A directory with the files of the other kind.
    #[error("{} holds {found} files; dataDir and dataLogDir seem to be exchanged", dir.display())]
    Misplaced {
        /// The directory.
        dir: PathBuf,
        /// `snapshot` or `log`.
        found: &'static str,
    },
    /// Another process has the directory.
    #[error("{} is in use by another server", path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// A directory is missing and must not be created.
    #[error("{} does not exist and zookeeper.datadir.autocreate is false", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// An earlier failure; nothing written since would be safe.
    #[error("the transaction log {} failed before and is not used any more", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
    },
    /// An entry that no reader would accept.
    #[error("the log entry of zxid 0x{zxid:x} has {len} bytes, which cannot be read back")]
    EntryLength {
        /// Its transaction.
        zxid: i64,
        /// Its bytes.
        len: usize,
    },
    /// A number file with something else in it.
    #[error("{} does not hold a number: {text:?}", path.display())]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// What it holds.
        text: String,
    },
}

impl StorageError {
    /// Wraps what the system said.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Whether the disk is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }
}
