//! Owns zkCleanup.sh: purges the directories of a configuration. May use the tools for files. Must
//! not keep less than the server's own purge does.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use super::place::Place;
use crate::files::{self, PurgeArgs};
use crate::zoo_cfg::ZooCfg;

/// The script. `[snapDir] -n count`; the directory of the snapshots, when it is another one than
/// `dataDir` and there is no `dataLogDir`.
///
/// # Errors
/// What is wrong with the arguments, what cannot be read or deleted.
pub(super) fn main(place: Place, words: &[String]) -> Result<ExitCode> {
    let (snap_dir, count) = match words {
        [flag, count] if flag == "-n" => (None, count),
        [dir, flag, count] if flag == "-n" => (Some(PathBuf::from(dir)), count),
        _ => bail!("usage: {} [snapDir] -n count", place.script),
    };
    let keep = count
        .parse()
        .with_context(|| format!("-n {count}: not a number"))?;
    let path = place.config(&place.config_dir(None), None);
    let config = ZooCfg::read(&path)?;
    let Some(data_dir) = config.data_dir() else {
        bail!("{} has no dataDir", path.display());
    };
    let (log_dir, data_dir) = match (config.data_log_dir(), snap_dir) {
        (Some(log_dir), None) => (log_dir, data_dir),
        (None, Some(snap_dir)) => (data_dir, snap_dir),
        (None, None) => (data_dir.clone(), data_dir),
        (Some(_), Some(_)) => bail!(
            "{} has a dataLogDir, and the snapshots are in dataDir: name no other directory",
            path.display()
        ),
    };
    files::purge_files(&PurgeArgs {
        data_dir,
        log_dir: Some(log_dir),
        keep,
        dry_run: false,
    })
}
