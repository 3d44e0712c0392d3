//! Owns the decisions on ACLs: may this client do that, and is this an ACL. Must not prove
//! identities.

use menagerie_wire::data::{Acl, perms};
use menagerie_wire::op::ErrorCode;

use super::config::AuthConfig;
use super::providers::Provider;
use super::{ANYONE, AclEntry, AclList, AuthId, WORLD};

/// Whether a client with `ids` has one of the permissions `perm` on a node with the ACL `list`.
/// An empty ACL holds nobody back. Source: `ZooKeeperServer.checkACL`.
///
/// # Errors
/// `NOAUTH`.
pub fn check(
    config: &AuthConfig,
    list: &[AclEntry],
    perm: i32,
    ids: &[AuthId],
) -> Result<(), ErrorCode> {
    let grants = |entry: &AclEntry| {
        if entry.perms & perm == 0 {
            return false;
        }
        if &*entry.scheme == WORLD && &*entry.id == ANYONE {
            return true;
        }
        let Some(provider) = Provider::of(config, &entry.scheme) else {
            return false;
        };
        let mut same = ids.iter().filter(|id| id.scheme == entry.scheme);
        same.any(|id| provider.matches(config, &id.id, &entry.id))
    };
    let passes = config.skip_acl
        || list.is_empty()
        || ids.iter().any(AuthId::is_super)
        || list.iter().any(grants);
    if passes {
        Ok(())
    } else {
        Err(ErrorCode::NoAuth)
    }
}

/// The ACL that a request's becomes: without repetitions, and with the client's own identities in
/// place of the scheme `auth`. Source: `PrepRequestProcessor.fixupACL`.
///
/// # Errors
/// `INVALIDACL`, or `MARSHALLINGERROR` where ZooKeeper trips over a null: a null id in a scheme
/// that has a provider, or a null in an entry with the same permissions as an earlier one.
pub fn fixup(
    config: &AuthConfig,
    requested: Option<&[Acl<'_>]>,
    ids: &[AuthId],
) -> Result<AclList, ErrorCode> {
    let unique = without_repetitions(requested.unwrap_or_default())?;
    if unique.is_empty() {
        return Err(ErrorCode::InvalidAcl);
    }
    let mut fixed = Vec::with_capacity(unique.len());
    for acl in unique {
        let scheme = acl.id.scheme.as_deref().ok_or(ErrorCode::InvalidAcl)?;
        let id = acl.id.id.as_deref().ok_or(ErrorCode::MarshallingError);
        match scheme {
            WORLD if id? == ANYONE => fixed.push(AclEntry::world(acl.perms)),
            "auth" => {
                let before = fixed.len();
                let own = ids
                    .iter()
                    .filter(|id| super::is_authenticated(config, &id.scheme));
                fixed.extend(own.map(|id| AclEntry::new(acl.perms, &id.scheme, &id.id)));
                if fixed.len() == before {
                    return Err(ErrorCode::InvalidAcl);
                }
            }
            _ => {
                let provider = Provider::of(config, scheme).ok_or(ErrorCode::InvalidAcl)?;
                if !provider.is_valid(id?) {
                    return Err(ErrorCode::InvalidAcl);
                }
                fixed.push(AclEntry::new(acl.perms, scheme, id?));
            }
        }
    }
    Ok(fixed.into())
}

/// The first of each equal entries. Source: `PrepRequestProcessor.removeDuplicates`.
fn without_repetitions<'a, 'b>(acl: &'a [Acl<'b>]) -> Result<Vec<&'a Acl<'b>>, ErrorCode> {
    let mut kept: Vec<&Acl<'_>> = Vec::with_capacity(acl.len());
    for entry in acl {
        let mut repeated = false;
        for other in &kept {
            if equals(entry, other)? {
                repeated = true;
                break;
            }
        }
        if !repeated {
            kept.push(entry);
        }
    }
    Ok(kept)
}

/// Java's comparison of two records, field after field, which trips over a null in the first.
fn equals(entry: &Acl<'_>, other: &Acl<'_>) -> Result<bool, ErrorCode> {
    if entry.perms != other.perms {
        return Ok(false);
    }
    let scheme = entry
        .id
        .scheme
        .as_deref()
        .ok_or(ErrorCode::MarshallingError)?;
    if other.id.scheme.as_deref() != Some(scheme) {
        return Ok(false);
    }
    let id = entry.id.id.as_deref().ok_or(ErrorCode::MarshallingError)?;
    Ok(other.id.id.as_deref() == Some(id))
}

/// What `getACL` shows to a client with `ids`: everything to who may administer the node, no
/// hashes of passwords to who may only read it.
/// Source: `FinalRequestProcessor.processRequest`, `OpCode.getACL`.
///
/// # Errors
/// `NOAUTH`.
pub fn shown(config: &AuthConfig, list: &AclList, ids: &[AuthId]) -> Result<AclList, ErrorCode> {
    check(config, list, perms::READ | perms::ADMIN, ids)?;
    if check(config, list, perms::ADMIN, ids).is_ok() {
        return Ok(list.clone());
    }
    Ok(list.iter().map(masked).collect())
}

/// An entry without a password's hash: `user:x`. What stands behind a line break stays, as
/// ZooKeeper's pattern does not look beyond one.
#[must_use]
pub fn masked(entry: &AclEntry) -> AclEntry {
    let mut masked = entry.clone();
    if &*entry.scheme == "digest" {
        let mut text = String::with_capacity(entry.id.len());
        for line in entry.id.split_inclusive(LINE_ENDS) {
            let body = line.trim_end_matches(LINE_ENDS);
            match body.split_once(':') {
                None => text.push_str(line),
                Some((user, _)) => {
                    text.push_str(user);
                    text.push_str(":x");
                    text.push_str(line.get(body.len()..).unwrap_or_default());
                }
            }
        }
        masked.id = text.into();
    }
    masked
}

/// Characters at which Java's `.` stops.
const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
