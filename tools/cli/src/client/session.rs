//! Owns a session's life: connecting to one server after the other, taking the session up again
//! after a loss, authentication and watches again, expiry. May use tokio and the connection.
//! Must not know what requests mean beyond the watches they leave. Source: `ClientCnxn.SendThread`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use menagerie_tls::{Stream, TlsClient};
use menagerie_wire::client::{AuthPacket, ConnectRequest, ConnectResponse};
use menagerie_wire::jute::{append, decode_prefix};
use menagerie_wire::op::{ErrorCode, op_code, xid};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::blocking::{frame, request};
use super::connection::{Connection, Ended};
use super::event::{
    AUTH_FAILED, CLOSED, CONNECTED_READ_ONLY, DISCONNECTED, EXPIRED, Event, SYNC_CONNECTED,
};
use super::watches::{Remove, WatchKind, Watches};

/// Before the next server is tried.
const RETRY: Duration = Duration::from_millis(500);
/// An answer to a connect request is no longer than that.
const CONNECT_RESPONSE_MAX: u32 = 1024;

/// What to connect to, and how.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// `host:port`, tried in turn.
    pub(crate) servers: Vec<String>,
    /// Session time-out asked for.
    pub(crate) timeout: Duration,
    /// Whether a read-only server will do.
    pub(crate) read_only: bool,
    /// TLS, if the servers want it.
    pub(crate) tls: Option<TlsClient>,
}

/// The state of a client, named as the Java client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// No connection now.
    Connecting,
    /// In session.
    Connected,
    /// In session with a read-only server.
    ConnectedReadOnly,
    /// Over: authentication was refused.
    AuthFailed,
    /// Over.
    Closed,
}

impl State {
    /// For the prompt. Source: `ZooKeeper.States`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "CONNECTING",
            Self::Connected => "CONNECTED",
            Self::ConnectedReadOnly => "CONNECTEDREADONLY",
            Self::AuthFailed => "AUTH_FAILED",
            Self::Closed => "CLOSED",
        }
    }

    /// Whether requests can still be answered.
    pub(crate) const fn is_alive(self) -> bool {
        !matches!(self, Self::AuthFailed | Self::Closed)
    }
}

/// The state, shared with the client's handle.
#[derive(Debug, Clone)]
pub(crate) struct SharedState(Arc<AtomicU8>);

impl SharedState {
    /// Connecting.
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU8::new(State::Connecting as u8)))
    }

    /// Now.
    pub(crate) fn get(&self) -> State {
        let states = [
            State::Connecting,
            State::Connected,
            State::ConnectedReadOnly,
            State::AuthFailed,
        ];
        let now = self.0.load(Ordering::Acquire);
        states
            .into_iter()
            .find(|state| *state as u8 == now)
            .unwrap_or(State::Closed)
    }

    fn set(&self, state: State) {
        self.0.store(state as u8, Ordering::Release);
    }
}

/// The answer to a request: the body, or the error.
pub(crate) type Answer = Result<Vec<u8>, ErrorCode>;

/// What the handle asks of the session.
pub(crate) enum Command {
    /// A request.
    Request {
        /// Its code.
        op: i32,
        /// Its record.
        body: Vec<u8>,
        /// The watch that it leaves when it succeeds (for exists: in any case).
        watch: Option<(WatchKind, String)>,
        /// Where the answer goes.
        answer: oneshot::Sender<Answer>,
    },
    /// Adds an identity, now and after every reconnect.
    Auth {
        /// Scheme.
        scheme: String,
        /// Credentials.
        auth: Option<Vec<u8>>,
    },
    /// Removes watches.
    RemoveWatches {
        /// Server-side path.
        path: String,
        /// Which.
        what: Remove,
        /// Whether to forget them even if the server cannot be asked.
        local: bool,
        /// Where the answer goes.
        answer: oneshot::Sender<Answer>,
    },
    /// Ends the session.
    Close {
        /// Where the answer goes.
        answer: oneshot::Sender<Answer>,
    },
}

impl Command {
    /// Answers with an error.
    pub(crate) fn fail(self, code: ErrorCode) {
        match self {
            Self::Request { answer, .. }
            | Self::RemoveWatches { answer, .. }
            | Self::Close { answer } => {
                // Whoever asked may have gone.
                let _ = answer.send(Err(code));
            }
            Self::Auth { .. } => {}
        }
    }
}

/// Is told of every event, before any later answer.
pub(crate) type OnEvent = Arc<dyn Fn(Event) + Send + Sync>;

/// A session and all that outlives its connections.
pub(crate) struct Session {
    options: Options,
    pub(crate) watches: Watches,
    pub(crate) auths: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) last_zxid: i64,
    id: i64,
    password: Vec<u8>,
    state: SharedState,
    on_event: OnEvent,
}

impl Session {
    /// A session that is yet to be opened.
    pub(crate) fn new(options: Options, state: SharedState, on_event: OnEvent) -> Self {
        Self {
            options,
            watches: Watches::default(),
            auths: Vec::new(),
            last_zxid: 0,
            id: 0,
            password: vec![0; 16],
            state,
            on_event,
        }
    }

    /// Tells the owner.
    pub(crate) fn emit(&self, event: Event) {
        (self.on_event)(event);
    }

    /// Serves commands until the session is over.
    pub(crate) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut turn = 0;
        let mut connected_before = false;
        loop {
            let server = self
                .options
                .servers
                .get(turn % self.options.servers.len().max(1))
                .cloned();
            turn += 1;
            let patience = self.options.timeout / 3;
            let opened = match server {
                Some(server) => timeout(patience, self.open(&server)).await.ok().flatten(),
                None => None,
            };
            let ended = match opened {
                Some((stream, response)) => {
                    if response.time_out <= 0 {
                        return self.over(
                            State::Closed,
                            EXPIRED,
                            ErrorCode::SessionExpired,
                            commands,
                        );
                    }
                    connected_before = true;
                    self.serve(stream, response, &mut commands).await
                }
                None => Ended::Lost,
            };
            match ended {
                Ended::Lost => {}
                Ended::Closed => {
                    return self.over(State::Closed, CLOSED, ErrorCode::ConnectionLoss, commands);
                }
                Ended::AuthFailed => {
                    return self.over(
                        State::AuthFailed,
                        AUTH_FAILED,
                        ErrorCode::AuthFailed,
                        commands,
                    );
                }
                Ended::HandleGone => return,
            }
            if self.state.get() != State::Connecting {
                self.state.set(State::Connecting);
                self.emit(Event::of_state(DISCONNECTED));
            }
            // What could not be sent fails, as in the Java client; closing needs no server.
            while let Ok(command) = commands.try_recv() {
                if let Command::Close { answer } = command {
                    let _ = answer.send(Ok(Vec::new()));
                    return self.over(State::Closed, CLOSED, ErrorCode::ConnectionLoss, commands);
                }
                command.fail(ErrorCode::ConnectionLoss);
            }
            if !connected_before || turn % self.options.servers.len().max(1) == 0 {
                sleep(RETRY).await;
            }
        }
    }

    fn over(
        self,
        state: State,
        event: i32,
        code: ErrorCode,
        mut commands: mpsc::UnboundedReceiver<Command>,
    ) {
        self.state.set(state);
        self.emit(Event::of_state(event));
        commands.close();
        while let Ok(command) = commands.try_recv() {
            command.fail(code);
        }
    }

    /// Connects, with TLS where it is wanted; what is wrong with that is told, as trying again will
    /// hardly mend it.
    async fn connect(&self, server: &str) -> Option<Stream> {
        let socket = TcpStream::connect(server).await.ok()?;
        socket.set_nodelay(true).ok()?;
        let Some(tls) = &self.options.tls else {
            return Some(Stream::Plain(socket));
        };
        let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
        match tls.connect(socket, host).await {
            Ok(stream) => Some(stream),
            Err(failure) => {
                eprintln!("{server}: TLS: {failure}");
                None
            }
        }
    }

    /// Connects and shakes hands; the stream and the answer.
    async fn open(&self, server: &str) -> Option<(Stream, Granted)> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = self.connect(server).await?;
        let mut hello = Vec::new();
        frame(&mut hello, |out| {
            append(
                out,
                &ConnectRequest {
                    protocol_version: 0,
                    last_zxid_seen: self.last_zxid,
                    time_out: i32::try_from(self.options.timeout.as_millis()).unwrap_or(i32::MAX),
                    session_id: self.id,
                    passwd: Some(&self.password),
                    read_only: Some(self.options.read_only),
                },
            );
        });
        stream.write_all(&hello).await.ok()?;
        stream.flush().await.ok()?;
        let length = stream.read_u32().await.ok()?;
        if length > CONNECT_RESPONSE_MAX {
            return None;
        }
        let mut answer = vec![0; length as usize];
        stream.read_exact(&mut answer).await.ok()?;
        let (response, rest): (ConnectResponse<'_>, _) = decode_prefix(&answer).ok()?;
        let granted = Granted {
            time_out: response.time_out,
            session: response.session_id,
            password: response.passwd.unwrap_or_default().to_vec(),
            read_only: rest.first().is_some_and(|flag| *flag != 0),
        };
        Some((stream, granted))
    }

    async fn serve(
        &mut self,
        stream: Stream,
        granted: Granted,
        commands: &mut mpsc::UnboundedReceiver<Command>,
    ) -> Ended {
        self.id = granted.session;
        self.password = granted.password;
        let (state, event) = if granted.read_only {
            (State::ConnectedReadOnly, CONNECTED_READ_ONLY)
        } else {
            (State::Connected, SYNC_CONNECTED)
        };
        let mut first = Vec::new();
        for (scheme, auth) in &self.auths {
            let packet = AuthPacket {
                kind: 0,
                scheme: Some(scheme.as_str().into()),
                auth: auth.as_deref(),
            };
            request(&mut first, xid::AUTH, op_code::AUTH, &packet);
        }
        if let Some(watches) = self.watches.to_request(self.last_zxid) {
            request(
                &mut first,
                xid::SET_WATCHES,
                op_code::SET_WATCHES2,
                &watches,
            );
        }
        self.state.set(state);
        self.emit(Event::of_state(event));
        let time_out = Duration::from_millis(u64::try_from(granted.time_out).unwrap_or(1));
        Connection::new(stream, time_out, first)
            .run(self, commands)
            .await
    }
}

/// What the server granted.
struct Granted {
    time_out: i32,
    session: i64,
    password: Vec<u8>,
    read_only: bool,
}
