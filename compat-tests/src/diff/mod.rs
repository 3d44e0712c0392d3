//! Owns the differential test: the same steps on Apache ZooKeeper and Menagerie, in lock-step,
//! answers compared field by field, a difference shrunk to a short sequence. May use everything
//! below `diff`. Must not depend on time or chance besides the seed.

mod body;
mod canon;
pub(crate) mod cases;
mod generate;
mod show;
mod side;
mod step;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use self::canon::Names;
use self::side::{Side, difference};
use self::step::Step;
use crate::programs::Programs;
use crate::raw::Raw;
use crate::server::{Kind, Server, Settings};
use crate::walk;

/// How long to look for a shorter sequence.
const SHRINK: Duration = Duration::from_secs(30);

/// ZooKeeper's name of an operation.
pub(crate) fn operation_name(code: i32) -> String {
    show::name(code)
}

/// Options of the differential test.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seed of the first sequence; the next one has the next seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Steps in a sequence.
    #[arg(long, default_value_t = 80)]
    ops: usize,
    /// Sequences at most.
    #[arg(long, default_value_t = 100_000)]
    runs: u64,
    /// Stop after this many seconds; 0 means when the runs are done.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Kinds of differences to print before stopping.
    #[arg(long, default_value_t = 5)]
    max_differences: usize,
    /// The server on the other side; Apache against itself shows that the comparison is sound.
    #[arg(long, value_enum, default_value_t = Kind::Menagerie)]
    subject: Kind,
    /// Print every step and answer.
    #[arg(long)]
    verbose: bool,
}

/// Both servers, and what the sequences on them have in common.
pub(crate) struct Pair {
    one: Server,
    two: Server,
    label: [&'static str; 2],
    roots: u64,
}

/// The first step whose answers differ; `step` is past the end when the trees do.
struct Difference {
    step: usize,
    answers: (Vec<String>, Vec<String>),
}

/// Runs the test; false when there are differences.
pub(crate) fn run(options: &Options, programs: &Programs) -> Result<bool> {
    let begin = Instant::now();
    let limit = Duration::from_secs(options.seconds);
    let (mut failed, mut passed, mut steps) = (0_usize, 0_usize, 0_usize);
    let mut kinds = BTreeSet::new();
    // Half of the time goes to a server with everything on, half to one with defaults.
    for (flavour, share) in [(Flavour::Everything, 2), (Flavour::Defaults, 1)] {
        let until = limit.saturating_sub(begin.elapsed()) / share + begin.elapsed();
        let mut pair = Pair::start(flavour, options.subject, programs)?;
        let runs = (options.runs + u64::from(share == 2)) / 2;
        for index in 0..runs {
            if (options.seconds > 0 && begin.elapsed() > until)
                || kinds.len() >= options.max_differences
            {
                break;
            }
            // The flavours have seeds of their own, so that a seed names one sequence.
            let seed = options.seed.wrapping_add(2 * index + u64::from(share == 1));
            let sequence = generate::sequence(seed, options.ops);
            steps += sequence.len();
            match pair.compare(&sequence, options.verbose)? {
                None => passed += 1,
                Some(difference) => {
                    failed += 1;
                    let (kind, text) = pair.shrink(sequence, difference)?;
                    if kinds.insert(kind) {
                        println!("seed {seed}, {flavour:?}:\n{text}");
                    }
                    // What differed stays different in the nodes that all sequences share.
                    pair = Pair::start(flavour, options.subject, programs)?;
                }
            }
        }
    }
    println!(
        "{steps} steps in {:.0} s, {} kinds of differences; {passed} passed, {failed} failed",
        begin.elapsed().as_secs_f64(),
        kinds.len()
    );
    Ok(failed == 0)
}

/// How the servers are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Extended types, enforced quotas, a super user.
    Everything,
    /// As they come.
    Defaults,
}

impl Flavour {
    fn settings(self) -> Settings {
        // The reaper must not run in the middle, since it takes zxids when it likes; short-lived
        // sessions must outlive their sequence for the same reason. Nothing here is about disks.
        let lines = [
            "tickTime=10000",
            "maxClientCnxns=0",
            "forceSync=no",
            "snapCount=1000000",
        ];
        let reaper = "-Dznode.container.checkIntervalMs=86400000";
        match self {
            Self::Everything => Settings::new(
                &[
                    &lines[..],
                    &["extendedTypesEnabled=true", "enforceQuota=true"],
                ]
                .concat(),
                &[reaper, walk::SUPER],
            ),
            Self::Defaults => Settings::new(&lines, &[reaper]),
        }
    }
}

impl Pair {
    /// Starts both servers.
    pub(crate) fn start(flavour: Flavour, subject: Kind, programs: &Programs) -> Result<Self> {
        let mut one = Server::new(Kind::Apache, programs, flavour.settings())?;
        one.spawn()?;
        let two = Server::started(subject, programs, flavour.settings())?;
        one.await_serving()?;
        Ok(Self {
            one,
            two,
            label: [Kind::Apache.name(), subject.name()],
            roots: 0,
        })
    }

    /// Runs the steps on both servers; what each answers to the last one, connection by
    /// connection.
    pub(crate) fn outcome(&mut self, sequence: &[Step]) -> Result<[Vec<String>; 2]> {
        self.roots += 1;
        let root = format!("/d{}", self.roots);
        let mut all: [Vec<String>; 2] = Default::default();
        for (server, lines) in [&self.one, &self.two].into_iter().zip(&mut all) {
            let mut side = Side::new(server.address(), &root)?;
            for step in sequence {
                side.begin(step)?;
                let observed = side.collect(step)?;
                *lines = side::flat(&observed);
            }
            side.finish()?;
        }
        Ok(all)
    }

    /// Runs a sequence below a root of its own.
    fn compare(&mut self, sequence: &[Step], verbose: bool) -> Result<Option<Difference>> {
        self.roots += 1;
        let root = format!("/d{}", self.roots);
        let mut one = Side::new(self.one.address(), &root).with_context(|| self.context(0))?;
        let mut two = Side::new(self.two.address(), &root).with_context(|| self.context(1))?;
        let mut result = None;
        for (index, step) in sequence.iter().enumerate() {
            one.begin(step).with_context(|| self.context(0))?;
            two.begin(step).with_context(|| self.context(1))?;
            let answers = (one.collect(step)?, two.collect(step)?);
            if verbose {
                println!("{index}: {}", show::step(step));
                for (slot, lines) in &answers.0 {
                    lines
                        .iter()
                        .for_each(|line| println!("      {slot}: {line}"));
                }
            }
            if let Some(answers) = difference(&answers.0, &answers.1) {
                result = Some(Difference {
                    step: index,
                    answers,
                });
                break;
            }
        }
        let names = (one.finish()?, two.finish()?);
        if result.is_none() {
            let one = tree(&self.one, &root, names.0)?;
            let two = tree(&self.two, &root, names.1)?;
            if one != two {
                let only = |a: &[String], b: &[String]| -> Vec<String> {
                    a.iter().filter(|line| !b.contains(line)).cloned().collect()
                };
                result = Some(Difference {
                    step: sequence.len(),
                    answers: (only(&one, &two), only(&two, &one)),
                });
            }
        }
        Ok(result)
    }

    fn context(&self, side: usize) -> String {
        let server = if side == 0 { &self.one } else { &self.two };
        format!("{}: {}", self.label[side], server.log_tail())
    }

    /// Drops steps as long as the rest still differs; what kind of difference it is, and the text.
    fn shrink(
        &mut self,
        mut steps: Vec<Step>,
        mut difference: Difference,
    ) -> Result<(String, String)> {
        steps.truncate(difference.step.saturating_add(1));
        let begin = Instant::now();
        let mut chunk = (steps.len() / 2).max(1);
        while begin.elapsed() < SHRINK {
            let mut at = 0;
            let before = steps.len();
            while at < steps.len() && begin.elapsed() < SHRINK {
                let mut fewer = steps.clone();
                fewer.drain(at..(at + chunk).min(steps.len()));
                match self.compare(&fewer, false)? {
                    Some(still) => {
                        fewer.truncate(still.step.saturating_add(1));
                        steps = fewer;
                        difference = still;
                    }
                    None => at += chunk,
                }
            }
            if chunk == 1 && steps.len() == before {
                break;
            }
            chunk = (chunk / 2).max(1);
        }
        self.shrink_bursts(&mut steps, &mut difference, begin)?;
        Ok((kind(&steps, &difference), self.text(&steps, &difference)))
    }

    /// Drops requests from steps that send several, and operations from multis.
    fn shrink_bursts(
        &mut self,
        steps: &mut Vec<Step>,
        difference: &mut Difference,
        begin: Instant,
    ) -> Result<()> {
        let (mut index, mut part) = (0, 0);
        while index < steps.len() && begin.elapsed() < 2 * SHRINK {
            let Some(smaller) = steps.get(index).and_then(|step| step.without(part)) else {
                (index, part) = (index + 1, 0);
                continue;
            };
            let mut fewer = steps.clone();
            fewer[index] = smaller;
            match self.compare(&fewer, false)? {
                Some(still) => {
                    fewer.truncate(still.step.saturating_add(1));
                    *steps = fewer;
                    *difference = still;
                }
                None => part += 1,
            }
        }
        Ok(())
    }

    fn text(&self, steps: &[Step], difference: &Difference) -> String {
        let mut lines: Vec<String> = steps
            .iter()
            .enumerate()
            .map(|(index, step)| format!("  {index}. {}", show::step(step)))
            .collect();
        if difference.step >= steps.len() {
            lines.push("  the trees differ:".to_owned());
        }
        let (one, two) = &difference.answers;
        for (label, answers) in self.label.iter().zip([one, two]) {
            lines.push(format!("  {label}:"));
            lines.extend(answers.iter().map(|answer| format!("    {answer}")));
        }
        lines.join("\n")
    }
}

/// What two shrunk differences have in common when they have the same cause, most likely.
fn kind(steps: &[Step], difference: &Difference) -> String {
    let (one, two) = &difference.answers;
    let at = one
        .iter()
        .zip(two)
        .position(|(a, b)| a != b)
        .unwrap_or(one.len().min(two.len()));
    let line = |lines: &[String]| lines.get(at).map_or("", String::as_str).to_owned();
    let last = steps.last().map(show::operations).unwrap_or_default();
    let all = format!("{last} {} {}", line(one), line(two));
    all.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// The sequence's tree in comparable form, as the super user sees it; as anybody where there is no
/// super user, and then only as far as ACLs let.
fn tree(server: &Server, root: &str, mut names: Names) -> Result<Vec<String>> {
    let (mut raw, _) = Raw::session(server.address(), 30_000)?;
    // Servers without a super user hash the credentials like any other's.
    walk::become_super(&mut raw)?;
    let mut lines = Vec::new();
    for place in [root.to_owned(), format!("/zookeeper/quota{root}")] {
        match walk::walk(&mut raw, &place) {
            Ok(nodes) => lines.extend(nodes.iter().map(|node| names.node(node))),
            Err(refused) => lines.push(names.plain(&format!("{refused:#}"))),
        }
    }
    raw.close_session()?;
    Ok(lines)
}
