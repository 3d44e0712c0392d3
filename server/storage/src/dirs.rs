//! Owns the directories: their layout, creation, names of files in them, and the lock that keeps a
//! second server out. Source: `FileTxnSnapLog`, `Util.getZxidFromName`.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use crate::StorageError;
use crate::disk::{Access, Disk, StdDisk};

/// The directory below dataDir and dataLogDir that has the files.
const VERSION: &str = "version-2";
/// Apache's server ignores this name.
const LOCK: &str = ".menagerie.lock";

/// In `dataLogDir`: an empty database may be trusted. Source: `FileTxnSnapLog.restore`.
const INITIALIZE: &str = "initialize";

/// The two `version-2` directories, which may be one, and the disk that has them.
#[derive(Debug, Clone)]
pub struct DataDirs {
    /// Snapshots.
    pub data: PathBuf,
    /// Transaction logs.
    pub log: PathBuf,
    disk: Arc<dyn Disk>,
}

impl DataDirs {
    /// Opens or creates the directories below `data_dir` and `data_log_dir`, on the file system.
    ///
    /// # Errors
    /// See [`DataDirs::open_on`].
    pub fn open(
        data_dir: &Path,
        data_log_dir: &Path,
        autocreate: bool,
    ) -> Result<Self, StorageError> {
        Self::open_on(StdDisk::shared(), data_dir, data_log_dir, autocreate)
    }

    /// Opens or creates the directories below `data_dir` and `data_log_dir`.
    ///
    /// # Errors
    /// When one cannot be made, read or written, or holds the other's files.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        data_dir: &Path,
        data_log_dir: &Path,
        autocreate: bool,
    ) -> Result<Self, StorageError> {
        let dirs = Self {
            data: data_dir.join(VERSION),
            log: data_log_dir.join(VERSION),
            disk,
        };
        for dir in [&dirs.data, &dirs.log] {
            match dirs.disk.list(dir) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if !autocreate {
                        return Err(StorageError::Missing { path: dir.clone() });
                    }
                    dirs.disk
                        .create_dir_all(dir)
                        .map_err(StorageError::io("create", dir))?;
                    // Without its own name a directory's synced files are gone too.
                    for above in dir.ancestors().skip(1).take(2) {
                        // A name alone is in the directory that the server was started in.
                        let here = above.as_os_str().is_empty();
                        dirs.sync_dir(if here { Path::new(".") } else { above })?;
                    }
                }
                Err(error) => return Err(StorageError::io("read", dir)(error)),
            }
            dirs.probe(dir)?;
        }
        if dirs.data != dirs.log {
            dirs.refuse_misplaced(&dirs.log, "snapshot")?;
            dirs.refuse_misplaced(&dirs.data, "log")?;
        }
        Ok(dirs)
    }

    /// The disk that has the directories.
    #[must_use]
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Finds out at the start, not at the first write, that a directory is of no use.
    fn probe(&self, dir: &Path) -> Result<(), StorageError> {
        let path = dir.join(".menagerie.probe");
        self.disk
            .create(&path)
            .map_err(StorageError::io("write to", dir))?;
        self.disk
            .remove(&path)
            .map_err(StorageError::io("remove", path))
    }

    /// Source: `FileTxnSnapLog.checkLogDir`, `checkSnapDir`, which look at the prefix alone.
    fn refuse_misplaced(&self, dir: &Path, kind: &'static str) -> Result<(), StorageError> {
        let names = self.disk.list(dir).map_err(StorageError::io("read", dir))?;
        let prefix = |name: &str| {
            name.strip_prefix(kind)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        if names.iter().any(|path| prefix(file_name(path))) {
            return Err(StorageError::Misplaced {
                dir: dir.to_owned(),
                found: kind,
            });
        }
        Ok(())
    }

    /// Whether `dataLogDir` had the marker `initialize`, by which an operator says that an empty
    /// database is meant to be one; the marker is gone afterwards.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn take_initialize_marker(&self) -> Result<bool, StorageError> {
        let path = self.log.parent().unwrap_or(&self.log).join(INITIALIZE);
        match self.disk.remove(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StorageError::io("remove", path)(error)),
        }
    }

    /// Snapshots, newest first, with their zxids.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn snapshots(&self) -> Result<Vec<(i64, PathBuf)>, StorageError> {
        let mut files = self.list(&self.data, "snapshot")?;
        files.reverse();
        Ok(files)
    }

    /// Transaction logs, oldest first, with the zxids of their first transactions.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn logs(&self) -> Result<Vec<(i64, PathBuf)>, StorageError> {
        self.list(&self.log, "log")
    }

    /// Files `prefix.<hex zxid>[.suffix]` by zxid.
    fn list(&self, dir: &Path, prefix: &str) -> Result<Vec<(i64, PathBuf)>, StorageError> {
        let paths = self.disk.list(dir).map_err(StorageError::io("read", dir))?;
        let zxid = |path: PathBuf| zxid_of(file_name(&path), prefix).map(|zxid| (zxid, path));
        let mut files: Vec<_> = paths.into_iter().filter_map(zxid).collect();
        files.sort_unstable();
        Ok(files)
    }

    /// Bytes in the snapshot directory's files, as `dirs` and `conf` report them.
    #[must_use]
    pub fn data_size(&self) -> u64 {
        self.size(
            &self.data,
            if self.data == self.log {
                ""
            } else {
                "snapshot"
            },
        )
    }

    /// Bytes in the log directory's files.
    #[must_use]
    pub fn log_size(&self) -> u64 {
        self.size(&self.log, "")
    }

    fn size(&self, dir: &Path, prefix: &str) -> u64 {
        let Ok(paths) = self.disk.list(dir) else {
            return 0;
        };
        let paths = paths
            .iter()
            .filter(|path| file_name(path).starts_with(prefix));
        let len = |path: &PathBuf| {
            self.disk
                .open(path, Access::Read)
                .and_then(|file| file.len())
        };
        paths.filter_map(|path| len(path).ok()).sum()
    }

    /// Makes changes to a directory's entries durable.
    pub(crate) fn sync_dir(&self, dir: &Path) -> Result<(), StorageError> {
        self.disk
            .sync_dir(dir)
            .map_err(StorageError::io("sync", dir))
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
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

/// Keeps other servers out of a directory while it lives; the system frees it when the process
/// ends, however it ends.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Whether `dir` has ever been locked.
    #[must_use]
    pub fn is_there(dir: &Path) -> bool {
        dir.join(LOCK).exists()
    }

    /// Takes the lock of `dir`.
    ///
    /// # Errors
    /// [`StorageError::InUse`] when another process, or another server in this one, has it.
    pub fn acquire(dir: &Path) -> Result<Self, StorageError> {
        let path = dir.join(LOCK);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let file = options
            .open(&path)
            .map_err(StorageError::io("open", &path))?;
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
        assert!(matches!(
            DirLock::acquire(dir.path()),
            Err(StorageError::InUse { .. })
        ));
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
        assert!(matches!(
            exchanged,
            Err(StorageError::Misplaced { found: "log", .. })
        ));
    }

    #[test]
    fn a_missing_directory_is_made_only_when_that_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        assert!(matches!(
            DataDirs::open(&gone, &gone, false),
            Err(StorageError::Missing { .. })
        ));
        DataDirs::open(&gone, &gone, true).unwrap();
    }
}
