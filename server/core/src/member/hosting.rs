//! Owns a follower's part for observers that learn through it: they join its leader's epoch, take
//! over the history as far as it is committed, and get what is committed later; what they ask for
//! goes to the leader, and its answers come back the same way. May use what followers and leaders
//! share. Must not acknowledge anything: observers do not vote.
//! Source: `ObserverMaster`, `LearnerHandler`.
//!
//! Apache keeps committed packets in a cache of their own, bounded by `observerMaster.sizeLimit`, to
//! bridge what lies between a newcomer's snapshot and the present. Here the history, which has
//! everything that is not applied yet, leaves no such gap.

use std::collections::BTreeMap;

use bytes::Bytes;
use menagerie_wire::op::op_code;

use super::bring_up::{Newcomer, Way};
use super::leading::commit_packet;
use super::{Asking, Io, LearnerView, Member};
use crate::effect::Effect;
use crate::ids::{LinkId, SessionId, Sid, Zxid};
use crate::planted::Bug;
use crate::zab::packet::Packet;

/// Sessions that may wait for the leader's next ping.
const TOUCHED_MAX: usize = 1 << 20;

/// How far an observer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// It knows the epoch.
    Told,
    /// It has accepted it; its history ends there.
    Accepted(Zxid),
    /// What it lacks is being read from the log.
    Reading(Zxid),
    /// All that it needs is on its way.
    Syncing,
    /// It serves clients.
    Active,
}

#[derive(Debug)]
struct Guest {
    sid: Sid,
    progress: Progress,
    heard_ms: i64,
}

/// The observers behind a follower.
#[derive(Debug, Default)]
pub(super) struct Hosting {
    guests: BTreeMap<LinkId, Guest>,
    next_ping: i64,
    /// Sessions that observers have heard of since the leader's last ping.
    touched: BTreeMap<SessionId, i32>,
}

impl Hosting {
    pub(super) fn links(&self) -> impl Iterator<Item = LinkId> + '_ {
        self.guests.keys().copied()
    }

    pub(super) fn forget(&mut self, link: LinkId) {
        self.guests.remove(&link);
    }

    pub(super) fn heard(&mut self, link: LinkId, now: i64) {
        if let Some(guest) = self.guests.get_mut(&link) {
            guest.heard_ms = now;
        }
    }

    /// What the leader is told with the answer to its ping.
    pub(super) fn take_touched(&mut self) -> Vec<(SessionId, i32)> {
        std::mem::take(&mut self.touched).into_iter().collect()
    }

    pub(super) fn next_tick(&self) -> i64 {
        if self.guests.is_empty() {
            i64::MAX
        } else {
            self.next_ping
        }
    }

    fn views(&self) -> impl Iterator<Item = LearnerView> + '_ {
        self.guests.values().map(|guest| LearnerView {
            sid: guest.sid,
            observer: true,
            synced: guest.progress >= Progress::Syncing,
        })
    }
}

impl Member {
    /// Whether observers can learn through this server now.
    #[must_use]
    pub fn is_hosting(&self) -> bool {
        let follows = |learning: &super::Learning| !learning.observer();
        let follows = self.learning.as_ref().is_some_and(follows);
        self.config.observers.masters && follows && self.is_learning()
    }

    /// The observers that learn through this server.
    pub fn guests(&self) -> impl Iterator<Item = LearnerView> + '_ {
        let learning = self.learning.iter();
        learning.flat_map(|learning| learning.hosting.views())
    }

    fn guest(&mut self, link: LinkId) -> Option<&mut Guest> {
        let learning = self.learning.as_mut()?;
        learning.hosting.guests.get_mut(&link)
    }

    pub(super) fn host_packet(&mut self, link: LinkId, packet: Packet, io: &mut Io<'_>) {
        if let Packet::Info {
            observer,
            sid,
            config_version,
            ..
        } = packet
        {
            self.welcome(link, sid, observer, config_version, io);
            return;
        }
        let now = io.now.mono_ms;
        let Some(guest) = self.guest(link) else {
            io.close(link, format!("{packet} before it told who it is"));
            return;
        };
        guest.heard_ms = now;
        if let Err(reason) = self.serve(link, packet, io) {
            if let Some(learning) = &mut self.learning {
                learning.hosting.forget(link);
            }
            io.close(link, reason);
        }
    }

    fn welcome(
        &mut self,
        link: LinkId,
        sid: Sid,
        observer: bool,
        config_version: i64,
        io: &mut Io<'_>,
    ) {
        let ours = self.configs.committed.version();
        let refusal = if !observer {
            Some("only observers are served here".to_owned())
        } else if config_version > ours {
            let theirs = config_version;
            Some(format!(
                "server {sid} has configuration version {theirs:x}, this one only {ours:x}"
            ))
        } else if sid == self.config.me {
            Some(format!(
                "it says that it is server {sid}, which is this one"
            ))
        } else {
            None
        };
        if let Some(reason) = refusal {
            io.close(link, reason);
            return;
        }
        let (epoch, now) = (self.current_epoch, io.now.mono_ms);
        let half_tick = (self.config.tick_ms / 2).max(1);
        let Some(learning) = &mut self.learning else {
            return;
        };
        let hosting = &mut learning.hosting;
        if hosting.guests.is_empty() {
            hosting.next_ping = now + half_tick;
        }
        let same = |guest: &Guest| guest.sid == sid && sid.0 >= 0;
        let old: Vec<LinkId> = hosting
            .guests
            .iter()
            .filter(|(at, guest)| **at != link && same(guest))
            .map(|(at, _)| *at)
            .collect();
        for old in old {
            hosting.forget(old);
            io.close(old, format!("server {sid} has connected again"));
        }
        let guest = Guest {
            sid,
            progress: Progress::Told,
            heard_ms: now,
        };
        hosting.guests.insert(link, guest);
        io.send(link, Packet::LeaderInfo { epoch });
    }

    fn serve(&mut self, link: LinkId, packet: Packet, io: &mut Io<'_>) -> Result<(), String> {
        let new_leader = Zxid::first_of(self.current_epoch);
        let Some(guest) = self.guest(link) else {
            return Ok(());
        };
        match (guest.progress, packet) {
            (Progress::Told, Packet::AckEpoch { zxid, .. }) => {
                guest.progress = Progress::Accepted(zxid);
                self.host_synchronise(link, io);
                Ok(())
            }
            (Progress::Syncing, Packet::Ack(zxid)) if zxid == new_leader => {
                guest.progress = Progress::Active;
                io.send(link, Packet::UpToDate);
                Ok(())
            }
            (Progress::Active, Packet::Ack(zxid)) if zxid.counter() == 0 => Ok(()),
            (_, Packet::Ping { touched, .. }) => self.note_touched(touched.unwrap_or_default()),
            (Progress::Active, packet) => self.relay(link, packet, io),
            (progress, other) => Err(format!("an observer sent {other} when it was {progress:?}")),
        }
    }

    fn note_touched(&mut self, sessions: Vec<(SessionId, i32)>) -> Result<(), String> {
        let Some(learning) = &mut self.learning else {
            return Ok(());
        };
        let touched = &mut learning.hosting.touched;
        touched.extend(sessions);
        if touched.len() > TOUCHED_MAX {
            touched.clear();
            return Err("it has more sessions than can be told the leader of".to_owned());
        }
        Ok(())
    }

    /// What an observer asks the leader for. Source: `FollowerZooKeeperServer.processObserverRequest`,
    /// `ObserverMaster.revalidateSession`.
    fn relay(&mut self, link: LinkId, packet: Packet, io: &mut Io<'_>) -> Result<(), String> {
        let Some(learning) = self.learning.as_mut() else {
            return Ok(());
        };
        // Once the role ends, the observer has to ask again elsewhere.
        let Some(leader) = learning.link().filter(|_| self.moving.is_none()) else {
            return Ok(());
        };
        match &packet {
            Packet::Request { op, .. } if *op == op_code::SYNC => {
                if self.config.planted.has(Bug::SyncAnsweredByMaster) {
                    io.send(link, Packet::Sync);
                    return Ok(());
                }
                learning.syncs.push_back(Some(link));
            }
            Packet::Request { .. } => {}
            Packet::Revalidate {
                session,
                timeout_ms,
            } => {
                let timeout_ms = *timeout_ms;
                let asking = Asking::Observer { link, timeout_ms };
                self.resuming.entry(*session).or_default().push_back(asking);
            }
            other => return Err(format!("an observer must not send {other}")),
        }
        io.send(leader, packet);
        Ok(())
    }

    /// The leader's word on a session that an observer asked for.
    pub(super) fn pass_back(
        &mut self,
        link: LinkId,
        session: SessionId,
        timeout_ms: Option<i32>,
        io: &mut Io<'_>,
    ) {
        let valid = timeout_ms.is_some();
        io.send(link, Packet::Revalidated { session, valid });
        if let (Some(timeout_ms), Some(learning)) = (timeout_ms, &mut self.learning) {
            learning.hosting.touched.insert(session, timeout_ms);
        }
    }

    /// Sends an observer what it lacks; from here on it also gets what is new.
    fn host_synchronise(&mut self, link: LinkId, io: &mut Io<'_>) {
        let committed = self.history.committed();
        let epoch = self.current_epoch;
        let Some(guest) = self.guest(link) else {
            return;
        };
        let Progress::Accepted(last) = guest.progress else {
            return;
        };
        if last > committed && last.epoch() == epoch && last.counter() != 0 {
            // It was with someone who is ahead: this epoch's leader will commit that here too.
            return;
        }
        match self.way(last, io) {
            Way::Disk { upto } => {
                if let Some(guest) = self.guest(link) {
                    guest.progress = Progress::Reading(last);
                }
                let from = last;
                io.act(Effect::ReadLog { link, from, upto });
            }
            Way::Memory { how, from } => {
                if let Some(newcomer) = self.welcomed(link, last) {
                    self.bring_up(newcomer, how, from, io);
                }
            }
        }
    }

    /// What an observer lacks was looked for in the log on disk.
    pub(super) fn host_log_read(
        &mut self,
        link: LinkId,
        entries: Option<Vec<(Zxid, Bytes)>>,
        io: &mut Io<'_>,
    ) {
        let progress = self.guest(link).map(|guest| guest.progress);
        let Some(Progress::Reading(last)) = progress else {
            return;
        };
        if let Some(newcomer) = self.welcomed(link, last) {
            self.bring_up_by(newcomer, entries, io);
        }
    }

    /// It is about to get everything.
    fn welcomed(&mut self, link: LinkId, last: Zxid) -> Option<Newcomer> {
        let epoch = self.current_epoch;
        let guest = self.guest(link)?;
        guest.progress = Progress::Syncing;
        Some(Newcomer {
            link,
            sid: guest.sid,
            observer: true,
            last,
            epoch,
            reconfigures: true,
        })
    }

    /// Tells the observers what the leader has committed; `leader` leads from there on if it is a
    /// reconfiguration. Source: `ObserverMaster.proposalCommitted`, `ObserverMaster.informAndActivate`.
    pub(super) fn inform(&self, zxid: Zxid, leader: Option<Sid>, io: &mut Io<'_>) {
        let Some(hosting) = self.learning.as_ref().map(|l| &l.hosting) else {
            return;
        };
        if hosting.guests.is_empty() {
            return;
        }
        let guests = hosting.guests.iter();
        let listening = guests.filter(|(_, guest)| guest.progress >= Progress::Syncing);
        let before = Zxid(zxid.0.saturating_sub(1));
        let entry = self.history.between(before, zxid).next();
        let Some((_, entry)) = entry else { return };
        for (link, _) in listening {
            io.send(*link, commit_packet(true, leader, zxid, entry));
        }
    }

    /// Goes on with those who were ahead of what was committed.
    pub(super) fn host_committed(&mut self, io: &mut Io<'_>) {
        let guests = self.learning.iter().flat_map(|l| &l.hosting.guests);
        let waiting: Vec<LinkId> = guests
            .filter(|(_, guest)| matches!(guest.progress, Progress::Accepted(_)))
            .map(|(link, _)| *link)
            .collect();
        for link in waiting {
            self.host_synchronise(link, io);
        }
    }

    /// Source: `ObserverMaster.ping`.
    pub(super) fn host_tick(&mut self, io: &mut Io<'_>) {
        let now = io.now.mono_ms;
        let zxid = self.history.committed();
        let (sync_ms, init_ms) = (self.config.sync_ms(), self.config.init_ms());
        let half_tick = (self.config.tick_ms / 2).max(1);
        let Some(learning) = &mut self.learning else {
            return;
        };
        let hosting = &mut learning.hosting;
        if hosting.guests.is_empty() || now < hosting.next_ping {
            return;
        }
        hosting.next_ping = now + half_tick;
        let mut late = Vec::new();
        for (link, guest) in &hosting.guests {
            let active = guest.progress == Progress::Active;
            let patience = if active { sync_ms } else { init_ms + sync_ms };
            if now - guest.heard_ms > patience {
                late.push((*link, guest.sid));
            } else if guest.progress >= Progress::Syncing {
                let touched = None;
                io.send(*link, Packet::Ping { zxid, touched });
            }
        }
        for (link, sid) in late {
            hosting.forget(link);
            io.close(link, format!("server {sid} has been silent for too long"));
        }
    }
}
