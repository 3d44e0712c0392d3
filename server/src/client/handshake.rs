//! Owns a connection's beginning: four-letter word or connect request, and the session it gets.
//! Source: `NIOServerCnxn.readLength`, `ZooKeeperServer.processConnectRequest`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use menagerie_core::acl;
use menagerie_core::event::Event;
use menagerie_core::ids::SessionId;
use menagerie_core::processor::reply;
use menagerie_core::session::password_matches;
use menagerie_core::sessions::SessionRules;
use menagerie_tls::{HANDSHAKE_RECORD, Stream, Tls, TlsFailure};
use menagerie_wire::client::ConnectRequest;
use menagerie_wire::frame::{self, FirstPacket};
use menagerie_wire::jute::decode_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::conn::{Connection, End, send};
use super::registry::Conn;
use super::throttle::Asks;
use crate::fourletter;
use crate::shared::Shared;

/// Runs a connection from its first byte to its last.
pub(crate) async fn run(shared: Arc<Shared>, conn: Arc<Conn>, socket: TcpStream) {
    match secure(&shared, &conn, socket).await {
        Ok(stream) => serve(shared, conn, stream).await,
        Err(failure) => {
            let metrics = &shared.stats.metrics;
            if matches!(failure, TlsFailure::TooMany) {
                metrics.tls_handshake_exceeded.add(1);
            } else {
                metrics.unsuccessful_handshake.add(1);
                shared.stats.auth_failed.fetch_add(1, Relaxed);
            }
            let remote = conn.remote;
            if matches!(failure, TlsFailure::Gone) {
                tracing::debug!(%remote, "no TLS: {failure}");
            } else {
                tracing::warn!(%remote, "a connection is closed that was to speak TLS: {failure}");
            }
            shared.conns.close(&conn);
        }
    }
}

/// Makes TLS of a socket where there is to be TLS, and notes whose certificate it is.
/// Source: `NettyServerCnxnFactory.CertificateVerifier`.
async fn secure(
    shared: &Arc<Shared>,
    conn: &Conn,
    socket: TcpStream,
) -> Result<Stream, TlsFailure> {
    let Some(tls) = wanted(shared, conn, &socket).await? else {
        return Ok(Stream::Plain(socket));
    };
    let stream = tls.accept(socket).await?;
    if let Some(certificate) = stream.peer_certificate() {
        let subject = menagerie_tls::rfc2253(certificate);
        let subject =
            subject.ok_or_else(|| TlsFailure::Host("its certificate has no subject".into()))?;
        tracing::debug!(remote = %conn.remote, subject, "a client has a certificate");
        conn.add_auth(acl::x509_ids(&shared.auth, &subject));
    }
    Ok(stream)
}

/// TLS, if this connection is to have it.
async fn wanted<'a>(
    shared: &'a Shared,
    conn: &Conn,
    socket: &TcpStream,
) -> Result<Option<&'a Tls>, TlsFailure> {
    let Some(tls) = &shared.tls.clients else {
        return Ok(None);
    };
    let either = shared.config.client_port_unification;
    let is_wanted = conn.secure || (either && tls.detect(socket).await?);
    Ok(is_wanted.then_some(&**tls))
}

async fn serve(shared: Arc<Shared>, conn: Arc<Conn>, stream: Stream) {
    let patience = Duration::from_millis(shared.config.sessionless_timeout_ms);
    let mut connection = Connection::new(shared, conn, stream);
    let end = match tokio::time::timeout(patience, establish(&mut connection)).await {
        Err(_) => {
            let metrics = &connection.shared.stats.metrics;
            metrics.sessionless_connections_expired.add(1);
            End::Closed
        }
        Ok(Err(end)) => end,
        Ok(Ok(None)) => End::Closed,
        Ok(Ok(Some(session))) => connection.serve(session).await,
    };
    let conn = &connection.conn;
    match end {
        End::Closed | End::Eof | End::Io(_) => {
            tracing::debug!(remote = %conn.remote, session = %conn.session(), %end, "connection ends");
        }
        _ => {
            tracing::warn!(remote = %conn.remote, session = %conn.session(), %end, "connection ends");
        }
    }
}

/// Reads until there is a whole frame or four-letter word.
async fn first_packet(connection: &mut Connection) -> Result<FirstPacket, End> {
    let max = connection.shared.config.jute_max_buffer;
    loop {
        // A frame of that length there is none.
        if connection.input.starts_with(&[HANDSHAKE_RECORD, 3]) {
            return Err(End::Tls);
        }
        if let Some(packet) = frame::first_packet(&mut connection.input, max)? {
            return Ok(packet);
        }
        match connection.stream.read_buf(&mut connection.input).await? {
            0 => return Err(End::Eof),
            bytes => {
                let metrics = &connection.shared.stats.metrics;
                metrics.bytes_received_count.add(bytes);
            }
        }
    }
}

/// The session, or `None` when the connection asked for something else.
async fn establish(connection: &mut Connection) -> Result<Option<SessionId>, End> {
    let frame = match first_packet(connection).await? {
        FirstPacket::Frame(frame) => frame,
        FirstPacket::FourLetterWord(command) => {
            let answer = {
                let secure = connection.conn.secure;
                fourletter::answer(&connection.shared, command, secure).await
            };
            send(&mut connection.stream, &answer).await?;
            let _already_gone = connection.stream.shutdown().await;
            return Ok(None);
        }
    };
    let request: ConnectRequest<'_> = decode_all(&frame).map_err(End::Header)?;
    if !ask(connection, &request)? {
        return Ok(None);
    }
    settle(connection, request.read_only).await
}

/// Passes the request on to the core; false when it is refused without asking.
fn ask(connection: &Connection, request: &ConnectRequest<'_>) -> Result<bool, End> {
    let (shared, conn) = (&connection.shared, &connection.conn);
    conn.stats.heard_ms.store(shared.clock.mono_ms(), Relaxed);
    let asks = match request.session_id {
        0 if shared.config.session_rules() == SessionRules::Global => Asks::New,
        0 => Asks::NewLocal,
        _ => Asks::Old,
    };
    let metrics = &shared.stats.metrics;
    metrics.connection_request_count.add(1);
    if !shared.live.throttle().admit(asks, shared.clock.mono_ms()) {
        tracing::debug!(remote = %conn.remote, "too many connection attempts; turned away");
        return Err(End::Closed);
    }
    if shared.is_read_only() && request.read_only == Some(true) {
        return Ok(read_only_session(shared, conn, request));
    }
    if !shared.is_serving() || shared.is_reserved_leader() {
        tracing::debug!(remote = %conn.remote, "no leader here, or one that serves no clients; the client must try another server");
        return Err(End::Closed);
    }
    let last_zxid = shared.read_tree().last_zxid();
    if request.last_zxid_seen > last_zxid {
        tracing::info!(remote = %conn.remote, seen = request.last_zxid_seen, ours = last_zxid,
            "refusing a client that has seen a later zxid than ours; it must try another server");
        return Err(End::Closed);
    }
    let config = shared.live.load();
    let timeout_ms = request
        .time_out
        .clamp(config.min_session_timeout_ms, config.max_session_timeout_ms);
    if request.session_id == 0 {
        shared.inbox.request(Event::OpenSession {
            conn: conn.id,
            timeout_ms,
        });
        return Ok(true);
    }
    let session = SessionId(request.session_id);
    // Even before the password is looked at.
    if let Some(other) = shared.conns.of_session(session) {
        other.abort();
    }
    if password_matches(session, request.passwd) {
        metrics.connection_revalidate_count.add(1);
        shared.inbox.request(Event::ResumeSession {
            conn: conn.id,
            session,
            timeout_ms,
        });
    } else {
        tracing::warn!(remote = %conn.remote, %session, "wrong password for the session");
        conn.outbox
            .push(|out| out.established = Some((SessionId(0), 0)));
    }
    Ok(true)
}

/// Gives a session that can only read; false when the password is wrong. Whether an old session
/// is still open nobody can tell without a leader.
/// Source: `ReadOnlyZooKeeperServer`, `ZooKeeperServer.reopenSession`.
fn read_only_session(shared: &Shared, conn: &Conn, request: &ConnectRequest<'_>) -> bool {
    let config = shared.live.load();
    let timeout_ms = request
        .time_out
        .clamp(config.min_session_timeout_ms, config.max_session_timeout_ms);
    let session = match request.session_id {
        0 => shared.local_session(),
        id => SessionId(id),
    };
    if request.session_id != 0 && !password_matches(session, request.passwd) {
        conn.outbox
            .push_and_wake(|out| out.established = Some((SessionId(0), 0)));
        return true;
    }
    conn.stats.read_only.store(true, Relaxed);
    shared.conns.bind(session, conn, timeout_ms);
    conn.outbox
        .push_and_wake(|out| out.established = Some((session, timeout_ms)));
    true
}

/// Waits for the core and answers the client.
async fn settle(
    connection: &mut Connection,
    read_only: Option<bool>,
) -> Result<Option<SessionId>, End> {
    loop {
        connection.conn.outbox.ready().await;
        let mut outgoing = std::mem::take(&mut connection.outgoing);
        connection.conn.outbox.take(&mut outgoing);
        if outgoing.abort {
            return Err(End::Closed);
        }
        let Some((session, timeout_ms)) = outgoing.established.take() else {
            continue;
        };
        let accepted = (timeout_ms > 0).then_some((session, timeout_ms));
        let mut frame = Vec::with_capacity(64);
        // Only a client that knows of read-only servers is told whether this is one.
        let is_read_only = connection.conn.stats.read_only.load(Relaxed);
        reply::connect_response(&mut frame, accepted, read_only.map(|_| is_read_only));
        frame.append(&mut outgoing.bytes);
        send(&mut connection.stream, &frame).await?;
        if accepted.is_none() {
            let _already_gone = connection.stream.shutdown().await;
            return Ok(None);
        }
        return Ok(Some(session));
    }
}
