//! Owns the clients: what they ask for, what they may see, and when they move.

use menagerie_core::event::{Event, Request};
use menagerie_core::ids::{ConnId, Cxid, SessionId, Sid, Zxid};
use menagerie_wire::client::{CreateRequest, PathRequest, PathWatchRequest, SetDataRequest};
use menagerie_wire::data::Acl;
use menagerie_wire::jute;
use menagerie_wire::op::{ErrorCode, op_code};

use super::{Client, Happening, InFlight, Op, World};
use crate::check::Violation;
use crate::node::Answer;

impl World {
    pub(super) fn check_answer(&mut self, conn: ConnId, answer: &Answer) -> Result<(), Violation> {
        let Answer::Done {
            cxid, zxid, err, ..
        } = answer
        else {
            return Ok(());
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
        if *zxid < client.last_zxid {
            return Err(format!(
                "session order: {zxid} behind {}, which the client has seen",
                client.last_zxid
            ));
        }
        client.last_zxid = *zxid;
        match request.op {
            Op::Create | Op::Write if *err == ErrorCode::Ok => {
                if *zxid <= request.floor {
                    return Err(format!(
                        "linearizability: a write sent after {} was acknowledged got {zxid}",
                        request.floor
                    ));
                }
                self.acknowledged = self.acknowledged.max(*zxid);
                self.report.acknowledged += 1;
                self.checker.acknowledged(*zxid)?;
            }
            Op::Sync => client.synced_to = client.synced_to.max(request.floor),
            Op::Read => {
                self.report.reads += 1;
                if *zxid < client.synced_to {
                    return Err(format!(
                        "sync: a read behind a sync that had to show {} shows {zxid}",
                        client.synced_to
                    ));
                }
            }
            _ => {}
        }
        Ok(())
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
                client.established = true;
            }
            Answer::Closed => {
                if !client.established {
                    client.session = None;
                }
                client.at = None;
                client.established = false;
                client.in_flight.clear();
                client.synced_to = Zxid(0);
            }
            Answer::Done { .. } => {}
        }
    }

    pub(super) fn act(&mut self, index: usize) -> Result<(), Violation> {
        let delay = self.rng.i64(1..60);
        self.at(delay, Happening::Act(index));
        let client = &self.clients[index];
        let Some((sid, conn)) = client.at else {
            return self.client_connects(index);
        };
        if self.rng.u16(..400) == 0 {
            // It moves to another server.
            self.detach(sid, conn);
            return Ok(());
        }
        if !client.established || client.in_flight.len() >= 4 {
            return Ok(());
        }
        let Some(session) = client.session else {
            return Ok(());
        };
        let key = format!("/k{}", self.rng.u8(..3));
        let (op, code, body) = match self.rng.u8(..10) {
            0 => {
                let request = CreateRequest {
                    path: Some(key.into()),
                    data: Some(b"new"),
                    acl: Some(vec![Acl::new(31, "world", "anyone")]),
                    flags: i32::from(self.rng.u8(..4) == 0),
                };
                (Op::Create, op_code::CREATE, jute::to_vec(&request))
            }
            1..=5 => {
                let data = format!("{index}-{}", client.writes);
                let request = SetDataRequest {
                    path: Some(key.into()),
                    data: Some(data.as_bytes()),
                    version: -1,
                };
                (Op::Write, op_code::SET_DATA, jute::to_vec(&request))
            }
            6 => {
                let path = Some("/".into());
                (Op::Sync, op_code::SYNC, jute::to_vec(&PathRequest { path }))
            }
            _ => {
                let request = PathWatchRequest {
                    path: Some(key.into()),
                    watch: false,
                };
                (Op::Read, op_code::GET_DATA, jute::to_vec(&request))
            }
        };
        let floor = self.acknowledged;
        let client = &mut self.clients[index];
        client.cxid += 1;
        client.writes += 1;
        let cxid = Cxid(client.cxid);
        client.in_flight.push_back(InFlight { cxid, op, floor });
        if self.plan.verbose {
            println!(
                "{:>7} client {index} at {sid}: {cxid} operation {code}",
                self.now
            );
        }
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
        if machine.paused_until > self.now || client.last_zxid > Zxid(running.tree.last_zxid()) {
            return Ok(());
        }
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        let timeout_ms = 4000;
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
