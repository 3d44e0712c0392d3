//! Owns the commands on ACLs and identities. May use the client. Must not print.

use menagerie_wire::data::Acl;
use menagerie_wire::op::ErrorCode;
use serde_json::json;

use super::Output;
use super::args::Parsed;
use super::failure::Failure;
use super::format;
use super::node_commands::{after, path};
use crate::client::{Acls, Client, ClientError};

type Outcome = Result<Output, Failure>;

/// Reads `scheme:id:perms[,…]`; what is wrong goes to `notes`, a line each, and is left out.
/// Source: `AclParser.parse`.
pub(crate) fn parse_acls(text: &str, notes: &mut String) -> Acls {
    let mut acls = Vec::new();
    for entry in text.split(',') {
        // The id may hold colons: an address, or a user with a digest.
        let parts = entry.split_once(':').and_then(|(scheme, rest)| {
            rest.rsplit_once(':').map(|(id, perms)| (scheme, id, perms))
        });
        let Some((scheme, id, perms)) = parts else {
            *notes += &format!("{entry} does not have the form scheme:id:perm\n");
            continue;
        };
        let mut unknown = Vec::new();
        let bits = format::perm_bits(perms, &mut unknown);
        for letter in unknown {
            *notes += &format!("Unknown perm type: {letter}\n");
        }
        acls.push(Acl::new(bits, scheme.to_owned(), id.to_owned()));
    }
    acls
}

/// getAcl.
pub(crate) async fn get_acl(client: &Client, args: &Parsed) -> Outcome {
    let (acls, stat) = client.get_acl(path(args)?).await?;
    let mut out = format::acls(&acls);
    let mut json = format::acls_json(&acls);
    if args.has("s") {
        out += &format::stat(&stat);
        json = json!({ "acl": json, "stat": format::stat_json(&stat) });
    }
    Ok(Output {
        out,
        err: String::new(),
        json,
    })
}

/// setAcl.
pub(crate) async fn set_acl(client: &Client, args: &Parsed) -> Outcome {
    let path = path(args)?;
    let mut notes = String::new();
    let acls = parse_acls(args.word(1).unwrap_or_default(), &mut notes);
    let version = args.number("v", "an int")?.unwrap_or(-1);
    let fail = |error: ClientError| after(&notes, error.into());
    if acls.is_empty() {
        return Err(fail(ClientError::new(ErrorCode::InvalidAcl)));
    }
    let mut paths = vec![path.to_owned()];
    if args.has("R") {
        let mut at = 0;
        while let Some(node) = paths.get(at).cloned() {
            let (names, _) = client.children(&node, false).await.map_err(fail)?;
            let prefix = if node == "/" { "" } else { node.as_str() };
            paths.extend(names.iter().map(|name| format!("{prefix}/{name}")));
            at += 1;
        }
    }
    let mut out = String::new();
    let mut stats = Vec::new();
    for path in &paths {
        let stat = client
            .set_acl(path, acls.clone(), version)
            .await
            .map_err(fail)?;
        if args.has("s") {
            out += &format::stat(&stat);
        }
        stats.push(json!({ "path": path, "stat": format::stat_json(&stat) }));
    }
    Ok(Output {
        out,
        err: notes,
        json: json!(stats),
    })
}

/// addauth. Nothing is printed; a refusal ends the session, which an event tells.
pub(crate) fn add_auth(client: &Client, args: &Parsed) -> Output {
    let scheme = args.word(0).unwrap_or_default();
    client.add_auth(scheme, args.word(1).map(str::as_bytes));
    Output {
        json: json!({ "scheme": scheme }),
        ..Output::default()
    }
}

/// whoami.
pub(crate) async fn who_am_i(client: &Client) -> Outcome {
    let identities = client.who_am_i().await?;
    let mut out = "Auth scheme: User\n".to_owned();
    for (scheme, user) in &identities {
        out += &format!("{scheme}: {user}\n");
    }
    let json = identities
        .iter()
        .map(|(scheme, user)| json!({ "scheme": scheme, "user": user }));
    Ok(Output {
        out,
        err: String::new(),
        json: json.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acls_are_read_and_what_is_wrong_is_named() {
        let mut notes = String::new();
        let acls = parse_acls("world:anyone:cdrwa,digest:u:h=:r,ip:::1:rw", &mut notes);
        let expected = [
            Acl::new(31, "world", "anyone"),
            Acl::new(1, "digest", "u:h="),
            Acl::new(3, "ip", "::1"),
        ];
        assert_eq!(acls, expected);
        assert!(notes.is_empty());
        assert_eq!(
            parse_acls("foo,a:b:rz", &mut notes),
            [Acl::new(1, "a", "b")]
        );
        assert_eq!(
            notes,
            "foo does not have the form scheme:id:perm\nUnknown perm type: z\n"
        );
        assert_eq!(parse_acls("auth::r", &mut notes), [Acl::new(1, "auth", "")]);
    }
}
