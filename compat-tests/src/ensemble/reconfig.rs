//! Owns an ensemble that is reconfigured while clients write: three members at first, two more that
//! join, leave, change their roles and addresses, and the errors on the way.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use menagerie_ports::free_address;
use menagerie_wire::client::{GetDataResponse, PathWatchRequest, ReconfigRequest};
use menagerie_wire::jute::decode_all;
use menagerie_wire::op::{ErrorCode, op_code};
use menagerie_wire::text::cfg::Members;

use super::cluster::Cluster;
use super::load::Load;
use crate::raw::Raw;
use crate::walk::become_super;

/// Members at first.
const FIRST: usize = 3;
/// How long members may take to learn of a configuration.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) joining: Option<&'a str>,
    pub(super) leaving: Option<&'a str>,
    pub(super) all: Option<&'a str>,
    pub(super) from: Option<i64>,
}

/// Everything, on five servers that have not been started.
pub(super) fn all(cluster: &mut Cluster) -> Result<String> {
    for server in &mut cluster.servers[..FIRST] {
        server.spawn()?;
    }
    cluster.await_serving()?;
    refusals(cluster).context("refusals")?;
    let addresses: Vec<_> = cluster.servers[..FIRST]
        .iter()
        .map(|server| server.address())
        .collect();
    let load = Load::start(&addresses, 2)?;
    join(cluster).context("joining")?;
    leader_leaves(cluster).context("removing the leader")?;
    new_client_port(cluster).context("a new client port")?;
    groups(cluster).context("groups")?;
    // Back to those that the clients know.
    cluster.await_serving()?;
    let told = load.finish(cluster.servers[0].address())?;
    cluster.compare()?;
    restart(cluster).context("restarting")?;
    Ok(told)
}

fn ask(cluster: &Cluster, at: usize, change: Change<'_>) -> Result<(ErrorCode, Option<Members>)> {
    let (mut raw, _) = Raw::session(cluster.servers[at].address(), 10_000)?;
    become_super(&mut raw)?;
    let request = ReconfigRequest {
        joining_servers: change.joining.map(Into::into),
        leaving_servers: change.leaving.map(Into::into),
        new_members: change.all.map(Into::into),
        cur_config_id: change.from.unwrap_or(-1),
    };
    let (header, body) = raw.call(op_code::RECONFIG, &request)?;
    let mut members = None;
    if header.err == 0 {
        let answer = decode_all::<GetDataResponse<'_>>(&body)?;
        let text = std::str::from_utf8(answer.data.unwrap_or_default())?;
        let parsed = Members::parse_dynamic(text)?;
        ensure!(
            answer.stat.mzxid == header.zxid && parsed.version == Some(header.zxid),
            "the reply at {:x} has {text} of {:x}",
            header.zxid,
            answer.stat.mzxid
        );
        members = Some(parsed);
    }
    // The connection may be lost with a leader that had to go.
    let _gone = raw.close_session();
    Ok((ErrorCode(header.err), members))
}

/// Asks until it is done: a leader that changes costs the connection, a server that is not synced
/// yet an error. Waits until all that run have it.
pub(super) fn change(cluster: &Cluster, at: usize, change: Change<'_>) -> Result<()> {
    let begun = Instant::now();
    let wanted = |members: &Members| match (change.all, change.joining, change.leaving) {
        (Some(all), ..) => {
            let parsed = Members::parse_dynamic(&all.replace(',', "\n"));
            parsed.is_ok_and(|parsed| {
                parsed.servers == members.servers && parsed.groups == members.groups
            })
        }
        (None, joining, leaving) => {
            let text = members.to_string();
            let there = joining.is_none_or(|line| text.contains(line));
            let gone = |id: &str| !text.contains(&format!("server.{id}="));
            there && leaving.is_none_or(|ids| ids.split(',').all(gone))
        }
    };
    loop {
        let done = match ask(cluster, at, change) {
            Ok((ErrorCode::Ok, Some(members))) => {
                ensure!(wanted(&members), "{change:?} gave {members}");
                true
            }
            Ok((
                ErrorCode::NewConfigNoQuorum
                | ErrorCode::ReconfigInProgress
                | ErrorCode::ConnectionLoss,
                _,
            ))
            | Err(_) => read(cluster, at).is_ok_and(|members| wanted(&members)),
            Ok((code, _)) => anyhow::bail!("{change:?}: {}", code.name()),
        };
        if done {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "{change:?} does not come about");
        thread::sleep(Duration::from_millis(200));
    }
    agree(cluster)
}

/// The configuration as a server has it.
fn read(cluster: &Cluster, at: usize) -> Result<Members> {
    let (mut raw, _) = Raw::session(cluster.servers[at].address(), 10_000)?;
    let path = Some("/zookeeper/config".into());
    let (header, body) = raw.call(op_code::GET_DATA, &PathWatchRequest { path, watch: false })?;
    ensure!(header.err == 0, "{}", ErrorCode(header.err).name());
    let answer = decode_all::<GetDataResponse<'_>>(&body)?;
    let members = Members::parse_dynamic(std::str::from_utf8(answer.data.unwrap_or_default())?)?;
    raw.close_session()?;
    Ok(members)
}

/// Waits until all servers that run have the same configuration.
fn agree(cluster: &Cluster) -> Result<()> {
    let begun = Instant::now();
    loop {
        let running = (0..cluster.servers.len()).filter(|at| cluster.servers[*at].pid().is_some());
        let seen: Vec<Result<Members>> = running.map(|at| read(cluster, at)).collect();
        let same = seen.iter().flatten().all(|members| {
            let first = seen.iter().flatten().next();
            first == Some(members)
        });
        if same && seen.iter().all(Result::is_ok) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "configurations: {seen:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn line(cluster: &Cluster, at: usize, role: &str) -> String {
    let (quorum, election) = cluster.ports[at];
    let client = cluster.servers[at].address();
    format!(
        "server.{}=127.0.0.1:{quorum}:{election}:{role};{client}",
        at + 1
    )
}

/// What must not be, and what is said then.
fn refusals(cluster: &Cluster) -> Result<()> {
    let version = read(cluster, 0)?.version.unwrap_or(0);
    ensure!(
        version >= 1 << 32,
        "the first leader gave version {version:x}"
    );
    let joiner = line(cluster, 3, "participant");
    let (quorum, election) = cluster.ports[3];
    let clientless = format!("server.4=127.0.0.1:{quorum}:{election}");
    let absent = [
        line(cluster, 3, "participant"),
        line(cluster, 4, "participant"),
    ]
    .join(",");
    let joining = |text| Change {
        joining: Some(text),
        ..Change::default()
    };
    let leaving = |text| Change {
        leaving: Some(text),
        ..Change::default()
    };
    let all = |text| Change {
        all: Some(text),
        ..Change::default()
    };
    let conditional = Change {
        from: Some(version + 1),
        ..joining(&joiner)
    };
    let wrong: &[(Change<'_>, ErrorCode)] = &[
        (conditional, ErrorCode::BadVersion),
        (joining(&clientless), ErrorCode::BadArguments),
        (joining("server.4"), ErrorCode::BadArguments),
        (joining("server.4=127.0.0.1"), ErrorCode::BadArguments),
        (
            joining("server.four=127.0.0.1:1:2;3"),
            ErrorCode::MarshallingError,
        ),
        (leaving("four"), ErrorCode::MarshallingError),
        (leaving("1,2"), ErrorCode::BadArguments),
        (all("tickTime=9"), ErrorCode::BadArguments),
        (all("server.1=127.0.0.1:7:8"), ErrorCode::BadArguments),
        (all(&absent), ErrorCode::NewConfigNoQuorum),
    ];
    for at in 0..FIRST {
        for (change, code) in wrong {
            let (got, _) = ask(cluster, at, *change)?;
            ensure!(
                got == *code,
                "server {}: {change:?}: {} instead of {}",
                at + 1,
                got.name(),
                code.name()
            );
        }
    }
    let (mut raw, _) = Raw::session(cluster.servers[0].address(), 10_000)?;
    let request = ReconfigRequest {
        joining_servers: Some(joiner.as_str().into()),
        leaving_servers: None,
        new_members: None,
        cur_config_id: -1,
    };
    let (header, _) = raw.call(op_code::RECONFIG, &request)?;
    ensure!(
        ErrorCode(header.err) == ErrorCode::NoAuth,
        "without the right to: {}",
        ErrorCode(header.err).name()
    );
    raw.close_session()
}

/// Two servers follow without a vote; one observes first, then both vote.
fn join(cluster: &mut Cluster) -> Result<()> {
    cluster.servers[3].start()?;
    cluster.servers[4].start()?;
    agree(cluster)?;
    let observer = line(cluster, 3, "observer");
    let joining = |text| Change {
        joining: Some(text),
        ..Change::default()
    };
    change(cluster, 0, joining(&observer))?;
    await_mode(cluster, 3, "observer")?;
    let voter = line(cluster, 3, "participant");
    change(cluster, 1, joining(&voter))?;
    await_mode(cluster, 3, "follower")?;
    let other = line(cluster, 4, "participant");
    change(cluster, 3, joining(&other))?;
    Ok(())
}

pub(super) fn await_mode(cluster: &Cluster, at: usize, mode: &str) -> Result<()> {
    let begun = Instant::now();
    while cluster.mode(at) != mode {
        ensure!(
            begun.elapsed() < PATIENCE,
            "server {} does not become {mode} but is {}",
            at + 1,
            cluster.mode(at)
        );
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The leader is removed, goes on without a vote, comes back as an observer and as a voter.
fn leader_leaves(cluster: &mut Cluster) -> Result<()> {
    let leader = cluster.leader()?;
    let other = (leader + 1) % cluster.servers.len();
    let id = (leader + 1).to_string();
    let leaving = Change {
        leaving: Some(&id),
        ..Change::default()
    };
    change(cluster, other, leaving)?;
    let next = cluster.leader()?;
    ensure!(next != leader, "server {id} still leads");
    for role in ["observer", "participant"] {
        let line = line(cluster, leader, role);
        let joining = Change {
            joining: Some(&line),
            ..Change::default()
        };
        change(cluster, other, joining)?;
    }
    Ok(())
}

/// A server gets another port for clients while it runs.
fn new_client_port(cluster: &mut Cluster) -> Result<()> {
    let at = cluster.servers.len() - 1;
    let address = free_address()?;
    let (quorum, election) = cluster.ports[at];
    let line = format!(
        "server.{}=127.0.0.1:{quorum}:{election}:participant;{address}",
        at + 1
    );
    let (mut old, _) = Raw::session(cluster.servers[at].address(), 10_000)?;
    cluster.servers[at].move_to(address);
    let joining = Change {
        joining: Some(&line),
        ..Change::default()
    };
    change(cluster, 0, joining)?;
    // Connections that there are stay.
    old.ping()?;
    old.close_session()?;
    Ok(())
}

/// Votes are counted by groups, and again one by one without the two that joined.
fn groups(cluster: &mut Cluster) -> Result<()> {
    let mut lines: Vec<String> = (0..cluster.servers.len())
        .map(|at| line(cluster, at, "participant"))
        .collect();
    lines.extend(["group.1=1:2:3", "group.2=4", "group.3=5", "weight.1=2"].map(str::to_owned));
    let text = lines.join(",");
    let all = Change {
        all: Some(&text),
        ..Change::default()
    };
    change(cluster, 0, all)?;
    let refused = Change {
        leaving: Some("5"),
        ..Change::default()
    };
    let (code, _) = ask(cluster, 1, refused)?;
    ensure!(
        code == ErrorCode::BadArguments,
        "one by one with groups: {}",
        code.name()
    );
    lines.truncate(FIRST);
    let text = lines.join(",");
    let all = Change {
        all: Some(&text),
        ..Change::default()
    };
    change(cluster, 0, all)?;
    Ok(())
}

/// Everyone starts again from its files; who is no member is not needed.
fn restart(cluster: &mut Cluster) -> Result<()> {
    let before = read(cluster, 0)?;
    for server in &mut cluster.servers {
        server.kill()?;
    }
    for server in &mut cluster.servers[..FIRST] {
        server.spawn()?;
    }
    cluster.await_serving()?;
    agree(cluster)?;
    let after = read(cluster, 0)?;
    ensure!(before == after, "{before} became {after}");
    cluster.compare()?;
    Ok(())
}
