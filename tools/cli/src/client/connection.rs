//! Owns one connection of a session: what is outstanding on it, pings, replies and events in the
//! order in which they come. May use tokio. Must not reconnect; the session does.

use std::collections::VecDeque;
use std::time::Duration;

use menagerie_tls::Stream;
use menagerie_wire::client::{PathTypeRequest, ReplyHeader, RequestHeader, WatcherEvent};
use menagerie_wire::jute::{append, decode_prefix, to_vec};
use menagerie_wire::op::{ErrorCode, op_code, xid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval, timeout};

use super::blocking::{frame, request};
use super::event::Event;
use super::session::{Answer, Command, Session};
use super::watches::{Remove, WatchKind};

/// Replies longer than this end the connection.
const MAX_REPLY: usize = 256 << 20;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By the network or the server.
    Lost,
    /// After closeSession.
    Closed,
    /// After authentication was refused.
    AuthFailed,
    /// Nobody uses the client any more.
    HandleGone,
}

/// A request without a reply.
struct Outstanding {
    xid: i32,
    op: i32,
    watch: Option<(WatchKind, String)>,
    remove: Option<(String, Remove)>,
    answer: oneshot::Sender<Answer>,
}

/// One connection.
pub(crate) struct Connection {
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    input: Vec<u8>,
    output: Vec<u8>,
    outstanding: VecDeque<Outstanding>,
    next_xid: i32,
    time_out: Duration,
    heard: Instant,
}

impl Connection {
    /// On a stream with an open session; `first` is sent before anything else.
    pub(crate) fn new(stream: Stream, time_out: Duration, first: Vec<u8>) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader,
            writer,
            input: Vec::new(),
            output: first,
            outstanding: VecDeque::new(),
            next_xid: 1,
            time_out,
            heard: Instant::now(),
        }
    }

    /// Serves until the connection ends; what is outstanding then has failed.
    pub(crate) async fn run(
        mut self,
        session: &mut Session,
        commands: &mut mpsc::UnboundedReceiver<Command>,
    ) -> Ended {
        let ended = self.turns(session, commands).await;
        let code = match ended {
            Ended::AuthFailed => ErrorCode::AuthFailed,
            _ => ErrorCode::ConnectionLoss,
        };
        for outstanding in self.outstanding {
            let closed = ended == Ended::Closed && outstanding.op == op_code::CLOSE_SESSION;
            let answer = if closed { Ok(Vec::new()) } else { Err(code) };
            let _ = outstanding.answer.send(answer);
        }
        ended
    }

    async fn turns(
        &mut self,
        session: &mut Session,
        commands: &mut mpsc::UnboundedReceiver<Command>,
    ) -> Ended {
        let mut ping = interval(self.time_out / 3);
        ping.reset();
        let mut chunk = vec![0; 16 << 10];
        loop {
            if !self.flush().await {
                return Ended::Lost;
            }
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.send(command, session),
                    None => return Ended::HandleGone,
                },
                read = self.reader.read(&mut chunk) => {
                    let got = chunk.get(..*read.as_ref().unwrap_or(&0)).unwrap_or_default();
                    if got.is_empty() {
                        return self.on_end();
                    }
                    self.heard = Instant::now();
                    self.input.extend_from_slice(got);
                    if let Some(ended) = self.consume(session) {
                        return ended;
                    }
                }
                _ = ping.tick() => {
                    if self.heard.elapsed() > self.time_out * 2 / 3 {
                        return Ended::Lost;
                    }
                    frame(&mut self.output, |out| {
                        append(out, &RequestHeader { xid: xid::PING, op: op_code::PING });
                    });
                }
            }
        }
    }

    /// The server ends the stream behind its answer to closeSession, or instead of it.
    fn on_end(&self) -> Ended {
        let closing = self
            .outstanding
            .iter()
            .any(|o| o.op == op_code::CLOSE_SESSION);
        if closing { Ended::Closed } else { Ended::Lost }
    }

    async fn flush(&mut self) -> bool {
        if self.output.is_empty() {
            return true;
        }
        let (writer, output) = (&mut self.writer, &self.output);
        let sending = async {
            writer.write_all(output).await?;
            writer.flush().await
        };
        let sent = timeout(self.time_out, sending).await;
        self.output.clear();
        matches!(sent, Ok(Ok(())))
    }

    fn send(&mut self, command: Command, session: &mut Session) {
        match command {
            Command::Request {
                op,
                body,
                watch,
                answer,
            } => {
                self.push(op, &body, watch, None, answer);
            }
            Command::Auth { scheme, auth } => {
                let packet = menagerie_wire::client::AuthPacket {
                    kind: 0,
                    scheme: Some(scheme.as_str().into()),
                    auth: auth.as_deref(),
                };
                request(&mut self.output, xid::AUTH, op_code::AUTH, &packet);
                session.auths.push((scheme, auth));
            }
            Command::RemoveWatches {
                path,
                what,
                local,
                answer,
            } => {
                if !session.watches.has(&path, what) {
                    let _ = answer.send(Err(ErrorCode::NoWatcher));
                    return;
                }
                let body = to_vec(&PathTypeRequest {
                    path: Some(path.as_str().into()),
                    kind: what as i32,
                });
                if local {
                    // Locally they go at once, whatever the server will say.
                    drop_watches(session, &path, what);
                }
                self.push(
                    op_code::REMOVE_WATCHES,
                    &body,
                    None,
                    Some((path, what)),
                    answer,
                );
            }
            Command::Close { answer } => {
                self.push(op_code::CLOSE_SESSION, &[], None, None, answer);
            }
        }
    }

    fn push(
        &mut self,
        op: i32,
        body: &[u8],
        watch: Option<(WatchKind, String)>,
        remove: Option<(String, Remove)>,
        answer: oneshot::Sender<Answer>,
    ) {
        let xid = self.next_xid;
        self.next_xid = xid.checked_add(1).unwrap_or(1);
        frame(&mut self.output, |out| {
            append(out, &RequestHeader { xid, op });
            out.extend_from_slice(body);
        });
        self.outstanding.push_back(Outstanding {
            xid,
            op,
            watch,
            remove,
            answer,
        });
    }

    /// Handles all whole frames of the input.
    fn consume(&mut self, session: &mut Session) -> Option<Ended> {
        let input = std::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        while let Some((prefix, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*prefix) as usize;
            if length > MAX_REPLY {
                return Some(Ended::Lost);
            }
            let Some((content, next)) = behind.split_at_checked(length) else {
                break;
            };
            rest = next;
            if let Some(ended) = self.on_frame(content, session) {
                return Some(ended);
            }
        }
        self.input = rest.to_vec();
        None
    }

    fn on_frame(&mut self, content: &[u8], session: &mut Session) -> Option<Ended> {
        let Ok((header, body)) = decode_prefix::<ReplyHeader>(content) else {
            return Some(Ended::Lost);
        };
        match header.xid {
            xid::PING | xid::SET_WATCHES => return None,
            xid::AUTH => return (header.err != 0).then_some(Ended::AuthFailed),
            xid::NOTIFICATION => {
                let Ok((event, _)) = decode_prefix::<WatcherEvent<'_>>(body) else {
                    return Some(Ended::Lost);
                };
                let path = event.path.map(std::borrow::Cow::into_owned);
                session
                    .watches
                    .fired(event.kind, path.as_deref().unwrap_or_default());
                let (kind, state) = (event.kind, event.state);
                session.emit(Event {
                    kind,
                    state,
                    path,
                    zxid: header.zxid,
                });
                return None;
            }
            _ => {}
        }
        if header.zxid > 0 {
            session.last_zxid = header.zxid;
        }
        let due = self.outstanding.front().map(|o| o.xid);
        let Some(outstanding) = self
            .outstanding
            .pop_front()
            .filter(|_| due == Some(header.xid))
        else {
            return Some(Ended::Lost);
        };
        Some(reply(outstanding, ErrorCode(header.err), body, session)).flatten()
    }
}

/// Hands a reply on, after the watches have been put in order.
fn reply(
    outstanding: Outstanding,
    code: ErrorCode,
    body: &[u8],
    session: &mut Session,
) -> Option<Ended> {
    let Outstanding {
        op,
        watch,
        remove,
        answer,
        ..
    } = outstanding;
    if let Some((kind, path)) = watch {
        if code == ErrorCode::Ok {
            session.watches.add(kind, path);
        } else if op == op_code::EXISTS && code == ErrorCode::NoNode {
            session.watches.add(WatchKind::Exist, path);
        }
    }
    if let Some((path, what)) = remove.filter(|_| code == ErrorCode::Ok) {
        drop_watches(session, &path, what);
    }
    let result = if code == ErrorCode::Ok {
        Ok(body.to_vec())
    } else {
        Err(code)
    };
    let _ = answer.send(result);
    (op == op_code::CLOSE_SESSION).then_some(Ended::Closed)
}

/// Forgets watches and tells so.
fn drop_watches(session: &mut Session, path: &str, what: Remove) {
    for kind in session.watches.remove(path, what) {
        let state = menagerie_wire::op::STATE_SYNC_CONNECTED;
        session.emit(Event {
            kind,
            state,
            path: Some(path.to_owned()),
            zxid: -1,
        });
    }
}
