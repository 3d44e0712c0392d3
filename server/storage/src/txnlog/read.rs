//! Owns reading logs in order. Source: `FileTxnLog.FileTxnIterator`.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use menagerie_wire::jute::decode_prefix;
use menagerie_wire::txn::{FileHeader, LOG_MAGIC, TxnHeader};

use super::{END_OF_RECORD, ENTRY_MAX, HEADER_LEN, PREFIX_LEN};
use crate::{DataDirs, StorageError};

/// Bytes read from a file at once.
const READ_BUFFER: usize = 256 << 10;

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
    reader: BufReader<File>,
    path: PathBuf,
    offset: u64,
    last_zxid: i64,
    entry: Vec<u8>,
}

/// What the next bytes of a file are.
enum Next {
    Entry(TxnHeader, u64),
    End(End),
}

impl LogFile {
    /// Opens a file and checks its magic. `Ok(None)` is a file that ends before its header, as a
    /// crash right after its creation leaves it.
    ///
    /// # Errors
    /// When it cannot be read or is not a log.
    pub fn open(path: &Path) -> Result<Option<Self>, StorageError> {
        let file = File::open(path).map_err(StorageError::io("open", path))?;
        let mut reader = BufReader::with_capacity(READ_BUFFER, file);
        let mut header = [0; 16];
        let got = fill(&mut reader, &mut header).map_err(StorageError::io("read", path))?;
        if got < header.len() || header == [0; 16] {
            return Ok(None);
        }
        let magic = decode_prefix::<FileHeader>(&header).map(|(header, _)| header.magic);
        if magic != Ok(LOG_MAGIC) {
            return Err(StorageError::Corrupt {
                path: path.to_owned(),
                offset: 0,
                reason: format!("not a transaction log (it starts with {:02x?})", &header[..4]),
                last_zxid: 0,
            });
        }
        let path = path.to_owned();
        Ok(Some(Self { reader, path, offset: HEADER_LEN, last_zxid: 0, entry: Vec::new() }))
    }

    fn corrupt(&self, offset: u64, reason: String) -> StorageError {
        let (path, last_zxid) = (self.path.clone(), self.last_zxid);
        StorageError::Corrupt { path, offset, reason, last_zxid }
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

    /// The next entry, or how the file ends.
    ///
    /// # Errors
    /// When the file cannot be read or an entry is damaged.
    pub fn next_entry(&mut self) -> Result<Result<LogEntry<'_>, End>, StorageError> {
        match self.advance()? {
            Next::Entry(header, offset) => {
                Ok(Ok(LogEntry { header, bytes: &self.entry, file: &self.path, offset }))
            }
            Next::End(end) => Ok(Err(end)),
        }
    }

    fn advance(&mut self) -> Result<Next, StorageError> {
        let start = self.offset;
        let mut prefix = [0; PREFIX_LEN];
        let read = |error| StorageError::io("read", self.path.clone())(error);
        let got = fill(&mut self.reader, &mut prefix).map_err(read)?;
        if got < PREFIX_LEN {
            let end = if prefix == [0; PREFIX_LEN] { End::Clean } else { End::Torn };
            return Ok(Next::End(end));
        }
        let (checksum, len) = prefix.split_at(8);
        let checksum = u64::from_be_bytes(checksum.try_into().unwrap_or_default());
        let len = i32::from_be_bytes(len.try_into().unwrap_or_default());
        if len == 0 {
            // A checksum without a length is the start of an entry that was not written whole.
            let end = if checksum == 0 { End::Clean } else { End::Torn };
            return Ok(Next::End(end));
        }
        let Some(len) = usize::try_from(len).ok().filter(|len| *len <= ENTRY_MAX) else {
            return Err(self.corrupt(start, format!("unreasonable length {len}")));
        };
        self.entry.resize(len, 0);
        let got = fill(&mut self.reader, &mut self.entry).map_err(read)?;
        let mut end = [0];
        if got < len || fill(&mut self.reader, &mut end).map_err(read)? == 0 {
            return Ok(Next::End(End::Torn));
        }
        if end[0] != END_OF_RECORD {
            return Ok(Next::End(End::Torn));
        }
        let actual = u64::from(simd_adler32::adler32(&&self.entry[..]));
        if actual != checksum {
            let reason = format!("checksum {actual:x} where {checksum:x} is recorded");
            return Err(self.corrupt(start, reason));
        }
        let header = match decode_prefix::<TxnHeader>(&self.entry) {
            Ok((header, _)) => header,
            Err(error) => return Err(self.corrupt(start, error.to_string())),
        };
        self.offset += (PREFIX_LEN + len + 1) as u64;
        self.last_zxid = header.zxid;
        Ok(Next::Entry(header, start))
    }
}

/// Reads until `buffer` is full or the file ends.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads all logs from some zxid on, as one sequence.
#[derive(Debug)]
pub struct LogIter {
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
        let first = logs.iter().rposition(|(start, _)| *start <= from).unwrap_or(0);
        let files: Vec<PathBuf> = logs.into_iter().skip(first).map(|(_, path)| path).collect();
        Ok(Self { files: files.into_iter(), current: None, from })
    }

    /// The next entry with a zxid of at least `from`; `None` at the end.
    ///
    /// # Errors
    /// When a file cannot be read or an entry is damaged.
    pub fn next_entry(&mut self) -> Result<Option<LogEntry<'_>>, StorageError> {
        loop {
            let Some(mut file) = self.current.take() else {
                let Some(path) = self.files.next() else { return Ok(None) };
                self.current = LogFile::open(&path)?;
                continue;
            };
            match file.advance()? {
                Next::End(_) => {}
                Next::Entry(header, _) if header.zxid < self.from => self.current = Some(file),
                Next::Entry(header, offset) => {
                    let file = self.current.insert(file);
                    let (bytes, file) = (&file.entry[..], &file.path);
                    return Ok(Some(LogEntry { header, bytes, file, offset }));
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
