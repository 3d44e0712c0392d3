//! Owns the form in which a subtree is written as text, a line of JSON for each node, and who may use
//! it: `export` and `import`. Must not talk to servers itself.
//!
//! The first line says what it is, the last one is the manifest: how many nodes, and the SHA-1 of
//! every line before it. Parents come before their children; paths are those below the exported node.

mod export;
mod import;

use std::borrow::Cow;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use menagerie_wire::client::AuthPacket;
use menagerie_wire::data::Acl;
use menagerie_wire::op::{ErrorCode, op_code};
use serde::{Deserialize, Serialize};

use crate::client::blocking::Blocking;
use crate::socket::endpoints;
use crate::tls::TlsArgs;
use crate::zoo_cfg::CLIENT_PORT;

pub(crate) use export::{ExportArgs, main as export_main};
pub(crate) use import::{ImportArgs, main as import_main};

/// The form's number.
const FORM: u32 = 1;
/// The longest line that is read.
const LINE_MAX: u64 = 64 << 20;
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The session's time-out, ms.
const SESSION_MS: i32 = 30_000;
/// Requests on their way at a time.
const DEPTH: usize = 64;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    /// The form's number.
    menagerie_export: u32,
    /// What was exported.
    root: String,
    /// When, ms since 1970.
    time_ms: u64,
}

/// An entry of an ACL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    perms: String,
    scheme: String,
    id: String,
}

/// A node. Neither `text` nor `base64` means null data.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    /// Below the exported node, which is `/` itself.
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acl: Option<Vec<Entry>>,
    /// Import makes a container. Export never writes it, as servers do not tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    container: bool,
    /// Import makes a node with a time to live, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<i64>,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    nodes: u64,
    data_bytes: u64,
    /// Nodes of sessions, which are not exported.
    ephemerals_left_out: u64,
    /// Nodes that went while they were to be read.
    vanished: u64,
    /// Of all lines before, ends of lines included, in hexadecimal.
    sha1: String,
}

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Head(Head),
    Manifest { manifest: Manifest },
    Node(Node),
}

/// Permissions as letters, in the order in which the shell writes them.
const PERMS: [(char, i32); 5] = [('c', 4), ('d', 8), ('r', 1), ('w', 2), ('a', 16)];

fn entry(acl: &Acl<'_>) -> Entry {
    let letters = PERMS.iter().filter(|(_, bit)| acl.perms & bit != 0);
    let text = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
    Entry {
        perms: letters.map(|(letter, _)| *letter).collect(),
        scheme: text(&acl.id.scheme),
        id: text(&acl.id.id),
    }
}

fn acl(entry: &Entry) -> Result<Acl<'static>> {
    let mut perms = 0;
    for letter in entry.perms.chars() {
        let known = PERMS.iter().find(|(known, _)| *known == letter);
        perms |= known
            .with_context(|| format!("{letter:?} is no permission"))?
            .1;
    }
    Ok(Acl::new(perms, entry.scheme.clone(), entry.id.clone()))
}

impl Node {
    fn set_data(&mut self, data: Option<&[u8]>) {
        let Some(data) = data else { return };
        match std::str::from_utf8(data) {
            Ok(text) => self.text = Some(text.to_owned()),
            Err(_) => self.base64 = Some(STANDARD.encode(data)),
        }
    }

    fn data(&self) -> Result<Option<Vec<u8>>> {
        match (&self.text, &self.base64) {
            (None, None) => Ok(None),
            (Some(text), None) => Ok(Some(text.clone().into_bytes())),
            (None, Some(text)) => {
                let data = STANDARD.decode(text);
                Ok(Some(
                    data.with_context(|| format!("{}: base64", self.path))?,
                ))
            }
            (Some(_), Some(_)) => bail!("{}: both text and base64", self.path),
        }
    }
}

/// `path` of the export below `root`.
fn below(root: &str, path: &str) -> String {
    match (root, path) {
        (_, "/") => root.to_owned(),
        ("/", _) => path.to_owned(),
        _ => format!("{root}{path}"),
    }
}

/// How to reach a server.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Connect {
    /// The server, host:port; of several with commas between, the first that takes a session
    #[arg(long, short, default_value = "localhost:2181")]
    server: String,
    /// An identity as addauth takes it, scheme:data such as digest:user:password; may be repeated.
    /// $MENAGERIE_AUTH is another one, which other users of this machine do not see
    #[arg(long)]
    auth: Vec<String>,
    #[command(flatten)]
    tls: TlsArgs,
}

/// Splits `scheme:data`.
pub(crate) fn identity(text: &str) -> Result<(&str, &str)> {
    text.split_once(':')
        .filter(|(scheme, _)| !scheme.is_empty())
        .context("an identity is scheme:data, such as digest:user:password")
}

/// The identities that were given, that of the environment included.
pub(crate) fn identities(given: &[String]) -> Vec<String> {
    let more = std::env::var("MENAGERIE_AUTH").ok();
    given.iter().cloned().chain(more).collect()
}

impl Connect {
    fn open(&self) -> Result<Blocking> {
        let mut failure = None;
        let mut opened = None;
        let tls = self.tls.client()?;
        for server in endpoints(&self.server, CLIENT_PORT, tls.as_ref())? {
            match Blocking::open(&server, PATIENCE, SESSION_MS) {
                Ok(client) => {
                    opened = Some(client);
                    break;
                }
                Err(error) => failure = Some(error.context(server.address)),
            }
        }
        let Some(mut client) = opened else {
            return Err(failure.unwrap_or_else(|| anyhow::anyhow!("no server was named")));
        };
        for given in identities(&self.auth) {
            let (scheme, data) = identity(&given)?;
            let packet = AuthPacket {
                kind: 0,
                scheme: Some(scheme.into()),
                auth: Some(data.as_bytes()),
            };
            let reply = client.call(op_code::AUTH, &packet)?;
            ensure!(
                reply.code == ErrorCode::Ok,
                "the server does not accept the identity of scheme {scheme}: {}",
                reply.code.name()
            );
        }
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_as_they_were() {
        let mut node = Node {
            path: "/a".into(),
            acl: Some(vec![entry(&Acl::new(31, "world", "anyone"))]),
            ..Node::default()
        };
        node.set_data(Some("äö".as_bytes()));
        let text = serde_json::to_string(&Line::Node(node)).unwrap();
        assert_eq!(
            text,
            r#"{"path":"/a","text":"äö","acl":[{"perms":"cdrwa","scheme":"world","id":"anyone"}]}"#
        );
        let Line::Node(back) = serde_json::from_str(&text).unwrap() else {
            panic!("no node");
        };
        assert_eq!(back.data().unwrap().unwrap(), "äö".as_bytes());
        assert_eq!(acl(&back.acl.unwrap()[0]).unwrap().perms, 31);
        let mut binary = Node::default();
        binary.set_data(Some(&[0xff, 0]));
        assert_eq!(binary.base64.as_deref(), Some("/wA="));
        assert_eq!(binary.data().unwrap().unwrap(), [0xff, 0]);
        assert_eq!(Node::default().data().unwrap(), None);
        assert!(serde_json::from_str::<Line>(r#"{"path":"/a","what":1}"#).is_err());
    }

    #[test]
    fn paths_are_moved_below_another_root() {
        for (root, path, expected) in [
            ("/", "/", "/"),
            ("/", "/a", "/a"),
            ("/x/y", "/", "/x/y"),
            ("/x/y", "/a/b", "/x/y/a/b"),
        ] {
            assert_eq!(below(root, path), expected);
        }
    }

    #[test]
    fn identities_have_a_scheme() {
        assert_eq!(identity("digest:a:b").unwrap(), ("digest", "a:b"));
        assert!(identity("digest").is_err() && identity(":a").is_err());
    }
}
