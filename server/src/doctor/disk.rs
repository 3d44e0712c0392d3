//! Owns the directories: whether they can be used, by whom else, and how fast they are. Leaves
//! nothing behind.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use menagerie_storage::{DirLock, StorageError};

use super::{Finding, good, risky, wrong};
use crate::config::Config;

/// Syncs that are timed.
const SYNCS: usize = 20;
/// A disk that takes longer for half of them makes every write slow.
const SLOW: Duration = Duration::from_millis(10);
/// Bytes that should be free.
const ROOM: u64 = 1 << 30;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut directories = vec![("dataDir", config.data_dir.as_path())];
    if config.log_dir() != config.data_dir {
        directories.push(("dataLogDir", config.log_dir()));
    }
    for (key, path) in directories {
        let what = format!("{key} {}", path.display());
        match nearest(path) {
            Some(there) if there == path => usable(&what, path, &mut findings),
            Some(there) if config.datadir_autocreate => {
                findings.push(good(&what, "is not there yet and will be made"));
                usable(
                    &format!("{what}, in {}", there.display()),
                    &there,
                    &mut findings,
                );
            }
            _ => findings.push(wrong(
                &what,
                "is not there, and datadir.autocreate=false",
                format!("mkdir -p {}", path.display()),
            )),
        }
    }
    speed(config, &mut findings);
    findings
}

/// The directory itself, or the nearest one above it that is there.
fn nearest(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let mut above = absolute.ancestors();
    above.find(|dir| dir.is_dir()).map(Path::to_owned)
}

fn usable(what: &str, path: &Path, findings: &mut Vec<Finding>) {
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    // Directories such as /tmp are everybody's, with a rule that protects what is in them.
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        findings.push(risky(
            what,
            "every user of this machine may write to it",
            format!("chmod o-w {}", path.display()),
        ));
    }
    if let Err(error) = probe(path, 1) {
        findings.push(wrong(
            what,
            format!("cannot be written to: {error}"),
            "give it to the user that the server runs as",
        ));
        return;
    }
    if let Err(error) = free(path) {
        findings.push(risky(
            what,
            format!("is in use: {error}"),
            "nothing, if that is the server that you look after",
        ));
    }
    match free_bytes(path) {
        Some(free) if free < ROOM => findings.push(risky(
            what,
            format!("{} MiB are free", free >> 20),
            "make room: a member whose log cannot be written stops",
        )),
        Some(free) => findings.push(good(
            what,
            format!("can be used, {} GiB are free", free >> 30),
        )),
        None => findings.push(good(what, "can be used")),
    }
}

/// Fails when a server holds the directory. One that has never served has no lock to look at, and
/// gets none.
fn free(path: &Path) -> Result<(), StorageError> {
    if DirLock::is_there(path) {
        drop(DirLock::acquire(path)?);
    }
    Ok(())
}

fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// How long every write waits at least.
fn speed(config: &Config, findings: &mut Vec<Finding>) {
    let Some(path) = nearest(config.log_dir()) else {
        return;
    };
    let what = format!("disk of {}", path.display());
    // What cannot be written to has been told.
    let Ok(mut times) = probe(&path, SYNCS) else {
        return;
    };
    times.sort_unstable();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    let found = format!("a sync takes {median:.1?}, the slowest of {SYNCS} took {slowest:.1?}");
    findings.push(if median > SLOW {
        let remedy =
            "put dataLogDir on a disk of its own, best a solid-state one with a protected cache";
        risky(what, found, remedy)
    } else {
        good(what, found)
    });
}

/// Writes to a file of its own and syncs it so many times; how long each took.
fn probe(dir: &Path, count: usize) -> io::Result<Vec<Duration>> {
    let path = dir.join(format!(".menagerie-doctor-{}", std::process::id()));
    let timed = (|| {
        let mut file = File::create(&path)?;
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let begun = Instant::now();
            file.write_all(&[0; 512])?;
            file.sync_data()?;
            times.push(begun.elapsed());
        }
        Ok(times)
    })();
    let _not_even_made = fs::remove_file(&path);
    timed
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    fn config(dir: &Path) -> Config {
        let mut config = Config::embedded_default();
        config.data_dir = dir.to_owned();
        config.complete().unwrap();
        config
    }

    fn grades(findings: &[Finding]) -> Vec<Grade> {
        findings.iter().map(|finding| finding.grade).collect()
    }

    #[test]
    fn a_directory_is_tried_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let findings = examine(&config(&dir.path().join("new/data")));
        assert!(
            grades(&findings).iter().all(|g| *g != Grade::Wrong),
            "{findings:#?}"
        );
        assert!(findings[0].found.contains("will be made"), "{findings:#?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_of_everybody_is_a_risk() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let findings = examine(&config(dir.path()));
        assert!(findings[0].found.contains("every user"), "{findings:#?}");
        assert!(
            findings[0].remedy.starts_with("chmod o-w "),
            "{findings:#?}"
        );
    }

    #[test]
    fn a_missing_directory_that_may_not_be_made_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(&dir.path().join("gone"));
        config.datadir_autocreate = false;
        assert_eq!(examine(&config)[0].grade, Grade::Wrong);
    }

    #[test]
    fn a_directory_in_use_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let held = DirLock::acquire(dir.path()).unwrap();
        let findings = examine(&config(dir.path()));
        assert!(findings[0].found.contains("is in use"), "{findings:#?}");
        drop(held);
    }
}
