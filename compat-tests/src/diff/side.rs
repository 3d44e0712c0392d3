//! Owns one server's half of a differential test: its connections, and what it answered to a step
//! in comparable form. Must not know the other half.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use menagerie_wire::client::{ConnectRequest, CreateRequest, ReplyHeader, RequestHeader};
use menagerie_wire::data::Acl;
use menagerie_wire::jute::{decode_prefix, to_vec};
use menagerie_wire::op::{ErrorCode, op_code, xid};

use super::canon::Names;
use super::step::{Connect, Damage, Place, Request, Step};
use crate::raw::{Incoming, Raw};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// Connections a sequence may have at a time.
pub(crate) const SLOTS: usize = 4;

/// A connection and the session it has or had.
#[derive(Debug, Default)]
struct Slot {
    raw: Option<Raw>,
    session: Option<(i64, Vec<u8>)>,
    /// Operations whose replies are outstanding.
    pending: VecDeque<i32>,
    next_xid: i32,
    /// Whether a connect request is under way.
    connecting: bool,
}

/// What came of a step, connection by connection.
pub(crate) type Observed = Vec<(usize, Vec<String>)>;

/// One server's half of a sequence.
#[derive(Debug)]
pub(crate) struct Side {
    address: SocketAddr,
    root: String,
    names: Names,
    slots: Vec<Slot>,
    /// Every session there has been, so that none is left to expire.
    sessions: Vec<(i64, Vec<u8>)>,
}

impl Side {
    /// Creates the sequence's root node on the server.
    pub(crate) fn new(address: SocketAddr, root: &str) -> Result<Self> {
        let (mut admin, _) = Raw::session(address, 30_000)?;
        let create = CreateRequest {
            path: Some(root.into()),
            data: Some(b"root"),
            acl: Some(vec![Acl::new(31, "world", "anyone")]),
            flags: 0,
        };
        let (header, _) = admin.call(op_code::CREATE, &create)?;
        ensure!(header.err == 0, "cannot create {root}: {}", header.err);
        admin.close_session()?;
        Ok(Self {
            address,
            root: root.to_owned(),
            names: Names::new(root, header.zxid + 1),
            slots: (0..SLOTS).map(|_| Slot::default()).collect(),
            sessions: Vec::new(),
        })
    }

    /// Sends what the step sends; [`Self::collect`] gathers the answers.
    pub(crate) fn begin(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Connect(slot, how) => {
                let request = self.connect_request(*slot, how);
                let Some((request, passwd)) = request else {
                    return Ok(());
                };
                let raw = Raw::open(self.address)?;
                let slot = self.slot(*slot)?;
                if let Some(old) = slot.raw.replace(raw) {
                    old.abandon();
                }
                slot.pending.clear();
                slot.next_xid = 1;
                slot.connecting = true;
                let request = ConnectRequest {
                    passwd: passwd.as_deref(),
                    ..request
                };
                if let Some(raw) = &mut slot.raw {
                    raw.send(&to_vec(&request));
                }
            }
            Step::Drop(slot) => {
                if let Some(raw) = self.slot(*slot)?.raw.take() {
                    raw.abandon();
                }
            }
            Step::Send(slot, requests) => self.send(*slot, requests)?,
        }
        Ok(())
    }

    fn slot(&mut self, index: usize) -> Result<&mut Slot> {
        self.slots.get_mut(index).context("no such slot")
    }

    /// The request without its password, and the password; `None` when there is no session to
    /// resume.
    fn connect_request(
        &self,
        slot: usize,
        how: &Connect,
    ) -> Option<(ConnectRequest<'static>, Option<Vec<u8>>)> {
        let mut request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            time_out: 30_000,
            session_id: 0,
            passwd: None,
            read_only: Some(false),
        };
        let passwd = match how {
            Connect::New {
                time_out,
                read_only,
                passwd,
            } => {
                request.time_out = *time_out;
                request.read_only = *read_only;
                usize::try_from(*passwd).ok().map(|n| vec![0; n])
            }
            Connect::Resume { right, read_only } => {
                let (id, passwd) = self.slots.get(slot)?.session.clone()?;
                request.session_id = id;
                request.read_only = *read_only;
                request.last_zxid_seen = self.names.last_zxid;
                Some(if *right { passwd } else { vec![7; 16] })
            }
            Connect::Future => {
                request.last_zxid_seen = self.names.last_zxid + 1_000_000;
                Some(vec![0; 16])
            }
        };
        Some((request, passwd))
    }

    fn send(&mut self, slot: usize, requests: &[Request]) -> Result<()> {
        let place = Place {
            root: &self.root,
            zxid: self.names.last_zxid,
        };
        let slot = self.slots.get_mut(slot).context("no such slot")?;
        let Some(raw) = &mut slot.raw else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        for request in requests {
            let xid = request.fixed_xid().unwrap_or(slot.next_xid);
            slot.next_xid += 1;
            bytes.extend(request.frame(xid, place));
            slot.pending.push_back(request.op);
        }
        raw.send_bytes(&bytes);
        Ok(())
    }

    /// Waits for the answers to the step and for what else it caused on any connection.
    pub(crate) fn collect(&mut self, step: &Step) -> Result<Observed> {
        let mut observed = Vec::new();
        match step {
            Step::Connect(slot, _) => {
                let line = self.connected(*slot)?;
                observed.push((*slot, line.into_iter().collect()));
            }
            Step::Drop(_) => {}
            Step::Send(slot, requests) => {
                // A lone length has no reply; the ping behind it shows what it did.
                let replies = !requests
                    .iter()
                    .any(|r| matches!(r.damage, Damage::Frame(_)));
                if replies {
                    let lines = self.replies(*slot)?;
                    observed.push((*slot, lines));
                }
            }
        }
        self.flush(&mut observed)?;
        if closes(step) {
            for (_, lines) in &mut observed {
                sort_events(lines);
            }
        }
        Ok(observed)
    }

    fn connected(&mut self, index: usize) -> Result<Option<String>> {
        let slot = self.slots.get_mut(index).context("no such slot")?;
        let Some(raw) = &mut slot.raw else {
            return Ok(None);
        };
        if !std::mem::take(&mut slot.connecting) {
            // A resume without a session sent nothing.
            return Ok(None);
        }
        let line = match raw.receive(ANSWER) {
            Incoming::Frame(frame) => {
                let granted = Raw::granted(&frame)?;
                let name = if granted.session_id == 0 {
                    "none".to_owned()
                } else {
                    let session = (granted.session_id, granted.passwd.clone());
                    if !self.sessions.contains(&session) {
                        self.sessions.push(session.clone());
                    }
                    slot.session = Some(session);
                    self.names.session(granted.session_id)
                };
                let zero = granted.passwd.iter().all(|b| *b == 0);
                format!(
                    "session {name} time-out {} password {} {} read-only {:?} length {}",
                    granted.time_out,
                    granted.passwd.len(),
                    if zero { "zeros" } else { "given" },
                    granted.read_only,
                    granted.length
                )
            }
            Incoming::Closed => {
                slot.raw = None;
                "closed".to_owned()
            }
            Incoming::Silence => "silence".to_owned(),
        };
        Ok(Some(line))
    }

    fn replies(&mut self, index: usize) -> Result<Vec<String>> {
        let slot = self.slots.get_mut(index).context("no such slot")?;
        let mut lines = Vec::new();
        while let Some(op) = slot.pending.front().copied() {
            let Some(raw) = &mut slot.raw else { break };
            match raw.receive(ANSWER) {
                Incoming::Frame(frame) => {
                    if !is_event(&frame) {
                        slot.pending.pop_front();
                    }
                    lines.push(self.names.frame(&frame, op));
                    if ends(&frame, op) {
                        slot.pending.clear();
                        let end = raw.receive(ANSWER);
                        lines.push(format!("then {end:?}"));
                        if end == Incoming::Closed {
                            slot.raw = None;
                        }
                    }
                }
                Incoming::Closed => {
                    slot.raw = None;
                    lines.push("closed".to_owned());
                }
                Incoming::Silence => {
                    slot.pending.clear();
                    lines.push("silence".to_owned());
                }
            }
        }
        Ok(lines)
    }

    /// Pings every connection: what the step caused there comes before the answer.
    fn flush(&mut self, observed: &mut Observed) -> Result<()> {
        let ping = to_vec(&RequestHeader {
            xid: xid::PING,
            op: op_code::PING,
        });
        for slot in &mut self.slots {
            if let Some(raw) = &mut slot.raw {
                raw.send(&ping);
            }
        }
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let mut lines = Vec::new();
            slot.pending.clear();
            while let Some(raw) = &mut slot.raw {
                match raw.receive(ANSWER) {
                    Incoming::Frame(frame) => {
                        lines.push(self.names.frame(&frame, op_code::PING));
                        if !is_event(&frame) {
                            break;
                        }
                    }
                    Incoming::Closed => {
                        slot.raw = None;
                        lines.push("closed".to_owned());
                    }
                    Incoming::Silence => {
                        lines.push("silence".to_owned());
                        break;
                    }
                }
            }
            if !lines.is_empty() {
                observed.push((index, lines));
            }
        }
        Ok(())
    }

    /// Ends every session, so that nothing happens behind the next sequence's back.
    pub(crate) fn finish(mut self) -> Result<Names> {
        for slot in &mut self.slots {
            if let Some(raw) = slot.raw.take() {
                raw.abandon();
            }
        }
        for (id, passwd) in self.sessions {
            let (raw, granted) = Raw::resume(self.address, id, &passwd)?;
            if granted.is_some_and(|g| g.session_id == id) {
                raw.close_session()?;
            }
        }
        Ok(self.names)
    }
}

/// Whether the server closes the connection behind this reply, which takes it a moment: a ping
/// sent too early could be answered still.
fn ends(frame: &[u8], op: i32) -> bool {
    let Ok((header, _)) = decode_prefix::<ReplyHeader>(frame) else {
        return false;
    };
    let refused = header.err == ErrorCode::AuthFailed.0
        || (header.err == ErrorCode::Unimplemented.0 && header.zxid == -1);
    header.xid != xid::NOTIFICATION
        && (refused || (op == op_code::CLOSE_SESSION && header.err == 0))
}

/// Whether the step ends a session, whose ephemerals go in the order of a Java `HashSet`
/// (`DataTree.killSession`): the order of their events says nothing.
fn closes(step: &Step) -> bool {
    matches!(step, Step::Send(_, requests) if requests.iter().any(|r| r.op == op_code::CLOSE_SESSION))
}

fn sort_events(lines: &mut [String]) {
    for run in lines.chunk_by_mut(|a, b| a.starts_with("EVENT") && b.starts_with("EVENT")) {
        run.sort();
    }
}

fn is_event(frame: &[u8]) -> bool {
    decode_prefix::<ReplyHeader>(frame).is_ok_and(|(h, _)| h.xid == xid::NOTIFICATION)
}

/// All lines, each with its connection.
pub(crate) fn flat(observed: &Observed) -> Vec<String> {
    let lines = observed
        .iter()
        .flat_map(|(slot, lines)| lines.iter().map(move |l| format!("connection {slot}: {l}")));
    lines.collect()
}

/// What two halves of a step observed where they differ; `None` when they agree.
pub(crate) fn difference(one: &Observed, two: &Observed) -> Option<(Vec<String>, Vec<String>)> {
    (one != two).then(|| (flat(one), flat(two)))
}
