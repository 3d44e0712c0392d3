//! Owns what members' decisions do to the world.

use bytes::Bytes;
use menagerie_core::effect::{Effect, Effects};
use menagerie_core::event::Event;
use menagerie_core::ids::{ConnId, SessionId, Sid};
use menagerie_core::zab::packet::Packet;

use super::{Happening, SESSION_MS, World};
use crate::check::Violation;
use crate::disk::Task;
use crate::node::Answer;

impl World {
    pub(super) fn carry_out(&mut self, sid: Sid, effects: Effects) -> Result<(), Violation> {
        if let Some(configs) = effects.configs {
            self.enqueue(sid, Task::Configs(configs));
        }
        if !effects.log.ends.is_empty() {
            self.checker.logged(sid, effects.log.entries())?;
            let entries = effects.log.entries();
            let entries = entries.map(|(zxid, bytes)| (zxid, Bytes::copy_from_slice(bytes)));
            let task = Task::Append(entries.collect());
            self.enqueue(sid, task);
        }
        for effect in effects.actions {
            self.carry_out_one(sid, effect)?;
        }
        for (to, notification) in effects.votes {
            self.send_vote(sid, to, notification);
        }
        for (link, packet) in effects.packets {
            self.send(sid, link, packet);
        }
        Ok(())
    }

    fn carry_out_one(&mut self, sid: Sid, effect: Effect) -> Result<(), Violation> {
        let incarnation = self
            .machines
            .get(&sid)
            .map_or(0, |machine| machine.incarnation);
        match effect {
            Effect::Say(text) => self.say(|| format!("server {sid}: {text}")),
            Effect::Phase(phase) => {
                let Some(machine) = self.machines.get_mut(&sid) else {
                    return Ok(());
                };
                machine.serving = phase.serving;
                if let Some(running) = &machine.running
                    && phase.serving
                {
                    self.checker.serves(sid, &phase, running)?;
                }
            }
            Effect::Connect { to, port, delay_ms } => {
                let what = Happening::Connect(sid, incarnation, (to, port), 0);
                self.at(delay_ms, what);
            }
            Effect::CloseLink { link, reason } => {
                self.say(|| format!("server {sid} closes link {}: {reason}", link.0));
                self.break_link(link, Some(sid));
            }
            Effect::CloseConns(conns) => {
                for conn in conns {
                    self.detach(sid, conn);
                }
            }
            Effect::CloseAllConns { .. } => {
                let at = self.conns_at(sid);
                for conn in at {
                    self.detach(sid, conn);
                }
            }
            Effect::RegainVote => self.enqueue(sid, Task::RegainVote),
            Effect::PersistEpoch { kind, epoch } => self.enqueue(sid, Task::Epoch(kind, epoch)),
            Effect::Truncate { zxid, reload } => {
                self.finish_saving(sid);
                self.enqueue(sid, Task::Truncate(zxid, reload));
            }
            Effect::InstallSnapshot { link, .. } => {
                self.finish_saving(sid);
                let running = self.machines.get_mut(&sid).and_then(|m| m.running.as_mut());
                if let Some(snapshot) = running.and_then(|r| r.parked.remove(&link)) {
                    self.enqueue(sid, Task::Install(snapshot));
                }
            }
            Effect::ReadLog { link, from, upto } => {
                // Sometimes a snapshot is smaller.
                let wanted = self.rng.bool();
                let machine = self.machines.get(&sid).filter(|_| wanted);
                let entries = machine.and_then(|machine| machine.disk.read(from, upto));
                let delay = self.rng.i64(0..200);
                let event = Event::LogRead { link, entries };
                self.at(delay, Happening::Tell(sid, incarnation, event));
            }
            Effect::AnswerPing {
                link,
                zxid,
                mut touched,
            } => {
                let running = self.machines.get(&sid).and_then(|m| m.running.as_ref());
                // The leader makes nothing of local sessions.
                let own = running.into_iter().flat_map(|running| {
                    let all = running.member.replica().all_sessions();
                    let conns = running.conns.values();
                    conns.filter(|session| !all.is_local(**session))
                });
                touched.extend(own.map(|session| (*session, SESSION_MS)));
                let touched = Some(touched);
                self.send(sid, link, Packet::Ping { zxid, touched });
            }
            Effect::SaveSnapshot => self.save_snapshot(sid),
            Effect::SessionOpened { conn, session, .. } => {
                self.report.local += 1;
                self.say(|| format!("server {sid} opens {session} for {conn}"));
                self.attach(sid, conn, session);
                self.hear(conn, Answer::Session(session));
            }
            Effect::SessionResumed {
                conn,
                session,
                timeout_ms,
            } => {
                if timeout_ms.is_some() {
                    self.check_resumed(sid, conn)?;
                    self.attach(sid, conn, session);
                    self.hear(conn, Answer::Session(session));
                } else {
                    self.hear(conn, Answer::Session(SessionId(0)));
                }
            }
            Effect::Dropped { conn } => self.detach(sid, conn),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn conns_at(&self, sid: Sid) -> Vec<ConnId> {
        let here = self.clients.iter().filter_map(|client| client.at);
        here.filter(|(at, _)| *at == sid)
            .map(|(_, conn)| conn)
            .collect()
    }

    pub(super) fn detach(&mut self, sid: Sid, conn: ConnId) {
        if let Some(running) = self.machines.get_mut(&sid).and_then(|m| m.running.as_mut()) {
            running.conns.remove(&conn);
            running.watches.remove_conn(conn);
        }
        self.hear(conn, Answer::Closed);
    }
}
