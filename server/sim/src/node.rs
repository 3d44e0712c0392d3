//! Owns one member as the simulator sees it: its core, its tree, and its clients' connections.

use std::collections::BTreeMap;

use bytes::Bytes;
use menagerie_core::acl::AuthConfig;
use menagerie_core::effect::{Deliver, Fired, Reply};
use menagerie_core::election::ElectionConfig;
use menagerie_core::event::Now;
use menagerie_core::ids::{ConnId, Cxid, LinkId, SessionId, Sid, Zxid};
use menagerie_core::member::{Member, MemberConfig, Memory};
use menagerie_core::planted::Planted;
use menagerie_core::processor::apply::Watches;
use menagerie_core::processor::prep::PrepConfig;
use menagerie_core::processor::read::WatchRegistry;
use menagerie_core::quorum::Configs;
use menagerie_core::reaper::ReaperConfig;
use menagerie_core::replica::{Replica, ReplicaConfig};
use menagerie_core::snap_policy::SnapPolicyConfig;
use menagerie_core::tree::Tree;
use menagerie_core::watch::{WatchMode, WatchTableKind, WatcherType};
use menagerie_wire::op::ErrorCode;

use crate::disk::{Disk, RECENT, Snapshot};

/// `tickTime` of all members.
pub const TICK_MS: i64 = 200;

/// A running member.
#[derive(Debug)]
pub struct Running {
    /// Its core.
    pub member: Member,
    /// Its tree.
    pub tree: Tree,
    /// Snapshots that came from a leader and are not installed.
    pub parked: BTreeMap<LinkId, Snapshot>,
    /// The transactions that made the tree.
    pub lineage: Vec<(Zxid, Bytes)>,
    /// Sessions of its clients, by connection.
    pub conns: BTreeMap<ConnId, SessionId>,
}

/// Starts a member from its disk.
#[must_use]
pub fn start(
    me: Sid,
    configs: &Configs,
    disk: &Disk,
    now: Now,
    seed: u64,
    planted: Planted,
) -> Running {
    let restored = disk.restore();
    let config = ReplicaConfig {
        prep: PrepConfig {
            auth: AuthConfig::default(),
            enforce_quota: false,
            reconfig_enabled: false,
            close_session_txn: true,
            hash_seed: seed,
        },
        tick_ms: TICK_MS,
        server_id: me.0,
        alone: false,
        reaper: ReaperConfig {
            check_interval_ms: 0,
            max_per_minute: 1,
            max_never_used_ms: 0,
        },
        snapshots: SnapPolicyConfig {
            count: 60,
            bytes: 0,
        },
        seed,
    };
    let replica = Replica::new(config, &restored.tree, restored.sessions, now);
    let memory = Memory {
        accepted_epoch: disk.accepted,
        current_epoch: disk.current,
        recent: restored.recent,
    };
    let config = MemberConfig {
        me,
        tick_ms: TICK_MS,
        init_limit: 10,
        sync_limit: 5,
        commit_log_count: RECENT,
        force_snapshot_sync: false,
        election: ElectionConfig {
            planted,
            ..ElectionConfig::default()
        },
        planted,
    };
    let member = Member::new(
        config,
        configs.clone(),
        replica,
        memory,
        &restored.tree,
        now,
    );
    Running {
        member,
        lineage: restored.lineage,
        tree: restored.tree,
        parked: BTreeMap::new(),
        conns: BTreeMap::new(),
    }
}

/// Nobody watches.
#[derive(Debug)]
pub struct Nobody;

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

/// What a client hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has a session now.
    Session(SessionId),
    /// A request is done.
    Done {
        /// Which one.
        cxid: Cxid,
        /// The reply's zxid.
        zxid: Zxid,
        /// How it ended.
        err: ErrorCode,
        /// The data of a read.
        data: Option<Vec<u8>>,
    },
    /// The connection is gone.
    Closed,
}

/// Collects what members tell clients.
#[derive(Debug, Default)]
pub struct Answers {
    /// In order.
    pub list: Vec<(ConnId, Answer)>,
    /// A digest in the log that was not the tree's.
    pub mismatch: Option<Zxid>,
}

impl Deliver for Answers {
    fn reply(&mut self, reply: &Reply<'_>) {
        let answer = Answer::Done {
            cxid: reply.cxid,
            zxid: reply.zxid,
            err: reply.err,
            data: None,
        };
        self.list.push((reply.conn, answer));
    }

    fn read(&mut self, conn: ConnId, cxid: Cxid, write: &mut dyn FnMut(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        let int = |at: usize| {
            let part = bytes.get(at..at + 4).and_then(|b| b.first_chunk().copied());
            i32::from_be_bytes(part.unwrap_or_default())
        };
        let long = bytes.get(8..16).and_then(|b| b.first_chunk().copied());
        let zxid = Zxid(i64::from_be_bytes(long.unwrap_or_default()));
        let err = ErrorCode(int(16));
        let len = usize::try_from(int(20)).unwrap_or(0);
        let data = bytes.get(24..24 + len).map(<[u8]>::to_vec);
        let data = data.filter(|_| err == ErrorCode::Ok);
        let answer = Answer::Done {
            cxid,
            zxid,
            err,
            data,
        };
        self.list.push((conn, answer));
    }

    fn fired(&mut self, _: &Fired<'_>) {}

    fn session_created(&mut self, conn: ConnId, session: SessionId, _: i32) {
        self.list.push((conn, Answer::Session(session)));
    }

    fn session_closed(&mut self, _: SessionId, requester: Option<(ConnId, Cxid)>, _: Zxid) {
        if let Some((conn, _)) = requester {
            self.list.push((conn, Answer::Closed));
        }
    }

    fn session_moved(&mut self, conn: ConnId) {
        self.list.push((conn, Answer::Closed));
    }

    fn digest_mismatch(&mut self, zxid: Zxid, _: u64, _: u64) {
        self.mismatch.get_or_insert(zxid);
    }
}
