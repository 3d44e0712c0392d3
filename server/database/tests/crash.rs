//! What a member's files look like after a crash in the wrong place, or with damage, and what is made
//! of them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::processor::apply::{Silent, apply};
use menagerie_core::tree::{Tree, TreeOptions};
use menagerie_core::txn::{LoggedTxn, Txn};
use menagerie_database::{
    LoadOptions, RestoreError, Restored, SaveOptions, Saving, read_behind, restore,
};
use menagerie_storage::DataDirs;
use menagerie_storage::snapshot::Compression;
use menagerie_storage::txnlog::{LogOptions, TxnLog};
use menagerie_wire::txn::TxnHeader;

const SAVE: SaveOptions = SaveOptions {
    compression: Compression::None,
    digest: true,
    last_zxid: true,
};

struct Member {
    _dir: tempfile::TempDir,
    dirs: DataDirs,
    tree: Tree,
}

fn entry(zxid: i64) -> LoggedTxn {
    let txn = Txn::CreateSession { timeout_ms: 1000 };
    let header = TxnHeader {
        client_id: zxid,
        cxid: 0,
        zxid,
        time: 0,
        op: txn.op(),
    };
    LoggedTxn {
        header,
        txn,
        digest: None,
    }
}

impl Member {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let dirs = DataDirs::open(dir.path(), dir.path(), true).unwrap();
        let member = Self {
            _dir: dir,
            dirs,
            tree: Tree::new(TreeOptions::default()),
        };
        member.save();
        member
    }

    /// Applies transactions, and logs them if asked to.
    fn run(&mut self, zxids: std::ops::RangeInclusive<i64>, logged: bool) {
        let mut log = TxnLog::in_dirs(&self.dirs, LogOptions::default());
        for zxid in zxids {
            let it = entry(zxid);
            if logged {
                log.append_with(zxid, |bytes| it.encode(bytes)).unwrap();
            }
            apply(&mut self.tree, &it.header, &it.txn, &mut Silent);
            self.tree.advance(zxid);
        }
        log.commit().unwrap();
    }

    fn save(&self) -> PathBuf {
        let sessions: Vec<_> = (1..=self.tree.last_zxid())
            .map(|id| (SessionId(id), 1000))
            .collect();
        let zxid = Saving::whole(&self.dirs, &self.tree, &sessions, &SAVE).unwrap();
        self.dirs.data.join(format!("snapshot.{:x}", zxid.0))
    }

    fn load(&self) -> Result<Restored, RestoreError> {
        let options = LoadOptions {
            tree: TreeOptions::default(),
            keep: 100,
            trust_empty: false,
            alone: false,
        };
        restore(&self.dirs, &options)
    }

    fn files(&self) -> Vec<String> {
        let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let logs = self.dirs.logs().unwrap().into_iter();
        let all = logs.chain(self.dirs.snapshots().unwrap());
        all.map(|(_, path)| name(path)).collect()
    }
}

fn damage(path: &PathBuf) {
    let mut bytes = fs::read(path).unwrap();
    bytes[30] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_snapshot_is_replaced_by_an_older_one_and_the_log() {
    let mut member = Member::new();
    member.run(1..=5, true);
    damage(&member.save());
    member.run(6..=9, true);
    let restored = member.load().unwrap();
    assert_eq!((restored.tree.last_zxid(), restored.sessions.len()), (9, 9));
}

#[test]
fn a_damaged_snapshot_that_the_log_cannot_replace_is_refused_by_name() {
    let mut member = Member::new();
    member.run(1..=5, true);
    // As a leader's snapshot leaves it that was not installed to the end.
    member.run(6..=20, false);
    let snapshot = member.save();
    member.run(21..=25, true);
    damage(&snapshot);
    let refused = member.load().unwrap_err();
    let RestoreError::Irreplaceable { file, .. } = &refused else {
        panic!("{refused}");
    };
    assert_eq!(*file, snapshot.display().to_string());
}

#[test]
fn a_snapshot_that_apache_did_not_finish_is_no_loss() {
    let mut member = Member::new();
    member.run(1..=5, true);
    member.run(6..=20, false);
    let snapshot = member.save();
    let whole = fs::read(&snapshot).unwrap();
    fs::write(&snapshot, &whole[..whole.len() - 9]).unwrap();
    assert_eq!(member.load().unwrap().tree.last_zxid(), 5);
}

#[test]
fn a_log_that_ends_before_the_snapshot_goes() {
    let mut member = Member::new();
    member.run(1..=5, true);
    member.run(6..=20, false);
    member.save();
    assert_eq!(member.load().unwrap().tree.last_zxid(), 20);
    assert_eq!(member.files(), ["snapshot.14"]);
}

#[test]
fn a_learner_never_gets_a_log_with_a_gap() {
    let mut member = Member::new();
    member.run(1..=5, true);
    member.save();
    let read = |member: &Member, upto| {
        let entries = read_behind(&member.dirs, Zxid(2), Zxid(upto), 1000.0).unwrap();
        entries.map(|entries| entries.len())
    };
    assert_eq!(read(&member, 5), Some(3));
    member.run(6..=7, false);
    member.run(8..=9, true);
    assert_eq!(read(&member, 9), None);
}
