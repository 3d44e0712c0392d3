//! Owns the command line of the compatibility tests. May use every module here. Must not test
//! anything itself.

mod agree;
mod audit;
mod badinput;
mod certs;
mod control;
mod diff;
mod differences;
mod docker;
mod ensemble;
mod files;
mod guarantee;
mod guard;
mod kerberos;
mod matrix;
mod observe;
mod pages;
mod populate;
mod programs;
mod raw;
mod rng;
mod sasl;
mod server;
mod suites;
mod tally;
mod tls;
mod walk;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::programs::Programs;

/// Compares Menagerie with Apache ZooKeeper.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Menagerie's binary, instead of the release build.
    #[arg(long, global = true)]
    menagerie: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The same random operations on both servers, answers compared.
    Diff(diff::Options),
    /// One data directory, used by both servers in turn.
    Files(files::Options),
    /// Writes or checks MATRIX.md.
    Matrix(matrix::Options),
    /// Ensembles of Menagerie, of Menagerie and Apache, and the way from one to the other.
    Ensemble(ensemble::Options),
    /// What is served over HTTP: the admin server, Prometheus.
    Pages,
    /// The audit log, line by line.
    Audit,
    /// SASL and enforced authentication.
    Sasl,
    /// Kerberos for clients.
    Kerberos(kerberos::Options),
    /// TLS for clients: who gets in, as whom.
    Tls,
    /// Bad input, on connections and at the start.
    Badinput,
    /// The suites of the official clients.
    Suites(suites::Options),
    /// An ensemble in containers, each official client in another, and what befalls them.
    Docker(docker::Options),
    /// Becomes another program, which then dies with its parent.
    #[command(name = guard::SUBCOMMAND, hide = true)]
    ExecGuarded {
        /// The program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command_line: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<bool> {
    let programs = || Programs::find(args.menagerie);
    match args.command {
        Command::ExecGuarded { command_line } => guard::exec_guarded(&command_line).map(|()| true),
        Command::Diff(options) => diff::run(&options, &programs()?),
        Command::Files(options) => files::run(&options, &programs()?),
        Command::Matrix(options) => matrix::run(&options, &programs()?),
        Command::Ensemble(options) => ensemble::run(&options, &programs()?),
        Command::Pages => pages::run(&programs()?),
        Command::Audit => audit::run(&programs()?),
        Command::Sasl => sasl::run(&programs()?),
        Command::Kerberos(options) => kerberos::run(&options, &programs()?),
        Command::Tls => tls::run(&programs()?),
        Command::Badinput => badinput::run(&programs()?),
        Command::Suites(options) => suites::run(&options, &programs()?),
        Command::Docker(options) => docker::run(&options),
    }
}
