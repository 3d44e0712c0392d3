//! Owns the connections to other members: votes over the election port, leader and learners over
//! the quorum port. May use `shared` and the inbox. Must not decide anything: what comes becomes
//! events, what the core sends goes out.

mod dial;
pub(crate) mod links;
mod log_reader;
mod quorum_port;
pub(crate) mod snapshot_stream;
mod votes;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use menagerie_core::event::Event;
use menagerie_core::ids::{LinkId, Sid, Zxid};
use menagerie_core::tree::Tree;
use menagerie_core::zab::packet::Packet;
use menagerie_wire::election::Notification;
use menagerie_wire::text::cfg::{Members, ServerAddress};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::client::listener::bind;
use crate::config::addresses_to_bind;
use crate::shared::Shared;
use links::Links;
use votes::Votes;

/// A snapshot that came from the leader.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) tree: Tree,
    pub(crate) sessions: Vec<(menagerie_core::ids::SessionId, i32)>,
}

/// Milliseconds without a leader, at least, before clients may read without one.
const READ_ONLY_AFTER_MS: i64 = 2000;
/// Connections of other members that may wait to be accepted.
const BACKLOG: i32 = 128;
/// Bytes of packets that the core may have before it; then the network waits.
const BACKLOG_MAX: usize = 64 << 20;

/// The other members, as the core thread sees them.
#[derive(Debug)]
pub(crate) struct Peers {
    shared: Arc<Shared>,
    runtime: Handle,
    me: Sid,
    members: Members,
    votes: Arc<Votes>,
    pub(crate) links: Links,
    leading: watch::Sender<bool>,
    parked: Mutex<BTreeMap<LinkId, Received>>,
    backlog: AtomicUsize,
    stop: watch::Receiver<bool>,
}

impl Peers {
    /// Opens the election port and is ready for the core.
    ///
    /// # Errors
    /// When the port cannot be opened.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        runtime: &Handle,
        me: i64,
        members: Members,
        stop: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, (String, io::Error)> {
        let me = Sid(me);
        let (leading, leads) = watch::channel(false);
        let votes = Votes::start(shared, runtime, me, &members, stop.clone())?;
        let peers = Arc::new(Self {
            shared: Arc::clone(shared),
            runtime: runtime.clone(),
            me,
            members,
            votes,
            links: Links::default(),
            leading,
            parked: Mutex::default(),
            backlog: AtomicUsize::new(0),
            stop,
        });
        runtime.spawn(quorum_port::run(Arc::clone(&peers), leads));
        Ok(peers)
    }

    /// Sends a vote; one that is still waiting is replaced.
    pub(crate) fn vote(&self, to: Sid, notification: &Notification) {
        self.votes.send(to, notification);
    }

    /// Accepts learners, or no longer.
    pub(crate) fn lead(&self, leads: bool) {
        self.leading
            .send_if_modified(|now| std::mem::replace(now, leads) != leads);
    }

    /// Looks for the leader's quorum port; an event tells how that ends.
    pub(crate) fn connect(self: &Arc<Self>, leader: Sid) {
        self.runtime.spawn(dial::run(Arc::clone(self), leader));
    }

    fn parked(&self) -> MutexGuard<'_, BTreeMap<LinkId, Received>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A snapshot that came over that link.
    pub(crate) fn take_snapshot(&self, link: LinkId) -> Option<Received> {
        self.parked().remove(&link)
    }

    /// After a while without a leader, clients may read, if the settings allow it.
    pub(crate) fn wait_for_leader(self: &Arc<Self>) {
        if !self.shared.config.read_only_mode {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let after_ms = shared.config.tick_time_ms.max(READ_ONLY_AFTER_MS);
        let pause = Duration::from_millis(u64::try_from(after_ms).unwrap_or_default());
        self.runtime.spawn(async move {
            tokio::time::sleep(pause + Duration::from_millis(10)).await;
            shared.offer_read_only(after_ms);
        });
    }

    /// Reads what a learner lacks; an event brings it.
    pub(crate) fn read_log(self: &Arc<Self>, link: LinkId, from: Zxid, upto: Zxid) {
        let peers = Arc::clone(self);
        self.runtime.spawn_blocking(move || {
            let entries = log_reader::read(&peers.shared, from, upto);
            let event = Event::LogRead { link, entries };
            peers.shared.inbox.urgent(event);
        });
    }

    fn addresses(&self, sid: Sid) -> &[ServerAddress] {
        let spec = self.members.servers.get(&sid.0);
        spec.map_or(&[], |spec| &spec.addresses)
    }

    /// Hands packets to the core; waits while it has too many.
    async fn deliver(&self, events: &mut Vec<Event>) {
        let weight = |event: &Event| match event {
            Event::Packet { packet, .. } => packet.weight(),
            _ => 0,
        };
        let bytes: usize = events.iter().map(weight).sum();
        while self.backlog.load(Relaxed) > BACKLOG_MAX {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.backlog.fetch_add(bytes, Relaxed);
        self.shared.inbox.urgent_all(events);
    }

    /// The core has dealt with a packet.
    pub(crate) fn dealt_with(&self, packet: &Packet) {
        self.backlog.fetch_sub(packet.weight(), Relaxed);
    }

    fn tick(&self, ticks: i64) -> Duration {
        let ms = self.shared.config.tick_time_ms.saturating_mul(ticks.max(1));
        Duration::from_millis(u64::try_from(ms).unwrap_or_default())
    }
}

/// The addresses that a name stands for. An empty name is loopback, as to Java.
async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let host = if host.is_empty() { "localhost" } else { host };
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

/// Where to listen for other members.
fn listen_on(shared: &Shared, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let host = if host.is_empty() { "localhost" } else { host };
    addresses_to_bind(
        (!shared.config.quorum.listen_on_all_ips).then_some(host),
        port,
    )
}

/// Opens a port for other members at the first address that can be had.
fn open(addresses: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match bind(*address, BACKLOG) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
