//! Owns the files that hold one number: epochs and myid. Source: `QuorumPeer.writeLongToFile`.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use crate::StorageError;
use crate::dirs::sync_dir;

/// The epoch that this server follows or leads.
pub const CURRENT_EPOCH: &str = "currentEpoch";
/// The highest epoch that this server has promised itself to.
pub const ACCEPTED_EPOCH: &str = "acceptedEpoch";

/// Reads `dir/name`; `None` when there is no such file.
///
/// # Errors
/// When it cannot be read or holds no number.
pub fn read(dir: &Path, name: &str) -> Result<Option<i64>, StorageError> {
    let path = dir.join(name);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io("read", path)(error)),
    };
    match text.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(StorageError::NotANumber { path, text }),
    }
}

/// Writes `dir/name` so that after a crash it holds either the old number or the new one.
///
/// # Errors
/// When the system cannot.
pub fn write(dir: &Path, name: &str, number: i64) -> Result<(), StorageError> {
    let path = dir.join(name);
    let aside = dir.join(format!("{name}.tmp"));
    let mut file = File::create(&aside).map_err(StorageError::io("create", &aside))?;
    write!(file, "{number}").map_err(StorageError::io("write", &aside))?;
    file.sync_all().map_err(StorageError::io("sync", &aside))?;
    fs::rename(&aside, &path).map_err(StorageError::io("rename to", &path))?;
    sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_written_is_a_number_read() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path(), CURRENT_EPOCH).unwrap(), None);
        write(dir.path(), CURRENT_EPOCH, 7).unwrap();
        assert_eq!(fs::read(dir.path().join(CURRENT_EPOCH)).unwrap(), b"7");
        assert_eq!(read(dir.path(), CURRENT_EPOCH).unwrap(), Some(7));
        fs::write(dir.path().join("myid"), " 3\n").unwrap();
        assert_eq!(read(dir.path(), "myid").unwrap(), Some(3));
        fs::write(dir.path().join("myid"), "three").unwrap();
        assert!(matches!(read(dir.path(), "myid"), Err(StorageError::NotANumber { .. })));
    }
}
