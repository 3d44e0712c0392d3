//! Owns `migrate`: the guided take-over of an ensemble of Apache's servers, one member at a time. It
//! looks, says what to do next and whether it is safe, and leaves stopping and starting to who runs
//! the servers. Must not change anything on any server.

mod configs;
mod judge;
mod members;
mod plan;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use configs::Finding;
use judge::{Digests, Verdict, judge};
use members::{Member, Targets, look};

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum MigrateCommand {
    /// Can this ensemble be taken over? Versions, health, settings that Menagerie would refuse
    Check(CheckArgs),
    /// In which order, with which commands
    Plan(Targets),
    /// Watch the members while they are exchanged, and say when it is safe to go on, or to go back
    Watch(WatchArgs),
}

/// What `check` looks at.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    targets: Targets,
    /// The admin servers' port, for members whose configuration is to be looked at over the network
    #[arg(long, default_value_t = 8080)]
    admin_port: u16,
    /// They speak HTTPS
    #[arg(long)]
    admin_https: bool,
    /// Menagerie's binary; the one beside this program, or the one in PATH, if not given
    #[arg(long)]
    menagerie: Option<std::path::PathBuf>,
}

/// How `watch` looks.
#[derive(Debug, clap::Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    targets: Targets,
    /// Seconds between two looks
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Look once, and end with 0: safe, 1: wait, 2: go back
    #[arg(long)]
    once: bool,
    /// End with 0 as soon as it has been safe for two looks; with 1 after --timeout, with 2 when it
    /// is time to go back
    #[arg(long, conflicts_with = "once")]
    until_safe: bool,
    /// Seconds until --until-safe gives up
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Name the next member of the way back to Apache's servers
    #[arg(long)]
    back: bool,
}

/// The subcommand `migrate`.
pub(crate) fn main(command: &MigrateCommand) -> Result<ExitCode> {
    match command {
        MigrateCommand::Check(args) => check(args),
        MigrateCommand::Plan(targets) => {
            let members = look(&targets.members()?, targets.tls.client()?.as_ref());
            print!("{}", plan::text(targets, &members));
            Ok(ExitCode::SUCCESS)
        }
        MigrateCommand::Watch(args) => watch(args),
    }
}

fn check(args: &CheckArgs) -> Result<ExitCode> {
    let known = args.targets.members()?;
    let members = look(&known, args.targets.tls.client()?.as_ref());
    show(&members);
    let mut findings = judge::fitness(&members);
    findings.extend(configs::examine(args, &members));
    let verdict = judge(&members, &Digests::default(), false);
    if let Verdict::Wait(reasons) | Verdict::GoBack(reasons) = &verdict {
        findings.extend(reasons.iter().map(Finding::wrong));
    }
    findings.iter().for_each(|finding| println!("{finding}"));
    let wrong = findings.iter().filter(|finding| finding.is_wrong()).count();
    println!(
        "{}",
        match wrong {
            0 => "it can be taken over; menagerie-tools migrate plan says how".to_owned(),
            _ => format!("{wrong} things are in the way"),
        }
    );
    Ok(ExitCode::from(u8::from(wrong > 0)))
}

fn watch(args: &WatchArgs) -> Result<ExitCode> {
    let known = args.targets.members()?;
    let tls = args.targets.tls.client()?;
    let begun = Instant::now();
    let mut digests = Digests::default();
    let mut safe_looks = 0;
    loop {
        let members = look(&known, tls.as_ref());
        digests.add(&members);
        let verdict = judge(&members, &digests, args.back);
        show(&members);
        println!("{verdict}");
        let code = match &verdict {
            Verdict::Safe(_) | Verdict::Done => 0,
            Verdict::Wait(_) => 1,
            Verdict::GoBack(_) => 2,
        };
        safe_looks = if code == 0 { safe_looks + 1 } else { 0 };
        let late = begun.elapsed() >= Duration::from_secs(args.timeout);
        if args.once || args.until_safe && (safe_looks >= 2 || code == 2 || late) {
            return Ok(ExitCode::from(code));
        }
        thread::sleep(Duration::from_secs(args.every));
    }
}

fn show(members: &[Member]) {
    println!(
        "{:<10} {:<22} {:<18} {:<12} {:<14} {:>9} {:>11}",
        "server", "at", "software", "mode", "zxid", "nodes", "connections"
    );
    for member in members {
        let at = member.known.at();
        match &member.said {
            Ok(said) => println!(
                "{:<10} {at:<22} {:<18} {:<12} {:<14} {:>9} {:>11}",
                member.known.name,
                said.software.to_string(),
                said.mode,
                format!("0x{:x}", said.zxid),
                said.nodes,
                said.connections
            ),
            Err(why) => println!("{:<10} {at:<22} {why}", member.known.name),
        }
    }
}
