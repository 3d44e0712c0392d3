//! Owns writing a tree, in slices: between two of them it may change, and what it was is found again
//! by replaying the log from the snapshot's zxid on. Source: `FileTxnSnapLog.save`.

use menagerie_core::acl::acl_to_wire;
use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::tree::{SnapshotCursor, Tree};
use menagerie_storage::snapshot::Compression;
use menagerie_storage::snapshot::write::SnapshotWriter;
use menagerie_storage::{DataDirs, StorageError};
use menagerie_wire::data::Acl;
use menagerie_wire::txn::DIGEST_VERSION;

/// How to write snapshots.
#[derive(Debug, Clone, Copy)]
pub struct SaveOptions {
    /// How to compress.
    pub compression: Compression,
    /// Whether the tree's digest is written too.
    pub digest: bool,
    /// Whether the snapshot's zxid is written too.
    pub last_zxid: bool,
}

/// The tree on its way out, slice by slice.
#[derive(Debug)]
pub struct Walk {
    cursor: SnapshotCursor,
    start: Vec<u8>,
}

impl Walk {
    /// A walk over the tree as it is now, and becomes until it ends.
    #[must_use]
    pub fn new(tree: &Tree, sessions: &[(SessionId, i32)]) -> Self {
        let cursor = SnapshotCursor::new(tree);
        let acls: Vec<(i64, Vec<Acl<'static>>)> = tree
            .snapshot_acls()
            .map(|(id, list)| (id, acl_to_wire(list).into_iter().map(owned_acl).collect()))
            .collect();
        let sessions = sessions.iter().map(|(id, timeout)| (id.0, *timeout));
        let mut start = Vec::new();
        SnapshotWriter::encode_start(&mut start, sessions, acls.iter());
        Self { cursor, start }
    }

    /// What comes before the nodes; once.
    pub fn start(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.start)
    }

    /// Appends the next nodes, as long as `more` says so of what `bytes` has; false behind the last.
    pub fn next(
        &mut self,
        tree: &Tree,
        bytes: &mut Vec<u8>,
        mut more: impl FnMut(&[u8]) -> bool,
    ) -> bool {
        self.cursor.advance(tree, |node| {
            SnapshotWriter::encode_node(bytes, node.path, node.data, node.acl_id, node.stat);
            more(bytes)
        })
    }
}

/// A snapshot being written. One that is dropped unfinished leaves nothing behind.
#[derive(Debug)]
pub struct Saving {
    walk: Walk,
    writer: SnapshotWriter,
    options: SaveOptions,
    slice: Vec<u8>,
}

impl Saving {
    /// Starts the file of a tree.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn new(
        dirs: &DataDirs,
        mut walk: Walk,
        options: &SaveOptions,
    ) -> Result<Self, StorageError> {
        let zxid = walk.cursor.start_zxid();
        let mut writer = SnapshotWriter::create(dirs, zxid, options.compression)?;
        writer.write(&walk.start())?;
        Ok(Self {
            walk,
            writer,
            options: *options,
            slice: Vec::new(),
        })
    }

    /// The zxid that names it.
    #[must_use]
    pub const fn zxid(&self) -> Zxid {
        Zxid(self.walk.cursor.start_zxid())
    }

    /// Takes the next nodes into memory, as [`Walk::next`]; to be followed by [`Saving::write`].
    pub fn take(&mut self, tree: &Tree, more: impl FnMut(&[u8]) -> bool) -> bool {
        self.walk.next(tree, &mut self.slice, more)
    }

    /// Writes what was taken.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn write(&mut self) -> Result<(), StorageError> {
        let written = self.writer.write(&self.slice);
        self.slice.clear();
        written
    }

    /// Ends the file with what the tree is now, when all nodes are written, and gives it its name.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn finish(self, last: Zxid, digest: u64) -> Result<Zxid, StorageError> {
        let zxid = self.zxid();
        self.complete(last, digest)?.name()?;
        Ok(zxid)
    }

    fn complete(mut self, last: Zxid, digest: u64) -> Result<Staged, StorageError> {
        let zxid = self.zxid();
        let digest = (last.0, DIGEST_VERSION, digest as i64);
        let digest = self.options.digest.then_some(digest);
        let named = self.options.last_zxid.then_some(zxid.0);
        self.writer.end(digest, named)?;
        self.writer.complete(true)?;
        Ok(Staged {
            writer: self.writer,
            zxid,
        })
    }

    /// Writes a tree that nobody changes.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn whole(
        dirs: &DataDirs,
        tree: &Tree,
        sessions: &[(SessionId, i32)],
        options: &SaveOptions,
    ) -> Result<Zxid, StorageError> {
        let staged = Self::staged(dirs, tree, sessions, options)?;
        let zxid = staged.zxid;
        staged.name()?;
        Ok(zxid)
    }

    /// Writes a tree that nobody changes, and does not give it its name yet.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn staged(
        dirs: &DataDirs,
        tree: &Tree,
        sessions: &[(SessionId, i32)],
        options: &SaveOptions,
    ) -> Result<Staged, StorageError> {
        const SLICE_BYTES: usize = 256 << 10;
        let mut saving = Self::new(dirs, Walk::new(tree, sessions), options)?;
        while saving.take(tree, |bytes| bytes.len() < SLICE_BYTES) {
            saving.write()?;
        }
        saving.write()?;
        saving.complete(Zxid(tree.last_zxid()), tree.digest())
    }
}

/// A snapshot that is on disk but for its name, by which it would count. One that is dropped leaves
/// nothing behind.
#[derive(Debug)]
pub struct Staged {
    writer: SnapshotWriter,
    zxid: Zxid,
}

impl Staged {
    /// The zxid that will name it.
    #[must_use]
    pub const fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// Gives it its name, durably.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn name(self) -> Result<(), StorageError> {
        self.writer.name(true).map(drop)
    }
}

fn owned_acl(acl: Acl<'_>) -> Acl<'static> {
    let id = acl.id;
    Acl::new(
        acl.perms,
        id.scheme.unwrap_or_default().into_owned(),
        id.id.unwrap_or_default().into_owned(),
    )
}
