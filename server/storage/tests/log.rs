//! The log against itself: what is committed is read back, whatever the end of the file looks like.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::fs;
use std::path::PathBuf;

use menagerie_storage::txnlog::read::LogIter;
use menagerie_storage::txnlog::recover::{self, Tail};
use menagerie_storage::txnlog::{LogOptions, TxnLog};
use menagerie_storage::{DataDirs, StorageError};
use menagerie_wire::jute;
use menagerie_wire::txn::{ErrorTxn, TxnHeader};
use proptest::prelude::*;

fn entry(zxid: i64, size: usize) -> Vec<u8> {
    let header = TxnHeader {
        client_id: 7,
        cxid: 1,
        zxid,
        time: 3,
        op: -1,
    };
    let mut bytes = jute::to_vec(&header);
    jute::append(&mut bytes, &ErrorTxn { err: -101 });
    bytes.resize(bytes.len() + size, 0xA5);
    bytes
}

fn dirs(dir: &tempfile::TempDir) -> DataDirs {
    DataDirs::open(dir.path(), dir.path(), true).unwrap()
}

fn write(dirs: &DataDirs, zxids: impl Iterator<Item = i64>, options: LogOptions) -> PathBuf {
    let mut log = TxnLog::new(dirs.log.clone(), options);
    for zxid in zxids {
        log.append(zxid, &entry(zxid, usize::try_from(zxid % 40).unwrap()))
            .unwrap();
        log.commit().unwrap();
    }
    dirs.logs().unwrap().pop().unwrap().1
}

fn read(dirs: &DataDirs, from: i64) -> Result<Vec<i64>, StorageError> {
    let mut iter = LogIter::open(dirs, from)?;
    let mut zxids = Vec::new();
    while let Some(entry) = iter.next_entry()? {
        assert_eq!(
            entry.bytes,
            self::entry(entry.header.zxid, (entry.header.zxid % 40) as usize)
        );
        zxids.push(entry.header.zxid);
    }
    Ok(zxids)
}

/// The file up to the end of its last entry.
fn used(path: &PathBuf) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    bytes.truncate(bytes.iter().rposition(|b| *b != 0).unwrap() + 1);
    bytes
}

#[test]
fn entries_come_back_over_several_files_from_any_zxid() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = dirs(&dir);
    let options = LogOptions {
        size_limit_bytes: Some(300),
        ..LogOptions::default()
    };
    write(&dirs, 1..=50, options);
    assert!(dirs.logs().unwrap().len() > 5);
    for from in [1, 2, 17, 50, 51] {
        assert_eq!(read(&dirs, from).unwrap(), (from..=50).collect::<Vec<_>>());
    }
}

#[test]
fn without_preallocation_the_file_holds_nothing_but_entries() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = dirs(&dir);
    let options = LogOptions {
        prealloc_bytes: 0,
        ..LogOptions::default()
    };
    let path = write(&dirs, 1..=3, options);
    assert_eq!(fs::metadata(&path).unwrap().len(), used(&path).len() as u64);
    assert_eq!(recover::inspect(&dirs).unwrap(), Tail::Clean);
}

#[test]
fn a_file_cut_anywhere_keeps_every_entry_before_the_cut() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = dirs(&dir);
    let path = write(&dirs, 1..=4, LogOptions::default());
    let whole = used(&path);
    let mut ends = vec![16];
    for zxid in 1..=4_i64 {
        ends.push(ends.last().unwrap() + 13 + entry(zxid, (zxid % 40) as usize).len());
    }
    assert_eq!(*ends.last().unwrap(), whole.len());
    for cut in 0..=whole.len() {
        for padding in [0, 100] {
            let mut bytes = whole[..cut].to_vec();
            bytes.resize(cut + padding, 0);
            fs::write(&path, &bytes).unwrap();
            let complete = ends
                .iter()
                .filter(|end| **end <= cut)
                .count()
                .saturating_sub(1);
            if let Ok(tail) = recover::inspect(&dirs) {
                recover::repair(&tail).unwrap();
            } else {
                // Only a part of the header, then padding, is no log.
                assert!(cut < 16 && padding > 0, "cut {cut} padding {padding}");
                continue;
            }
            let expected: Vec<i64> = (1..=complete as i64).collect();
            assert_eq!(
                read(&dirs, 0).unwrap(),
                expected,
                "cut {cut} padding {padding}"
            );
            if path.exists() {
                assert_eq!(recover::inspect(&dirs).unwrap(), Tail::Clean, "cut {cut}");
            }
        }
    }
}

#[test]
fn damage_before_whole_entries_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = dirs(&dir);
    let path = write(&dirs, 1..=5, LogOptions::default());
    let mut bytes = fs::read(&path).unwrap();
    let second = 16 + 13 + entry(1, 1).len();
    bytes[second + 20] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = recover::inspect(&dirs).unwrap_err();
    let StorageError::Corrupt {
        offset,
        last_zxid,
        ref reason,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((offset, last_zxid), (second as u64, 1));
    assert!(reason.contains("0x3, follows"), "{reason}");
}

#[test]
fn a_flipped_bit_in_the_last_entry_is_not_taken_for_its_torn_end() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = dirs(&dir);
    let path = write(&dirs, 1..=3, LogOptions::default());
    let whole = fs::read(&path).unwrap();
    let (last, end) = (
        used(&path).len() - 13 - entry(3, 3).len(),
        used(&path).len(),
    );
    for at in last..end {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            fs::write(&path, &bytes).unwrap();
            let error = recover::inspect(&dirs).unwrap_err();
            assert!(
                matches!(error, StorageError::Corrupt { offset, last_zxid: 2, .. } if offset == last as u64),
                "byte {at} bit {bit}: {error}"
            );
        }
    }
}

#[test]
fn what_lacks_sectors_was_never_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = dirs(&dir);
    let mut log = TxnLog::new(dirs.log.clone(), LogOptions::default());
    log.append(1, &entry(1, 40)).unwrap();
    log.commit().unwrap();
    for zxid in 2..=3 {
        log.append(zxid, &entry(zxid, 1500)).unwrap();
    }
    log.commit().unwrap();
    let path = dirs.logs().unwrap().pop().unwrap().1;
    let whole = fs::read(&path).unwrap();
    // Of the second batch: the first entry's last parts, while the second entry is there.
    for sector in 1..3 {
        let mut bytes = whole.clone();
        bytes[sector * 512..(sector + 1) * 512].fill(0);
        fs::write(&path, &bytes).unwrap();
        let tail = recover::inspect(&dirs).unwrap();
        assert!(
            matches!(tail, Tail::Torn { last_zxid: 1, .. }),
            "sector {sector}: {tail:?}"
        );
    }
    // The sector with the header, which is written with the first batch.
    let mut bytes = whole;
    bytes[..512].fill(0);
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(
        recover::inspect(&dirs).unwrap(),
        Tail::Empty { .. }
    ));
}

#[test]
fn a_checksum_of_which_the_disk_has_the_rest_was_never_acknowledged() {
    // The second entry's checksum begins in the first sector, which the disk has as it was before.
    let (mut torn, mut refused) = (0, 0);
    for (in_first, len, more) in (5..8)
        .flat_map(|in_first| (900..930).map(move |len| (in_first, len)))
        .flat_map(|(in_first, len)| [0, 1].map(|more| (in_first, len, more)))
    {
        let dir = tempfile::tempdir().unwrap();
        let dirs = dirs(&dir);
        let mut log = TxnLog::new(dirs.log.clone(), LogOptions::default());
        let before = 16 + 13 + entry(1, 0).len();
        log.append(1, &entry(1, 512 - in_first - before)).unwrap();
        log.commit().unwrap();
        for zxid in 2..=2 + more {
            log.append(zxid, &entry(zxid, len)).unwrap();
        }
        log.commit().unwrap();
        let path = dirs.logs().unwrap().pop().unwrap().1;
        let mut bytes = fs::read(&path).unwrap();
        let lost = &mut bytes[512 - in_first..512];
        let bits: u32 = lost.iter().map(|byte| byte.count_ones()).sum();
        lost.fill(0);
        fs::write(&path, &bytes).unwrap();
        match (bits, recover::inspect(&dirs)) {
            (0, Ok(Tail::Clean)) => {}
            // That may be damage as well, of what was acknowledged.
            (1, Err(StorageError::Corrupt { last_zxid: 1, .. })) => refused += 1,
            (2.., Ok(Tail::Torn { last_zxid: 1, .. })) => torn += 1,
            (_, other) => panic!("{in_first} {len} {more}: {bits} bits, {other:?}"),
        }
    }
    assert!(torn > 100 && refused > 0, "{torn} {refused}");
}

#[test]
fn truncation_keeps_the_named_transaction_and_nothing_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = dirs(&dir);
    let options = LogOptions {
        size_limit_bytes: Some(300),
        ..LogOptions::default()
    };
    write(&dirs, 1..=50, options);
    recover::truncate(&dirs, 33).unwrap();
    assert_eq!(read(&dirs, 0).unwrap(), (1..=33).collect::<Vec<_>>());
    assert!(recover::truncate(&dirs, 40).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A flipped bit is noticed or, at the very end, cut off; never is a wrong entry read.
    #[test]
    fn a_flipped_bit_never_yields_a_wrong_entry(at in 16_usize..400, bit in 0..8_u8) {
        let dir = tempfile::tempdir().unwrap();
        let dirs = dirs(&dir);
        let path = write(&dirs, 1..=5, LogOptions { prealloc_bytes: 1024, ..LogOptions::default() });
        let len = used(&path).len();
        let mut bytes = fs::read(&path).unwrap();
        let at = at.min(len - 1);
        bytes[at] ^= 1 << bit;
        fs::write(&path, &bytes).unwrap();
        match recover::inspect(&dirs) {
            Err(StorageError::Corrupt { offset, .. }) => prop_assert!(offset <= at as u64),
            Err(other) => panic!("{other}"),
            Ok(tail) => {
                recover::repair(&tail).unwrap();
                let zxids = read(&dirs, 0).unwrap();
                prop_assert!((1..=5).take(zxids.len()).eq(zxids.iter().copied()));
                prop_assert!(zxids.len() >= 4, "{zxids:?}");
            }
        }
    }
}
