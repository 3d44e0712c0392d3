//! Runs the simulator over seeds, one after the other, for a count or a time.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use menagerie_core::planted::Planted;
use menagerie_sim::{Plan, Report, run};

/// Simulates ensembles with faults and checks Zab's properties.
#[derive(Debug, Parser)]
struct Options {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds; without limit when there is a time.
    #[arg(long)]
    count: Option<u64>,
    /// For how many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Simulated milliseconds with faults.
    #[arg(long, default_value_t = 20_000)]
    faults_ms: i64,
    /// Plant every bug in turn and see that it is found within `--count` seeds.
    #[cfg(feature = "planted-bugs")]
    #[arg(long)]
    planted: bool,
    /// Only the bug of that name.
    #[cfg(feature = "planted-bugs")]
    #[arg(long)]
    bug: Option<String>,
    /// Tell what happens.
    #[arg(long, short)]
    verbose: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    #[cfg(feature = "planted-bugs")]
    if options.planted {
        return find_planted(&options);
    }
    let begun = Instant::now();
    let limit = options.seconds.map(Duration::from_secs);
    let count = options
        .count
        .unwrap_or(if limit.is_some() { u64::MAX } else { 1 });
    let mut total = Report::default();
    let mut done = 0_u64;
    while done < count && limit.is_none_or(|limit| begun.elapsed() < limit) {
        let seed = options.seed.wrapping_add(done);
        let plan = Plan {
            seed,
            faults_ms: options.faults_ms,
            verbose: options.verbose,
            planted: Planted::default(),
        };
        match run(&plan) {
            Ok(report) => add(&mut total, &report),
            Err(violation) => {
                println!("seed {seed}: {violation}");
                println!(
                    "repeat it with --seed {seed} --faults-ms {} -v",
                    options.faults_ms
                );
                return ExitCode::FAILURE;
            }
        }
        done += 1;
    }
    println!(
        "{done} seeds from {} in {:.1} s: {} transactions, {} writes acknowledged, {} reads, {} \
         epochs, {} crashes, {}/{}/{} synchronisations by DIFF/TRUNC/SNAP, {} sessions lost",
        options.seed,
        begun.elapsed().as_secs_f64(),
        total.delivered,
        total.acknowledged,
        total.reads,
        total.epochs,
        total.crashes,
        total.syncs[0],
        total.syncs[1],
        total.syncs[2],
        total.expired,
    );
    ExitCode::SUCCESS
}

/// Whether every bug is found.
#[cfg(feature = "planted-bugs")]
fn find_planted(options: &Options) -> ExitCode {
    use menagerie_core::planted::Bug;

    let mut missed = 0;
    let only = |bug: &&Bug| {
        let name = options.bug.as_deref();
        name.is_none_or(|name| format!("{bug:?}") == name)
    };
    for bug in Bug::ALL.iter().filter(only) {
        let seeds = options.seed..options.seed + options.count.unwrap_or(2000);
        let found = seeds.clone().find_map(|seed| {
            let plan = Plan {
                seed,
                faults_ms: options.faults_ms,
                verbose: false,
                planted: Planted::new(Some(*bug)),
            };
            run(&plan).err().map(|violation| (seed, violation))
        });
        match found {
            Some((seed, violation)) => {
                let short: String = violation.chars().take(120).collect();
                println!("{bug:?}: seed {seed}: {short}");
            }
            None => {
                println!("{bug:?}: NOT FOUND in {} seeds", seeds.end - seeds.start);
                missed += 1;
            }
        }
    }
    println!(
        "{} of {} planted bugs found",
        Bug::ALL.len() - missed,
        Bug::ALL.len()
    );
    if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn add(total: &mut Report, report: &Report) {
    total.delivered += report.delivered;
    total.acknowledged += report.acknowledged;
    total.reads += report.reads;
    total.epochs += report.epochs;
    total.crashes += report.crashes;
    total.expired += report.expired;
    for (sum, more) in total.syncs.iter_mut().zip(report.syncs) {
        *sum += more;
    }
}
