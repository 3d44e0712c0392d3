//! Runs the simulator over seeds, for a count or a time, on all processors: each seed is a world of
//! its own.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::Parser;
use menagerie_sim::{Plan, Report, run};

/// Seeds that once failed, each with what it showed.
const REGRESSIONS: &str = include_str!("../regressions.txt");

/// Simulates ensembles with faults and checks Zab's properties.
#[derive(Debug, Parser)]
struct Options {
    /// The first seed; without it, those of `regressions.txt` come first, then 1.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds; without limit when there is a time.
    #[arg(long)]
    count: Option<u64>,
    /// For how many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Simulated milliseconds with faults.
    #[arg(long, default_value_t = 20_000)]
    faults_ms: i64,
    /// The real storage in every seed.
    #[arg(long)]
    files: bool,
    /// One in so many requests changes the ensemble; by the seed when it is not given.
    #[arg(long)]
    reconfigures: Option<u8>,
    /// Seeds at a time; as many as there are processors when it is not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Plant every bug in turn and see that it is found within `--count` seeds.
    #[cfg(feature = "planted-bugs")]
    #[arg(long)]
    planted: bool,
    /// Only the bug of that name; without `--planted`, in the seeds asked for.
    #[cfg(feature = "planted-bugs")]
    #[arg(long)]
    bug: Option<String>,
    /// Tell what happens.
    #[arg(long, short)]
    verbose: bool,
}

impl Options {
    fn plan(&self, seed: u64) -> Plan {
        Plan {
            faults_ms: self.faults_ms,
            verbose: self.verbose,
            files: self.files.then_some(true),
            reconfigures: self.reconfigures,
            ..Plan::new(seed)
        }
    }

    fn jobs(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.unwrap_or_else(processors).max(1)
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    #[cfg(feature = "planted-bugs")]
    if options.planted {
        return planted::find_all(&options);
    }
    let begun = Instant::now();
    let regressions = regressions();
    let first = options.seed.unwrap_or(1);
    let before = if options.seed.is_none() && options.count != Some(1) {
        regressions.len() as u64
    } else {
        0
    };
    let limit = options.seconds.map(Duration::from_secs);
    let unlimited = if limit.is_some() { u64::MAX } else { 1 };
    let count = options.count.unwrap_or(unlimited).saturating_add(before);
    let in_time = || limit.is_none_or(|limit| begun.elapsed() < limit);
    let next = AtomicU64::new(0);
    let outcome = Mutex::new((Report::default(), 0_u64, None::<(u64, String)>));
    let work = || {
        while in_time() {
            let index = next.fetch_add(1, Relaxed);
            if index >= count {
                return;
            }
            let regression = usize::try_from(index).ok().filter(|_| index < before);
            let regression = regression.and_then(|index| regressions.get(index));
            let seed = regression.map_or_else(|| first.wrapping_add(index - before), |it| it.0);
            let mut plan = options.plan(seed);
            if let Some((_, true)) = regression {
                plan.files = Some(true);
            }
            #[cfg(feature = "planted-bugs")]
            planted::plant(&options, &mut plan);
            let result = run(&plan);
            let Ok(mut outcome) = outcome.lock() else {
                return;
            };
            outcome.1 += 1;
            match result {
                Ok(report) => outcome.0.add(&report),
                Err(violation) => {
                    next.store(u64::MAX / 2, Relaxed);
                    if outcome.2.as_ref().is_none_or(|(other, _)| seed < *other) {
                        outcome.2 = Some((seed, violation + &repeat(&plan)));
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs() {
            scope.spawn(work);
        }
    });
    let Ok((total, done, violation)) = outcome.into_inner() else {
        println!("the simulator panicked");
        return ExitCode::FAILURE;
    };
    if let Some((seed, violation)) = violation {
        println!("seed {seed}: {violation}");
        return ExitCode::FAILURE;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{done} seeds from {first} in {seconds:.1} s: {total}");
    ExitCode::SUCCESS
}

/// How to see it again.
fn repeat(plan: &Plan) -> String {
    let mut text = format!(
        "\nrepeat it with --seed {} --faults-ms {}",
        plan.seed, plan.faults_ms
    );
    if plan.files == Some(true) {
        text += " --files";
    }
    if let Some(reconfigures) = plan.reconfigures {
        text += &format!(" --reconfigures {reconfigures}");
    }
    text + " -v"
}

/// The seeds, and whether each is about files in a world that would not have any.
fn regressions() -> Vec<(u64, bool)> {
    let lines = REGRESSIONS.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let seed = words.next()?.parse().ok()?;
        Some((seed, words.next() == Some("files")))
    });
    lines.collect()
}

#[cfg(feature = "planted-bugs")]
mod planted {
    use std::process::ExitCode;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use menagerie_core::planted::{Bug, Planted};
    use menagerie_sim::{Plan, run};
    use menagerie_storage::planted::{Bug as StorageBug, Planted as StoragePlanted};

    use super::Options;

    /// What needs an ensemble that is reconfigured often.
    const RECONFIGURATION: [Bug; 4] = [
        Bug::NewVotersNotAsked,
        Bug::OldVotersNotAsked,
        Bug::ProposedConfigForgotten,
        Bug::ProposedConfigInForce,
    ];

    /// What only files show: the model's disk never loses its database.
    const LOSS: [Bug; 1] = [Bug::BlankVotes];

    /// Names, and the plans that have them.
    type Plant = (String, Box<dyn Fn(&mut Plan) + Send + Sync>);

    fn all(options: &Options) -> Vec<Plant> {
        let mut all: Vec<Plant> = Vec::new();
        let (rare, rare_in_storage) = match options.bug {
            Some(_) => (Bug::RARE, StorageBug::RARE),
            None => (&[][..], &[][..]),
        };
        for bug in Bug::ALL.iter().chain(rare) {
            let plant = move |plan: &mut Plan| {
                plan.planted = Planted::new(Some(*bug));
                if RECONFIGURATION.contains(bug) {
                    plan.reconfigures = Some(15);
                }
                if LOSS.contains(bug) {
                    plan.files = Some(true);
                }
            };
            all.push((format!("{bug:?}"), Box::new(plant)));
        }
        for bug in StorageBug::ALL.iter().chain(rare_in_storage) {
            let plant = move |plan: &mut Plan| {
                plan.storage_bug = StoragePlanted::new(Some(*bug));
                plan.files = Some(true);
            };
            all.push((format!("{bug:?}"), Box::new(plant)));
        }
        all.retain(|(name, _)| options.bug.as_ref().is_none_or(|only| only == name));
        all
    }

    /// Plants the bug that was asked for.
    pub(super) fn plant(options: &Options, plan: &mut Plan) {
        if options.bug.is_some() {
            all(options).iter().for_each(|(_, plant)| plant(plan));
        }
    }

    /// Whether every bug is found.
    pub(super) fn find_all(options: &Options) -> ExitCode {
        let first = options.seed.unwrap_or(1);
        let count = options.count.unwrap_or(2000);
        let all = all(options);
        let (next, found) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            while let Some((name, plant)) = all.get(next.fetch_add(1, Relaxed)) {
                let seen = (first..first + count).find_map(|seed| {
                    let mut plan = options.plan(seed);
                    plant(&mut plan);
                    run(&plan).err().map(|violation| (seed, violation))
                });
                match seen {
                    Some((seed, violation)) => {
                        let short: String = violation.chars().take(120).collect();
                        println!("{name}: seed {seed}: {short}");
                        found.fetch_add(1, Relaxed);
                    }
                    None => println!("{name}: NOT FOUND in {count} seeds"),
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..options.jobs() {
                scope.spawn(work);
            }
        });
        let found = found.into_inner();
        println!("{found} of {} planted bugs found", all.len());
        if found == all.len() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
