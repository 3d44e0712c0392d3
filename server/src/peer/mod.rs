//! Owns the connections to other members: votes over the election port, leader and learners over
//! the quorum port, followers and their observers over the port of observer masters. May use `shared` and the inbox. Must not decide anything: what comes becomes
//! events, what the core sends goes out.

mod book;
mod dial;
mod doubts;
mod halves;
pub(crate) mod links;
mod log_reader;
mod oracle;
mod quorum_port;
mod secure;
pub(crate) mod snapshot_stream;
mod votes;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use menagerie_core::effect::Port;
use menagerie_core::event::Event;
use menagerie_core::ids::{LinkId, Sid, Zxid};
use menagerie_core::quorum::Configs;
use menagerie_core::tree::Tree;
use menagerie_core::zab::packet::Packet;
use menagerie_wire::election::Notification;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::client::listener::bind;
use crate::config::{Ensemble, addresses_to_bind};
use crate::shared::Shared;
use book::AddressBook;
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
/// How often it is looked whether this machine still has the address of an open port.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Bytes of packets that the core may have before it; then the network waits.
const BACKLOG_MAX: usize = 64 << 20;

/// The other members, as the core thread sees them.
#[derive(Debug)]
pub(crate) struct Peers {
    shared: Arc<Shared>,
    runtime: Handle,
    book: Arc<AddressBook>,
    votes: Arc<Votes>,
    pub(crate) links: Links,
    leading: watch::Sender<bool>,
    hosting: watch::Sender<bool>,
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
        ensemble: &Ensemble,
        stop: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, (String, io::Error)> {
        let me = Sid(ensemble.me);
        let (leading, leads) = watch::channel(false);
        let (hosting, hosts) = watch::channel(false);
        let book = Arc::new(AddressBook::new(me, &ensemble.members));
        if let Some(configs) = shared.configs() {
            book.update(&configs);
        }
        let votes = Votes::start(shared, runtime, me, &book, stop.clone())?;
        let peers = Arc::new(Self {
            shared: Arc::clone(shared),
            runtime: runtime.clone(),
            book,
            votes,
            links: Links::default(),
            leading,
            hosting,
            parked: Mutex::default(),
            backlog: AtomicUsize::new(0),
            stop,
        });
        runtime.spawn(quorum_port::run(Arc::clone(&peers), Port::Quorum, leads));
        if shared.config.quorum.observer_master_port().is_some() {
            let port = Port::ObserverMaster;
            runtime.spawn(quorum_port::run(Arc::clone(&peers), port, hosts));
        }
        if let Some(path) = shared.config.quorum.oracle_path.clone() {
            runtime.spawn(oracle::watch(Arc::clone(&peers), path));
        }
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

    /// Accepts observers, or no longer; the setting decides whether there is a port for them.
    pub(crate) fn host(&self, hosts: bool) {
        self.hosting
            .send_if_modified(|now| std::mem::replace(now, hosts) != hosts);
    }

    /// Looks for a port of a leader, or of a follower that serves observers, after a pause; an event
    /// tells how that ends.
    pub(crate) fn connect(self: &Arc<Self>, to: Sid, port: Port, delay_ms: i64) {
        let pause = Duration::from_millis(u64::try_from(delay_ms).unwrap_or_default());
        self.runtime
            .spawn(dial::run(Arc::clone(self), to, port, pause));
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

    /// Another configuration is in force or on its way.
    pub(crate) fn reconfigured(&self, configs: &Configs) {
        if let Some(client) = self.book.update(configs) {
            self.shared.client_address.send_replace(Some(client));
        }
        self.votes.reconfigured();
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

/// Why a port for other members is not open.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
struct NotOpen {
    error: io::Error,
    /// The name in this server's line does not stand for an address of this machine, and may do so
    /// in a moment: a name server learns where a container runs only after its start.
    late: bool,
}

/// Opens a port for other members at the first address of `host` that can be had.
fn open(shared: &Shared, host: &str, port: u16) -> Result<TcpListener, NotOpen> {
    let host = if host.is_empty() { "localhost" } else { host };
    let everywhere = shared.config.quorum.listen_on_all_ips;
    let by_name = !everywhere && !is_literal(host);
    let late = |error: io::Error, late| NotOpen {
        error,
        late: by_name && late,
    };
    let addresses =
        addresses_to_bind((!everywhere).then_some(host), port).map_err(|e| late(e, true))?;
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match bind(address, BACKLOG) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    let elsewhere = failure.kind() == io::ErrorKind::AddrNotAvailable;
    Err(late(failure, elsewhere))
}

/// The same from a task, which a slow name server does not hold up.
async fn open_aside(shared: &Arc<Shared>, host: &str, port: u16) -> Result<TcpListener, NotOpen> {
    if is_literal(host) {
        return open(shared, host, port);
    }
    let (shared, host) = (Arc::clone(shared), host.to_owned());
    let opening = tokio::task::spawn_blocking(move || open(&shared, &host, port));
    opening.await.unwrap_or_else(|error| {
        let error = io::Error::other(error);
        Err(NotOpen { error, late: false })
    })
}

/// Ends once the address that a name stood for when `listener` was opened is no longer one of this
/// machine. An address in a server line has to come back.
async fn lost(shared: &Shared, host: &str, listener: &TcpListener) {
    let by_name = !shared.config.quorum.listen_on_all_ips && !is_literal(host);
    let address = listener.local_addr().ok().filter(|_| by_name);
    let Some(address) = address else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let there = UdpSocket::bind((address.ip(), 0));
        if there.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable) {
            return;
        }
    }
}

/// Whether a host is an address, which needs no name server.
fn is_literal(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    bare.unwrap_or(host).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_literal;

    #[test]
    fn names_take_a_name_server_and_addresses_do_not() {
        for address in ["10.0.0.1", "::1", "[fe80::1]", "0.0.0.0"] {
            assert!(is_literal(address), "{address}");
        }
        for name in [
            "zoo1",
            "zoo-0.zoo-headless",
            "",
            "localhost",
            "[zoo1]",
            "10.0.0",
        ] {
            assert!(!is_literal(name), "{name}");
        }
    }
}
