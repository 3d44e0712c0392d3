//! Owns the commands on nodes. May use the client. Must not print: they return what is to be
//! printed. Source of the words: the output of zkCli.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use menagerie_wire::data::{Acl, perms};
use menagerie_wire::op::ErrorCode;
use serde_json::json;

use super::acl_commands::parse_acls;
use super::args::Parsed;
use super::failure::Failure;
use super::format;
use super::{Output, checked_path};
use crate::client::{Client, ClientError, CreateKind};

type Outcome = Result<Output, Failure>;

/// The longest time to live, ms. Source: `EphemeralType.TTL.maxValue`.
const TTL_MAX: i64 = (1 << 40) - 1;

/// The path among the words.
pub(crate) fn path(args: &Parsed) -> Result<&str, Failure> {
    checked_path(args.word(0).unwrap_or_default())
}

/// The note about an argument that zkCli once took by position.
fn deprecated(args: &Parsed, old: &str, new: &str) -> String {
    if args.rest.len() < 2 {
        return String::new();
    }
    format!("'{old}' has been deprecated. Please use '{new}' instead.\n")
}

/// ls.
pub(crate) async fn ls(client: &Client, args: &Parsed) -> Outcome {
    let path = path(args)?;
    let note = deprecated(args, "ls path [watch]", "ls [-w] path");
    let watch = args.has("w") || args.rest.len() > 1;
    if args.has("R") {
        let mut paths = vec![path.to_owned()];
        subtree(client, path, &mut paths).await?;
        let json = json!(paths);
        return Ok(Output {
            out: paths.join("\n") + "\n",
            err: note,
            json,
        });
    }
    let (names, stat) = client.children(path, watch).await?;
    let mut out = format::list(&names) + "\n";
    let mut json = json!(names);
    if args.has("s") {
        out += &format::stat(&stat);
        json = json!({ "children": names, "stat": format::stat_json(&stat) });
    }
    Ok(Output {
        out,
        err: note,
        json,
    })
}

/// Appends everything below `path`: a node's children together, then what is below each of them.
async fn subtree(client: &Client, path: &str, paths: &mut Vec<String>) -> Result<(), Failure> {
    let mut pending = vec![path.to_owned()];
    while let Some(node) = pending.pop() {
        // A node may go while the others are listed.
        let names = match client.children(&node, false).await {
            Err(ClientError {
                code: ErrorCode::NoNode,
                ..
            }) if node != path => continue,
            listed => listed?.0,
        };
        let prefix = if node == "/" { "" } else { node.as_str() };
        let children: Vec<_> = names
            .iter()
            .map(|name| format!("{prefix}/{name}"))
            .collect();
        paths.extend_from_slice(&children);
        pending.extend(children.into_iter().rev());
    }
    Ok(())
}

/// get.
pub(crate) async fn get(client: &Client, args: &Parsed) -> Outcome {
    let path = path(args)?;
    let watch = args.has("w") || args.rest.len() > 1;
    let note = deprecated(args, "get path [watch]", "get [-s] [-w] path");
    let (data, stat) = client.get(path, watch).await?;
    // Null data is shown, in whatever form, as this word.
    let shown = data.as_deref().unwrap_or(b"null");
    let text = if args.has("b") {
        STANDARD.encode(shown)
    } else if args.has("x") {
        format::hex_dump(shown)
    } else {
        String::from_utf8_lossy(shown).into_owned()
    };
    let mut out = text + "\n";
    let as_text = data
        .as_deref()
        .and_then(|data| std::str::from_utf8(data).ok());
    let as_base64 = data
        .as_ref()
        .filter(|_| as_text.is_none())
        .map(|data| STANDARD.encode(data));
    let mut json = json!({ "path": path, "data": as_text });
    if let (Some(object), Some(base64)) = (json.as_object_mut(), as_base64) {
        object.insert("base64".to_owned(), json!(base64));
    }
    if args.has("s") {
        out += &format::stat(&stat);
        if let Some(object) = json.as_object_mut() {
            object.insert("stat".to_owned(), format::stat_json(&stat));
        }
    }
    Ok(Output {
        out,
        err: note,
        json,
    })
}

/// set.
pub(crate) async fn set(client: &Client, args: &Parsed) -> Outcome {
    let path = path(args)?;
    let text = args.word(1).unwrap_or_default();
    let decoded;
    let data = if args.has("b") {
        let wrong = |e: base64::DecodeError| Failure::Text(format!("not base64: {e}"));
        decoded = STANDARD.decode(text).map_err(wrong)?;
        decoded.as_slice()
    } else {
        text.as_bytes()
    };
    let by_position = args.word(2).and_then(|version| version.parse().ok());
    let version = args.number("v", "an int")?.or(by_position).unwrap_or(-1);
    let stat = client.set(path, data, version).await?;
    let out = if args.has("s") {
        format::stat(&stat)
    } else {
        String::new()
    };
    Ok(Output {
        out,
        err: String::new(),
        json: format::stat_json(&stat),
    })
}

/// create.
pub(crate) async fn create(client: &Client, args: &Parsed) -> Outcome {
    let (ephemeral, sequential) = (args.has("e"), args.has("s"));
    if args.has("c") && (ephemeral || sequential) {
        return Err(Failure::Text(
            "-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential."
                .to_owned(),
        ));
    }
    let kind = match args.value("t") {
        _ if args.has("c") => CreateKind::Container,
        None => CreateKind::Plain {
            ephemeral,
            sequential,
        },
        Some(ttl) => {
            let wrong = || Failure::Text("-t argument must be a long value".to_owned());
            let ttl = ttl.parse().map_err(|_| wrong())?;
            if ephemeral {
                let text = "TTLs cannot be used with Ephemeral znodes";
                return Err(Failure::Text(text.to_owned()));
            }
            if !(1..=TTL_MAX).contains(&ttl) {
                let text = format!("ttl must be positive and cannot be larger than: {TTL_MAX}");
                return Err(Failure::Text(text));
            }
            CreateKind::Ttl { sequential, ttl }
        }
    };
    let path = args.word(0).unwrap_or_default();
    // A sequential node's name may be nothing but its number.
    if !(sequential && path.ends_with('/')) {
        checked_path(path)?;
    }
    let data = args.word(1).map(str::as_bytes);
    let mut notes = String::new();
    let acls = match args.word(2) {
        Some(text) => parse_acls(text, &mut notes),
        None => vec![Acl::new(perms::ALL, "world", "anyone")],
    };
    let created = create_checked(client, path, data, acls, kind).await;
    let created = created.map_err(|failure| after(&notes, failure))?;
    let err = format!("{notes}Created {created}\n");
    Ok(Output {
        out: String::new(),
        err,
        json: json!({ "path": created }),
    })
}

/// Creates; a refused ACL is reported twice, as zkCli does.
async fn create_checked(
    client: &Client,
    path: &str,
    data: Option<&[u8]>,
    acls: crate::client::Acls,
    kind: CreateKind,
) -> Result<String, Failure> {
    let error = if acls.is_empty() {
        ClientError::new(ErrorCode::InvalidAcl)
    } else {
        match client.create(path, data, acls, kind).await {
            Ok(created) => return Ok(created),
            Err(error) => error,
        }
    };
    if error.code == ErrorCode::InvalidAcl {
        return Err(Failure::After(error.to_string(), Box::new(error.into())));
    }
    Err(error.into())
}

/// An error behind notes, if there are any.
pub(crate) fn after(notes: &str, failure: Failure) -> Failure {
    if notes.is_empty() {
        return failure;
    }
    Failure::After(notes.trim_end().to_owned(), Box::new(failure))
}

/// delete.
pub(crate) async fn delete(client: &Client, args: &Parsed) -> Outcome {
    let path = path(args)?;
    let note = deprecated(args, "delete path [version]", "delete [-v version] path");
    // A version given by position is named as deprecated, and has no effect in zkCli either.
    let version = args.number("v", "an int")?.unwrap_or(-1);
    client
        .delete(path, version)
        .await
        .map_err(|error| after(&note, error.into()))?;
    Ok(Output {
        err: note,
        json: json!({ "deleted": path }),
        ..Output::default()
    })
}

/// deleteall: deepest nodes first, `-b` of them at a time.
pub(crate) async fn delete_all(client: &Client, args: &Parsed) -> Outcome {
    let path = path(args)?;
    let batch: usize = args.number("b", "an int")?.unwrap_or(1000).max(1);
    let mut paths = vec![path.to_owned()];
    subtree(client, path, &mut paths).await?;
    let mut failed = false;
    for chunk in paths.iter().rev().collect::<Vec<_>>().chunks(batch) {
        // Requests are queued before the first is awaited, so that a batch takes one round trip.
        let requests: Vec<_> = chunk.iter().map(|path| client.delete(path, -1)).collect();
        for request in join(requests).await {
            let gone = Err(ErrorCode::NoNode);
            let result = request.map_err(|error| error.code);
            failed |= result.is_err() && result != gone;
        }
    }
    if failed {
        let text = "Failed to delete some node(s) in the subtree!";
        return Err(Failure::Text(text.to_owned()));
    }
    Ok(Output {
        json: json!({ "deleted": paths.len() }),
        ..Output::default()
    })
}

/// Polls all futures together; the results in their order.
pub(crate) async fn join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.into_iter().map(|f| (Box::pin(f), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, result) in &mut pending {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    pending
        .into_iter()
        .filter_map(|(_, result)| result)
        .collect()
}

/// stat.
pub(crate) async fn stat(client: &Client, args: &Parsed) -> Outcome {
    let path = path(args)?;
    let watch = args.has("w") || args.rest.len() > 1;
    let note = deprecated(args, "stat path [watch]", "stat [-w] path");
    let stat = client.stat(path, watch).await?;
    Ok(Output {
        out: format::stat(&stat),
        err: note,
        json: format::stat_json(&stat),
    })
}

/// sync.
pub(crate) async fn sync(client: &Client, args: &Parsed) -> Outcome {
    let path = path(args)?;
    match client.sync(path).await {
        Ok(()) => Ok(Output::text("Sync is OK", json!({ "synced": path }))),
        Err(error) => Err(Failure::Text(format!(
            "Sync has failed. rc={}",
            error.code.0
        ))),
    }
}

/// getEphemerals.
pub(crate) async fn ephemerals(client: &Client, args: &Parsed) -> Outcome {
    let prefix = match args.word(0) {
        Some(path) => checked_path(path)?,
        None => "/",
    };
    let paths = client.ephemerals(prefix).await?;
    Ok(Output::text(&format::list(&paths), json!(paths)))
}

/// getAllChildrenNumber.
pub(crate) async fn all_children_number(client: &Client, args: &Parsed) -> Outcome {
    let number = client.all_children_number(path(args)?).await?;
    Ok(Output::text(&number.to_string(), json!(number)))
}
