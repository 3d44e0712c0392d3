//! Owns writing a snapshot. It gets its name only when it is whole and on disk.
//! Source: `FileSnap.serialize`, `SerializeUtils.serializeSnapshot`, `SnapStream.sealStream`.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use flate2::write::GzEncoder;
use menagerie_wire::data::{Acl, StatPersisted};
use menagerie_wire::jute;
use menagerie_wire::txn::{FILE_VERSION, FileHeader, SNAPSHOT_MAGIC};
use simd_adler32::Adler32;

use super::{Compression, SLASH, snappy};
use crate::disk::{DiskFile, FileWriter};
use crate::planted::Bug;
use crate::{DataDirs, StorageError};

/// Bytes that may be dirty in the page cache before they are sent to disk: a snapshot must not
/// make the next sync of the log wait for hundreds of megabytes.
const SYNC_EVERY: u64 = 4 << 20;

enum Sink {
    Plain(BufWriter<FileWriter>),
    Gzip(Box<GzEncoder<BufWriter<FileWriter>>>),
    Snappy(Box<snappy::Writer<BufWriter<FileWriter>>>),
}

impl Sink {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(sink) => sink.write_all(bytes),
            Self::Gzip(sink) => sink.write_all(bytes),
            Self::Snappy(sink) => sink.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        let mut buffered = match self {
            Self::Plain(sink) => sink,
            Self::Gzip(sink) => sink.finish()?,
            Self::Snappy(sink) => sink.finish()?,
        };
        buffered.flush()
    }
}

/// A snapshot being written. One that is dropped unfinished leaves nothing behind.
pub struct SnapshotWriter {
    sink: Option<Sink>,
    file: Arc<dyn DiskFile>,
    checksum: Adler32,
    unsynced: u64,
    aside: PathBuf,
    path: PathBuf,
    dirs: DataDirs,
    /// Whether the file has its name, and stays.
    named: bool,
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
        let name = format!("snapshot.{zxid:x}{}", compression.suffix());
        let (path, aside) = (dirs.data.join(&name), dirs.data.join(format!("{name}.tmp")));
        let failed = || StorageError::io("create", aside.clone());
        let file = dirs.disk().create(&aside).map_err(failed())?;
        let stream = BufWriter::with_capacity(256 << 10, FileWriter::new(Arc::clone(&file)));
        let sink = match compression {
            Compression::None => Sink::Plain(stream),
            Compression::Gzip => Sink::Gzip(Box::new(GzEncoder::new(
                stream,
                flate2::Compression::fast(),
            ))),
            Compression::Snappy => {
                Sink::Snappy(Box::new(snappy::Writer::new(stream).map_err(failed())?))
            }
        };
        let (sink, checksum, dirs) = (Some(sink), Adler32::new(), dirs.clone());
        let mut writer = Self {
            sink,
            file,
            checksum,
            unsynced: 0,
            aside,
            path,
            dirs,
            named: false,
        };
        let header = FileHeader {
            magic: SNAPSHOT_MAGIC,
            version: FILE_VERSION,
            dbid: -1,
        };
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
        Self::encode_start(&mut bytes, sessions, acls);
        self.write(&bytes)
    }

    /// Appends what comes before the nodes; see [`SnapshotWriter::begin`].
    pub fn encode_start<'a>(
        bytes: &mut Vec<u8>,
        sessions: impl ExactSizeIterator<Item = (i64, i32)>,
        acls: impl ExactSizeIterator<Item = &'a (i64, Vec<Acl<'a>>)>,
    ) {
        jute::append(bytes, &count(sessions.len()));
        for session in sessions {
            jute::append(bytes, &session);
        }
        jute::append(bytes, &count(acls.len()));
        for (id, acl) in acls {
            jute::append(bytes, id);
            jute::append(bytes, acl);
        }
    }

    /// Appends what ends a snapshot that goes to a learner.
    pub fn encode_stream_end(bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&SLASH);
        jute::append(bytes, &Cow::Borrowed("BenWasHere"));
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
        let Some(sink) = &mut self.sink else {
            return Ok(());
        };
        sink.write_all(bytes)
            .map_err(StorageError::io("write to", &self.aside))?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced > SYNC_EVERY {
            self.unsynced = 0;
            self.file
                .sync_data()
                .map_err(StorageError::io("sync", &self.aside))?;
        }
        Ok(())
    }

    /// Writes a node; the root's path is empty.
    ///
    /// # Errors
    /// When the system cannot write.
    pub fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: &StatPersisted,
    ) -> Result<(), StorageError> {
        let mut bytes = Vec::new();
        Self::encode_node(&mut bytes, path, data, acl_id, stat);
        self.write(&bytes)
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
        self.complete(sync)?;
        self.name(sync)
    }

    /// Ends the file, and makes it durable, if asked; nothing can be written any more.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn complete(&mut self, sync: bool) -> Result<(), StorageError> {
        let Some(sink) = self.sink.take() else {
            return Ok(());
        };
        sink.finish()
            .map_err(StorageError::io("write to", &self.aside))?;
        if sync && !self.dirs.disk().planted().has(Bug::SnapshotNotSynced) {
            self.file
                .sync_data()
                .map_err(StorageError::io("sync", &self.aside))?;
        }
        Ok(())
    }

    /// Gives a file that is complete its name, durably, if asked.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn name(mut self, sync: bool) -> Result<PathBuf, StorageError> {
        let renamed = self.dirs.disk().rename(&self.aside, &self.path);
        renamed.map_err(StorageError::io("rename to", &self.path))?;
        self.named = true;
        if sync {
            self.dirs.sync_dir(&self.dirs.data)?;
        }
        Ok(self.path.clone())
    }

    fn discard(&self) {
        // Should it fail: readers ignore the name, and the next snapshot of this zxid takes it.
        let _best_effort = self.dirs.disk().remove(&self.aside);
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.named {
            self.sink = None;
            self.discard();
        }
    }
}

impl std::fmt::Debug for SnapshotWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotWriter")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A table's size; memory bounds it far below 2^31.
fn count(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}
