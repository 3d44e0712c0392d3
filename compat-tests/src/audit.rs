//! Owns the comparison of audit logs, line by line, after the same work: of a server alone and of
//! each member of an ensemble. May use `server`, `raw`. Must not compare session ids and the order
//! of a client's names, which are nobody's promise.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use menagerie_ports::free_address;
use menagerie_wire::client::{
    AuthPacket, CreateRequest, CreateTtlRequest, ReconfigRequest, SetAclRequest, SetDataRequest,
};
use menagerie_wire::data::{Acl, perms};
use menagerie_wire::jute::to_vec;
use menagerie_wire::multi::{MultiOp, MultiRequest};
use menagerie_wire::op::op_code;

use crate::populate::{create_request, version_request};
use crate::programs::Programs;
use crate::raw::Raw;
use crate::server::{Kind, Server, Settings};
use crate::tally::Tally;

/// The logger's name in Apache's log.
const LOGGER: &str = "org.apache.zookeeper.audit.Slf4jAuditLogger - ";
/// How long members may take to agree.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) fn run(programs: &Programs) -> Result<bool> {
    let mut tally = Tally::default();
    for (name, compare) in [
        ("alone", alone as fn(&Programs) -> Result<String>),
        ("a server that cannot start", cannot_start),
        ("ensemble", ensemble),
    ] {
        tally.note(name, compare(programs));
    }
    Ok(tally.end())
}

fn settings(kind: Kind) -> Settings {
    let mut settings = Settings::new(
        &["audit.enable=true", "tickTime=500"],
        &[
            "-Dzookeeper.extendedTypesEnabled=true",
            "-Dzookeeper.audit.enable=true",
        ],
    );
    if kind == Kind::Menagerie {
        settings.lines.push("audit.file=audit.log".to_owned());
    }
    settings
}

/// The lines of a server's audit log so far.
fn lines(server: &Server) -> Result<Vec<String>> {
    let text = if server.kind() == Kind::Menagerie {
        let home = server.data_dir();
        let path = home.parent().context("no home")?.join("audit.log");
        fs::read_to_string(&path).with_context(|| path.display().to_string())?
    } else {
        server.log()
    };
    let mut sessions = BTreeMap::new();
    let mut all = Vec::new();
    for line in text.lines() {
        let (level, line) = match (line.split_once(LOGGER), server.kind()) {
            (Some((front, line)), _) => (front, line),
            (None, Kind::Menagerie) => line
                .split_once("audit.Slf4jAuditLogger: ")
                .context("form")?,
            (None, _) => continue,
        };
        let level = if level.contains("ERROR") {
            "ERROR"
        } else {
            "INFO"
        };
        all.push(format!("{level} {}", canonical(line, &mut sessions)));
    }
    // Nobody says in which order a session's nodes go.
    let ephemeral = |line: &String| line.contains("operation=ephemeral");
    for group in all.chunk_by_mut(|a, b| ephemeral(a) && ephemeral(b)) {
        if group.iter().all(ephemeral) {
            group.sort();
        }
    }
    Ok(all)
}

/// A line with sessions numbered in their order and names sorted.
fn canonical(line: &str, sessions: &mut BTreeMap<String, usize>) -> String {
    let fields = line.split('\t').map(|field| match field.split_once('=') {
        Some(("session", id)) => {
            let next = sessions.len() + 1;
            let number = *sessions.entry(id.to_owned()).or_insert(next);
            format!("session={number}")
        }
        Some(("user", names)) => {
            let mut names: Vec<&str> = names.split(',').collect();
            names.sort_unstable();
            format!("user={}", names.join(","))
        }
        _ => field.to_owned(),
    });
    fields.collect::<Vec<_>>().join("\t")
}

fn same(apache: &[String], ours: &[String]) -> Result<()> {
    let all = ours;
    for (index, (apache, ours)) in apache.iter().zip(ours).enumerate() {
        ensure!(
            apache == ours,
            "line {index}:\n    Apache     {apache}\n    Menagerie  {ours}\n    behind     {:?}",
            index.checked_sub(1).and_then(|before| all.get(before))
        );
    }
    ensure!(
        apache.len() == ours.len(),
        "{} lines by Apache, {} by Menagerie; the rest: {:?}",
        apache.len(),
        ours.len(),
        apache
            .iter()
            .skip(ours.len())
            .chain(ours.iter().skip(apache.len()))
            .collect::<Vec<_>>()
    );
    Ok(())
}

fn alone(programs: &Programs) -> Result<String> {
    let of = |kind| -> Result<Vec<String>> {
        let mut server = Server::started(kind, programs, settings(kind))?;
        work(server.address())?;
        server.stop()?;
        lines(&server)
    };
    let (apache, ours) = (of(Kind::Apache)?, of(Kind::Menagerie)?);
    same(&apache, &ours)?;
    ensure!(ours.len() > 60, "{} lines only", ours.len());
    Ok(format!("{} lines the same", ours.len()))
}

/// A port in use, which both find out when they know that there is an audit log.
fn cannot_start(programs: &Programs) -> Result<String> {
    let of = |kind| -> Result<Vec<String>> {
        let mut server = Server::new(kind, programs, settings(kind))?;
        let _taken = std::net::TcpListener::bind(server.address())?;
        server.spawn()?;
        server.wait_exit(PATIENCE)?;
        lines(&server)
    };
    let (apache, ours) = (of(Kind::Apache)?, of(Kind::Menagerie)?);
    same(&apache, &ours)?;
    ensure!(!ours.is_empty(), "no line");
    Ok(ours.join(", "))
}

fn ensemble(programs: &Programs) -> Result<String> {
    let of = |kind| -> Result<Vec<Vec<String>>> {
        let mut servers = members(kind, programs)?;
        for (index, server) in servers.iter().enumerate() {
            member_work(server.address(), index)?;
            settle(&servers)?;
        }
        // Members that stop late see the others' sessions end with them, or not.
        let seen: Result<Vec<_>> = servers.iter().map(lines).collect();
        for server in &mut servers {
            server.stop()?;
        }
        seen
    };
    let (apache, ours) = (of(Kind::Apache)?, of(Kind::Menagerie)?);
    let mut count = 0;
    for (index, (apache, ours)) in apache.iter().zip(&ours).enumerate() {
        same(apache, ours).with_context(|| format!("member {}", index + 1))?;
        count += ours.len();
    }
    Ok(format!("{count} lines of three members the same"))
}

fn members(kind: Kind, programs: &Programs) -> Result<Vec<Server>> {
    let mut list = vec!["initLimit=20".to_owned(), "syncLimit=8".to_owned()];
    for id in 1..=3 {
        let (quorum, election) = (free_address()?.port(), free_address()?.port());
        list.push(format!("server.{id}=127.0.0.1:{quorum}:{election}"));
    }
    let mut servers = Vec::new();
    for id in 1..=3 {
        let mut settings = settings(kind);
        settings.lines.extend(list.iter().cloned());
        let mut server = Server::new(kind, programs, settings)?;
        fs::create_dir_all(server.data_dir())?;
        fs::write(server.data_dir().join("myid"), format!("{id}\n"))?;
        server.spawn()?;
        servers.push(server);
    }
    for server in &mut servers {
        server.await_serving()?;
    }
    Ok(servers)
}

/// Waits until every member has written as much as a while ago.
fn settle(servers: &[Server]) -> Result<()> {
    let begin = Instant::now();
    let count = || -> Result<usize> {
        let mut count = 0;
        for server in servers {
            count += lines(server)?.len();
        }
        Ok(count)
    };
    let mut last = count()?;
    loop {
        thread::sleep(Duration::from_millis(400));
        let now = count()?;
        if now == last {
            return Ok(());
        }
        ensure!(begin.elapsed() < PATIENCE, "the audit logs grow and grow");
        last = now;
    }
}

/// What a client of one member does.
fn member_work(address: SocketAddr, index: usize) -> Result<()> {
    let (mut raw, _) = Raw::session(address, 8_000)?;
    let path = format!("/m{index}");
    let mut ask = |op, body: &[u8]| raw_call(&mut raw, op, body);
    ask(
        op_code::CREATE,
        &to_vec(&create_request(&path, Some(b"x"), 0)),
    )?;
    ask(
        op_code::CREATE,
        &to_vec(&create_request(&path, Some(b"x"), 0)),
    )?;
    for number in 0..2 {
        let ephemeral = format!("{path}/e{number}");
        let request = create_request(&ephemeral, None, 1);
        ask(op_code::CREATE2, &to_vec(&request))?;
    }
    ask(op_code::SET_DATA, &to_vec(&set(&path)))?;
    ask(op_code::DELETE, &to_vec(&version_request(&path, -1)))?;
    raw.close_session()
}

fn set(path: &str) -> SetDataRequest<'_> {
    SetDataRequest {
        path: Some(path.into()),
        data: Some(b"set"),
        version: -1,
    }
}

/// Sends a request, whose reply must come, whatever it says.
fn raw_call(raw: &mut Raw, op: i32, body: &[u8]) -> Result<i32> {
    let xid = raw.take_xid();
    let mut frame = to_vec(&menagerie_wire::client::RequestHeader { xid, op });
    frame.extend_from_slice(body);
    raw.send(&frame);
    Ok(raw.reply(xid)?.0.err)
}

/// Everything that makes a line, and what makes none.
fn work(address: SocketAddr) -> Result<()> {
    let (mut raw, _) = Raw::session(address, 8_000)?;
    creates(&mut raw)?;
    changes(&mut raw)?;
    multis(&mut raw)?;
    reconfig(&mut raw)?;
    malformed(&mut raw)?;
    for (scheme, data) in [("digest", "bob:x"), ("digest", "zoe:y"), ("digest", ":z")] {
        let packet = AuthPacket {
            kind: 0,
            scheme: Some(scheme.into()),
            auth: Some(data.as_bytes()),
        };
        raw_call(&mut raw, op_code::AUTH, &to_vec(&packet))?;
        let path = format!("/by-{}", data.replace(':', "-"));
        let request = create_request(&path, None, 1);
        raw_call(&mut raw, op_code::CREATE, &to_vec(&request))?;
    }
    raw.close_session()?;
    // A session that expires.
    let (mut raw, _) = Raw::session(address, 1_000)?;
    for number in 0..3 {
        let path = format!("/lost{number}");
        let request = create_request(&path, None, 1);
        raw_call(&mut raw, op_code::CREATE, &to_vec(&request))?;
    }
    raw.abandon();
    thread::sleep(Duration::from_millis(3_000));
    Ok(())
}

fn creates(raw: &mut Raw) -> Result<()> {
    for op in [op_code::CREATE, op_code::CREATE2] {
        for flags in [0, 1, 2, 3, 7, -1] {
            let path = format!("/n{op}-{flags}");
            let request = create_request(&path, Some(b"x"), flags);
            raw_call(raw, op, &to_vec(&request))?;
            raw_call(raw, op, &to_vec(&request))?;
        }
    }
    for path in ["/no/parent", "bad", "/", "/a//b", "/ümläut"] {
        raw_call(
            raw,
            op_code::CREATE,
            &to_vec(&create_request(path, None, 0)),
        )?;
    }
    let null = CreateRequest {
        path: None,
        ..create_request("/", None, 0)
    };
    raw_call(raw, op_code::CREATE, &to_vec(&null))?;
    let container = create_request("/container", None, 4);
    raw_call(raw, op_code::CREATE_CONTAINER, &to_vec(&container))?;
    raw_call(raw, op_code::CREATE_CONTAINER, &to_vec(&container))?;
    for (path, flags) in [("/ttl", 5), ("/ttl", 5), ("/ttl-", 6)] {
        let request = CreateTtlRequest {
            path: Some(path.into()),
            data: None,
            acl: Some(vec![Acl::new(perms::ALL, "world", "anyone")]),
            flags,
            ttl: 86_400_000,
        };
        raw_call(raw, op_code::CREATE_TTL, &to_vec(&request))?;
    }
    Ok(())
}

fn changes(raw: &mut Raw) -> Result<()> {
    raw_call(
        raw,
        op_code::CREATE,
        &to_vec(&create_request("/c", None, 0)),
    )?;
    for path in ["/c", "/missing", "bad", "/c/"] {
        raw_call(raw, op_code::SET_DATA, &to_vec(&set(path)))?;
    }
    for (path, acl) in [
        ("/c", Some(vec![Acl::new(perms::ALL, "world", "anyone")])),
        (
            "/c",
            Some(vec![
                Acl::new(1 | 8, "digest", "bob:hash"),
                Acl::new(perms::ALL, "world", "anyone"),
                Acl::new(16 | 2, "ip", "10.0.0.0/8"),
                Acl::new(0, "ip", "10.0.0.1"),
            ]),
        ),
        ("/missing", Some(vec![Acl::new(4, "world", "anyone")])),
        ("/c", Some(vec![Acl::new(perms::ALL, "nosuch", "id")])),
        ("/c", Some(Vec::new())),
        ("/c", None),
    ] {
        let request = SetAclRequest {
            path: Some(path.into()),
            acl,
            version: -1,
        };
        raw_call(raw, op_code::SET_ACL, &to_vec(&request))?;
    }
    for (path, version) in [("/c", 77), ("/c", -1), ("/c", -1), ("bad", -1), ("/", -1)] {
        raw_call(
            raw,
            op_code::DELETE,
            &to_vec(&version_request(path, version)),
        )?;
    }
    // What only reads.
    let request = menagerie_wire::client::PathRequest {
        path: Some("/".into()),
    };
    raw_call(raw, op_code::GET_ACL, &to_vec(&request))?;
    Ok(())
}

fn multis(raw: &mut Raw) -> Result<()> {
    let create = |op, path, flags| MultiOp::Create(op, create_request(path, None, flags));
    let (one, two) = (op_code::CREATE, op_code::CREATE2);
    for ops in [
        vec![],
        vec![
            create(one, "/m", 0),
            create(two, "/m/e", 1),
            create(one, "/m/s-", 2),
            create(op_code::CREATE_CONTAINER, "/m/c", 4),
            MultiOp::SetData(set("/m")),
            MultiOp::Check(version_request("/m", 1)),
            MultiOp::Delete(version_request("/m/e", -1)),
            create(one, "/m/e", 0),
        ],
        vec![create(one, "/m2", 0), create(one, "/m", 0)],
        vec![MultiOp::Delete(version_request("/missing", -1))],
        vec![create(one, "/m3", 9)],
        vec![MultiOp::Check(version_request("/m", -1))],
        vec![MultiOp::CreateTtl(CreateTtlRequest {
            path: Some("/m/ttl".into()),
            data: None,
            acl: Some(vec![Acl::new(perms::ALL, "world", "anyone")]),
            flags: 5,
            ttl: 86_400_000,
        })],
    ] {
        raw_call(raw, op_code::MULTI, &to_vec(&MultiRequest { ops }))?;
    }
    Ok(())
}

fn reconfig(raw: &mut Raw) -> Result<()> {
    let request = ReconfigRequest {
        joining_servers: None,
        leaving_servers: Some("2".into()),
        new_members: None,
        cur_config_id: -1,
    };
    raw_call(raw, op_code::RECONFIG, &to_vec(&request)).map(|_| ())
}

fn malformed(raw: &mut Raw) -> Result<()> {
    for op in [
        op_code::CREATE,
        op_code::CREATE_TTL,
        op_code::DELETE,
        op_code::SET_DATA,
        op_code::SET_ACL,
        op_code::MULTI,
        op_code::RECONFIG,
    ] {
        raw_call(raw, op, b"\0\0\0\x09/")?;
    }
    Ok(())
}
