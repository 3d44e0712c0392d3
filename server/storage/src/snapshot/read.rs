//! Owns choosing and reading snapshots. Source: `FileSnap.deserialize`, `SnapStream`.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use menagerie_wire::data::{Acl, Id, StatPersisted};
use menagerie_wire::jute::{decode_all, java_string};
use menagerie_wire::txn::SNAPSHOT_MAGIC;
use simd_adler32::Adler32;

use super::{Compression, SLASH, snappy};
use crate::{DataDirs, StorageError};

/// Snapshots that are tried at most. Source: `FileSnap.deserialize`.
const TRY_MAX: usize = 100;
/// The longest string or buffer that is believed.
const FIELD_MAX: usize = 256 << 20;
/// Bytes of a `StatPersisted`.
const STAT_LEN: usize = 60;

/// Takes a snapshot's contents, in the file's order.
pub trait SnapshotSink {
    /// Forgets everything: another file is about to be read.
    fn reset(&mut self);
    /// A session and its time-out.
    fn session(&mut self, id: i64, timeout_ms: i32);
    /// An ACL and its id.
    fn acl(&mut self, id: i64, acl: &[Acl<'_>]);
    /// A node; the root's path is empty.
    ///
    /// # Errors
    /// Why the node makes no sense here.
    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: StatPersisted,
    ) -> Result<(), String>;
    /// The digest of the tree at `zxid`.
    fn digest(&mut self, zxid: i64, version: i32, digest: i64);
}

/// A snapshot that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The zxid in its name.
    pub zxid: i64,
    /// Its file.
    pub path: PathBuf,
    /// The newer ones that could not be read, with the reasons.
    pub skipped: Vec<(PathBuf, String)>,
}

/// Whether a file looks like a whole snapshot at a glance. Source: `SnapStream.isValidSnapshot`.
#[must_use]
pub fn looks_valid(path: &Path) -> bool {
    let glance = || -> io::Result<bool> {
        let mut file = File::open(path)?;
        let mut magic = [0; 8];
        match Compression::of(path) {
            Compression::Gzip => {
                file.read_exact(&mut magic[..2])?;
                Ok(magic.starts_with(&[0x1f, 0x8b]))
            }
            Compression::Snappy => {
                file.read_exact(&mut magic)?;
                Ok(snappy::HEADER.starts_with(&magic))
            }
            Compression::None => {
                if file.metadata()?.len() < 10 {
                    return Ok(false);
                }
                let mut end = [0; 5];
                file.seek(SeekFrom::End(-5))?;
                file.read_exact(&mut end)?;
                Ok(end == SLASH)
            }
        }
    };
    glance().unwrap_or(false)
}

/// Reads the newest snapshot that is whole. `None` when there is none at all.
///
/// # Errors
/// [`StorageError::NoValidSnapshot`] when there are some and none can be read.
pub fn load_newest(
    dirs: &DataDirs,
    sink: &mut impl SnapshotSink,
) -> Result<Option<Loaded>, StorageError> {
    let files = dirs.snapshots()?;
    let mut skipped: Vec<(PathBuf, StorageError)> = Vec::new();
    for (zxid, path) in files.into_iter().take(TRY_MAX) {
        if !looks_valid(&path) {
            let reason = "it is not whole".to_owned();
            let error = StorageError::Unusable { path: path.clone(), reason };
            tracing::warn!(%error, "skipping a snapshot");
            skipped.push((path, error));
            continue;
        }
        sink.reset();
        match load_file(&path, sink) {
            Ok(()) => {
                let skipped = skipped.into_iter().map(|(path, error)| (path, error.to_string()));
                return Ok(Some(Loaded { zxid, path, skipped: skipped.collect() }));
            }
            Err(error) => {
                tracing::warn!(%error, "skipping a snapshot");
                skipped.push((path, error));
            }
        }
    }
    sink.reset();
    match skipped.into_iter().next() {
        None => Ok(None),
        Some((_, newest)) => {
            Err(StorageError::NoValidSnapshot { dir: dirs.data.clone(), newest: Box::new(newest) })
        }
    }
}

/// Reads one snapshot.
///
/// # Errors
/// When it cannot be read, is damaged, or `sink` refuses a node.
pub fn load_file(path: &Path, sink: &mut impl SnapshotSink) -> Result<(), StorageError> {
    let file = File::open(path).map_err(StorageError::io("open", path))?;
    let file = BufReader::with_capacity(256 << 10, file);
    let inner: Box<dyn Read> = match Compression::of(path) {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(BufReader::with_capacity(64 << 10, MultiGzDecoder::new(file))),
        Compression::Snappy => {
            Box::new(snappy::Reader::new(file).map_err(StorageError::io("read", path))?)
        }
    };
    let mut source = Source { inner, path, checksum: Adler32::new(), offset: 0, field: Vec::new() };
    source.header()?;
    source.sessions(sink)?;
    source.acls(sink)?;
    source.nodes(sink)?;
    source.seal()?;
    source.tail(sink)
}

struct Source<'a> {
    inner: Box<dyn Read>,
    path: &'a Path,
    checksum: Adler32,
    offset: u64,
    field: Vec<u8>,
}

impl Source<'_> {
    fn corrupt(&self, reason: impl Into<String>) -> StorageError {
        StorageError::Corrupt {
            path: self.path.to_owned(),
            offset: self.offset,
            reason: reason.into(),
            last_zxid: 0,
        }
    }

    fn failed(&self, error: io::Error) -> StorageError {
        match error.kind() {
            ErrorKind::UnexpectedEof => self.corrupt("the file ends too early"),
            ErrorKind::InvalidData | ErrorKind::InvalidInput => self.corrupt(error.to_string()),
            _ => StorageError::io("read", self.path)(error),
        }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], StorageError> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(|error| self.failed(error))?;
        self.checksum.write(&bytes);
        self.offset += N as u64;
        Ok(bytes)
    }

    fn int(&mut self) -> Result<i32, StorageError> {
        self.bytes().map(i32::from_be_bytes)
    }

    fn long(&mut self) -> Result<i64, StorageError> {
        self.bytes().map(i64::from_be_bytes)
    }

    /// Appends a buffer to `field` and returns whether it was not null.
    fn buffer(&mut self) -> Result<bool, StorageError> {
        let len = self.int()?;
        if len == -1 {
            return Ok(false);
        }
        let Some(len) = usize::try_from(len).ok().filter(|len| *len <= FIELD_MAX) else {
            return Err(self.corrupt(format!("unreasonable length {len}")));
        };
        let start = self.field.len();
        let read = self.inner.by_ref().take(len as u64).read_to_end(&mut self.field);
        let read = read.map_err(|error| self.failed(error))?;
        if read < len {
            return Err(self.corrupt("the file ends too early"));
        }
        self.checksum.write(self.field.get(start..).unwrap_or_default());
        self.offset += len as u64;
        Ok(true)
    }

    fn header(&mut self) -> Result<(), StorageError> {
        let magic = self.int()?;
        if magic != SNAPSHOT_MAGIC {
            return Err(self.corrupt(format!("not a snapshot (it starts with {magic:08x})")));
        }
        self.bytes::<12>().map(|_| ())
    }

    fn sessions(&mut self, sink: &mut impl SnapshotSink) -> Result<(), StorageError> {
        for _ in 0..self.int()? {
            let (id, timeout_ms) = (self.long()?, self.int()?);
            sink.session(id, timeout_ms);
        }
        Ok(())
    }

    fn acls(&mut self, sink: &mut impl SnapshotSink) -> Result<(), StorageError> {
        for _ in 0..self.int()? {
            let id = self.long()?;
            let mut entries = Vec::new();
            for _ in 0..self.int()? {
                let perms = self.int()?;
                self.field.clear();
                let has_scheme = self.buffer()?;
                let scheme_len = self.field.len();
                let has_id = self.buffer()?;
                let (scheme, id) = self.field.split_at(scheme_len);
                let text = |has: bool, bytes| has.then(|| java_string(bytes).into_owned().into());
                entries.push(Acl {
                    perms,
                    id: Id { scheme: text(has_scheme, scheme), id: text(has_id, id) },
                });
            }
            sink.acl(id, &entries);
        }
        Ok(())
    }

    fn nodes(&mut self, sink: &mut impl SnapshotSink) -> Result<(), StorageError> {
        loop {
            self.field.clear();
            if !self.buffer()? {
                return Err(self.corrupt("a node without a path"));
            }
            if self.field == b"/" {
                return Ok(());
            }
            let path_len = self.field.len();
            let has_data = self.buffer()?;
            let acl_id = self.long()?;
            let stat = self.bytes::<STAT_LEN>()?;
            let stat = decode_all::<StatPersisted>(&stat)
                .map_err(|error| self.corrupt(error.to_string()))?;
            let (path, data) = self.field.split_at(path_len);
            let path = java_string(path);
            sink.node(&path, has_data.then_some(data), acl_id, stat).map_err(|reason| {
                StorageError::Unusable { path: self.path.to_owned(), reason }
            })?;
        }
    }

    /// Checks a checksum over everything before it.
    fn seal(&mut self) -> Result<(), StorageError> {
        let expected = i64::from(self.checksum.finish());
        let recorded = self.long()?;
        if recorded != expected {
            let reason = format!("checksum {expected:x} where {recorded:x} is recorded");
            return Err(self.corrupt(reason));
        }
        if self.bytes::<5>()? != SLASH {
            return Err(self.corrupt("no end mark behind the checksum"));
        }
        Ok(())
    }

    /// The digest and the last zxid, which older servers do not write. Each has its own seal.
    fn tail(&mut self, sink: &mut impl SnapshotSink) -> Result<(), StorageError> {
        let mut tail = Vec::new();
        let read = self.inner.by_ref().take(4096).read_to_end(&mut tail);
        read.map_err(|error| self.failed(error))?;
        // zxid, version, digest, seal; or zxid and seal alone, without digests.
        let (digest, rest) = match tail.split_at_checked(20 + 13) {
            Some((part, rest)) => (Some(part), rest),
            None => (None, tail.as_slice()),
        };
        if let Some(part) = digest {
            let (body, seal) = part.split_at(20);
            self.check_tail_seal(body, seal)?;
            if let Ok((zxid, version, value)) = digest_fields(body) {
                sink.digest(zxid, version, value);
            }
        }
        if let Some((body, seal)) = rest.split_at_checked(8)
            && seal.len() >= 13
        {
            self.check_tail_seal(body, seal.get(..13).unwrap_or_default())?;
        }
        Ok(())
    }

    fn check_tail_seal(&mut self, body: &[u8], seal: &[u8]) -> Result<(), StorageError> {
        self.checksum.write(body);
        let expected = i64::from(self.checksum.finish()).to_be_bytes();
        self.offset += body.len() as u64;
        if seal.get(..8) != Some(&expected[..]) || seal.get(8..13) != Some(&SLASH[..]) {
            return Err(self.corrupt("wrong checksum behind the digest"));
        }
        self.checksum.write(seal);
        self.offset += seal.len() as u64;
        Ok(())
    }
}

fn digest_fields(body: &[u8]) -> Result<(i64, i32, i64), std::array::TryFromSliceError> {
    let zxid = body.get(..8).unwrap_or_default().try_into()?;
    let version = body.get(8..12).unwrap_or_default().try_into()?;
    let value = body.get(12..20).unwrap_or_default().try_into()?;
    Ok((i64::from_be_bytes(zxid), i32::from_be_bytes(version), i64::from_be_bytes(value)))
}
