//! Owns printing, checking and cutting a transaction log. May use `storage`. Must not open a
//! directory that a server uses for writing.

use std::fs;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use menagerie_storage::txnlog::read::{End, LogEntry, LogFile};
use menagerie_storage::txnlog::recover::{Tail, inspect_file, repair};
use menagerie_storage::{DirLock, StorageError};
use serde_json::{Value, json};

use super::describe::{describe, line, op_name};

/// Bytes of a transaction's header in an entry.
const TXN_HEADER: usize = 32;

/// Prints the transactions of a log within `range`.
pub(crate) fn print(file: &Path, as_json: bool, range: &RangeInclusive<i64>) -> Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let Some(mut log) = LogFile::open(file)? else {
        eprintln!("{}: empty", file.display());
        return Ok(());
    };
    loop {
        match log.next_entry()? {
            Ok(entry) if range.contains(&entry.header.zxid) => {
                let text = if as_json {
                    entry_json(&entry).to_string()
                } else {
                    entry_line(&entry)
                };
                if writeln!(out, "{text}").is_err() {
                    // The reader has seen enough.
                    return Ok(());
                }
            }
            Ok(_) => {}
            Err(End::Clean) => break,
            Err(End::Torn) => {
                out.flush()?;
                bail!(
                    "{}: an incomplete transaction at offset {}",
                    file.display(),
                    log.offset()
                );
            }
        }
    }
    Ok(out.flush()?)
}

fn entry_line(entry: &LogEntry<'_>) -> String {
    let header = &entry.header;
    let head = format!(
        "{} session 0x{:x} cxid 0x{:x} zxid 0x{:x} {}",
        crate::shell::format::date(header.time),
        header.client_id,
        header.cxid,
        header.zxid,
        op_name(header.op)
    );
    match describe(header.op, entry.bytes.get(TXN_HEADER..).unwrap_or_default()) {
        Ok(told) => {
            let digest = told
                .digest
                .map(|d| format!(" digest=0x{d:x}"))
                .unwrap_or_default();
            format!("{head} {}{digest}", line(&told.fields))
        }
        Err(error) => format!("{head} UNREADABLE: {error}"),
    }
}

fn entry_json(entry: &LogEntry<'_>) -> Value {
    let header = &entry.header;
    let mut value = json!({
        "zxid": format!("0x{:x}", header.zxid),
        "session": format!("0x{:x}", header.client_id),
        "cxid": header.cxid,
        "timeMs": header.time,
        "op": op_name(header.op),
        "offset": entry.offset,
    });
    if let Some(object) = value.as_object_mut() {
        match describe(header.op, entry.bytes.get(TXN_HEADER..).unwrap_or_default()) {
            Ok(told) => {
                object.insert("txn".to_owned(), Value::Object(told.fields));
                if let Some(digest) = told.digest {
                    object.insert("digest".to_owned(), json!(format!("0x{digest:x}")));
                }
            }
            Err(error) => drop(object.insert("unreadable".to_owned(), json!(error))),
        }
    }
    value
}

/// What a check finds.
#[derive(Debug, Default)]
struct Findings {
    txns: u64,
    first: Option<i64>,
    last: i64,
    problems: Vec<String>,
}

/// Reads the whole file. Problems are collected, not returned as errors.
fn examine(file: &Path) -> Result<Findings> {
    let mut found = Findings::default();
    let mut log = match LogFile::open(file) {
        Ok(Some(log)) => log,
        Ok(None) => {
            found
                .problems
                .push("no header: the file is empty".to_owned());
            return Ok(found);
        }
        Err(error @ StorageError::Corrupt { .. }) => {
            found.problems.push(error.to_string());
            return Ok(found);
        }
        Err(error) => return Err(error.into()),
    };
    loop {
        let offset = log.offset();
        match log.next_entry() {
            Ok(Ok(entry)) => {
                let zxid = entry.header.zxid;
                if found.first.is_some() && zxid <= found.last {
                    let text =
                        format!("zxid 0x{zxid:x} at offset {offset} comes after a later one");
                    found.problems.push(text);
                }
                let body = entry.bytes.get(TXN_HEADER..).unwrap_or_default();
                if let Err(error) = describe(entry.header.op, body) {
                    found
                        .problems
                        .push(format!("zxid 0x{zxid:x} at offset {offset}: {error}"));
                }
                found.txns += 1;
                found.first.get_or_insert(zxid);
                found.last = zxid;
            }
            Ok(Err(End::Clean)) => return Ok(found),
            Ok(Err(End::Torn)) => {
                found
                    .problems
                    .push(format!("an incomplete transaction at offset {offset}"));
                return Ok(found);
            }
            Err(error @ StorageError::Corrupt { .. }) => {
                found.problems.push(error.to_string());
                return Ok(found);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Checks a log and prints what it found; whether it is whole.
pub(crate) fn check(file: &Path, as_json: bool) -> Result<bool> {
    let found = examine(file)?;
    let whole = found.problems.is_empty();
    if as_json {
        let value = json!({
            "file": file, "ok": whole, "txns": found.txns,
            "firstZxid": found.first.map(|z| format!("0x{z:x}")),
            "lastZxid": found.first.map(|_| format!("0x{:x}", found.last)),
            "problems": found.problems,
        });
        println!("{value}");
        return Ok(whole);
    }
    let range = match found.first {
        Some(first) => format!("0x{first:x} to 0x{:x}", found.last),
        None => "none".to_owned(),
    };
    let verdict = if whole { "ok" } else { "DAMAGED" };
    println!(
        "{}: {verdict}, {} transactions, zxids {range}",
        file.display(),
        found.txns
    );
    for problem in &found.problems {
        println!("  {problem}");
    }
    Ok(whole)
}

/// Cuts a log where damage begins.
pub(crate) fn fix(file: &Path, force: bool, dry_run: bool) -> Result<ExitCode> {
    let directory = file
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let _lock = DirLock::acquire(directory).context("stop the server first")?;
    let (offset, last, tail) = match inspect_file(file) {
        Ok(Tail::None | Tail::Clean) => {
            println!("{}: nothing to fix", file.display());
            return Ok(ExitCode::SUCCESS);
        }
        Ok(Tail::Empty { .. }) => {
            println!("{}: no header; delete the file", file.display());
            return Ok(ExitCode::FAILURE);
        }
        Ok(Tail::Torn {
            path,
            offset,
            last_zxid,
        }) => (
            offset,
            last_zxid,
            Tail::Torn {
                path,
                offset,
                last_zxid,
            },
        ),
        Err(StorageError::Corrupt {
            offset: 0, reason, ..
        }) => bail!("{reason}"),
        Err(StorageError::Corrupt {
            path,
            offset,
            reason,
            last_zxid,
        }) => {
            println!("{}: damaged at offset {offset}: {reason}", file.display());
            if !force {
                println!("whole transactions follow and would be lost; --force cuts anyway");
                return Ok(ExitCode::FAILURE);
            }
            (
                offset,
                last_zxid,
                Tail::Torn {
                    path,
                    offset,
                    last_zxid,
                },
            )
        }
        Err(error) => return Err(error.into()),
    };
    println!(
        "{}: whole up to offset {offset}, zxid 0x{last:x}",
        file.display()
    );
    if dry_run {
        println!("would cut the rest");
        return Ok(ExitCode::SUCCESS);
    }
    let saved = save_rest(file, offset)?;
    repair(&tail)?;
    println!("cut; the rest is in {}", saved.display());
    Ok(ExitCode::SUCCESS)
}

/// Copies what will be cut, without the zeros at the end, beside the log.
fn save_rest(file: &Path, offset: u64) -> Result<PathBuf> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // The name must not be one of a log: servers would read it.
    let saved = file.with_file_name(format!("cut-{offset}-of-{name}"));
    let mut source = fs::File::open(file)?;
    source.seek(SeekFrom::Start(offset))?;
    let mut rest = Vec::new();
    source.read_to_end(&mut rest)?;
    let used = rest
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    rest.truncate(used);
    fs::write(&saved, rest).with_context(|| format!("cannot write {}", saved.display()))?;
    Ok(saved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use menagerie_storage::txnlog::{LogOptions, TxnLog};
    use menagerie_wire::jute::append;
    use menagerie_wire::op::op_code;
    use menagerie_wire::txn::{DeleteTxn, TxnHeader};

    /// A log with `count` deletes, and where each entry ends.
    fn log_of(count: i64) -> (tempfile::TempDir, PathBuf, Vec<u64>) {
        let directory = tempfile::tempdir().unwrap();
        let mut log = TxnLog::new(directory.path().to_owned(), LogOptions::default());
        for zxid in 1..=count {
            let mut entry = Vec::new();
            append(
                &mut entry,
                &TxnHeader {
                    client_id: 7,
                    cxid: 1,
                    zxid,
                    time: 0,
                    op: op_code::DELETE,
                },
            );
            append(
                &mut entry,
                &DeleteTxn {
                    path: Some("/a".into()),
                },
            );
            log.append(zxid, &entry).unwrap();
        }
        log.commit().unwrap();
        drop(log);
        let path = directory.path().join("log.1");
        let mut file = LogFile::open(&path).unwrap().unwrap();
        let mut ends = Vec::new();
        while file.next_entry().unwrap().is_ok() {
            ends.push(file.offset());
        }
        (directory, path, ends)
    }

    fn damage(path: &Path, at: u64) {
        let mut bytes = fs::read(path).unwrap();
        bytes[usize::try_from(at).unwrap()] ^= 0x55;
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_whole_log_is_ok() {
        let (_directory, path, _) = log_of(5);
        let found = examine(&path).unwrap();
        assert_eq!((found.txns, found.first, found.last), (5, Some(1), 5));
        assert!(found.problems.is_empty());
        assert!(check(&path, false).unwrap());
    }

    #[test]
    fn damage_in_the_middle_is_cut_only_by_force() {
        let (_directory, path, ends) = log_of(5);
        damage(&path, ends[1] + 20);
        assert!(!check(&path, true).unwrap());
        assert_eq!(fix(&path, false, false).unwrap(), ExitCode::FAILURE);
        assert_eq!(fix(&path, true, true).unwrap(), ExitCode::SUCCESS);
        assert!(!check(&path, false).unwrap());
        assert_eq!(fix(&path, true, false).unwrap(), ExitCode::SUCCESS);
        let found = examine(&path).unwrap();
        assert_eq!((found.txns, found.last), (2, 2));
        assert!(found.problems.is_empty());
        let saved = path.with_file_name(format!("cut-{}-of-log.1", ends[1]));
        assert!(fs::metadata(saved).unwrap().len() > 100);
    }

    #[test]
    fn a_torn_end_is_cut() {
        let (_directory, path, ends) = log_of(3);
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(ends[2] - 3).unwrap();
        assert_eq!(examine(&path).unwrap().problems.len(), 1);
        assert_eq!(fix(&path, false, false).unwrap(), ExitCode::SUCCESS);
        assert_eq!(examine(&path).unwrap().txns, 2);
        assert!(check(&path, false).unwrap());
    }

    #[test]
    fn a_log_in_use_is_left_alone() {
        let (directory, path, _) = log_of(1);
        let _server = DirLock::acquire(directory.path()).unwrap();
        assert!(fix(&path, false, false).is_err());
    }
}
