//! Owns a population of everything a data directory can hold: node kinds, ACLs, quotas, sessions,
//! transactions that succeed and that fail. May use `raw`. Must not compare anything.

use anyhow::{Result, ensure};
use menagerie_wire::client::{
    CreateRequest, CreateTtlRequest, PathVersionRequest, SetAclRequest, SetDataRequest,
};
use menagerie_wire::data::{Acl, perms};
use menagerie_wire::multi::{MultiOp, MultiRequest};
use menagerie_wire::op::{ErrorCode, op_code};

use crate::raw::{Granted, Raw};
use crate::walk;

/// Time-out of sessions that outlive their server, in ms.
pub(crate) const TIME_OUT: i32 = 100_000;

/// A connection that says what it expects of each request.
pub(crate) struct Writer {
    raw: Raw,
    session: Granted,
}

fn open() -> Vec<Acl<'static>> {
    vec![Acl::new(perms::ALL, "world", "anyone")]
}

/// A create of a node for everyone.
pub(crate) fn create_request<'a>(
    path: &'a str,
    data: Option<&'a [u8]>,
    flags: i32,
) -> CreateRequest<'a> {
    CreateRequest {
        path: Some(path.into()),
        data,
        acl: Some(open()),
        flags,
    }
}

fn ttl_request(path: &str, flags: i32) -> CreateTtlRequest<'_> {
    CreateTtlRequest {
        path: Some(path.into()),
        data: Some(b"ttl"),
        acl: Some(open()),
        flags,
        ttl: 86_400_000,
    }
}

fn set_request<'a>(path: &'a str, data: Option<&'a [u8]>, version: i32) -> SetDataRequest<'a> {
    SetDataRequest {
        path: Some(path.into()),
        data,
        version,
    }
}

pub(crate) fn version_request(path: &str, version: i32) -> PathVersionRequest<'_> {
    PathVersionRequest {
        path: Some(path.into()),
        version,
    }
}

impl Writer {
    /// A new session.
    pub(crate) fn connect(address: std::net::SocketAddr) -> Result<Self> {
        let (raw, session) = Raw::session(address, TIME_OUT)?;
        Ok(Self { raw, session })
    }

    /// Sends a request that must be answered with `expected`.
    fn expect<T: serde::Serialize>(
        &mut self,
        op: i32,
        body: &T,
        expected: ErrorCode,
    ) -> Result<()> {
        let (header, _) = self.raw.call(op, body)?;
        let got = ErrorCode(header.err);
        ensure!(
            got == expected,
            "operation {op}: {} instead of {}",
            got.name(),
            expected.name()
        );
        Ok(())
    }

    fn ok<T: serde::Serialize>(&mut self, op: i32, body: &T) -> Result<()> {
        self.expect(op, body, ErrorCode::Ok)
    }

    fn create(&mut self, path: &str, data: Option<&[u8]>, flags: i32) -> Result<()> {
        self.ok(op_code::CREATE2, &create_request(path, data, flags))
    }

    fn set(&mut self, path: &str, data: Option<&[u8]>) -> Result<()> {
        self.ok(op_code::SET_DATA, &set_request(path, data, -1))
    }
}

/// Creates `/tag` with everything below it; the sessions that stay open, as (id, password), each
/// with an ephemeral node, their connections gone.
pub(crate) fn populate(address: std::net::SocketAddr, tag: &str) -> Result<Vec<(i64, Vec<u8>)>> {
    let mut writer = Writer::connect(address)?;
    let root = format!("/{tag}");
    writer.create(&root, Some(b"root"), 0)?;
    nodes(&mut writer, &root)?;
    acls(&mut writer, &root)?;
    quotas(&mut writer, &root)?;
    failures(&mut writer, &root)?;
    multis(&mut writer, &root)?;
    // Enough transactions for snapshots in the middle.
    for round in 0..40 {
        let data = format!("round {round}");
        writer.set(&format!("{root}/data"), Some(data.as_bytes()))?;
    }
    let sessions = sessions(address, &root)?;
    writer.raw.close_session()?;
    Ok(sessions)
}

fn nodes(writer: &mut Writer, root: &str) -> Result<()> {
    let big: Vec<u8> = (0..400_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let contents: [(&str, Option<&[u8]>); 7] = [
        ("null", None),
        ("empty", Some(b"")),
        ("data", Some(b"data")),
        ("big", Some(&big)),
        ("binary", Some(&[0, 0xff, 0x80, 10, 13])),
        ("größe-日本語-é", Some("ünï".as_bytes())),
        ("with space", Some(b" ")),
    ];
    for (name, data) in contents {
        writer.create(&format!("{root}/{name}"), data, 0)?;
    }
    let sequence = format!("{root}/sequence");
    writer.create(&sequence, None, 0)?;
    for _ in 0..3 {
        writer.create(&format!("{sequence}/s-"), Some(b"s"), 2)?;
    }
    let second = format!("{sequence}/s-0000000001");
    writer.ok(op_code::DELETE, &version_request(&second, -1))?;
    let container = create_request(root, Some(b"c"), 4);
    let path = format!("{root}/container");
    let container = CreateRequest {
        path: Some(path.as_str().into()),
        ..container
    };
    writer.ok(op_code::CREATE_CONTAINER, &container)?;
    writer.create(&format!("{path}/child"), None, 0)?;
    writer.ok(op_code::CREATE_TTL, &ttl_request(&format!("{root}/ttl"), 5))?;
    writer.ok(
        op_code::CREATE_TTL,
        &ttl_request(&format!("{root}/ttl-s-"), 6),
    )?;
    writer.set(&format!("{root}/null"), Some(b"not null any more"))?;
    writer.set(&format!("{root}/empty"), None)
}

fn acls(writer: &mut Writer, root: &str) -> Result<()> {
    walk::auth(&mut writer.raw, "digest", b"alice:secret")?;
    let path = format!("{root}/acl");
    let lists = [
        vec![
            Acl::new(perms::READ, "world", "anyone"),
            Acl::new(perms::ALL, "auth", ""),
        ],
        vec![
            Acl::new(perms::ALL, "ip", "127.0.0.0/8"),
            Acl::new(64 | 1, "ip", "10.0.0.1"),
        ],
        vec![Acl::new(
            perms::ALL,
            "digest",
            "alice:tUNwIbpmHPLcjp2AcvdbPRIx2Ms=",
        )],
    ];
    for (number, acl) in lists.into_iter().enumerate() {
        let path = format!("{path}-{number}");
        let request = CreateRequest {
            acl: Some(acl),
            ..create_request(&path, Some(b"guarded"), 0)
        };
        writer.ok(op_code::CREATE, &request)?;
    }
    let changed = format!("{path}-0");
    let request = SetAclRequest {
        path: Some(changed.as_str().into()),
        acl: Some(vec![Acl::new(perms::READ | perms::ADMIN, "auth", "")]),
        version: 0,
    };
    writer.ok(op_code::SET_ACL, &request)
}

fn quotas(writer: &mut Writer, root: &str) -> Result<()> {
    let guarded = format!("{root}/quota");
    writer.create(&guarded, Some(b"q"), 0)?;
    writer.create(&format!("{guarded}/before"), Some(b"12345"), 0)?;
    for path in [
        format!("/zookeeper/quota{root}"),
        format!("/zookeeper/quota{guarded}"),
    ] {
        writer.create(&path, Some(b""), 0)?;
    }
    let quota = format!("/zookeeper/quota{guarded}");
    let limits = b"count=100,bytes=1000=;byteHardLimit=9000;countHardLimit=90";
    writer.create(&format!("{quota}/zookeeper_limits"), Some(limits), 0)?;
    writer.create(
        &format!("{quota}/zookeeper_stats"),
        Some(b"count=0,bytes=0"),
        0,
    )?;
    writer.create(&format!("{guarded}/after"), Some(b"1234567"), 0)?;
    writer.set(&format!("{guarded}/after"), Some(b"12"))?;
    writer.create(&format!("{guarded}/gone"), Some(b"x"), 0)?;
    writer.ok(
        op_code::DELETE,
        &version_request(&format!("{guarded}/gone"), 0),
    )
}

fn failures(writer: &mut Writer, root: &str) -> Result<()> {
    let data = format!("{root}/data");
    let below = format!("{root}/none/below");
    writer.expect(
        op_code::CREATE,
        &create_request(&data, None, 0),
        ErrorCode::NodeExists,
    )?;
    writer.expect(
        op_code::CREATE,
        &create_request(&below, None, 0),
        ErrorCode::NoNode,
    )?;
    writer.expect(
        op_code::DELETE,
        &version_request(root, -1),
        ErrorCode::NotEmpty,
    )?;
    writer.expect(
        op_code::SET_DATA,
        &set_request(&data, None, 77),
        ErrorCode::BadVersion,
    )
}

fn multis(writer: &mut Writer, root: &str) -> Result<()> {
    let path = |name: &str| format!("{root}/{name}");
    let (m, e, c, t, s) = (
        path("m"),
        path("m-e"),
        path("m-c"),
        path("m-t"),
        path("m-s-"),
    );
    let (data, gone) = (path("data"), path("m-gone"));
    let all = || {
        vec![
            MultiOp::Check(version_request(&data, -1)),
            MultiOp::Create(op_code::CREATE, create_request(&m, Some(b"m"), 0)),
            MultiOp::Create(op_code::CREATE2, create_request(&s, Some(b""), 2)),
            MultiOp::Create(op_code::CREATE2, create_request(&s, None, 2)),
            MultiOp::Create(op_code::CREATE_CONTAINER, create_request(&c, None, 4)),
            MultiOp::CreateTtl(ttl_request(&t, 5)),
            MultiOp::Create(op_code::CREATE, create_request(&e, Some(b"e"), 1)),
            MultiOp::Create(op_code::CREATE, create_request(&gone, None, 0)),
            MultiOp::SetData(set_request(&m, Some(b"m again"), 0)),
            MultiOp::Delete(version_request(&gone, 0)),
        ]
    };
    writer.ok(op_code::MULTI, &MultiRequest { ops: all() })?;
    // Fails as a whole, since its nodes exist by now; that is logged too.
    writer.ok(op_code::MULTI, &MultiRequest { ops: all() })?;
    writer.ok(op_code::MULTI, &MultiRequest { ops: Vec::new() })
}

fn sessions(address: std::net::SocketAddr, root: &str) -> Result<Vec<(i64, Vec<u8>)>> {
    let mut kept = Vec::new();
    for number in 0..3 {
        let mut owner = Writer::connect(address)?;
        owner.create(&format!("{root}/ephemeral-{number}"), Some(b"mine"), 1)?;
        owner.create(&format!("{root}/sequence/e-"), Some(b"mine"), 3)?;
        // One session ends properly and takes its nodes along, the others lose their connection.
        if number == 0 {
            owner.raw.close_session()?;
        } else {
            kept.push((owner.session.session_id, owner.session.passwd.clone()));
            owner.raw.abandon();
        }
    }
    Ok(kept)
}
