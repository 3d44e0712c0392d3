//! Owns reading logs in order. Source: `FileTxnLog.FileTxnIterator`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use menagerie_wire::jute::decode_prefix;
use menagerie_wire::txn::{FileHeader, LOG_MAGIC, TxnHeader};

use super::recover::judge_end;
use super::{END_OF_RECORD, ENTRY_MAX, HEADER_LEN, PREFIX_LEN};
use crate::disk::{Access, Disk, DiskFile, FileReader, StdDisk};
use crate::planted::{Bug, Planted};
use crate::window::Window;
use crate::{DataDirs, StorageError};

/// An entry of a log.
#[derive(Debug, Clone, Copy)]
pub struct LogEntry<'a> {
    /// The transaction's head.
    pub header: TxnHeader,
    /// Header, transaction and digest.
    pub bytes: &'a [u8],
    /// The file that has it.
    pub file: &'a Path,
    /// Where it starts, with its checksum.
    pub offset: u64,
}

/// How a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With its last byte, or with padding.
    Clean,
    /// Inside an entry whose rest was never written.
    Torn,
}

/// Reads one file.
#[derive(Debug)]
pub struct LogFile {
    window: Window<FileReader>,
    path: PathBuf,
    offset: u64,
    last_zxid: i64,
    /// Length of the entry that the window is at; it is left behind by the next step.
    entry_len: usize,
    planted: Planted,
}

/// What the next bytes of a file are.
enum Next {
    Entry(TxnHeader, u64),
    End(End),
}

impl LogFile {
    /// Opens a file of the file system and checks its magic. `Ok(None)` is a file without a
    /// header, as a crash right after its creation leaves it.
    ///
    /// # Errors
    /// When it cannot be read or is not a log.
    pub fn open(path: &Path) -> Result<Option<Self>, StorageError> {
        Self::open_on(&StdDisk, path)
    }

    /// As [`LogFile::open`], on any disk.
    ///
    /// # Errors
    /// As [`LogFile::open`].
    pub fn open_on(disk: &dyn Disk, path: &Path) -> Result<Option<Self>, StorageError> {
        let file = disk
            .open(path, Access::Read)
            .map_err(StorageError::io("open", path))?;
        let planted = disk.planted();
        Ok(Self::read(file, path)?.map(|log| Self { planted, ..log }))
    }

    pub(crate) fn read(file: Arc<dyn DiskFile>, path: &Path) -> Result<Option<Self>, StorageError> {
        let corrupt = |reason| {
            Err(StorageError::Corrupt {
                path: path.to_owned(),
                offset: 0,
                reason,
                last_zxid: 0,
            })
        };
        let mut window = Window::new(FileReader::new(Arc::clone(&file)));
        let header = window
            .want(HEADER_LEN)
            .map_err(StorageError::io("read", path))?;
        if header.len() < HEADER_LEN {
            return Ok(None);
        }
        if header.iter().all(|byte| *byte == 0) {
            return match first_nonzero(&*file, 0).map_err(StorageError::io("read", path))? {
                None => Ok(None),
                Some(at) => corrupt(format!("zeros instead of a header, but data from {at} on")),
            };
        }
        let magic = decode_prefix::<FileHeader>(header).map(|(header, _)| header.magic);
        if magic != Ok(LOG_MAGIC) {
            let start = header.get(..4).unwrap_or_default();
            return corrupt(format!(
                "not a transaction log (it starts with {start:02x?})"
            ));
        }
        window.advance(HEADER_LEN);
        let (path, offset) = (path.to_owned(), HEADER_LEN as u64);
        Ok(Some(Self {
            window,
            path,
            offset,
            last_zxid: 0,
            entry_len: 0,
            planted: Planted::default(),
        }))
    }

    fn corrupt(&self, offset: u64, reason: String) -> StorageError {
        let (path, last_zxid) = (self.path.clone(), self.last_zxid);
        StorageError::Corrupt {
            path,
            offset,
            reason,
            last_zxid,
        }
    }

    /// Where the next entry starts.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last zxid that was read, 0 before any.
    #[must_use]
    pub const fn last_zxid(&self) -> i64 {
        self.last_zxid
    }

    pub(crate) const fn planted(&self) -> Planted {
        self.planted
    }

    pub(crate) fn file(&self) -> &dyn DiskFile {
        self.window.source().file()
    }

    /// The next entry, or how the file ends. What may follow the end is not looked at; see
    /// [`super::recover::inspect_file`].
    ///
    /// # Errors
    /// When the file cannot be read or an entry is damaged.
    pub fn next_entry(&mut self) -> Result<Result<LogEntry<'_>, End>, StorageError> {
        match self.advance()? {
            Next::Entry(header, offset) => {
                let bytes = self.entry_bytes();
                Ok(Ok(LogEntry {
                    header,
                    bytes,
                    file: &self.path,
                    offset,
                }))
            }
            Next::End(end) => Ok(Err(end)),
        }
    }

    fn entry_bytes(&self) -> &[u8] {
        self.window
            .bytes()
            .get(PREFIX_LEN..PREFIX_LEN + self.entry_len)
            .unwrap_or_default()
    }

    fn advance(&mut self) -> Result<Next, StorageError> {
        if self.entry_len > 0 {
            self.window.advance(PREFIX_LEN + self.entry_len + 1);
            self.entry_len = 0;
        }
        let start = self.offset;
        let prefix = self
            .window
            .want(PREFIX_LEN)
            .map_err(StorageError::io("read", &self.path))?;
        let Some((checksum, len)) = prefix_fields(prefix) else {
            let clean = prefix.iter().all(|byte| *byte == 0);
            return Ok(Next::End(if clean { End::Clean } else { End::Torn }));
        };
        if len == 0 {
            // A checksum without a length is the start of an entry that was not written whole.
            return Ok(Next::End(if checksum == 0 {
                End::Clean
            } else {
                End::Torn
            }));
        }
        let Some(len) = usize::try_from(len).ok().filter(|len| *len <= ENTRY_MAX) else {
            return Err(self.corrupt(start, format!("unreasonable length {len}")));
        };
        let whole = PREFIX_LEN + len + 1;
        let bytes = self
            .window
            .want(whole)
            .map_err(StorageError::io("read", &self.path))?;
        let torn_kept = self.planted.has(Bug::TornEntryKept);
        let entry = match (bytes.get(PREFIX_LEN..whole - 1), bytes.get(whole - 1)) {
            (Some(entry), Some(&END_OF_RECORD)) => entry,
            (Some(entry), Some(_)) if torn_kept => entry,
            _ => return Ok(Next::End(End::Torn)),
        };
        let actual = u64::from(simd_adler32::adler32(&entry));
        if actual != checksum && !torn_kept && !self.planted.has(Bug::LogChecksumIgnored) {
            let reason = format!("checksum {actual:x} where {checksum:x} is recorded");
            return Err(self.corrupt(start, reason));
        }
        let header = match decode_prefix::<TxnHeader>(entry) {
            Ok((header, _)) => header,
            Err(error) => return Err(self.corrupt(start, error.to_string())),
        };
        self.entry_len = len;
        self.offset += whole as u64;
        self.last_zxid = header.zxid;
        Ok(Next::Entry(header, start))
    }
}

/// Checksum and length in front of an entry; `None` when `bytes` is too short.
pub(super) fn prefix_fields(bytes: &[u8]) -> Option<(u64, i32)> {
    let (checksum, rest) = bytes.split_first_chunk::<8>()?;
    let len = rest.first_chunk::<4>()?;
    Some((u64::from_be_bytes(*checksum), i32::from_be_bytes(*len)))
}

/// The first byte from `offset` on that is not zero.
pub(super) fn first_nonzero(file: &dyn DiskFile, mut offset: u64) -> std::io::Result<Option<u64>> {
    let mut buffer = vec![0; 256 << 10];
    while let Some(at) = file.next_data(offset)? {
        let got = file.read_at(&mut buffer, at)?;
        if got == 0 {
            return Ok(None);
        }
        let found = buffer
            .get(..got)
            .unwrap_or_default()
            .iter()
            .position(|byte| *byte != 0);
        if let Some(found) = found {
            return Ok(Some(at + found as u64));
        }
        offset = at + got as u64;
    }
    Ok(None)
}

/// Reads all logs from some zxid on, as one sequence.
#[derive(Debug)]
pub struct LogIter {
    disk: Arc<dyn Disk>,
    files: std::vec::IntoIter<PathBuf>,
    current: Option<LogFile>,
    from: i64,
}

impl LogIter {
    /// Starts with the newest log that begins at or before `from`.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn open(dirs: &DataDirs, from: i64) -> Result<Self, StorageError> {
        let logs = dirs.logs()?;
        let first = logs
            .iter()
            .rposition(|(start, _)| *start <= from)
            .unwrap_or(0);
        let files: Vec<PathBuf> = logs.into_iter().skip(first).map(|(_, path)| path).collect();
        let disk = Arc::clone(dirs.disk());
        Ok(Self {
            disk,
            files: files.into_iter(),
            current: None,
            from,
        })
    }

    /// The next entry with a zxid of at least `from`; `None` at the end.
    ///
    /// # Errors
    /// When a file cannot be read, an entry is damaged, or whole entries follow the place where a
    /// file seems to end.
    pub fn next_entry(&mut self) -> Result<Option<LogEntry<'_>>, StorageError> {
        loop {
            let Some(mut file) = self.current.take() else {
                let Some(path) = self.files.next() else {
                    return Ok(None);
                };
                self.current = LogFile::open_on(&*self.disk, &path)?;
                continue;
            };
            match file.advance()? {
                // The server's start cuts a torn end off the newest file; an older file may still
                // have one if Apache's server wrote it.
                Next::End(end) => {
                    let damage = (end == End::Torn).then(|| "an entry is not whole".to_owned());
                    judge_end(&file, damage)?;
                }
                Next::Entry(header, _) if header.zxid < self.from => self.current = Some(file),
                Next::Entry(header, offset) => {
                    let file = self.current.insert(file);
                    let (bytes, file) = (file.entry_bytes(), file.path.as_path());
                    return Ok(Some(LogEntry {
                        header,
                        bytes,
                        file,
                        offset,
                    }));
                }
            }
        }
    }
}

/// Whether any log has a transaction.
///
/// # Errors
/// When a log cannot be read.
pub fn has_txns(dirs: &DataDirs) -> Result<bool, StorageError> {
    Ok(LogIter::open(dirs, i64::MIN)?.next_entry()?.is_some())
}
