//! Owns the tools for files: transaction logs and snapshots, one's own or Apache ZooKeeper's. May
//! use `storage` and the digest of `core`. Must not need a running server.

mod describe;
mod diff;
mod log;
mod snapshot;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;
use menagerie_storage::{DataDirs, purge};

/// What to do with transaction logs.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Print every transaction
    Print {
        /// log.<zxid> files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
        /// Begin with this zxid (decimal, or hexadecimal with 0x)
        #[arg(long, value_parser = parse_zxid, default_value = "0")]
        from: i64,
        /// End with this zxid
        #[arg(long, value_parser = parse_zxid)]
        to: Option<i64>,
    },
    /// Check that logs are whole: checksums, records, order; fails if not
    Check {
        /// log.<zxid> files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print one JSON object per file
        #[arg(long)]
        json: bool,
    },
    /// Cut a damaged log where the damage begins; the rest goes to a file beside it
    Fix {
        /// A log.<zxid> file that no server uses
        file: PathBuf,
        /// Cut even if whole transactions follow, which are lost
        #[arg(long)]
        force: bool,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete old snapshots, and logs that the snapshots kept do not need
    Purge(PurgeArgs),
}

/// What to do with snapshots.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Print every node
    Print {
        /// A snapshot.<zxid> file, compressed or not
        file: PathBuf,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
        /// Only this node and what is below it
        #[arg(long, default_value = "/")]
        path: String,
        /// Print data, too
        #[arg(long)]
        data: bool,
    },
    /// Check that snapshots are whole: checksum, parents, ACLs, sessions; fails if not
    Check {
        /// snapshot.<zxid> files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print one JSON object per file
        #[arg(long)]
        json: bool,
    },
    /// Compare two snapshots; fails if they differ
    Diff {
        /// The older one
        old: PathBuf,
        /// The newer one
        new: PathBuf,
        /// Print one JSON object per difference
        #[arg(long)]
        json: bool,
        /// Compare data and ACLs only, not zxids, times and versions
        #[arg(long)]
        content: bool,
    },
    /// Delete old snapshots, and logs that the snapshots kept do not need
    Purge(PurgeArgs),
}

/// What to purge.
#[derive(Debug, clap::Args)]
pub(crate) struct PurgeArgs {
    /// dataDir, the directory that has version-2
    pub(crate) data_dir: PathBuf,
    /// dataLogDir, if it is another one
    #[arg(long)]
    pub(crate) log_dir: Option<PathBuf>,
    /// How many snapshots to keep, at least 3
    #[arg(short = 'n', long, default_value_t = purge::RETAIN_MIN)]
    pub(crate) keep: usize,
    /// Only list the files
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Reads a zxid, hexadecimal behind 0x.
pub(crate) fn parse_zxid(text: &str) -> Result<i64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).map(u64::cast_signed),
        None => text.parse(),
    };
    parsed.map_err(|e| format!("not a zxid: {e}"))
}

/// The subcommand `log`.
pub(crate) fn log_main(command: &LogCommand) -> Result<ExitCode> {
    match command {
        LogCommand::Print {
            files,
            json,
            from,
            to,
        } => {
            let range = *from..=to.unwrap_or(i64::MAX);
            for file in files {
                log::print(file, *json, &range)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        LogCommand::Check { files, json } => all(files, |file| log::check(file, *json)),
        LogCommand::Fix {
            file,
            force,
            dry_run,
        } => log::fix(file, *force, *dry_run),
        LogCommand::Purge(args) => purge_files(args),
    }
}

/// The subcommand `snapshot`.
pub(crate) fn snapshot_main(command: &SnapshotCommand) -> Result<ExitCode> {
    match command {
        SnapshotCommand::Print {
            file,
            json,
            path,
            data,
        } => {
            snapshot::print(file, *json, path, *data)?;
            Ok(ExitCode::SUCCESS)
        }
        SnapshotCommand::Check { files, json } => all(files, |file| snapshot::check(file, *json)),
        SnapshotCommand::Diff {
            old,
            new,
            json,
            content,
        } => diff::run(old, new, *json, *content),
        SnapshotCommand::Purge(args) => purge_files(args),
    }
}

/// Checks all files; fails if one is bad.
fn all(files: &[PathBuf], check: impl Fn(&PathBuf) -> Result<bool>) -> Result<ExitCode> {
    let mut good = true;
    for file in files {
        good &= check(file)?;
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Deletes what is not needed when the newest `keep` snapshots are kept.
pub(crate) fn purge_files(args: &PurgeArgs) -> Result<ExitCode> {
    ensure!(
        args.keep >= purge::RETAIN_MIN,
        "at least {} snapshots must be kept",
        purge::RETAIN_MIN
    );
    let log_dir = args.log_dir.as_ref().unwrap_or(&args.data_dir);
    let dirs = DataDirs::open(&args.data_dir, log_dir, false).context("cannot purge")?;
    let files = if args.dry_run {
        purge::removable(&dirs, args.keep)?
    } else {
        purge::purge(&dirs, args.keep)?
    };
    let verb = if args.dry_run {
        "would remove"
    } else {
        "removed"
    };
    for file in &files {
        println!("{verb} {}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zxids_are_decimal_or_hexadecimal() {
        assert_eq!(parse_zxid("31"), Ok(31));
        assert_eq!(parse_zxid("0x1f"), Ok(31));
        assert_eq!(parse_zxid("0xffffffffffffffff"), Ok(-1));
        assert!(parse_zxid("1f").is_err());
    }
}
