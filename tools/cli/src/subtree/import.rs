//! Owns bringing an exported subtree into a server. The export is checked as a whole before anything
//! is written, and read line by line. Must not touch nodes that the export does not name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use menagerie_wire::client::{
    CreateRequest, CreateTtlRequest, PathWatchRequest, SetAclRequest, SetDataRequest,
};
use menagerie_wire::data::Acl;
use menagerie_wire::op::{ErrorCode, op_code};
use sha1::{Digest as _, Sha1};

use super::{Connect, DEPTH, FORM, Head, LINE_MAX, Line, Manifest, Node, acl, below};
use crate::client::blocking::{Blocking, Reply, request};

/// What to import, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// The file that export wrote; - is standard input
    file: PathBuf,
    #[command(flatten)]
    connect: Connect,
    /// The node that the exported one becomes; the one that it was if not given. Its parent must exist
    #[arg(long)]
    to: Option<String>,
    /// Leave nodes that exist as they are
    #[arg(long, conflicts_with_all = ["overwrite", "fail"])]
    skip: bool,
    /// Give nodes that exist the export's data and ACL
    #[arg(long, conflicts_with = "fail")]
    overwrite: bool,
    /// Write nothing if any node exists already (the default)
    #[arg(long)]
    fail: bool,
    /// Say what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// An export that can be read again from its beginning.
struct Source {
    file: File,
    head: Head,
    manifest: Manifest,
}

/// What was done, or would be.
#[derive(Debug, Default)]
struct Done {
    created: u64,
    existing: Vec<String>,
    count_existing: u64,
}

/// Existing nodes that are named.
const NAMED: usize = 5;

impl Done {
    fn exists(&mut self, path: &str) {
        self.count_existing += 1;
        if self.existing.len() < NAMED {
            self.existing.push(path.to_owned());
        }
    }
}

fn lines(file: &mut File) -> Result<impl Iterator<Item = Result<Vec<u8>>> + '_> {
    file.rewind()?;
    let mut reader = BufReader::with_capacity(256 << 10, file);
    Ok(std::iter::from_fn(move || {
        let mut line = Vec::new();
        match reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) if line.last() != Some(&b'\n') => Some(Err(anyhow::anyhow!(
                "its last line is cut off, or too long"
            ))),
            Ok(_) => Some(Ok(line)),
            Err(error) => Some(Err(error.into())),
        }
    }))
}

impl Source {
    fn open(path: &PathBuf) -> Result<Self> {
        let mut file = if path.as_os_str() == "-" {
            let mut spool = tempfile::tempfile().context("cannot make a temporary file")?;
            io::copy(&mut io::stdin().lock(), &mut spool)?;
            spool
        } else {
            File::open(path).with_context(|| format!("cannot open {}", path.display()))?
        };
        let (head, manifest) = Self::check(&mut file)
            .with_context(|| format!("{} is not a whole export", path.display()))?;
        Ok(Self {
            file,
            head,
            manifest,
        })
    }

    /// Reads everything once: the form, the order, the counts and the digest.
    fn check(file: &mut File) -> Result<(Head, Manifest)> {
        let (mut head, mut manifest) = (None, None);
        let mut sha1 = Sha1::new();
        let (mut nodes, mut bytes) = (0, 0);
        for (number, line) in (1..).zip(lines(file)?) {
            let line = line?;
            ensure!(
                manifest.is_none(),
                "line {number} stands behind the manifest"
            );
            let parsed = serde_json::from_slice(&line).with_context(|| format!("line {number}"))?;
            match parsed {
                Line::Head(first) => {
                    ensure!(number == 1, "line {number} is a first line");
                    ensure!(first.menagerie_export == FORM, "its form is not {FORM}");
                    head = Some(first);
                }
                Line::Node(node) => {
                    ensure!(head.is_some(), "it has no first line");
                    let plain = node.path.starts_with('/')
                        && (node.path == "/" || !node.path.ends_with('/'));
                    ensure!(plain, "line {number}: {:?} is no path", node.path);
                    for entry in node.acl.iter().flatten() {
                        acl(entry).with_context(|| format!("line {number}"))?;
                    }
                    nodes += 1;
                    bytes += node.data()?.map_or(0, |data| data.len() as u64);
                }
                Line::Manifest { manifest: last } => {
                    let digest = sha1.clone().finalize();
                    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                    ensure!(
                        last.sha1 == digest,
                        "its digest is {digest}, not {}",
                        last.sha1
                    );
                    let counts = (last.nodes, last.data_bytes);
                    ensure!(
                        counts == (nodes, bytes),
                        "it has {nodes} nodes with {bytes} bytes"
                    );
                    manifest = Some(last);
                }
            }
            sha1.update(&line);
        }
        let manifest = manifest.context("the manifest at its end is missing: it is cut off")?;
        Ok((head.context("it has no first line")?, manifest))
    }

    /// Calls `each` with batches of nodes in their order.
    fn batches(&mut self, mut each: impl FnMut(Vec<Node>) -> Result<()>) -> Result<()> {
        let mut batch = Vec::new();
        for line in lines(&mut self.file)? {
            if let Line::Node(node) = serde_json::from_slice(&line?)? {
                batch.push(node);
            }
            if batch.len() == DEPTH {
                each(std::mem::take(&mut batch))?;
            }
        }
        each(batch)
    }
}

/// The subcommand `import`.
pub(crate) fn main(args: &ImportArgs) -> Result<ExitCode> {
    let mut source = Source::open(&args.file)?;
    let root = args.to.clone().unwrap_or_else(|| source.head.root.clone());
    ensure!(
        root == "/" || root.starts_with('/') && !root.ends_with('/'),
        "{root:?} is no path"
    );
    let mut client = args.connect.open()?;
    if args.dry_run || !(args.skip || args.overwrite) {
        let found = look(&mut client, &mut source, &root)?;
        let existing = format!("{} exist already", found.count_existing);
        if args.dry_run {
            let then = match (found.count_existing, args.skip, args.overwrite) {
                (0, ..) => "",
                (_, true, _) => ", and would be left as they are",
                (_, _, true) => ", and would be overwritten",
                _ => ", so that nothing would be written",
            };
            println!("{} nodes would be created; {existing}{then}", found.created);
            return Ok(ExitCode::SUCCESS);
        }
        ensure!(
            found.count_existing == 0,
            "{existing}, {} for one; nothing was written. --skip leaves them, --overwrite replaces them",
            found.existing.join(", ")
        );
    }
    let done = write(&mut client, &mut source, &root, args)?;
    let sequences = repeated_sequences(&mut source, &root)?;
    client.close()?;
    let what = if args.overwrite {
        "overwritten"
    } else {
        "left as they were"
    };
    println!(
        "{} of {} nodes created, {} existed and were {what}",
        done.created, source.manifest.nodes, done.count_existing
    );
    for parent in sequences {
        eprintln!(
            "note: {parent} has sequential names with numbers that the server may give again; \
             whoever creates the next one may get NodeExists"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts what exists.
fn look(client: &mut Blocking, source: &mut Source, root: &str) -> Result<Done> {
    let mut done = Done::default();
    source.batches(|batch| {
        let ask = |buffer: &mut Vec<u8>, xid: i32, node: &Node| {
            let path = Some(below(root, &node.path).into());
            let watch = false;
            request(
                buffer,
                xid,
                op_code::EXISTS,
                &PathWatchRequest { path, watch },
            );
        };
        for (node, reply) in batch.iter().zip(each(client, &batch, ask)?) {
            let path = below(root, &node.path);
            match reply.code {
                _ if path == "/" => {}
                ErrorCode::NoNode => done.created += 1,
                // One that may not be read is there.
                ErrorCode::Ok | ErrorCode::NoAuth => done.exists(&path),
                code => bail!("{path}: {}", code.name()),
            }
        }
        Ok(())
    })?;
    Ok(done)
}

/// One request for each node, and the replies in their order.
fn each(
    client: &mut Blocking,
    batch: &[Node],
    ask: impl Fn(&mut Vec<u8>, i32, &Node),
) -> Result<Vec<Reply>> {
    let mut replies = Vec::with_capacity(batch.len());
    let mut nodes = batch.iter();
    let next = |buffer: &mut Vec<u8>, xid: i32| match nodes.next() {
        Some(node) => {
            ask(buffer, xid, node);
            true
        }
        None => false,
    };
    client.pipeline(DEPTH, next, |reply| {
        replies.push(reply);
        Ok(())
    })?;
    Ok(replies)
}

fn acl_of(node: &Node) -> Vec<Acl<'static>> {
    match &node.acl {
        // They were checked when the file was opened.
        Some(entries) => entries.iter().filter_map(|entry| acl(entry).ok()).collect(),
        None => vec![Acl::new(31, "world", "anyone")],
    }
}

fn create(buffer: &mut Vec<u8>, xid: i32, node: &Node, root: &str) {
    let data = node.data().ok().flatten();
    let (path, data) = (Some(below(root, &node.path).into()), data.as_deref());
    let acl = Some(acl_of(node));
    if let Some(ttl) = node.ttl_ms {
        let flags = 5;
        let body = CreateTtlRequest {
            path,
            data,
            acl,
            flags,
            ttl,
        };
        request(buffer, xid, op_code::CREATE_TTL, &body);
        return;
    }
    let (op, flags) = match node.container {
        true => (op_code::CREATE_CONTAINER, 4),
        false => (op_code::CREATE, 0),
    };
    let body = CreateRequest {
        path,
        data,
        acl,
        flags,
    };
    request(buffer, xid, op, &body);
}

fn write(
    client: &mut Blocking,
    source: &mut Source,
    root: &str,
    args: &ImportArgs,
) -> Result<Done> {
    let mut done = Done::default();
    let written = source.batches(|batch| {
        let ask = |buffer: &mut Vec<u8>, xid: i32, node: &Node| create(buffer, xid, node, root);
        let replies = each(client, &batch, ask)?;
        for (node, reply) in batch.iter().zip(replies) {
            let path = below(root, &node.path);
            match reply.code {
                ErrorCode::Ok => done.created += 1,
                ErrorCode::NodeExists if path == "/" => {}
                ErrorCode::NodeExists if args.skip => done.exists(&path),
                ErrorCode::NodeExists if args.overwrite => {
                    overwrite(client, node, &path)?;
                    done.exists(&path);
                }
                ErrorCode::NoNode => bail!("{path}: its parent does not exist"),
                code => bail!("{path}: {}", code.name()),
            }
        }
        Ok(())
    });
    written.with_context(|| format!("stopped after {} new nodes", done.created))?;
    Ok(done)
}

fn overwrite(client: &mut Blocking, node: &Node, path: &str) -> Result<()> {
    let data = node.data()?;
    let body = SetDataRequest {
        path: Some(path.into()),
        data: data.as_deref(),
        version: -1,
    };
    let reply = client.call(op_code::SET_DATA, &body)?;
    reply.ok(&format!("data of {path}"))?;
    if node.acl.is_some() {
        let body = SetAclRequest {
            path: Some(path.into()),
            acl: Some(acl_of(node)),
            version: -1,
        };
        let reply = client.call(op_code::SET_ACL, &body)?;
        reply.ok(&format!("ACL of {path}"))?;
    }
    Ok(())
}

/// Parents whose sequential names have numbers that a server would count up to again: it numbers by
/// the changes of a parent's children, and an import makes as many as there are.
fn repeated_sequences(source: &mut Source, root: &str) -> Result<Vec<String>> {
    let mut parents: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    source.batches(|batch| {
        for node in &batch {
            let (parent, name) = node.path.rsplit_once('/').unwrap_or(("", &node.path));
            let Some(digits) = name.len().checked_sub(10).and_then(|at| name.get(at..)) else {
                continue;
            };
            if let Ok(number) = digits.parse::<u64>() {
                let entry = parents.entry(parent.to_owned()).or_default();
                *entry = (entry.0 + 1, entry.1.max(number));
            }
        }
        Ok(())
    })?;
    let repeated = parents
        .into_iter()
        .filter(|(_, (count, highest))| highest >= count);
    Ok(repeated
        .map(|(parent, _)| below(root, if parent.is_empty() { "/" } else { &parent }))
        .collect())
}
