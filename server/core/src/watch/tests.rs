use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const A: ConnId = ConnId(1);
const B: ConnId = ConnId(2);
const C: ConnId = ConnId(3);

fn fired(table: &mut WatchTable, kind: WatchTableKind, path: &str) -> Vec<u32> {
    let mut out = Vec::new();
    table.fire_all(kind, path, &[], &mut out);
    out.into_iter().map(|conn| conn.0).collect()
}

fn data(table: &mut WatchTable, path: &str) -> Vec<u32> {
    fired(table, WatchTableKind::Data, path)
}

fn child(table: &mut WatchTable, path: &str) -> Vec<u32> {
    fired(table, WatchTableKind::Child, path)
}

#[test]
fn ancestors_are_all_paths_above() {
    let of = |path: &'static str| ancestors(path).collect::<Vec<_>>();
    assert_eq!(of("/a/b/c"), ["/a/b", "/a", "/"]);
    assert_eq!(of("/a"), ["/"]);
    assert!(of("/").is_empty());
    assert!(of("").is_empty());
    assert!(of("a").is_empty());
}

#[test]
fn one_shot_watch_fires_once_and_only_in_its_table() {
    let mut table = WatchTable::new();
    table.add("/a", A, WatchMode::Data);
    table.add("/a", B, WatchMode::Child);
    assert_eq!(data(&mut table, "/a"), [1]);
    assert_eq!(data(&mut table, "/a"), []);
    assert_eq!(child(&mut table, "/a"), [2]);
    assert_eq!(child(&mut table, "/a"), []);
    assert!(table.is_empty());
    assert_eq!(table.data_counts(), WatchCounts::default());
}

#[test]
fn persistent_watch_stays_and_hears_both_tables() {
    let mut table = WatchTable::new();
    table.add("/a", A, WatchMode::Persistent);
    for _ in 0..2 {
        assert_eq!(data(&mut table, "/a"), [1]);
        assert_eq!(child(&mut table, "/a"), [1]);
        assert_eq!(data(&mut table, "/a/b"), []);
    }
    assert_eq!(table.len(), 2, "it is in both tables");
}

#[test]
fn recursive_watch_hears_data_events_of_itself_and_all_below() {
    let mut table = WatchTable::new();
    table.add("/a", A, WatchMode::PersistentRecursive);
    for path in ["/a", "/a/b", "/a/b/c/d", "/a"] {
        assert_eq!(data(&mut table, path), [1], "{path}");
    }
    assert_eq!(data(&mut table, "/ab"), []);
    assert_eq!(data(&mut table, "/"), []);
    assert_eq!(child(&mut table, "/a"), []);
    assert_eq!((table.recursive_len(), table.len()), (1, 1));
    table.add("/", B, WatchMode::PersistentRecursive);
    assert_eq!(data(&mut table, "/a/b"), [1, 2]);
    assert_eq!(data(&mut table, "/"), [2]);
}

#[test]
fn modes_of_one_connection_on_one_path_collapse_to_one_event() {
    let mut table = WatchTable::new();
    for mode in [
        WatchMode::Data,
        WatchMode::Persistent,
        WatchMode::PersistentRecursive,
    ] {
        table.add("/a", A, mode);
        table.add("/a", A, mode);
    }
    table.add("/", A, WatchMode::PersistentRecursive);
    assert_eq!(
        table.data_counts(),
        WatchCounts {
            connections: 1,
            paths: 2,
            watches: 2
        }
    );
    assert_eq!(data(&mut table, "/a"), [1]);
    assert!(!table.contains("/a", A, WatcherType::Data));
    assert!(table.contains("/a", A, WatcherType::Persistent));
    assert!(table.contains("/a", A, WatcherType::PersistentRecursive));
    assert_eq!(table.recursive_len(), 2);
}

#[test]
fn excluded_connection_hears_nothing_and_loses_its_watch() {
    let mut table = WatchTable::new();
    table.add("/a", A, WatchMode::Child);
    table.add("/a", B, WatchMode::Child);
    let mut out = vec![C];
    table.fire_all(WatchTableKind::Child, "/a", &[C, B], &mut out);
    assert_eq!(out, [C, A], "what was there stays, whatever is excluded");
    assert!(table.is_empty());
}

#[test]
fn types_ask_for_their_modes() {
    let cases = [
        (WatchMode::Child, WatcherType::Children),
        (WatchMode::Data, WatcherType::Data),
        (WatchMode::Persistent, WatcherType::Persistent),
        (
            WatchMode::PersistentRecursive,
            WatcherType::PersistentRecursive,
        ),
    ];
    for (mode, own) in cases {
        let mut table = WatchTable::new();
        table.add("/a", A, mode);
        for (_, kind) in cases {
            assert_eq!(
                table.contains("/a", A, kind),
                kind == own,
                "{mode:?} {kind:?}"
            );
            if kind != own {
                assert!(!table.remove("/a", A, kind), "{mode:?} {kind:?}");
            }
        }
        assert!(table.contains("/a", A, WatcherType::Any));
        assert!(!table.contains("/a", B, WatcherType::Any));
        assert!(!table.contains("/b", A, WatcherType::Any));
        assert!(table.remove("/a", A, own));
        assert!(!table.remove("/a", A, own));
        assert!(table.is_empty());
    }
}

#[test]
fn removing_any_removes_all_modes_of_that_connection_there() {
    let mut table = WatchTable::new();
    for mode in [
        WatchMode::Data,
        WatchMode::Child,
        WatchMode::PersistentRecursive,
    ] {
        table.add("/a", A, mode);
        table.add("/a", B, mode);
    }
    assert!(table.remove("/a", A, WatcherType::Any));
    assert!(!table.remove("/a", A, WatcherType::Any));
    assert_eq!((table.len(), table.recursive_len()), (2, 1));
    assert_eq!(data(&mut table, "/a"), [2]);
}

#[test]
fn types_have_zookeepers_numbers() {
    for kind in 1..=5 {
        assert_eq!(WatcherType::try_from(kind).unwrap() as i32, kind);
    }
    assert_eq!(WatcherType::try_from(0), Err(UnknownWatcherType(0)));
    assert_eq!(WatcherType::try_from(6), Err(UnknownWatcherType(6)));
}

#[test]
fn visitors_show_the_data_table() {
    let mut table = WatchTable::new();
    table.add("/b", A, WatchMode::Data);
    table.add("/a", A, WatchMode::Persistent);
    table.add("/a", B, WatchMode::PersistentRecursive);
    table.add("/c", C, WatchMode::Child);
    let mut paths = BTreeMap::new();
    table.visit_data_paths(|path, conns| {
        paths.insert(path.to_owned(), conns.to_vec());
    });
    let expected = [("/a".to_owned(), vec![A, B]), ("/b".to_owned(), vec![A])];
    assert_eq!(paths, BTreeMap::from(expected));
    let mut conns = BTreeMap::new();
    table.visit_data_conns(|conn, paths| {
        conns.insert(conn, paths.join(" "));
    });
    assert_eq!(
        conns,
        BTreeMap::from([(A, "/a /b".to_owned()), (B, "/a".to_owned())])
    );
}

#[test]
fn watch_set_again_after_each_event_does_not_grow_the_table() {
    let mut table = WatchTable::new();
    for path in 0..10 {
        table.add(&format!("/stays/{path}"), A, WatchMode::Data);
    }
    for turn in 0..10_000 {
        let path = format!("/{}", turn % 7);
        table.add(&path, A, WatchMode::Data);
        assert_eq!(data(&mut table, &path), [1]);
    }
    let listed: usize = table.conns.iter().map(|(_, ids)| ids.len()).sum();
    assert!(listed <= 64, "{listed} numbers for 10 watches");
    assert_eq!(
        table.data_counts(),
        WatchCounts {
            connections: 1,
            paths: 10,
            watches: 10
        }
    );
}

#[test]
fn empty_table_keeps_nothing_of_a_connection() {
    let mut table = WatchTable::new();
    for conn in 0..300 {
        for path in 0..5 {
            table.add(&format!("/{path}"), ConnId(conn), WatchMode::Data);
        }
    }
    for conn in 0..100 {
        table.remove_conn(ConnId(conn));
    }
    for path in 0..5 {
        assert_eq!(data(&mut table, &format!("/{path}")).len(), 200);
    }
    assert!(table.is_empty());
    assert_eq!(table.conns.iter().count(), 0);
    assert_eq!(table.paths.iter().count(), 0);
}

/// What the table must do, told as simply as it can be.
#[derive(Debug, Default)]
struct Naive(BTreeSet<(String, ConnId, u8)>);

const MODES: [WatchMode; 4] = [
    WatchMode::Data,
    WatchMode::Child,
    WatchMode::Persistent,
    WatchMode::PersistentRecursive,
];

const TYPES: [(WatcherType, &[u8]); 5] = [
    (WatcherType::Children, &[1]),
    (WatcherType::Data, &[0]),
    (WatcherType::Any, &[0, 1, 2, 3]),
    (WatcherType::Persistent, &[2]),
    (WatcherType::PersistentRecursive, &[3]),
];

impl Naive {
    fn conns(&self, path: &str, modes: &[u8]) -> BTreeSet<ConnId> {
        let hits = self
            .0
            .iter()
            .filter(|(own, _, mode)| own == path && modes.contains(mode));
        hits.map(|(_, conn, _)| *conn).collect()
    }

    fn fire(&mut self, kind: WatchTableKind, path: &str) -> BTreeSet<ConnId> {
        let (table, one_shot): (&[u8], u8) = match kind {
            WatchTableKind::Data => (&[0, 2, 3], 0),
            WatchTableKind::Child => (&[1, 2], 1),
        };
        let mut out = self.conns(path, table);
        if kind == WatchTableKind::Data {
            let mut above = path;
            while let Some((parent, _)) = above.rsplit_once('/').filter(|_| above != "/") {
                above = if parent.is_empty() { "/" } else { parent };
                out.extend(self.conns(above, &[3]));
            }
        }
        self.0
            .retain(|(own, _, mode)| own != path || *mode != one_shot);
        out
    }

    fn pairs(&self, modes: &[u8]) -> BTreeSet<(&str, ConnId)> {
        let hits = self.0.iter().filter(|(_, _, mode)| modes.contains(mode));
        hits.map(|(path, conn, _)| (&**path, *conn)).collect()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add(usize, u32, usize),
    Fire(bool, usize),
    Contains(usize, u32, usize),
    Remove(usize, u32, usize),
    Close(u32),
}

const PATHS: [&str; 9] = [
    "/", "", "/a", "/a/b", "/a/b/c", "/ab", "/d", "/d/e/f/g", "/d/e",
];

fn steps(conns: u32, len: usize) -> impl Strategy<Value = Vec<Step>> {
    let (path, conn) = (0..PATHS.len(), move || 0..conns);
    let step = prop_oneof![
        12 => (path.clone(), conn(), 0..4_usize).prop_map(|(p, c, m)| Step::Add(p, c, m)),
        1 => (any::<bool>(), path.clone()).prop_map(|(d, p)| Step::Fire(d, p)),
        1 => (path.clone(), conn(), 0..5_usize).prop_map(|(p, c, t)| Step::Contains(p, c, t)),
        2 => (path, conn(), 0..5_usize).prop_map(|(p, c, t)| Step::Remove(p, c, t)),
        1 => conn().prop_map(Step::Close),
    ];
    prop::collection::vec(step, 0..len)
}

/// Numbers far apart, to meet words of the bitmaps with one connection and with many.
fn spread(conn: u32) -> ConnId {
    ConnId(if conn.is_multiple_of(3) {
        u32::MAX - conn * 1000
    } else {
        conn
    })
}

fn same(steps: Vec<Step>) {
    let (mut table, mut naive) = (WatchTable::new(), Naive::default());
    for (turn, step) in steps.into_iter().enumerate() {
        match step {
            Step::Add(path, conn, mode) => {
                table.add(PATHS[path], spread(conn), MODES[mode]);
                naive
                    .0
                    .insert((PATHS[path].to_owned(), spread(conn), mode as u8));
            }
            Step::Fire(is_data, path) => {
                let kind = if is_data {
                    WatchTableKind::Data
                } else {
                    WatchTableKind::Child
                };
                let mut out = Vec::new();
                table.fire_all(kind, PATHS[path], &[], &mut out);
                assert!(out.iter().eq(&naive.fire(kind, PATHS[path])));
            }
            Step::Contains(path, conn, kind) => {
                let (kind, modes) = TYPES[kind];
                let expected = naive.conns(PATHS[path], modes).contains(&spread(conn));
                assert_eq!(table.contains(PATHS[path], spread(conn), kind), expected);
            }
            Step::Remove(path, conn, kind) => {
                let (kind, modes) = TYPES[kind];
                let expected = naive.conns(PATHS[path], modes).contains(&spread(conn));
                naive.0.retain(|(own, other, mode)| {
                    own != PATHS[path] || *other != spread(conn) || !modes.contains(mode)
                });
                assert_eq!(table.remove(PATHS[path], spread(conn), kind), expected);
            }
            Step::Close(conn) => {
                table.remove_conn(spread(conn));
                naive.0.retain(|(_, other, _)| *other != spread(conn));
            }
        }
        if turn % 16 != 0 {
            continue;
        }
        let (in_data, in_child) = (naive.pairs(&[0, 2, 3]), naive.pairs(&[1, 2]));
        assert_eq!(table.len(), in_data.len() + in_child.len());
        assert_eq!(table.recursive_len(), naive.pairs(&[3]).len());
    }
    let in_data = naive.pairs(&[0, 2, 3]);
    let connections = in_data
        .iter()
        .map(|(_, conn)| conn)
        .collect::<BTreeSet<_>>()
        .len();
    let paths = in_data
        .iter()
        .map(|(path, _)| path)
        .collect::<BTreeSet<_>>()
        .len();
    let counts = WatchCounts {
        connections,
        paths,
        watches: in_data.len(),
    };
    assert_eq!(table.data_counts(), counts);
    let mut seen = BTreeSet::new();
    table.visit_data_conns(|conn, paths| {
        seen.extend(paths.iter().map(|path| ((*path).to_owned(), conn)));
    });
    assert!(seen.iter().map(|(path, conn)| (&**path, *conn)).eq(in_data));
    // The list of each connection must lead to all of its watches.
    for conn in naive
        .0
        .iter()
        .map(|(_, conn, _)| *conn)
        .collect::<BTreeSet<_>>()
    {
        table.remove_conn(conn);
    }
    assert!(table.is_empty());
    assert_eq!(table.paths.iter().count(), 0);
    assert_eq!(table.conns.iter().count(), 0);
}

proptest! {
    #[test]
    fn table_does_what_the_naive_one_does_with_few_connections(steps in steps(4, 300)) {
        same(steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Enough watchers on a path to go from list to bitmap and back.
    #[test]
    fn table_does_what_the_naive_one_does_with_many_connections(steps in steps(200, 1500)) {
        same(steps);
    }
}
