//! Owns the directories: their layout, creation, names of files in them, and the lock that keeps a
//! second server out. Source: `FileTxnSnapLog`, `Util.getZxidFromName`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::StorageError;

/// The directory below dataDir and dataLogDir that has the files.
const VERSION: &str = "version-2";
/// Apache's server ignores this name.
const LOCK: &str = ".menagerie.lock";

/// The two `version-2` directories, which may be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDirs {
    /// Snapshots.
    pub data: PathBuf,
    /// Transaction logs.
    pub log: PathBuf,
}

impl DataDirs {
    /// Opens or creates the directories below `data_dir` and `data_log_dir`.
    ///
    /// # Errors
    /// When one cannot be made, read or written, or holds the other's files.
    pub fn open(
        data_dir: &Path,
        data_log_dir: &Path,
        autocreate: bool,
    ) -> Result<Self, StorageError> {
        let dirs = Self { data: data_dir.join(VERSION), log: data_log_dir.join(VERSION) };
        for dir in [&dirs.data, &dirs.log] {
            if !dir.exists() {
                if !autocreate {
                    return Err(StorageError::Missing { path: dir.clone() });
                }
                fs::create_dir_all(dir).map_err(StorageError::io("create", dir))?;
            }
            probe(dir)?;
        }
        if dirs.data != dirs.log {
            if !list(&dirs.log, "snapshot")?.is_empty() {
                return Err(StorageError::Misplaced { dir: dirs.log, found: "snapshot" });
            }
            if !list(&dirs.data, "log")?.is_empty() {
                return Err(StorageError::Misplaced { dir: dirs.data, found: "log" });
            }
        }
        Ok(dirs)
    }

    /// Snapshots, newest first, with their zxids.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn snapshots(&self) -> Result<Vec<(i64, PathBuf)>, StorageError> {
        let mut files = list(&self.data, "snapshot")?;
        files.reverse();
        Ok(files)
    }

    /// Transaction logs, oldest first, with the zxids of their first transactions.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn logs(&self) -> Result<Vec<(i64, PathBuf)>, StorageError> {
        list(&self.log, "log")
    }

    /// Bytes in the snapshot directory's files, as `dirs` and `conf` report them.
    #[must_use]
    pub fn data_size(&self) -> u64 {
        size(&self.data, if self.data == self.log { None } else { Some("snapshot") })
    }

    /// Bytes in the log directory's files.
    #[must_use]
    pub fn log_size(&self) -> u64 {
        size(&self.log, None)
    }
}

/// Finds out at the start, not at the first write, that a directory is of no use.
fn probe(dir: &Path) -> Result<(), StorageError> {
    fs::read_dir(dir).map_err(StorageError::io("read", dir))?;
    let path = dir.join(".menagerie.probe");
    File::create(&path).map_err(StorageError::io("write to", dir))?;
    fs::remove_file(&path).map_err(StorageError::io("remove", path))
}

/// Files `prefix.<hex zxid>[.suffix]` by zxid.
fn list(dir: &Path, prefix: &str) -> Result<Vec<(i64, PathBuf)>, StorageError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(StorageError::io("read", dir))? {
        let path = entry.map_err(StorageError::io("read", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(zxid) = zxid_of(name, prefix) {
            files.push((zxid, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The zxid in a file's name. Source: `Util.getZxidFromName`.
#[must_use]
pub fn zxid_of(name: &str, prefix: &str) -> Option<i64> {
    let mut parts = name.split('.');
    if parts.next() != Some(prefix) {
        return None;
    }
    let zxid = i64::from_str_radix(parts.next()?, 16).ok()?;
    // A file being written is not one yet.
    (parts.next_back() != Some("tmp")).then_some(zxid)
}

fn size(dir: &Path, prefix: Option<&str>) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            prefix.is_none_or(|prefix| name.to_string_lossy().starts_with(prefix))
        })
        .filter_map(|entry| entry.metadata().ok())
        .filter(fs::Metadata::is_file)
        .map(|metadata| metadata.len())
        .sum()
}

/// Makes changes to a directory's entries durable.
///
/// # Errors
/// When the system cannot.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StorageError> {
    let handle = File::open(dir).map_err(StorageError::io("open", dir))?;
    handle.sync_all().map_err(StorageError::io("sync", dir))
}

/// Keeps other servers out of a directory while it lives; the system frees it when the process
/// ends, however it ends.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock of `dir`.
    ///
    /// # Errors
    /// [`StorageError::InUse`] when another process, or another server in this one, has it.
    pub fn acquire(dir: &Path) -> Result<Self, StorageError> {
        let path = dir.join(LOCK);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let file = options.open(&path).map_err(StorageError::io("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StorageError::InUse { path }),
            Err(error) => Err(StorageError::io("lock", path)(io::Error::from(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_apache_reads_them() {
        assert_eq!(zxid_of("log.1f", "log"), Some(0x1f));
        assert_eq!(zxid_of("snapshot.10.gz", "snapshot"), Some(0x10));
        assert_eq!(zxid_of("snapshot.10.tmp", "snapshot"), None);
        assert_eq!(zxid_of("log", "log"), None);
        assert_eq!(zxid_of("logs.1", "log"), None);
        assert_eq!(zxid_of("log.xyz", "log"), None);
    }

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::acquire(dir.path()).unwrap();
        assert!(matches!(DirLock::acquire(dir.path()), Err(StorageError::InUse { .. })));
        drop(first);
        DirLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn exchanged_directories_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (data, log) = (dir.path().join("data"), dir.path().join("log"));
        let dirs = DataDirs::open(&data, &log, true).unwrap();
        File::create(dirs.log.join("log.1")).unwrap();
        DataDirs::open(&data, &log, true).unwrap();
        let exchanged = DataDirs::open(&log, &data, true);
        assert!(matches!(exchanged, Err(StorageError::Misplaced { found: "log", .. })));
    }

    #[test]
    fn a_missing_directory_is_made_only_when_that_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        assert!(matches!(DataDirs::open(&gone, &gone, false), Err(StorageError::Missing { .. })));
        DataDirs::open(&gone, &gone, true).unwrap();
    }
}
