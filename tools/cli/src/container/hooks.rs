//! Owns the users' scripts in `/docker-entrypoint.d`, which the official image runs before it
//! writes anything: `*.sh` are programs, `*.envsh` set variables. May start them. Must not need a
//! shell when there are none.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::env::Env;

/// Runs what is in `dir`, in the order of the names.
///
/// # Errors
/// The script that fails.
pub(super) fn run_all(dir: &Path, env: &mut Env) -> Result<()> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(());
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.is_file()) {
        let executable = fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o111 != 0);
        match path.extension().and_then(OsStr::to_str) {
            Some("sh") if executable => launch(path, env)?,
            Some("envsh") if executable => source(path, env)?,
            Some("sh" | "envsh") => eprintln!("{}: not executable, passed over", path.display()),
            _ => eprintln!("{}: neither .sh nor .envsh, passed over", path.display()),
        }
    }
    Ok(())
}

fn launch(path: &Path, env: &Env) -> Result<()> {
    let mut command = Command::new(path);
    let status = env.give_to(&mut command).status();
    let status = status.with_context(|| format!("cannot run {}", path.display()))?;
    if !status.success() {
        bail!("{}: {status}", path.display());
    }
    Ok(())
}

/// Lets a shell read the script and say what the variables are then.
fn source(path: &Path, env: &mut Env) -> Result<()> {
    let mut command = Command::new("/bin/sh");
    env.give_to(&mut command)
        .args(["-ec", ". \"$0\" >&2; exec env -0"])
        .arg(path)
        .stderr(Stdio::inherit());
    let output = command.output();
    let output = output.with_context(|| format!("cannot read {}", path.display()))?;
    if !output.status.success() {
        bail!("{}: {}", path.display(), output.status);
    }
    for assignment in output.stdout.split(|byte| *byte == 0) {
        let text = OsStr::from_bytes(assignment).to_string_lossy();
        if let Some((name, value)) = text.split_once('=') {
            env.set(name, value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_run_in_order_and_variables_are_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        write("1.envsh", "export HOOK=one; echo said", 0o755);
        write("2.sh", "#!/bin/sh\necho \"$HOOK\" > \"$DIR/seen\"\n", 0o755);
        write("3.sh", "#!/bin/sh\nexit 1\n", 0o644);
        write("4.txt", "", 0o644);
        let mut env = Env::of_this_process();
        env.set("DIR", dir.path().to_str().unwrap());
        run_all(dir.path(), &mut env).unwrap();
        assert_eq!(env.get("HOOK").as_deref(), Some("one"));
        assert_eq!(
            fs::read_to_string(dir.path().join("seen")).unwrap(),
            "one\n"
        );
        write("5.sh", "#!/bin/sh\nexit 3\n", 0o755);
        let error = run_all(dir.path(), &mut env).unwrap_err().to_string();
        assert!(error.contains("5.sh: exit status: 3"), "{error}");
        run_all(&dir.path().join("nowhere"), &mut env).unwrap();
    }
}
