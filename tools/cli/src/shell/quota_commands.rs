//! Owns the commands on quotas, which are nodes below /zookeeper/quota. May use the client. Must
//! not print. Source of the format: `StatsTrack`.

use std::collections::BTreeMap;

use menagerie_wire::data::{Acl, perms};
use menagerie_wire::op::ErrorCode;
use serde_json::json;

use super::Output;
use super::args::Parsed;
use super::failure::Failure;
use super::node_commands::path;
use crate::client::{Client, ClientError, CreateKind};

type Outcome = Result<Output, Failure>;

const ROOT: &str = "/zookeeper/quota";
/// The options, in their order in error texts, with their names in the limits.
const OPTIONS: [(&str, &str, &str); 4] = [
    ("n", "count", "num soft quota"),
    ("b", "bytes", "bytes soft quota"),
    ("N", "countHardLimit", "num hard quota"),
    ("B", "byteHardLimit", "bytes hard quota"),
];

/// Limits by name; −1 is none.
#[derive(Debug, Default, PartialEq, Eq)]
struct Limits(BTreeMap<String, i64>);

impl Limits {
    fn parse(text: &str) -> Self {
        let pairs = text
            .split([',', ';'])
            .filter_map(|part| part.split_once('='));
        let number = |value: &str| value.trim_end_matches('=').parse().unwrap_or(-1);
        Self(
            pairs
                .map(|(key, value)| (key.to_owned(), number(value)))
                .collect(),
        )
    }

    fn get(&self, key: &str) -> i64 {
        self.0.get(key).copied().unwrap_or(-1)
    }

    fn set(&mut self, key: &str, value: i64) {
        self.0.insert(key.to_owned(), value);
    }

    fn text(&self) -> String {
        let mut text = format!("count={},bytes={}", self.get("count"), self.get("bytes"));
        let more: Vec<_> = (self.0.iter())
            .filter(|(key, _)| *key != "count" && *key != "bytes")
            .map(|(key, value)| format!(";{key}={value}"))
            .collect();
        if !more.is_empty() {
            text += &format!("={}", more.concat());
        }
        text
    }
}

fn limits_path(path: &str) -> String {
    format!("{ROOT}{path}/zookeeper_limits")
}

fn stats_path(path: &str) -> String {
    format!("{ROOT}{path}/zookeeper_stats")
}

/// The one option that was given.
fn chosen(args: &Parsed) -> Result<Option<(&'static str, &'static str)>, Failure> {
    let mut given = OPTIONS.iter().filter(|(option, ..)| args.has(option));
    let first = given.next();
    if let (Some((first, ..)), Some((second, ..))) = (first, given.next()) {
        return Err(Failure::Text(format!(
            "org.apache.commons.cli.AlreadySelectedException: The option '{second}' was specified \
             but an option from this group has already been selected: '{first}'"
        )));
    }
    Ok(first.map(|(option, key, _)| (*option, *key)))
}

async fn data(client: &Client, path: &str) -> Result<Option<String>, ClientError> {
    match client.get(path, false).await {
        Ok((data, _)) => Ok(Some(
            String::from_utf8_lossy(&data.unwrap_or_default()).into_owned(),
        )),
        Err(ClientError {
            code: ErrorCode::NoNode,
            ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn create(client: &Client, path: &str, data: Option<&str>) -> Result<(), ClientError> {
    let kind = CreateKind::Plain {
        ephemeral: false,
        sequential: false,
    };
    let open = vec![Acl::new(perms::ALL, "world", "anyone")];
    client
        .create(path, data.map(str::as_bytes), open, kind)
        .await
        .map(drop)
}

/// setquota.
pub(crate) async fn set_quota(client: &Client, args: &Parsed) -> Outcome {
    let path = path(args)?;
    let Some((option, key)) = chosen(args)? else {
        let names = OPTIONS
            .map(|(option, _, name)| format!("-{option} {name}"))
            .join(", ");
        return Err(Failure::Text(format!(
            "org.apache.commons.cli.MissingOptionException: Missing required option: [{names}]"
        )));
    };
    if path == "/" {
        return Err(Failure::Text(
            "Path must not end with / character".to_owned(),
        ));
    }
    let name = OPTIONS
        .iter()
        .find(|(o, ..)| *o == option)
        .map_or("", |(_, _, name)| {
            name.split_whitespace().next().unwrap_or_default()
        });
    let limit: i64 = args.number(option, "a long")?.unwrap_or(-1);
    if name == "num" && limit <= 0 {
        let text = "the num quota must be greater than zero";
        return Err(Failure::Text(text.to_owned()));
    }
    if limit < 0 {
        let text = "the bytes quota must be greater than or equal to zero";
        return Err(Failure::Text(text.to_owned()));
    }
    match client.stat(path, false).await {
        Err(ClientError {
            code: ErrorCode::NoNode,
            ..
        }) => {
            return Err(Failure::Text(format!("{path} does not exist.")));
        }
        other => drop(other?),
    }
    refuse_nested(client, path).await?;
    let limits_at = limits_path(path);
    let mut limits = Limits::default();
    match data(client, &limits_at).await? {
        Some(text) => {
            limits = Limits::parse(&text);
            limits.set(key, limit);
            client.set(&limits_at, limits.text().as_bytes(), -1).await?;
        }
        None => {
            limits.set(key, limit);
            arm(client, path, &limits).await?;
        }
    }
    Ok(Output {
        json: json!({ "path": path, "limits": limits.0 }),
        ..Output::default()
    })
}

/// Makes the quota's nodes, the limits first: their creation arms the quota.
async fn arm(client: &Client, path: &str, limits: &Limits) -> Result<(), Failure> {
    let mut at = ROOT.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        at = format!("{at}/{part}");
        match create(client, &at, None).await {
            Ok(())
            | Err(ClientError {
                code: ErrorCode::NodeExists,
                ..
            }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    create(client, &limits_path(path), Some(&limits.text())).await?;
    create(client, &stats_path(path), Some(&Limits::default().text())).await?;
    Ok(())
}

/// A quota above or below another is refused, as by zkCli.
async fn refuse_nested(client: &Client, path: &str) -> Result<(), Failure> {
    let ends = path
        .match_indices('/')
        .map(|(at, _)| at)
        .filter(|at| *at > 0);
    for parent in ends.filter_map(|end| path.get(..end)) {
        if data(client, &limits_path(parent)).await?.is_some() {
            let text = format!("{path} has a parent {parent} which has a quota");
            return Err(Failure::Text(text));
        }
    }
    let mut pending = vec![format!("{ROOT}{path}")];
    while let Some(node) = pending.pop() {
        let names = match client.children(&node, false).await {
            Err(ClientError {
                code: ErrorCode::NoNode,
                ..
            }) => continue,
            listed => listed?.0,
        };
        let below = node.strip_prefix(ROOT).unwrap_or_default();
        if below != path && names.iter().any(|name| name == "zookeeper_limits") {
            let text = format!("{path} has a child {below} which has a quota");
            return Err(Failure::Text(text));
        }
        let inner = names.iter().filter(|name| !name.starts_with("zookeeper_"));
        pending.extend(inner.map(|name| format!("{node}/{name}")));
    }
    Ok(())
}

/// listquota.
pub(crate) async fn list_quota(client: &Client, args: &Parsed) -> Outcome {
    let path = path(args)?;
    let at = limits_path(path);
    let head = format!("absolute path is {at}");
    let Some(limits) = data(client, &at).await? else {
        return Err(Failure::After(
            head,
            Box::new(Failure::Text(format!("quota for {path} does not exist."))),
        ));
    };
    let stats = data(client, &stats_path(path)).await?.unwrap_or_default();
    let out = format!("{head}\nOutput quota for {path} {limits}\nOutput stat for {path} {stats}\n");
    let json = json!({
        "path": path,
        "limits": Limits::parse(&limits).0,
        "stats": Limits::parse(&stats).0,
    });
    Ok(Output {
        out,
        err: String::new(),
        json,
    })
}

/// delquota: one limit, or all of them with their nodes.
pub(crate) async fn del_quota(client: &Client, args: &Parsed) -> Outcome {
    let path = path(args)?;
    let option = chosen(args)?;
    let at = limits_path(path);
    let Some(text) = data(client, &at).await? else {
        return Err(Failure::Text(format!("Quota does not exist for {path}")));
    };
    let done = Output {
        json: json!({ "path": path }),
        ..Output::default()
    };
    if let Some((_, key)) = option {
        let mut limits = Limits::parse(&text);
        limits.set(key, -1);
        client.set(&at, limits.text().as_bytes(), -1).await?;
        return Ok(done);
    }
    for node in [at, stats_path(path)] {
        client.delete(&node, -1).await?;
    }
    // Ancestors that hold nothing else go, too.
    let mut node = format!("{ROOT}{path}");
    while node.len() > ROOT.len() && client.delete(&node, -1).await.is_ok() {
        node.truncate(node.rfind('/').unwrap_or(0));
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_as_stats_track_writes_them() {
        let mut limits = Limits::default();
        limits.set("count", 5);
        assert_eq!(limits.text(), "count=5,bytes=-1");
        limits.set("byteHardLimit", 1000);
        limits.set("countHardLimit", 10);
        let text = "count=5,bytes=-1=;byteHardLimit=1000;countHardLimit=10";
        assert_eq!(limits.text(), text);
        let mut again = Limits::parse(text);
        assert_eq!(again.text(), text);
        again.set("byteHardLimit", -1);
        assert_eq!(
            again.text(),
            "count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=10"
        );
    }
}
