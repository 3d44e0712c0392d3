//! Snapshots against themselves, plain and compressed, whole and damaged.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::fs;

use menagerie_storage::snapshot::Compression;
use menagerie_storage::snapshot::read::{SnapshotSink, load_newest, looks_valid};
use menagerie_storage::snapshot::write::SnapshotWriter;
use menagerie_storage::{DataDirs, StorageError, purge};
use menagerie_wire::data::{Acl, StatPersisted};

#[derive(Debug, Default, PartialEq)]
struct Contents {
    sessions: Vec<(i64, i32)>,
    acls: Vec<(i64, usize)>,
    nodes: Vec<(String, Option<Vec<u8>>, i64, i64)>,
    digest: Option<(i64, i32, i64)>,
}

impl SnapshotSink for Contents {
    fn reset(&mut self) {
        *self = Self::default();
    }
    fn session(&mut self, id: i64, timeout_ms: i32) {
        self.sessions.push((id, timeout_ms));
    }
    fn acl(&mut self, id: i64, acl: &[Acl<'_>]) {
        self.acls.push((id, acl.len()));
    }
    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: StatPersisted,
    ) -> Result<(), String> {
        self.nodes.push((
            path.to_owned(),
            data.map(<[u8]>::to_vec),
            acl_id,
            stat.czxid,
        ));
        Ok(())
    }
    fn digest(&mut self, zxid: i64, version: i32, digest: i64) {
        self.digest = Some((zxid, version, digest));
    }
}

fn write(dirs: &DataDirs, zxid: i64, compression: Compression, nodes: usize) -> Contents {
    let contents = Contents {
        sessions: vec![(1, 4000), (-2, 6000)],
        acls: vec![(1, 2)],
        nodes: (0..nodes)
            .map(|i| {
                let path = if i == 0 {
                    String::new()
                } else {
                    format!("/n{i}")
                };
                let data = [None, Some(vec![]), Some(vec![7; i * 10])][i % 3].clone();
                (path, data, if i % 2 == 0 { -1 } else { 1 }, i as i64)
            })
            .collect(),
        digest: Some((zxid, 2, -5)),
    };
    let acls = [(
        1,
        vec![
            Acl::new(1, "world", "anyone"),
            Acl::new(31, "digest", "a:b"),
        ],
    )];
    let mut writer = SnapshotWriter::create(dirs, zxid, compression).unwrap();
    writer
        .begin(contents.sessions.iter().copied(), acls.iter())
        .unwrap();
    for (path, data, acl_id, czxid) in &contents.nodes {
        let mut bytes = Vec::new();
        let stat = StatPersisted {
            czxid: *czxid,
            ..StatPersisted::default()
        };
        SnapshotWriter::encode_node(&mut bytes, path, data.as_deref(), *acl_id, &stat);
        writer.write(&bytes).unwrap();
    }
    writer.end(contents.digest, Some(zxid)).unwrap();
    let path = writer.finish(true).unwrap();
    assert!(looks_valid(&path));
    contents
}

#[test]
fn a_snapshot_comes_back_however_it_is_compressed() {
    for compression in [Compression::None, Compression::Gzip, Compression::Snappy] {
        let dir = tempfile::tempdir().unwrap();
        let dirs = DataDirs::open(dir.path(), dir.path(), true).unwrap();
        let written = write(&dirs, 0x1f, compression, 500);
        let mut read = Contents::default();
        let loaded = load_newest(&dirs, &mut read).unwrap().unwrap();
        assert_eq!(loaded.zxid, 0x1f);
        assert_eq!(read, written, "{compression:?}");
    }
}

#[test]
fn a_damaged_snapshot_gives_way_to_an_older_one() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = DataDirs::open(dir.path(), dir.path(), true).unwrap();
    let older = write(&dirs, 5, Compression::None, 10);
    write(&dirs, 9, Compression::None, 20);
    let newest = dirs.data.join("snapshot.9");
    let whole = fs::read(&newest).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(&newest, &bytes).unwrap();
        let mut read = Contents::default();
        let loaded = load_newest(&dirs, &mut read).unwrap().unwrap();
        // The file header's version and dbid are not looked at, but the checksum covers them.
        assert_eq!((loaded.zxid, loaded.skipped.len()), (5, 1), "byte {at}");
        assert_eq!(read, older, "byte {at}");
    }
    for cut in (0..whole.len()).step_by(11) {
        fs::write(&newest, &whole[..cut]).unwrap();
        let mut read = Contents::default();
        let loaded = load_newest(&dirs, &mut read).unwrap().unwrap();
        assert_eq!(loaded.zxid, 5, "cut at {cut}");
    }
}

#[test]
fn when_no_snapshot_can_be_read_the_newest_ones_error_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = DataDirs::open(dir.path(), dir.path(), true).unwrap();
    assert_eq!(load_newest(&dirs, &mut Contents::default()).unwrap(), None);
    write(&dirs, 5, Compression::None, 10);
    fs::write(dirs.data.join("snapshot.5"), b"rubbish").unwrap();
    let error = load_newest(&dirs, &mut Contents::default()).unwrap_err();
    assert!(
        matches!(error, StorageError::NoValidSnapshot { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("snapshot.5"), "{error}");
}

#[test]
fn an_unfinished_snapshot_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = DataDirs::open(dir.path(), dir.path(), true).unwrap();
    drop(SnapshotWriter::create(&dirs, 5, Compression::None).unwrap());
    assert_eq!(fs::read_dir(&dirs.data).unwrap().count(), 0);
}

#[test]
fn purging_keeps_the_log_that_the_oldest_kept_snapshot_needs() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = DataDirs::open(dir.path(), dir.path(), true).unwrap();
    for zxid in [10, 20, 30, 40, 50] {
        write(&dirs, zxid, Compression::None, 3);
    }
    for zxid in [1, 11, 25, 31, 41, 51] {
        fs::write(dirs.log.join(format!("log.{zxid:x}")), b"").unwrap();
    }
    let removed = purge::purge(&dirs, 1).unwrap();
    let names: Vec<_> = removed
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(names, ["snapshot.a", "snapshot.14", "log.1", "log.b"]);
}
