//! Owns how steps are printed: one short line each. Must not decide anything.

use menagerie_wire::op::op_code as op;

use super::step::{Body, Connect, Create, Damage, Entry, Path, Request, Step};

/// A step as a line.
pub(crate) fn step(step: &Step) -> String {
    match step {
        Step::Connect(
            slot,
            Connect::New {
                time_out,
                read_only,
                passwd,
            },
        ) => format!(
            "connection {slot}: new session, time-out {time_out}, read-only {read_only:?}, \
             password of {passwd}"
        ),
        Step::Connect(slot, Connect::Resume { right, read_only }) => format!(
            "connection {slot}: resume with the {} password, read-only {read_only:?}",
            if *right { "right" } else { "wrong" }
        ),
        Step::Connect(slot, Connect::Future) => {
            format!("connection {slot}: new session with a zxid from the future")
        }
        Step::Drop(slot) => format!("connection {slot}: drop"),
        Step::Send(slot, requests) => {
            let all: Vec<_> = requests.iter().map(request).collect();
            format!("connection {slot}: {}", all.join("  +  "))
        }
    }
}

/// The operations of a step, without what they operate on.
pub(crate) fn operations(step: &Step) -> String {
    match step {
        Step::Connect(..) => "connect".to_owned(),
        Step::Drop(_) => "drop".to_owned(),
        Step::Send(_, requests) => requests
            .iter()
            .map(|r| name(r.op))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

fn request(request: &Request) -> String {
    let damage = match request.damage {
        Damage::Whole => String::new(),
        Damage::Short(n) => format!(" less {n} bytes"),
        Damage::Long(n) => format!(" and {n} bytes more"),
        Damage::Length(n) => format!(" first length {n}"),
        Damage::Frame(n) => format!(" only a frame length of {n}"),
    };
    format!("{} {}{damage}", name(request.op), body(&request.body))
}

/// ZooKeeper's name of an operation.
pub(crate) fn name(code: i32) -> String {
    let name = match code {
        op::CREATE => "create",
        op::CREATE2 => "create2",
        op::CREATE_CONTAINER => "createContainer",
        op::CREATE_TTL => "createTTL",
        op::DELETE => "delete",
        op::DELETE_CONTAINER => "deleteContainer",
        op::EXISTS => "exists",
        op::GET_DATA => "getData",
        op::SET_DATA => "setData",
        op::GET_ACL => "getACL",
        op::SET_ACL => "setACL",
        op::GET_CHILDREN => "getChildren",
        op::GET_CHILDREN2 => "getChildren2",
        op::SYNC => "sync",
        op::PING => "ping",
        op::CHECK => "check",
        op::MULTI => "multi",
        op::MULTI_READ => "multiRead",
        op::RECONFIG => "reconfig",
        op::CHECK_WATCHES => "checkWatches",
        op::REMOVE_WATCHES => "removeWatches",
        op::AUTH => "auth",
        op::SET_WATCHES => "setWatches",
        op::SET_WATCHES2 => "setWatches2",
        op::SASL => "sasl",
        op::GET_EPHEMERALS => "getEphemerals",
        op::GET_ALL_CHILDREN_NUMBER => "getAllChildrenNumber",
        op::ADD_WATCH => "addWatch",
        op::WHO_AM_I => "whoAmI",
        op::CLOSE_SESSION => "closeSession",
        _ => return format!("operation {code}"),
    };
    name.to_owned()
}

fn path(path: &Path) -> String {
    path.as_ref()
        .map_or_else(|| "null".to_owned(), |p| format!("{p:?}"))
}

fn data(data: Option<&Vec<u8>>) -> String {
    match data {
        None => "null".to_owned(),
        Some(bytes) if bytes.len() > 64 => format!("{} bytes", bytes.len()),
        Some(bytes) => format!("\"{}\"", bytes.escape_ascii()),
    }
}

fn acl(acl: Option<&Vec<Entry>>) -> String {
    let Some(list) = acl else {
        return "acl null".to_owned();
    };
    let entry = |(perms, scheme, id): &Entry| format!("{perms}:{}:{}", path(scheme), path(id));
    format!(
        "acl [{}]",
        list.iter().map(entry).collect::<Vec<_>>().join(" ")
    )
}

fn create(create: &Create) -> String {
    let ttl = create
        .ttl
        .map_or_else(String::new, |ttl| format!(" ttl {ttl}"));
    format!(
        "{} {} {} flags {}{ttl}",
        path(&create.path),
        data(create.data.as_ref()),
        acl(create.acl.as_ref()),
        create.flags
    )
}

fn body(of: &Body) -> String {
    match of {
        Body::Empty => String::new(),
        Body::Bytes(bytes) => super::canon::hex(bytes),
        Body::Path(p) => path(p),
        Body::PathInt(p, n) => format!("{} {n}", path(p)),
        Body::PathFlag(p, watch) => format!("{}{}", path(p), if *watch { " watch" } else { "" }),
        Body::Create(c) => create(c),
        Body::SetData(p, d, v) => format!("{} {} version {v}", path(p), data(d.as_ref())),
        Body::SetAcl(p, a, v) => format!("{} {} version {v}", path(p), acl(a.as_ref())),
        Body::Reconfig(a, b, c, n) => format!("{} {} {} {n}", path(a), path(b), path(c)),
        Body::Auth(scheme, auth) => format!("{} {}", path(scheme), path(auth)),
        Body::SetWatches(zxid, lists) => format!("{zxid:?} {lists:?}"),
        Body::Sasl(token) => data(token.as_ref()),
        Body::Multi(parts) => {
            let all: Vec<_> = parts
                .iter()
                .map(|(code, b)| format!("{} {}", name(*code), body(b)))
                .collect();
            format!("{{{}}}", all.join("; "))
        }
    }
}
