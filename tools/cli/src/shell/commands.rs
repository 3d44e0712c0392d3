//! Owns the table of commands: names, usage, options, and the way to each. Must not do what they
//! do.

use super::args::{Opt, Parsed, parse};
use super::failure::Failure;
use super::{Output, Shell, acl_commands, node_commands, other_commands, quota_commands};

/// A command as `help` shows it.
pub(crate) struct Spec {
    /// What the user types.
    pub(crate) name: &'static str,
    /// What follows the name in the usage text.
    usage: &'static str,
    /// More usage text for wrong input.
    more: &'static str,
    /// Its options.
    options: &'static [Opt],
    /// How many words it needs.
    least: usize,
}

impl Spec {
    /// The usage text for wrong input.
    pub(crate) fn usage_text(&self) -> String {
        format!("{} {}{}", self.name, self.usage, self.more)
    }
}

macro_rules! specs {
    ($($name:literal, $usage:literal, $options:expr, $least:literal;)*) => {
        &[$(Spec { name: $name, usage: $usage, more: more($name), options: $options, least: $least }),*]
    };
}

const fn more(name: &str) -> &'static str {
    match name.as_bytes() {
        b"get" => {
            "\n -b   Output data in base64 format\n -s   Print znode stats additionally\n \
             -w   Watch for changes on the znode\n -x   Output data in hexdump format\n"
        }
        b"set" => {
            "\n -b         Supply data in base64 format\n -s         Print znode stats \
             additionally\n -v <arg>   Set with an expected version\n"
        }
        _ => "",
    }
}

/// All commands, in the order of `help`.
pub(crate) const SPECS: &[Spec] = specs! {
    "addWatch", "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default is PERSISTENT_RECURSIVE",
        &[("m", true)], 1;
    "addauth", "scheme auth", &[], 1;
    "close", "", &[], 0;
    "config", "[-c] [-w] [-s]", &[("c", false), ("w", false), ("s", false)], 0;
    "connect", "host:port", &[], 0;
    "create", "[-s] [-e] [-c] [-t ttl] path [data] [acl]",
        &[("s", false), ("e", false), ("c", false), ("t", true)], 1;
    "delete", "[-v version] path", &[("v", true)], 1;
    "deleteall", "path [-b batch size]", &[("b", true)], 1;
    "delquota", "[-n|-b|-N|-B] path",
        &[("n", false), ("b", false), ("N", false), ("B", false)], 1;
    "get", "[-s] [-w] [-b] [-x] path",
        &[("s", false), ("w", false), ("b", false), ("x", false)], 1;
    "getAcl", "[-s] path", &[("s", false)], 1;
    "getAllChildrenNumber", "path", &[], 1;
    "getEphemerals", "path", &[], 0;
    "history", "", &[], 0;
    "listquota", "path", &[], 1;
    "ls", "[-s] [-w] [-R] path", &[("s", false), ("w", false), ("R", false)], 1;
    "printwatches", "on|off", &[], 0;
    "quit", "", &[], 0;
    "reconfig", "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | [-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
        &[("s", false), ("v", true), ("file", true), ("members", true), ("add", true), ("remove", true)], 0;
    "redo", "cmdno", &[], 0;
    "removewatches", "path [-c|-d|-a] [-l]",
        &[("c", false), ("d", false), ("a", false), ("l", false)], 1;
    "set", "path data [-s] [-v version] [-b]", &[("s", false), ("v", true), ("b", false)], 2;
    "setAcl", "[-s] [-v version] [-R] path acl", &[("s", false), ("v", true), ("R", false)], 2;
    "setquota", "-n|-b|-N|-B val path", &[("n", true), ("b", true), ("N", true), ("B", true)], 1;
    "stat", "[-w] path", &[("w", false)], 1;
    "sync", "path", &[], 1;
    "version", "", &[], 0;
    "whoami", "", &[], 0;
};

/// What `help` and unknown commands print before their error.
pub(crate) fn help() -> String {
    let mut out =
        "ZooKeeper -server host:port -client-configuration properties-file cmd args\n".to_owned();
    for spec in SPECS {
        out += &format!("\t{} {}\n", spec.name, spec.usage);
    }
    out.pop();
    out
}

/// Finds and runs a command. The words must not be empty.
pub(crate) async fn run(shell: &mut Shell, words: &[String]) -> Result<Output, Failure> {
    let Some((name, arguments)) = words.split_first() else {
        return Ok(Output::default());
    };
    if name == "help" {
        return Ok(Output::error_text(help()));
    }
    let Some(spec) = SPECS.iter().find(|spec| spec.name == name) else {
        return Err(Failure::After(
            help(),
            Box::new(Failure::NotFound(name.clone())),
        ));
    };
    let parsed = parse(arguments, spec.options)?;
    if parsed.rest.len() < spec.least {
        return Err(Failure::Text(spec.usage_text()));
    }
    dispatch(shell, spec, &parsed).await
}

async fn dispatch(shell: &mut Shell, spec: &Spec, args: &Parsed) -> Result<Output, Failure> {
    match spec.name {
        "close" => return other_commands::close(shell).await,
        "connect" => return other_commands::connect(shell, args).await,
        "history" => return Ok(other_commands::history(shell)),
        "printwatches" => return Ok(other_commands::print_watches(shell, args)),
        "version" => return Ok(other_commands::version()),
        _ => {}
    }
    let client = shell.client()?;
    match spec.name {
        "ls" => node_commands::ls(client, args).await,
        "get" => node_commands::get(client, args).await,
        "set" => node_commands::set(client, args).await,
        "create" => node_commands::create(client, args).await,
        "delete" => node_commands::delete(client, args).await,
        "deleteall" => node_commands::delete_all(client, args).await,
        "stat" => node_commands::stat(client, args).await,
        "sync" => node_commands::sync(client, args).await,
        "getEphemerals" => node_commands::ephemerals(client, args).await,
        "getAllChildrenNumber" => node_commands::all_children_number(client, args).await,
        "getAcl" => acl_commands::get_acl(client, args).await,
        "setAcl" => acl_commands::set_acl(client, args).await,
        "addauth" => Ok(acl_commands::add_auth(client, args)),
        "whoami" => acl_commands::who_am_i(client).await,
        "setquota" => quota_commands::set_quota(client, args).await,
        "listquota" => quota_commands::list_quota(client, args).await,
        "delquota" => quota_commands::del_quota(client, args).await,
        "addWatch" => other_commands::add_watch(client, args, spec).await,
        "removewatches" => other_commands::remove_watches(client, args).await,
        "config" => other_commands::config(client, args).await,
        "reconfig" => other_commands::reconfig(client, args, spec).await,
        // With a number it is the loop's own, as `quit` is.
        "redo" => Ok(Output::default()),
        name => Err(Failure::NotFound(name.to_owned())),
    }
}
