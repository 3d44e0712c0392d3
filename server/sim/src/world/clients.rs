//! Owns the clients: what they ask for, what they may see, and when they move.

use menagerie_core::event::{Event, Request};
use menagerie_core::ids::{ConnId, Cxid, SessionId, Sid, Zxid};
use menagerie_wire::client::{CreateRequest, PathRequest, PathWatchRequest, SetDataRequest};
use menagerie_wire::data::Acl;
use menagerie_wire::jute;
use menagerie_wire::op::{ErrorCode, op_code};

use super::{Client, Happening, InFlight, SESSION_MS, World};
use crate::check::Violation;
use crate::check::linearizability::{Answered, Asked};
use crate::check::session_order::SessionOrder;
use crate::node::Answer;

impl World {
    pub(super) fn check_answer(&mut self, conn: ConnId, answer: &Answer) -> Result<(), Violation> {
        let (cxid, zxid, err, data) = match answer {
            Answer::Done {
                cxid,
                zxid,
                err,
                data,
            } => (cxid, zxid, err, data),
            Answer::Event(path) => return self.check_event(conn, path),
            _ => return Ok(()),
        };
        let of = |client: &&mut Client| client.at.is_some_and(|(_, at)| at == conn);
        let Some(client) = self.clients.iter_mut().find(of) else {
            return Ok(());
        };
        let Some(request) = client.in_flight.pop_front() else {
            return Err(format!("FIFO: a reply to {cxid} that nobody waits for"));
        };
        if request.cxid != *cxid {
            return Err(format!(
                "FIFO: a reply to {cxid} instead of {request:?}; then come {:?}; client {:?} of {:?}",
                client.in_flight, client.at, client.session
            ));
        }
        client.order.replied(*zxid)?;
        match &request.asked {
            Asked::Create(..) | Asked::Write(..) | Asked::Reconfig if *err == ErrorCode::Ok => {
                SessionOrder::wrote(*zxid, request.floor)?;
                self.acknowledged = self.acknowledged.max(*zxid);
                self.report.acknowledged += 1;
                self.report.reconfigurations +=
                    usize::from(matches!(request.asked, Asked::Reconfig));
                self.checker.acknowledged(*zxid)?;
            }
            Asked::Sync => client.order.synced(request.floor),
            Asked::Read(path, watch) => {
                self.report.reads += 1;
                client.order.read(*zxid)?;
                if [ErrorCode::Ok, ErrorCode::NoNode].contains(err) {
                    let changed = data.as_ref().map(|(_, changed)| *changed);
                    client.watches.read(path, changed, *watch)?;
                }
            }
            _ => {}
        }
        let ephemeral = request.ephemeral;
        self.answered.push(Answered {
            session: client.session.unwrap_or_default(),
            cxid: *cxid,
            asked: request.asked,
            zxid: *zxid,
            err: *err,
            data: data.clone().map(|(data, _)| data),
        });
        self.check_error(ephemeral, *err)
    }

    fn check_event(&mut self, conn: ConnId, path: &str) -> Result<(), Violation> {
        let of = |client: &&mut Client| client.at.is_some_and(|(_, at)| at == conn);
        let Some(client) = self.clients.iter_mut().find(of) else {
            return Ok(());
        };
        self.report.events += 1;
        client.watches.fired(path)
    }

    pub(super) fn hear(&mut self, conn: ConnId, answer: Answer) {
        let of = |client: &Client| client.at.is_some_and(|(_, at)| at == conn);
        let Some(index) = self.clients.iter().position(of) else {
            return;
        };
        let client = &mut self.clients[index];
        match answer {
            Answer::Session(SessionId(0)) => {
                self.report.expired += 1;
                *client = Client {
                    cxid: client.cxid,
                    ..Client::default()
                };
            }
            Answer::Session(session) => {
                client.session = Some(session);
                client.home = client.home.or(client.at.map(|(sid, _)| sid));
                client.established = true;
            }
            Answer::Closed => {
                if !client.established || client.closing {
                    client.session = None;
                    (client.home, client.wants_ephemerals) = (None, false);
                }
                client.at = None;
                client.established = false;
                client.closing = false;
                client.in_flight.clear();
                client.order.disconnected();
                client.watches.disconnected();
            }
            Answer::Done { .. } | Answer::Event(_) => {}
        }
    }

    pub(super) fn act(&mut self, index: usize) -> Result<(), Violation> {
        let delay = self.rng.i64(1..60);
        self.at(delay, Happening::Act(index));
        let client = &self.clients[index];
        if client.silent_until > self.now {
            return Ok(());
        }
        let Some((sid, conn)) = client.at else {
            return self.client_connects(index);
        };
        match self.rng.u16(..800) {
            // It moves to another server.
            0 | 1 => {
                self.detach(sid, conn);
                return Ok(());
            }
            // It is not heard of for so long that it may lose its session.
            2 => {
                self.detach(sid, conn);
                self.clients[index].silent_until = self.now + self.rng.i64(1000..12_000);
                return Ok(());
            }
            _ => {}
        }
        let client = &self.clients[index];
        if !client.established || client.closing || client.in_flight.len() >= 4 {
            return Ok(());
        }
        let Some(session) = client.session else {
            return Ok(());
        };
        let (asked, code, body) = self.request(index, sid);
        let floor = self.acknowledged;
        let client = &mut self.clients[index];
        client.cxid += 1;
        client.writes += 1;
        client.closing = asked == Asked::Close;
        // The flags come last.
        let ephemeral = code == op_code::CREATE && body.ends_with(&1_i32.to_be_bytes());
        client.wants_ephemerals |= ephemeral;
        let cxid = Cxid(client.cxid);
        let in_flight = InFlight {
            cxid,
            asked,
            ephemeral,
            floor,
        };
        if self.plan.verbose {
            println!(
                "{:>7} client {index} at {sid}: {cxid} {:?}",
                self.now, in_flight.asked
            );
        }
        client.in_flight.push_back(in_flight);
        let request = Request {
            conn: Some(conn),
            session,
            cxid,
            op: code,
            body: body.into(),
            auth: std::sync::Arc::from([]),
        };
        self.tell(sid, Event::Request(request))
    }

    /// What a client wants next: the request, its code and its body.
    fn request(&mut self, index: usize, sid: Sid) -> (Asked, i32, Vec<u8>) {
        let key = format!("/k{}", self.rng.u8(..3));
        let path = Some(key.as_str().into());
        if self.reconfigures > 0 && self.rng.u8(..self.reconfigures) == 0 {
            return (
                Asked::Reconfig,
                op_code::RECONFIG,
                self.random_reconfig(sid),
            );
        }
        if self.rng.u16(..600) == 0 {
            return (Asked::Close, op_code::CLOSE_SESSION, Vec::new());
        }
        // Now and then longer than a sector of the disk.
        let mut data = format!("{index}-{}", self.clients[index].writes).into_bytes();
        if self.rng.u8(..10) == 0 {
            data.resize(self.rng.usize(data.len()..1500), b'+');
        }
        match self.rng.u8(..10) {
            0 => {
                let request = CreateRequest {
                    path,
                    data: Some(&data),
                    acl: Some(vec![Acl::new(31, "world", "anyone")]),
                    flags: i32::from(self.rng.u8(..4) == 0),
                };
                let body = jute::to_vec(&request);
                (Asked::Create(key, data), op_code::CREATE, body)
            }
            1..=5 => {
                let request = SetDataRequest {
                    path,
                    data: Some(&data),
                    version: -1,
                };
                let body = jute::to_vec(&request);
                (Asked::Write(key, data), op_code::SET_DATA, body)
            }
            6 => {
                let path = Some("/".into());
                (
                    Asked::Sync,
                    op_code::SYNC,
                    jute::to_vec(&PathRequest { path }),
                )
            }
            _ => {
                let watch = self.rng.u8(..3) == 0;
                let body = jute::to_vec(&PathWatchRequest { path, watch });
                (Asked::Read(key, watch), op_code::GET_DATA, body)
            }
        }
    }

    pub(super) fn tell(&mut self, sid: Sid, event: Event) -> Result<(), Violation> {
        let incarnation = self
            .machines
            .get(&sid)
            .map_or(0, |machine| machine.incarnation);
        self.happen(Happening::Tell(sid, incarnation, event))
    }

    pub(super) fn client_connects(&mut self, index: usize) -> Result<(), Violation> {
        let sids: Vec<Sid> = self.machines.keys().copied().collect();
        let sid = sids[self.rng.usize(..sids.len())];
        let client = &self.clients[index];
        let Some(machine) = self.machines.get(&sid) else {
            return Ok(());
        };
        let Some(running) = machine.running.as_ref().filter(|_| machine.serving) else {
            return Ok(());
        };
        if machine.paused_until > self.now || client.order.last() > Zxid(running.tree.last_zxid()) {
            return Ok(());
        }
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        let timeout_ms = SESSION_MS;
        let session = client.session;
        let client = &mut self.clients[index];
        client.at = Some((sid, conn));
        client.established = false;
        let event = match session {
            Some(session) => {
                // The session must survive a refusal to be closed.
                client.established = true;
                Event::ResumeSession {
                    conn,
                    session,
                    timeout_ms,
                }
            }
            None => Event::OpenSession { conn, timeout_ms },
        };
        self.tell(sid, event)
    }
}
