//! Owns reading a whole tree over the client protocol. May use `raw`. Must not change the tree.

use anyhow::{Result, bail, ensure};
use menagerie_wire::client::{AuthPacket, GetAclResponse, GetChildrenResponse, GetDataResponse};
use menagerie_wire::client::{PathRequest, PathWatchRequest};
use menagerie_wire::data::{Acl, Id, Stat};
use menagerie_wire::jute::decode_all;
use menagerie_wire::op::{ErrorCode, op_code, xid};

use crate::raw::Raw;

/// The flag that lets `super:test` read everything.
pub(crate) const SUPER: &str =
    "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=";

/// A znode as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its path.
    pub(crate) path: String,
    /// Its data.
    pub(crate) data: Option<Vec<u8>>,
    /// Its stat.
    pub(crate) stat: Stat,
    /// Its ACL.
    pub(crate) acl: Option<Vec<Acl<'static>>>,
}

/// Makes the connection the super user's.
pub(crate) fn become_super(raw: &mut Raw) -> Result<()> {
    auth(raw, "digest", b"super:test")
}

/// Adds an identity to the connection.
pub(crate) fn auth(raw: &mut Raw, scheme: &str, data: &[u8]) -> Result<()> {
    let packet = AuthPacket {
        kind: 0,
        scheme: Some(scheme.into()),
        auth: Some(data),
    };
    let mut frame = menagerie_wire::jute::to_vec(&(xid::AUTH, op_code::AUTH));
    menagerie_wire::jute::append(&mut frame, &packet);
    raw.send(&frame);
    let (header, _) = raw.reply(xid::AUTH)?;
    ensure!(
        header.err == 0,
        "auth {scheme}: {}",
        ErrorCode(header.err).name()
    );
    Ok(())
}

/// Every node from `root` down, sorted by path.
pub(crate) fn walk(raw: &mut Raw, root: &str) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let read = PathWatchRequest {
            path: Some(path.as_str().into()),
            watch: false,
        };
        let plain = PathRequest {
            path: read.path.clone(),
        };
        let body = call(raw, op_code::GET_DATA, &read, &path)?;
        let found = decode_all::<GetDataResponse<'_>>(&body)?;
        let list = call(raw, op_code::GET_CHILDREN, &read, &path)?;
        let children = decode_all::<GetChildrenResponse<'_>>(&list)?;
        let body_acl = call(raw, op_code::GET_ACL, &plain, &path)?;
        let acl = decode_all::<GetAclResponse<'_>>(&body_acl)?;
        let parent = if path == "/" { "" } else { path.as_str() };
        let names = children.children.unwrap_or_default();
        left.extend(names.iter().map(|name| format!("{parent}/{name}")));
        nodes.push(Node {
            data: found.data.map(<[u8]>::to_vec),
            stat: found.stat,
            acl: acl.acl.map(|list| list.into_iter().map(owned).collect()),
            path,
        });
    }
    nodes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(nodes)
}

fn owned(acl: Acl<'_>) -> Acl<'static> {
    Acl {
        perms: acl.perms,
        id: Id {
            scheme: acl.id.scheme.map(|text| text.into_owned().into()),
            id: acl.id.id.map(|text| text.into_owned().into()),
        },
    }
}

fn call<T: serde::Serialize>(raw: &mut Raw, op: i32, body: &T, path: &str) -> Result<Vec<u8>> {
    let (header, body) = raw.call(op, body)?;
    if header.err != 0 {
        bail!("reading {path}: {}", ErrorCode(header.err).name());
    }
    Ok(body)
}
