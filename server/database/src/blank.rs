//! Owns the note that a member's database was lost, and that it has no vote until a leader has brought it
//! up. Source: `FileTxnSnapLog.restore`, which makes such a member's last zxid -1 for one start; the note
//! outlives a crash before the member has caught up.

use menagerie_storage::{DataDirs, StorageError, epoch};

const NAME: &str = "menagerie.blank";

/// Makes the note durable, or takes it away.
///
/// # Errors
/// When the system cannot.
pub fn set_blank(dirs: &DataDirs, blank: bool) -> Result<(), StorageError> {
    if blank || is_blank(dirs)? {
        epoch::write_on(&**dirs.disk(), &dirs.data, NAME, i64::from(blank))?;
    }
    Ok(())
}

/// Whether there is the note.
///
/// # Errors
/// When it cannot be read.
pub fn is_blank(dirs: &DataDirs) -> Result<bool, StorageError> {
    let number = epoch::read_on(&**dirs.disk(), &dirs.data, NAME)?;
    Ok(number.is_some_and(|number| number != 0))
}
