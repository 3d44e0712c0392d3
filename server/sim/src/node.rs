//! Owns one member as the simulator sees it: its core, its tree, and its clients' connections.

use std::cell::RefCell;
use std::collections::BTreeMap;

use bytes::Bytes;
use menagerie_core::acl::AuthConfig;
use menagerie_core::effect::{Deliver, Fired, Reply};
use menagerie_core::election::ElectionConfig;
use menagerie_core::event::Now;
use menagerie_core::ids::{ConnId, Cxid, LinkId, SessionId, Sid, Zxid};
use menagerie_core::member::{Member, MemberConfig, Memory, ObserverConfig};
use menagerie_core::planted::Planted;
use menagerie_core::processor::apply::Watches;
use menagerie_core::processor::prep::PrepConfig;
use menagerie_core::processor::read::WatchRegistry;
use menagerie_core::quorum::{Configs, Membership};
use menagerie_core::reaper::ReaperConfig;
use menagerie_core::replica::{Replica, ReplicaConfig};
use menagerie_core::sessions::SessionRules;
use menagerie_core::snap_policy::SnapPolicyConfig;
use menagerie_core::tree::Tree;
use menagerie_core::watch::{WatchMode, WatchTable, WatchTableKind, WatcherType};
use menagerie_wire::op::ErrorCode;
use menagerie_wire::text::cfg::Members;

use crate::disk::{RECENT, Restored, Snapshot};

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
    /// What they watch.
    pub watches: Watching,
}

/// Starts a member with what was on its disk.
#[must_use]
pub fn start(
    me: Sid,
    restored: Restored,
    now: Now,
    seed: u64,
    masters: bool,
    sessions: SessionRules,
    planted: Planted,
) -> Running {
    let config = ReplicaConfig {
        prep: PrepConfig {
            auth: AuthConfig {
                skip_acl: true,
                ..AuthConfig::default()
            },
            enforce_quota: false,
            reconfig_enabled: true,
            close_session_txn: true,
            eager_acl_check: false,
            hash_seed: seed,
        },
        tick_ms: TICK_MS,
        server_id: me.0,
        alone: false,
        sessions,
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
        accepted_epoch: restored.accepted,
        current_epoch: restored.current,
        recent: restored.recent,
        blank: restored.blank,
    };
    let config = MemberConfig {
        me,
        tick_ms: TICK_MS,
        init_limit: 10,
        sync_limit: 5,
        commit_log_count: RECENT,
        force_snapshot_sync: false,
        reconfig_enabled: true,
        standalone_enabled: true,
        observers: ObserverConfig {
            masters,
            reconnect_delay_ms: 30,
            election_delay_ms: 60,
            seed,
        },
        multi_address: false,
        max_snap_syncs: 10,
        max_diff_syncs: 100,
        epoch_wait_ms: -1,
        election: ElectionConfig {
            planted,
            ..ElectionConfig::default()
        },
        planted,
    };
    let nobody = || Configs::new(Membership::new(Members::default()));
    let member = Member::new(
        config,
        restored.configs.unwrap_or_else(nobody),
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
        watches: Watching::default(),
    }
}

/// Who watches what.
#[derive(Debug, Default)]
pub struct Watching(RefCell<WatchTable>);

impl Watching {
    /// A connection is gone.
    pub fn remove_conn(&self, conn: ConnId) {
        self.0.borrow_mut().remove_conn(conn);
    }
}

impl Watches for Watching {
    fn fire(&self, kind: WatchTableKind, path: &str, exclude: &[ConnId], out: &mut Vec<ConnId>) {
        self.0.borrow_mut().fire_all(kind, path, exclude, out);
    }
}

impl WatchRegistry for Watching {
    fn add(&self, path: &str, conn: ConnId, mode: WatchMode) {
        self.0.borrow_mut().add(path, conn, mode);
    }
    fn contains(&self, path: &str, conn: ConnId, kind: WatcherType) -> bool {
        self.0.borrow().contains(path, conn, kind)
    }
    fn remove(&self, path: &str, conn: ConnId, kind: WatcherType) -> bool {
        self.0.borrow_mut().remove(path, conn, kind)
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
        /// The data of a read, and the transaction that wrote it.
        data: Option<(Vec<u8>, Zxid)>,
    },
    /// A node that it watches has changed.
    Event(String),
    /// The connection is gone.
    Closed,
}

/// Collects what members tell clients.
#[derive(Debug, Default)]
pub struct Answers {
    /// In order.
    pub list: Vec<(ConnId, Answer)>,
    /// Sessions that have ended: their connections are closed behind that.
    pub ended: Vec<SessionId>,
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
        let long = |at: usize| {
            let part = bytes.get(at..at + 8).and_then(|b| b.first_chunk().copied());
            i64::from_be_bytes(part.unwrap_or_default())
        };
        let zxid = Zxid(long(8));
        let err = ErrorCode(int(16));
        // Behind the data comes the stat: creation, then the last change.
        let end = 24 + usize::try_from(int(20)).unwrap_or(0);
        let data = bytes
            .get(24..end)
            .map(|data| (data.to_vec(), Zxid(long(end + 8))));
        let data = data.filter(|_| err == ErrorCode::Ok);
        let answer = Answer::Done {
            cxid,
            zxid,
            err,
            data,
        };
        self.list.push((conn, answer));
    }

    fn fired(&mut self, fired: &Fired<'_>) {
        let event = Answer::Event(fired.path.to_owned());
        let all = fired.conns.iter().map(|conn| (*conn, event.clone()));
        self.list.extend(all);
    }

    fn session_created(&mut self, conn: ConnId, session: SessionId, _: i32) {
        self.list.push((conn, Answer::Session(session)));
    }

    fn session_closed(
        &mut self,
        session: SessionId,
        requester: Option<(ConnId, Cxid)>,
        zxid: Zxid,
    ) {
        if let Some((conn, cxid)) = requester {
            let (err, data) = (ErrorCode::Ok, None);
            let done = Answer::Done {
                cxid,
                zxid,
                err,
                data,
            };
            self.list.push((conn, done));
        }
        self.ended.push(session);
    }

    fn session_moved(&mut self, conn: ConnId) {
        self.list.push((conn, Answer::Closed));
    }

    fn digest_mismatch(&mut self, zxid: Zxid, _: u64, _: u64) {
        self.mismatch.get_or_insert(zxid);
    }
}
