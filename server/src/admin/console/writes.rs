//! Owns the changes that the console makes for who has logged in: what a request says, and the
//! request of a client that it becomes. Must not change the tree itself.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use menagerie_wire::client::{
    Create2Response, CreateRequest, CreateTtlRequest, PathVersionRequest, SetAclRequest,
    SetDataRequest,
};
use menagerie_wire::data::Acl;
use menagerie_wire::jute::{self, decode_prefix};
use menagerie_wire::op::{ErrorCode, op_code};
use serde::Deserialize;
use serde_json::{Value, json};

use super::guard::{Refusal, Who};
use super::nodes::perms_of;
use crate::client::inside::{self, Unanswered};
use crate::shared::Shared;

/// An entry of an ACL.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    perms: String,
    scheme: String,
    id: String,
}

/// A change. Data are base64, versions must be those that the person has seen, or −1 for any.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Change {
    Create {
        path: String,
        data: String,
        mode: String,
        acl: Option<Vec<Entry>>,
        #[serde(default)]
        ttl_ms: i64,
    },
    Set {
        path: String,
        data: String,
        version: i32,
    },
    Delete {
        path: String,
        version: i32,
    },
    Acl {
        path: String,
        acl: Vec<Entry>,
        version: i32,
    },
}

fn bad(why: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, why.into())
}

fn decode(data: &str) -> Result<Vec<u8>, Refusal> {
    STANDARD.decode(data).map_err(|_| bad("data is not base64"))
}

fn acl(entries: &[Entry]) -> Result<Vec<Acl<'_>>, Refusal> {
    let made = entries.iter().map(|entry| {
        let perms = perms_of(&entry.perms);
        let perms = perms.ok_or_else(|| bad("perms are letters of cdrwa"))?;
        Ok(Acl::new(perms, entry.scheme.as_str(), entry.id.as_str()))
    });
    made.collect()
}

/// Flags of a mode that lives longer than the console's session, and whether it has a time to live.
/// Source: `CreateMode`.
fn mode_flags(mode: &str) -> Result<i32, Refusal> {
    Ok(match mode {
        "persistent" => 0,
        "persistent_sequential" => 2,
        "container" => 4,
        "ttl" => 5,
        "ttl_sequential" => 6,
        _ => {
            return Err(bad(
                "mode is persistent, persistent_sequential, container, ttl or ttl_sequential",
            ));
        }
    })
}

impl Change {
    /// The operation and its record.
    fn request(&self) -> Result<(i32, Vec<u8>), Refusal> {
        let path = |path: &'_ str| Some(Cow::Owned(path.to_owned()));
        Ok(match self {
            Self::Create {
                path: at,
                data,
                mode,
                acl: entries,
                ttl_ms,
            } => {
                let data = decode(data)?;
                let flags = mode_flags(mode)?;
                let open = || vec![Acl::new(31, "world", "anyone")];
                let acl = match entries {
                    Some(entries) => acl(entries)?,
                    None => open(),
                };
                let (path, data, acl) = (path(at), Some(data.as_slice()), Some(acl));
                match flags {
                    5 | 6 => {
                        let ttl = *ttl_ms;
                        let request = CreateTtlRequest {
                            path,
                            data,
                            acl,
                            flags,
                            ttl,
                        };
                        (op_code::CREATE_TTL, jute::to_vec(&request))
                    }
                    _ => {
                        let op = if flags == 4 {
                            op_code::CREATE_CONTAINER
                        } else {
                            op_code::CREATE2
                        };
                        (
                            op,
                            jute::to_vec(&CreateRequest {
                                path,
                                data,
                                acl,
                                flags,
                            }),
                        )
                    }
                }
            }
            Self::Set {
                path: at,
                data,
                version,
            } => {
                let data = decode(data)?;
                let (path, data, version) = (path(at), Some(data.as_slice()), *version);
                let request = SetDataRequest {
                    path,
                    data,
                    version,
                };
                (op_code::SET_DATA, jute::to_vec(&request))
            }
            Self::Delete { path: at, version } => {
                let (path, version) = (path(at), *version);
                (
                    op_code::DELETE,
                    jute::to_vec(&PathVersionRequest { path, version }),
                )
            }
            Self::Acl {
                path: at,
                acl: entries,
                version,
            } => {
                let (path, acl, version) = (path(at), Some(acl(entries)?), *version);
                (
                    op_code::SET_ACL,
                    jute::to_vec(&SetAclRequest { path, acl, version }),
                )
            }
        })
    }
}

/// What a code means over HTTP.
pub(super) fn status(err: ErrorCode) -> StatusCode {
    match err {
        ErrorCode::Ok => StatusCode::OK,
        ErrorCode::NoNode => StatusCode::NOT_FOUND,
        ErrorCode::NoAuth => StatusCode::FORBIDDEN,
        ErrorCode::BadVersion | ErrorCode::NodeExists | ErrorCode::NotEmpty => StatusCode::CONFLICT,
        ErrorCode::BadArguments
        | ErrorCode::InvalidAcl
        | ErrorCode::NoChildrenForEphemerals
        | ErrorCode::Unimplemented => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What a code means to people.
pub(super) fn explain(err: ErrorCode) -> &'static str {
    match err {
        ErrorCode::NoNode => "there is no such node",
        ErrorCode::NoAuth => "the node's ACL does not allow that to you",
        ErrorCode::BadVersion => "somebody else has changed it meanwhile; look at it again",
        ErrorCode::NodeExists => "there is such a node already",
        ErrorCode::NotEmpty => "the node has children",
        ErrorCode::BadArguments => "that is not a path or not a valid request",
        ErrorCode::InvalidAcl => "that is not a valid ACL",
        ErrorCode::NoChildrenForEphemerals => "ephemeral nodes have no children",
        ErrorCode::QuotaExceeded => "the quota is used up",
        ErrorCode::Unimplemented => "this kind of node is not enabled here",
        _ => "the server refused",
    }
}

/// Makes a change as a client of this server with these identities.
pub(super) async fn make(
    shared: &Arc<Shared>,
    change: &Change,
    who: Who,
    remote: SocketAddr,
) -> Result<Value, Refusal> {
    let (op, body) = change.request()?;
    let made = inside::request(shared, remote, who.ids, op, body).await;
    let answered = made.map_err(|why| {
        let status = match why {
            Unanswered::NotServing => StatusCode::SERVICE_UNAVAILABLE,
            Unanswered::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Unanswered::SchemeMissing => StatusCode::FORBIDDEN,
            Unanswered::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Unanswered::NoAnswer => StatusCode::GATEWAY_TIMEOUT,
        };
        (status, why.to_string())
    })?;
    if answered.err != ErrorCode::Ok {
        let text = format!("{}: {}", answered.err.name(), explain(answered.err));
        return Err((status(answered.err), text));
    }
    let mut result = json!({"zxid": format!("0x{:x}", answered.zxid)});
    if matches!(change, Change::Create { .. })
        && let Ok((created, _)) = decode_prefix::<Create2Response<'_>>(&answered.body)
    {
        result["path"] = created.path.as_deref().into();
    }
    Ok(result)
}
