//! Owns the election port: one connection to each member, opened by the one with the larger number,
//! and the newest vote for each. Source: `QuorumCnxManager`.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use menagerie_core::event::Event;
use menagerie_core::ids::Sid;
use menagerie_tls::{Stream, TlsFailure};
use menagerie_wire::election::{InitialMessage, MESSAGE_MAX, Notification};
use menagerie_wire::text::cfg::Role;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;

use super::book::AddressBook;
use super::doubts::Doubts;
use super::halves::split;
use super::{NotOpen, dial, secure};
use crate::shared::Shared;

/// Connections that have not said who they are.
const STRANGERS_MAX: usize = 64;
/// Members that are not in the configuration, such as those about to be added.
const UNKNOWN_MAX: usize = 256;
/// A connection that lasted less is not replaced at once.
const SHORT: Duration = Duration::from_millis(500);
/// How long a server may take to end a connection that it has to open itself.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);
/// How long a leader is looked for before it is told why there is none; twice that the next time.
const TELL_AFTER: Duration = Duration::from_secs(5);
/// How often it is told at least.
const TELL_AT_LEAST: Duration = Duration::from_secs(300);
/// How long an address of this server that could not be opened is left alone.
const REOPEN: Duration = Duration::from_secs(5);
/// The same where its name was not known.
const REOPEN_NAME: Duration = Duration::from_secs(1);
/// How long a start waits for a name server.
const NAME_PATIENCE: Duration = Duration::from_secs(1);

/// One member's place.
#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    wake: Notify,
    /// Ends the pause before a connection is opened.
    hurry: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The newest vote, framed, until it is sent.
    next: Option<Vec<u8>>,
    /// The last one that was sent: a new connection repeats it.
    last: Option<Vec<u8>>,
    connection: Option<AbortHandle>,
    dialling: Dialling,
    /// Where to connect to, once the pause is over.
    at: Vec<(String, u16)>,
}

/// Whether a connection is being opened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Dialling {
    #[default]
    No,
    /// The last one was short: it is opened later, or once it is asked for.
    Pausing,
    Connecting,
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
    book: Arc<AddressBook>,
    /// Where this server listens.
    ports: Mutex<BTreeMap<(String, u16), AbortHandle>>,
    stop: watch::Receiver<bool>,
    slots: Mutex<BTreeMap<Sid, Arc<Slot>>>,
    strangers: Semaphore,
    doubts: Doubts,
}

impl Votes {
    pub(super) fn start(
        shared: &Arc<Shared>,
        runtime: &Handle,
        me: Sid,
        book: &Arc<AddressBook>,
        stop: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, (String, io::Error)> {
        let votes = Arc::new(Self {
            shared: Arc::clone(shared),
            runtime: runtime.clone(),
            me,
            book: Arc::clone(book),
            ports: Mutex::default(),
            stop,
            slots: Mutex::default(),
            strangers: Semaphore::new(STRANGERS_MAX),
            doubts: Doubts::default(),
        });
        runtime.spawn(Arc::clone(&votes).tell_why_there_is_no_leader());
        let (mut opened, mut failure) = (0, None);
        for (host, port) in votes.my_ports() {
            match votes.open(&host, port) {
                Ok(()) => opened += 1,
                Err(error) if error.late => {
                    tracing::warn!(host, port, %error, "the name in this server's line does not stand for \
                        an address of this machine; the election port is opened once it does");
                    opened += 1;
                    votes.open_later(host, port, REOPEN_NAME);
                }
                Err(error) => {
                    let ((host, port), error) = failure.insert(((host, port), error));
                    tracing::error!(host, port, %error, "cannot open this address of the election port");
                    votes.open_later(host.clone(), *port, REOPEN);
                }
            }
        }
        match failure {
            Some(((host, port), not_open)) if opened == 0 => {
                Err((format!("the election port {host}:{port}"), not_open.error))
            }
            _ => Ok(votes),
        }
    }

    fn ports(&self) -> MutexGuard<'_, BTreeMap<(String, u16), AbortHandle>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(self: &Arc<Self>, host: &str, port: u16) -> Result<(), NotOpen> {
        let _inside = self.runtime.enter();
        let listener = open_patiently(&self.shared, host, port)?;
        self.serve(host, port, listener);
        Ok(())
    }

    fn serve(self: &Arc<Self>, host: &str, port: u16, listener: TcpListener) {
        let listening = Arc::clone(self).listen(host.to_owned(), port, listener);
        let task = self.runtime.spawn(listening);
        let old = self
            .ports()
            .insert((host.to_owned(), port), task.abort_handle());
        if let Some(old) = old {
            old.abort();
        }
    }

    /// Where this server listens for votes.
    fn my_ports(&self) -> Vec<(String, u16)> {
        let mut ports = self.book.my_election_ports();
        if self.shared.config.quorum.listen_on_all_ips {
            // Every address of the machine, once for each port.
            ports.sort_by_key(|(_, port)| *port);
            ports.dedup_by_key(|(_, port)| *port);
        }
        ports
    }

    /// Opens an address when that is possible: its cable may not be plugged in yet, or its name not
    /// known.
    fn open_later(self: &Arc<Self>, host: String, port: u16, pause: Duration) {
        let votes = Arc::clone(self);
        let mut stop = self.stop.clone();
        self.runtime.spawn(async move {
            loop {
                tokio::select! {
                    _ = stop.changed() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                if !votes.my_ports().contains(&(host.clone(), port)) {
                    return;
                }
                if let Ok(listener) = super::open_aside(&votes.shared, &host, port).await {
                    tracing::info!(host, port, "this address of the election port is open now");
                    votes.serve(&host, port, listener);
                    return;
                }
            }
        });
    }

    /// This server or others may have other addresses now.
    pub(super) fn reconfigured(self: &Arc<Self>) {
        let wanted = self.my_ports();
        self.ports().retain(|port, task| {
            let stays = wanted.contains(port);
            if !stays {
                task.abort();
            }
            stays
        });
        for (host, port) in wanted {
            if self.ports().contains_key(&(host.clone(), port)) {
                continue;
            }
            let votes = Arc::clone(self);
            // Opening may take its time: the port may still be another server's.
            self.runtime.spawn_blocking(move || {
                if let Err(error) = votes.open(&host, port) {
                    tracing::error!(host, port, %error, "cannot open the new election port; this \
                        server takes part in no election");
                    votes.open_later(host, port, REOPEN);
                }
            });
        }
    }

    fn addresses(&self, sid: Sid) -> Vec<(String, u16)> {
        let of = self.book.of(sid);
        of.into_iter().map(|a| (a.host, a.election_port)).collect()
    }

    /// Source: `QuorumCnxManager.startConnection`.
    fn hello(&self) -> Vec<u8> {
        let several = self.shared.config.quorum.multi_address;
        let mut addresses = self.book.my_election_ports();
        if !several {
            addresses.truncate(1);
        }
        let sid = self.me.0;
        InitialMessage { sid, addresses }.encode(several)
    }

    fn slot(&self, sid: Sid) -> Option<Arc<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() > self.book.len() + UNKNOWN_MAX && !slots.contains_key(&sid) {
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
        let addresses = self.addresses(to);
        self.dial(to, &slot, addresses, Duration::ZERO);
    }

    /// Connects to a member, unless that is under way, or the member has done so in the meantime.
    fn dial(self: &Arc<Self>, to: Sid, slot: &Arc<Slot>, at: Vec<(String, u16)>, after: Duration) {
        let mut state = slot.lock();
        match state.dialling {
            Dialling::Connecting => return,
            Dialling::Pausing => {
                if after.is_zero() {
                    state.at = at;
                    slot.hurry.notify_one();
                }
                return;
            }
            Dialling::No if after.is_zero() => state.dialling = Dialling::Connecting,
            Dialling::No => state.dialling = Dialling::Pausing,
        }
        state.at = at;
        drop(state);
        let (votes, slot) = (Arc::clone(self), Arc::clone(slot));
        self.runtime.spawn(async move {
            if !after.is_zero() {
                let _either = tokio::time::timeout(after, slot.hurry.notified()).await;
            }
            let at = {
                let mut state = slot.lock();
                if state.connection.is_some() {
                    state.dialling = Dialling::No;
                    return;
                }
                state.dialling = Dialling::Connecting;
                std::mem::take(&mut state.at)
            };
            let mut connected = votes.connect(&at).await;
            if votes.me < to
                && let Ok(stream) = &mut connected
                && !is_taken(stream).await
            {
                connected = votes.connect(&at).await;
            }
            slot.lock().dialling = Dialling::No;
            match connected {
                Ok(stream) if votes.me > to => votes.keep(to, &slot, stream, BytesMut::new()),
                // The one with the larger number connects; now it knows that it should.
                Ok(_) => votes.doubts.waits_for(to),
                Err(error) => {
                    votes.doubts.unreachable(to, &error.to_string());
                    tracing::debug!(server = to.0, %error, "no connection for elections");
                    votes.reachable(to, false);
                }
            }
        });
    }

    async fn connect(&self, at: &[(String, u16)]) -> io::Result<Stream> {
        let ms = u64::try_from(self.shared.config.quorum.cnx_timeout_ms).unwrap_or_default();
        let patience = Duration::from_millis(ms);
        let attempts = at.iter().cloned().map(|(host, port)| async move {
            match tokio::time::timeout(patience, dial::one(&host, port)).await {
                Ok(result) => result.map(|socket| (socket, host)),
                Err(_) => {
                    let text = format!("{host}:{port}: no answer within {ms} ms");
                    Err(io::Error::new(io::ErrorKind::TimedOut, text))
                }
            }
        });
        let (socket, host) = dial::race(attempts.collect()).await?;
        socket.set_nodelay(true)?;
        let mut stream = secure::outgoing(&self.shared, socket, &host).await?;
        stream.write_all(&self.hello()).await?;
        stream.flush().await?;
        if let Some(sasl) = &self.shared.config.quorum_auth.sasl {
            sasl.log_in(&mut stream, patience).await?;
        }
        Ok(stream)
    }

    fn reachable(&self, sid: Sid, reachable: bool) {
        self.shared
            .inbox
            .urgent(Event::Reachable { sid, reachable });
    }

    /// Takes connections until the server stops, or until the address is another machine's: a
    /// container may be connected to another network while its processes run.
    async fn listen(self: Arc<Self>, host: String, port: u16, listener: TcpListener) {
        tokio::select! {
            () = self.accept(&listener) => return,
            () = super::lost(&self.shared, &host, &listener) => drop(listener),
        }
        tracing::warn!(
            host,
            port,
            "this machine has lost the address of the election port; the port is \
            opened again once the name in this server's line stands for another one"
        );
        self.hang_up();
        self.open_later(host, port, REOPEN_NAME);
    }

    async fn accept(self: &Arc<Self>, listener: &TcpListener) {
        let mut stop = self.stop.clone();
        loop {
            let accepted = tokio::select! {
                _ = stop.changed() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, remote)) => {
                    let votes = Arc::clone(self);
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

    /// Ends all connections: on those that come from an address which is no longer this machine's,
    /// nothing arrives, and the system would go on trying for a quarter of an hour.
    fn hang_up(self: &Arc<Self>) {
        let slots = self
            .slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for (sid, slot) in slots {
            let ended = slot.lock().connection.take();
            if let Some(connection) = ended {
                connection.abort();
                self.dial(sid, &slot, self.addresses(sid), Duration::ZERO);
            }
        }
    }

    /// Source: `QuorumCnxManager.handleConnection`.
    async fn receive(self: &Arc<Self>, socket: TcpStream, remote: SocketAddr) {
        let config = &self.shared.config;
        let ms = match config.quorum.election_introduction_ms {
            ms if ms > 0 => ms,
            _ => config
                .tick_time_ms
                .saturating_mul(config.quorum.sync_limit.max(1)),
        };
        let patience = Duration::from_millis(u64::try_from(ms).unwrap_or_default());
        let mut stream = match secure::incoming(&self.shared, &self.book, socket).await {
            Ok(stream) => stream,
            Err(TlsFailure::Gone) => return,
            Err(failure) => {
                tracing::warn!(%remote, "a connection to the election port is no member's: {failure}");
                return;
            }
        };
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
        let mut input = BytesMut::new();
        if let Some(sasl) = &config.quorum_auth.sasl {
            input = match sasl.let_in(&mut stream, patience).await {
                Ok(input) => input,
                Err(error) => {
                    tracing::warn!(%remote, server = message.sid, %error,
                        "a server may not connect to the election port");
                    return;
                }
            };
        }
        let sid = Sid(message.sid);
        let Some(slot) = self.slot(sid) else {
            tracing::warn!(%remote, server = sid.0, "too many unknown servers");
            return;
        };
        self.check_introduction(&message, remote);
        if sid == self.me {
            tracing::warn!(%remote, "another server says that it is server {sid}, which is this one; \
                check the myid files");
            return;
        }
        let _slower = stream.socket().set_nodelay(true);
        if sid > self.me {
            self.keep(sid, &slot, stream, input);
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
        for known in self.addresses(sid) {
            if !at.contains(&known) {
                at.push(known);
            }
        }
        self.dial(sid, &slot, at, Duration::ZERO);
    }

    /// Says what does not fit in how a server introduces itself.
    fn check_introduction(&self, message: &InitialMessage, remote: SocketAddr) {
        let (sid, ip) = (Sid(message.sid), remote.ip());
        // A follower's first packet begins with its type, the next four bytes are an epoch.
        if message.addresses.is_empty() && matches!(sid.0 >> 32, 11 | 16) {
            self.doubts.warn(format!(
                "a server at {ip} wants to follow this one over the election port: in its line for \
                 server {} the quorum port and the election port are the wrong way round",
                self.me
            ));
            return;
        }
        if sid == self.me {
            return;
        }
        let ours = self.addresses(sid);
        if ours.is_empty() {
            self.doubts.warn(format!(
                "server {sid} at {ip} takes part in elections and has no server line here; it may be \
                 about to join, or the server lines differ"
            ));
            return;
        }
        let port = |(_, port): &(String, u16)| *port;
        let known = |address: &(String, u16)| ours.iter().any(|own| port(own) == port(address));
        if let Some((host, port)) = message.addresses.iter().find(|address| !known(address)) {
            let ours: Vec<String> = ours.iter().map(|(h, p)| format!("{h}:{p}")).collect();
            self.doubts.warn(format!(
                "server {sid} at {ip} says that its election port is {host}:{port}, and its line here \
                 says {}; there may be two servers {sid}, or the server lines differ",
                ours.join(", ")
            ));
        }
    }

    /// Tells now and then why there is no leader, as long as there is none.
    async fn tell_why_there_is_no_leader(self: Arc<Self>) {
        let mut stop = self.stop.clone();
        let mut pause = TELL_AFTER;
        loop {
            tokio::select! {
                _ = stop.changed() => return,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
            let looks = self.shared.mode() == "leaderelection" || self.shared.is_read_only();
            let looked = Duration::from_millis(self.shared.phase_age_ms().unsigned_abs());
            if !looks {
                pause = TELL_AFTER;
            } else if looked >= pause {
                pause = (pause * 2).min(looked + TELL_AT_LEAST);
                let members = self.book.members();
                let others = members
                    .servers
                    .iter()
                    .filter(|(_, spec)| spec.role == Role::Participant);
                let others = others.map(|(id, _)| Sid(*id)).filter(|sid| *sid != self.me);
                let summary = self.doubts.summary(self.me, others);
                tracing::warn!("no leader after {} s: {summary}", looked.as_secs());
            }
        }
    }

    /// Makes this the connection to a member, of which `input` has been read.
    fn keep(self: &Arc<Self>, sid: Sid, slot: &Arc<Slot>, stream: Stream, input: BytesMut) {
        if self.shared.config.quorum.tcp_keep_alive {
            let _unsupported = SockRef::from(stream.socket()).set_keepalive(true);
        }
        self.watch_reachability(sid, stream.socket());
        let (votes, its) = (Arc::clone(self), Arc::clone(slot));
        let mut state = slot.lock();
        if let Some(old) = state.connection.take() {
            old.abort();
        }
        if state.next.is_none() {
            state.next = state.last.clone();
        }
        self.doubts.connected(sid);
        let task = self.runtime.spawn(async move {
            let begun = Instant::now();
            let end = votes.converse(sid, &its, stream, input).await;
            tracing::debug!(server = sid.0, ?end, "the connection for elections ended");
            its.lock().connection = None;
            let pause = if begun.elapsed() < SHORT {
                Duration::from_secs(1)
            } else {
                Duration::ZERO
            };
            let at = votes.addresses(sid);
            if !at.is_empty() {
                votes.dial(sid, &its, at, pause);
            }
        });
        state.connection = Some(task.abort_handle());
        slot.wake.notify_one();
        drop(state);
        self.reachable(sid, true);
    }

    /// Where a server has several addresses, a connection ends when a vote is not taken in time, as
    /// there may be another way. Source: `SendWorker.asyncValidateIfSocketIsStillReachable`, which
    /// pings the address whenever there is a vote to send.
    fn watch_reachability(&self, sid: Sid, stream: &TcpStream) {
        let quorum = &self.shared.config.quorum;
        let several = quorum.multi_address && self.book.of(sid).len() > 1;
        if several && quorum.reachability_check {
            let ms = u64::try_from(quorum.reachability_timeout_ms).unwrap_or_default();
            let limit = Some(Duration::from_millis(ms));
            let _unsupported = SockRef::from(stream).set_tcp_user_timeout(limit);
        }
    }

    async fn converse(
        &self,
        sid: Sid,
        slot: &Slot,
        stream: Stream,
        mut input: BytesMut,
    ) -> io::Result<()> {
        let (mut from, mut to) = split(stream);
        input.reserve(1024);
        self.take_votes(sid, &mut input)?;
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
                        to.send_all(&frame).await?;
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
                    self.doubts.heard(sid, &notification, &self.book.members());
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

/// Whether a server that has to open the connection itself has heard that it should: then it ends this
/// one. The system of one that is just dying still takes connections, and resets them a moment later.
async fn is_taken(stream: &mut Stream) -> bool {
    let mut nothing = [0; 1];
    let read = tokio::time::timeout(TAKEN_WITHIN, stream.read(&mut nothing)).await;
    !matches!(read, Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset)
}

/// Reads how the other side introduces itself, and not a byte more.
async fn introduction(stream: &mut Stream) -> io::Result<InitialMessage> {
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

/// Gives a name server a moment to answer: one that is silent must not hold up a start.
fn await_name(shared: &Shared, host: &str) -> Result<(), NotOpen> {
    if shared.config.quorum.listen_on_all_ips || super::is_literal(host) {
        return Ok(());
    }
    let (tell, told) = std::sync::mpsc::channel();
    let name = host.to_owned();
    let asking = std::thread::Builder::new().name("menagerie-name".to_owned());
    let asked = asking.spawn(move || {
        // What it is will be asked again when the port is opened.
        let _nobody_waits = tell.send((name.as_str(), 0).to_socket_addrs().map(drop));
    });
    match asked {
        Err(_) => Ok(()),
        Ok(_) => match told.recv_timeout(NAME_PATIENCE) {
            Ok(_) => Ok(()),
            Err(_) => {
                let text = format!("no answer from a name server within {NAME_PATIENCE:?}");
                let error = io::Error::new(io::ErrorKind::TimedOut, text);
                Err(NotOpen { error, late: true })
            }
        },
    }
}

/// Opens the port, which a server that has just stopped may still hold.
/// Source: `QuorumCnxManager.Listener`.
fn open_patiently(shared: &Shared, host: &str, port: u16) -> Result<TcpListener, NotOpen> {
    await_name(shared, host)?;
    let tries = shared.config.quorum.election_port_bind_retry;
    let mut attempt = 1;
    loop {
        match super::open(shared, host, port) {
            Err(error) if !error.late && (tries == 0 || attempt < tries) => {
                tracing::warn!(host, port, %error, attempt, "cannot open the election port; trying again");
                std::thread::sleep(Duration::from_secs(1));
            }
            result => return result,
        }
        attempt += 1;
    }
}
