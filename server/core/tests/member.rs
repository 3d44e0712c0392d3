//! A member as a value: whom a leader waits for, and what a follower owes its clients when its leader
//! goes. Whole ensembles are the simulator's.
#![allow(clippy::unwrap_used, missing_docs)]

use bytes::Bytes;
use menagerie_core::acl::AuthConfig;
use menagerie_core::effect::{Deliver, Effect, Effects, Fired, Reply};
use menagerie_core::election::ElectionConfig;
use menagerie_core::event::{Event, Now, Request};
use menagerie_core::ids::{ConnId, Cxid, LinkId, SessionId, Sid, Zxid};
use menagerie_core::member::{Member, MemberConfig, Memory, NoPlace, ObserverConfig};
use menagerie_core::planted::Planted;
use menagerie_core::processor::apply::Watches;
use menagerie_core::processor::prep::PrepConfig;
use menagerie_core::processor::read::WatchRegistry;
use menagerie_core::quorum::{Configs, Membership};
use menagerie_core::reaper::ReaperConfig;
use menagerie_core::replica::{Replica, ReplicaConfig};
use menagerie_core::snap_policy::SnapPolicyConfig;
use menagerie_core::tree::{Tree, TreeOptions};
use menagerie_core::txn::{LoggedTxn, Txn};
use menagerie_core::watch::{WatchMode, WatchTableKind, WatcherType};
use menagerie_core::zab::packet::Packet;
use menagerie_wire::election::{Notification, ServerState};
use menagerie_wire::op::op_code;
use menagerie_wire::text::cfg::Members;
use menagerie_wire::txn::TxnHeader;

const PAIR: &str = "server.1=a:1:2\nserver.2=b:1:2\n";
const TRIO: &str = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
const FIVE: &str =
    "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2\nserver.5=e:1:2\n";
const OBSERVED: &str = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n\
                        server.4=d:1:2:observer\nserver.5=e:1:2:observer\n";

struct Nobody;

impl Watches for Nobody {
    fn fire(&self, _: WatchTableKind, _: &str, _: &[ConnId], _: &mut Vec<ConnId>) {}
}

impl WatchRegistry for Nobody {
    fn add(&self, _: &str, _: ConnId, _: WatchMode) {}
    fn contains(&self, _: &str, _: ConnId, _: WatcherType) -> bool {
        false
    }
    fn remove(&self, _: &str, _: ConnId, _: WatcherType) -> bool {
        false
    }
}

impl Deliver for Nobody {
    fn reply(&mut self, _: &Reply<'_>) {}
    fn read(&mut self, _: ConnId, _: Cxid, _: &mut dyn FnMut(&mut Vec<u8>)) {}
    fn fired(&mut self, _: &Fired<'_>) {}
    fn session_created(&mut self, _: ConnId, _: SessionId, _: i32) {}
    fn session_closed(&mut self, _: SessionId, _: Option<(ConnId, Cxid)>, _: Zxid) {}
    fn session_moved(&mut self, _: ConnId) {}
    fn digest_mismatch(&mut self, zxid: Zxid, _: u64, _: u64) {
        panic!("digest at {zxid}");
    }
}

/// A member whose disk is quick, and what it has done.
struct Bench {
    member: Member,
    tree: Tree,
    now_ms: i64,
    packets: Vec<(LinkId, Packet)>,
    closed: Vec<(LinkId, String)>,
    lost: Vec<ConnId>,
    said: Vec<String>,
    /// What the disk has not done yet, if epochs take long.
    epochs: Option<Vec<Event>>,
}

impl Bench {
    fn new(me: i64, members: &str, change: impl FnOnce(&mut MemberConfig)) -> Self {
        let tree = Tree::new(TreeOptions::default());
        let now = Now {
            mono_ms: 0,
            wall_ms: 0,
        };
        let mut config = MemberConfig {
            me: Sid(me),
            tick_ms: 200,
            init_limit: 10,
            sync_limit: 5,
            commit_log_count: 500,
            force_snapshot_sync: true,
            reconfig_enabled: false,
            standalone_enabled: true,
            observers: ObserverConfig {
                masters: false,
                reconnect_delay_ms: 0,
                election_delay_ms: 0,
                seed: 1,
            },
            multi_address: false,
            max_snap_syncs: 10,
            max_diff_syncs: 100,
            epoch_wait_ms: -1,
            election: ElectionConfig::default(),
            planted: Planted::default(),
        };
        change(&mut config);
        let replica = ReplicaConfig {
            prep: PrepConfig {
                auth: AuthConfig {
                    skip_acl: true,
                    ..AuthConfig::default()
                },
                enforce_quota: false,
                reconfig_enabled: false,
                close_session_txn: true,
                eager_acl_check: false,
                hash_seed: 1,
            },
            tick_ms: 200,
            server_id: me,
            alone: false,
            sessions: menagerie_core::sessions::SessionRules::Global,
            reaper: ReaperConfig {
                check_interval_ms: 0,
                max_per_minute: 1,
                max_never_used_ms: 0,
            },
            snapshots: SnapPolicyConfig {
                count: 60,
                bytes: 0,
            },
            seed: 1,
        };
        let replica = Replica::new(replica, &tree, Vec::new(), now);
        let memory = Memory {
            accepted_epoch: 0,
            current_epoch: 0,
            recent: Vec::new(),
            blank: false,
        };
        let configs = Configs::new(Membership::new(Members::parse_dynamic(members).unwrap()));
        let member = Member::new(config, configs, replica, memory, &tree, now);
        Self {
            member,
            tree,
            now_ms: 0,
            packets: Vec::new(),
            closed: Vec::new(),
            lost: Vec::new(),
            said: Vec::new(),
            epochs: None,
        }
    }

    /// One event, and all that the disk does then.
    fn step(&mut self, event: Event) {
        self.at_once(vec![event]);
    }

    /// Events that come together, and all that the disk does then.
    fn at_once(&mut self, events: Vec<Event>) {
        let mut batches = vec![events];
        while let Some(events) = batches.pop() {
            let now = Now {
                mono_ms: self.now_ms,
                wall_ms: self.now_ms,
            };
            let mut effects = Effects::default();
            for event in events {
                self.member.step(event, now, &self.tree, &mut effects);
            }
            self.member.finish(now, &self.tree, &mut effects);
            while self.member.has_committed() {
                self.member
                    .apply_committed(&mut self.tree, &Nobody, &mut Nobody, 100);
                self.member.finish(now, &self.tree, &mut effects);
            }
            self.packets.append(&mut effects.packets);
            if let Some((zxid, _)) = effects.log.ends.last() {
                batches.push(vec![Event::LogDurable { zxid: *zxid }]);
            }
            for action in effects.actions {
                match action {
                    Effect::PersistEpoch { kind, epoch } => {
                        let durable = Event::EpochDurable { kind, epoch };
                        match &mut self.epochs {
                            Some(held) => held.push(durable),
                            None => batches.push(vec![durable]),
                        }
                    }
                    Effect::CloseLink { link, reason } => self.closed.push((link, reason)),
                    Effect::CloseConns(conns) => self.lost.extend(conns),
                    Effect::Say(text) => self.said.push(text),
                    _ => {}
                }
            }
        }
        if self.member.next_tick() <= self.now_ms {
            self.step(Event::Tick);
        }
    }

    /// The disk has written the epoch that it was asked to.
    fn epoch_written(&mut self) {
        let held = std::mem::take(self.epochs.as_mut().unwrap());
        assert_eq!(held.len(), 1, "{held:?}");
        self.at_once(held);
    }

    /// Time passes, tick by tick.
    fn wait(&mut self, ms: i64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.now_ms += 10;
            self.step(Event::Tick);
        }
    }

    fn vote(&mut self, from: i64, state: ServerState, leader: i64) {
        let notification = Notification {
            state,
            leader,
            zxid: 0,
            round: self.member.election().round(),
            peer_epoch: 0,
            version: 2,
            config: Vec::new(),
        };
        self.step(Event::Vote {
            from: Sid(from),
            notification,
        });
    }

    fn packet(&mut self, link: u64, packet: Packet) {
        let link = LinkId(link);
        self.step(Event::Packet { link, packet });
    }

    /// A learner says who it is and accepts the epoch.
    fn arrives(&mut self, sid: i64, observer: bool) {
        let link = sid.unsigned_abs();
        self.packet(
            link,
            Packet::Info {
                observer,
                accepted_epoch: 0,
                sid: Sid(sid),
                config_version: 0,
            },
        );
        self.packet(
            link,
            Packet::AckEpoch {
                zxid: Zxid(0),
                epoch: Some(0),
            },
        );
    }

    /// It has taken over the history.
    fn synced(&mut self, sid: i64) {
        let epoch = self.member.phase().epoch;
        self.packet(sid.unsigned_abs(), Packet::Ack(Zxid::first_of(epoch)));
    }

    /// A client asks for a session, which is a write.
    fn open(&mut self) {
        self.step(Event::OpenSession {
            conn: ConnId(7),
            timeout_ms: 100_000,
        });
    }

    /// Whether everything that was asked for is committed.
    fn all_committed(&self) -> bool {
        let history = self.member.history();
        history.committed() == history.last()
    }

    fn got_snapshot(&self, sid: i64) -> bool {
        let to = LinkId(sid.unsigned_abs());
        let snapshot =
            |(link, packet): &(LinkId, Packet)| *link == to && matches!(packet, Packet::Snap(_));
        self.packets.iter().any(snapshot)
    }
}

/// Server 3 of three, elected by itself and server 2.
fn elected(change: impl FnOnce(&mut MemberConfig)) -> Bench {
    let mut bench = Bench::new(3, OBSERVED, change);
    bench.step(Event::Tick);
    bench.vote(2, ServerState::Looking, 3);
    bench.wait(300);
    assert_eq!(bench.member.phase().state, ServerState::Leading);
    bench
}

#[test]
fn observers_beyond_the_limit_have_to_wait_and_followers_never() {
    let mut bench = elected(|config| config.max_snap_syncs = 1);
    bench.arrives(2, false);
    bench.synced(2);
    assert!(bench.member.is_established(), "{:?}", bench.said);
    bench.arrives(4, true);
    assert!(bench.got_snapshot(4));
    bench.arrives(5, true);
    assert!(!bench.got_snapshot(5));
    let (link, reason) = bench.closed.last().unwrap();
    assert_eq!(*link, LinkId(5));
    assert!(
        reason.contains("leader.maxConcurrentSnapSyncs is 1"),
        "{reason}"
    );
    bench.arrives(1, false);
    assert!(bench.got_snapshot(1));
    for sid in [4, 1] {
        bench.synced(sid);
    }
    bench.arrives(5, true);
    assert!(bench.got_snapshot(5), "nobody else is busy any more");
}

#[test]
fn learners_are_not_kept_waiting_for_the_leaders_disk_and_clients_are() {
    let mut bench = elected(|_| {});
    bench.epochs = Some(Vec::new());
    bench.arrives(2, false);
    let told = |bench: &Bench, what: fn(&Packet) -> bool| {
        let mut packets = bench.packets.iter();
        packets.any(|(link, packet)| *link == LinkId(2) && what(packet))
    };
    assert!(told(&bench, |p| matches!(
        p,
        Packet::LeaderInfo { epoch: 1 }
    )));
    assert!(!told(&bench, |p| matches!(p, Packet::NewLeader { .. })));
    bench.epoch_written();
    assert!(told(&bench, |p| matches!(p, Packet::NewLeader { .. })));
    bench.packet(2, Packet::Ack(Zxid::first_of(1)));
    assert!(!bench.member.is_established(), "{:?}", bench.said);
    assert!(!told(&bench, |p| matches!(p, Packet::UpToDate)));
    bench.epoch_written();
    assert!(bench.member.is_established(), "{:?}", bench.said);
    assert!(told(&bench, |p| matches!(p, Packet::UpToDate)));
}

#[test]
fn a_leader_that_waits_too_long_gives_up_when_its_voter_looks_again() {
    for (limit, gives_up) in [(-1, false), (100_000, false), (50, true)] {
        let mut bench = elected(|config| config.epoch_wait_ms = limit);
        bench.wait(100);
        bench.vote(1, ServerState::Looking, 1);
        assert_eq!(
            bench.member.phase().state,
            ServerState::Leading,
            "1 never voted for it"
        );
        bench.vote(2, ServerState::Looking, 2);
        let state = bench.member.phase().state;
        assert_eq!(state != ServerState::Leading, gives_up, "{limit}");
    }
}

#[test]
fn whom_its_voters_desert_for_another_does_not_wait_for_them() {
    // Two of three elect server 2; then a better one comes up, and the voter turns to that.
    let mut bench = Bench::new(2, TRIO, |_| {});
    bench.step(Event::Tick);
    bench.vote(1, ServerState::Looking, 2);
    bench.wait(300);
    assert_eq!(bench.member.phase().state, ServerState::Leading);
    bench.vote(3, ServerState::Looking, 3);
    assert_eq!(
        bench.member.phase().state,
        ServerState::Leading,
        "it never voted for it"
    );
    bench.vote(1, ServerState::Looking, 2);
    assert_eq!(
        bench.member.phase().state,
        ServerState::Leading,
        "it still votes for it"
    );
    bench.vote(1, ServerState::Looking, 3);
    assert_eq!(bench.member.phase().state, ServerState::Looking);
    assert!(
        bench
            .said
            .iter()
            .any(|said| said.contains("server 1 votes for server 3 now")),
        "{:?}",
        bench.said
    );

    // Whoever is there does not count on votes any more.
    let mut bench = Bench::new(2, FIVE, |_| {});
    bench.step(Event::Tick);
    bench.vote(1, ServerState::Looking, 2);
    bench.vote(3, ServerState::Looking, 2);
    bench.wait(300);
    assert_eq!(bench.member.phase().state, ServerState::Leading);
    bench.arrives(3, false);
    bench.vote(3, ServerState::Looking, 5);
    assert_eq!(
        bench.member.phase().state,
        ServerState::Leading,
        "it has come, and is read late"
    );
    bench.vote(1, ServerState::Looking, 5);
    assert_eq!(bench.member.phase().state, ServerState::Looking);
}

#[test]
fn a_leader_with_a_restored_tree_is_elected_with_it_and_goes_on_behind_it() {
    let mut bench = elected(|config| config.force_snapshot_sync = false);
    let last = Zxid::first_of(9);
    assert_eq!(
        bench.member.place(last),
        Err(NoPlace::NoLeader),
        "not yet established"
    );
    bench.arrives(2, false);
    bench.synced(2);
    let epoch = bench.member.phase().epoch;
    assert_eq!(
        bench.member.place(Zxid(i64::MAX)),
        Err(NoPlace::NoEpoch(Zxid(i64::MAX)))
    );
    let place = bench.member.place(last).unwrap();
    assert_eq!(place.zxid.epoch(), epoch);

    // What is still proposed meanwhile is before it.
    bench.open();
    assert!(bench.member.history().last() < place.zxid);
    assert_eq!(bench.member.has_place(place), Ok(()));
    let now = Now {
        mono_ms: bench.now_ms,
        wall_ms: bench.now_ms,
    };
    let mut effects = Effects::default();
    bench.tree = Tree::new(TreeOptions::default());
    bench.tree.advance(place.zxid.0);
    let (member, tree) = (&mut bench.member, &bench.tree);
    member.take_place(place, vec![(SessionId(5), 1000)], now, tree, &mut effects);
    member.finish(now, tree, &mut effects);
    let all = |effect: &Effect| matches!(effect, Effect::CloseAllConns { .. });
    assert!(effects.actions.iter().any(all), "clients look anew");
    let (_, vote) = effects.votes.first().unwrap();
    assert_eq!(
        (vote.leader, vote.zxid, vote.peer_epoch),
        (3, place.zxid.0, epoch)
    );
    assert_eq!(bench.member.has_place(place), Err(NoPlace::NoLeader));
    assert!(bench.member.replica().sessions().contains(SessionId(5)));

    // Elected again, it begins an epoch behind everything that is in the tree, and who has what was
    // before gets the tree.
    let notification = Notification {
        leader: 3,
        zxid: place.zxid.0,
        round: bench.member.election().round(),
        peer_epoch: epoch,
        ..vote.clone()
    };
    bench.step(Event::Vote {
        from: Sid(2),
        notification,
    });
    bench.wait(300);
    bench.arrives(2, false);
    assert!(bench.got_snapshot(2));
    bench.synced(2);
    assert_eq!(bench.member.phase().epoch, last.epoch() + 1);
    assert!(bench.member.is_established());
    assert!(bench.all_committed());
}

#[test]
fn a_leader_that_was_paused_for_too_long_trusts_nothing_it_finds() {
    for (paused_ms, leads) in [(500, true), (1000, false)] {
        let mut bench = elected(|_| {});
        bench.arrives(2, false);
        bench.synced(2);
        assert!(bench.member.is_established());
        // What a follower sent before it gave up comes first.
        bench.now_ms += paused_ms;
        bench.packet(
            2,
            Packet::Ping {
                zxid: Zxid(0),
                touched: Some(Vec::new()),
            },
        );
        assert_eq!(bench.member.is_established(), leads, "{:?}", bench.said);
    }
}

#[test]
fn whom_an_oracle_leaves_alone_commits_alone_until_the_other_one_follows() {
    let mut bench = Bench::new(1, PAIR, |_| {});
    bench.step(Event::Oracle { grants: false });
    bench.step(Event::Reachable {
        sid: Sid(2),
        reachable: false,
    });
    bench.wait(1000);
    assert_eq!(bench.member.phase().state, ServerState::Looking);
    bench.step(Event::Oracle { grants: true });
    bench.wait(500);
    assert!(bench.member.is_established(), "{:?}", bench.said);
    bench.open();
    assert!(bench.all_committed());
    bench.wait(3000);
    assert!(bench.member.is_established(), "{:?}", bench.said);

    bench.arrives(2, false);
    bench.synced(2);
    bench.open();
    assert!(!bench.all_committed(), "the other one has not agreed");
    let last = bench.member.history().last();
    bench.packet(2, Packet::Ack(last));
    assert!(bench.all_committed());

    bench.open();
    assert!(!bench.all_committed());
    let reason = "gone".to_owned();
    bench.step(Event::LinkDown {
        link: LinkId(2),
        reason,
    });
    assert!(bench.all_committed(), "it is alone again");
    bench.step(Event::Oracle { grants: false });
    bench.open();
    assert!(!bench.all_committed());
    bench.wait(1000);
    assert_eq!(bench.member.phase().state, ServerState::Looking);
}

/// Server 1 of three, which follows server 3 in epoch 1 on link 9.
fn following() -> Bench {
    let mut bench = Bench::new(1, TRIO, |config| config.reconfig_enabled = true);
    bench.step(Event::Tick);
    bench.vote(2, ServerState::Following, 3);
    bench.vote(3, ServerState::Leading, 3);
    bench.step(Event::LinkUp {
        to: Sid(3),
        link: LinkId(9),
    });
    bench.packet(9, Packet::LeaderInfo { epoch: 1 });
    bench.packet(9, Packet::Diff(Zxid(0)));
    let zxid = Zxid::first_of(1);
    let config = Bytes::new();
    bench.packet(9, Packet::NewLeader { zxid, config });
    bench.packet(9, Packet::UpToDate);
    assert!(bench.member.phase().serving, "{:?}", bench.said);
    bench
}

/// What the leader proposes for the client of connection 7.
fn proposal(at: i64, session: SessionId, cxid: i32, txn: Txn) -> Packet {
    let zxid = Zxid(Zxid::first_of(1).0 + at);
    let header = TxnHeader {
        client_id: session.0,
        cxid,
        zxid: zxid.0,
        time: 0,
        op: txn.op(),
    };
    let digest = None;
    let mut entry = Vec::new();
    LoggedTxn {
        header,
        txn,
        digest,
    }
    .encode(&mut entry);
    let entry = entry.into();
    Packet::Proposal { zxid, entry }
}

#[test]
fn a_client_is_answered_though_its_reconfiguration_ends_the_leaders_connection() {
    let mut bench = following();
    bench.open();
    let session = bench.packets.iter().find_map(|(_, packet)| match packet {
        Packet::Request { session, .. } => Some(*session),
        _ => None,
    });
    let session = session.unwrap();
    let timeout_ms = 100_000;
    bench.packet(
        9,
        proposal(1, session, 0, Txn::CreateSession { timeout_ms }),
    );
    let first = Zxid::first_of(1).0;
    bench.packet(9, Packet::Commit(Zxid(first + 1)));
    bench.step(Event::Request(Request {
        conn: Some(ConnId(7)),
        session,
        cxid: Cxid(1),
        op: op_code::RECONFIG,
        body: Bytes::new(),
        auth: Vec::new().into(),
    }));
    let without_leader = format!("{PAIR}version={:x}", first + 2);
    let reconfig = Txn::SetData {
        op: op_code::RECONFIG,
        path: "/zookeeper/config".into(),
        data: Some(without_leader.into()),
        version: -1,
    };
    bench.packet(9, proposal(2, session, 1, reconfig));
    // A leader that leaves closes its connections at once.
    let (link, leader) = (LinkId(9), Sid(2));
    let zxid = Zxid(first + 2);
    bench.at_once(vec![
        Event::Packet {
            link,
            packet: Packet::CommitAndActivate { zxid, leader },
        },
        Event::LinkDown {
            link,
            reason: "gone".to_owned(),
        },
    ]);
    assert_eq!(bench.lost, [], "{:?}", bench.said);
    let (phase, said) = (bench.member.phase(), &bench.said);
    assert_eq!(phase.leader, Some(leader), "{said:?}");
}
