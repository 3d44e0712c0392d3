//! Owns the election port: one connection to each member, opened by the one with the larger number,
//! and the newest vote for each. Source: `QuorumCnxManager`.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use menagerie_core::event::Event;
use menagerie_core::ids::Sid;
use menagerie_wire::election::{InitialMessage, MESSAGE_MAX, Notification};
use menagerie_wire::text::cfg::Members;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;

use crate::shared::Shared;

/// Connections that have not said who they are.
const STRANGERS_MAX: usize = 64;
/// Members that are not in the configuration, such as those about to be added.
const UNKNOWN_MAX: usize = 256;
/// A connection that lasted less is not replaced at once.
const SHORT: Duration = Duration::from_millis(500);
/// How often opening the port is tried. Source: `electionPortBindRetry`.
const BIND_TRIES: u32 = 3;

/// One member's place.
#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The newest vote, framed, until it is sent.
    next: Option<Vec<u8>>,
    /// The last one that was sent: a new connection repeats it.
    last: Option<Vec<u8>>,
    connection: Option<AbortHandle>,
    dialling: bool,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The election port.
#[derive(Debug)]
pub(super) struct Votes {
    shared: Arc<Shared>,
    runtime: Handle,
    me: Sid,
    hello: Vec<u8>,
    addresses: BTreeMap<Sid, Vec<(String, u16)>>,
    slots: Mutex<BTreeMap<Sid, Arc<Slot>>>,
    strangers: Semaphore,
}

impl Votes {
    pub(super) fn start(
        shared: &Arc<Shared>,
        runtime: &Handle,
        me: Sid,
        members: &Members,
        stop: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, (String, io::Error)> {
        let addresses: BTreeMap<Sid, Vec<(String, u16)>> = members
            .servers
            .iter()
            .map(|(id, spec)| {
                let address = |a: &menagerie_wire::text::cfg::ServerAddress| {
                    (a.host.clone(), a.election_port)
                };
                (Sid(*id), spec.addresses.iter().map(address).collect())
            })
            .collect();
        let mine = addresses.get(&me).cloned().unwrap_or_default();
        let hello = InitialMessage {
            sid: me.0,
            addresses: mine.iter().take(1).cloned().collect(),
        };
        let votes = Arc::new(Self {
            shared: Arc::clone(shared),
            runtime: runtime.clone(),
            me,
            hello: hello.encode(),
            addresses,
            slots: Mutex::default(),
            strangers: Semaphore::new(STRANGERS_MAX),
        });
        let _inside = runtime.enter();
        for (host, port) in mine {
            let listener = open_patiently(shared, &host, port)
                .map_err(|error| (format!("the election port {host}:{port}"), error))?;
            runtime.spawn(Arc::clone(&votes).listen(listener, stop.clone()));
        }
        Ok(votes)
    }

    fn slot(&self, sid: Sid) -> Option<Arc<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() > self.addresses.len() + UNKNOWN_MAX && !slots.contains_key(&sid) {
            return None;
        }
        Some(Arc::clone(slots.entry(sid).or_default()))
    }

    /// Sends a vote, or keeps it until there is a connection.
    pub(super) fn send(self: &Arc<Self>, to: Sid, notification: &Notification) {
        let Some(slot) = self.slot(to) else { return };
        let body = notification.encode();
        let mut frame = Vec::with_capacity(4 + body.len());
        frame.extend(u32::try_from(body.len()).unwrap_or_default().to_be_bytes());
        frame.extend(body);
        let mut state = slot.lock();
        state.next = Some(frame);
        if state.connection.is_some() {
            slot.wake.notify_one();
            return;
        }
        drop(state);
        let addresses = self.addresses.get(&to).cloned().unwrap_or_default();
        self.dial(to, &slot, addresses, Duration::ZERO);
    }

    /// Connects to a member, unless that is under way.
    fn dial(self: &Arc<Self>, to: Sid, slot: &Arc<Slot>, at: Vec<(String, u16)>, after: Duration) {
        if std::mem::replace(&mut slot.lock().dialling, true) {
            return;
        }
        let (votes, slot) = (Arc::clone(self), Arc::clone(slot));
        self.runtime.spawn(async move {
            tokio::time::sleep(after).await;
            let connected = votes.connect(&at).await;
            slot.lock().dialling = false;
            match connected {
                Ok(stream) if votes.me > to => votes.keep(to, &slot, stream),
                // The one with the larger number connects; now it knows that it should.
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(server = to.0, %error, "no connection for elections");
                    votes.reachable(to, false);
                }
            }
        });
    }

    async fn connect(&self, at: &[(String, u16)]) -> io::Result<TcpStream> {
        let ms = u64::try_from(self.shared.config.quorum.cnx_timeout_ms).unwrap_or_default();
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for (host, port) in at {
            let one = async {
                let addresses = super::resolve(host, *port).await?;
                let mut stream = TcpStream::connect(&addresses[..]).await?;
                stream.set_nodelay(true)?;
                stream.write_all(&self.hello).await?;
                Ok(stream)
            };
            match tokio::time::timeout(Duration::from_millis(ms), one).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = error,
                Err(_) => failure = io::Error::from(io::ErrorKind::TimedOut),
            }
        }
        Err(failure)
    }

    fn reachable(&self, sid: Sid, reachable: bool) {
        self.shared
            .inbox
            .urgent(Event::Reachable { sid, reachable });
    }

    async fn listen(self: Arc<Self>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                _ = stop.changed() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, remote)) => {
                    let votes = Arc::clone(&self);
                    self.runtime.spawn(async move {
                        let Ok(_permit) = votes.strangers.try_acquire() else {
                            tracing::warn!(%remote, "too many connections to the election port that say nothing");
                            return;
                        };
                        votes.receive(stream, remote).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the election port");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Source: `QuorumCnxManager.handleConnection`.
    async fn receive(self: &Arc<Self>, mut stream: TcpStream, remote: SocketAddr) {
        let config = &self.shared.config;
        let ms = config
            .tick_time_ms
            .saturating_mul(config.quorum.sync_limit.max(1));
        let patience = Duration::from_millis(u64::try_from(ms).unwrap_or_default());
        let message = match tokio::time::timeout(patience, introduction(&mut stream)).await {
            Ok(Ok(message)) => message,
            Ok(Err(error)) => {
                tracing::warn!(%remote, %error, "a connection to the election port is no member's");
                return;
            }
            Err(_) => {
                tracing::warn!(%remote, "a connection to the election port said nothing");
                return;
            }
        };
        let sid = Sid(message.sid);
        let Some(slot) = self.slot(sid) else {
            tracing::warn!(%remote, server = sid.0, "too many unknown servers");
            return;
        };
        if sid == self.me {
            tracing::warn!(%remote, "another server says that it is server {sid}, which is this one; \
                check the myid files");
            return;
        }
        let _slower = stream.set_nodelay(true);
        if sid > self.me {
            self.keep(sid, &slot, stream);
            return;
        }
        // This side must open the connection.
        drop(stream);
        if let Some(old) = slot.lock().connection.take() {
            old.abort();
        }
        let usable = |(host, _): &(String, u16)| {
            !matches!(host.as_str(), "0.0.0.0" | "::" | "0:0:0:0:0:0:0:0")
        };
        let mut at: Vec<(String, u16)> = message.addresses.into_iter().filter(usable).collect();
        at.extend(self.addresses.get(&sid).cloned().unwrap_or_default());
        at.dedup();
        self.dial(sid, &slot, at, Duration::ZERO);
    }

    /// Makes `stream` the connection to a member.
    fn keep(self: &Arc<Self>, sid: Sid, slot: &Arc<Slot>, stream: TcpStream) {
        if self.shared.config.quorum.tcp_keep_alive {
            let _unsupported = SockRef::from(&stream).set_keepalive(true);
        }
        let (votes, its) = (Arc::clone(self), Arc::clone(slot));
        let mut state = slot.lock();
        if let Some(old) = state.connection.take() {
            old.abort();
        }
        if state.next.is_none() {
            state.next = state.last.clone();
        }
        let task = self.runtime.spawn(async move {
            let begun = Instant::now();
            let end = votes.converse(sid, &its, stream).await;
            tracing::debug!(server = sid.0, ?end, "the connection for elections ended");
            its.lock().connection = None;
            let pause = if begun.elapsed() < SHORT {
                Duration::from_secs(1)
            } else {
                Duration::ZERO
            };
            let at = votes.addresses.get(&sid).cloned().unwrap_or_default();
            if !at.is_empty() {
                votes.dial(sid, &its, at, pause);
            }
        });
        state.connection = Some(task.abort_handle());
        slot.wake.notify_one();
        drop(state);
        self.reachable(sid, true);
    }

    async fn converse(&self, sid: Sid, slot: &Slot, stream: TcpStream) -> io::Result<()> {
        let (mut from, mut to) = stream.into_split();
        let mut input = BytesMut::with_capacity(1024);
        loop {
            tokio::select! {
                read = from.read_buf(&mut input) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    self.take_votes(sid, &mut input)?;
                }
                () = slot.wake.notified() => {
                    let next = slot.lock().next.take();
                    if let Some(frame) = next {
                        to.write_all(&frame).await?;
                        let mut state = slot.lock();
                        state.last = Some(frame);
                    }
                }
            }
        }
    }

    fn take_votes(&self, sid: Sid, input: &mut BytesMut) -> io::Result<()> {
        let wrong = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        while let Some(head) = input.first_chunk::<4>() {
            let len = usize::try_from(i32::from_be_bytes(*head)).unwrap_or(0);
            if len == 0 || len > MESSAGE_MAX {
                tracing::warn!(
                    server = sid.0,
                    len,
                    "an election message of that length is none"
                );
                return Err(wrong(format!("a message of {len} bytes")));
            }
            if input.len() < 4 + len {
                break;
            }
            input.advance(4);
            let message = input.split_to(len);
            match Notification::decode(&message) {
                Ok(notification) => {
                    self.shared.inbox.urgent(Event::Vote {
                        from: sid,
                        notification,
                    });
                }
                Err(error) => {
                    tracing::warn!(server = sid.0, %error, "an election message is ignored")
                }
            }
        }
        Ok(())
    }
}

/// Reads how the other side introduces itself, and not a byte more.
async fn introduction(stream: &mut TcpStream) -> io::Result<InitialMessage> {
    let wrong = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut bytes = vec![0; 8];
    stream.read_exact(&mut bytes).await?;
    loop {
        let len = InitialMessage::length(&bytes).map_err(wrong)?;
        let have = bytes.len();
        let want = len.unwrap_or(menagerie_wire::election::INITIAL_PREFIX);
        if have >= want {
            return InitialMessage::decode(&bytes).map_err(wrong);
        }
        bytes.resize(want, 0);
        let rest = bytes.get_mut(have..).unwrap_or_default();
        stream.read_exact(rest).await?;
    }
}

/// Opens the port, which a server that has just stopped may still hold.
fn open_patiently(shared: &Shared, host: &str, port: u16) -> io::Result<TcpListener> {
    let addresses = super::listen_on(shared, host, port)?;
    let mut attempt = 1;
    loop {
        match super::open(&addresses) {
            Err(_) if attempt < BIND_TRIES => std::thread::sleep(Duration::from_secs(1)),
            result => return result,
        }
        attempt += 1;
    }
}
