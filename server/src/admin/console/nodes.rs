//! Owns what the console shows of the tree: a node, its children a page at a time. Shows what a
//! client with the same identities could read. Must not change anything.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use menagerie_core::acl::{self, AuthId};
use menagerie_core::tree::{Owner, Tree, Znode, parent_path};
use menagerie_wire::data::perms;
use menagerie_wire::op::ErrorCode;
use serde_json::{Value, json};

use crate::shared::Shared;

/// Bytes of data that are shown of a node.
const DATA_MAX: usize = 1 << 20;
/// Children of a page.
pub(super) const PAGE_MAX: usize = 500;

pub(super) fn allowed(
    shared: &Shared,
    tree: &Tree,
    node: &Znode,
    perm: i32,
    ids: &[AuthId],
) -> bool {
    acl::check(&shared.auth, tree.acl_of(node), perm, ids).is_ok()
}

/// Whether these identities may know that there is such a path: they may list its parent.
pub(super) fn may_know(shared: &Shared, tree: &Tree, path: &str, ids: &[AuthId]) -> bool {
    let parent = tree.get(parent_path(path));
    parent.is_ok_and(|parent| allowed(shared, tree, parent, perms::READ, ids))
}

/// A path that can be looked up.
fn check_path(path: &str) -> Result<(), ErrorCode> {
    let plain = path.starts_with('/')
        && !path.contains('\0')
        && (path == "/" || !path.ends_with('/'))
        && !path
            .split('/')
            .skip(1)
            .any(|part| part == "." || part == "..")
        && !path.contains("//");
    if plain {
        Ok(())
    } else {
        Err(ErrorCode::BadArguments)
    }
}

fn kind(tree: &Tree, node: &Znode) -> &'static str {
    match tree.owner_of(node) {
        Owner::Persistent => "persistent",
        Owner::Session(_) => "ephemeral",
        Owner::Container => "container",
        Owner::Ttl(_) => "ttl",
    }
}

pub(super) fn acl_json(list: &[acl::AclEntry]) -> Value {
    let entry = |entry: &acl::AclEntry| json!({"perms": perms_text(entry.perms), "scheme": &*entry.scheme, "id": &*entry.id});
    list.iter().map(entry).collect()
}

/// Permissions as `setAcl` of the shell takes them.
const PERMS: [(char, i32); 5] = [
    ('c', perms::CREATE),
    ('d', perms::DELETE),
    ('r', perms::READ),
    ('w', perms::WRITE),
    ('a', perms::ADMIN),
];

fn perms_text(perms: i32) -> String {
    let set = PERMS.iter().filter(|(_, bit)| perms & bit != 0);
    set.map(|(letter, _)| *letter).collect()
}

/// The permissions that such a text means.
pub(super) fn perms_of(text: &str) -> Option<i32> {
    let mut perms = 0;
    for letter in text.chars() {
        perms |= PERMS.iter().find(|(known, _)| *known == letter)?.1;
    }
    Some(perms)
}

/// A node as far as these identities may read it.
pub(super) fn node(shared: &Shared, path: &str, ids: &[AuthId]) -> Result<Value, ErrorCode> {
    check_path(path)?;
    let tree = shared.read_tree();
    let node = tree.get(path)?;
    let may = |perm| allowed(shared, &tree, node, perm, ids);
    let parent = tree.get(parent_path(path)).ok();
    let may_delete = path != "/"
        && parent.is_some_and(|parent| allowed(shared, &tree, parent, perms::DELETE, ids));
    let mut shown = json!({
        "path": path,
        "readable": may(perms::READ),
        "may": {
            "create": may(perms::CREATE), "write": may(perms::WRITE),
            "admin": may(perms::ADMIN), "delete": may_delete,
        },
    });
    let mut set = |key: &str, value: Value| {
        shown[key] = value;
    };
    if let Ok(list) = acl::shown(&shared.auth, tree.acl_of(node), ids) {
        set("acl", acl_json(&list));
    }
    if !may(perms::READ) {
        return Ok(shown);
    }
    let data = node.data().map(|data| &**data);
    let head = data.map(|data| data.get(..DATA_MAX).unwrap_or(data));
    set("data", head.map(|head| STANDARD.encode(head)).into());
    set("cut", data.is_some_and(|data| data.len() > DATA_MAX).into());
    set("kind", kind(&tree, node).into());
    if let Owner::Ttl(ms) = tree.owner_of(node) {
        set("ttl_ms", ms.into());
    }
    let stat = tree.stat_of(node);
    let hex = |zxid: i64| format!("0x{zxid:x}");
    set(
        "stat",
        json!({
            "czxid": hex(stat.czxid), "mzxid": hex(stat.mzxid), "pzxid": hex(stat.pzxid),
            "ctime": stat.ctime, "mtime": stat.mtime,
            "version": stat.version, "cversion": stat.cversion, "aversion": stat.aversion,
            "ephemeralOwner": hex(stat.ephemeral_owner),
            "dataLength": stat.data_length, "numChildren": stat.num_children,
        }),
    );
    Ok(shown)
}

/// Which children are wanted.
#[derive(Debug)]
pub(super) struct Page<'a> {
    /// Only names behind this one, in the order of their bytes.
    pub(super) after: Option<&'a str>,
    /// Only names with this in them.
    pub(super) filter: &'a str,
    /// So many at most.
    pub(super) limit: usize,
}

/// A page of a node's children. One pass over all of them, which keeps no more than a page: a node
/// may have a million, and the core waits for the guard.
pub(super) fn children(
    shared: &Shared,
    path: &str,
    page: &Page<'_>,
    ids: &[AuthId],
) -> Result<Value, ErrorCode> {
    check_path(path)?;
    let limit = page.limit.clamp(1, PAGE_MAX);
    let tree = shared.read_tree();
    let node = tree.get(path)?;
    if !allowed(shared, &tree, node, perms::READ, ids) {
        return Err(ErrorCode::NoAuth);
    }
    let mut first = BTreeSet::new();
    let (mut matching, mut behind) = (0_usize, 0_usize);
    for &id in node.children() {
        let name = tree.node(id).name();
        if !page.filter.is_empty() && !name.contains(page.filter) {
            continue;
        }
        matching += 1;
        if page.after.is_some_and(|after| name <= after) {
            continue;
        }
        behind += 1;
        let full = first.len() >= limit;
        if full && first.last().is_some_and(|(last, _)| name > *last) {
            continue;
        }
        first.insert((name, id));
        if full {
            first.pop_last();
        }
    }
    let more = behind > first.len();
    let row = |(name, id): (&str, _)| {
        let child = tree.node(id);
        if !allowed(shared, &tree, child, perms::READ, ids) {
            return json!({"name": name, "locked": true});
        }
        json!({
            "name": name, "children": child.num_children(), "bytes": child.data_len(),
            "kind": kind(&tree, child),
        })
    };
    let rows: Vec<Value> = first.into_iter().map(row).collect();
    Ok(json!({
        "path": path, "total": node.num_children(), "matching": matching, "more": more,
        "children": rows,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_letters() {
        assert_eq!(perms_text(31), "cdrwa");
        assert_eq!(perms_of("cdrwa"), Some(31));
        assert_eq!(perms_of("r"), Some(1));
        assert_eq!(perms_of(""), Some(0));
        assert_eq!(perms_of("rx"), None);
    }

    #[test]
    fn paths_that_climb_are_no_paths() {
        for good in ["/", "/a", "/a/b..c", "/a/<script>"] {
            assert!(check_path(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "/a/", "//a", "/a/../b", "/./a", "/..", "/a\0"] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }
}
