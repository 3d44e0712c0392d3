//! Owns what the console tells of the ensemble's members. Of itself a server knows everything; the
//! others are asked `srvr`, which Apache's servers allow by default too, where the configuration
//! names their client port. Every wait is short, and one round of questions serves everybody who
//! looks. Must not speak the peers' protocol.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use menagerie_wire::text::cfg::{Role, ServerSpec};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use crate::shared::Shared;
use crate::version;

/// How long one member may take to answer.
const PATIENCE: Duration = Duration::from_millis(800);
/// Members that are asked at the same time.
const AT_ONCE: usize = 8;
/// How long answers are good for.
const FRESH: Duration = Duration::from_millis(1500);
/// Bytes of an answer that are read.
const ANSWER_MAX: u64 = 8 << 10;

/// The last round of questions.
#[derive(Debug, Default)]
pub(super) struct Members(Mutex<Option<(Instant, Vec<Value>)>>);

/// Where a member can be asked, or why it is not.
fn client_address(spec: &ServerSpec) -> Result<(String, u16), &'static str> {
    let unknown = "not asked: the configuration does not name its client port (server.N=…;port)";
    let client = spec.client.as_ref().ok_or(unknown)?;
    let wildcard = matches!(
        client.host.as_str(),
        "0.0.0.0" | "::" | "0:0:0:0:0:0:0:0" | ""
    );
    let host = match wildcard {
        true => spec.addresses.first().map(|address| address.host.as_str()),
        false => Some(client.host.as_str()),
    };
    let host = host.filter(|host| !host.is_empty()).unwrap_or("127.0.0.1");
    Ok((host.to_owned(), client.port))
}

/// Asks `srvr` of a server.
async fn srvr(host: &str, port: u16) -> Result<String, String> {
    let asked = tokio::time::timeout(PATIENCE, async {
        let mut stream = TcpStream::connect((host, port)).await?;
        stream.write_all(b"srvr").await?;
        let mut text = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut text).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&text).into_owned())
    });
    match asked.await {
        Err(_) => Err(format!("no answer within {} ms", PATIENCE.as_millis())),
        Ok(Err(error)) => Err(format!("not reached: {error}")),
        Ok(Ok(text)) => Ok(text),
    }
}

/// What an answer says; what it does not say is left out.
fn read_srvr(text: &str) -> Value {
    if text.contains("not currently serving requests") {
        return json!({"mode": "looking", "note": "serves nobody: it has no leader"});
    }
    if text.contains("not in the whitelist") {
        return json!({"note": "srvr is not allowed there (4lw.commands.whitelist)"});
    }
    let line = |key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key));
        found.map(|value| value.trim_start_matches(':').trim())
    };
    let number = |key: &str| line(key).and_then(|value| value.parse::<i64>().ok());
    let latency: Vec<f64> = line("Latency min/avg/max")
        .map(|value| {
            value
                .split('/')
                .filter_map(|part| part.parse().ok())
                .collect()
        })
        .unwrap_or_default();
    let Some(mode) = line("Mode") else {
        return json!({"note": "its answer to srvr is not understood"});
    };
    json!({
        "mode": mode,
        "version": line("Zookeeper version").map(software),
        "zxid": line("Zxid"),
        "latency_avg": latency.get(1), "latency_max": latency.get(2),
        "connections": number("Connections"), "outstanding": number("Outstanding"),
        "nodes": number("Node count"), "received": number("Received"),
    })
}

/// Which server that is, from its version as `srvr` tells it.
fn software(version: &str) -> String {
    let name = version.split(',').next().unwrap_or(version);
    match name.split_once("-menagerie-") {
        Some((_, own)) => format!("Menagerie {own}"),
        None => format!("ZooKeeper {}", name.split('-').next().unwrap_or(name)),
    }
}

fn zxid_of(value: &Value) -> Option<i64> {
    let text = value["zxid"].as_str()?.strip_prefix("0x")?;
    i64::from_str_radix(text, 16).ok()
}

/// Adds epoch and lag, once it is known who leads.
fn complete(members: &mut [Value]) {
    let leads = |member: &Value| matches!(member["mode"].as_str(), Some("leader" | "standalone"));
    let leader = members
        .iter()
        .find(|member| leads(member))
        .and_then(zxid_of);
    for member in members {
        let Some(zxid) = zxid_of(member) else {
            continue;
        };
        member["epoch"] = (zxid >> 32).into();
        if let Some(leader) = leader.filter(|leader| leader >> 32 == zxid >> 32) {
            member["lag"] = (leader - zxid).max(0).into();
        }
    }
}

/// This server, in full.
fn own(shared: &Shared) -> Value {
    let stats = &shared.stats;
    let latency = stats.latency();
    let (zxid, nodes, ephemerals, bytes) = {
        let tree = shared.read_tree();
        (
            tree.last_zxid(),
            tree.node_count(),
            tree.ephemeral_count(),
            tree.approximate_data_size(),
        )
    };
    json!({
        "mode": shared.mode(), "state": shared.peer_state(),
        "version": software(&version::full()),
        "zxid": format!("0x{zxid:x}"),
        "latency_avg": latency.average(), "latency_max": latency.max,
        "connections": shared.conns.len(), "outstanding": stats.in_process.load(Relaxed).max(0),
        "nodes": nodes, "received": stats.received.load(Relaxed),
        "ephemerals": ephemerals, "data_bytes": bytes, "watches": shared.watches.len(),
        "uptime_ms": shared.clock.mono_ms(), "client_port": shared.client_port.load(Relaxed),
    })
}

impl Members {
    /// All members, this server among them, in the order of their numbers.
    pub(super) async fn read(&self, shared: &Arc<Shared>) -> Vec<Value> {
        let (Some(ensemble), Some(configs)) = (&shared.config.ensemble, shared.configs()) else {
            let mut alone = own(shared);
            alone["me"] = true.into();
            let mut all = vec![alone];
            complete(&mut all);
            return all;
        };
        let me = ensemble.me;
        let servers = &configs.newest().members().servers;
        let mut all = self
            .others(servers.iter().filter(|(sid, _)| **sid != me))
            .await;
        let mut mine = own(shared);
        mine["me"] = true.into();
        mine["sid"] = me.into();
        mine["role"] = servers.get(&me).map_or("none", |spec| role(spec)).into();
        all.push(mine);
        all.sort_by_key(|member| member["sid"].as_i64());
        let learners = shared.inbox.ask(|engine, _| {
            let member = engine.member();
            let learners = member.into_iter().flat_map(|member| member.learners());
            learners
                .map(|learner| (learner.sid.0, learner.synced))
                .collect::<Vec<_>>()
        });
        if shared.mode() == "leader"
            && let Some(learners) = learners.await
        {
            // The leader knows who follows even when it may not be asked.
            for member in all.iter_mut().filter(|member| member["me"] != true) {
                let of = |(sid, _): &&(i64, bool)| Some(*sid) == member["sid"].as_i64();
                let synced = learners.iter().find(of).map(|(_, synced)| *synced);
                member["follows"] = match synced {
                    Some(true) => "in sync",
                    Some(false) => "catching up",
                    None => "not following",
                }
                .into();
            }
        }
        complete(&mut all);
        all
    }

    async fn others<'a>(
        &self,
        servers: impl Iterator<Item = (&'a i64, &'a ServerSpec)>,
    ) -> Vec<Value> {
        let mut last = self.0.lock().await;
        if let Some((at, answers)) = &*last
            && at.elapsed() < FRESH
        {
            return answers.clone();
        }
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut asked = JoinSet::new();
        for (sid, spec) in servers {
            let (sid, spec, room) = (*sid, spec.clone(), Arc::clone(&room));
            asked.spawn(async move {
                let _place = room.acquire_owned().await;
                let (mut member, address) = match client_address(&spec) {
                    Err(why) => (json!({ "note": why }), None),
                    Ok((host, port)) => {
                        let member = match srvr(&host, port).await {
                            Ok(text) => read_srvr(&text),
                            Err(why) => json!({ "note": why, "unreachable": true }),
                        };
                        (member, Some(format!("{host}:{port}")))
                    }
                };
                member["sid"] = sid.into();
                member["role"] = role(&spec).into();
                member["address"] = address.into();
                member
            });
        }
        let answers = asked.join_all().await;
        *last = Some((Instant::now(), answers.clone()));
        answers
    }
}

fn role(spec: &ServerSpec) -> &'static str {
    match spec.role {
        Role::Participant => "participant",
        Role::Observer => "observer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SRVR: &str = "Zookeeper version: 3.9.5-abc, built on 2026-01-01 00:00 UTC\n\
        Latency min/avg/max: 0/1.5/30\nReceived: 10\nSent: 9\nConnections: 2\nOutstanding: 1\n\
        Zxid: 0x200000005\nMode: follower\nNode count: 7\n";

    #[test]
    fn srvr_is_understood_and_what_is_not_is_said() {
        let member = read_srvr(SRVR);
        assert_eq!(member["mode"], "follower");
        assert_eq!(member["version"], "ZooKeeper 3.9.5");
        assert_eq!(software("3.9.5-menagerie-0.1.0, built"), "Menagerie 0.1.0");
        assert_eq!(member["nodes"], 7);
        assert_eq!(member["latency_avg"], 1.5);
        assert!(read_srvr("x").get("mode").is_none());
        let refused = read_srvr("srvr is not executed because it is not in the whitelist.\n");
        assert!(refused["note"].as_str().unwrap().contains("whitelist"));
    }

    #[test]
    fn lag_is_counted_within_an_epoch() {
        let member = |mode: &str, zxid: &str| json!({"mode": mode, "zxid": zxid});
        let mut all = [
            member("leader", "0x200000009"),
            member("follower", "0x200000005"),
            member("follower", "0x100000005"),
        ];
        complete(&mut all);
        assert_eq!((&all[1]["lag"], &all[1]["epoch"]), (&json!(4), &json!(2)));
        assert_eq!((all[2].get("lag"), &all[2]["epoch"]), (None, &json!(1)));
    }

    #[test]
    fn members_are_asked_where_the_configuration_says() {
        let spec = |text: &str| text.parse::<ServerSpec>().unwrap();
        let at = |text: &str| client_address(&spec(text)).ok();
        assert_eq!(at("h:1:2;2181"), Some(("h".to_owned(), 2181)));
        assert_eq!(at("h:1:2;c:2181"), Some(("c".to_owned(), 2181)));
        assert_eq!(at("h:1:2"), None);
    }
}
