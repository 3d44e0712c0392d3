//! Owns writing a snapshot. It gets its name only when it is whole and on disk.
//! Source: `FileSnap.serialize`, `SerializeUtils.serializeSnapshot`, `SnapStream.sealStream`.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use flate2::write::GzEncoder;
use menagerie_wire::data::{Acl, StatPersisted};
use menagerie_wire::jute;
use menagerie_wire::txn::{FILE_VERSION, FileHeader, SNAPSHOT_MAGIC};
use simd_adler32::Adler32;

use super::{Compression, SLASH, snappy};
use crate::dirs::sync_dir;
use crate::{DataDirs, StorageError};

/// Bytes that may be dirty in the page cache before they are sent to disk: a snapshot must not
/// make the next sync of the log wait for hundreds of megabytes.
const SYNC_EVERY: u64 = 4 << 20;

enum Sink {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
    Snappy(Box<snappy::Writer<BufWriter<File>>>),
}

impl Sink {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(sink) => sink.write_all(bytes),
            Self::Gzip(sink) => sink.write_all(bytes),
            Self::Snappy(sink) => sink.write_all(bytes),
        }
    }

    fn file(&self) -> Option<&File> {
        match self {
            Self::Plain(sink) => Some(sink.get_ref()),
            Self::Gzip(sink) => Some(sink.get_ref().get_ref()),
            Self::Snappy(_) => None,
        }
    }

    fn finish(self) -> io::Result<File> {
        let buffered = match self {
            Self::Plain(sink) => sink,
            Self::Gzip(sink) => sink.finish()?,
            Self::Snappy(sink) => sink.finish()?,
        };
        buffered.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// A snapshot being written. One that is dropped unfinished leaves nothing behind.
pub struct SnapshotWriter {
    sink: Option<Sink>,
    checksum: Adler32,
    unsynced: u64,
    aside: PathBuf,
    path: PathBuf,
    dir: PathBuf,
}

impl SnapshotWriter {
    /// Starts `snapshot.<zxid>` with its file header.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn create(
        dirs: &DataDirs,
        zxid: i64,
        compression: Compression,
    ) -> Result<Self, StorageError> {
        let path = dirs.data.join(format!("snapshot.{zxid:x}{}", compression.suffix()));
        let aside = dirs.data.join(format!("snapshot.{zxid:x}{}.tmp", compression.suffix()));
        let failed = || StorageError::io("create", aside.clone());
        let file = BufWriter::with_capacity(256 << 10, File::create(&aside).map_err(failed())?);
        let sink = match compression {
            Compression::None => Sink::Plain(file),
            Compression::Gzip => {
                Sink::Gzip(Box::new(GzEncoder::new(file, flate2::Compression::fast())))
            }
            Compression::Snappy => {
                Sink::Snappy(Box::new(snappy::Writer::new(file).map_err(failed())?))
            }
        };
        let dir = dirs.data.clone();
        let (checksum, unsynced) = (Adler32::new(), 0);
        let mut writer = Self { sink: Some(sink), checksum, unsynced, aside, path, dir };
        let header = FileHeader { magic: SNAPSHOT_MAGIC, version: FILE_VERSION, dbid: -1 };
        writer.write(&jute::to_vec(&header))?;
        Ok(writer)
    }

    /// Writes what comes before the nodes: sessions (id, time-out in ms) and ACLs.
    ///
    /// # Errors
    /// When the system cannot write.
    pub fn begin<'a>(
        &mut self,
        sessions: impl ExactSizeIterator<Item = (i64, i32)>,
        acls: impl ExactSizeIterator<Item = &'a (i64, Vec<Acl<'a>>)>,
    ) -> Result<(), StorageError> {
        let mut bytes = Vec::new();
        jute::append(&mut bytes, &count(sessions.len()));
        for session in sessions {
            jute::append(&mut bytes, &session);
        }
        jute::append(&mut bytes, &count(acls.len()));
        for (id, acl) in acls {
            jute::append(&mut bytes, id);
            jute::append(&mut bytes, acl);
        }
        self.write(&bytes)
    }

    /// Appends a node as [`SnapshotWriter::write`] takes it; the root's path is empty.
    pub fn encode_node(
        out: &mut Vec<u8>,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: &StatPersisted,
    ) {
        jute::append(out, &Cow::Borrowed(path));
        match data {
            None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(data) => {
                // A node's data came in one frame, far below 2^31.
                let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&len.to_be_bytes());
                out.extend_from_slice(data);
            }
        }
        out.extend_from_slice(&acl_id.to_be_bytes());
        jute::append(out, stat);
    }

    /// Writes encoded parts.
    ///
    /// # Errors
    /// When the system cannot write.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.checksum.write(bytes);
        let Some(sink) = &mut self.sink else { return Ok(()) };
        sink.write_all(bytes).map_err(StorageError::io("write to", &self.aside))?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced > SYNC_EVERY
            && let Some(file) = sink.file()
        {
            self.unsynced = 0;
            file.sync_data().map_err(StorageError::io("sync", &self.aside))?;
        }
        Ok(())
    }

    /// The checksum of everything so far, itself included in the next one.
    fn seal(&mut self) -> Result<(), StorageError> {
        let mut bytes = i64::from(self.checksum.finish()).to_be_bytes().to_vec();
        bytes.extend_from_slice(&SLASH);
        self.write(&bytes)
    }

    /// Writes what comes behind the nodes: the digest with its zxid and version, and the zxid of
    /// the snapshot.
    ///
    /// # Errors
    /// When the system cannot write.
    pub fn end(
        &mut self,
        digest: Option<(i64, i32, i64)>,
        last_zxid: Option<i64>,
    ) -> Result<(), StorageError> {
        self.write(&SLASH)?;
        self.seal()?;
        if let Some(digest) = digest {
            self.write(&jute::to_vec(&digest))?;
            self.seal()?;
        }
        if let Some(zxid) = last_zxid {
            self.write(&zxid.to_be_bytes())?;
            self.seal()?;
        }
        Ok(())
    }

    /// Makes the file durable, if asked, and gives it its name.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn finish(mut self, sync: bool) -> Result<PathBuf, StorageError> {
        let Some(sink) = self.sink.take() else { return Ok(self.path.clone()) };
        let file = sink.finish().map_err(StorageError::io("write to", &self.aside))?;
        if sync {
            file.sync_all().map_err(StorageError::io("sync", &self.aside))?;
        }
        fs::rename(&self.aside, &self.path).map_err(StorageError::io("rename to", &self.path))?;
        if sync {
            sync_dir(&self.dir)?;
        }
        Ok(self.path.clone())
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if self.sink.take().is_some() {
            let _best_effort = fs::remove_file(&self.aside);
        }
    }
}

impl std::fmt::Debug for SnapshotWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A table's size; memory bounds it far below 2^31.
fn count(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}
