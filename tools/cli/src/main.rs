//! Owns the command line of `menagerie-tools`. Must not do anything itself.

mod backup;
mod bench;
mod client;
mod compare;
mod container;
mod env;
mod files;
mod health;
mod http;
mod migrate;
mod restore;
mod scripts;
mod shell;
mod socket;
mod subtree;
mod tls;
mod word;
mod zoo_cfg;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use env::Env;

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
    /// Make a database as it was at some transaction or time, from snapshots and logs
    Restore(restore::RestoreArgs),
    /// Copy a live server's tree into a snapshot that a server can start from, and check the copy
    Backup(backup::BackupArgs),
    /// Write a node and everything below it as lines of JSON
    Export(subtree::ExportArgs),
    /// Bring what export wrote into a server
    Import(subtree::ImportArgs),
    /// Take an ensemble of Apache's servers over to Menagerie, step by step
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
    /// Check whether a server is healthy: exit code 0 or 1
    Health(health::HealthArgs),
    /// Do what one of Apache's scripts does: zkServer.sh, zkCli.sh, …
    #[command(disable_help_flag = true)]
    Script {
        /// The script's name and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Be the entry point of a container: configure from the environment, then run a command
    #[command(disable_help_flag = true)]
    Container {
        /// The command; zkServer.sh start-foreground if there is none
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Become another program in a session of its own
    #[command(hide = true)]
    BecomeDaemon {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command_line: Vec<String>,
    },
    /// Become another program that is killed when this one's parent ends
    #[command(hide = true)]
    ExecGuarded {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command_line: Vec<String>,
    },
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let result = match scripts::called_as(&args) {
        Some(words) => scripts::main(words, Env::of_this_process()),
        None => run(Cli::parse().command),
    };
    result.unwrap_or_else(|error| {
        eprintln!("menagerie-tools: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Bench(args) => bench::main(&args),
        Command::Compare(args) => compare::main(&args),
        Command::Log(command) => files::log_main(&command),
        Command::Snapshot(command) => files::snapshot_main(&command),
        Command::Shell { words } => shell::main(&words),
        Command::Restore(args) => restore::main(&args),
        Command::Backup(args) => backup::main(&args),
        Command::Export(args) => subtree::export_main(&args),
        Command::Import(args) => subtree::import_main(&args),
        Command::Migrate(command) => migrate::main(&command),
        Command::Health(args) => health::main(&args),
        Command::Script { words } => scripts::main(&words, Env::of_this_process()),
        Command::Container { command } => container::main(&command, Env::of_this_process()),
        Command::BecomeDaemon { command_line } => {
            scripts::become_daemon(&command_line).map(|()| ExitCode::SUCCESS)
        }
        Command::ExecGuarded { command_line } => {
            compare::guard::exec_guarded(&command_line).map(|()| ExitCode::SUCCESS)
        }
    }
}
