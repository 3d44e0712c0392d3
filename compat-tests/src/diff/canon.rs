//! Owns the form in which answers of two servers can be compared: zxids relative to the start,
//! sessions by the order in which they came, times only as far as they must agree, sets sorted.
//! May decode replies. Must not connect, and must not leave out a field.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use menagerie_wire::client as rec;
use menagerie_wire::data::{Acl, Stat};
use menagerie_wire::jute::{Decode, decode_prefix};
use menagerie_wire::multi::{MultiResponse, MultiResult};
use menagerie_wire::op::{ErrorCode, op_code, xid};

/// How far a server's clock may be from ours, in ms.
const CLOCK: i64 = 60_000;

/// What one server's numbers stand for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    base: i64,
    root: String,
    sessions: Vec<i64>,
    times: HashMap<i64, i64>,
    /// The largest zxid seen in a reply.
    pub(crate) last_zxid: i64,
}

impl Names {
    /// Names of a sequence below `root` whose zxids count from `base`.
    pub(crate) fn new(root: &str, base: i64) -> Self {
        Self {
            base,
            root: root.to_owned(),
            last_zxid: base,
            ..Self::default()
        }
    }

    /// Gives a session the next name.
    pub(crate) fn session(&mut self, id: i64) -> String {
        if !self.sessions.contains(&id) {
            self.sessions.push(id);
        }
        self.owner(id)
    }

    fn owner(&self, id: i64) -> String {
        if id == 0 {
            return "0".to_owned();
        }
        match self.sessions.iter().position(|s| *s == id) {
            Some(n) => format!("S{}", n + 1),
            None => format!("{id:#x}"),
        }
    }

    fn zxid(&self, zxid: i64) -> String {
        match zxid {
            0 | -1 => zxid.to_string(),
            // Nodes that all sequences share: compared when it happened.
            _ if zxid < self.base => "earlier".to_owned(),
            _ => format!("{:+}", zxid.wrapping_sub(self.base)),
        }
    }

    /// A time is right when everything of that zxid says the same, and near our clock.
    fn time(&mut self, zxid: i64, time: i64) -> &'static str {
        if zxid == 0 {
            return if time == 0 { "0" } else { "not 0" };
        }
        let known = *self.times.entry(zxid).or_insert(time);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|d| i64::try_from(d.as_millis()).ok())
            .unwrap_or(0);
        if known != time {
            "not the transaction's"
        } else if (now - time).abs() > CLOCK {
            "far from now"
        } else {
            "ok"
        }
    }

    fn text(&self, text: Option<&str>) -> String {
        match text {
            None => "null".to_owned(),
            Some(text) => format!("{:?}", text.replace(&self.root, super::step::ROOT)),
        }
    }

    fn stat(&mut self, stat: &Stat) -> String {
        format!(
            "czxid {} mzxid {} ctime {} mtime {} version {} cversion {} aversion {} owner {} \
             length {} children {} pzxid {}",
            self.zxid(stat.czxid),
            self.zxid(stat.mzxid),
            self.time(stat.czxid, stat.ctime),
            self.time(stat.mzxid, stat.mtime),
            stat.version,
            stat.cversion,
            stat.aversion,
            self.owner(stat.ephemeral_owner),
            stat.data_length,
            stat.num_children,
            self.zxid(stat.pzxid)
        )
    }

    fn set(&self, names: Option<&[std::borrow::Cow<'_, str>]>) -> String {
        let Some(names) = names else {
            return "null".to_owned();
        };
        let mut list: Vec<_> = names.iter().map(|name| self.text(Some(name))).collect();
        list.sort();
        format!("[{}]", list.join(" "))
    }

    /// A znode in comparable form.
    pub(crate) fn node(&mut self, node: &crate::walk::Node) -> String {
        format!(
            "{} {} {} {}",
            self.text(Some(&node.path)),
            data(node.data.as_deref()),
            self.stat(&node.stat),
            self.acl(node.acl.as_deref())
        )
    }

    /// A text that may name the root.
    pub(crate) fn plain(&self, text: &str) -> String {
        self.text(Some(text))
    }

    /// A frame in comparable form; `op` is the request's that a reply belongs to.
    pub(crate) fn frame(&mut self, frame: &[u8], op: i32) -> String {
        let Ok((header, body)) = decode_prefix::<rec::ReplyHeader>(frame) else {
            return format!("not a reply: {}", hex(frame));
        };
        if header.xid == xid::NOTIFICATION {
            return self.event(&header, body);
        }
        self.last_zxid = self.last_zxid.max(header.zxid);
        let mut line = format!(
            "xid {} zxid {} {}",
            header.xid,
            self.zxid(header.zxid),
            ErrorCode(header.err).name()
        );
        if header.err != 0 && ErrorCode(header.err).name() == "UNKNOWN" {
            let _ = write!(line, " {}", header.err);
        }
        if !body.is_empty() || header.err == 0 {
            let text = self
                .body(body, op)
                .unwrap_or_else(|| format!("undecodable {}", hex(body)));
            if !text.is_empty() {
                let _ = write!(line, ": {text}");
            }
        }
        line
    }

    fn event(&self, header: &rec::ReplyHeader, body: &[u8]) -> String {
        let head = format!("EVENT zxid {} err {}", self.zxid(header.zxid), header.err);
        match decode_prefix::<rec::WatcherEvent<'_>>(body) {
            Ok((event, rest)) => format!(
                "{head} type {} state {} {}{}",
                event.kind,
                event.state,
                self.text(event.path.as_deref()),
                trailing(rest)
            ),
            Err(_) => format!("{head} undecodable {}", hex(body)),
        }
    }

    fn body(&mut self, body: &[u8], op: i32) -> Option<String> {
        match op {
            op_code::CREATE | op_code::SYNC => with(body, |r: rec::PathResponse<'_>| {
                self.text(r.path.as_deref())
            }),
            op_code::CREATE2 | op_code::CREATE_CONTAINER | op_code::CREATE_TTL => {
                with(body, |r: rec::Create2Response<'_>| {
                    format!("{} {}", self.text(r.path.as_deref()), self.stat(&r.stat))
                })
            }
            op_code::EXISTS | op_code::SET_DATA | op_code::SET_ACL => {
                with(body, |stat: Stat| self.stat(&stat))
            }
            op_code::GET_DATA | op_code::RECONFIG => with(body, |r: rec::GetDataResponse<'_>| {
                format!("{} {}", data(r.data), self.stat(&r.stat))
            }),
            op_code::GET_ACL => with(body, |r: rec::GetAclResponse<'_>| {
                format!("{} {}", self.acl(r.acl.as_deref()), self.stat(&r.stat))
            }),
            op_code::GET_CHILDREN => with(body, |r: rec::GetChildrenResponse<'_>| {
                self.set(r.children.as_deref())
            }),
            op_code::GET_CHILDREN2 => with(body, |r: rec::GetChildren2Response<'_>| {
                format!("{} {}", self.set(r.children.as_deref()), self.stat(&r.stat))
            }),
            op_code::GET_EPHEMERALS => with(body, |r: rec::GetEphemeralsResponse<'_>| {
                self.set(r.ephemerals.as_deref())
            }),
            op_code::GET_ALL_CHILDREN_NUMBER => {
                with(body, |r: rec::GetAllChildrenNumberResponse| {
                    r.total_number.to_string()
                })
            }
            op_code::ADD_WATCH => with(body, |r: rec::ErrorResponse| format!("err {}", r.err)),
            op_code::WHO_AM_I => with(body, |r: rec::WhoAmIResponse<'_>| self.who(&r)),
            op_code::SASL => with(body, |r: rec::SaslToken<'_>| data(r.token)),
            op_code::MULTI | op_code::MULTI_READ => {
                with(body, |r: MultiResponse<'_>| self.multi(&r))
            }
            _ if body.is_empty() => Some(String::new()),
            _ => Some(hex(body)),
        }
    }

    fn acl(&self, acl: Option<&[Acl<'_>]>) -> String {
        let Some(acl) = acl else {
            return "null".to_owned();
        };
        let entry = |a: &Acl<'_>| {
            let (scheme, id) = (a.id.scheme.as_deref(), a.id.id.as_deref());
            format!("{}:{}:{}", a.perms, self.text(scheme), self.text(id))
        };
        // What `auth` stands for comes in the order of a Java hash set
        // (`PrepRequestProcessor.fixupACL` over `ServerCnxn.authInfo`).
        let mut list: Vec<_> = acl.iter().map(entry).collect();
        list.sort();
        format!("[{}]", list.join(" "))
    }

    fn who(&self, response: &rec::WhoAmIResponse<'_>) -> String {
        let Some(infos) = &response.client_info else {
            return "null".to_owned();
        };
        let mut list: Vec<_> = infos
            .iter()
            .map(|i| {
                let (scheme, user) = (i.auth_scheme.as_deref(), i.user.as_deref());
                format!("{}:{}", self.text(scheme), self.text(user))
            })
            .collect();
        list.sort();
        format!("[{}]", list.join(" "))
    }

    fn multi(&mut self, response: &MultiResponse<'_>) -> String {
        let mut parts = Vec::new();
        for result in &response.results {
            parts.push(match result {
                MultiResult::Create(r) => format!("create {}", self.text(r.path.as_deref())),
                MultiResult::Create2(r) => {
                    format!(
                        "create2 {} {}",
                        self.text(r.path.as_deref()),
                        self.stat(&r.stat)
                    )
                }
                MultiResult::Delete => "delete".to_owned(),
                MultiResult::SetData(stat) => format!("setData {}", self.stat(stat)),
                MultiResult::Check => "check".to_owned(),
                MultiResult::GetChildren(r) => {
                    format!("getChildren {}", self.set(r.children.as_deref()))
                }
                MultiResult::GetData(r) => {
                    format!("getData {} {}", data(r.data), self.stat(&r.stat))
                }
                MultiResult::Error(err) => format!("error {}", ErrorCode(*err).name()),
                other => format!("{other:?}"),
            });
        }
        format!("{{{}}}", parts.join("; "))
    }
}

fn with<'a, T: Decode<'a>>(body: &'a [u8], show: impl FnOnce(T) -> String) -> Option<String> {
    let (value, rest) = decode_prefix::<T>(body).ok()?;
    Some(format!("{}{}", show(value), trailing(rest)))
}

fn trailing(rest: &[u8]) -> String {
    if rest.is_empty() {
        String::new()
    } else {
        format!(" and {} bytes more: {}", rest.len(), hex(rest))
    }
}

fn data(data: Option<&[u8]>) -> String {
    match data {
        None => "null".to_owned(),
        Some(bytes) if bytes.len() > 64 => {
            let sum = bytes.iter().fold(0_u64, |sum, b| {
                sum.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*b)
            });
            format!("{} bytes {sum:016x}", bytes.len())
        }
        Some(bytes) => format!("\"{}\"", bytes.escape_ascii()),
    }
}

/// Bytes for people.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(96) {
        let _ = write!(text, "{byte:02x}");
    }
    if bytes.len() > 96 {
        let _ = write!(text, "… ({} bytes)", bytes.len());
    }
    text
}
