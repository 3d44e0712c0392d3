//! A replica with its world, as a value: no thread or clock.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::cell::RefCell;
use std::sync::Arc;

use menagerie_core::acl::{AuthConfig, AuthId};
use menagerie_core::effect::{Body, Deliver, Effect, Effects, Fired, Reply, SubResult};
use menagerie_core::event::{Event, Now, Request};
use menagerie_core::ids::{ConnId, Cxid, SessionId, Zxid};
use menagerie_core::processor::apply::Watches;
use menagerie_core::processor::prep::PrepConfig;
use menagerie_core::processor::read::WatchRegistry;
use menagerie_core::reaper::ReaperConfig;
use menagerie_core::replica::{Replica, ReplicaConfig};
use menagerie_core::sessions::SessionRules;
use menagerie_core::snap_policy::SnapPolicyConfig;
use menagerie_core::tree::{OwnerRules, Tree, TreeOptions};
use menagerie_core::txn::LoggedTxn;
use menagerie_core::watch::{WatchMode, WatchTable, WatchTableKind, WatcherType};
use menagerie_wire::client::{CreateRequest, PathVersionRequest, SetDataRequest};
use menagerie_wire::data::Acl;
use menagerie_wire::jute;

/// What was delivered, as text.
#[derive(Default)]
pub(crate) struct Heard(pub(crate) Vec<String>);

impl Deliver for Heard {
    fn reply(&mut self, reply: &Reply<'_>) {
        let body = match &reply.body {
            Body::Path(path) => format!(" {}", path.unwrap_or("null")),
            Body::Multi(results) => {
                let code = |result: &SubResult<'_>| match result {
                    SubResult::Error(code) => code.0,
                    _ => 1,
                };
                format!(" {:?}", results.iter().map(code).collect::<Vec<_>>())
            }
            Body::Stat(stat) => format!(" v{}", stat.version),
            _ => String::new(),
        };
        let Reply {
            conn,
            cxid,
            zxid,
            err,
            ..
        } = reply;
        self.0
            .push(format!("{conn}: #{cxid} {zxid} {}{body}", err.name()));
    }

    fn read(&mut self, conn: ConnId, cxid: Cxid, write: &mut dyn FnMut(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.0
            .push(format!("{conn}: #{cxid} read, {} bytes", bytes.len()));
    }

    fn fired(&mut self, fired: &Fired<'_>) {
        for conn in fired.conns {
            self.0.push(format!(
                "{conn}: {:?} {} {}",
                fired.event, fired.path, fired.zxid
            ));
        }
    }

    fn session_created(&mut self, conn: ConnId, _: SessionId, timeout_ms: i32) {
        self.0.push(format!("{conn}: session for {timeout_ms} ms"));
    }

    fn session_closed(&mut self, _: SessionId, requester: Option<(ConnId, Cxid)>, zxid: Zxid) {
        self.0
            .push(format!("session closed by {requester:?} {zxid}"));
    }

    fn session_moved(&mut self, conn: ConnId) {
        self.0.push(format!("{conn}: moved"));
    }

    fn digest_mismatch(&mut self, zxid: Zxid, expected: u64, actual: u64) {
        panic!("digest at {zxid}: {expected:x} expected, got {actual:x}");
    }
}

/// Watches without shards.
#[derive(Default)]
pub(crate) struct Watching(pub(crate) RefCell<WatchTable>);

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

pub(crate) fn options() -> TreeOptions {
    TreeOptions {
        owner_rules: OwnerRules {
            extended_types: true,
            emulate_353: false,
        },
        ..TreeOptions::default()
    }
}

/// A replica with its world: the log is a list of entries.
pub(crate) struct World {
    pub(crate) replica: Replica,
    pub(crate) tree: Tree,
    pub(crate) watches: Watching,
    pub(crate) heard: Heard,
    pub(crate) now: Now,
    pub(crate) log: Vec<Vec<u8>>,
    pub(crate) actions: Vec<Effect>,
    pub(crate) durable: usize,
    pub(crate) cxid: i32,
}

impl World {
    pub(crate) fn new(edit: impl FnOnce(&mut ReplicaConfig)) -> Self {
        let mut config = ReplicaConfig {
            prep: PrepConfig {
                auth: AuthConfig::default(),
                enforce_quota: true,
                reconfig_enabled: false,
                close_session_txn: true,
                eager_acl_check: false,
                hash_seed: 1,
            },
            tick_ms: 1000,
            alone: true,
            sessions: SessionRules::Global,
            server_id: 1,
            reaper: ReaperConfig::default(),
            snapshots: SnapPolicyConfig::default(),
            seed: 1,
        };
        edit(&mut config);
        let tree = Tree::new(options());
        let now = Now {
            mono_ms: 0,
            wall_ms: 1_796_000_000_000,
        };
        let replica = Replica::new(config, &tree, [], now);
        Self {
            replica,
            tree,
            watches: Watching::default(),
            heard: Heard::default(),
            now,
            log: Vec::new(),
            actions: Vec::new(),
            durable: 0,
            cxid: 0,
        }
    }

    pub(crate) fn step(&mut self, event: Event) {
        let mut effects = Effects::default();
        self.replica.step(event, self.now, &self.tree, &mut effects);
        self.log
            .extend(effects.log.entries().map(|(_, entry)| entry.to_vec()));
        self.actions.extend(effects.actions);
    }

    pub(crate) fn apply(&mut self) {
        self.replica
            .apply_committed(&mut self.tree, &self.watches, &mut self.heard, usize::MAX);
    }

    /// The disk catches up, and what it has is applied.
    pub(crate) fn sync(&mut self) {
        self.durable = self.log.len();
        if let Some(entry) = self.log.last() {
            let zxid = Zxid(LoggedTxn::decode(entry).unwrap().header.zxid);
            self.step(Event::LogDurable { zxid });
        }
        self.apply();
    }

    pub(crate) fn open(&mut self, conn: u32) -> SessionId {
        self.step(Event::OpenSession {
            conn: ConnId(conn),
            timeout_ms: 4000,
        });
        self.sync();
        self.heard.0.clear();
        let newest = self.replica.sessions().all().into_iter().max().unwrap();
        newest.0
    }

    pub(crate) fn request(
        &mut self,
        conn: u32,
        session: SessionId,
        op: i32,
        body: Vec<u8>,
    ) -> Request {
        self.cxid += 1;
        Request {
            conn: Some(ConnId(conn)),
            session,
            cxid: Cxid(self.cxid),
            op,
            body: body.into(),
            auth: Arc::from([AuthId::new("ip", "127.0.0.1")]),
        }
    }

    pub(crate) fn send(&mut self, conn: u32, session: SessionId, op: i32, body: Vec<u8>) {
        let request = self.request(conn, session, op, body);
        self.step(Event::Request(request));
    }

    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.heard.0)
    }

    pub(crate) fn pass(&mut self, ms: i64) {
        self.now.mono_ms += ms;
        self.now.wall_ms += ms;
        self.step(Event::Tick);
        self.sync();
    }
}

pub(crate) fn create_request(path: &str, flags: i32) -> CreateRequest<'_> {
    let acl = Some(vec![Acl::new(31, "world", "anyone")]);
    CreateRequest {
        path: Some(path.into()),
        data: Some(b"data"),
        acl,
        flags,
    }
}

pub(crate) fn create(path: &str, flags: i32) -> Vec<u8> {
    jute::to_vec(&create_request(path, flags))
}

pub(crate) fn delete(path: &str) -> Vec<u8> {
    jute::to_vec(&PathVersionRequest {
        path: Some(path.into()),
        version: -1,
    })
}

pub(crate) fn set(path: &str, version: i32) -> Vec<u8> {
    jute::to_vec(&SetDataRequest {
        path: Some(path.into()),
        data: Some(b"new"),
        version,
    })
}
