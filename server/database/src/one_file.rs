//! Owns reading one snapshot by itself, as somebody gives it: nothing is replayed behind it, so it has to
//! be whole. Must not write anything.

use std::collections::BTreeMap;
use std::path::Path;

use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::tree::{Tree, TreeOptions};
use menagerie_storage::StorageError;
use menagerie_storage::snapshot::read::{SnapshotSink, load_file};
use menagerie_wire::data::{Acl, StatPersisted};

use crate::load::Builder;

/// What one snapshot holds.
#[derive(Debug)]
pub struct OneFile {
    /// The tree.
    pub tree: Tree,
    /// The sessions that were open, with their time-outs in ms.
    pub sessions: BTreeMap<SessionId, i32>,
    /// The zxid at which it was begun.
    pub zxid: Zxid,
    /// Whether the tree was at one zxid while it was written, and its digest is the recorded one. One
    /// that was written while clients wrote is that only with the log behind it.
    pub exact: bool,
}

/// Reads the snapshot in `path`.
///
/// # Errors
/// When it cannot be read, is damaged or cut off, or was written without its zxid: then nothing tells
/// where it ends.
pub fn load_one_file(path: &Path, options: TreeOptions) -> Result<OneFile, StorageError> {
    let mut sink = Whole {
        builder: Builder::new(options),
        last: None,
        newest: 0,
        nodes: 0,
    };
    load_file(path, &mut sink)?;
    let unusable = |reason: &str| StorageError::Unusable {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let last = sink.last.ok_or_else(|| {
        unusable(
            "it does not end with its zxid: it is cut off, or was written with \
             serializeLastProcessedZxid.enabled=false",
        )
    })?;
    if sink.nodes == 0 {
        return Err(unusable("it holds no nodes, not even the root"));
    }
    let (mut tree, sessions, exact) = sink.builder.finish_file(last);
    if sink.newest > tree.last_zxid() {
        tree.advance(sink.newest);
    }
    Ok(OneFile {
        exact: exact && sink.newest <= last,
        tree,
        sessions,
        zxid: Zxid(last),
    })
}

/// Builds the tree and notes what tells whether the file is whole.
struct Whole {
    builder: Builder,
    last: Option<i64>,
    /// The newest zxid of any node.
    newest: i64,
    nodes: u64,
}

impl SnapshotSink for Whole {
    fn reset(&mut self) {
        self.builder.reset();
        (self.last, self.newest, self.nodes) = (None, 0, 0);
    }

    fn session(&mut self, id: i64, timeout_ms: i32) {
        self.builder.session(id, timeout_ms);
    }

    fn acl(&mut self, id: i64, acl: &[Acl<'_>]) {
        self.builder.acl(id, acl);
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: StatPersisted,
    ) -> Result<(), String> {
        let newest = stat.czxid.max(stat.mzxid).max(stat.pzxid);
        self.newest = self.newest.max(newest);
        self.nodes += 1;
        self.builder.node(path, data, acl_id, stat)
    }

    fn digest(&mut self, zxid: i64, version: i32, digest: i64) {
        self.builder.digest(zxid, version, digest);
    }

    fn last_zxid(&mut self, zxid: i64) {
        self.last = Some(zxid);
    }
}
