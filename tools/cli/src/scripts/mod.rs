//! Owns the names of Apache's scripts: which of them there are and what each takes. May use the
//! shell and the tools for files. Must not need a shell of the system.

mod cleanup;
mod daemon;
mod java_env;
mod pid_file;
mod place;
mod server;
mod toolkits;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::env::Env;

pub(crate) use daemon::become_daemon;

/// One script, given its place and its arguments.
type Run = fn(place::Place, &[String]) -> Result<ExitCode>;

/// Every script, by its name.
const SCRIPTS: &[(&str, Run)] = &[
    ("zkServer.sh", server::main),
    ("zkCli.sh", |_, words| crate::shell::main(words)),
    ("zkCleanup.sh", cleanup::main),
    ("zkTxnLogToolkit.sh", |_, words| toolkits::txn_log(words)),
    ("zkSnapShotToolkit.sh", |_, words| toolkits::snapshot(words)),
    ("zkSnapshotComparer.sh", |_, words| {
        toolkits::comparer(words)
    }),
];

/// The arguments of a script that this program was called as, with its name first; `None` when it
/// was called by its own name.
pub(crate) fn called_as(args: &[String]) -> Option<&[String]> {
    let name = args.first()?;
    find(name).is_some().then_some(args)
}

fn find(name: &str) -> Option<Run> {
    let base = Path::new(name).file_name()?.to_str()?;
    let script = SCRIPTS.iter().find(|(script, _)| *script == base);
    script.map(|(_, run)| *run)
}

/// Runs a script; the first word is its name, or the path that it was called by.
///
/// # Errors
/// When there is no such script, or what it cannot do.
pub(crate) fn main(words: &[String], env: Env) -> Result<ExitCode> {
    let names = || {
        SCRIPTS
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let Some((name, arguments)) = words.split_first() else {
        bail!("no script named; there are {}", names());
    };
    let Some(run) = find(name) else {
        bail!("there is no script {name:?}; there are {}", names());
    };
    run(place::Place::new(name, env), arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_whatever_the_folder() {
        let called = |name: &str| called_as(&[name.to_owned()]).is_some();
        assert!(called("zkServer.sh"));
        assert!(called("/apache-zookeeper/bin/zkSnapShotToolkit.sh"));
        assert!(!called("/usr/bin/menagerie-tools"));
        assert!(!called("zkServer.sh/menagerie-tools"));
        assert!(called_as(&[]).is_none());
    }
}
