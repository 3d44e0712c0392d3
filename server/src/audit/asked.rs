//! Owns what of a request the audit log has to know, and which lines it makes of the reply. May
//! decode requests. Must not keep them. Source: `AuditHelper.addAuditLog`.

use std::sync::Arc;

use menagerie_core::acl::{self, AuthConfig, AuthId};
use menagerie_core::effect::{Body, Reply, SubResult};
use menagerie_wire::client::{CreateRequest, CreateTtlRequest, PathRequest, SetAclRequest};
use menagerie_wire::data::{Acl, perms};
use menagerie_wire::jute::decode_prefix;
use menagerie_wire::multi::{MultiOp, MultiRequest};
use menagerie_wire::op::{ErrorCode, op_code};

use super::line::{Fields, Line, Outcome};

/// A request that may change something.
#[derive(Debug)]
pub(crate) struct Asked {
    user: Option<String>,
    ip: Arc<str>,
    session: i64,
    what: What,
}

#[derive(Debug)]
enum What {
    Create {
        path: Option<String>,
        mode: &'static str,
    },
    Delete(Option<String>),
    SetData(Option<String>),
    SetAcl {
        path: Option<String>,
        acl: String,
    },
    Reconfig,
    /// Operations with paths and, for some, the kind of node.
    Multi(Vec<(Option<String>, Option<&'static str>)>),
    /// A multi that cannot be read, or has flags that are none: it can only fail.
    BadMulti,
}

/// Source: `CreateMode.fromFlag`.
const fn mode(flags: i32) -> Option<&'static str> {
    Some(match flags {
        0 => "persistent",
        1 => "ephemeral",
        2 => "persistent_sequential",
        3 => "ephemeral_sequential",
        4 => "container",
        5 => "persistent_with_ttl",
        6 => "persistent_sequential_with_ttl",
        _ => return None,
    })
}

fn own(text: Option<std::borrow::Cow<'_, str>>) -> Option<String> {
    text.map(std::borrow::Cow::into_owned)
}

impl What {
    /// None for what changes nothing. Of a request that cannot be read to its end, what can is
    /// told, as ZooKeeper does, whose record is then half filled.
    fn of(op: i32, body: &[u8]) -> Option<Self> {
        Some(match op {
            op_code::CREATE | op_code::CREATE2 | op_code::CREATE_CONTAINER => {
                let request = read::<CreateRequest<'_>>(body);
                let mode = mode(request.as_ref().map_or(0, |request| request.flags))?;
                let path = path_of(body);
                Self::Create { path, mode }
            }
            op_code::CREATE_TTL => {
                let request = read::<CreateTtlRequest<'_>>(body);
                let mode = mode(request.as_ref().map_or(0, |request| request.flags))?;
                let path = path_of(body);
                Self::Create { path, mode }
            }
            op_code::DELETE => Self::Delete(path_of(body)),
            op_code::SET_DATA => Self::SetData(path_of(body)),
            op_code::SET_ACL => {
                let request = read::<SetAclRequest<'_>>(body)?;
                let acl = acl_text(&request.acl?);
                let path = own(request.path);
                Self::SetAcl { path, acl }
            }
            op_code::RECONFIG => Self::Reconfig,
            op_code::MULTI => Self::multi(body).unwrap_or(Self::BadMulti),
            _ => return None,
        })
    }

    fn multi(body: &[u8]) -> Option<Self> {
        let request = read::<MultiRequest<'_>>(body)?;
        let ops = request.ops.into_iter().map(|op| {
            Some(match op {
                MultiOp::Create(_, request) => (own(request.path), Some(mode(request.flags)?)),
                MultiOp::CreateTtl(request) => (own(request.path), None),
                MultiOp::Delete(request) | MultiOp::Check(request) => (own(request.path), None),
                MultiOp::SetData(request) => (own(request.path), None),
                _ => (None, None),
            })
        });
        ops.collect::<Option<Vec<_>>>().map(Self::Multi)
    }
}

/// The path, which comes first in every request.
fn path_of(body: &[u8]) -> Option<String> {
    own(read::<PathRequest<'_>>(body)?.path)
}

fn read<'a, T: menagerie_wire::jute::Decode<'a>>(body: &'a [u8]) -> Option<T> {
    decode_prefix::<T>(body).ok().map(|(request, _)| request)
}

/// Source: `ZKUtil.aclToString`.
fn acl_text(acl: &[Acl<'_>]) -> String {
    let mut text = String::new();
    for entry in acl {
        let part =
            |part: &Option<std::borrow::Cow<'_, str>>| part.as_deref().unwrap_or("null").to_owned();
        text += &format!("{}:{}:", part(&entry.id.scheme), part(&entry.id.id));
        for (bit, letter) in [
            (perms::CREATE, 'c'),
            (perms::DELETE, 'd'),
            (perms::READ, 'r'),
            (perms::WRITE, 'w'),
            (perms::ADMIN, 'a'),
        ] {
            if entry.perms & bit != 0 {
                text.push(letter);
            }
        }
    }
    text
}

/// The names of a client, with commas between; none if it has none. Source: `AuthUtil.getUsers`.
fn users(config: &AuthConfig, auth: &[AuthId]) -> Option<String> {
    let names = auth.iter().map(|id| acl::user_name(config, id));
    let names: Vec<&str> = names.filter(|name| !name.trim().is_empty()).collect();
    (!names.is_empty()).then(|| names.join(","))
}

impl Asked {
    /// What has to be known of a request; none if it makes no line.
    pub(crate) fn new(
        (op, body): (i32, &[u8]),
        session: i64,
        ip: &Arc<str>,
        config: &AuthConfig,
        auth: &[AuthId],
    ) -> Option<Self> {
        Some(Self {
            what: What::of(op, body)?,
            user: users(config, auth),
            ip: Arc::clone(ip),
            session,
        })
    }

    /// The lines that its reply makes.
    pub(super) fn lines(&self, reply: &Reply<'_>) -> Vec<Line> {
        let err = reply.err;
        let outcome = if err == ErrorCode::Ok {
            Outcome::Success
        } else {
            Outcome::Failure
        };
        let base = Fields {
            session: Some(self.session),
            user: self.user.as_deref(),
            ip: Some(&self.ip),
            ..Fields::default()
        };
        let one = |operation, znode, znode_type, acl| {
            let fields = Fields {
                operation,
                znode,
                znode_type,
                acl,
                ..base
            };
            vec![fields.line(outcome)]
        };
        match &self.what {
            What::Create { path, mode } => {
                // A sequential node's name is known now.
                let created = match &reply.body {
                    Body::Path(path) => *path,
                    Body::PathStat(path, _) => Some(*path),
                    _ => None,
                };
                one("create", created.or(path.as_deref()), Some(mode), None)
            }
            What::Delete(path) => one("delete", path.as_deref(), None, None),
            What::SetData(path) => one("setData", path.as_deref(), None, None),
            What::SetAcl { path, acl } => one("setAcl", path.as_deref(), None, Some(acl)),
            What::Reconfig => {
                let node = (err == ErrorCode::Ok).then_some("/zookeeper/config");
                one("reconfig", node, None, None)
            }
            What::BadMulti if err == ErrorCode::Ok => Vec::new(),
            What::BadMulti => one("multiOperation", None, None, None),
            What::Multi(ops) => match &reply.body {
                Body::Multi(results) => multi_lines(base, ops, results),
                _ => one("multiOperation", None, None, None),
            },
        }
    }
}

fn multi_lines(
    base: Fields<'_>,
    ops: &[(Option<String>, Option<&'static str>)],
    results: &[SubResult<'_>],
) -> Vec<Line> {
    if results.iter().any(|r| matches!(r, SubResult::Error(_))) {
        let operation = "multiOperation";
        return vec![Fields { operation, ..base }.line(Outcome::Failure)];
    }
    // By the path that was asked for, and the last one counts: the kind of a sequential node is
    // not found. Source: `AuditHelper.getCreateModes`.
    let kind = |path: &str| {
        let mut of_path = ops.iter().rev();
        of_path
            .find(|(asked, mode)| mode.is_some() && asked.as_deref() == Some(path))
            .and_then(|(_, mode)| *mode)
    };
    let mut lines = Vec::with_capacity(results.len());
    for (result, (asked, _)) in results.iter().zip(ops) {
        let (operation, znode, znode_type) = match result {
            SubResult::Create(path) | SubResult::Create2(path, _) => {
                ("create", Some(*path), kind(path))
            }
            SubResult::Delete => ("delete", asked.as_deref(), None),
            SubResult::SetData(_) => ("setData", asked.as_deref(), None),
            _ => continue,
        };
        let fields = Fields {
            operation,
            znode,
            znode_type,
            ..base
        };
        lines.push(fields.line(Outcome::Success));
    }
    lines
}
