//! Owns the command line of `menagerie-tools`. Must not do anything itself.

mod bench;
mod client;

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
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(args) => bench::main(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("menagerie-tools: {error:#}");
        ExitCode::FAILURE
    })
}
