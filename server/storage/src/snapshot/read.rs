//! Owns choosing and reading snapshots. Source: `FileSnap.deserialize`, `SnapStream`.

use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use menagerie_wire::data::{Acl, StatPersisted};
use menagerie_wire::jute::{Decode, decode_prefix, java_string};
use menagerie_wire::txn::{DIGEST_VERSION, SNAPSHOT_MAGIC};
use simd_adler32::Adler32;

use super::{Compression, SLASH, snappy};
use crate::disk::{Access, Disk, FileReader, StdDisk};
use crate::planted::{Bug, Planted};
use crate::window::Window;
use crate::{DataDirs, StorageError};

/// Snapshots that are tried at most. Source: `FileSnap.deserialize`.
const TRY_MAX: usize = 100;
/// The longest string, buffer or ACL that is believed.
const FIELD_MAX: usize = 256 << 20;
/// Bytes of the file header.
const HEADER_LEN: usize = 16;
/// Bytes of a node behind its data: ACL id and stat.
const NODE_END: usize = 8 + 60;
/// Bytes of a checksum and its end mark.
const SEAL_LEN: usize = 8 + 5;
/// More than the digest, the last zxid and their seals take.
const TAIL_MAX: usize = 4096;

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
    /// The zxid that the file holds besides the one in its name, if its writer put it there.
    fn last_zxid(&mut self, _zxid: i64) {}
}

/// A snapshot that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The zxid in its name.
    pub zxid: i64,
    /// Its file.
    pub path: PathBuf,
    /// The newer ones that could not be read.
    pub skipped: Vec<Skipped>,
}

/// A snapshot that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The zxid in its name.
    pub zxid: i64,
    /// Its file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
    /// Whether it seems never to have been finished, as Apache's server leaves one when it is killed:
    /// then nobody has relied on it.
    pub unfinished: bool,
}

/// Whether a file looks like a whole snapshot at a glance. Source: `SnapStream.isValidSnapshot`.
#[must_use]
pub fn looks_valid(path: &Path) -> bool {
    looks_valid_on(&StdDisk, path)
}

/// As [`looks_valid`], on any disk.
#[must_use]
pub fn looks_valid_on(disk: &dyn Disk, path: &Path) -> bool {
    let glance = || -> io::Result<bool> {
        let file = disk.open(path, Access::Read)?;
        let len = file.len()?;
        let is = |expected: &[u8], offset: u64| -> io::Result<bool> {
            let mut bytes = vec![0; expected.len()];
            Ok(file.read_at(&mut bytes, offset)? == bytes.len() && bytes == expected)
        };
        match Compression::of(path) {
            Compression::Gzip => is(&[0x1f, 0x8b], 0),
            Compression::Snappy => is(&snappy::MAGIC, 0),
            Compression::None => Ok(len >= 10 && is(&SLASH, len - SLASH.len() as u64)?),
        }
    };
    glance().unwrap_or(false)
}

/// Reads the newest snapshot that is whole. `None` when there is none at all; an empty file is
/// none, since the server that made it had not begun to write.
///
/// # Errors
/// [`StorageError::NoValidSnapshot`] when there are some and none can be read. Apache's server
/// takes files that are evidently cut off for no snapshot at all, and may start with an empty
/// database then; that is a deliberate difference.
pub fn load_newest(
    dirs: &DataDirs,
    sink: &mut impl SnapshotSink,
) -> Result<Option<Loaded>, StorageError> {
    let disk = &**dirs.disk();
    let mut skipped: Vec<(Skipped, StorageError)> = Vec::new();
    let mut tried = 0;
    for (zxid, path) in dirs.snapshots()? {
        sink.reset();
        let result = if looks_valid_on(disk, &path) {
            tried += 1;
            load_file_on(disk, &path, sink)
        } else if is_empty(disk, &path) {
            tracing::warn!(file = %path.display(), "ignoring an empty snapshot");
            continue;
        } else {
            let reason = "it is not whole".to_owned();
            Err(StorageError::Unusable {
                path: path.clone(),
                reason,
            })
        };
        match result {
            Ok(()) => {
                let skipped = skipped.into_iter().map(|(skipped, _)| skipped);
                return Ok(Some(Loaded {
                    zxid,
                    path,
                    skipped: skipped.collect(),
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "skipping a snapshot");
                let unfinished = is_unfinished(disk, &path);
                let reason = error.to_string();
                let it = Skipped {
                    zxid,
                    path,
                    reason,
                    unfinished,
                };
                skipped.push((it, error));
            }
        }
        if tried == TRY_MAX {
            break;
        }
    }
    sink.reset();
    match skipped.into_iter().next() {
        None => Ok(None),
        Some((_, newest)) => Err(StorageError::NoValidSnapshot {
            dir: dirs.data.clone(),
            newest: Box::new(newest),
        }),
    }
}

/// Whether the end is missing, rather than damaged.
fn is_unfinished(disk: &dyn Disk, path: &Path) -> bool {
    let end = || -> io::Result<[u8; SLASH.len()]> {
        let file = disk.open(path, Access::Read)?;
        let mut end = [0; SLASH.len()];
        let at = file.len()?.saturating_sub(SLASH.len() as u64);
        file.read_at(&mut end, at)?;
        Ok(end)
    };
    let right = end().map(|end| end.iter().zip(SLASH).filter(|(a, b)| **a == *b).count());
    Compression::of(path) == Compression::None && right.is_ok_and(|right| right + 1 < SLASH.len())
}

fn is_empty(disk: &dyn Disk, path: &Path) -> bool {
    disk.open(path, Access::Read)
        .and_then(|file| file.is_empty())
        .unwrap_or(false)
}

/// Reads one snapshot of the file system.
///
/// # Errors
/// When it cannot be read, is damaged, or `sink` refuses a node.
pub fn load_file(path: &Path, sink: &mut impl SnapshotSink) -> Result<(), StorageError> {
    load_file_on(&StdDisk, path, sink)
}

/// As [`load_file`], on any disk.
///
/// # Errors
/// As [`load_file`].
pub fn load_file_on(
    disk: &dyn Disk,
    path: &Path,
    sink: &mut impl SnapshotSink,
) -> Result<(), StorageError> {
    let file = disk
        .open(path, Access::Read)
        .map_err(StorageError::io("open", path))?;
    let file = FileReader::new(file);
    let buffered = |file| BufReader::with_capacity(64 << 10, file);
    match Compression::of(path) {
        Compression::None => load(file, path, disk.planted(), sink),
        Compression::Gzip => {
            let stream = MultiGzDecoder::new(buffered(file));
            load(stream, path, disk.planted(), sink)
        }
        Compression::Snappy => {
            let stream = snappy::Reader::new(buffered(file));
            let stream = stream.map_err(StorageError::io("read", path))?;
            load(stream, path, disk.planted(), sink)
        }
    }
}

fn load(
    stream: impl Read,
    path: &Path,
    planted: Planted,
    sink: &mut impl SnapshotSink,
) -> Result<(), StorageError> {
    let mut source = Source {
        window: Window::new(stream),
        path,
        checksum: Adler32::new(),
        offset: 0,
        planted,
    };
    source.header()?;
    source.sessions(sink)?;
    source.acls(sink)?;
    source.nodes(sink)?;
    source.seal()?;
    source.tail(sink)
}

/// What ends a snapshot that comes from a leader. Source: `LearnerHandler.run`.
pub const STREAM_SIGNATURE: &[u8] = b"BenWasHere";

/// Reads a snapshot as a leader sends it: without file header, checksums and digest, but with a
/// signature at its end. Returns the bytes that were read beyond it.
///
/// # Errors
/// When the stream ends, is no snapshot, or `sink` refuses a node.
pub fn load_stream(
    stream: impl Read,
    name: &str,
    sink: &mut impl SnapshotSink,
) -> Result<Vec<u8>, StorageError> {
    let mut source = Source {
        window: Window::new(stream),
        path: Path::new(name),
        checksum: Adler32::new(),
        offset: 0,
        planted: Planted::default(),
    };
    source.sessions(sink)?;
    source.acls(sink)?;
    source.nodes(sink)?;
    let len = source.buffer_len(0)?.unwrap_or(0);
    if source.window.bytes().get(4..4 + len) != Some(STREAM_SIGNATURE) {
        return Err(source.corrupt("it does not end with its signature"));
    }
    source.take(4 + len);
    Ok(source.window.bytes().to_vec())
}

struct Source<'a, R> {
    window: Window<R>,
    path: &'a Path,
    checksum: Adler32,
    /// Uncompressed bytes taken so far.
    offset: u64,
    planted: Planted,
}

/// The big-endian number at `at`; the caller has made sure that it is there.
fn int_at(bytes: &[u8], at: usize) -> i32 {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| i32::from_be_bytes(*bytes))
}

fn long_at(bytes: &[u8], at: usize) -> i64 {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

impl<R: Read> Source<'_, R> {
    fn corrupt(&self, reason: impl Into<String>) -> StorageError {
        let (path, offset) = (self.path.to_owned(), self.offset);
        StorageError::Corrupt {
            path,
            offset,
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

    /// Makes sure that `len` bytes are at hand.
    fn need(&mut self, len: usize) -> Result<(), StorageError> {
        match self.window.want(len) {
            Ok(bytes) if bytes.len() == len => Ok(()),
            Ok(_) => Err(self.corrupt("the file ends too early")),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Leaves `len` bytes behind that are at hand.
    fn take(&mut self, len: usize) {
        self.checksum
            .write(self.window.bytes().get(..len).unwrap_or_default());
        self.window.advance(len);
        self.offset += len as u64;
    }

    fn int(&mut self) -> Result<i32, StorageError> {
        self.need(4)?;
        let value = int_at(self.window.bytes(), 0);
        self.take(4);
        Ok(value)
    }

    /// The length of a buffer whose length field is at `at`; the field is at hand, the bytes are
    /// too afterwards. `None` is null.
    fn buffer_len(&mut self, at: usize) -> Result<Option<usize>, StorageError> {
        self.need(at + 4)?;
        let len = int_at(self.window.bytes(), at);
        if len == -1 {
            return Ok(None);
        }
        let Some(len) = usize::try_from(len).ok().filter(|len| *len <= FIELD_MAX) else {
            return Err(self.corrupt(format!("unreasonable length {len}")));
        };
        self.need(at + 4 + len)?;
        Ok(Some(len))
    }

    fn header(&mut self) -> Result<(), StorageError> {
        self.need(HEADER_LEN)?;
        let magic = int_at(self.window.bytes(), 0);
        if magic != SNAPSHOT_MAGIC {
            return Err(self.corrupt(format!("not a snapshot (it starts with {magic:08x})")));
        }
        self.take(HEADER_LEN);
        Ok(())
    }

    fn sessions(&mut self, sink: &mut impl SnapshotSink) -> Result<(), StorageError> {
        for _ in 0..self.int()? {
            self.need(12)?;
            let bytes = self.window.bytes();
            sink.session(long_at(bytes, 0), int_at(bytes, 8));
            self.take(12);
        }
        Ok(())
    }

    fn acls(&mut self, sink: &mut impl SnapshotSink) -> Result<(), StorageError> {
        for _ in 0..self.int()? {
            self.need(12)?;
            // Their end is only known when they are parsed: id, count, entries of perms and two
            // strings.
            let entries = int_at(self.window.bytes(), 8);
            let mut len = 12;
            for _ in 0..entries {
                let scheme_at = len + 4;
                let id_at = scheme_at + 4 + self.buffer_len(scheme_at)?.unwrap_or(0);
                len = id_at + 4 + self.buffer_len(id_at)?.unwrap_or(0);
                if len > FIELD_MAX {
                    return Err(self.corrupt("an unreasonably long ACL"));
                }
            }
            let bytes = self.window.bytes().get(..len).unwrap_or_default();
            let id = long_at(bytes, 0);
            let list = bytes.get(8..).unwrap_or_default();
            let list: Option<Vec<Acl<'_>>> = decode_prefix(list)
                .map_err(|error| self.corrupt(error.to_string()))?
                .0;
            sink.acl(id, &list.unwrap_or_default());
            self.take(len);
        }
        Ok(())
    }

    fn nodes(&mut self, sink: &mut impl SnapshotSink) -> Result<(), StorageError> {
        loop {
            let Some(path_len) = self.buffer_len(0)? else {
                return Err(self.corrupt("a node without a path"));
            };
            if self.window.bytes().get(4..4 + path_len) == Some(b"/") {
                self.take(SLASH.len());
                return Ok(());
            }
            let data_at = 4 + path_len;
            let data_len = self.buffer_len(data_at)?;
            let end = data_at + 4 + data_len.unwrap_or(0);
            self.need(end + NODE_END)?;
            let bytes = self.window.bytes();
            let path = java_string(bytes.get(4..data_at).unwrap_or_default());
            let data = data_len.and_then(|_| bytes.get(data_at + 4..end));
            let rest = bytes.get(end..end + NODE_END).unwrap_or_default();
            let acl_id = long_at(rest, 0);
            let stat = StatPersisted::decode(rest.get(8..).unwrap_or_default());
            let (_, stat) = stat.map_err(|error| self.corrupt(error.to_string()))?;
            sink.node(&path, data, acl_id, stat)
                .map_err(|reason| StorageError::Unusable {
                    path: self.path.to_owned(),
                    reason,
                })?;
            self.take(end + NODE_END);
        }
    }

    /// Checks a checksum over everything before it.
    fn seal(&mut self) -> Result<(), StorageError> {
        let expected = i64::from(self.checksum.finish());
        self.need(SEAL_LEN)?;
        let bytes = self.window.bytes();
        let recorded = long_at(bytes, 0);
        if recorded != expected && !self.planted.has(Bug::SnapshotChecksumIgnored) {
            let reason = format!("checksum {expected:x} where {recorded:x} is recorded");
            return Err(self.corrupt(reason));
        }
        if bytes.get(8..SEAL_LEN) != Some(&SLASH[..]) {
            return Err(self.corrupt("no end mark behind the checksum"));
        }
        self.take(SEAL_LEN);
        Ok(())
    }

    /// The digest and the last zxid, each with its own seal. Older servers write neither, or the
    /// digest alone, and each can be switched off.
    fn tail(&mut self, sink: &mut impl SnapshotSink) -> Result<(), StorageError> {
        let left = self.left(TAIL_MAX)?;
        // Only the zxid fits into so little.
        if left > 8 + SEAL_LEN {
            let digest = self.digest()?;
            self.seal()?;
            if let Some((zxid, version, digest)) = digest {
                sink.digest(zxid, version, digest);
            }
        }
        if self.left(8 + SEAL_LEN)? == 8 + SEAL_LEN {
            let zxid = long_at(self.window.bytes(), 0);
            self.take(8);
            self.seal()?;
            sink.last_zxid(zxid);
        }
        // To the end, so that a compressed stream checks its own checksum.
        while self.left(1)? > 0 {
            self.window.advance(TAIL_MAX);
        }
        Ok(())
    }

    /// zxid, version, digest. Before version 2 the digest was a hexadecimal string, of another
    /// function: nothing to compare with.
    fn digest(&mut self) -> Result<Option<(i64, i32, i64)>, StorageError> {
        self.need(20)?;
        let bytes = self.window.bytes();
        let (zxid, version, value) = (long_at(bytes, 0), int_at(bytes, 8), long_at(bytes, 12));
        if version >= DIGEST_VERSION {
            self.take(20);
            return Ok(Some((zxid, version, value)));
        }
        let text = self.buffer_len(12)?.unwrap_or(0);
        self.take(16 + text);
        Ok(None)
    }

    /// How many bytes follow, at most `max`.
    fn left(&mut self, max: usize) -> Result<usize, StorageError> {
        let left = self.window.want(max).map(<[u8]>::len);
        left.map_err(|error| self.failed(error))
    }
}
