//! Owns the compatibility tests in Docker: an ensemble of containers, each official client in a
//! container of its own, real users of ZooKeeper, and everything that Docker can do to a member. May use
//! Docker and `suites`. Must not leave anything running.

mod clients;
mod engine;
mod faults;
mod images;
mod kafka;
mod members;
mod patroni;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow, ensure};

use clients::{Client, Patient};
use engine::Engine;
use faults::Fault;
use members::Ensemble;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these scenarios or clients.
    #[arg(long)]
    only: Vec<String>,
    /// Print the names and stop.
    #[arg(long)]
    list: bool,
    /// Use the images that are there, build none.
    #[arg(long)]
    prebuilt: bool,
    /// Keep the containers, to look at them.
    #[arg(long)]
    keep: bool,
}

const CALM: &str = "calm";
const KAFKA: &str = "kafka";
const PATRONI: &str = "patroni";

/// What came of a client in a scenario: what it said, or why it failed.
struct Cell {
    client: &'static str,
    scenario: &'static str,
    result: Result<String>,
}

/// What is chosen.
struct Plan {
    clients: Vec<&'static Client>,
    calm: bool,
    faults: Vec<&'static Fault>,
    kafka: bool,
    patroni: bool,
}

impl Plan {
    fn of(only: &[String]) -> Result<Self> {
        let client = |name: &String| clients::ALL.iter().any(|c| c.name == name);
        let scenario = |name: &String| scenarios().any(|s| s == name);
        for name in only {
            ensure!(
                client(name) || scenario(name),
                "there is neither a client nor a scenario {name:?}; --list tells the names"
            );
        }
        let any_client = only.iter().any(client);
        let any_scenario = only.iter().any(scenario);
        let named = |name: &str| only.iter().any(|n| n == name);
        let wanted = |name: &str| !any_scenario || named(name);
        Ok(Self {
            clients: clients::ALL
                .iter()
                .filter(|c| !any_client || named(c.name))
                .collect(),
            calm: wanted(CALM),
            faults: faults::ALL.iter().filter(|f| wanted(f.name)).collect(),
            // Whoever asks for a client only asks for the clients.
            kafka: wanted(KAFKA) && (any_scenario || !any_client),
            patroni: wanted(PATRONI) && (any_scenario || !any_client),
        })
    }
}

fn scenarios() -> impl Iterator<Item = &'static str> {
    let faults = faults::ALL.iter().map(|f| f.name);
    [CALM].into_iter().chain(faults).chain([KAFKA, PATRONI])
}

/// Runs what is chosen; false when something fails.
pub(crate) fn run(options: &Options) -> Result<bool> {
    if options.list {
        println!("clients:");
        clients::ALL.iter().for_each(|c| println!("  {}", c.name));
        println!("scenarios:\n  {CALM:<12} each client's tests, against one member");
        faults::ALL
            .iter()
            .for_each(|f| println!("  {:<12} {}", f.name, f.what));
        println!(
            "  {KAFKA:<12} two brokers: records, ACLs, configuration; controller and member killed"
        );
        println!("  {PATRONI:<12} two nodes of PostgreSQL: the primary is killed");
        return Ok(true);
    }
    let plan = Plan::of(&options.only)?;
    let engine = Engine::find(options.keep)?;
    let begun = Instant::now();
    let at_work = plan.calm || !plan.faults.is_empty();
    let chosen = if at_work {
        plan.clients.clone()
    } else {
        Vec::new()
    };
    let (with_kafka, with_patroni) = (plan.kafka, plan.patroni);
    let native = thread::spawn(move || {
        if with_kafka {
            kafka::prepare()?;
        }
        if with_patroni {
            patroni::prepare()?;
        }
        clients::prepare(&chosen)
    });
    if !options.prebuilt {
        images::build()?;
    }
    let folders = native
        .join()
        .map_err(|_| anyhow!("the thread that builds the clients is gone"))??;
    println!(
        "-- images and clients: {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    let mut cells = Vec::new();
    // What keeps a scenario from beginning is a failure of its own; the others still run.
    if plan.calm
        && let Err(error) = calm(&engine, &plan, &folders, &mut cells)
    {
        told(&mut cells, "members", CALM, Err(error));
    }
    if !plan.faults.is_empty()
        && let Err(error) = under_faults(&engine, &plan, &folders, &mut cells)
    {
        told(&mut cells, "members", "faults", Err(error));
    }
    users(&engine, &plan, &mut cells);
    Ok(summary(&cells))
}

/// Real users of ZooKeeper, at the same time: they mostly wait.
fn users(engine: &Engine, plan: &Plan, cells: &mut Vec<Cell>) {
    let timed = |run: &dyn Fn() -> Result<String>| {
        let begun = Instant::now();
        run().map(|said| format!("{said}, {:.0} s", begun.elapsed().as_secs_f64()))
    };
    println!();
    let (kafka, patroni) = thread::scope(|scope| {
        let kafka = plan
            .kafka
            .then(|| scope.spawn(|| timed(&|| kafka::all(engine))));
        let patroni = plan
            .patroni
            .then(|| scope.spawn(|| timed(&|| patroni::all(engine))));
        let end = |name, user: thread::ScopedJoinHandle<'_, Result<String>>| {
            (
                name,
                user.join()
                    .unwrap_or_else(|_| Err(anyhow!("its thread is gone"))),
            )
        };
        (
            kafka.map(|user| end(KAFKA, user)),
            patroni.map(|user| end(PATRONI, user)),
        )
    });
    for (name, result) in kafka.into_iter().chain(patroni) {
        told(cells, name, name, result);
    }
}

fn told(
    cells: &mut Vec<Cell>,
    client: &'static str,
    scenario: &'static str,
    result: Result<String>,
) {
    match &result {
        Ok(said) => println!("ok {client} {scenario}: {said}"),
        Err(error) => println!("FAILED {client} {scenario}: {error:#}"),
    }
    cells.push(Cell {
        client,
        scenario,
        result,
    });
}

/// Each client's tests, one client after the other, since they restart members.
fn calm(engine: &Engine, plan: &Plan, folders: &[PathBuf], cells: &mut Vec<Cell>) -> Result<()> {
    println!("\n-- {CALM}");
    let ensemble = Arc::new(Mutex::new(Ensemble::start(engine, CALM, 500)?));
    for (at, client) in plan.clients.iter().enumerate() {
        let begun = Instant::now();
        let result = clients::calm(engine, &ensemble, client, at % members::MEMBERS, folders);
        let ensemble = ensemble.lock().unwrap_or_else(PoisonError::into_inner);
        let result = result
            .map(|said| format!("{said}, {:.1} s", begun.elapsed().as_secs_f64()))
            .map_err(|error| ensemble.explain(&error));
        told(cells, client.name, CALM, result);
    }
    Ok(())
}

/// All clients at work on one ensemble, which one fault after the other befalls.
fn under_faults(
    engine: &Engine,
    plan: &Plan,
    folders: &[PathBuf],
    cells: &mut Vec<Cell>,
) -> Result<()> {
    let mut ensemble = Ensemble::start(engine, "faults", 1000)?;
    let all = plan.clients.iter();
    let mut patients: Vec<Option<Patient>> = all
        .map(|client| Patient::start(engine, &ensemble, client, folders).map(Some))
        .collect::<Result<_>>()?;
    for patient in patients.iter_mut().flatten() {
        patient
            .ready()
            .map_err(|error| anyhow!("{}: {error:#}", patient.client.name))?;
    }
    for fault in &plan.faults {
        println!("\n-- {}: {}", fault.name, fault.what);
        let begun = Instant::now();
        // Those that would never find the members again end before, content, and begin anew.
        let new = |client: &Client| fault.moves && !client.looks_up_again;
        for (patient, client) in patients.iter_mut().zip(&plan.clients) {
            if new(client) {
                finish(patient, fault.name, cells);
            }
        }
        let befell = (fault.befall)(&mut ensemble).map_err(|error| ensemble.explain(&error));
        println!(
            "-- {} over after {:.1} s",
            fault.name,
            begun.elapsed().as_secs_f64()
        );
        for (patient, client) in patients.iter_mut().zip(&plan.clients) {
            if new(client) {
                *patient = Some(Patient::start(engine, &ensemble, client, folders)?);
                patient.iter_mut().try_for_each(Patient::ready)?;
            }
        }
        let ask = |patient: &mut Option<Patient>| match (&befell, patient) {
            (Ok(()), Some(patient)) => patient.ask(fault.name),
            (Err(error), _) => Err(anyhow!("{error:#}")),
            (_, None) => Err(anyhow!("it has ended")),
        };
        // All at once, then each one's answer.
        let asked: Vec<Result<()>> = patients.iter_mut().map(ask).collect();
        for ((patient, asked), client) in patients.iter_mut().zip(asked).zip(&plan.clients) {
            let answer = |()| match patient {
                Some(patient) => patient.answer(fault.name),
                None => Err(anyhow!("it has ended")),
            };
            let result = asked
                .and_then(answer)
                .map(|said| match new(client) {
                    true => format!("a new client, as its library looks names up once; {said}"),
                    false => said,
                })
                .map_err(|error| ensemble.explain(&error));
            told(cells, client.name, fault.name, result);
        }
        if befell.is_err() {
            return Ok(());
        }
    }
    for patient in &mut patients {
        finish(patient, "end", cells);
    }
    let result = ensemble
        .compare()
        .map(|nodes| format!("{nodes} nodes"))
        .map_err(|error| ensemble.explain(&error));
    told(cells, "members", "agree", result);
    Ok(())
}

/// Ends a client's program. That it does not end well is told, unless its failure has been told.
fn finish(patient: &mut Option<Patient>, when: &'static str, cells: &mut Vec<Cell>) {
    let Some(patient) = patient.take() else {
        return;
    };
    let name = patient.client.name;
    let failed = cells
        .iter()
        .any(|cell| cell.client == name && cell.result.is_err());
    match patient.finish() {
        Err(error) if !failed => told(cells, name, when, Err(error)),
        _ => {}
    }
}

/// The table; false when anything has failed.
fn summary(cells: &[Cell]) -> bool {
    let columns: Vec<&str> = scenarios()
        .filter(|name| *name != KAFKA && *name != PATRONI)
        .filter(|name| cells.iter().any(|cell| cell.scenario == *name))
        .collect();
    println!();
    if !columns.is_empty() {
        print!("{:<10}", "client");
        columns.iter().for_each(|name| print!(" {name:>10}"));
        println!();
    }
    for client in clients::ALL {
        let cell = |scenario: &str| {
            let found = cells
                .iter()
                .find(|cell| cell.client == client.name && cell.scenario == scenario);
            found.map_or(
                "-",
                |cell| if cell.result.is_ok() { "ok" } else { "FAILED" },
            )
        };
        if cells.iter().any(|cell| cell.client == client.name) && !columns.is_empty() {
            print!("{:<10}", client.name);
            columns
                .iter()
                .for_each(|name| print!(" {:>10}", cell(name)));
            println!();
        }
    }
    for cell in cells {
        let (client, scenario) = (cell.client, cell.scenario);
        match &cell.result {
            Ok(said) if !columns.contains(&scenario) => println!("{client} {scenario}: ok, {said}"),
            Ok(_) => {}
            Err(error) => {
                let text = format!("{error:#}");
                let reason = text.lines().next().unwrap_or_default();
                println!("{client} {scenario}: FAILED, {reason}");
            }
        }
    }
    let failed = cells.iter().filter(|cell| cell.result.is_err()).count();
    println!("{} passed, {failed} failed", cells.len() - failed);
    failed == 0
}
