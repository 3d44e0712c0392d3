//! Owns the comparison of Menagerie with Apache ZooKeeper: rounds in which every measurement is
//! taken of both, one right after the other, and the table of medians. May use everything of
//! `bench`. Must leave nothing behind: see `guard`.

mod ensemble;
pub(crate) mod guard;
mod programs;
mod report;
mod rounds;
mod rows;
mod server;
mod stall;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::json;

use crate::bench::parse_duration;
use report::Figures;
use rounds::Settings;
use rows::{ROWS, Row};
use server::Side;

/// The number of znodes that the targets on memory are about.
const MILLION: u64 = 1_000_000;

/// Measures Apache ZooKeeper and Menagerie interleaved and prints the table with the targets.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Rounds; medians are taken over them
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only these rows (comma-separated ids; "list" prints them)
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Compare ensembles of three members instead of single servers
    #[arg(long)]
    ensemble: bool,
    /// One short round with a small tree: shows that it works, not how fast anything is
    #[arg(long)]
    quick: bool,
    /// Leave Menagerie out
    #[arg(long)]
    only_apache: bool,
    /// Leave Apache out
    #[arg(long, conflicts_with = "only_apache")]
    only_menagerie: bool,
    /// The server's binary
    #[arg(long, default_value = "target/release/menagerie")]
    menagerie: PathBuf,
    /// The Maven project that has Apache ZooKeeper as a dependency
    #[arg(long, default_value = "compat-tests/java/apache-server/pom.xml")]
    pom: PathBuf,
    /// A file with the class path, instead of asking Maven
    #[arg(long)]
    classpath_file: Option<PathBuf>,
    /// Apache's heap limit
    #[arg(long, default_value = "1g")]
    heap: String,
    /// How long each load is measured
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    duration: Duration,
    /// Load before each measurement
    #[arg(long, default_value = "2s", value_parser = parse_duration)]
    warmup: Duration,
    /// Nodes of the big tree
    #[arg(long, default_value_t = MILLION)]
    znodes: u64,
    /// Event loops of the load generator
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Data directories go below this one: choose the disk
    #[arg(long, default_value = "target")]
    work_dir: PathBuf,
    /// Print JSON instead of Markdown
    #[arg(long)]
    json: bool,
    /// Also write the JSON to this file
    #[arg(long)]
    json_file: Option<PathBuf>,
    /// Fail when a target is missed
    #[arg(long)]
    check: bool,
}

/// The subcommand.
pub(crate) fn main(args: &CompareArgs) -> Result<ExitCode> {
    if args.only.iter().any(|id| id == "list") {
        for row in table(args) {
            println!(
                "{:<22} {} ({}), target {}",
                row.id,
                row.title,
                row.unit,
                row.goal.text()
            );
        }
        return Ok(ExitCode::SUCCESS);
    }
    let rows = chosen(table(args), &args.only)?;
    let sides: &[Side] = match (args.only_apache, args.only_menagerie) {
        (true, _) => &[Side::Apache],
        (_, true) => &[Side::Menagerie],
        _ => &[Side::Apache, Side::Menagerie],
    };
    let settings = Settings {
        rounds: if args.quick { 1 } else { args.rounds.max(1) },
        duration: if args.quick {
            Duration::from_secs(1)
        } else {
            args.duration
        },
        warmup: if args.quick {
            Duration::from_millis(500)
        } else {
            args.warmup
        },
        big: if args.quick {
            args.znodes.min(50_000)
        } else {
            args.znodes
        },
        threads: args.threads,
    };
    let programs = programs::find(args, sides)?;
    guard::install()?;
    std::fs::create_dir_all(&args.work_dir)
        .with_context(|| format!("cannot make {}", args.work_dir.display()))?;
    let work_dir = args.work_dir.canonicalize()?;
    let directory = tempfile::Builder::new()
        .prefix("compare-")
        .tempdir_in(work_dir)?;
    guard::watch_directory(directory.path());

    let mut figures = Figures::default();
    let measure = if args.ensemble {
        ensemble::run
    } else {
        rounds::run
    };
    measure(
        &settings,
        &programs,
        sides,
        &rows,
        directory.path(),
        &mut figures,
    )?;
    directory.close()?;

    // Targets on memory and on stalls are about a million nodes.
    let judged = |row: &Row| !args.quick && (!row.source.is_big() || settings.big == MILLION);
    let mut value = figures.json(&rows, judged);
    if let Some(object) = value.as_object_mut() {
        object.insert(
            "settings".to_owned(),
            json!({
                "rounds": settings.rounds,
                "seconds": settings.duration.as_secs_f64(),
                "warmup_seconds": settings.warmup.as_secs_f64(),
                "znodes": settings.big,
                "apache_heap": args.heap,
                "cpus": std::thread::available_parallelism().map(usize::from).unwrap_or(0),
            }),
        );
    }
    let text = serde_json::to_string_pretty(&value)?;
    if let Some(path) = &args.json_file {
        std::fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json {
        println!("{text}");
    } else {
        print!("{}", figures.markdown(&rows, judged));
    }
    for failure in &figures.failures {
        eprintln!("not measured: {failure}");
    }
    let failed = !figures.failures.is_empty() || (args.check && figures.misses(&rows, judged));
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

const fn table(args: &CompareArgs) -> &'static [Row] {
    if args.ensemble { ensemble::ROWS } else { ROWS }
}

fn chosen(table: &'static [Row], only: &[String]) -> Result<Vec<&'static Row>> {
    for id in only {
        ensure!(
            table.iter().any(|row| row.id == id),
            "no row {id}; see --only list"
        );
    }
    let picked = |row: &&Row| only.is_empty() || only.iter().any(|id| id == row.id);
    Ok(table.iter().filter(picked).collect())
}
