//! Owns writing a subtree of a live server as text. Keeps the children's names of the nodes between
//! the root and where it is, and the data of one batch. Must not change anything on the server.
//!
//! A server does not tell its clients which nodes are containers or have a time to live.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use menagerie_wire::client::{
    GetAclResponse, GetChildrenResponse, GetDataResponse, PathRequest, PathWatchRequest,
};
use menagerie_wire::jute::decode_all;
use menagerie_wire::op::{ErrorCode, op_code};
use sha1::{Digest as _, Sha1};

use super::{Connect, DEPTH, FORM, Head, Line, Manifest, Node, below, entry};
use crate::client::blocking::{Blocking, Reply, request};

/// What to export, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// The node to export, with everything below it
    #[arg(default_value = "/")]
    path: String,
    #[command(flatten)]
    connect: Connect,
    /// The file to write; standard output if not given
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// Leave ACLs out: an import makes the nodes open to everyone
    #[arg(long)]
    no_acl: bool,
}

/// Takes lines, and adds them up.
struct Out<W> {
    out: W,
    sha1: Sha1,
    manifest: Manifest,
}

impl<W: Write> Out<W> {
    fn line(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.sha1.update(&text);
        self.out.write_all(&text).context("cannot write the export")
    }

    fn finish(mut self) -> Result<Manifest> {
        let digest = self.sha1.clone().finalize();
        self.manifest.sha1 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let manifest = self.manifest.clone();
        self.line(&Line::Manifest { manifest })?;
        self.out.flush().context("cannot write the export")?;
        Ok(self.manifest)
    }
}

/// The subcommand `export`.
pub(crate) fn main(args: &ExportArgs) -> Result<ExitCode> {
    ensure!(
        args.path == "/" || args.path.starts_with('/') && !args.path.ends_with('/'),
        "{:?} is no path",
        args.path
    );
    let mut client = args.connect.open()?;
    let manifest = match &args.output {
        None => export(&mut client, args, BufWriter::new(io::stdout().lock()))?,
        Some(path) => {
            // A file that is there under its name is whole.
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or_else(|| std::path::Path::new("."));
            let file = tempfile::NamedTempFile::new_in(folder)
                .with_context(|| format!("cannot write into {}", folder.display()))?;
            let manifest = export(&mut client, args, BufWriter::new(file.as_file()))?;
            file.as_file().sync_all()?;
            let file: File = file.persist(path)?;
            drop(file);
            manifest
        }
    };
    client.close()?;
    eprintln!(
        "exported {} nodes with {} bytes of data; {} ephemeral nodes left out, {} went meanwhile",
        manifest.nodes, manifest.data_bytes, manifest.ephemerals_left_out, manifest.vanished
    );
    Ok(ExitCode::SUCCESS)
}

fn export(client: &mut Blocking, args: &ExportArgs, out: impl Write) -> Result<Manifest> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut out = Out {
        out,
        sha1: Sha1::new(),
        manifest: Manifest {
            nodes: 0,
            data_bytes: 0,
            ephemerals_left_out: 0,
            vanished: 0,
            sha1: String::new(),
        },
    };
    out.line(&Line::Head(Head {
        menagerie_export: FORM,
        root: args.path.clone(),
        time_ms: u64::try_from(time.as_millis())?,
    }))?;
    // What is still to be written: names below a node, deepest first.
    let mut open: Vec<(String, VecDeque<String>)> =
        vec![(String::new(), VecDeque::from([String::new()]))];
    while let Some((parent, mut names)) = open.pop() {
        let batch: Vec<String> = (0..DEPTH).map_while(|_| names.pop_front()).collect();
        let paths: Vec<String> = batch
            .iter()
            .map(|name| match (parent.as_str(), name.as_str()) {
                (_, "") => "/".to_owned(),
                ("/", name) => format!("/{name}"),
                (parent, name) => format!("{parent}/{name}"),
            })
            .collect();
        if !names.is_empty() {
            open.push((parent, names));
        }
        let with_children = write(client, args, &paths, &mut out)?;
        ensure!(
            out.manifest.nodes > 0,
            "there is no node {} to export, or it is an ephemeral one",
            args.path
        );
        for path in with_children.into_iter().rev() {
            let Some(names) = children(client, &below(&args.path, &path))? else {
                continue;
            };
            let hidden = |name: &String| below(&args.path, &path) == "/" && name == "zookeeper";
            let names: VecDeque<String> = names.into_iter().filter(|name| !hidden(name)).collect();
            if !names.is_empty() {
                open.push((path, names));
            }
        }
    }
    out.finish()
}

/// Names in order; none when the node is gone.
fn children(client: &mut Blocking, path: &str) -> Result<Option<Vec<String>>> {
    let body = PathWatchRequest {
        path: Some(path.into()),
        watch: false,
    };
    let reply = client.call(op_code::GET_CHILDREN, &body)?;
    if reply.code == ErrorCode::NoNode {
        return Ok(None);
    }
    let body = reply.ok(&format!("children of {path}"))?;
    let response: GetChildrenResponse<'_> = decode_all(&body)?;
    let names = response.children.unwrap_or_default().into_iter();
    let mut names: Vec<String> = names.map(|name| name.to_string()).collect();
    names.sort_unstable();
    Ok(Some(names))
}

/// Writes these nodes; those with children.
fn write(
    client: &mut Blocking,
    args: &ExportArgs,
    paths: &[String],
    out: &mut Out<impl Write>,
) -> Result<Vec<String>> {
    let mut replies: Vec<Reply> = Vec::with_capacity(paths.len() * 2);
    let mut asked = 0;
    let next = |buffer: &mut Vec<u8>, xid: i32| {
        let Some(path) = paths.get(asked / 2) else {
            return false;
        };
        let path = Some(below(&args.path, path).into());
        if asked % 2 == 0 {
            let watch = false;
            request(
                buffer,
                xid,
                op_code::GET_DATA,
                &PathWatchRequest { path, watch },
            );
        } else {
            request(buffer, xid, op_code::GET_ACL, &PathRequest { path });
        }
        asked += 1;
        true
    };
    client.pipeline(DEPTH, next, |reply| {
        replies.push(reply);
        Ok(())
    })?;
    let mut with_children = Vec::new();
    let mut replies = replies.into_iter();
    for path in paths {
        let (Some(data), Some(acl)) = (replies.next(), replies.next()) else {
            bail!("the server answered too little");
        };
        let full = below(&args.path, path);
        if data.code == ErrorCode::NoNode || acl.code == ErrorCode::NoNode {
            out.manifest.vanished += 1;
            continue;
        }
        let body = data.ok(&format!("data of {full}"))?;
        let response: GetDataResponse<'_> = decode_all(&body)?;
        let mut node = Node {
            path: path.clone(),
            ..Node::default()
        };
        if response.stat.ephemeral_owner != 0 {
            out.manifest.ephemerals_left_out += 1;
            continue;
        }
        node.set_data(response.data);
        if !args.no_acl {
            node.acl = Some(read_acl(acl, &full)?);
        }
        out.manifest.nodes += 1;
        out.manifest.data_bytes += response.data.map_or(0, |data| data.len() as u64);
        out.line(&Line::Node(node))?;
        if response.stat.num_children > 0 {
            with_children.push(path.clone());
        }
    }
    Ok(with_children)
}

fn read_acl(reply: Reply, path: &str) -> Result<Vec<super::Entry>> {
    let body = reply.ok(&format!("ACL of {path}"))?;
    let response: GetAclResponse<'_> = decode_all(&body)?;
    let entries: Vec<super::Entry> = response.acl.unwrap_or_default().iter().map(entry).collect();
    // Who may read but not administer a node is not shown the hashes of passwords.
    let masked = |entry: &super::Entry| entry.scheme == "digest" && entry.id.ends_with(":x");
    ensure!(
        !entries.iter().any(masked),
        "the ACL of {path} is not shown to you as it is; add an identity that may administer it \
         (--auth), or leave ACLs out (--no-acl)"
    );
    Ok(entries)
}
