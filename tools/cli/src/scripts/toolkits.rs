//! Owns the scripts for files: their arguments, as Apache's documentation has them, in terms of the
//! tools for files. Must not read any file itself.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;

use crate::files::{self, LogCommand, SnapshotCommand};

/// Reads arguments; prints and ends as the parser says otherwise.
fn parse<T: Parser>(name: &str, words: &[String]) -> Result<T, ExitCode> {
    let words = std::iter::once(name.to_owned()).chain(words.iter().cloned());
    T::try_parse_from(words).map_err(|error| {
        // Nobody may be there to read it.
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
    })
}

/// Print or repair a transaction log.
#[derive(Debug, Parser)]
struct TxnLog {
    /// Print all entries of the log; the default
    #[arg(short, long)]
    dump: bool,
    /// Cut the log where it is damaged; asks first unless -y is given
    #[arg(short, long, conflicts_with = "dump")]
    recover: bool,
    /// Print the entries as well while repairing
    #[arg(short, long)]
    verbose: bool,
    /// Repair without asking
    #[arg(short, long)]
    yes: bool,
    txn_log_file_name: PathBuf,
}

/// zkTxnLogToolkit.sh. Apache's tool repairs by a new checksum over whatever the entry has become;
/// here a torn end is cut, and kept in a file beside the log. Where whole transactions would be lost,
/// that takes `menagerie-tools log fix --force`.
///
/// # Errors
/// What the file is like.
pub(super) fn txn_log(words: &[String]) -> Result<ExitCode> {
    let args: TxnLog = match parse("zkTxnLogToolkit.sh", words) {
        Ok(args) => args,
        Err(code) => return Ok(code),
    };
    let file = args.txn_log_file_name;
    let print = LogCommand::Print {
        files: vec![file.clone()],
        json: false,
        from: i64::MIN,
        to: None,
    };
    if !args.recover {
        return files::log_main(&print);
    }
    if args.verbose
        && let Err(error) = files::log_main(&print)
    {
        // The damage is what the repair is for.
        eprintln!("{error:#}");
    }
    let fix = |dry_run: bool| {
        files::log_main(&LogCommand::Fix {
            file: file.clone(),
            force: false,
            dry_run,
        })
    };
    if !args.yes && (fix(true)? != ExitCode::SUCCESS || !confirmed()?) {
        return Ok(ExitCode::FAILURE);
    }
    fix(false)
}

fn confirmed() -> Result<bool> {
    eprint!("Would you like to do this? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

/// Print a snapshot.
#[derive(Debug, Parser)]
struct Snapshot {
    /// Print the data of each node, too
    #[arg(short)]
    data: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    snapshot_file: PathBuf,
}

/// zkSnapShotToolkit.sh.
///
/// # Errors
/// What the file is like.
pub(super) fn snapshot(words: &[String]) -> Result<ExitCode> {
    // Apache's tool has a single dash.
    let words: Vec<String> = words
        .iter()
        .map(|word| if word == "-json" { "--json" } else { word }.to_owned())
        .collect();
    let args: Snapshot = match parse("zkSnapShotToolkit.sh", &words) {
        Ok(args) => args,
        Err(code) => return Ok(code),
    };
    files::snapshot_main(&SnapshotCommand::Print {
        file: args.snapshot_file,
        json: args.json,
        path: "/".to_owned(),
        data: args.data,
    })
}

/// Compare two snapshots.
#[derive(Debug, Parser)]
struct Comparer {
    /// The one file
    #[arg(short, long)]
    left: PathBuf,
    /// The other file
    #[arg(short, long)]
    right: PathBuf,
    /// Of Apache's tool: bytes from which on a difference counts; here each counts
    #[arg(short, long)]
    bytes: Option<u64>,
    /// Of Apache's tool: nodes from which on a difference counts; here each counts
    #[arg(short, long)]
    nodes: Option<u64>,
    /// Of Apache's tool; without effect
    #[arg(short, long)]
    debug: bool,
    /// Of Apache's tool, which asks level by level
    #[arg(short, long)]
    interactive: bool,
}

/// zkSnapshotComparer.sh: succeeds when both files could be compared.
///
/// # Errors
/// What the files are like.
pub(super) fn comparer(words: &[String]) -> Result<ExitCode> {
    let args: Comparer = match parse("zkSnapshotComparer.sh", words) {
        Ok(args) => args,
        Err(code) => return Ok(code),
    };
    if args.interactive {
        bail!("-i: there is no dialogue here; every difference is printed without it");
    }
    if args.bytes.is_some() || args.nodes.is_some() || args.debug {
        eprintln!("-b, -n and -d change nothing: every difference is printed");
    }
    let differences = SnapshotCommand::Diff {
        old: args.left,
        new: args.right,
        json: false,
        content: false,
    };
    files::snapshot_main(&differences).map(|_| ExitCode::SUCCESS)
}
