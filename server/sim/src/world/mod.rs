//! Owns time, the network, faults and clients, and runs the members step by step.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use menagerie_core::effect::{Effects, Port};
use menagerie_core::event::Event;
use menagerie_core::ids::{ConnId, Cxid, LinkId, SessionId, Sid, Zxid};
use menagerie_core::quorum::{Configs, Membership};
use menagerie_core::sessions::SessionRules;
use menagerie_wire::text::cfg::Members;

use crate::check::linearizability::{self, Answered, Asked};
use crate::check::local_sessions;
use crate::check::session_order::SessionOrder;
use crate::check::watch_order::WatchOrder;
use crate::check::{Checker, Violation};
use crate::disk::Disk;
use crate::disk::blocks::SimDisk;
use crate::disk::files::Files;
use crate::disk::model::Model;
use crate::node::{Answer, Answers};
use crate::plan::{Plan, Report};
use machine::Machine;

mod clients;
mod disks;
mod effects;
mod faults;
mod liveness;
mod machine;
mod network;
mod operator;
mod reconfig;
mod sessions;

/// One in so many seeds runs the storage crate over a simulated disk, the others a model of it.
const FILES_ONE_IN: u64 = 4;
/// The sessions' time-out.
const SESSION_MS: i32 = 4000;
/// Members may be stopped for so long.
const PAUSE_MAX_MS: i64 = 3_000;

#[derive(Debug)]
enum Happening {
    Tell(Sid, u64, Event),
    Tick(Sid, u64),
    DiskDone(Sid, u64),
    SaveMore(Sid, u64),
    Start(Sid),
    Room(Sid),
    Operator(Sid),
    Connect(Sid, u64, (Sid, Port), u32),
    Act(usize),
    Fault,
    Strike,
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

#[derive(Debug)]
struct Link {
    leader: Sid,
    learner: Sid,
    /// When the last packet of each direction arrives: later ones come later.
    last: [i64; 2],
    /// What waits for a partition to heal, by direction.
    stalled: [VecDeque<Event>; 2],
}

#[derive(Debug)]
struct InFlight {
    cxid: Cxid,
    asked: Asked,
    /// Whether it creates an ephemeral node.
    ephemeral: bool,
    /// The highest zxid acknowledged to anyone when it was sent.
    floor: Zxid,
}

#[derive(Debug, Default)]
struct Client {
    at: Option<(Sid, ConnId)>,
    session: Option<SessionId>,
    /// Where the session was opened.
    home: Option<Sid>,
    /// Whether it has asked for an ephemeral node in that session.
    wants_ephemerals: bool,
    established: bool,
    cxid: i32,
    in_flight: VecDeque<InFlight>,
    order: SessionOrder,
    watches: WatchOrder,
    writes: u32,
    /// It has asked for the end of its session.
    closing: bool,
    /// Until then it does nothing.
    silent_until: i64,
}

struct World {
    rng: fastrand::Rng,
    plan: Plan,
    now: i64,
    seq: u64,
    queue: BinaryHeap<Scheduled>,
    /// Whether followers serve observers.
    masters: bool,
    /// How new sessions begin.
    sessions: SessionRules,
    /// One in so many requests changes the ensemble; 0 for none.
    reconfigures: u8,
    /// Whether members know when their database was lost.
    guarded: bool,
    machines: BTreeMap<Sid, Machine>,
    links: BTreeMap<LinkId, Link>,
    next_link: u64,
    next_conn: u32,
    blocked: BTreeSet<(Sid, Sid)>,
    clients: Vec<Client>,
    answered: Vec<Answered>,
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

fn membership(rng: &mut fastrand::Rng, masters: bool) -> (Membership, usize) {
    let voters = [3, 3, 3, 5, 5, 7][rng.usize(..6)];
    let mut observers = rng.usize(..3).saturating_sub(1);
    if masters {
        observers += rng.usize(1..3);
    }
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
        let masters = plan.seed.is_multiple_of(3);
        let (membership, members) = membership(&mut rng, masters);
        let some = [0, 0, 60, 15][rng.usize(..4)];
        let reconfigures = plan.reconfigures.unwrap_or(some);
        let spare = if reconfigures > 0 { rng.usize(..4) } else { 0 };
        let count = members + spare;
        // The protocol's seeds are quicker on the model of a disk; see `FILES_ONE_IN`.
        let files = plan.files.unwrap_or(plan.seed.is_multiple_of(FILES_ONE_IN));
        let guarded = fastrand::Rng::with_seed(plan.seed.rotate_left(17)).bool();
        // Apart from the rest, so that a seed without local sessions is what it was before them.
        let sessions = match fastrand::Rng::with_seed(!plan.seed).u8(..6) {
            0 => SessionRules::Local { upgrade: false },
            1 | 2 => SessionRules::Local { upgrade: true },
            _ => SessionRules::Global,
        };
        let machines = (1..=count)
            .map(|id| {
                let mut its = membership.clone();
                if id > members {
                    // It knows the others, who do not know it.
                    let line = format!("{its}\nserver.{id}=host{id}:2888:3888;2181\n");
                    let line = if its.members().is_hierarchical() {
                        format!("{line}group.9={id}\n")
                    } else {
                        line
                    };
                    its = Membership::new(Members::parse_dynamic(&line).unwrap_or_default());
                }
                let disk = if files {
                    let blocks = SimDisk::new(rng.fork(), plan.storage_bug);
                    let configs = Configs::new(its);
                    Disk::Files(Box::new(Files::new(blocks, configs, &mut rng)))
                } else {
                    Disk::Model(Box::new(Model::new(Configs::new(its))))
                };
                let sid = Sid(i64::try_from(id).unwrap_or_default());
                (sid, Machine::new(disk, &mut rng))
            })
            .collect();
        let clients = (0..rng.usize(2..8)).map(|_| Client::default()).collect();
        Self {
            rng,
            plan,
            now: 0,
            seq: 0,
            queue: BinaryHeap::new(),
            masters,
            sessions,
            reconfigures,
            guarded,
            machines,
            links: BTreeMap::new(),
            next_link: 1,
            next_conn: 1,
            blocked: BTreeSet::new(),
            clients,
            answered: Vec::new(),
            checker: Checker::default(),
            report: Report {
                members: count,
                with_files: usize::from(files),
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
        self.liveness()?;
        linearizability::check(self.checker.order(), &self.answered)?;
        self.report.delivered = self.checker.order().len();
        self.report.epochs = self.checker.epoch_count();
        Ok(())
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
            Happening::SaveMore(sid, incarnation) => {
                self.save_more(sid, incarnation);
                Ok(())
            }
            Happening::Start(sid) => self.start(sid),
            Happening::Room(sid) => {
                self.make_room(sid);
                Ok(())
            }
            Happening::Operator(sid) => {
                self.operate(sid);
                Ok(())
            }
            Happening::Connect(learner, incarnation, at, attempt) => {
                self.connect(learner, incarnation, at, attempt);
                Ok(())
            }
            Happening::Act(client) => self.act(client),
            Happening::Fault => self.fault(),
            Happening::Strike => {
                if self.rng.bool() {
                    self.strike();
                } else {
                    self.strike_reconfig();
                }
                Ok(())
            }
            // Who has to be healed is, and who is cut off stays so.
            Happening::Heal(_) if self.calm => Ok(()),
            Happening::Heal(pairs) => {
                for pair in &pairs {
                    self.blocked.remove(pair);
                }
                self.flush(&pairs);
                Ok(())
            }
        }
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
            let next = machine.clock.when(running.member.next_tick());
            let next = next.max(self.now + i64::from(before == self.now));
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
        let Some(machine) = self.machines.get_mut(&sid) else {
            return Ok(());
        };
        // The log thread may have put another tree there, of which a paused member has yet to hear.
        let up_to_date = machine.waiting.is_empty();
        let Some(running) = machine.running.as_mut() else {
            return Ok(());
        };
        while running.member.has_committed() {
            running.member.apply_committed(
                &mut running.tree,
                &running.watches,
                &mut answers,
                limit,
            );
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
            if count > 0 {
                self.checker.delivered(sid, running, from)?;
            }
        }
        if up_to_date {
            let sessions = running.member.replica().all_sessions();
            local_sessions::check(sid, sessions, &running.tree)?;
        }
        if let Some(zxid) = answers.mismatch {
            return Err(format!(
                "digest: server {sid} differs from the leader's at {zxid}"
            ));
        }
        self.answer(sid, answers)
    }

    fn answer(&mut self, sid: Sid, answers: Answers) -> Result<(), Violation> {
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
        let running = self.machines.get(&sid).and_then(|m| m.running.as_ref());
        let conns = running.map(|running| running.conns.clone());
        for (conn, session) in conns.unwrap_or_default() {
            if answers.ended.contains(&session) {
                self.detach(sid, conn);
            }
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
}
