//! The real binary's snapshots, taken while clients come and go, against its log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    dead_code,
    missing_docs
)]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use menagerie_storage::DataDirs;
use menagerie_storage::snapshot::read::{SnapshotSink, load_file};
use menagerie_storage::txnlog::read::LogFile;
use menagerie_wire::data::{Acl, StatPersisted};
use menagerie_wire::op::op_code;
use support::{Client, Process, write_config};

/// The sessions in a snapshot.
#[derive(Debug, Default)]
struct Sessions(BTreeSet<i64>);

impl SnapshotSink for Sessions {
    fn reset(&mut self) {
        self.0.clear();
    }

    fn session(&mut self, id: i64, _: i32) {
        self.0.insert(id);
    }

    fn acl(&mut self, _: i64, _: &[Acl<'_>]) {}

    fn node(&mut self, _: &str, _: Option<&[u8]>, _: i64, _: StatPersisted) -> Result<(), String> {
        Ok(())
    }

    fn digest(&mut self, _: i64, _: i32, _: i64) {}
}

/// The log behind a snapshot brings the sessions that were created later; those of before must be in
/// the snapshot itself, or they are lost with the next start.
#[test]
fn no_session_falls_between_a_snapshot_and_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "snapCount=2\npreAllocSize=64\n");
    let server = Process::start(&config);
    let address = server.address;
    let open = move || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            Client::connect(address).unwrap();
        }
    };
    let clients: Vec<_> = (0..8).map(|_| std::thread::spawn(open)).collect();
    clients.into_iter().for_each(|c| c.join().unwrap());
    server.kill();

    let data = dir.path().join("data");
    let dirs = DataDirs::open(&data, &data, false).unwrap();
    let mut created = Vec::new();
    for (_, path) in dirs.logs().unwrap() {
        let Some(mut log) = LogFile::open(&path).unwrap() else {
            continue;
        };
        while let Ok(entry) = log.next_entry().unwrap() {
            // The sessions live longer than the test does.
            assert_eq!(entry.header.op, op_code::CREATE_SESSION);
            created.push((entry.header.zxid, entry.header.client_id));
        }
    }
    let snapshots = dirs.snapshots().unwrap();
    assert!(snapshots.len() > 5, "{} snapshots", snapshots.len());
    for (zxid, path) in snapshots {
        let mut sessions = Sessions::default();
        load_file(&path, &mut sessions).unwrap();
        let before = created.iter().filter(|(at, _)| *at <= zxid);
        let missing: Vec<_> = before.filter(|(_, id)| !sessions.0.contains(id)).collect();
        assert!(missing.is_empty(), "{}: {missing:x?}", path.display());
    }
}
