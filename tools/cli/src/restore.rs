//! Owns restoring a database as it was at some transaction or time, from the snapshots and logs that
//! are there, into a directory of its own. May use `storage` and `database`. Must not change what it
//! restores from: a server may be using it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use menagerie_core::ids::Zxid;
use menagerie_core::tree::TreeOptions;
use menagerie_database::{Cut, LoadOptions, cut, restore};
use menagerie_storage::DataDirs;
use menagerie_storage::snapshot::read::{SnapshotSink, load_file};
use menagerie_storage::txnlog::read::LogIter;
use menagerie_wire::data::{Acl, StatPersisted};
use serde_json::json;

use crate::files::parse_zxid;

/// What to restore, from where, to where.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// dataDir to restore from; a server may be using it
    from: PathBuf,
    /// dataDir to make; must not be there, or be empty
    to: PathBuf,
    /// dataLogDir to restore from, if it is another one
    #[arg(long)]
    log_dir: Option<PathBuf>,
    /// The last transaction to restore (decimal, or hexadecimal with 0x)
    #[arg(long, value_parser = parse_zxid, conflicts_with = "time")]
    zxid: Option<i64>,
    /// Restore what there was at that time: milliseconds since 1970, or "15m", "2h", "3d" ago
    #[arg(long, value_parser = parse_time)]
    time: Option<i64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Reads a time as milliseconds since 1970.
fn parse_time(text: &str) -> Result<i64, String> {
    let allowed = || "give milliseconds since 1970, or 15m, 2h, 3d for so long ago".to_owned();
    let unit = |letter: char| match letter {
        's' => Some(1000),
        'm' => Some(60_000),
        'h' => Some(3_600_000),
        'd' => Some(86_400_000),
        _ => None,
    };
    let Some(ms) = text.chars().last().and_then(unit) else {
        return text.parse().map_err(|_| allowed());
    };
    let count: i64 = text[..text.len() - 1].parse().map_err(|_| allowed())?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let ago = count.checked_mul(ms).filter(|ago| (0..=now).contains(ago));
    Ok(now - ago.ok_or_else(allowed)?)
}

/// The subcommand `restore`.
pub(crate) fn main(args: &RestoreArgs) -> Result<ExitCode> {
    let log_dir = args.log_dir.as_ref().unwrap_or(&args.from);
    let from = DataDirs::open(&args.from, log_dir, false).context("cannot restore from there")?;
    let target = match (args.zxid, args.time) {
        (Some(zxid), _) => Some(zxid),
        (None, Some(time)) => Some(last_before(&from, time)?),
        (None, None) => None,
    };
    make_empty(&args.to)?;
    let made = fill(&from, &args.to, target);
    if made.is_err() {
        // What is there is of no use to anybody.
        let _keeps_the_reason = fs::remove_dir_all(args.to.join("version-2"));
    }
    let (snapshot, logs) = made?;
    let to = DataDirs::open(&args.to, &args.to, false)?;
    let options = LoadOptions {
        tree: TreeOptions {
            digest_enabled: true,
            ..TreeOptions::default()
        },
        keep: 0,
        trust_empty: false,
        alone: false,
    };
    let restored = restore(&to, &options)?;
    let tree = &restored.tree;
    let (zxid, digest) = (Zxid(tree.last_zxid()), tree.digest());
    ensure!(
        restored.mismatches == 0,
        "{} digests on the way to {zxid} are not those of the tree: do not use {}",
        restored.mismatches,
        args.to.display()
    );
    if args.json {
        let told = json!({
            "zxid": format!("0x{:x}", zxid.0), "nodes": tree.node_count(),
            "sessions": restored.sessions.len(), "digest": format!("0x{digest:x}"),
            "snapshot": snapshot, "logs": logs, "replayed": restored.replayed,
        });
        println!("{told}");
    } else {
        println!(
            "{} is as of zxid {zxid}: {} nodes, {} sessions, digest 0x{digest:x}; from {} and {} transactions",
            args.to.display(),
            tree.node_count(),
            restored.sessions.len(),
            snapshot.display(),
            restored.replayed
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The last transaction that is not younger than `time`.
fn last_before(dirs: &DataDirs, time: i64) -> Result<i64> {
    let mut log = LogIter::open(dirs, i64::MIN)?;
    let (mut last, mut first) = (None, None);
    while let Some(entry) = log.next_entry()? {
        first.get_or_insert(entry.header.time);
        if entry.header.time > time {
            break;
        }
        last = Some(entry.header.zxid);
    }
    match (last, first) {
        (Some(zxid), _) => Ok(zxid),
        (None, Some(first)) => {
            bail!("the oldest transaction that is there is of {first} ms, which is after {time}")
        }
        (None, None) => bail!("there are no transactions"),
    }
}

fn make_empty(to: &Path) -> Result<()> {
    let named = || to.display().to_string();
    match fs::read_dir(to) {
        Ok(mut entries) => ensure!(entries.next().is_none(), "{} is not empty", to.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::create_dir_all(to).with_context(named)?;
        }
        Err(error) => return Err(error).with_context(named),
    }
    fs::create_dir(to.join("version-2")).with_context(named)
}

/// Where a snapshot ends: it is written while the tree changes, and holds some of what came until then.
#[derive(Debug, Default)]
struct EndOf {
    zxid: Option<i64>,
}

impl SnapshotSink for EndOf {
    fn reset(&mut self) {
        self.zxid = None;
    }
    fn session(&mut self, _: i64, _: i32) {}
    fn acl(&mut self, _: i64, _: &[Acl<'_>]) {}
    fn node(
        &mut self,
        _: &str,
        _: Option<&[u8]>,
        _: i64,
        stat: StatPersisted,
    ) -> Result<(), String> {
        // One without a digest tells by its nodes.
        self.zxid = self
            .zxid
            .max(Some(stat.mzxid.max(stat.czxid).max(stat.pzxid)));
        Ok(())
    }
    fn digest(&mut self, zxid: i64, _: i32, _: i64) {
        self.zxid = self.zxid.max(Some(zxid));
    }
}

/// Copies the snapshot and the logs that are needed, and cuts what is behind `target`; which they were.
fn fill(from: &DataDirs, to: &Path, target: Option<i64>) -> Result<(PathBuf, Vec<PathBuf>)> {
    let limit = target.unwrap_or(i64::MAX);
    let (start, snapshot) = newest(from, limit)?;
    let copy = |path: &Path| -> Result<()> {
        let name = path.file_name().context("a file without a name")?;
        let copied = to.join("version-2").join(name);
        fs::copy(path, &copied).with_context(|| path.display().to_string())?;
        // A restored database is as safe as any other when this ends.
        fs::File::open(&copied)?.sync_all()?;
        Ok(())
    };
    copy(&snapshot)?;
    let logs = from.logs()?;
    let first = logs.iter().rposition(|(at, _)| *at <= start).unwrap_or(0);
    // A snapshot that ends where it is to end needs no log.
    let needed = logs.into_iter().skip(first).filter(|_| limit > start);
    let needed: Vec<PathBuf> = needed
        .filter(|(at, _)| *at <= limit)
        .map(|(_, path)| path)
        .collect();
    for log in &needed {
        copy(log)?;
    }
    let dirs = DataDirs::open(to, to, false)?;
    let mut last = start;
    let mut log = LogIter::open(&dirs, start)?;
    while let Some(entry) = log.next_entry()? {
        last = last.max(entry.header.zxid);
    }
    drop(log);
    if let Some(target) = target {
        ensure!(
            target <= last,
            "the logs end with 0x{last:x}, before 0x{target:x}"
        );
        if target < last
            && let Cut::Impossible(reason) = cut(&dirs, Zxid(target))?
        {
            bail!("0x{target:x} cannot be restored: {reason}");
        }
    }
    Ok((snapshot, needed))
}

/// The newest snapshot that holds nothing from behind `limit`, and its zxid.
fn newest(from: &DataDirs, limit: i64) -> Result<(i64, PathBuf)> {
    let mut reasons = Vec::new();
    for (zxid, path) in from.snapshots()? {
        if zxid > limit {
            continue;
        }
        let mut end = EndOf::default();
        match load_file(&path, &mut end) {
            Ok(()) if end.zxid.is_none_or(|end| end <= limit) => return Ok((zxid, path)),
            Ok(()) => reasons.push(format!(
                "{} was written until 0x{:x}",
                path.display(),
                end.zxid.unwrap_or_default()
            )),
            Err(error) => reasons.push(format!("{}: {error}", path.display())),
        }
    }
    bail!(
        "no snapshot holds nothing but what was before that{}{}",
        if reasons.is_empty() { "" } else { ": " },
        reasons.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_so_long_ago() {
        assert_eq!(parse_time("1700000000000"), Ok(1_700_000_000_000));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = i64::try_from(now.as_millis()).unwrap();
        let ago = now - parse_time("2h").unwrap();
        assert!((7_190_000..=7_210_000).contains(&ago), "{ago}");
        for wrong in ["", "h", "2w", "yesterday", "-3h", "99999999999999d"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
