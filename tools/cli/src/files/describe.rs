//! Owns what a transaction says, as text and as JSON. Must not read files.
//! Source: `SerializeUtils.deserializeTxn` for which record belongs to which code.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use menagerie_wire::data::Acl;
use menagerie_wire::jute::{Decode, decode_prefix};
use menagerie_wire::op::{ErrorCode, op_code};
use menagerie_wire::txn::{
    CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTtlTxn,
    CreateTxn, CreateTxnV0, DeleteTxn, ErrorTxn, MultiTxn, SetAclTxn, SetDataTxn, TxnDigest,
};
use serde_json::{Map, Value, json};

use crate::shell::format::perm_text;

/// Characters of data that a line shows.
const SHOWN: usize = 64;

/// A transaction's name and its fields; data is a string, or base64 in a field of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Described {
    /// The operation.
    pub(crate) name: &'static str,
    /// Its fields.
    pub(crate) fields: Map<String, Value>,
    /// The digest of the tree behind it.
    pub(crate) digest: Option<i64>,
}

/// The name of an operation in a log.
pub(crate) const fn op_name(op: i32) -> &'static str {
    match op {
        op_code::CREATE => "create",
        op_code::CREATE2 => "create2",
        op_code::CREATE_CONTAINER => "createContainer",
        op_code::CREATE_TTL => "createTTL",
        op_code::DELETE => "delete",
        op_code::DELETE_CONTAINER => "deleteContainer",
        op_code::SET_DATA => "setData",
        op_code::SET_ACL => "setACL",
        op_code::CHECK => "check",
        op_code::MULTI => "multi",
        op_code::RECONFIG => "reconfig",
        op_code::CREATE_SESSION => "createSession",
        op_code::CLOSE_SESSION => "closeSession",
        op_code::ERROR => "error",
        _ => "unknown",
    }
}

/// Reads the body of a transaction with code `op`, and the digest behind it.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn describe(op: i32, body: &[u8]) -> Result<Described, String> {
    let (fields, rest) = fields(op, body)?;
    let digest = match decode_prefix::<TxnDigest>(rest) {
        Ok((digest, _)) => Some(digest.tree_digest),
        Err(_) if rest.is_empty() => None,
        Err(error) => return Err(error.to_string()),
    };
    Ok(Described {
        name: op_name(op),
        fields,
        digest,
    })
}

type Fields<'a> = (Map<String, Value>, &'a [u8]);

fn read<'a, T: Decode<'a>>(body: &'a [u8]) -> Result<(T, &'a [u8]), String> {
    decode_prefix(body).map_err(|error| error.to_string())
}

fn map<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn with_data(mut fields: Map<String, Value>, data: Option<&[u8]>) -> Map<String, Value> {
    let (key, value) = data_json(data);
    fields.insert(key.to_owned(), value);
    fields
}

/// Data as a string, as base64 if it is none, or null.
pub(crate) fn data_json(data: Option<&[u8]>) -> (&'static str, Value) {
    match data.map(|data| (std::str::from_utf8(data), data)) {
        None => ("data", Value::Null),
        Some((Ok(text), _)) => ("data", json!(text)),
        Some((Err(_), data)) => ("dataBase64", json!(STANDARD.encode(data))),
    }
}

/// ACLs as `scheme:id:perms`.
pub(crate) fn acl_json(acl: Option<&[Acl<'_>]>) -> Value {
    let text = |part: &Option<Cow<'_, str>>| part.as_deref().unwrap_or("null").to_owned();
    let entry = |a: &Acl<'_>| {
        json!(format!(
            "{}:{}:{}",
            text(&a.id.scheme),
            text(&a.id.id),
            perm_text(a.perms)
        ))
    };
    acl.map_or(Value::Null, |acl| acl.iter().map(entry).collect())
}

/// The fields of the transaction, and what follows it.
fn fields(op: i32, body: &[u8]) -> Result<Fields<'_>, String> {
    Ok(match op {
        op_code::CREATE | op_code::CREATE2 => create(body)?,
        op_code::CREATE_CONTAINER => {
            let (txn, rest) = read::<CreateContainerTxn<'_>>(body)?;
            let fields = map([
                ("path", json!(txn.path)),
                ("acl", acl_json(txn.acl.as_deref())),
                ("parentCversion", json!(txn.parent_c_version)),
            ]);
            (with_data(fields, txn.data), rest)
        }
        op_code::CREATE_TTL => {
            let (txn, rest) = read::<CreateTtlTxn<'_>>(body)?;
            let fields = map([
                ("path", json!(txn.path)),
                ("acl", acl_json(txn.acl.as_deref())),
                ("parentCversion", json!(txn.parent_c_version)),
                ("ttl", json!(txn.ttl)),
            ]);
            (with_data(fields, txn.data), rest)
        }
        op_code::DELETE | op_code::DELETE_CONTAINER => {
            let (txn, rest) = read::<DeleteTxn<'_>>(body)?;
            (map([("path", json!(txn.path))]), rest)
        }
        op_code::SET_DATA | op_code::RECONFIG => {
            let (txn, rest) = read::<SetDataTxn<'_>>(body)?;
            let fields = map([("path", json!(txn.path)), ("version", json!(txn.version))]);
            (with_data(fields, txn.data), rest)
        }
        op_code::SET_ACL => {
            let (txn, rest) = read::<SetAclTxn<'_>>(body)?;
            let acl = acl_json(txn.acl.as_deref());
            let fields = [
                ("path", json!(txn.path)),
                ("acl", acl),
                ("version", json!(txn.version)),
            ];
            (map(fields), rest)
        }
        op_code::CHECK => {
            let (txn, rest) = read::<CheckVersionTxn<'_>>(body)?;
            (
                map([("path", json!(txn.path)), ("version", json!(txn.version))]),
                rest,
            )
        }
        op_code::CREATE_SESSION => {
            let (txn, rest) = read::<CreateSessionTxn>(body)?;
            (map([("timeoutMs", json!(txn.time_out))]), rest)
        }
        // Before 3.6 without a body.
        op_code::CLOSE_SESSION if body.is_empty() => (Map::new(), body),
        op_code::CLOSE_SESSION => {
            let (txn, rest) = read::<CloseSessionTxn<'_>>(body)?;
            (map([("pathsToDelete", json!(txn.paths_to_delete))]), rest)
        }
        op_code::ERROR => {
            let (txn, rest) = read::<ErrorTxn>(body)?;
            let name = ErrorCode(txn.err).name();
            (map([("err", json!(txn.err)), ("name", json!(name))]), rest)
        }
        op_code::MULTI => multi(body)?,
        _ => return Err(format!("unknown transaction type {op}")),
    })
}

/// A create, in the form of today or the one before 3.4, which lacks the last field.
fn create(body: &[u8]) -> Result<Fields<'_>, String> {
    match read::<CreateTxn<'_>>(body) {
        Ok((txn, rest)) => {
            let fields = map([
                ("path", json!(txn.path)),
                ("acl", acl_json(txn.acl.as_deref())),
                ("ephemeral", json!(txn.ephemeral)),
                ("parentCversion", json!(txn.parent_c_version)),
            ]);
            Ok((with_data(fields, txn.data), rest))
        }
        Err(error) => {
            let (txn, rest) = read::<CreateTxnV0<'_>>(body).map_err(|_| error)?;
            let fields = map([
                ("path", json!(txn.path)),
                ("acl", acl_json(txn.acl.as_deref())),
                ("ephemeral", json!(txn.ephemeral)),
            ]);
            Ok((with_data(fields, txn.data), rest))
        }
    }
}

fn multi(body: &[u8]) -> Result<Fields<'_>, String> {
    let (txn, rest) = read::<MultiTxn<'_>>(body)?;
    let mut parts = Vec::new();
    for part in txn.txns.unwrap_or_default() {
        let (mut fields, _) = fields(part.op, part.data.unwrap_or_default())?;
        fields.insert("op".to_owned(), json!(op_name(part.op)));
        parts.push(Value::Object(fields));
    }
    Ok((map([("txns", Value::Array(parts))]), rest))
}

/// The fields on one line: path first, strings quoted, long ones cut.
pub(crate) fn line(fields: &Map<String, Value>) -> String {
    let path = fields
        .get("path")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let others = fields
        .iter()
        .filter(|(key, _)| *key != "path")
        .map(|(key, value)| {
            let text = match value {
                Value::String(text) if text.chars().count() > SHOWN => {
                    let shown: String = text.chars().take(SHOWN).collect();
                    format!("{shown:?}… ({} bytes)", text.len())
                }
                Value::Array(parts) => {
                    let part = |part: &Value| match part {
                        Value::Object(fields) => {
                            let op = fields.get("op").and_then(Value::as_str).unwrap_or_default();
                            let rest: Map<_, _> = (fields.iter())
                                .filter(|(key, _)| *key != "op")
                                .map(|(key, value)| (key.clone(), value.clone()))
                                .collect();
                            format!("{op} {}", line(&rest))
                        }
                        Value::String(text) => text.clone(),
                        other => other.to_string(),
                    };
                    format!(
                        "[{}]",
                        parts.iter().map(part).collect::<Vec<_>>().join("; ")
                    )
                }
                other => other.to_string(),
            };
            format!("{key}={text}")
        });
    path.into_iter().chain(others).collect::<Vec<_>>().join(" ")
}

/// The ACLs of a snapshot by the ids that its nodes name. The ids are the file's own.
#[derive(Default)]
pub(super) struct Acls(HashMap<i64, Value>);

impl Acls {
    /// Notes one.
    pub(super) fn add(&mut self, id: i64, acl: &[Acl<'_>]) {
        self.0.insert(id, acl_json(Some(acl)));
    }

    /// What an id stands for; one that is not listed is open to all.
    pub(super) fn of(&self, id: i64) -> Value {
        self.0.get(&id).cloned().unwrap_or(json!("open"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use menagerie_wire::jute::{append, to_vec};
    use menagerie_wire::txn::SubTxn;

    fn set(path: &'static str) -> SetDataTxn<'static> {
        SetDataTxn {
            path: Some(path.into()),
            data: Some(b"x"),
            version: 3,
        }
    }

    #[test]
    fn a_transaction_is_told_with_its_digest() {
        let mut body = to_vec(&set("/a"));
        assert_eq!(describe(op_code::SET_DATA, &body).unwrap().digest, None);
        append(
            &mut body,
            &TxnDigest {
                version: 2,
                tree_digest: 77,
            },
        );
        let told = describe(op_code::SET_DATA, &body).unwrap();
        assert_eq!(told.digest, Some(77));
        assert_eq!(line(&told.fields), "/a version=3 data=\"x\"");
        assert!(describe(op_code::SET_DATA, &body[..5]).is_err());
        assert!(describe(4711, &body).is_err());
    }

    #[test]
    fn the_parts_of_a_multi_are_told() {
        let (first, second) = (to_vec(&set("/a")), to_vec(&ErrorTxn { err: -101 }));
        let parts = vec![
            SubTxn {
                op: op_code::SET_DATA,
                data: Some(&first),
            },
            SubTxn {
                op: op_code::ERROR,
                data: Some(&second),
            },
        ];
        let told = describe(op_code::MULTI, &to_vec(&MultiTxn { txns: Some(parts) })).unwrap();
        let expected = "txns=[setData /a version=3 data=\"x\"; error err=-101 name=\"NONODE\"]";
        assert_eq!(line(&told.fields), expected);
    }

    #[test]
    fn data_that_is_no_text_is_base64() {
        assert_eq!(data_json(Some(&[0xFF])), ("dataBase64", json!("/w==")));
        assert_eq!(data_json(None), ("data", Value::Null));
    }
}
