//! Owns transactions as the core handles them: their encoding into log entries and back.
//! May use `wire::txn`. Must not know how they come about or what they do.

use bytes::Bytes;
use menagerie_wire::data::Acl;
use menagerie_wire::jute::{self, DecodeError, DecodeErrorKind, decode_all, decode_prefix};
use menagerie_wire::op::{ErrorCode, op_code};
use menagerie_wire::txn::{
    CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTtlTxn,
    CreateTxn, CreateTxnV0, DeleteTxn, ErrorTxn, MultiTxn, SetAclTxn, SetDataTxn, SubTxn,
    TxnDigest, TxnHeader,
};

use crate::acl::{AclList, acl_list, acl_to_wire};

/// The kinds of nodes that a create transaction makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateKind {
    /// create or create2, by code; the flag says whether the session owns the node.
    Plain {
        /// `CREATE` or `CREATE2`.
        op: i32,
        /// Whether the session owns the node.
        ephemeral: bool,
    },
    /// createContainer.
    Container,
    /// createTTL, ms.
    Ttl(i64),
}

/// What a transaction does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Txn {
    /// Creates a node.
    Create {
        /// Which kind.
        kind: CreateKind,
        /// Its final path.
        path: Box<str>,
        /// Its data.
        data: Option<Bytes>,
        /// Its ACL.
        acl: AclList,
        /// The parent's creation counter afterwards.
        parent_cversion: i32,
    },
    /// Deletes a node; the code is `DELETE` or `DELETE_CONTAINER`.
    Delete {
        /// The operation's code.
        op: i32,
        /// The node.
        path: Box<str>,
    },
    /// Sets data; the code is `SET_DATA` or `RECONFIG`.
    SetData {
        /// The operation's code.
        op: i32,
        /// The node.
        path: Box<str>,
        /// The data.
        data: Option<Bytes>,
        /// The new version.
        version: i32,
    },
    /// Sets an ACL.
    SetAcl {
        /// The node.
        path: Box<str>,
        /// The ACL.
        acl: AclList,
        /// The new aversion.
        version: i32,
    },
    /// Checks a version, inside a multi; it has been checked already.
    Check {
        /// The node.
        path: Box<str>,
        /// One more than the version found.
        version: i32,
    },
    /// Opens a session.
    CreateSession {
        /// Its time-out, ms.
        timeout_ms: i32,
    },
    /// Closes a session. `None` is what servers before 3.6 wrote.
    CloseSession {
        /// Its ephemeral nodes.
        paths: Option<Vec<Box<str>>>,
    },
    /// Notes a failure.
    Error(ErrorCode),
    /// Does several things at once.
    Multi(Vec<Self>),
}

fn text(path: &str) -> Option<std::borrow::Cow<'_, str>> {
    Some(path.into())
}

fn owned(path: Option<std::borrow::Cow<'_, str>>) -> Result<Box<str>, DecodeError> {
    path.map(|path| path.into_owned().into_boxed_str())
        .ok_or(DecodeError {
            record: "Txn",
            field: "path",
            kind: DecodeErrorKind::Null,
            rest: 0,
        })
}

fn owned_data(data: Option<&[u8]>) -> Option<Bytes> {
    data.map(Bytes::copy_from_slice)
}

fn owned_acl(acl: Option<Vec<Acl<'_>>>) -> AclList {
    // Null is the open ACL. Source: `ReferenceCountedACLCache.convertAcls`.
    acl.map_or_else(AclList::open, |acl| acl_list(&acl))
}

impl Txn {
    /// The code in the transaction's header.
    #[must_use]
    pub const fn op(&self) -> i32 {
        match self {
            Self::Create {
                kind: CreateKind::Plain { op, .. },
                ..
            }
            | Self::Delete { op, .. }
            | Self::SetData { op, .. } => *op,
            Self::Create {
                kind: CreateKind::Container,
                ..
            } => op_code::CREATE_CONTAINER,
            Self::Create {
                kind: CreateKind::Ttl(_),
                ..
            } => op_code::CREATE_TTL,
            Self::SetAcl { .. } => op_code::SET_ACL,
            Self::Check { .. } => op_code::CHECK,
            Self::CreateSession { .. } => op_code::CREATE_SESSION,
            Self::CloseSession { .. } => op_code::CLOSE_SESSION,
            Self::Error(_) => op_code::ERROR,
            Self::Multi(_) => op_code::MULTI,
        }
    }

    /// Appends the transaction's record, without header or digest.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Create {
                kind,
                path,
                data,
                acl,
                parent_cversion,
            } => {
                encode_create(*kind, path, data.as_deref(), acl, *parent_cversion, out);
            }
            Self::Delete { path, .. } => jute::append(out, &DeleteTxn { path: text(path) }),
            Self::SetData {
                path,
                data,
                version,
                ..
            } => jute::append(
                out,
                &SetDataTxn {
                    path: text(path),
                    data: data.as_deref(),
                    version: *version,
                },
            ),
            Self::SetAcl { path, acl, version } => jute::append(
                out,
                &SetAclTxn {
                    path: text(path),
                    acl: Some(acl_to_wire(acl)),
                    version: *version,
                },
            ),
            Self::Check { path, version } => {
                jute::append(
                    out,
                    &CheckVersionTxn {
                        path: text(path),
                        version: *version,
                    },
                );
            }
            Self::CreateSession { timeout_ms } => {
                jute::append(
                    out,
                    &CreateSessionTxn {
                        time_out: *timeout_ms,
                    },
                );
            }
            Self::CloseSession { paths: None } => {}
            Self::CloseSession { paths: Some(paths) } => {
                let paths = paths.iter().map(|path| (&**path).into()).collect();
                jute::append(
                    out,
                    &CloseSessionTxn {
                        paths_to_delete: Some(paths),
                    },
                );
            }
            Self::Error(code) => jute::append(out, &ErrorTxn { err: code.0 }),
            Self::Multi(txns) => encode_multi(txns, out),
        }
    }

    /// Reads the record that follows a header with code `op`, and what is behind it.
    ///
    /// # Errors
    /// When the bytes are not such a record, or no transaction has that code.
    pub fn decode(op: i32, body: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        Ok(match op {
            op_code::CREATE
            | op_code::CREATE2
            | op_code::CREATE_TTL
            | op_code::CREATE_CONTAINER => decode_create(op, body)?,
            op_code::DELETE | op_code::DELETE_CONTAINER => {
                let (txn, rest) = decode_prefix::<DeleteTxn<'_>>(body)?;
                (
                    Self::Delete {
                        op,
                        path: owned(txn.path)?,
                    },
                    rest,
                )
            }
            op_code::SET_DATA | op_code::RECONFIG => {
                let (txn, rest) = decode_prefix::<SetDataTxn<'_>>(body)?;
                let (path, data) = (owned(txn.path)?, owned_data(txn.data));
                (
                    Self::SetData {
                        op,
                        path,
                        data,
                        version: txn.version,
                    },
                    rest,
                )
            }
            op_code::SET_ACL => {
                let (txn, rest) = decode_prefix::<SetAclTxn<'_>>(body)?;
                let (path, acl) = (owned(txn.path)?, owned_acl(txn.acl));
                (
                    Self::SetAcl {
                        path,
                        acl,
                        version: txn.version,
                    },
                    rest,
                )
            }
            op_code::CHECK => {
                let (txn, rest) = decode_prefix::<CheckVersionTxn<'_>>(body)?;
                (
                    Self::Check {
                        path: owned(txn.path)?,
                        version: txn.version,
                    },
                    rest,
                )
            }
            op_code::CREATE_SESSION => {
                let (txn, rest) = decode_prefix::<CreateSessionTxn>(body)?;
                (
                    Self::CreateSession {
                        timeout_ms: txn.time_out,
                    },
                    rest,
                )
            }
            op_code::CLOSE_SESSION => decode_close_session(body)?,
            op_code::ERROR => {
                let (txn, rest) = decode_prefix::<ErrorTxn>(body)?;
                (Self::Error(ErrorCode(txn.err)), rest)
            }
            op_code::MULTI => decode_multi(body)?,
            _ => return Err(unknown(op, body.len())),
        })
    }
}

const fn unknown(op: i32, rest: usize) -> DecodeError {
    DecodeError {
        record: "TxnHeader",
        field: "type",
        kind: DecodeErrorKind::UnknownType(op),
        rest,
    }
}

fn encode_create(
    kind: CreateKind,
    path: &str,
    data: Option<&[u8]>,
    acl: &AclList,
    parent_c_version: i32,
    out: &mut Vec<u8>,
) {
    let (path, acl) = (text(path), Some(acl_to_wire(acl)));
    match kind {
        CreateKind::Plain { ephemeral, .. } => {
            jute::append(
                out,
                &CreateTxn {
                    path,
                    data,
                    acl,
                    ephemeral,
                    parent_c_version,
                },
            );
        }
        CreateKind::Container => {
            jute::append(
                out,
                &CreateContainerTxn {
                    path,
                    data,
                    acl,
                    parent_c_version,
                },
            );
        }
        CreateKind::Ttl(ttl) => {
            jute::append(
                out,
                &CreateTtlTxn {
                    path,
                    data,
                    acl,
                    parent_c_version,
                    ttl,
                },
            );
        }
    }
}

fn encode_multi(txns: &[Txn], out: &mut Vec<u8>) {
    let bodies: Vec<Vec<u8>> = txns
        .iter()
        .map(|txn| {
            let mut body = Vec::new();
            txn.encode(&mut body);
            body
        })
        .collect();
    let parts = txns.iter().zip(&bodies).map(|(txn, body)| SubTxn {
        op: txn.op(),
        data: Some(body),
    });
    jute::append(
        out,
        &MultiTxn {
            txns: Some(parts.collect()),
        },
    );
}

fn decode_create(op: i32, body: &[u8]) -> Result<(Txn, &[u8]), DecodeError> {
    let (kind, path, data, acl, parent_cversion, rest) = match op {
        op_code::CREATE_TTL => {
            let (t, rest) = decode_prefix::<CreateTtlTxn<'_>>(body)?;
            (
                CreateKind::Ttl(t.ttl),
                t.path,
                t.data,
                t.acl,
                t.parent_c_version,
                rest,
            )
        }
        op_code::CREATE_CONTAINER => {
            let (t, rest) = decode_prefix::<CreateContainerTxn<'_>>(body)?;
            (
                CreateKind::Container,
                t.path,
                t.data,
                t.acl,
                t.parent_c_version,
                rest,
            )
        }
        _ => match decode_prefix::<CreateTxn<'_>>(body) {
            Ok((t, rest)) => {
                let kind = CreateKind::Plain {
                    op,
                    ephemeral: t.ephemeral,
                };
                (kind, t.path, t.data, t.acl, t.parent_c_version, rest)
            }
            // Servers before 3.4 did not write the parent's counter.
            // Source: `SerializeUtils.deserializeTxn`.
            Err(_) if op == op_code::CREATE => {
                let (t, rest) = decode_prefix::<CreateTxnV0<'_>>(body)?;
                let kind = CreateKind::Plain {
                    op,
                    ephemeral: t.ephemeral,
                };
                (kind, t.path, t.data, t.acl, -1, rest)
            }
            Err(e) => return Err(e),
        },
    };
    let (path, data, acl) = (owned(path)?, owned_data(data), owned_acl(acl));
    Ok((
        Txn::Create {
            kind,
            path,
            data,
            acl,
            parent_cversion,
        },
        rest,
    ))
}

fn decode_close_session(body: &[u8]) -> Result<(Txn, &[u8]), DecodeError> {
    // Servers before 3.6, and later ones by option, write no body; a digest may stand here then,
    // which no list of paths can be mistaken for: its version 2 would be the length of the list.
    if body.is_empty()
        || body.len() == DIGEST_LEN && decode_prefix::<CloseSessionTxn<'_>>(body).is_err()
    {
        return Ok((Txn::CloseSession { paths: None }, body));
    }
    let (txn, rest) = decode_prefix::<CloseSessionTxn<'_>>(body)?;
    let paths = txn.paths_to_delete.unwrap_or_default();
    let paths = paths
        .into_iter()
        .map(|path| path.into_owned().into_boxed_str())
        .collect();
    Ok((Txn::CloseSession { paths: Some(paths) }, rest))
}

fn decode_multi(body: &[u8]) -> Result<(Txn, &[u8]), DecodeError> {
    let (multi, rest) = decode_prefix::<MultiTxn<'_>>(body)?;
    let mut txns = Vec::new();
    for part in multi.txns.unwrap_or_default() {
        if part.op == op_code::MULTI {
            return Err(unknown(part.op, rest.len()));
        }
        txns.push(Txn::decode(part.op, part.data.unwrap_or_default())?.0);
    }
    Ok((Txn::Multi(txns), rest))
}

const HEADER_LEN: usize = 32;
const DIGEST_LEN: usize = 12;

/// A whole log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedTxn {
    /// Who, when and in which place.
    pub header: TxnHeader,
    /// What.
    pub txn: Txn,
    /// The tree's digest afterwards, where the writer recorded it.
    pub digest: Option<TxnDigest>,
}

impl LoggedTxn {
    /// Appends the entry as the log holds it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        jute::append(out, &self.header);
        self.txn.encode(out);
        if let Some(digest) = &self.digest {
            jute::append(out, digest);
        }
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// When the bytes are not an entry.
    pub fn decode(entry: &[u8]) -> Result<Self, DecodeError> {
        let (header, body) = decode_prefix::<TxnHeader>(entry)?;
        debug_assert_eq!(entry.len() - body.len(), HEADER_LEN);
        let (txn, rest) = Txn::decode(header.op, body)?;
        let digest = if rest.len() >= DIGEST_LEN {
            Some(decode_all(rest)?)
        } else {
            None
        };
        Ok(Self {
            header,
            txn,
            digest,
        })
    }
}
