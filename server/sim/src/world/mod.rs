//! Owns time, the network, faults and clients, and runs the members step by step.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use bytes::Bytes;
use menagerie_core::effect::{Effect, Effects};
use menagerie_core::event::{Event, Now};
use menagerie_core::ids::{ConnId, Cxid, LinkId, SessionId, Sid, Zxid};
use menagerie_core::planted::Planted;
use menagerie_core::quorum::{Configs, Membership};
use menagerie_core::zab::packet::Packet;
use menagerie_wire::text::cfg::Members;

use crate::check::{Checker, Violation};
use crate::disk::{Disk, Snapshot, Task};
use crate::node::{Answer, Answers, Nobody, Running, start};

mod clients;
mod disks;
mod faults;
mod network;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Decides everything that the rest of the plan leaves open.
    pub seed: u64,
    /// Simulated milliseconds with faults.
    pub faults_ms: i64,
    /// Whether to tell what happens.
    pub verbose: bool,
    /// A bug in all members.
    pub planted: Planted,
}

/// What a run amounted to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Transactions that were delivered.
    pub delivered: usize,
    /// Writes that clients were told of.
    pub acknowledged: usize,
    /// Reads that were answered.
    pub reads: usize,
    /// Epochs that had a leader.
    pub epochs: usize,
    /// Members that crashed.
    pub crashes: usize,
    /// Learners brought up to date by transactions alone, by truncation, by a snapshot.
    pub syncs: [usize; 3],
    /// Sessions that were lost.
    pub expired: usize,
    /// Members, observers among them.
    pub members: usize,
}

/// Simulated milliseconds within which everything must be well after the last fault.
const RECOVERY_MS: i64 = 60_000;
/// Members may be stopped for so long.
const PAUSE_MAX_MS: i64 = 3_000;

#[derive(Debug)]
enum Happening {
    Tell(Sid, u64, Event),
    Tick(Sid, u64),
    DiskDone(Sid, u64),
    Start(Sid),
    Act(usize),
    Fault,
    Heal(BTreeSet<(Sid, Sid)>),
    Resume(Sid, u64),
}

#[derive(Debug)]
struct Scheduled {
    at: i64,
    seq: u64,
    what: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.seq) == (other.at, other.seq)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.seq).cmp(&(self.at, self.seq))
    }
}

#[derive(Debug, Default)]
struct Machine {
    disk: Disk,
    running: Option<Running>,
    incarnation: u64,
    paused_until: i64,
    /// What came while it was stopped, in order.
    waiting: VecDeque<Event>,
    /// Until then the disk is slow.
    slow_until: i64,
    /// Added to the wall clock.
    skew_ms: i64,
    next_tick: i64,
    serving: bool,
}

#[derive(Debug)]
struct Link {
    leader: Sid,
    learner: Sid,
    /// When the last packet of each direction arrives: later ones come later.
    last: [i64; 2],
    /// What waits for a partition to heal, by direction.
    stalled: [VecDeque<Event>; 2],
}

#[derive(Debug, Clone)]
enum Op {
    Create,
    Write,
    Read,
    Sync,
}

#[derive(Debug)]
struct InFlight {
    cxid: Cxid,
    op: Op,
    /// The highest zxid acknowledged to anyone when it was sent.
    floor: Zxid,
}

#[derive(Debug, Default)]
struct Client {
    at: Option<(Sid, ConnId)>,
    session: Option<SessionId>,
    established: bool,
    cxid: i32,
    in_flight: VecDeque<InFlight>,
    last_zxid: Zxid,
    /// What a read behind a finished sync must have.
    synced_to: Zxid,
    writes: u32,
}

struct World {
    rng: fastrand::Rng,
    plan: Plan,
    now: i64,
    seq: u64,
    queue: BinaryHeap<Scheduled>,
    configs: Configs,
    machines: BTreeMap<Sid, Machine>,
    links: BTreeMap<LinkId, Link>,
    next_link: u64,
    next_conn: u32,
    blocked: BTreeSet<(Sid, Sid)>,
    clients: Vec<Client>,
    checker: Checker,
    report: Report,
    acknowledged: Zxid,
    calm: bool,
}

/// Runs an ensemble; what it amounted to.
///
/// # Errors
/// The property that does not hold, and when.
pub fn run(plan: &Plan) -> Result<Report, Violation> {
    let mut world = World::new(plan.clone());
    world
        .run()
        .map_err(|violation| format!("at {} ms: {violation}", world.now))?;
    Ok(world.report)
}

fn membership(rng: &mut fastrand::Rng) -> (Membership, usize) {
    let voters = [3, 3, 3, 5, 5, 7][rng.usize(..6)];
    let observers = rng.usize(..3).saturating_sub(1);
    let mut text = String::new();
    for id in 1..=voters + observers {
        let role = if id > voters {
            "observer"
        } else {
            "participant"
        };
        text += &format!("server.{id}=host{id}:2888:3888:{role}\n");
    }
    if voters == 5 && rng.u8(..3) == 0 {
        text += "group.1=1:2:3:4:5\nweight.1=2\nweight.5=0\n";
    } else if voters == 7 && rng.bool() {
        text += "group.1=1:2:3\ngroup.2=4:5\ngroup.3=6:7\n";
        text += "weight.4=2\n";
    }
    let members = Members::parse_dynamic(&text).unwrap_or_default();
    (Membership::new(members), voters + observers)
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut rng = fastrand::Rng::with_seed(plan.seed);
        let (membership, count) = membership(&mut rng);
        let machines = (1..=count)
            .map(|id| {
                let machine = Machine {
                    skew_ms: rng.i64(-5000..5000),
                    next_tick: i64::MAX,
                    ..Machine::default()
                };
                (Sid(i64::try_from(id).unwrap_or_default()), machine)
            })
            .collect();
        let clients = (0..rng.usize(2..8)).map(|_| Client::default()).collect();
        Self {
            rng,
            plan,
            now: 0,
            seq: 0,
            queue: BinaryHeap::new(),
            configs: Configs::new(membership),
            machines,
            links: BTreeMap::new(),
            next_link: 1,
            next_conn: 1,
            blocked: BTreeSet::new(),
            clients,
            checker: Checker::default(),
            report: Report {
                members: count,
                ..Report::default()
            },
            acknowledged: Zxid(0),
            calm: false,
        }
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if self.plan.verbose {
            println!("{:>7} {}", self.now, text());
        }
    }

    fn at(&mut self, delay: i64, what: Happening) {
        self.seq += 1;
        let scheduled = Scheduled {
            at: self.now + delay,
            seq: self.seq,
            what,
        };
        self.queue.push(scheduled);
    }

    fn delay(&mut self) -> i64 {
        // Most messages are quick, some are not.
        if self.rng.u8(..40) == 0 {
            self.rng.i64(0..300)
        } else {
            self.rng.i64(0..4)
        }
    }

    fn run(&mut self) -> Result<(), Violation> {
        let sids: Vec<Sid> = self.machines.keys().copied().collect();
        for sid in &sids {
            let delay = self.rng.i64(0..500);
            self.at(delay, Happening::Start(*sid));
        }
        for client in 0..self.clients.len() {
            self.at(500, Happening::Act(client));
        }
        self.at(2000, Happening::Fault);
        let end = self.plan.faults_ms;
        self.until(end, |_| false)?;
        self.recover();
        let deadline = self.now + RECOVERY_MS;
        let target = self.checker.last();
        if !self.until(deadline, |world| world.is_well(target))? {
            return Err(format!("liveness: {}", self.describe()));
        }
        self.report.delivered = self.checker.delivered_count();
        self.report.epochs = self.checker.epoch_count();
        Ok(())
    }

    /// All faults are over.
    fn recover(&mut self) {
        self.say(|| "no more faults".to_owned());
        self.calm = true;
        let blocked = std::mem::take(&mut self.blocked);
        self.flush(&blocked);
        let down: Vec<Sid> = self
            .machines
            .iter_mut()
            .filter_map(|(sid, machine)| {
                machine.slow_until = 0;
                machine.running.is_none().then_some(*sid)
            })
            .collect();
        for sid in down {
            self.at(10, Happening::Start(sid));
        }
    }

    /// Everyone serves, has delivered the same, and more than `target`: writes succeed.
    fn is_well(&self, target: Zxid) -> bool {
        let last = self.checker.last();
        last > target
            && self.machines.values().all(|machine| {
                machine.serving
                    && machine
                        .running
                        .as_ref()
                        .and_then(|running| running.lineage.last())
                        .is_some_and(|(zxid, _)| *zxid == last)
            })
    }

    fn describe(&self) -> String {
        let mut text = format!(
            "{RECOVERY_MS} ms were not enough; last {}",
            self.checker.last()
        );
        for (sid, machine) in &self.machines {
            let state = machine.running.as_ref().map(|running| {
                let member = &running.member;
                format!(
                    "{:?} seen {} log {}",
                    member.phase(),
                    running.lineage.len(),
                    member.history().last()
                )
            });
            text += &format!("; server {sid}: {state:?}");
        }
        text
    }

    fn until(&mut self, end: i64, done: impl Fn(&Self) -> bool) -> Result<bool, Violation> {
        while let Some(scheduled) = self.queue.pop() {
            if scheduled.at > end {
                self.queue.push(scheduled);
                self.now = end;
                return Ok(false);
            }
            self.now = self.now.max(scheduled.at);
            self.happen(scheduled.what)?;
            if done(self) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn happen(&mut self, what: Happening) -> Result<(), Violation> {
        match what {
            Happening::Tell(sid, incarnation, event) => {
                let Some(machine) = self.machines.get(&sid) else {
                    return Ok(());
                };
                if machine.incarnation != incarnation || machine.running.is_none() {
                    return Ok(());
                }
                if machine.paused_until > self.now || !machine.waiting.is_empty() {
                    let delay = (machine.paused_until - self.now).max(0);
                    if let Some(machine) = self.machines.get_mut(&sid) {
                        machine.waiting.push_back(event);
                    }
                    self.at(delay, Happening::Resume(sid, incarnation));
                    return Ok(());
                }
                self.step(sid, Some(event))
            }
            Happening::Resume(sid, incarnation) => {
                while let Some(machine) = self.machines.get_mut(&sid) {
                    if machine.incarnation != incarnation || machine.paused_until > self.now {
                        break;
                    }
                    let Some(event) = machine.waiting.pop_front() else {
                        break;
                    };
                    self.step(sid, Some(event))?;
                }
                Ok(())
            }
            Happening::Tick(sid, incarnation) => self.tick(sid, incarnation),
            Happening::DiskDone(sid, incarnation) => self.disk_done(sid, incarnation),
            Happening::Start(sid) => self.start(sid),
            Happening::Act(client) => self.act(client),
            Happening::Fault => self.fault(),
            Happening::Heal(pairs) => {
                for pair in &pairs {
                    self.blocked.remove(pair);
                }
                self.flush(&pairs);
                Ok(())
            }
        }
    }

    fn clock(&self, sid: Sid) -> Now {
        let skew = self.machines.get(&sid).map_or(0, |machine| machine.skew_ms);
        Now {
            mono_ms: self.now,
            wall_ms: 1_700_000_000_000 + self.now + skew,
        }
    }

    fn start(&mut self, sid: Sid) -> Result<(), Violation> {
        let now = self.clock(sid);
        let seed = self.rng.u64(..);
        let planted = self.plan.planted;
        let configs = self.configs.clone();
        let Some(machine) = self.machines.get_mut(&sid) else {
            return Ok(());
        };
        if machine.running.is_some() {
            return Ok(());
        }
        machine.incarnation += 1;
        machine.next_tick = i64::MAX;
        machine.serving = false;
        machine.running = Some(start(sid, &configs, &machine.disk, now, seed, planted));
        self.say(|| format!("server {sid} starts"));
        self.tell_reachable(sid, true);
        self.step(sid, None)
    }

    fn crash(&mut self, sid: Sid) {
        let mut rng = self.rng.fork();
        let Some(machine) = self.machines.get_mut(&sid) else {
            return;
        };
        let Some(running) = machine.running.take() else {
            return;
        };
        machine.disk.crash(&mut rng);
        machine.waiting.clear();
        machine.serving = false;
        machine.incarnation += 1;
        self.report.crashes += 1;
        let last = machine.disk.last();
        self.say(|| format!("server {sid} crashes; its log ends at {last:?}"));
        drop(running);
        for conn in self.conns_at(sid) {
            self.hear(conn, Answer::Closed);
        }
        let broken: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.leader == sid || link.learner == sid)
            .map(|(id, _)| *id)
            .collect();
        for link in broken {
            self.break_link(link, None);
        }
        self.tell_reachable(sid, false);
    }

    fn tick(&mut self, sid: Sid, incarnation: u64) -> Result<(), Violation> {
        let now = self.clock(sid);
        let Some(machine) = self.machines.get_mut(&sid) else {
            return Ok(());
        };
        if machine.incarnation != incarnation || machine.next_tick > self.now {
            return Ok(());
        }
        if machine.paused_until > self.now {
            machine.next_tick = machine.paused_until;
            let delay = machine.paused_until - self.now;
            self.at(delay, Happening::Tick(sid, incarnation));
            return Ok(());
        }
        machine.next_tick = i64::MAX;
        if let Some(running) = &mut machine.running {
            // Clients of this server are heard all the time.
            let sessions: Vec<SessionId> = running.conns.values().copied().collect();
            for session in sessions {
                running.member.replica_mut().touch(session, now.mono_ms);
            }
        }
        self.step(sid, Some(Event::Tick))
    }

    /// One event and all that follows from it on that machine.
    fn step(&mut self, sid: Sid, event: Option<Event>) -> Result<(), Violation> {
        let now = self.clock(sid);
        let Some(machine) = self.machines.get_mut(&sid) else {
            return Ok(());
        };
        let Some(running) = &mut machine.running else {
            return Ok(());
        };
        let mut effects = Effects::default();
        if let Some(Event::SnapshotReceived { link, .. }) = &event
            && !running.parked.contains_key(link)
        {
            return Ok(());
        }
        if let Some(event) = event {
            running.member.step(event, now, &running.tree, &mut effects);
        }
        running.member.finish(now, &running.tree, &mut effects);
        self.carry_out(sid, effects)?;
        self.apply(sid)?;
        let Some(machine) = self.machines.get_mut(&sid) else {
            return Ok(());
        };
        let (incarnation, before) = (machine.incarnation, machine.next_tick);
        if let Some(running) = &machine.running {
            let next = running
                .member
                .next_tick()
                .max(self.now + i64::from(before == self.now));
            let next = next.max(self.now);
            if next < machine.next_tick && next < i64::MAX {
                machine.next_tick = next;
                let delay = next - self.now;
                self.at(delay, Happening::Tick(sid, incarnation));
            }
        }
        Ok(())
    }

    fn apply(&mut self, sid: Sid) -> Result<(), Violation> {
        let mut answers = Answers::default();
        let limit = self.rng.usize(1..20);
        let Some(running) = self.machines.get_mut(&sid).and_then(|m| m.running.as_mut()) else {
            return Ok(());
        };
        while running.member.has_committed() {
            running
                .member
                .apply_committed(&mut running.tree, &Nobody, &mut answers, limit);
            let from = running.lineage.len();
            let before = running.lineage.last().map_or(Zxid(0), |(zxid, _)| *zxid);
            let last = Zxid(running.tree.last_zxid());
            let entries = running.member.history().between(before, last);
            running.lineage.extend(entries.cloned());
            let count = running.lineage.len() - from;
            let text = format!("server {sid} applied {count} up to {last}");
            if self.plan.verbose {
                println!("{:>7} {text}", self.now);
            }
            self.checker.delivered(sid, running, from)?;
        }
        if let Some(zxid) = answers.mismatch {
            return Err(format!(
                "digest: server {sid} differs from the leader's at {zxid}"
            ));
        }
        for (conn, answer) in answers.list {
            if self.plan.verbose {
                println!("{:>7} server {sid} answers {conn}: {answer:?}", self.now);
            }
            if let Answer::Session(session) = answer {
                self.attach(sid, conn, session);
            }
            self.check_answer(conn, &answer)?;
            self.hear(conn, answer);
        }
        Ok(())
    }

    fn attach(&mut self, sid: Sid, conn: ConnId, session: SessionId) {
        let wanted = self.clients.iter().any(|c| c.at == Some((sid, conn)));
        if let Some(running) = self.machines.get_mut(&sid).and_then(|m| m.running.as_mut())
            && wanted
        {
            running.conns.insert(conn, session);
        }
    }

    fn carry_out(&mut self, sid: Sid, effects: Effects) -> Result<(), Violation> {
        if !effects.log.ends.is_empty() {
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
            Effect::Connect { leader } => self.connect(sid, leader),
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
            Effect::PersistEpoch { kind, epoch } => self.enqueue(sid, Task::Epoch(kind, epoch)),
            Effect::Truncate { zxid, reload } => {
                let machine = self.machines.get(&sid);
                if machine.is_some_and(|machine| machine.disk.can_truncate(zxid)) {
                    self.enqueue(sid, Task::Truncate(zxid, reload));
                } else {
                    let reason = "the log does not reach back".to_owned();
                    let event = Event::TruncateFailed { zxid, reason };
                    self.at(1, Happening::Tell(sid, incarnation, event));
                }
            }
            Effect::InstallSnapshot { link, .. } => {
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
            Effect::AnswerPing { link, zxid } => {
                let touched = self.machines.get(&sid).and_then(|m| m.running.as_ref());
                let touched = touched.map(|running| {
                    running
                        .conns
                        .values()
                        .map(|session| (*session, 4000))
                        .collect()
                });
                self.send(sid, link, Packet::Ping { zxid, touched });
            }
            Effect::SaveSnapshot => {
                let Some(running) = self.machines.get(&sid).and_then(|m| m.running.as_ref()) else {
                    return Ok(());
                };
                let sessions = running.member.replica().sessions().all();
                let snapshot = Snapshot::of(&running.tree, sessions, running.lineage.clone());
                self.enqueue(sid, Task::Save(snapshot));
            }
            Effect::SessionResumed {
                conn,
                session,
                timeout_ms,
            } => {
                if timeout_ms.is_some() {
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

    fn conns_at(&self, sid: Sid) -> Vec<ConnId> {
        let here = self.clients.iter().filter_map(|client| client.at);
        here.filter(|(at, _)| *at == sid)
            .map(|(_, conn)| conn)
            .collect()
    }

    fn detach(&mut self, sid: Sid, conn: ConnId) {
        if let Some(running) = self.machines.get_mut(&sid).and_then(|m| m.running.as_mut()) {
            running.conns.remove(&conn);
        }
        self.hear(conn, Answer::Closed);
    }
}
