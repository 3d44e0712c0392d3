//! Owns what to do with the end of the newest log after a crash, and cutting logs on purpose.
//!
//! An entry that was being written when the machine stopped is cut off: nobody was told that it
//! was safe. Damage before entries that are whole is another matter: those were acknowledged, and
//! so may have been the damaged one; the server refuses to start and says where.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use menagerie_wire::jute::decode_prefix;
use menagerie_wire::txn::TxnHeader;

use super::read::{End, LogFile};
use super::{END_OF_RECORD, ENTRY_MAX, PREFIX_LEN};
use crate::{DataDirs, StorageError};

/// Bytes behind damage that are searched for a whole entry.
const SEARCH_MAX: usize = 64 << 20;

/// What a log's end looked like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// There is no log.
    None,
    /// Nothing to do.
    Clean,
    /// From `offset` on there is a part of an entry, and nothing whole behind it.
    Torn {
        /// The file.
        path: PathBuf,
        /// Where the valid part ends.
        offset: u64,
        /// The last transaction of the valid part, 0 when there is none in this file.
        last_zxid: i64,
    },
    /// A file without even a header.
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
        Some((_, path)) => inspect_file(&path),
        None => Ok(Tail::None),
    }
}

/// Looks at one log's end.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_file(path: &Path) -> Result<Tail, StorageError> {
    let Some(mut file) = LogFile::open(path)? else {
        return Ok(Tail::Empty { path: path.to_owned() });
    };
    let mut last_zxid = 0;
    loop {
        let damage = match file.next_entry() {
            Ok(Ok(entry)) => {
                last_zxid = entry.header.zxid;
                continue;
            }
            Ok(Err(End::Clean)) => None,
            Ok(Err(End::Torn)) => Some("an entry is not whole".to_owned()),
            Err(StorageError::Corrupt { reason, .. }) => Some(reason),
            Err(error) => return Err(error),
        };
        let offset = file.offset();
        if let Some(zxid) = whole_entry_behind(path, offset, last_zxid)? {
            let reason = damage.unwrap_or_else(|| "zeros instead of an entry".to_owned());
            let reason = format!("{reason}, and a whole entry, zxid 0x{zxid:x}, follows");
            return Err(StorageError::Corrupt { path: path.to_owned(), offset, reason, last_zxid });
        }
        return Ok(match damage {
            None => Tail::Clean,
            Some(_) => Tail::Torn { path: path.to_owned(), offset, last_zxid },
        });
    }
}

/// Searches for an entry with a right checksum, which padding and torn entries do not contain.
fn whole_entry_behind(
    path: &Path,
    offset: u64,
    last_zxid: i64,
) -> Result<Option<i64>, StorageError> {
    let file = File::open(path).map_err(StorageError::io("open", path))?;
    let len = file.metadata().map_err(StorageError::io("read", path))?.len();
    let left = usize::try_from(len.saturating_sub(offset)).unwrap_or(SEARCH_MAX).min(SEARCH_MAX);
    let mut bytes = vec![0; left];
    file.read_exact_at(&mut bytes, offset).map_err(StorageError::io("read", path))?;
    let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    bytes.truncate(used);
    for start in 1..bytes.len() {
        if let Some(zxid) = entry_at(bytes.get(start..).unwrap_or_default())
            && zxid > last_zxid
        {
            return Ok(Some(zxid));
        }
    }
    Ok(None)
}

/// The zxid of the entry at the front of `bytes`, if there is one with a right checksum.
fn entry_at(bytes: &[u8]) -> Option<i64> {
    let (prefix, rest) = bytes.split_at_checked(PREFIX_LEN)?;
    let (checksum, len) = prefix.split_at(8);
    let checksum = u64::from_be_bytes(checksum.try_into().ok()?);
    let len = usize::try_from(i32::from_be_bytes(len.try_into().ok()?)).ok()?;
    // An Adler-32 sum has 32 bits; the test spares the search most candidates.
    if checksum == 0 || checksum > u64::from(u32::MAX) || len < 32 || len > ENTRY_MAX {
        return None;
    }
    let entry = rest.get(..len)?;
    if rest.get(len) != Some(&END_OF_RECORD) {
        return None;
    }
    if u64::from(simd_adler32::adler32(&entry)) != checksum {
        return None;
    }
    decode_prefix::<TxnHeader>(entry).ok().map(|(header, _)| header.zxid)
}

/// Cuts off what [`inspect`] found to be torn, or removes an empty file.
///
/// # Errors
/// When the system cannot.
pub fn repair(tail: &Tail) -> Result<(), StorageError> {
    match tail {
        Tail::None | Tail::Clean => Ok(()),
        Tail::Torn { path, offset, .. } => cut(path, *offset),
        Tail::Empty { path } => fs::remove_file(path).map_err(StorageError::io("remove", path)),
    }
}

/// Ends a file at `offset`.
fn cut(path: &Path, offset: u64) -> Result<(), StorageError> {
    let file =
        OpenOptions::new().write(true).open(path).map_err(StorageError::io("open", path))?;
    file.set_len(offset).map_err(StorageError::io("truncate", path))?;
    file.sync_all().map_err(StorageError::io("sync", path))
}

/// Removes everything behind transaction `zxid`, which some log must hold.
/// Source: `FileTxnLog.truncate`.
///
/// # Errors
/// When no log has that transaction, or the system cannot.
pub fn truncate(dirs: &DataDirs, zxid: i64) -> Result<(), StorageError> {
    let logs = dirs.logs()?;
    let Some(at) = logs.iter().rposition(|(start, _)| *start <= zxid) else {
        return Err(StorageError::Unusable {
            path: dirs.log.clone(),
            reason: format!("no log reaches back to zxid 0x{zxid:x}"),
        });
    };
    let Some((_, path)) = logs.get(at) else { return Ok(()) };
    let (offset, last) = end_of(path, zxid)?;
    if last != Some(zxid) {
        return Err(StorageError::Unusable {
            path: path.clone(),
            reason: format!("it does not hold zxid 0x{zxid:x}"),
        });
    }
    for (_, later) in logs.iter().skip(at + 1) {
        fs::remove_file(later).map_err(StorageError::io("remove", later))?;
    }
    cut(path, offset)
}

/// Where the last entry with at most that zxid ends, and its zxid.
fn end_of(path: &Path, zxid: i64) -> Result<(u64, Option<i64>), StorageError> {
    let Some(mut file) = LogFile::open(path)? else { return Ok((0, None)) };
    let (mut end, mut last) = (file.offset(), None);
    loop {
        let found = match file.next_entry()? {
            Ok(entry) if entry.header.zxid <= zxid => entry.header.zxid,
            _ => return Ok((end, last)),
        };
        (end, last) = (file.offset(), Some(found));
    }
}
