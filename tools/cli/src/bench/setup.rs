//! Owns the nodes a run needs: makes them fast, and takes them away again. May use a blocking
//! connection. Must not touch anything outside the run's root.

use anyhow::{Result, bail, ensure};
use menagerie_wire::client::{GetChildren2Response, PathWatchRequest, StatResponse};
use menagerie_wire::data::Stat;
use menagerie_wire::jute::decode_all;
use menagerie_wire::multi::{MultiOp, MultiRequest};
use menagerie_wire::op::{ErrorCode, op_code};

use super::frames::{DIR_DIGITS, FAN_OUT, delete, dir_path, node_path, persistent};
use crate::client::blocking::{Blocking, Reply, request};

/// Requests outstanding while nodes are made or removed.
const DEPTH: usize = 16;
/// Bytes of a multi, well below the default `jute.maxbuffer`.
const MULTI_BYTES: usize = 200 << 10;
/// Operations of a multi.
const MULTI_OPS: usize = 500;

/// Creates `path` and its ancestors unless they exist.
fn ensure_path(connection: &mut Blocking, path: &str) -> Result<()> {
    let ends = path
        .char_indices()
        .filter(|(at, c)| *at > 0 && *c == '/')
        .map(|(at, _)| at);
    for end in ends.chain([path.len()]) {
        let part = path.get(..end).unwrap_or(path);
        let reply = connection.call(op_code::CREATE, &persistent(part.to_owned(), b""))?;
        let fine = reply.code == ErrorCode::Ok || reply.code == ErrorCode::NodeExists;
        ensure!(fine, "create {part}: {}", reply.code.name());
    }
    Ok(())
}

/// The node's state, if it exists.
fn stat(connection: &mut Blocking, path: &str) -> Result<Option<Stat>> {
    let body = PathWatchRequest {
        path: Some(path.into()),
        watch: false,
    };
    let reply = connection.call(op_code::EXISTS, &body)?;
    if reply.code == ErrorCode::NoNode {
        return Ok(None);
    }
    let body = reply.ok("exists")?;
    Ok(Some(decode_all::<StatResponse>(&body)?.stat))
}

fn children(connection: &mut Blocking, path: &str) -> Result<Vec<String>> {
    let body = PathWatchRequest {
        path: Some(path.into()),
        watch: false,
    };
    let reply = connection.call(op_code::GET_CHILDREN2, &body)?;
    if reply.code == ErrorCode::NoNode {
        return Ok(Vec::new());
    }
    let body = reply.ok("getChildren")?;
    let response: GetChildren2Response<'_> = decode_all(&body)?;
    let names = response.children.unwrap_or_default();
    Ok(names
        .into_iter()
        .map(std::borrow::Cow::into_owned)
        .collect())
}

/// Makes the working set of `count` nodes of `size` bytes, unless a former run left it.
pub(crate) fn working_set(
    connection: &mut Blocking,
    root: &str,
    count: u64,
    data: &[u8],
) -> Result<()> {
    if is_there(connection, root, count, data.len())? {
        return Ok(());
    }
    remove(connection, &format!("{root}/k"))?;
    ensure_path(connection, &format!("{root}/k"))?;
    let per_multi = (MULTI_BYTES / (data.len() + root.len() + 80)).clamp(1, MULTI_OPS);
    let dirs = 0..count.div_ceil(FAN_OUT);
    let paths = dirs.flat_map(|dir| {
        let nodes = dir * FAN_OUT..count.min((dir + 1) * FAN_OUT);
        let as_dir = (dir_path(root, dir), &b""[..]);
        std::iter::once(as_dir).chain(nodes.map(|index| (node_path(root, index), data)))
    });
    let operations =
        paths.map(|(path, data)| MultiOp::Create(op_code::CREATE, persistent(path, data)));
    in_multis(connection, operations, per_multi, |reply| {
        let body = reply.ok("creating nodes")?;
        // The type of the first result; −1 means that the multi failed.
        ensure!(
            !body.starts_with(&[0xFF; 4]),
            "creating nodes under {root}: the multi failed"
        );
        Ok(())
    })
}

/// Whether the working set is complete already.
fn is_there(connection: &mut Blocking, root: &str, count: u64, size: usize) -> Result<bool> {
    let Some(last) = count.checked_sub(1) else {
        return Ok(true);
    };
    let dirs = stat(connection, &format!("{root}/k"))?.map_or(0, |s| s.num_children);
    let first = stat(connection, &node_path(root, 0))?;
    let size_fits =
        first.is_some_and(|s| usize::try_from(s.data_length).is_ok_and(|length| length == size));
    let last_there = stat(connection, &node_path(root, last))?.is_some();
    Ok(size_fits && last_there && u64::try_from(dirs).is_ok_and(|d| d >= count.div_ceil(FAN_OUT)))
}

/// Makes the directory that connection `number` creates nodes in.
pub(crate) fn create_dirs(connection: &mut Blocking, root: &str, connections: usize) -> Result<()> {
    remove(connection, &format!("{root}/c"))?;
    for number in 0..connections {
        ensure_path(
            connection,
            &format!("{root}/c/{number:0width$}", width = DIR_DIGITS),
        )?;
    }
    Ok(())
}

/// Removes `path` and everything below it.
pub(crate) fn remove(connection: &mut Blocking, path: &str) -> Result<()> {
    let mut stack = vec![path.to_owned()];
    let mut doomed = Vec::new();
    while let Some(path) = stack.pop() {
        // Leaves of the working set are known to be leaves: no call for each of a million nodes.
        if !is_leaf(&path) {
            let names = children(connection, &path)?;
            stack.extend(names.into_iter().map(|name| format!("{path}/{name}")));
        }
        doomed.push(path);
    }
    let operations = doomed
        .into_iter()
        .rev()
        .map(|path| MultiOp::Delete(delete(path)));
    in_multis(connection, operations, MULTI_OPS, |reply| {
        if reply.code == ErrorCode::Ok {
            Ok(())
        } else {
            bail!("removing: {}", reply.code.name())
        }
    })
}

/// Whether the name is one that only leaves have: ten digits.
fn is_leaf(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.len() == 10 && name.bytes().all(|b| b.is_ascii_digit())
}

/// Removes everything a run has made.
pub(crate) fn clean(connection: &mut Blocking, root: &str) -> Result<()> {
    remove(connection, root)
}

fn in_multis<'a>(
    connection: &mut Blocking,
    mut operations: impl Iterator<Item = MultiOp<'a>>,
    per_multi: usize,
    done: impl FnMut(Reply) -> Result<()>,
) -> Result<()> {
    let next = |out: &mut Vec<u8>, xid: i32| {
        let ops: Vec<_> = operations.by_ref().take(per_multi).collect();
        if ops.is_empty() {
            return false;
        }
        request(out, xid, op_code::MULTI, &MultiRequest { ops });
        true
    };
    connection.pipeline(DEPTH, next, done)
}
