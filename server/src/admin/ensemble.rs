//! Owns what is told of the ensemble and of this member's part in it. Must not format text.
//! Source: the classes within `Commands`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use menagerie_core::ids::Zxid;
use menagerie_wire::text::cfg::{Role, ServerAddress, ServerSpec};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::server::ending;
use crate::shared::Shared;

/// Source: `LeaderCommand`.
pub(super) fn leader(shared: &Shared) -> Answer {
    let (Some(ensemble), Some(configs)) = (&shared.config.ensemble, shared.configs()) else {
        return Answer::wrong("server is not initialized");
    };
    let leader = shared.leader();
    let members = configs.committed.members();
    let address = leader.and_then(|leader| members.servers.get(&leader)?.addresses.first());
    Answer::of([
        ("is_leader", (leader == Some(ensemble.me)).into()),
        ("leader_id", leader.unwrap_or(-1).into()),
        (
            "leader_ip",
            address.map_or("", |address| address.host.as_str()).into(),
        ),
    ])
}

fn socket(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn quorum(address: &ServerAddress) -> String {
    socket(&address.host, address.port)
}

fn election(address: &ServerAddress) -> String {
    socket(&address.host, address.election_port)
}

/// Where clients of a member are served: known of others if the configuration says so.
fn client_address(shared: &Shared, me: bool, spec: &ServerSpec) -> String {
    match &spec.client {
        Some(client) => socket(&client.host, client.port),
        None if me => {
            let host = shared.config.client_port_address.as_deref();
            let port = shared.client_port.load(Relaxed);
            socket(host.unwrap_or("0.0.0.0"), port)
        }
        None => String::new(),
    }
}

/// Source: `VotingViewCommand`.
pub(super) fn voting_view(shared: &Shared) -> Answer {
    let mut view: Map<String, Value> = Map::new();
    if let (Some(ensemble), Some(configs)) = (&shared.config.ensemble, shared.configs()) {
        let members = configs.committed.members();
        let voters = members.servers.iter();
        for (sid, spec) in voters.filter(|(_, spec)| spec.role == Role::Participant) {
            let all = |text: fn(&ServerAddress) -> String| -> Value {
                spec.addresses.iter().map(text).collect()
            };
            let server = json!({
                "server_addresses": all(quorum),
                "election_addresses": all(election),
                "client_address": client_address(shared, *sid == ensemble.me, spec),
                "learner_type": "participant",
            });
            view.insert(sid.to_string(), server);
        }
    }
    Answer::of([("current_config", view.into())])
}

/// Observers that this member serves. Source: `SyncedObserverConsCommand`.
pub(super) async fn observers(shared: &Arc<Shared>) -> Answer {
    let asked = shared.inbox.ask(|engine, _| {
        let Some(member) = engine.member() else {
            return Vec::new();
        };
        let all = member.learners().chain(member.guests());
        let observers = all.filter(|learner| learner.observer && learner.synced);
        observers.map(|learner| learner.sid.0).collect()
    });
    let Some(sids) = asked.await else {
        return ending();
    };
    let observers: Vec<Value> = sids.iter().map(|sid| json!({ "sid": sid })).collect();
    Answer::of([
        ("synced_observers", observers.len().into()),
        ("observers", observers.into()),
    ])
}

/// An address list as `MultipleAddresses` is written.
fn addresses(spec: &ServerSpec, port: fn(&ServerAddress) -> u16) -> Value {
    let all = || spec.addresses.iter();
    let texts: Vec<String> = all().map(|a| socket(&a.host, port(a))).collect();
    let first = texts.first().cloned().unwrap_or_default();
    let mut ports: Vec<u16> = all().map(port).collect();
    ports.sort_unstable();
    ports.dedup();
    let wildcards: Vec<String> = ports.iter().map(|port| socket("0.0.0.0", *port)).collect();
    let hosts: Vec<&str> = all().map(|a| a.host.as_str()).collect();
    json!({
        "empty": texts.is_empty(),
        "all_addresses": texts,
        "wildcard_addresses": wildcards,
        "all_ports": ports,
        "all_host_strings": hosts,
        "one": first,
    })
}

/// Source: `ZabStateCommand`. What `MultipleAddresses` finds out by trying is left out.
pub(super) async fn zab_state(shared: &Arc<Shared>) -> Answer {
    let (Some(ensemble), Some(configs)) = (&shared.config.ensemble, shared.configs()) else {
        return Answer::of([("voting", false.into()), ("zabstate", "".into())]);
    };
    let asked = shared.inbox.ask(|engine, tree| {
        let voter = engine.member().is_some_and(|member| {
            let configs = member.configs();
            configs.is_voter(member.me())
        });
        (voter, Zxid(tree.last_zxid()))
    });
    let Some((voting, last)) = asked.await else {
        return ending();
    };
    let me = ensemble.me;
    let members = configs.committed.members();
    let spec = members.servers.get(&me);
    let spec = spec.or_else(|| ensemble.members.servers.get(&me));
    let empty = || json!({ "empty": true, "all_addresses": [] });
    let state = shared.peer_state();
    let state = state
        .split_once(" - ")
        .map_or("election", |(_, state)| state);
    Answer::of([
        ("myid", me.into()),
        ("is_leader", (shared.leader() == Some(me)).into()),
        (
            "quorum_address",
            spec.map_or_else(empty, |spec| addresses(spec, |a| a.port)),
        ),
        (
            "election_address",
            spec.map_or_else(empty, |spec| addresses(spec, |a| a.election_port)),
        ),
        (
            "client_address",
            spec.map_or_else(String::new, |spec| client_address(shared, true, spec))
                .into(),
        ),
        ("voting", voting.into()),
        ("last_zxid", format!("0x{:x}", last.0).into()),
        ("zab_epoch", last.epoch().into()),
        ("zab_counter", last.counter().into()),
        ("zabstate", state.into()),
    ])
}
