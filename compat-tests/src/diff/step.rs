//! Owns what a differential test does: steps as plain values that can be shown, dropped and
//! replayed below another root. May encode requests. Must not connect.

use std::borrow::Cow;

use menagerie_wire::client as rec;
use menagerie_wire::data::{Acl, Id};
use menagerie_wire::jute::{append, to_vec};
use menagerie_wire::op::op_code;

/// Stands for the root node of the sequence in paths and in auth data.
pub(crate) const ROOT: &str = "{R}";

/// A nullable path.
pub(crate) type Path = Option<String>;

/// One step; steps on a slot without a connection do nothing.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Opens a connection in the slot; one that is there is dropped.
    Connect(usize, Connect),
    /// Ends the connection without closing the session.
    Drop(usize),
    /// Sends requests in one go and waits for all replies.
    Send(usize, Vec<Request>),
}

impl Step {
    /// The step less one request, or less one operation of its only request, a multi; `None` when
    /// it has no such part.
    pub(crate) fn without(&self, part: usize) -> Option<Self> {
        let Self::Send(slot, requests) = self else {
            return None;
        };
        let mut requests = requests.clone();
        match requests.as_mut_slice() {
            [only] => {
                let Body::Multi(parts) = &mut only.body else {
                    return None;
                };
                if part >= parts.len() {
                    return None;
                }
                parts.remove(part);
            }
            several if part < several.len() => {
                requests.remove(part);
            }
            _ => return None,
        }
        Some(Self::Send(*slot, requests))
    }
}

/// How to connect.
#[derive(Debug, Clone)]
pub(crate) enum Connect {
    /// A new session.
    New {
        /// Requested time-out in ms.
        time_out: i32,
        /// The read-only byte, if any.
        read_only: Option<bool>,
        /// Length of the password of zeros, −1 for null.
        passwd: i32,
    },
    /// The slot's last session again, from a connection of its own.
    Resume {
        /// Whether to give the right password.
        right: bool,
        /// The read-only byte, if any.
        read_only: Option<bool>,
    },
    /// A new session of a client that has seen a zxid from the future.
    Future,
}

/// A request frame.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Operation code in the header.
    pub(crate) op: i32,
    /// What follows.
    pub(crate) body: Body,
    /// What is wrong with the frame.
    pub(crate) damage: Damage,
}

/// Deliberate damage to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// None.
    Whole,
    /// So many bytes are missing at the end, the header excepted.
    Short(usize),
    /// So many bytes follow.
    Long(usize),
    /// The first length field in the body is this instead.
    Length(i32),
    /// The frame's own length is this instead, and no body follows.
    Frame(i32),
}

/// A zxid that means the same on both servers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RelativeZxid {
    /// 0
    Zero,
    /// The last zxid less this.
    Ago(i64),
    /// The largest number.
    Max,
}

/// The body of a request.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// Nothing.
    Empty,
    /// Bytes without meaning.
    Bytes(Vec<u8>),
    /// A path.
    Path(Path),
    /// A path and a version, a type or a mode.
    PathInt(Path, i32),
    /// A path and a watch flag.
    PathFlag(Path, bool),
    /// create, create2, createContainer; with a TTL createTTL.
    Create(Create),
    /// setData.
    SetData(Path, Option<Vec<u8>>, i32),
    /// setACL.
    SetAcl(Path, Option<Vec<Entry>>, i32),
    /// reconfig: joining, leaving, new members, configuration id.
    Reconfig(Path, Path, Path, i64),
    /// auth.
    Auth(Option<String>, Option<String>),
    /// setWatches or setWatches2: one list per kind.
    SetWatches(RelativeZxid, Vec<Option<Vec<String>>>),
    /// sasl.
    Sasl(Option<Vec<u8>>),
    /// multi, multiRead.
    Multi(Vec<(i32, Self)>),
}

/// What a create wants.
#[derive(Debug, Clone)]
pub(crate) struct Create {
    /// The node or its prefix.
    pub(crate) path: Path,
    /// Its data.
    pub(crate) data: Option<Vec<u8>>,
    /// Its ACL.
    pub(crate) acl: Option<Vec<Entry>>,
    /// A `CreateMode`.
    pub(crate) flags: i32,
    /// Time to live, for createTTL only.
    pub(crate) ttl: Option<i64>,
}

/// An ACL entry: permissions, scheme, id.
pub(crate) type Entry = (i32, Option<String>, Option<String>);

/// What encoding needs to know of the server and sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The sequence's root node.
    pub(crate) root: &'a str,
    /// The last zxid the server has named.
    pub(crate) zxid: i64,
}

impl Place<'_> {
    fn text<'s>(&self, text: &'s str) -> Cow<'s, str> {
        if text.contains(ROOT) {
            Cow::Owned(text.replace(ROOT, self.root))
        } else {
            Cow::Borrowed(text)
        }
    }

    fn path<'s>(&self, path: &'s Path) -> Option<Cow<'s, str>> {
        path.as_deref().map(|text| self.text(text))
    }

    fn acl<'s>(&self, acl: Option<&'s Vec<Entry>>) -> Option<Vec<Acl<'s>>> {
        let entry = |(perms, scheme, id): &'s Entry| Acl {
            perms: *perms,
            id: Id {
                scheme: self.path(scheme),
                id: self.path(id),
            },
        };
        acl.map(|list| list.iter().map(entry).collect())
    }
}

impl RelativeZxid {
    const fn at(self, zxid: i64) -> i64 {
        match self {
            Self::Zero => 0,
            Self::Ago(n) => zxid - n,
            Self::Max => i64::MAX,
        }
    }
}

impl Body {
    fn append(&self, out: &mut Vec<u8>, place: Place<'_>) {
        match self {
            Self::Empty => {}
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Path(path) => append(out, &place.path(path)),
            Self::PathInt(path, number) => append(out, &(place.path(path), *number)),
            Self::PathFlag(path, flag) => append(out, &(place.path(path), *flag)),
            Self::Create(create) => create.append(out, place),
            Self::SetData(path, data, version) => {
                let record = rec::SetDataRequest {
                    path: place.path(path),
                    data: data.as_deref(),
                    version: *version,
                };
                append(out, &record);
            }
            Self::SetAcl(path, acl, version) => {
                let record = rec::SetAclRequest {
                    path: place.path(path),
                    acl: place.acl(acl.as_ref()),
                    version: *version,
                };
                append(out, &record);
            }
            Self::Reconfig(joining, leaving, members, id) => {
                let all = (
                    place.path(joining),
                    place.path(leaving),
                    place.path(members),
                    *id,
                );
                append(out, &all);
            }
            Self::Auth(scheme, auth) => {
                let auth = place.path(auth);
                let record = rec::AuthPacket {
                    kind: 0,
                    scheme: place.path(scheme),
                    auth: auth.as_deref().map(str::as_bytes),
                };
                append(out, &record);
            }
            Self::SetWatches(zxid, lists) => {
                append(out, &zxid.at(place.zxid));
                for list in lists {
                    let texts: Option<Vec<_>> = list
                        .as_ref()
                        .map(|l| l.iter().map(|p| place.text(p)).collect());
                    append(out, &texts);
                }
            }
            Self::Sasl(token) => append(
                out,
                &rec::SaslToken {
                    token: token.as_deref(),
                },
            ),
            Self::Multi(parts) => {
                for (op, body) in parts {
                    append(out, &(*op, false, -1_i32));
                    body.append(out, place);
                }
                append(out, &(-1_i32, true, -1_i32));
            }
        }
    }
}

impl Create {
    fn append(&self, out: &mut Vec<u8>, place: Place<'_>) {
        let record = rec::CreateRequest {
            path: place.path(&self.path),
            data: self.data.as_deref(),
            acl: place.acl(self.acl.as_ref()),
            flags: self.flags,
        };
        append(out, &record);
        if let Some(ttl) = self.ttl {
            append(out, &ttl);
        }
    }
}

impl Request {
    /// An undamaged request.
    pub(crate) const fn new(op: i32, body: Body) -> Self {
        Self {
            op,
            body,
            damage: Damage::Whole,
        }
    }

    /// The frame with its length.
    pub(crate) fn frame(&self, xid: i32, place: Place<'_>) -> Vec<u8> {
        let mut body = Vec::new();
        self.body.append(&mut body, place);
        match self.damage {
            Damage::Short(n) => body.truncate(body.len().saturating_sub(n)),
            Damage::Long(n) => body.resize(body.len() + n, 0x5a),
            Damage::Length(n) => {
                if let Some(length) = body.get_mut(..4) {
                    length.copy_from_slice(&n.to_be_bytes());
                }
            }
            Damage::Whole | Damage::Frame(_) => {}
        }
        let mut content = to_vec(&rec::RequestHeader { xid, op: self.op });
        content.extend_from_slice(&body);
        if let Damage::Frame(n) = self.damage {
            return n.to_be_bytes().to_vec();
        }
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let mut frame = length.to_be_bytes().to_vec();
        frame.extend_from_slice(&content);
        frame
    }

    /// The xid a client would use.
    pub(crate) const fn fixed_xid(&self) -> Option<i32> {
        match self.op {
            op_code::PING => Some(menagerie_wire::op::xid::PING),
            op_code::AUTH => Some(menagerie_wire::op::xid::AUTH),
            op_code::SET_WATCHES | op_code::SET_WATCHES2 => {
                Some(menagerie_wire::op::xid::SET_WATCHES)
            }
            _ => None,
        }
    }
}
