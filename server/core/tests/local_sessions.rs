//! Sessions that only one member knows, at a leader and at a learner.
#![allow(clippy::unwrap_used, missing_docs)]

use menagerie_core::effect::{Effect, Effects};
use menagerie_core::event::{Event, Request};
use menagerie_core::ids::{ConnId, Cxid, SessionId, Sid, Zxid};
use menagerie_core::sessions::SessionRules;
use menagerie_core::txn::{LoggedTxn, Txn};
use menagerie_wire::client::PathWatchRequest;
use menagerie_wire::jute;
use menagerie_wire::multi::{MultiOp, MultiRequest};
use menagerie_wire::op::{ErrorCode, op_code};
use menagerie_wire::txn::TxnHeader;
use world::{World, create, create_request, set};

mod world;

const ME: i64 = 3;
const UPGRADABLE: SessionRules = SessionRules::Local { upgrade: true };
const FIXED: SessionRules = SessionRules::Local { upgrade: false };

/// A member of an ensemble; a leader once it leads.
fn member(rules: SessionRules) -> World {
    World::new(|config| {
        (config.alone, config.server_id, config.sessions) = (false, ME, rules);
    })
}

fn leader(rules: SessionRules) -> World {
    let mut world = member(rules);
    world.replica.lead(1, world.now);
    commit(&mut world);
    world
}

/// Everything that was prepared or received is committed.
fn commit(world: &mut World) {
    world.replica.commit(world.replica.last_prepared());
    world.apply();
}

fn opened(world: &mut World) -> SessionId {
    let Some(Effect::SessionOpened { session, .. }) = world.actions.pop() else {
        panic!("no session was opened: {:?}", world.actions);
    };
    session
}

fn open(world: &mut World, conn: u32) -> SessionId {
    let (conn, timeout_ms) = (ConnId(conn), 4000);
    world.step(Event::OpenSession { conn, timeout_ms });
    opened(world)
}

/// As [`open`], at a learner.
fn open_here(world: &mut World, conn: u32) -> SessionId {
    let mut effects = Effects::default();
    assert!(world.replica.open_local(ConnId(conn), 4000, &mut effects));
    world.actions.append(&mut effects.actions);
    opened(world)
}

/// What a learner asks of its leader because of a client's request.
fn pass_on(world: &mut World, request: Request) -> Vec<Request> {
    let mut effects = Effects::default();
    let passed = world.replica.pass_on(request, &world.tree, &mut effects);
    world.actions.append(&mut effects.actions);
    [passed.upgrade, passed.request]
        .into_iter()
        .flatten()
        .collect()
}

fn ask(world: &mut World, conn: u32, session: SessionId, op: i32, body: Vec<u8>) -> Vec<Request> {
    let request = world.request(conn, session, op, body);
    pass_on(world, request)
}

/// The leader proposes what a learner asked for.
fn propose(world: &mut World, zxid: i64, asked: &Request, txn: Txn) {
    let header = TxnHeader {
        client_id: asked.session.0,
        cxid: asked.cxid.0,
        zxid,
        time: 0,
        op: txn.op(),
    };
    let digest = None;
    let logged = LoggedTxn {
        header,
        txn,
        digest,
    };
    world.replica.receive(logged, 100);
}

fn forwarded(world: &mut World, session: SessionId, op: i32, body: Vec<u8>) -> Txn {
    let mut request = world.request(0, session, op, body);
    request.conn = None;
    let mut effects = Effects::default();
    world
        .replica
        .forwarded(request, Sid(2), world.now, &world.tree, &mut effects);
    let entry = effects.log.entries().last().unwrap().1.to_vec();
    LoggedTxn::decode(&entry).unwrap().txn
}

fn local_count(world: &World) -> usize {
    let local = world.replica.all_sessions().local();
    local.map_or(0, |open| open.len())
}

#[test]
fn a_server_alone_makes_nothing_of_local_sessions() {
    let mut world = World::new(|config| config.sessions = UPGRADABLE);
    world.open(1);
    assert_eq!(world.log.len(), 1);
    assert!(world.replica.all_sessions().local().is_none());
}

#[test]
fn a_local_session_comes_and_goes_without_a_transaction() {
    let mut world = leader(UPGRADABLE);
    let session = open(&mut world, 1);
    assert_eq!(session.0 >> 56, ME);
    assert_eq!((world.log.len(), local_count(&world)), (0, 1));
    assert!(world.replica.sessions().is_empty());
    world.send(1, session, op_code::CREATE, create("/a", 0));
    world.send(1, session, op_code::CLOSE_SESSION, Vec::new());
    world.send(1, session, op_code::CREATE, create("/late", 0));
    assert_eq!(world.actions, [Effect::Dropped { conn: ConnId(1) }]);
    assert_eq!(world.log.len(), 1);
    world.apply();
    assert_eq!(world.take(), Vec::<String>::new());
    commit(&mut world);
    assert_eq!(
        world.take(),
        [
            "1: #1 0x100000001 OK /a",
            "session closed by Some((ConnId(1), Cxid(2))) 0x100000001",
        ]
    );
    assert_eq!(local_count(&world), 0);
}

#[test]
fn a_leaders_session_is_proposed_before_its_first_ephemeral_node() {
    let mut world = leader(UPGRADABLE);
    let session = open(&mut world, 1);
    world.send(1, session, op_code::CREATE, create("/e", 1));
    world.send(1, session, op_code::CREATE, create("/f", 1));
    let txns: Vec<Txn> = world
        .log
        .iter()
        .map(|entry| LoggedTxn::decode(entry).unwrap().txn)
        .collect();
    assert!(matches!(
        txns[..],
        [
            Txn::CreateSession { timeout_ms: 4000 },
            Txn::Create { .. },
            Txn::Create { .. }
        ]
    ));
    assert_eq!(local_count(&world), 0);
    assert!(world.replica.sessions().contains(session));
    commit(&mut world);
    assert_eq!(
        world.take(),
        ["1: #1 0x100000002 OK /e", "1: #2 0x100000003 OK /f"]
    );
    assert!(!world.replica.all_sessions().is_upgrading(session));
}

#[test]
fn without_upgrading_an_ephemeral_node_is_refused() {
    let mut world = leader(FIXED);
    let session = open(&mut world, 1);
    world.send(1, session, op_code::CREATE, create("/e", 1));
    world.send(1, session, op_code::CREATE_CONTAINER, create("/e", 1));
    let ops = vec![
        MultiOp::Create(op_code::CREATE, create_request("/a", 0)),
        MultiOp::Create(op_code::CREATE, create_request("/e", 3)),
    ];
    let multi = jute::to_vec(&MultiRequest { ops });
    world.send(1, session, op_code::MULTI, multi);
    world.send(1, session, op_code::CREATE, create("/a", 0));
    commit(&mut world);
    assert_eq!(
        world.take(),
        [
            "1: #1 0x100000001 EPHEMERALONLOCALSESSION",
            "1: #2 0x100000002 SESSIONEXPIRED",
            "1: #3 0x100000003 OK [0, -120]",
            "1: #4 0x100000004 OK /a",
        ]
    );
    assert_eq!(local_count(&world), 1);
}

#[test]
fn a_leader_trusts_other_members_with_their_local_sessions() {
    let expired = Txn::Error(ErrorCode::SessionExpired);
    let (theirs, ours) = (SessionId(2 << 56 | 7), SessionId(ME << 56 | 7));
    let mut world = leader(UPGRADABLE);
    let write = forwarded(&mut world, theirs, op_code::CREATE, create("/a", 0));
    assert!(matches!(write, Txn::Create { .. }), "{write:?}");
    let owner = forwarded(&mut world, theirs, op_code::CREATE, create("/e", 1));
    assert_eq!(owner, expired);
    // One of this server's that it does not know is gone.
    let gone = forwarded(&mut world, ours, op_code::CREATE, create("/b", 0));
    assert_eq!(gone, expired);
    let mut world = leader(SessionRules::Global);
    let unknown = forwarded(&mut world, theirs, op_code::CREATE, create("/a", 0));
    assert_eq!(unknown, expired);
}

#[test]
fn a_learner_asks_for_the_session_before_its_first_ephemeral_node() {
    let mut world = member(UPGRADABLE);
    let session = open_here(&mut world, 1);
    // A client may use the number that the upgrade has.
    world.cxid = -1;
    let asked = ask(&mut world, 1, session, op_code::CREATE, create("/e", 1));
    let [upgrade, request] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert_eq!(
        (upgrade.op, request.op),
        (op_code::CREATE_SESSION, op_code::CREATE)
    );
    assert_eq!((upgrade.cxid, request.cxid), (Cxid(0), Cxid(0)));
    assert_eq!(&upgrade.body[..], 4000_i32.to_be_bytes());
    assert!(world.replica.all_sessions().is_upgrading(session));
    let more = ask(&mut world, 1, session, op_code::CREATE, create("/f", 1));
    assert_eq!(more.len(), 1, "once is enough");

    let opens = Txn::CreateSession { timeout_ms: 4000 };
    propose(&mut world, 1, upgrade, opens);
    let failed = || Txn::Error(ErrorCode::NodeExists);
    propose(&mut world, 2, request, failed());
    propose(&mut world, 3, &more[0], failed());
    commit(&mut world);
    assert_eq!(
        world.take(),
        ["1: #0 0x2 NODEEXISTS", "1: #1 0x3 NODEEXISTS"]
    );
    let sessions = world.replica.all_sessions();
    assert!(sessions.global().contains(session) && !sessions.is_local(session));
    assert!(!sessions.is_upgrading(session));
    let close = ask(&mut world, 1, session, op_code::CLOSE_SESSION, Vec::new());
    assert_eq!(close.len(), 1, "the leader closes it now");
}

#[test]
fn a_learner_knows_why_an_ephemeral_node_is_refused() {
    let mut world = member(FIXED);
    let session = open_here(&mut world, 1);
    let asked = ask(&mut world, 1, session, op_code::CREATE, create("/e", 1));
    assert_eq!(asked.len(), 1);
    let expired = Txn::Error(ErrorCode::SessionExpired);
    propose(&mut world, 1, &asked[0], expired);
    let other = ask(&mut world, 1, session, op_code::SET_DATA, set("/n", 0));
    propose(&mut world, 2, &other[0], Txn::Error(ErrorCode::NoNode));
    commit(&mut world);
    assert_eq!(
        world.take(),
        ["1: #1 0x1 EPHEMERALONLOCALSESSION", "1: #2 0x2 NONODE"]
    );
}

#[test]
fn a_learner_closes_a_local_session_when_its_writes_are_done() {
    let mut world = member(UPGRADABLE);
    let session = open_here(&mut world, 1);
    let asked = ask(&mut world, 1, session, op_code::SET_DATA, set("/n", 0));
    let read = jute::to_vec(&PathWatchRequest {
        path: Some("/".into()),
        watch: false,
    });
    assert!(ask(&mut world, 1, session, op_code::EXISTS, read).is_empty());
    assert!(ask(&mut world, 1, session, op_code::CLOSE_SESSION, Vec::new()).is_empty());
    assert!(ask(&mut world, 1, session, op_code::SET_DATA, set("/n", 0)).is_empty());
    assert_eq!(world.actions, [Effect::Dropped { conn: ConnId(1) }]);
    world.apply();
    assert_eq!(world.take(), Vec::<String>::new());
    propose(&mut world, 1, &asked[0], Txn::Error(ErrorCode::NoNode));
    commit(&mut world);
    assert_eq!(
        world.take(),
        [
            "1: #1 0x1 NONODE",
            "1: #2 read, 88 bytes",
            "session closed by Some((ConnId(1), Cxid(3))) 0x1",
        ]
    );
}

#[test]
fn a_learner_closes_local_sessions_that_are_not_heard_of() {
    let mut world = member(UPGRADABLE);
    let (silent, alive) = (open_here(&mut world, 1), open_here(&mut world, 2));
    world.replica.touch(alive, 3000);
    assert_eq!(world.replica.next_local_expiry(), 5000);
    world.now.mono_ms = 5000;
    world.replica.expire_local(world.now);
    let mut effects = Effects::default();
    let mut resume = |world: &mut World, session| {
        let conn = ConnId(9);
        world
            .replica
            .resume_local(conn, session, 4000, &mut effects)
    };
    assert!(!resume(&mut world, silent) && resume(&mut world, alive));
    world.apply();
    assert_eq!(world.take(), ["session closed by None 0x0"]);
    assert_eq!(local_count(&world), 1);
    // What comes from it afterwards is not the leader's business.
    world.actions.clear();
    assert!(ask(&mut world, 1, silent, op_code::SET_DATA, set("/n", 0)).is_empty());
    assert_eq!(world.actions, [Effect::CloseConns(vec![ConnId(1)])]);
    // Unless the leader has opened it meanwhile, though that has not come here yet.
    world.replica.vouched_for(silent);
    let asked = ask(&mut world, 1, silent, op_code::CREATE, create("/e", 1));
    assert_eq!(asked.len(), 1);
}

#[test]
fn local_sessions_outlive_a_leader_and_half_upgraded_ones_do_not() {
    let mut world = member(UPGRADABLE);
    let stays = open_here(&mut world, 1);
    let (upgraded, closing) = (open_here(&mut world, 2), open_here(&mut world, 3));
    ask(&mut world, 2, upgraded, op_code::CREATE, create("/e", 1));
    ask(&mut world, 3, closing, op_code::SET_DATA, set("/n", 0));
    ask(&mut world, 3, closing, op_code::CLOSE_SESSION, Vec::new());
    world.now.mono_ms = 4500;
    let mut lost = Vec::new();
    world.replica.stand_down(world.now, &mut lost);
    assert_eq!(lost, [ConnId(2), ConnId(3)]);
    world.apply();
    assert_eq!(world.take(), ["session closed by None 0x0"]);
    let sessions = world.replica.all_sessions();
    assert!(sessions.is_local(stays) && !sessions.is_local(closing));
    assert!(!sessions.is_local(upgraded) && !sessions.is_upgrading(upgraded));
    assert_eq!(world.replica.next_local_expiry(), 9000);

    // This server leads next: the session writes as before.
    world.replica.lead(1, world.now);
    commit(&mut world);
    world.send(1, stays, op_code::CREATE, create("/a", 0));
    commit(&mut world);
    let heard = world.take();
    assert!(heard[0].contains("OK /a"), "{heard:?}");
    assert_eq!(world.replica.last_prepared(), Zxid(1 << 32 | 1));
}
