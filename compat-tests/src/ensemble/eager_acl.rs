//! Owns writes that ACLs forbid, at every member of an ensemble that checks them before writes go to
//! the leader (`enableEagerACLCheck`). Must not look into a server.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use menagerie_wire::client::{
    CreateRequest, PathWatchRequest, RequestHeader, SetAclRequest, SetDataRequest,
};
use menagerie_wire::data::{Acl, perms};
use menagerie_wire::jute::to_vec;
use menagerie_wire::multi::{MultiOp, MultiRequest};
use menagerie_wire::op::op_code;

use super::cluster::Cluster;
use super::scenarios;
use crate::populate::{create_request, version_request};
use crate::raw::Raw;
use crate::server::Kind;

const NO_AUTH: i32 = -102;
const INVALID_ACL: i32 = -114;

/// What was asked, the error, and whether the answer has a zxid: without, there was no transaction.
type Outcome = (&'static str, i32, bool);

fn set_request<'a>(path: &'a str, data: &'a [u8]) -> SetDataRequest<'a> {
    SetDataRequest {
        path: Some(path.into()),
        data: Some(data),
        version: -1,
    }
}

fn acl_request<'a>(path: &'a str, acl: Vec<Acl<'a>>) -> SetAclRequest<'a> {
    SetAclRequest {
        path: Some(path.into()),
        acl: Some(acl),
        version: -1,
    }
}

/// A node that everybody may read and nobody change, with a child that everybody may change.
fn lock(raw: &mut Raw) -> Result<()> {
    let readable = vec![Acl::new(perms::READ, "world", "anyone")];
    for path in ["/open", "/locked", "/locked/child"] {
        let (header, _) = raw.call(op_code::CREATE, &create_request(path, None, 0))?;
        ensure!(header.err == 0, "{path}: error {}", header.err);
    }
    let (header, _) = raw.call(op_code::SET_ACL, &acl_request("/locked", readable))?;
    ensure!(header.err == 0, "error {}", header.err);
    Ok(())
}

fn outcomes(address: SocketAddr) -> Result<Vec<Outcome>> {
    let (mut raw, _) = Raw::session(address, 20_000)?;
    let nobody = || vec![Acl::new(perms::ALL, "digest", "no colon")];
    let open = || vec![Acl::new(perms::ALL, "world", "anyone")];
    let (below, missing) = ("/locked/new", "/missing/new");
    let unknown = CreateRequest {
        acl: Some(nobody()),
        ..create_request("/open/new", None, 0)
    };
    let multi = vec![MultiOp::SetData(set_request("/locked", b"x"))];
    let container = create_request(below, None, 4);
    let requests = [
        (
            "set",
            op_code::SET_DATA,
            to_vec(&set_request("/locked", b"x")),
        ),
        (
            "create",
            op_code::CREATE,
            to_vec(&create_request(below, None, 0)),
        ),
        (
            "create2",
            op_code::CREATE2,
            to_vec(&create_request(below, None, 0)),
        ),
        (
            "delete",
            op_code::DELETE,
            to_vec(&version_request("/locked/child", -1)),
        ),
        (
            "setACL",
            op_code::SET_ACL,
            to_vec(&acl_request("/locked", open())),
        ),
        ("create, ACL", op_code::CREATE, to_vec(&unknown)),
        (
            "setACL, ACL",
            op_code::SET_ACL,
            to_vec(&acl_request("/open", nobody())),
        ),
        ("container", op_code::CREATE_CONTAINER, to_vec(&container)),
        (
            "multi",
            op_code::MULTI,
            to_vec(&MultiRequest { ops: multi }),
        ),
        (
            "set missing",
            op_code::SET_DATA,
            to_vec(&set_request("/missing", b"x")),
        ),
        (
            "create below missing",
            op_code::CREATE,
            to_vec(&create_request(missing, None, 0)),
        ),
        (
            "delete missing",
            op_code::DELETE,
            to_vec(&version_request("/open/missing", -1)),
        ),
        (
            "delete root",
            op_code::DELETE,
            to_vec(&version_request("/", -1)),
        ),
        (
            "set",
            op_code::SET_DATA,
            to_vec(&set_request("/open", b"x")),
        ),
    ];
    let mut seen = Vec::new();
    for (name, op, body) in requests {
        let xid = raw.take_xid();
        let mut frame = to_vec(&RequestHeader { xid, op });
        frame.extend_from_slice(&body);
        raw.send(&frame);
        let (header, _) = raw.reply(xid).context(name)?;
        seen.push((name, header.err, header.zxid != 0));
    }
    raw.close_session()?;
    Ok(seen)
}

/// Requests sent at once are answered in their order, those that are refused here too.
fn in_order(address: SocketAddr) -> Result<()> {
    let (mut raw, _) = Raw::session(address, 20_000)?;
    let mut sent = Vec::new();
    for round in 0..60 {
        let xid = raw.take_xid();
        let path = if round % 2 == 0 { "/open" } else { "/locked" };
        let (op, body) = match round % 3 {
            0 => {
                let path = Some(path.into());
                let read = PathWatchRequest { path, watch: false };
                (op_code::GET_DATA, to_vec(&read))
            }
            _ => (op_code::SET_DATA, to_vec(&set_request(path, b"x"))),
        };
        let mut frame = to_vec(&RequestHeader { xid, op });
        frame.extend_from_slice(&body);
        raw.send(&frame);
        let refused = op == op_code::SET_DATA && path == "/locked";
        sent.push((xid, if refused { NO_AUTH } else { 0 }));
    }
    for (xid, err) in sent {
        let (header, _) = raw.reply(xid)?;
        ensure!(header.err == err, "{} instead of {err}", header.err);
    }
    raw.close_session()
}

/// Every role of either kind of server answers the same, and refuses without a transaction.
pub(super) fn all(cluster: &mut Cluster) -> Result<String> {
    for server in &mut cluster.servers {
        server.add_line("enableEagerACLCheck=true");
    }
    scenarios::begin(cluster)?;
    cluster.await_serving()?;
    let leader = cluster.leader()?;
    let (mut raw, _) = Raw::session(cluster.servers[leader].address(), 20_000)?;
    lock(&mut raw)?;
    raw.close_session()?;
    cluster.compare()?;
    let mut told: Option<(String, Vec<Outcome>)> = None;
    for (at, server) in cluster.servers.iter().enumerate() {
        let who = format!("{} {}", server.kind().name(), cluster.mode(at));
        let seen = outcomes(server.address()).with_context(|| who.clone())?;
        let refused = seen.iter().filter(|(_, _, zxid)| !zxid).count();
        ensure!(refused == 7, "{who} refuses {refused} at once: {seen:?}");
        let early = seen.iter().take(7).map(|(_, err, _)| *err);
        let expected = [[NO_AUTH; 5].as_slice(), &[INVALID_ACL; 2]].concat();
        ensure!(early.eq(expected), "{who}: {seen:?}");
        if server.kind() == Kind::Menagerie {
            in_order(server.address()).with_context(|| format!("order at {who}"))?;
        }
        match &told {
            Some((other, before)) => ensure!(
                *before == seen,
                "{who} answers {seen:?}, and {other} {before:?}"
            ),
            None => told = Some((who, seen)),
        }
    }
    cluster.compare()?;
    let count = told.map_or(0, |(_, seen)| seen.len());
    Ok(format!(
        "{count} outcomes at {} members",
        cluster.servers.len()
    ))
}
