//! Owns the check of a write before it goes its way to the leader (`enableEagerACLCheck`): whom the tree
//! as it is here does not let, is refused here and at once. Must not decide anything else: what the
//! check cannot tell is for the leader. Source: `ZooKeeperServer.authWriteRequest`.

use menagerie_wire::client::{CreateRequest, PathVersionRequest, SetAclRequest, SetDataRequest};
use menagerie_wire::data::perms;
use menagerie_wire::jute::decode_all;
use menagerie_wire::op::{ErrorCode, op_code};

use crate::acl::{self, AuthConfig};
use crate::event::Request;
use crate::tree::{CONFIG_NODE, Tree, parent_path};

/// The error for a request that may not go on. Creates of containers and of nodes with a time to live,
/// multis and reconfigurations are not looked at, nor is what has no path that could be checked.
pub(crate) fn refusal(config: &AuthConfig, request: &Request, tree: &Tree) -> Option<ErrorCode> {
    let body = &request.body;
    match request.op {
        op_code::CREATE | op_code::CREATE2 => {
            let create: CreateRequest<'_> = decode_all(body).ok()?;
            let parent = parent(create.path.as_deref()?)?;
            let acl = acl::fixup(config, create.acl.as_deref(), &request.auth);
            acl.err()
                .or_else(|| denied(config, request, tree, parent, perms::CREATE))
        }
        op_code::DELETE => {
            let delete: PathVersionRequest<'_> = decode_all(body).ok()?;
            let parent = parent(delete.path.as_deref()?)?;
            denied(config, request, tree, parent, perms::DELETE)
        }
        op_code::SET_DATA => {
            let set: SetDataRequest<'_> = decode_all(body).ok()?;
            denied(config, request, tree, set.path.as_deref()?, perms::WRITE)
        }
        op_code::SET_ACL => {
            let set: SetAclRequest<'_> = decode_all(body).ok()?;
            let path = set.path.as_deref()?;
            let acl = acl::fixup(config, set.acl.as_deref(), &request.auth);
            acl.err()
                .or_else(|| denied(config, request, tree, path, perms::ADMIN))
        }
        _ => None,
    }
}

/// The parent of a node that may come and go. Source: `ZooKeeperServer.parentPath`.
fn parent(path: &str) -> Option<&str> {
    let special = matches!(path, "/" | "/zookeeper" | "/zookeeper/quota" | CONFIG_NODE);
    if special || !path.contains('/') || path.contains('\0') {
        return None;
    }
    Some(match parent_path(path) {
        "" => "/",
        parent => parent,
    })
}

/// A node that is not there denies nothing: it may be on its way.
fn denied(
    config: &AuthConfig,
    request: &Request,
    tree: &Tree,
    path: &str,
    perm: i32,
) -> Option<ErrorCode> {
    let node = tree.get(path).ok()?;
    acl::check(config, tree.acl_of(node), perm, &request.auth).err()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use menagerie_wire::data::Acl;
    use menagerie_wire::jute::to_vec;

    use super::*;
    use crate::acl::AclEntry;
    use crate::ids::{Cxid, SessionId};
    use crate::tree::{NewNode, TreeOptions};

    fn request(op: i32, body: Vec<u8>) -> Request {
        Request {
            conn: None,
            session: SessionId(1),
            cxid: Cxid(1),
            op,
            body: body.into(),
            auth: Arc::from([]),
        }
    }

    fn delete(path: &str) -> Request {
        let path = Some(path.into());
        request(
            op_code::DELETE,
            to_vec(&PathVersionRequest { path, version: -1 }),
        )
    }

    #[test]
    fn only_what_the_tree_forbids_is_refused() {
        let mut tree = Tree::new(TreeOptions::default());
        let entry = AclEntry {
            perms: perms::READ,
            scheme: "world".into(),
            id: "anyone".into(),
        };
        let acl = Arc::from([entry]);
        tree.create(&NewNode {
            path: "/locked",
            data: None,
            acl: &acl,
            owner: 0,
            parent_cversion: 1,
            zxid: 1,
            time: 1,
        })
        .unwrap();
        let config = AuthConfig::default();
        let code = |request: &Request| refusal(&config, request, &tree);
        let denied = Some(ErrorCode::NoAuth);
        assert_eq!(code(&delete("/locked/x")), denied);
        for path in ["/locked", "/", "/zookeeper", "/none/x", "none"] {
            assert_eq!(code(&delete(path)), None, "{path}");
        }
        let create = |path: &str, acl: Vec<Acl<'static>>| {
            let create = CreateRequest {
                path: Some(path.to_owned().into()),
                data: None,
                acl: Some(acl),
                flags: 0,
            };
            request(op_code::CREATE, to_vec(&create))
        };
        let open = || vec![Acl::new(perms::ALL, "world", "anyone")];
        assert_eq!(code(&create("/locked/x", open())), denied);
        assert_eq!(code(&create("/x", open())), None);
        let invalid = Some(ErrorCode::InvalidAcl);
        assert_eq!(code(&create("/x", Vec::new())), invalid);
        let cut = request(op_code::SET_DATA, vec![0, 0]);
        assert_eq!(code(&cut), None, "the leader says what is wrong with it");
        let skip_acl = true;
        let config = AuthConfig { skip_acl, ..config };
        assert_eq!(refusal(&config, &delete("/locked/x"), &tree), None);
    }
}
