//! Owns the files that hold one number: epochs and myid. Source: `QuorumPeer.writeLongToFile`.

use std::io::{ErrorKind, Read as _};
use std::path::Path;

use crate::StorageError;
use crate::disk::{Access, Disk, FileReader, StdDisk};
use crate::replace;

/// More than any number takes; a larger file was put there by mistake.
const LEN_MAX: u64 = 256;

/// The epoch that this server follows or leads.
pub const CURRENT_EPOCH: &str = "currentEpoch";
/// The highest epoch that this server has promised itself to.
pub const ACCEPTED_EPOCH: &str = "acceptedEpoch";

/// Reads `dir/name`; `None` when there is no such file.
///
/// # Errors
/// When it cannot be read or holds no number.
pub fn read(dir: &Path, name: &str) -> Result<Option<i64>, StorageError> {
    read_on(&StdDisk, dir, name)
}

/// As [`read`], on any disk.
///
/// # Errors
/// As [`read`].
pub fn read_on(disk: &dyn Disk, dir: &Path, name: &str) -> Result<Option<i64>, StorageError> {
    let path = dir.join(name);
    let text = disk.open(&path, Access::Read).and_then(|file| {
        let mut text = Vec::new();
        FileReader::new(file).take(LEN_MAX).read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    });
    let text = match text {
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
    write_on(&StdDisk, dir, name, number)
}

/// As [`write`], on any disk.
///
/// # Errors
/// As [`write`].
pub fn write_on(disk: &dyn Disk, dir: &Path, name: &str, number: i64) -> Result<(), StorageError> {
    replace::write_on(disk, &dir.join(name), number.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        assert!(matches!(
            read(dir.path(), "myid"),
            Err(StorageError::NotANumber { .. })
        ));
    }
}
