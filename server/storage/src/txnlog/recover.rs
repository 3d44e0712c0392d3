//! Owns what to do with the end of a log after a crash, and cutting logs on purpose.
//!
//! An entry that was being written when the machine stopped is cut off: nobody was told that it
//! was safe. Damage before entries that are whole is another matter: those were acknowledged, and
//! so may have been the damaged one; the server refuses to start and says where. Apache's server
//! refuses a torn entry too when its checksum fails, and silently skips whole entries behind one
//! whose end mark is wrong; both are deliberate differences.
//!
//! One case of whole entries behind damage is an ordinary power failure: a batch is written with
//! one call, and the disk may have stored its later sectors but not an earlier one. The next batch
//! is written only when this one is synced, so all of it is unacknowledged. It is recognised by
//! what a sector that was never written holds, zeros, in places where an entry cannot have them:
//! its first bytes, its end mark, or a whole sector.

use std::path::{Path, PathBuf};

use menagerie_wire::jute::decode_prefix;
use menagerie_wire::txn::TxnHeader;

use super::read::{End, LogFile, first_nonzero, prefix_fields};
use super::{END_OF_RECORD, ENTRY_MAX, PREFIX_LEN};
use crate::disk::{Access, Disk, DiskFile, StdDisk};
use crate::planted::Bug;
use crate::{DataDirs, StorageError};

/// Bytes behind damage that are searched for a whole entry.
const SEARCH_MAX: usize = 64 << 20;
/// The smallest unit in which a disk writes.
const SECTOR: u64 = 512;

/// What a log's end looked like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// There is no log.
    None,
    /// Nothing to do.
    Clean,
    /// From `offset` on there are parts of entries that were being written.
    Torn {
        /// The file.
        path: PathBuf,
        /// Where the valid part ends.
        offset: u64,
        /// The last transaction of the valid part, 0 when there is none in this file.
        last_zxid: i64,
    },
    /// A file without even a header: nothing in it was acknowledged.
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Looks at the newest log's end.
///
/// # Errors
/// [`StorageError::Corrupt`] when a whole entry follows the damage.
pub fn inspect(dirs: &DataDirs) -> Result<Tail, StorageError> {
    match dirs.logs()?.pop() {
        Some((_, path)) => inspect_file_on(&**dirs.disk(), &path),
        None => Ok(Tail::None),
    }
}

/// Looks at one log's end.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_file(path: &Path) -> Result<Tail, StorageError> {
    inspect_file_on(&StdDisk, path)
}

/// As [`inspect_file`], on any disk.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_file_on(disk: &dyn Disk, path: &Path) -> Result<Tail, StorageError> {
    let empty = || Tail::Empty {
        path: path.to_owned(),
    };
    if start_was_never_written(disk, path)? {
        return Ok(empty());
    }
    let Some(mut file) = LogFile::open_on(disk, path)? else {
        return Ok(empty());
    };
    loop {
        let damage = match file.next_entry() {
            Ok(Ok(_)) => continue,
            Ok(Err(End::Clean)) => None,
            Ok(Err(End::Torn)) => Some("an entry is not whole".to_owned()),
            Err(StorageError::Corrupt { reason, .. }) => Some(reason),
            Err(error) => return Err(error),
        };
        return Ok(match judge_end(&file, damage)? {
            End::Clean => Tail::Clean,
            End::Torn => Tail::Torn {
                path: path.to_owned(),
                offset: file.offset(),
                last_zxid: file.last_zxid(),
            },
        });
    }
}

/// Whether the first sector still has the zeros of a new file: the header is written and synced with
/// the first entries, so that nothing in the file was acknowledged.
fn start_was_never_written(disk: &dyn Disk, path: &Path) -> Result<bool, StorageError> {
    let first = disk
        .open(path, Access::Read)
        .and_then(|file| first_nonzero(&*file, 0));
    let first = first.map_err(StorageError::io("read", path))?;
    Ok(first.is_some_and(|at| at >= SECTOR))
}

/// Tells an end from damage in the middle, by what follows the place that `file` is at. `damage`
/// says what is wrong there; `None` is padding.
pub(super) fn judge_end(file: &LogFile, damage: Option<String>) -> Result<End, StorageError> {
    let (path, offset, last_zxid) = (file.path(), file.offset(), file.last_zxid());
    let read = StorageError::io("read", path);
    let rest = match rest_of(file.file(), offset) {
        Ok(rest) => rest,
        Err(error) => return Err(read(error)),
    };
    if rest.is_empty() {
        return Ok(if damage.is_none() {
            End::Clean
        } else {
            End::Torn
        });
    }
    if file.planted().has(Bug::DamageTakenForEnd) {
        return Ok(End::Torn);
    }
    let Some(zxid) = whole_entry_in(&rest, last_zxid) else {
        return match damaged_entry(&rest, offset) {
            None => Ok(End::Torn),
            Some(what) => Err(StorageError::Corrupt {
                path: path.to_owned(),
                offset,
                reason: format!("the last entry was written whole, but {what} is damaged"),
                last_zxid,
            }),
        };
    };
    if sector_was_never_written(&rest, offset) {
        tracing::warn!(
            file = %path.display(),
            offset,
            "entries behind a part of the log that never reached the disk; none was acknowledged"
        );
        return Ok(End::Torn);
    }
    let damage = damage.unwrap_or_else(|| "zeros instead of an entry".to_owned());
    let reason = format!("{damage}, and a whole entry, zxid 0x{zxid:x}, follows");
    Err(StorageError::Corrupt {
        path: path.to_owned(),
        offset,
        reason,
        last_zxid,
    })
}

/// What follows `offset`, up to the last byte that is not zero or to [`SEARCH_MAX`].
fn rest_of(file: &dyn DiskFile, offset: u64) -> std::io::Result<Vec<u8>> {
    let mut rest = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    let mut from = offset;
    while let Some(at) = first_nonzero(file, from)? {
        let Ok(start) = usize::try_from(at - offset) else {
            break;
        };
        if start >= SEARCH_MAX {
            break;
        }
        let got = file.read_at(&mut buffer, at)?;
        let bytes = buffer.get(..got).unwrap_or_default();
        let used = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        rest.resize(start, 0);
        rest.extend_from_slice(bytes.get(..used).unwrap_or_default());
        from = at + got.max(1) as u64;
    }
    Ok(rest)
}

/// Searches for a newer entry with a right checksum, which padding and torn entries do not contain.
fn whole_entry_in(bytes: &[u8], last_zxid: i64) -> Option<i64> {
    let from = |start: usize| entry_at(bytes.get(start..).unwrap_or_default());
    (1..bytes.len())
        .filter_map(from)
        .find(|zxid| *zxid > last_zxid)
}

/// The zxid of the entry at the front of `bytes`, if there is one with a right checksum.
fn entry_at(bytes: &[u8]) -> Option<i64> {
    let (checksum, len) = prefix_fields(bytes)?;
    // An Adler-32 sum has 32 bits; the test spares the search most candidates.
    if checksum == 0 || checksum > u64::from(u32::MAX) {
        return None;
    }
    let len = usize::try_from(len).ok().filter(|len| *len <= ENTRY_MAX)?;
    let (entry, rest) = bytes.get(PREFIX_LEN..)?.split_at_checked(len)?;
    if rest.first() != Some(&END_OF_RECORD) || u64::from(simd_adler32::adler32(&entry)) != checksum
    {
        return None;
    }
    decode_prefix::<TxnHeader>(entry)
        .ok()
        .map(|(header, _)| header.zxid)
}

/// Whether a sector of the entry at the front of `rest`, which starts at `offset` of its file,
/// still has the zeros of a file that grows ahead of its entries.
fn sector_was_never_written(rest: &[u8], offset: u64) -> bool {
    let zeros = |from: usize, to: usize| {
        rest.get(from..to)
            .is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
    };
    let boundary = |at: usize| {
        let at_file = offset + at as u64;
        let next = (at_file / SECTOR + 1) * SECTOR;
        usize::try_from(next - offset).unwrap_or(usize::MAX)
    };
    let Some((checksum, len)) = prefix_fields(rest) else {
        return false;
    };
    // No checksum is zero, so this one was never written.
    if checksum == 0 {
        return zeros(0, boundary(0));
    }
    if checksum_was_half_written(rest, boundary(0)) {
        return true;
    }
    // The sector with the length is missing while the one with the checksum is there.
    if len == 0 {
        let start = boundary(0);
        return start < PREFIX_LEN && zeros(start, boundary(start));
    }
    let Some(end) = usize::try_from(len)
        .ok()
        .and_then(|len| len.checked_add(PREFIX_LEN))
    else {
        return false;
    };
    // One behind the first, which has the length and was written.
    let sectors = sector_starts(offset, end + 1).skip(1);
    sectors.into_iter().any(|from| zeros(from, boundary(from)))
}

/// Whether the entry at the front of `rest` is whole but for the first bytes of its checksum, which
/// are in the sector before `boundary` and were never written. One of its bits alone may as well be
/// damaged.
fn checksum_was_half_written(rest: &[u8], boundary: usize) -> bool {
    let whole = || {
        let (checksum, len) = prefix_fields(rest)?;
        let end = usize::try_from(len).ok()?.checked_add(PREFIX_LEN)?;
        let sum = u64::from(simd_adler32::adler32(&rest.get(PREFIX_LEN..end)?));
        (rest.get(end) == Some(&END_OF_RECORD)).then_some((checksum, sum))
    };
    if boundary >= size_of::<u64>() {
        return false;
    }
    let written = u64::MAX >> (8 * boundary);
    whole().is_some_and(|(checksum, sum)| {
        checksum == sum & written && (sum & !written).count_ones() > 1
    })
}

/// What is damaged in an entry at the front of `rest`, which starts at `offset` of its file and no
/// whole entry behind it, if every part of the entry was written; `None` when it may have been
/// torn, and so was not acknowledged. What a disk has not written is zero here: the end of the entry,
/// or a sector of it.
fn damaged_entry(rest: &[u8], offset: u64) -> Option<&'static str> {
    let (checksum, len) = prefix_fields(rest)?;
    let matches = |entry: &[u8]| u64::from(simd_adler32::adler32(&entry)) == checksum;
    // With the length that the bytes themselves have.
    let whole = rest.get(PREFIX_LEN..rest.len() - 1).unwrap_or_default();
    if !whole.is_empty() && rest.last() == Some(&END_OF_RECORD) && matches(whole) {
        return Some("its length");
    }
    let len = usize::try_from(len).ok().filter(|len| *len > 0)?;
    let end = len.checked_add(PREFIX_LEN)?;
    let (mark, entry) = (*rest.get(end)?, rest.get(PREFIX_LEN..end)?);
    if mark != 0 && mark != END_OF_RECORD && matches(entry) {
        return Some("its end mark");
    }
    let has_zero_sector = || {
        let starts = || sector_starts(offset, end + 1);
        let zeros = |(from, to): (usize, usize)| {
            let bytes = rest.get(from..to);
            bytes.is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
        };
        let mut sectors = starts().zip(starts().skip(1).chain([end + 1]));
        let first = sectors.next().unwrap_or_default();
        // A checksum of 32 bits begins with zeros, which tell nothing.
        let first_is_missing =
            zeros(first) && checksum == 0 || checksum_was_half_written(rest, first.1);
        first_is_missing || sectors.any(zeros)
    };
    (mark == END_OF_RECORD && !has_zero_sector()).then_some("its checksum or its contents")
}

/// Where sectors begin in `len` bytes that start at `offset` of a file, the first at 0.
fn sector_starts(offset: u64, len: usize) -> impl Iterator<Item = usize> {
    let first = usize::try_from(SECTOR - offset % SECTOR).unwrap_or_default();
    let step = usize::try_from(SECTOR).unwrap_or(1);
    std::iter::once(0).chain((first..len).step_by(step))
}

/// Makes durable what a process that was killed had only written: from now on others are told of it.
///
/// # Errors
/// When the system cannot.
pub fn make_durable(dirs: &DataDirs) -> Result<(), StorageError> {
    let disk = dirs.disk();
    if disk.planted().has(Bug::RecoveredNotSynced) {
        return Ok(());
    }
    dirs.sync_dir(&dirs.data)?;
    if dirs.log != dirs.data {
        dirs.sync_dir(&dirs.log)?;
    }
    let Some((_, newest)) = dirs.logs()?.pop() else {
        return Ok(());
    };
    let file = disk
        .open(&newest, Access::Write)
        .map_err(StorageError::io("open", &newest))?;
    file.sync_data().map_err(StorageError::io("sync", newest))
}

/// Cuts off what [`inspect`] found to be torn, or removes an empty file.
///
/// # Errors
/// When the system cannot.
pub fn repair(tail: &Tail) -> Result<(), StorageError> {
    repair_on(&StdDisk, tail)
}

/// As [`repair`], on any disk.
///
/// # Errors
/// As [`repair`].
pub fn repair_on(disk: &dyn Disk, tail: &Tail) -> Result<(), StorageError> {
    match tail {
        Tail::None | Tail::Clean => Ok(()),
        Tail::Torn { path, offset, .. } => cut(disk, path, *offset),
        Tail::Empty { path } => {
            disk.remove(path)
                .map_err(StorageError::io("remove", path))?;
            let dir = path.parent().unwrap_or(path);
            disk.sync_dir(dir).map_err(StorageError::io("sync", dir))
        }
    }
}

/// Ends a file at `offset`.
fn cut(disk: &dyn Disk, path: &Path, offset: u64) -> Result<(), StorageError> {
    let file = disk
        .open(path, Access::Write)
        .map_err(StorageError::io("open", path))?;
    file.set_len(offset)
        .map_err(StorageError::io("truncate", path))?;
    if disk.planted().has(Bug::CutNotSynced) {
        return Ok(());
    }
    file.sync_data().map_err(StorageError::io("sync", path))
}

/// Removes everything behind transaction `zxid`, which some log must hold. A crash on the way
/// leaves a log without gaps. Source: `FileTxnLog.truncate`.
///
/// # Errors
/// When no log has that transaction, or the system cannot.
pub fn truncate(dirs: &DataDirs, zxid: i64) -> Result<(), StorageError> {
    let disk = &**dirs.disk();
    let logs = dirs.logs()?;
    let Some(at) = logs.iter().rposition(|(start, _)| *start <= zxid) else {
        return Err(StorageError::Unusable {
            path: dirs.log.clone(),
            reason: format!("no log reaches back to zxid 0x{zxid:x}"),
        });
    };
    let Some((_, path)) = logs.get(at) else {
        return Ok(());
    };
    let (offset, last) = end_of(disk, path, zxid)?;
    if last != Some(zxid) {
        return Err(StorageError::Unusable {
            path: path.clone(),
            reason: format!("it does not hold zxid 0x{zxid:x}"),
        });
    }
    let mut later: Vec<&Path> = logs.iter().skip(at + 1).map(|(_, p)| p.as_path()).collect();
    if !disk.planted().has(Bug::CutFromTheFront) {
        later.reverse();
    }
    for later in later {
        disk.remove(later)
            .map_err(StorageError::io("remove", later))?;
        dirs.sync_dir(&dirs.log)?;
    }
    cut(disk, path, offset)
}

/// Removes a file so that it is gone after a crash too.
///
/// # Errors
/// When the system cannot.
pub fn remove_file(dirs: &DataDirs, path: &Path) -> Result<(), StorageError> {
    let disk = &**dirs.disk();
    disk.remove(path)
        .map_err(StorageError::io("remove", path))?;
    dirs.sync_dir(path.parent().unwrap_or(path))
}

/// Whether some log holds transaction `zxid`.
///
/// # Errors
/// When the system cannot read it, or it is damaged before that.
pub fn holds(dirs: &DataDirs, zxid: i64) -> Result<bool, StorageError> {
    let logs = dirs.logs()?;
    match logs.iter().rfind(|(start, _)| *start <= zxid) {
        Some((_, path)) => Ok(end_of(&**dirs.disk(), path, zxid)?.1 == Some(zxid)),
        None => Ok(false),
    }
}

/// Removes everything behind `zxid`, whether or not there is such a transaction.
///
/// # Errors
/// When the system cannot, or the log is damaged before that.
pub fn remove_behind(dirs: &DataDirs, zxid: i64) -> Result<(), StorageError> {
    let disk = &**dirs.disk();
    for (start, path) in dirs.logs()?.iter().rev() {
        if *start > zxid {
            disk.remove(path)
                .map_err(StorageError::io("remove", path))?;
            dirs.sync_dir(&dirs.log)?;
            continue;
        }
        let (offset, _) = end_of(disk, path, zxid)?;
        return cut(disk, path, offset);
    }
    Ok(())
}

/// Where the last entry with at most that zxid ends, and its zxid.
fn end_of(disk: &dyn Disk, path: &Path, zxid: i64) -> Result<(u64, Option<i64>), StorageError> {
    let Some(mut file) = LogFile::open_on(disk, path)? else {
        return Ok((0, None));
    };
    let (mut end, mut last) = (file.offset(), None);
    loop {
        let found = match file.next_entry()? {
            Ok(entry) if entry.header.zxid <= zxid => entry.header.zxid,
            _ => return Ok((end, last)),
        };
        (end, last) = (file.offset(), Some(found));
    }
}
