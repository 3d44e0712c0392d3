//! Owns the command line of `menagerie-tools`. Must not do anything itself.

mod bench;
mod client;
mod compare;
mod files;
mod shell;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tools for ZooKeeper servers, Apache's and Menagerie.
#[derive(Debug, Parser)]
#[command(name = "menagerie-tools", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load a server and report throughput, latencies and its CPU time
    Bench(bench::BenchArgs),
    /// Measure Apache ZooKeeper and Menagerie interleaved and print the table of ratios
    Compare(compare::CompareArgs),
    /// Operate on nodes, as zkCli.sh does: one command, or many interactively
    #[command(visible_alias = "cli", disable_help_flag = true)]
    Shell {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Print, check and cut transaction logs
    #[command(subcommand)]
    Log(files::LogCommand),
    /// Print, check and compare snapshots
    #[command(subcommand)]
    Snapshot(files::SnapshotCommand),
    /// Become another program that is killed when this one's parent ends
    #[command(hide = true)]
    ExecGuarded {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command_line: Vec<String>,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(args) => bench::main(&args),
        Command::Compare(args) => compare::main(&args),
        Command::Log(command) => files::log_main(&command),
        Command::Snapshot(command) => files::snapshot_main(&command),
        Command::Shell { words } => shell::main(&words),
        Command::ExecGuarded { command_line } => {
            compare::guard::exec_guarded(&command_line).map(|()| ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("menagerie-tools: {error:#}");
        ExitCode::FAILURE
    })
}
