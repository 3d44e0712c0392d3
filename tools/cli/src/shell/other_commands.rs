//! Owns the commands on watches, configuration, connection and the shell itself. Must not print.

use menagerie_wire::client::ReconfigRequest;
use menagerie_wire::data::Stat;
use serde_json::json;

use super::args::Parsed;
use super::commands::Spec;
use super::failure::Failure;
use super::format;
use super::node_commands::path;
use super::{Output, Shell};
use crate::client::{Client, Remove};

type Outcome = Result<Output, Failure>;

/// How many commands `history` shows.
const HISTORY: usize = 11;

/// addWatch.
pub(crate) async fn add_watch(client: &Client, args: &Parsed, spec: &Spec) -> Outcome {
    let path = path(args)?;
    let recursive = match args.value("m") {
        None | Some("PERSISTENT_RECURSIVE") => true,
        Some("PERSISTENT") => false,
        Some(_) => return Err(Failure::Text(spec.usage_text())),
    };
    client.add_watch(path, recursive).await?;
    Ok(Output {
        json: json!({ "path": path, "recursive": recursive }),
        ..Output::default()
    })
}

/// removewatches.
pub(crate) async fn remove_watches(client: &Client, args: &Parsed) -> Outcome {
    let path = path(args)?;
    let what = match (args.has("c"), args.has("d")) {
        (true, _) => Remove::Children,
        (_, true) => Remove::Data,
        _ => Remove::Any,
    };
    client.remove_watches(path, what, args.has("l")).await?;
    Ok(Output {
        json: json!({ "path": path }),
        ..Output::default()
    })
}

fn config_output(text: &[u8], stat: &Stat, head: &str, with_stat: bool) -> Output {
    let text = String::from_utf8_lossy(text);
    let mut out = format!("{head}{text}\n");
    if with_stat {
        out += &format::stat(stat);
    }
    let json = json!({ "config": text, "stat": format::stat_json(stat) });
    Output {
        out,
        err: String::new(),
        json,
    }
}

/// config.
pub(crate) async fn config(client: &Client, args: &Parsed) -> Outcome {
    let (text, stat) = client.config(args.has("w")).await?;
    if args.has("c") {
        let text = client_config(&String::from_utf8_lossy(&text));
        return Ok(Output::text(&text, json!(text)));
    }
    Ok(config_output(&text, &stat, "", args.has("s")))
}

/// The addresses that clients use, and the version. Source: `ConfigUtils.getClientConfigStr`.
fn client_config(text: &str) -> String {
    let mut clients = Vec::new();
    let mut version = "";
    for line in text.lines() {
        match line.split_once('=') {
            Some(("version", number)) => version = number,
            Some((key, server)) if key.starts_with("server.") => {
                clients.extend(server.split_once(';').map(|(_, client)| client));
            }
            _ => {}
        }
    }
    format!("{} {version}", clients.join(","))
}

/// reconfig.
pub(crate) async fn reconfig(client: &Client, args: &Parsed, spec: &Spec) -> Outcome {
    let usage = || Failure::Text(spec.usage_text());
    let incremental = args.has("add") || args.has("remove");
    let whole = args.has("file") || args.has("members");
    if incremental == whole {
        return Err(usage());
    }
    let from_file = match args.value("file") {
        None => None,
        Some(file) => {
            let text = std::fs::read_to_string(file);
            Some(text.map_err(|e| Failure::Text(format!("Error processing {file}: {e}")))?)
        }
    };
    let members = from_file
        .as_deref()
        .map(members_of)
        .or(args.value("members").map(str::to_owned));
    let request = ReconfigRequest {
        joining_servers: args.value("add").map(Into::into),
        leaving_servers: args.value("remove").map(Into::into),
        new_members: members.map(Into::into),
        cur_config_id: match args.value("v") {
            None => -1,
            // Versions are written in hexadecimal.
            Some(text) => i64::from_str_radix(text, 16).map_err(|_| usage())?,
        },
    };
    let (text, stat) = client.reconfig(request).await.map_err(|mut error| {
        error.path = None;
        error
    })?;
    Ok(config_output(
        &text,
        &stat,
        "Committed new configuration:\n",
        args.has("s"),
    ))
}

/// The server lines of a dynamic configuration file, separated by commas.
fn members_of(text: &str) -> String {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("server."));
    lines.collect::<Vec<_>>().join(",")
}

/// close.
pub(crate) async fn close(shell: &mut Shell) -> Outcome {
    shell.disconnect().await;
    Ok(Output::default())
}

/// connect.
pub(crate) async fn connect(shell: &mut Shell, args: &Parsed) -> Outcome {
    if let Some(server) = args.word(0) {
        shell.settings.server = server.to_owned();
    }
    shell.disconnect().await;
    shell.reconnect();
    Ok(Output::default())
}

/// history.
pub(crate) fn history(shell: &Shell) -> Output {
    let first = shell.history.len().saturating_sub(HISTORY);
    let numbered = shell.history.iter().enumerate().skip(first);
    let lines: Vec<_> = numbered
        .map(|(at, line)| format!("{at} - {line}"))
        .collect();
    Output {
        out: lines.join("\n") + "\n",
        err: String::new(),
        json: json!(lines),
    }
}

/// printwatches.
pub(crate) fn print_watches(shell: &Shell, args: &Parsed) -> Output {
    let Some(word) = args.word(0) else {
        let state = if shell.events.is_on() { "on" } else { "off" };
        return Output::text(&format!("printwatches is {state}"), json!(state));
    };
    shell.events.turn(word == "on");
    Output {
        json: json!(word),
        ..Output::default()
    }
}

/// version.
pub(crate) fn version() -> Output {
    let version = concat!("3.9.5-menagerie-", env!("CARGO_PKG_VERSION"));
    Output::text(&format!("ZooKeeper CLI version: {version}"), json!(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_addresses_come_from_the_configuration() {
        let text = "server.1=a:2888:3888:participant;0.0.0.0:2181\nserver.2=b:1:2;h:3\nversion=1f";
        assert_eq!(client_config(text), "0.0.0.0:2181,h:3 1f");
        assert_eq!(client_config(""), " ");
        assert_eq!(
            members_of("tickTime=1\nserver.1=a\n server.2=b\n"),
            "server.1=a,server.2=b"
        );
    }
}
