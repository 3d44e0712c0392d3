//! Owns the entry point of the container: as root it hands the directories over and becomes an
//! ordinary user; then it writes what is missing and becomes the command. Must not change a
//! configuration that is there.

mod hooks;
#[cfg(test)]
mod markdown;
mod owner;
mod plan;
mod servers;
mod table;

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use menagerie_storage::replace;

use crate::env::Env;
use crate::scripts;
use plan::Plan;

/// The command of a container that is given none.
const DEFAULT: [&str; 2] = ["zkServer.sh", "start-foreground"];
/// Where Bitnami's image has its configuration, which users mount.
const BITNAMI_CONF: &str = "/opt/bitnami/zookeeper/conf";

/// The subcommand `container`.
///
/// # Errors
/// What cannot be read, written or executed; variables that ask for what is not there.
pub(crate) fn main(command: &[String], mut env: Env) -> Result<ExitCode> {
    let default = DEFAULT.map(str::to_owned);
    let command = if command.is_empty() {
        &default
    } else {
        command
    };
    for complaint in read_files(&mut env) {
        eprintln!("{complaint}");
    }
    let bitnami = Path::new(BITNAMI_CONF).join("zoo.cfg");
    let config_dir = plan::config_dir(&env);
    if !config_dir.join("zoo.cfg").exists() && bitnami.is_file() {
        env.set("ZOO_CONF_DIR", BITNAMI_CONF);
    }
    let config_dir = plan::config_dir(&env);
    let config = config_dir.join("zoo.cfg");
    // Other commands are run as they are, as in the official image: by root, if that is the user.
    let serves = command.first().is_some_and(|name| name == "zkServer.sh");
    if serves && rustix::process::geteuid().is_root() {
        let plan = Plan::new(env.clone(), &Path::is_dir)?;
        let mut dirs = vec![plan.data_dir, plan.output_dir];
        dirs.extend(plan.log_dir);
        let user = owner::user();
        for dir in &dirs {
            owner::hand_over(dir, user)?;
        }
        if !config.exists() {
            owner::hand_over(&config_dir, user)?;
        }
        return become_user(user, command, &env);
    }
    hooks::run_all(Path::new("/docker-entrypoint.d"), &mut env)?;
    let plan = Plan::new(env, &Path::is_dir)?;
    for sentence in &plan.said {
        eprintln!("{sentence}");
    }
    if config.exists() {
        eprintln!(
            "{} is there: variables change nothing in it",
            config.display()
        );
    } else {
        create(&config, plan.config.as_bytes())?;
    }
    let my_id = plan.data_dir.join("myid");
    if !my_id.exists() {
        create(&my_id, format!("{}\n", plan.my_id).as_bytes())?;
    }
    let mut env = plan.env;
    let config_dir = config_dir.to_string_lossy().into_owned();
    env.set_default("ZOOCFGDIR", &config_dir);
    run(command, env)
}

/// Takes variables from the files that `NAME_FILE` names, as passwords are given to containers.
fn read_files(env: &mut Env) -> Vec<String> {
    let mut complaints = Vec::new();
    for variable in table::VARIABLES {
        let name = variable.name;
        let Some(path) = env.get(&format!("{name}_FILE")) else {
            continue;
        };
        match fs::read_to_string(&path) {
            Ok(text) => env.set(name, text.trim_end_matches(['\r', '\n'])),
            Err(error) => complaints.push(format!("{name}_FILE={path}: {error}; passed over")),
        }
    }
    complaints
}

/// Writes a file that appears when it is whole.
fn create(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
    }
    // The storage's errors name the path and the cause.
    replace::write(path, bytes).map_err(|error| {
        let uid = rustix::process::geteuid().as_raw();
        anyhow::anyhow!("as user {uid}: {error}")
    })
}

/// Begins again as an ordinary user, without root's groups.
fn become_user(user: owner::User, command: &[String], env: &Env) -> Result<ExitCode> {
    let ourselves = std::env::current_exe().context("cannot find this program")?;
    let mut again = Command::new(ourselves);
    let again = env
        .give_to(&mut again)
        .arg0("menagerie-tools")
        .arg("container")
        .args(command);
    // Whoever sets the user and names no groups leaves root's behind.
    let error = again.uid(user.uid).gid(user.gid).exec();
    Err(error).with_context(|| format!("cannot become user {}", user.uid))
}

/// Becomes the command.
fn run(command: &[String], env: Env) -> Result<ExitCode> {
    if scripts::called_as(command).is_some() {
        return scripts::main(command, env);
    }
    let Some((program, arguments)) = command.split_first() else {
        bail!("no command");
    };
    let mut command = Command::new(OsString::from(program));
    let error = env.give_to(&mut command).args(arguments).exec();
    Err(error).with_context(|| format!("cannot execute {program}"))
}
