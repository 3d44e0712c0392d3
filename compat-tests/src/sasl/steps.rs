//! Owns the steps of a conversation and what is written down of it: errors, tokens and the ends of
//! connections, without what is random. Must not judge.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use menagerie_wire::client::{
    AuthPacket, PathRequest, ReplyHeader, RequestHeader, SaslToken, WhoAmIResponse,
};
use menagerie_wire::data::Acl;
use menagerie_wire::jute::{append, decode_all, decode_prefix, to_vec};
use menagerie_wire::op::{op_code, xid};

use super::answer::{Answer, nonce};
use crate::populate::create_request;
use crate::raw::{Incoming, REPLY, Raw};

/// How long a connection is watched for an end that may not come.
const QUIET: Duration = Duration::from_millis(400);

/// A connection at a time to one server, and all that was seen.
pub(super) struct Steps {
    address: SocketAddr,
    connection: Option<Raw>,
    /// A line for each step.
    pub(super) seen: Vec<String>,
    /// The last challenge.
    challenge: String,
}

impl Steps {
    pub(super) const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connection: None,
            seen: Vec::new(),
            challenge: String::new(),
        }
    }

    fn note(&mut self, line: String) {
        self.seen.push(line);
    }

    /// Another connection and session.
    pub(super) fn connect(&mut self) -> Result<()> {
        self.connection = None;
        let (raw, granted) = Raw::session(self.address, 10_000)?;
        self.connection = Some(raw);
        self.note(format!("session of {} ms", granted.time_out));
        Ok(())
    }

    fn raw(&mut self) -> Result<&mut Raw> {
        self.connection.as_mut().context("not connected")
    }

    /// Sends a request; the reply's header and body, or how the connection ended.
    fn ask(&mut self, op: i32, body: &[u8]) -> Result<Result<(ReplyHeader, Vec<u8>), String>> {
        let raw = self.raw()?;
        let xid = if op == op_code::PING {
            xid::PING
        } else {
            raw.take_xid()
        };
        let mut frame = to_vec(&RequestHeader { xid, op });
        frame.extend_from_slice(body);
        raw.send(&frame);
        let frame = match raw.receive(REPLY) {
            Incoming::Frame(frame) => frame,
            other => return Ok(Err(format!("{other:?}"))),
        };
        let (header, rest) = decode_prefix::<ReplyHeader>(&frame)
            .map_err(|error| anyhow::anyhow!("reply header: {error}"))?;
        let body = rest.to_vec();
        anyhow::ensure!(header.xid == xid, "xid {} for {xid}", header.xid);
        Ok(Ok((header, body)))
    }

    /// Whether the server closes now.
    fn fate(&mut self) -> Result<&'static str> {
        Ok(match self.raw()?.receive(QUIET) {
            Incoming::Closed => "closed",
            Incoming::Silence => "open",
            Incoming::Frame(_) => "one more frame",
        })
    }

    /// Sends a token, null if none, and notes what comes.
    pub(super) fn token(&mut self, what: &str, token: Option<&[u8]>) -> Result<()> {
        let body = to_vec(&SaslToken { token });
        let answer = self.ask(op_code::SASL, &body)?;
        let line = match answer {
            Err(end) => end,
            Ok((header, body)) => {
                let token = decode_all::<SaslToken<'_>>(&body)
                    .map_err(|error| anyhow::anyhow!("token: {error}"))?
                    .token
                    .map(|token| String::from_utf8_lossy(token).into_owned());
                let shown = self.shown(token)?;
                let ReplyHeader { zxid, err, .. } = header;
                let fate = if err == 0 { "" } else { self.fate()? };
                format!("error {err} zxid {zxid} token {shown} {fate}")
            }
        };
        self.note(format!("token {what}: {line}"));
        Ok(())
    }

    /// A token without what is random in it.
    fn shown(&mut self, token: Option<String>) -> Result<String> {
        let Some(token) = token else {
            return Ok("null".to_owned());
        };
        if token.contains("nonce=") {
            let random = nonce(&token)?.to_owned();
            let shown = token.replace(&random, &format!("{} characters", random.len()));
            self.challenge = token;
            return Ok(shown);
        }
        Ok(token)
    }

    /// Asks for a challenge and answers it as `change` would have it.
    pub(super) fn log_in(
        &mut self,
        what: &str,
        (user, password): (&str, &str),
        change: impl FnOnce(&mut Answer),
    ) -> Result<()> {
        self.connect()?;
        self.token("empty", Some(b""))?;
        if self.challenge.is_empty() {
            return Ok(());
        }
        let challenge = std::mem::take(&mut self.challenge);
        let mut answer = Answer::new(&challenge, user, password)?;
        change(&mut answer);
        self.token(what, Some(answer.token().as_bytes()))?;
        let proof = answer.proof();
        if let Some(last) = self.seen.last_mut() {
            *last = last.replace(&proof, "the proof expected");
        }
        Ok(())
    }

    /// Notes who the server thinks this is.
    pub(super) fn who_am_i(&mut self) -> Result<()> {
        let line = match self.ask(op_code::WHO_AM_I, b"")? {
            Err(end) => end,
            Ok((header, body)) if header.err == 0 => {
                let response = decode_all::<WhoAmIResponse<'_>>(&body)
                    .map_err(|error| anyhow::anyhow!("whoAmI: {error}"))?;
                let infos = response.client_info.unwrap_or_default();
                let mut names: Vec<String> = infos
                    .iter()
                    .map(|info| format!("{:?}:{:?}", info.auth_scheme, info.user))
                    .collect();
                names.sort();
                names.join(" ")
            }
            Ok((header, _)) => format!("error {} {}", header.err, self.fate()?),
        };
        self.note(format!("who am I: {line}"));
        Ok(())
    }

    /// Notes the error of a request, and how the connection fares after an error.
    fn error_of(&mut self, what: &str, op: i32, body: &[u8]) -> Result<()> {
        let line = match self.ask(op, body)? {
            Err(end) => end,
            Ok((header, _)) if header.err == 0 => "fine".to_owned(),
            Ok((header, body)) => {
                let zxid = if header.zxid == 0 { " zxid 0" } else { "" };
                let body = body.len();
                format!("error {}{zxid} body {body} {}", header.err, self.fate()?)
            }
        };
        self.note(format!("{what}: {line}"));
        Ok(())
    }

    pub(super) fn ping(&mut self) -> Result<()> {
        self.error_of("ping", op_code::PING, b"")
    }

    pub(super) fn close_session(&mut self) -> Result<()> {
        self.error_of("closeSession", op_code::CLOSE_SESSION, b"")
    }

    pub(super) fn exists(&mut self, path: &str) -> Result<()> {
        let request = menagerie_wire::client::PathWatchRequest {
            path: Some(path.into()),
            watch: false,
        };
        self.error_of(
            &format!("exists {path}"),
            op_code::EXISTS,
            &to_vec(&request),
        )
    }

    pub(super) fn get(&mut self, path: &str) -> Result<()> {
        let request = menagerie_wire::client::PathWatchRequest {
            path: Some(path.into()),
            watch: false,
        };
        self.error_of(&format!("get {path}"), op_code::GET_DATA, &to_vec(&request))
    }

    pub(super) fn create(&mut self, path: &str, scheme: &str, id: &str) -> Result<()> {
        let mut request = create_request(path, Some(b"x"), 0);
        request.acl = Some(vec![Acl::new(31, scheme, id)]);
        let what = format!("create {path} for {scheme}:{id}");
        self.error_of(&what, op_code::CREATE, &to_vec(&request))
    }

    pub(super) fn acl_of(&mut self, path: &str) -> Result<()> {
        let request = PathRequest {
            path: Some(path.into()),
        };
        let line = match self.ask(op_code::GET_ACL, &to_vec(&request))? {
            Err(end) => end,
            Ok((header, body)) => {
                let acl = body
                    .get(..body.len().saturating_sub(68))
                    .unwrap_or_default();
                let acl = String::from_utf8_lossy(acl).replace('\0', "");
                format!("error {} {acl:?}", header.err)
            }
        };
        self.note(format!("ACL of {path}: {line}"));
        Ok(())
    }

    pub(super) fn auth(&mut self, scheme: &str, auth: &[u8]) -> Result<()> {
        let packet = AuthPacket {
            kind: 0,
            scheme: Some(scheme.into()),
            auth: Some(auth),
        };
        let mut body = Vec::new();
        append(&mut body, &packet);
        self.error_of(&format!("auth {scheme}"), op_code::AUTH, &body)
    }
}
