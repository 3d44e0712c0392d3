//! Owns the start: newest valid snapshot, then the log behind it, through the same code that
//! applies transactions live. Source: `FileTxnSnapLog.restore`, `ZooKeeperServer.loadData`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::processor::apply::{Silent, apply};
use menagerie_core::tree::{Tree, TreeOptions, ZxidDigest};
use menagerie_core::txn::{LoggedTxn, Txn};
use menagerie_storage::snapshot::read::{SnapshotSink, load_newest};
use menagerie_storage::txnlog::read::{LogIter, has_txns};
use menagerie_storage::txnlog::recover::{self, Tail};
use menagerie_storage::{DataDirs, StorageError};
use menagerie_wire::data::{Acl, StatPersisted};
use menagerie_wire::txn::DIGEST_VERSION;

use crate::config::Config;

/// What was on disk.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) tree: Tree,
    pub(crate) sessions: BTreeMap<SessionId, i32>,
    /// Transactions replayed.
    pub(crate) replayed: u64,
    /// Whether there was nothing at all.
    pub(crate) fresh: bool,
    /// The last transactions, in order, as many as were asked for.
    pub(crate) recent: VecDeque<(Zxid, Bytes)>,
}

/// Why the server cannot start from its files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The files cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Logs without a snapshot: part of the history is missing.
    #[error(
        "no snapshot found in {0}, but there are transactions in the log; if the database is \
         really meant to be rebuilt from the log alone, start once with \
         zookeeper.snapshot.trust.empty=true"
    )]
    NoSnapshot(String),
    /// A log entry that is whole, but no transaction.
    #[error("{file} has an unreadable transaction at offset {offset} (zxid 0x{zxid:x}): {reason}")]
    Transaction {
        /// The log.
        file: String,
        /// Bytes from its start.
        offset: u64,
        /// The transaction.
        zxid: i64,
        /// Why it cannot be read.
        reason: String,
    },
}

/// Builds the tree from a snapshot's parts.
pub(crate) struct Builder {
    options: TreeOptions,
    tree: Tree,
    sessions: BTreeMap<SessionId, i32>,
    digest: Option<ZxidDigest>,
}

impl Builder {
    pub(crate) fn new(options: TreeOptions) -> Self {
        Self {
            options,
            tree: Tree::for_loading(options),
            sessions: BTreeMap::new(),
            digest: None,
        }
    }

    /// The tree and the sessions of a snapshot that came from a leader.
    pub(crate) fn finish_stream(mut self, zxid: i64) -> (Tree, BTreeMap<SessionId, i32>) {
        self.tree.finish_loading(zxid, None);
        self.tree.distrust_digest();
        (self.tree, self.sessions)
    }
}

impl SnapshotSink for Builder {
    fn reset(&mut self) {
        self.tree = Tree::for_loading(self.options);
        self.sessions.clear();
        self.digest = None;
    }

    fn session(&mut self, id: i64, timeout_ms: i32) {
        self.sessions.insert(SessionId(id), timeout_ms);
    }

    fn acl(&mut self, id: i64, acl: &[Acl<'_>]) {
        self.tree.load_acl(id, acl);
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: StatPersisted,
    ) -> Result<(), String> {
        self.tree
            .load_node(path, data, acl_id, stat)
            .map_err(|error| error.to_string())
    }

    fn digest(&mut self, zxid: i64, version: i32, digest: i64) {
        if version == DIGEST_VERSION {
            self.digest = Some(ZxidDigest {
                zxid,
                digest: digest as u64,
            });
        }
    }
}

/// Reads what is on disk, cutting off a torn tail.
pub(crate) fn restore(
    config: &Config,
    dirs: &DataDirs,
    hash_seed: u64,
    keep: usize,
) -> Result<Restored, RestoreError> {
    let begun = Instant::now();
    let tail = recover::inspect(dirs)?;
    match &tail {
        Tail::Torn {
            path,
            offset,
            last_zxid,
        } => tracing::warn!(file = %path.display(), offset,
            last_zxid = format_args!("0x{last_zxid:x}"),
            "cutting off an unfinished transaction at the log's end; nobody was told of it"),
        Tail::Empty { path } => {
            tracing::warn!(file = %path.display(), "removing an empty log");
        }
        _ => {}
    }
    recover::repair(&tail)?;

    let options = config.tree_options(hash_seed);
    let mut builder = Builder::new(options);
    let loaded = load_newest(dirs, &mut builder)?;
    let fresh = loaded.is_none();
    let zxid = match &loaded {
        Some(loaded) => loaded.zxid,
        None if has_txns(dirs)? && !config.snapshot_trust_empty => {
            return Err(RestoreError::NoSnapshot(dirs.data.display().to_string()));
        }
        None => 0,
    };
    let Builder {
        mut tree,
        mut sessions,
        digest,
        ..
    } = builder;
    if fresh {
        tree = Tree::new(options);
    } else if let Some((expected, actual)) = tree.finish_loading(zxid, digest) {
        tracing::error!(
            expected = format_args!("{expected:x}"),
            actual = format_args!("{actual:x}"),
            "the snapshot's digest differs from its contents"
        );
    }
    let mut recent = VecDeque::new();
    let mut remember = |zxid: i64, bytes: &[u8]| {
        if recent.len() == keep {
            recent.pop_front();
        }
        if keep > 0 {
            recent.push_back((Zxid(zxid), Bytes::copy_from_slice(bytes)));
        }
    };
    let replayed = replay(dirs, zxid, &mut tree, &mut sessions, &mut remember)?;
    if config.ensemble.is_none() {
        drop_orphans(&mut tree, &sessions);
    }
    tracing::info!(
        snapshot = loaded
            .as_ref()
            .map(|loaded| loaded.path.display().to_string()),
        replayed,
        zxid = format_args!("0x{:x}", tree.last_zxid()),
        nodes = tree.node_count(),
        sessions = sessions.len(),
        took_ms = begun.elapsed().as_millis(),
        "database loaded"
    );
    Ok(Restored {
        tree,
        sessions,
        replayed,
        fresh,
        recent,
    })
}

fn replay(
    dirs: &DataDirs,
    after: i64,
    tree: &mut Tree,
    sessions: &mut BTreeMap<SessionId, i32>,
    remember: &mut impl FnMut(i64, &[u8]),
) -> Result<u64, RestoreError> {
    let mut log = LogIter::open(dirs, after.saturating_add(1))?;
    let mut replayed = 0;
    let mut mismatches = 0_u64;
    while let Some(entry) = log.next_entry()? {
        let logged = LoggedTxn::decode(entry.bytes).map_err(|error| RestoreError::Transaction {
            file: entry.file.display().to_string(),
            offset: entry.offset,
            zxid: entry.header.zxid,
            reason: error.to_string(),
        })?;
        remember(logged.header.zxid, entry.bytes);
        // Apache logs a malformed request under the zxid of the one before it.
        apply(tree, &logged.header, &logged.txn, &mut Silent);
        let session = SessionId(logged.header.client_id);
        match logged.txn {
            Txn::CreateSession { timeout_ms } => {
                sessions.insert(session, timeout_ms);
            }
            Txn::CloseSession { .. } => {
                sessions.remove(&session);
            }
            _ => {}
        }
        let at_snapshot = tree.advance(logged.header.zxid);
        let at_txn = logged
            .digest
            .filter(|digest| digest.version == DIGEST_VERSION && tree.digest_is_exact())
            .map(|digest| (digest.tree_digest as u64, tree.digest()))
            .filter(|(expected, actual)| expected != actual);
        if let Some((expected, actual)) = at_snapshot.or(at_txn) {
            mismatches += 1;
            if mismatches == 1 {
                tracing::error!(
                    zxid = format_args!("0x{:x}", logged.header.zxid),
                    expected = format_args!("{expected:x}"),
                    actual = format_args!("{actual:x}"),
                    "the tree's digest differs from the one in the log"
                );
            }
        }
        replayed += 1;
    }
    if mismatches > 1 {
        tracing::error!(mismatches, "more digests in the log differ");
    }
    Ok(replayed)
}

/// Ephemeral nodes of sessions that no longer are.
fn drop_orphans(tree: &mut Tree, sessions: &BTreeMap<SessionId, i32>) {
    let dead: Vec<i64> = tree
        .ephemeral_owners()
        .filter(|owner| !sessions.contains_key(&SessionId(*owner)))
        .collect();
    for owner in dead {
        let paths: Vec<String> = tree.ephemerals(owner).collect();
        let zxid = tree.last_zxid();
        for path in paths {
            tracing::warn!(
                path,
                session = format_args!("0x{owner:x}"),
                "removing an ephemeral node whose session is gone"
            );
            let _has_children = tree.delete(&path, zxid);
        }
    }
}
