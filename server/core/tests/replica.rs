//! The replica as a value: events in, effects and deliveries out, no thread or clock.
#![allow(clippy::unwrap_used, missing_docs)]

use menagerie_core::effect::Effect;
use menagerie_core::event::Event;
use menagerie_core::ids::ConnId;
use menagerie_core::processor::apply::{Silent, apply};
use menagerie_core::snap_policy::SnapPolicyConfig;
use menagerie_core::tree::Tree;
use menagerie_core::txn::LoggedTxn;
use menagerie_wire::client::{CreateRequest, PathRequest, PathVersionRequest, PathWatchRequest};
use menagerie_wire::data::Acl;
use menagerie_wire::jute;
use menagerie_wire::multi::{MultiOp, MultiRequest};
use menagerie_wire::op::{ErrorCode, op_code};
use world::{World, create, create_request, delete, options, set};

mod world;

#[test]
fn nothing_is_said_before_the_log_is_durable() {
    let mut world = World::new(|_| {});
    let session = world.open(1);
    world.send(1, session, op_code::CREATE, create("/a", 0));
    world.apply();
    assert_eq!(world.take(), Vec::<String>::new());
    assert!(world.tree.lookup("/a").is_none());
    world.sync();
    assert_eq!(world.take(), ["1: #1 0x2 OK /a"]);
}

#[test]
fn requests_see_the_outstanding_changes_of_earlier_ones() {
    let mut world = World::new(|_| {});
    let session = world.open(1);
    world.send(1, session, op_code::CREATE, create("/a", 0));
    world.send(1, session, op_code::CREATE, create("/a", 0));
    world.send(1, session, op_code::SET_DATA, set("/a", 0));
    world.send(1, session, op_code::SET_DATA, set("/a", 0));
    world.send(1, session, op_code::CREATE, create("/a/s-", 2));
    world.send(1, session, op_code::CREATE, create("/a/s-", 2));
    world.send(1, session, op_code::DELETE, delete("/a"));
    world.sync();
    assert_eq!(
        world.take(),
        [
            "1: #1 0x2 OK /a",
            "1: #2 0x3 NODEEXISTS",
            "1: #3 0x4 OK v1",
            "1: #4 0x5 BADVERSION",
            "1: #5 0x6 OK /a/s-0000000000",
            "1: #6 0x7 OK /a/s-0000000001",
            "1: #7 0x8 NOTEMPTY",
        ]
    );
}

#[test]
fn a_failed_multi_changes_nothing_also_for_those_behind_it() {
    let mut world = World::new(|_| {});
    let session = world.open(1);
    world.send(1, session, op_code::CREATE, create("/a", 0));
    let ops = vec![
        MultiOp::Create(op_code::CREATE, create_request("/a/s-", 2)),
        MultiOp::Create(op_code::CREATE, create_request("/nowhere/b", 0)),
        MultiOp::Create(op_code::CREATE, create_request("/c", 0)),
    ];
    world.send(
        1,
        session,
        op_code::MULTI,
        jute::to_vec(&MultiRequest { ops }),
    );
    world.send(1, session, op_code::CREATE, create("/a/s-", 2));
    world.sync();
    assert_eq!(
        world.take(),
        [
            "1: #1 0x2 OK /a",
            "1: #2 0x3 OK [0, -101, -2]",
            "1: #3 0x4 OK /a/s-0000000000"
        ]
    );
}

#[test]
fn reads_and_syncs_keep_their_place_behind_the_sessions_writes() {
    let mut world = World::new(|_| {});
    let session = world.open(1);
    let get = jute::to_vec(&PathWatchRequest {
        path: Some("/a".into()),
        watch: true,
    });
    world.send(1, session, op_code::CREATE, create("/a", 0));
    world.send(1, session, op_code::GET_DATA, get);
    world.send(
        1,
        session,
        op_code::SYNC,
        jute::to_vec(&PathRequest {
            path: Some("/".into()),
        }),
    );
    world.send(1, session, op_code::SET_DATA, set("/a", -1));
    world.apply();
    assert_eq!(world.take(), Vec::<String>::new());
    world.sync();
    let heard = world.take();
    assert_eq!(heard.len(), 5, "{heard:?}");
    assert!(heard[1].starts_with("1: #2 read"), "{heard:?}");
    assert_eq!(heard[2], "1: #3 0x2 OK /");
    assert_eq!(
        heard[3], "1: NodeDataChanged /a 0x3",
        "the event comes before the reply"
    );
    assert_eq!(heard[4], "1: #4 0x3 OK v1");
}

#[test]
fn closing_a_session_takes_ephemerals_that_are_still_outstanding() {
    let mut world = World::new(|_| {});
    let session = world.open(1);
    let other = world.open(2);
    world.send(2, other, op_code::CREATE, create("/p", 0));
    world.send(1, session, op_code::CREATE, create("/p/e", 1));
    world.send(1, session, op_code::CLOSE_SESSION, Vec::new());
    world.send(1, session, op_code::CREATE, create("/late", 0));
    world.send(2, other, op_code::DELETE, delete("/p"));
    world.sync();
    let heard = world.take();
    assert_eq!(heard[2], "session closed by Some((ConnId(1), Cxid(3))) 0x5");
    assert_eq!(
        heard[3], "2: #5 0x6 OK",
        "the parent is empty for the next request: {heard:?}"
    );
    assert_eq!(world.actions, [Effect::Dropped { conn: ConnId(1) }]);
    assert!(world.tree.lookup("/late").is_none());
    assert_eq!(world.tree.ephemeral_count(), 0);
}

#[test]
fn a_session_that_is_not_touched_expires_on_its_tick() {
    let mut world = World::new(|_| {});
    let session = world.open(1);
    world.send(1, session, op_code::CREATE, create("/e", 1));
    world.sync();
    world.take();
    world.pass(3000);
    world.replica.touch(session, world.now.mono_ms);
    world.pass(3000);
    assert_eq!(world.take(), Vec::<String>::new());
    world.pass(2000);
    assert_eq!(world.take(), ["session closed by None 0x3"]);
    assert!(world.tree.lookup("/e").is_none());
    world.step(Event::ResumeSession {
        conn: ConnId(9),
        session,
        timeout_ms: 4000,
    });
    let refused = Effect::SessionResumed {
        conn: ConnId(9),
        session,
        timeout_ms: None,
    };
    assert_eq!(world.actions.pop(), Some(refused));
}

#[test]
fn used_containers_and_old_ttl_nodes_are_reaped() {
    let mut world = World::new(|config| config.reaper.check_interval_ms = 10_000);
    let session = world.open(1);
    world.send(1, session, op_code::CREATE_CONTAINER, create("/unused", 4));
    world.send(1, session, op_code::CREATE_CONTAINER, create("/used", 4));
    world.send(1, session, op_code::CREATE, create("/used/c", 0));
    world.send(1, session, op_code::DELETE, delete("/used/c"));
    let CreateRequest {
        path, data, acl, ..
    } = create_request("/ttl", 5);
    let ttl = menagerie_wire::client::CreateTtlRequest {
        path,
        data,
        acl,
        flags: 5,
        ttl: 5000,
    };
    world.send(1, session, op_code::CREATE_TTL, jute::to_vec(&ttl));
    world.sync();
    for _ in 0..4 {
        world.replica.touch(session, world.now.mono_ms);
        world.pass(3000);
    }
    let left: Vec<bool> = ["/unused", "/used", "/ttl"]
        .iter()
        .map(|path| world.tree.lookup(path).is_some())
        .collect();
    assert_eq!(left, [true, false, false]);
}

#[test]
fn a_hard_quota_refuses_and_a_soft_one_does_not() {
    let mut world = World::new(|_| {});
    let session = world.open(1);
    let mut make = |path: &str, data: &[u8]| {
        let acl = Some(vec![Acl::new(31, "world", "anyone")]);
        let request = CreateRequest {
            path: Some(path.into()),
            data: Some(data),
            acl,
            flags: 0,
        };
        world.send(1, session, op_code::CREATE, jute::to_vec(&request));
        world.sync();
        world
            .take()
            .pop()
            .unwrap()
            .split(' ')
            .nth(3)
            .unwrap()
            .to_owned()
    };
    for path in [
        "/hard",
        "/soft",
        "/zookeeper/quota/hard",
        "/zookeeper/quota/soft",
    ] {
        assert_eq!(make(path, b""), "OK");
    }
    make(
        "/zookeeper/quota/hard/zookeeper_limits",
        b"count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=2",
    );
    make("/zookeeper/quota/hard/zookeeper_stats", b"count=1,bytes=0");
    make(
        "/zookeeper/quota/soft/zookeeper_limits",
        b"count=1,bytes=-1",
    );
    make("/zookeeper/quota/soft/zookeeper_stats", b"count=1,bytes=0");
    assert_eq!(make("/hard/1", b""), "OK");
    assert_eq!(make("/hard/2", b""), "QUOTAEXCEEDED");
    assert_eq!(make("/soft/1", b""), "OK");
    assert_eq!(make("/soft/2", b""), "OK");
}

#[test]
fn a_node_made_again_is_not_the_closed_sessions() {
    let mut world = World::new(|_| {});
    let session = world.open(1);
    world.send(1, session, op_code::CREATE2, create("/0", 1));
    world.sync();
    // None of this is applied when the session is closed.
    world.send(1, session, op_code::DELETE, delete("/0"));
    world.send(1, session, op_code::CREATE2, create("/0", 0));
    world.send(1, session, op_code::CREATE2, create("/0/1", 0));
    world.send(1, session, op_code::CLOSE_SESSION, Vec::new());
    world.sync();
    assert!(world.tree.lookup("/0/1").is_some());
}

#[test]
fn a_snapshot_is_asked_for_once_and_again_when_it_is_done() {
    let mut world = World::new(|config| {
        config.snapshots = SnapPolicyConfig {
            count: 10,
            bytes: 0,
        }
    });
    let session = world.open(1);
    for i in 0..40 {
        world.send(1, session, op_code::CREATE, create(&format!("/{i}"), 0));
    }
    assert_eq!(world.actions, [Effect::SaveSnapshot]);
    world.step(Event::SnapshotDone);
    for i in 40..60 {
        world.send(1, session, op_code::CREATE, create(&format!("/{i}"), 0));
    }
    assert_eq!(world.actions.len(), 2);
}

proptest::proptest! {
    /// Random requests of two sessions, with the disk behind by random amounts: what is predicted
    /// is what happens (the digests are compared on the way), and the log alone rebuilds the tree.
    #[test]
    fn the_log_rebuilds_the_tree(ops in proptest::collection::vec(
        (0..7_u8, 0..3_u8, 0..3_u8, 0..4_i32, proptest::bool::weighted(0.3)), 1..120)) {
        let mut world = World::new(|_| {});
        let mut sessions = [world.open(1), world.open(2)];
        for (op, a, b, flags, sync) in ops {
            let path = if b == 0 { format!("/{a}") } else { format!("/{a}/{b}") };
            let who = usize::from(a % 2);
            let (conn, session) = (u32::from(a % 2) + 1, sessions[who]);
            match op {
                0 | 1 => world.send(conn, session, op_code::CREATE2, create(&path, flags)),
                2 => world.send(conn, session, op_code::DELETE, delete(&path)),
                3 => world.send(conn, session, op_code::SET_DATA, set(&path, -1)),
                4 => world.send(conn, session, op_code::CREATE_CONTAINER, create(&path, 4)),
                5 => {
                    let ops = vec![
                        MultiOp::Create(op_code::CREATE, create_request(&path, flags)),
                        MultiOp::Delete(PathVersionRequest { path: Some("/0".into()), version: -1 }),
                    ];
                    world.send(conn, session, op_code::MULTI, jute::to_vec(&MultiRequest { ops }));
                }
                _ => {
                    world.send(conn, session, op_code::CLOSE_SESSION, Vec::new());
                    sessions[who] = world.open(conn);
                }
            }
            if sync {
                world.sync();
            }
        }
        world.sync();
        let mut rebuilt = Tree::new(options());
        for entry in &world.log {
            let logged = LoggedTxn::decode(entry).unwrap();
            let mut again = Vec::new();
            logged.encode(&mut again);
            proptest::prop_assert_eq!(&again, entry);
            apply(&mut rebuilt, &logged.header, &logged.txn, &mut Silent);
            rebuilt.advance(logged.header.zxid);
            if let Some(digest) = logged.digest {
                proptest::prop_assert_eq!(digest.tree_digest as u64, rebuilt.digest());
            }
        }
        proptest::prop_assert_eq!(rebuilt.digest(), world.tree.digest());
        proptest::prop_assert_eq!(rebuilt.node_count(), world.tree.node_count());
        proptest::prop_assert_eq!(rebuilt.ephemeral_count(), world.tree.ephemeral_count());
        // Replaying it all once more, as on a fuzzy snapshot, ends in the same nodes.
        for entry in &world.log {
            let logged = LoggedTxn::decode(entry).unwrap();
            apply(&mut rebuilt, &logged.header, &logged.txn, &mut Silent);
        }
        proptest::prop_assert_eq!(rebuilt.node_count(), world.tree.node_count());
    }
}

#[test]
fn an_error_code_has_zookeepers_name() {
    assert_eq!(ErrorCode::NoNode.name(), "NONODE");
}
