//! Owns the start: newest valid snapshot, then the log behind it, through the same code that
//! applies transactions live. Source: `FileTxnSnapLog.restore`, `ZooKeeperServer.loadData`.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::processor::apply::{Silent, apply};
use menagerie_core::tree::{Tree, TreeOptions, ZxidDigest};
use menagerie_core::txn::{LoggedTxn, Txn};
use menagerie_storage::snapshot::read::{Skipped, SnapshotSink, load_newest};
use menagerie_storage::txnlog::read::{LogIter, has_txns};
use menagerie_storage::txnlog::recover::{self, Tail};
use menagerie_storage::{DataDirs, StorageError};
use menagerie_wire::data::{Acl, StatPersisted};
use menagerie_wire::txn::DIGEST_VERSION;

/// How to load.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Of the tree.
    pub tree: TreeOptions,
    /// How many of the last transactions to remember.
    pub keep: usize,
    /// `zookeeper.snapshot.trust.empty`: a log without any snapshot is the whole history.
    pub trust_empty: bool,
    /// Whether nobody else could still have the sessions that are missing.
    pub alone: bool,
}

/// What was on disk.
#[derive(Debug)]
pub struct Restored {
    /// With everything in the log applied.
    pub tree: Tree,
    /// The sessions that are open, with their time-outs in ms.
    pub sessions: BTreeMap<SessionId, i32>,
    /// The snapshot that it began with.
    pub snapshot: Option<(Zxid, PathBuf)>,
    /// Transactions replayed.
    pub replayed: u64,
    /// How long it took to read the snapshot, and to replay.
    pub took: (Duration, Duration),
    /// How often a digest on disk was not that of the tree.
    pub mismatches: u64,
    /// Whether there was nothing at all.
    pub fresh: bool,
    /// The last transactions, in order, as many as were asked for.
    pub recent: VecDeque<(Zxid, Bytes)>,
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
    /// A snapshot that is needed: the log does not have what it holds.
    #[error(
        "{file} cannot be loaded ({reason}), and the log does not have what it holds; in an \
         ensemble, empty this server's directories to get everything from the others"
    )]
    Irreplaceable {
        /// The snapshot.
        file: String,
        /// Why it cannot be loaded.
        reason: String,
    },
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
#[derive(Debug)]
pub struct Builder {
    options: TreeOptions,
    tree: Tree,
    sessions: BTreeMap<SessionId, i32>,
    digest: Option<ZxidDigest>,
}

impl Builder {
    /// Nothing yet.
    #[must_use]
    pub fn new(options: TreeOptions) -> Self {
        Self {
            options,
            tree: Tree::for_loading(options),
            sessions: BTreeMap::new(),
            digest: None,
        }
    }

    /// The tree and the sessions of a snapshot that came from a leader.
    #[must_use]
    pub fn finish_stream(mut self, zxid: i64) -> (Tree, BTreeMap<SessionId, i32>) {
        self.tree.finish_loading(zxid, None);
        self.tree.distrust_digest();
        (self.tree, self.sessions)
    }
}

impl Builder {
    /// The tree and the sessions of a file that nothing is replayed behind, and whether the digest in
    /// it is the tree's.
    pub(crate) fn finish_file(mut self, zxid: i64) -> (Tree, BTreeMap<SessionId, i32>, bool) {
        let recorded = self.digest;
        self.tree.finish_loading(zxid, None);
        let exact = recorded
            .is_none_or(|recorded| recorded.zxid == zxid && recorded.digest == self.tree.digest());
        (self.tree, self.sessions, exact)
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
///
/// # Errors
/// When the files cannot be read, are damaged, or a part of the history is missing.
pub fn restore(dirs: &DataDirs, load: &LoadOptions) -> Result<Restored, RestoreError> {
    let begun = Instant::now();
    recover::make_durable(dirs)?;
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
    recover::repair_on(&**dirs.disk(), &tail)?;

    let options = load.tree;
    let keep = load.keep;
    let mut builder = Builder::new(options);
    let loaded = load_newest(dirs, &mut builder)?;
    let fresh = loaded.is_none();
    if let Some(loaded) = &loaded {
        loaded
            .skipped
            .iter()
            .try_for_each(|it| replaceable(dirs, it))?;
        if !load.alone {
            drop_disconnected(dirs, loaded.zxid)?;
        }
    }
    let zxid = match &loaded {
        Some(loaded) => loaded.zxid,
        None if has_txns(dirs)? && !load.trust_empty => {
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
    let mut mismatches = 0;
    if fresh {
        tree = Tree::new(options);
    } else if let Some((expected, actual)) = tree.finish_loading(zxid, digest) {
        mismatches += 1;
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
    let snapshot_took = begun.elapsed();
    let (replayed, more) = replay(dirs, zxid, &mut tree, &mut sessions, &mut remember)?;
    mismatches += more;
    if load.alone {
        drop_orphans(&mut tree, &sessions);
    }
    Ok(Restored {
        tree,
        sessions,
        snapshot: loaded.map(|loaded| (Zxid(loaded.zxid), loaded.path)),
        replayed,
        took: (snapshot_took, begun.elapsed().saturating_sub(snapshot_took)),
        mismatches,
        fresh,
        recent,
    })
}

/// Whether an older snapshot and the log make up for one that cannot be read. They do not when it came
/// from a leader, or when the log had not reached the disk up to it.
fn replaceable(dirs: &DataDirs, skipped: &Skipped) -> Result<(), RestoreError> {
    let goes_on = || -> Result<bool, StorageError> {
        let mut log = LogIter::open(dirs, skipped.zxid.saturating_add(1))?;
        Ok(log.next_entry()?.is_some())
    };
    if recover::holds(dirs, skipped.zxid)? || skipped.unfinished && !goes_on()? {
        return Ok(());
    }
    Err(RestoreError::Irreplaceable {
        file: skipped.path.display().to_string(),
        reason: skipped.reason.clone(),
    })
}

/// Removes what is older than the snapshot at `zxid` when the log ends before it: what comes behind
/// would seem to follow, with transactions missing between. That is how a leader's snapshot is left
/// when the server stops before it has removed what it replaces.
fn drop_disconnected(dirs: &DataDirs, zxid: i64) -> Result<(), StorageError> {
    if recover::holds(dirs, zxid)? || LogIter::open(dirs, zxid)?.next_entry()?.is_some() {
        return Ok(());
    }
    let older = dirs.snapshots()?.into_iter().filter(|(at, _)| *at < zxid);
    for (_, path) in dirs.logs()?.into_iter().chain(older) {
        tracing::info!(file = %path.display(), snapshot = format_args!("0x{zxid:x}"),
            "removing a file that ends before the snapshot");
        recover::remove_file(dirs, &path)?;
    }
    Ok(())
}

fn replay(
    dirs: &DataDirs,
    after: i64,
    tree: &mut Tree,
    sessions: &mut BTreeMap<SessionId, i32>,
    remember: &mut impl FnMut(i64, &[u8]),
) -> Result<(u64, u64), RestoreError> {
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
    Ok((replayed, mismatches))
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
