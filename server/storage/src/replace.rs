//! Owns replacing a small file as a whole: after a crash there is the old one or the new one.
//! Source: `AtomicFileWritingIdiom`.

use std::path::{Path, PathBuf};

use crate::StorageError;
use crate::disk::{Disk, StdDisk};
use crate::planted::Bug;

/// Replaces `path`, or makes it.
///
/// # Errors
/// When the system cannot.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    write_on(&StdDisk, path, bytes)
}

/// As [`write`], on any disk.
///
/// # Errors
/// As [`write`].
pub fn write_on(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let planted = disk.planted();
    if planted.has(Bug::WrittenInPlace) {
        let file = disk
            .create(path)
            .map_err(StorageError::io("create", path))?;
        file.write_all_at(bytes, 0)
            .map_err(StorageError::io("write", path))?;
        return file.sync_data().map_err(StorageError::io("sync", path));
    }
    let mut aside = path.as_os_str().to_owned();
    aside.push(".tmp");
    let aside = PathBuf::from(aside);
    let file = disk
        .create(&aside)
        .map_err(StorageError::io("create", &aside))?;
    file.write_all_at(bytes, 0)
        .map_err(StorageError::io("write", &aside))?;
    if !planted.has(Bug::SmallFileNotSynced) {
        file.sync_data().map_err(StorageError::io("sync", &aside))?;
    }
    disk.rename(&aside, path)
        .map_err(StorageError::io("rename to", path))?;
    if planted.has(Bug::SmallNameNotSynced) {
        return Ok(());
    }
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    disk.sync_dir(dir).map_err(StorageError::io("sync", dir))
}
