//! Owns requests that change nothing but watches. They run in the connection's own task, under a
//! shared guard of the tree. Must not block. Source: `FinalRequestProcessor.processRequest`.

use std::borrow::Cow;

use menagerie_wire::client::MultiHeader;
use menagerie_wire::client::{
    AddWatchRequest, ClientInfo, ErrorResponse, GetAclResponse, GetAllChildrenNumberResponse,
    GetDataResponse, GetEphemeralsResponse, PathRequest, PathTypeRequest, PathWatchRequest,
    ReplyHeader, SetWatches, SetWatches2, StatResponse, WhoAmIResponse,
};
use menagerie_wire::data::perms;
use menagerie_wire::jute::{self, Decode, decode_all};
use menagerie_wire::multi::{MultiOp, MultiRequest};
use menagerie_wire::op::{
    ADD_WATCH_PERSISTENT, ADD_WATCH_PERSISTENT_RECURSIVE, ErrorCode, EventType, op_code, xid,
};

use super::reply;
use crate::acl::{self, AclEntry, AuthConfig, AuthId, acl_to_wire};
use crate::ids::{ConnId, SessionId};
use crate::tree::{Tree, Znode};
use crate::watch::{WatchMode, WatcherType};

/// Takes what reading leaves behind: watches, and how much was read.
pub trait WatchRegistry {
    /// Leaves a watch.
    fn add(&self, path: &str, conn: ConnId, mode: WatchMode);
    /// Whether there is such a watch.
    fn contains(&self, path: &str, conn: ConnId, kind: WatcherType) -> bool;
    /// Takes a watch away; false when there was none.
    fn remove(&self, path: &str, conn: ConnId, kind: WatcherType) -> bool;
    /// A node's stat was read, and so many bytes of data or of its children's names.
    fn note_read(&self, _path: &str, _bytes: usize) {}
}

/// Who reads.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The connection, which owns the watches.
    pub conn: ConnId,
    /// Its session.
    pub session: SessionId,
    /// Its identities.
    pub auth: &'a [AuthId],
    /// Settings of ACL checks.
    pub config: &'a AuthConfig,
}

/// Whether an operation is answered here.
#[must_use]
pub const fn is_read(op: i32) -> bool {
    matches!(
        op,
        op_code::EXISTS
            | op_code::GET_DATA
            | op_code::GET_ACL
            | op_code::GET_CHILDREN
            | op_code::GET_CHILDREN2
            | op_code::PING
            | op_code::CHECK_WATCHES
            | op_code::REMOVE_WATCHES
            | op_code::MULTI_READ
            | op_code::SET_WATCHES
            | op_code::SET_WATCHES2
            | op_code::GET_EPHEMERALS
            | op_code::GET_ALL_CHILDREN_NUMBER
            | op_code::ADD_WATCH
            | op_code::WHO_AM_I
    )
}

/// Answers a request: appends the reply's frame, behind any catch-up events, to `out`.
pub fn serve(
    tree: &Tree,
    watches: &impl WatchRegistry,
    reader: &Reader<'_>,
    request_xid: i32,
    op: i32,
    body: &[u8],
    out: &mut Vec<u8>,
) -> ErrorCode {
    let zxid = tree.last_zxid();
    if op == op_code::PING {
        reply::header_only(out, xid::PING, zxid, ErrorCode::Ok);
        return ErrorCode::Ok;
    }
    if matches!(op, op_code::SET_WATCHES | op_code::SET_WATCHES2) {
        // Its events come before its reply.
        let outcome = set_watches(tree, watches, reader, op, body, out);
        let err = outcome.err().unwrap_or(ErrorCode::Ok);
        reply::header_only(out, request_xid, zxid, err);
        return err;
    }
    let start = out.len();
    let mut outcome = Ok(());
    reply::frame(out, |out| {
        jute::append(
            out,
            &ReplyHeader {
                xid: request_xid,
                zxid,
                err: 0,
            },
        );
        outcome = answer(tree, watches, reader, op, body, out);
    });
    match outcome {
        Ok(()) => ErrorCode::Ok,
        Err(err) if op == op_code::MULTI_READ && out.len() > start + HEADER_END => {
            // ZooKeeper sends the results that it has behind the error.
            if let Some(room) = out.get_mut(start + HEADER_END - 4..start + HEADER_END) {
                room.copy_from_slice(&err.0.to_be_bytes());
            }
            err
        }
        Err(err) => {
            out.truncate(start);
            reply::header_only(out, request_xid, zxid, err);
            err
        }
    }
}

/// Where a reply's header ends, behind the frame's length.
const HEADER_END: usize = 20;

fn decode<'a, T: Decode<'a>>(body: &'a [u8]) -> Result<T, ErrorCode> {
    decode_all(body).map_err(|_| ErrorCode::MarshallingError)
}

/// A path that ZooKeeper would dereference.
fn need<'a>(path: &'a Option<Cow<'_, str>>) -> Result<&'a str, ErrorCode> {
    path.as_deref().ok_or(ErrorCode::MarshallingError)
}

/// A path as the watch tables know it. Null is one to them, as to ZooKeeper's; no node can have the
/// name that stands for it.
fn watchable<'a>(path: &'a Option<Cow<'_, str>>) -> &'a str {
    path.as_deref().unwrap_or("\0")
}

impl Reader<'_> {
    fn check(&self, tree: &Tree, node: &Znode, perm: i32) -> Result<(), ErrorCode> {
        acl::check(self.config, tree.acl_of(node), perm, self.auth)
    }

    fn readable<'t>(&self, tree: &'t Tree, path: &str) -> Result<&'t Znode, ErrorCode> {
        let node = tree.get(path)?;
        self.check(tree, node, perms::READ)?;
        Ok(node)
    }
}

fn answer(
    tree: &Tree,
    watches: &impl WatchRegistry,
    reader: &Reader<'_>,
    op: i32,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    match op {
        op_code::GET_DATA => {
            let request: PathWatchRequest<'_> = decode(body)?;
            let path = need(&request.path)?;
            let node = reader.readable(tree, path)?;
            if request.watch {
                watches.add(path, reader.conn, WatchMode::Data);
            }
            get_data(tree, node, out);
            watches.note_read(path, node.data_len());
        }
        op_code::EXISTS => return exists(tree, watches, reader, body, out),
        op_code::GET_CHILDREN | op_code::GET_CHILDREN2 => {
            let request: PathWatchRequest<'_> = decode(body)?;
            let path = need(&request.path)?;
            let node = reader.readable(tree, path)?;
            if request.watch {
                watches.add(path, reader.conn, WatchMode::Child);
            }
            let bytes = children(tree, node, out);
            watches.note_read(path, bytes);
            if op == op_code::GET_CHILDREN2 {
                jute::append(out, &tree.stat_of(node));
            }
        }
        op_code::GET_ACL => return get_acl(tree, reader, body, out),
        op_code::MULTI_READ => return multi_read(tree, watches, reader, body, out),
        op_code::ADD_WATCH => return add_watch(watches, reader, body, out),
        op_code::CHECK_WATCHES | op_code::REMOVE_WATCHES => {
            let request: PathTypeRequest<'_> = decode(body)?;
            let kind =
                WatcherType::try_from(request.kind).map_err(|_| ErrorCode::MarshallingError)?;
            let path = watchable(&request.path);
            let found = if op == op_code::CHECK_WATCHES {
                watches.contains(path, reader.conn, kind)
            } else {
                watches.remove(path, reader.conn, kind)
            };
            return if found {
                Ok(())
            } else {
                Err(ErrorCode::NoWatcher)
            };
        }
        op_code::GET_ALL_CHILDREN_NUMBER => {
            let request: PathRequest<'_> = decode(body)?;
            let path = need(&request.path)?;
            reader.readable(tree, path)?;
            let total_number = tree.all_children_number(path);
            jute::append(out, &GetAllChildrenNumberResponse { total_number });
        }
        op_code::GET_EPHEMERALS => {
            let request: PathRequest<'_> = decode(body)?;
            let prefix = request.path.as_deref().unwrap_or_default();
            let all = prefix.trim().is_empty() || prefix.trim() == "/";
            let paths = tree.ephemerals(reader.session.0);
            let paths = paths
                .filter(|path| all || path.starts_with(prefix))
                .map(Cow::Owned);
            jute::append(
                out,
                &GetEphemeralsResponse {
                    ephemerals: Some(paths.collect()),
                },
            );
        }
        op_code::WHO_AM_I => {
            let info = reader.auth.iter().map(|id| ClientInfo {
                auth_scheme: Some(Cow::Borrowed(&*id.scheme)),
                user: Some(Cow::Borrowed(acl::user_name(reader.config, id))),
            });
            jute::append(
                out,
                &WhoAmIResponse {
                    client_info: Some(info.collect()),
                },
            );
        }
        _ => return Err(ErrorCode::Unimplemented),
    }
    Ok(())
}

fn get_data(tree: &Tree, node: &Znode, out: &mut Vec<u8>) {
    let data = node.data().map(|data| &**data);
    jute::append(
        out,
        &GetDataResponse {
            data,
            stat: tree.stat_of(node),
        },
    );
}

/// The names straight from the nodes: a directory may have a million. Returns their bytes.
fn children(tree: &Tree, node: &Znode, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&node.num_children().to_be_bytes());
    for &child in node.children() {
        jute::append(out, tree.node(child).name());
    }
    // The number of names and the length of each take four bytes.
    (out.len() - start).saturating_sub(4 + 4 * node.children().len())
}

/// The watch stays even when there is no node; READ is checked only when there is one.
fn exists(
    tree: &Tree,
    watches: &impl WatchRegistry,
    reader: &Reader<'_>,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    let request: PathWatchRequest<'_> = decode(body)?;
    let path = need(&request.path)?;
    if path.contains('\0') {
        return Err(ErrorCode::BadArguments);
    }
    let node = tree.get(path);
    if let Ok(node) = node {
        reader.check(tree, node, perms::READ)?;
    }
    if request.watch {
        watches.add(path, reader.conn, WatchMode::Data);
    }
    jute::append(
        out,
        &StatResponse {
            stat: tree.stat_of(node?),
        },
    );
    watches.note_read(path, 0);
    Ok(())
}

/// Who may read but not administer sees no digests.
fn get_acl(
    tree: &Tree,
    reader: &Reader<'_>,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    let request: PathRequest<'_> = decode(body)?;
    let node = tree.get(need(&request.path)?)?;
    reader.check(tree, node, perms::READ | perms::ADMIN)?;
    let acl = tree.acl_of(node);
    let stat = tree.stat_of(node);
    let masked: Vec<AclEntry>;
    let shown = if reader.check(tree, node, perms::ADMIN).is_ok() {
        acl_to_wire(acl)
    } else {
        masked = acl.iter().map(acl::masked).collect();
        acl_to_wire(&masked)
    };
    jute::append(
        out,
        &GetAclResponse {
            acl: Some(shown),
            stat,
        },
    );
    Ok(())
}

/// `AddWatchMode`; the path need not exist, nor even be one.
fn add_watch(
    watches: &impl WatchRegistry,
    reader: &Reader<'_>,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    let request: AddWatchRequest<'_> = decode(body)?;
    let mode = match request.mode {
        ADD_WATCH_PERSISTENT => WatchMode::Persistent,
        ADD_WATCH_PERSISTENT_RECURSIVE => WatchMode::PersistentRecursive,
        _ => return Err(ErrorCode::MarshallingError),
    };
    watches.add(watchable(&request.path), reader.conn, mode);
    jute::append(out, &ErrorResponse { err: 0 });
    Ok(())
}

const END: MultiHeader = MultiHeader {
    op: -1,
    done: true,
    err: -1,
};

/// Each read for itself; one that fails is a result like the others.
fn multi_read(
    tree: &Tree,
    watches: &impl WatchRegistry,
    reader: &Reader<'_>,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    let request: MultiRequest<'_> = decode(body)?;
    let mut outcome = Ok(());
    for op in &request.ops {
        outcome = multi_read_one(tree, watches, reader, op, out);
        if outcome.is_err() {
            break;
        }
    }
    jute::append(out, &END);
    outcome
}

fn multi_read_one(
    tree: &Tree,
    watches: &impl WatchRegistry,
    reader: &Reader<'_>,
    op: &MultiOp<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    let path = match op {
        MultiOp::GetData(request) | MultiOp::GetChildren(request) => need(&request.path)?,
        _ => return Err(ErrorCode::MarshallingError),
    };
    match reader.readable(tree, path) {
        Ok(node) => {
            let (op, done, err) = (op.op(), false, 0);
            jute::append(out, &MultiHeader { op, done, err });
            if op == op_code::GET_DATA {
                get_data(tree, node, out);
                watches.note_read(path, node.data_len());
            } else {
                let bytes = children(tree, node, out);
                watches.note_read(path, bytes);
            }
        }
        Err(err) => {
            let (op, done, err) = (op_code::ERROR, false, err.0);
            jute::append(out, &MultiHeader { op, done, err });
            jute::append(out, &ErrorResponse { err });
        }
    }
    Ok(())
}

/// Registers watches again after a reconnect, or tells at once what they missed.
/// Source: `DataTree.setWatches`.
fn set_watches(
    tree: &Tree,
    watches: &impl WatchRegistry,
    reader: &Reader<'_>,
    op: i32,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    let request = if op == op_code::SET_WATCHES2 {
        decode::<SetWatches2<'_>>(body)?
    } else {
        let SetWatches {
            relative_zxid,
            data,
            exist,
            child,
        } = decode(body)?;
        SetWatches2 {
            relative_zxid,
            data,
            exist,
            child,
            persistent: Some(Vec::new()),
            persistent_recursive: Some(Vec::new()),
        }
    };
    let since = request.relative_zxid;
    let null = ErrorCode::MarshallingError;
    for path in request.data.as_ref().ok_or(null)? {
        match tree.get(path) {
            Err(_) => reply::event(out, EventType::NodeDeleted, path, -1),
            Ok(node) if node.stat().mzxid > since => {
                reply::event(out, EventType::NodeDataChanged, path, -1);
            }
            Ok(_) => watches.add(path, reader.conn, WatchMode::Data),
        }
    }
    for path in request.exist.as_ref().ok_or(null)? {
        if tree.lookup(path).is_some() {
            reply::event(out, EventType::NodeCreated, path, -1);
        } else {
            watches.add(path, reader.conn, WatchMode::Data);
        }
    }
    for path in request.child.as_ref().ok_or(null)? {
        match tree.get(path) {
            Err(_) => reply::event(out, EventType::NodeDeleted, path, -1),
            Ok(node) if node.stat().pzxid > since => {
                reply::event(out, EventType::NodeChildrenChanged, path, -1);
            }
            Ok(_) => watches.add(path, reader.conn, WatchMode::Child),
        }
    }
    for path in request.persistent.as_ref().ok_or(null)? {
        watches.add(path, reader.conn, WatchMode::Persistent);
    }
    for path in request.persistent_recursive.as_ref().ok_or(null)? {
        watches.add(path, reader.conn, WatchMode::PersistentRecursive);
    }
    Ok(())
}
