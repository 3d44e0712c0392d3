//! Owns the command line of the compatibility tests. May use every module here. Must not test
//! anything itself.

mod guard;
mod programs;
mod raw;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Compares Menagerie with Apache ZooKeeper.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Becomes another program, which then dies with its parent.
    #[command(name = guard::SUBCOMMAND, hide = true)]
    ExecGuarded {
        /// The program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command_line: Vec<String>,
    },
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::ExecGuarded { command_line } => guard::exec_guarded(&command_line).map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
