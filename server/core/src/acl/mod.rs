//! Owns access control: ACLs and identities, who may do what, how an identity is proved, and the
//! table that keeps each distinct ACL once. May use `wire`. Must not know nodes or connections.

mod authenticate;
mod check;
mod config;
mod ip;
mod providers;
mod table;
#[cfg(test)]
mod tests;
mod x500;

use std::ops::Deref;
use std::sync::Arc;

use menagerie_wire::data::{Acl, perms};

pub use authenticate::{authenticate, digest_id, ip_id, sasl_ids, x509_ids};
pub use check::{check, fixup, masked, shown};
pub use config::{AuthConfig, DigestAlg};
pub use providers::{is_authenticated, is_known, is_valid, matches, user_name};
pub use table::{AclId, AclTable};

/// Scheme of everybody.
pub const WORLD: &str = "world";
/// The only identity of [`WORLD`].
pub const ANYONE: &str = "anyone";
/// Scheme of identities whom no ACL holds back.
pub const SUPER: &str = "super";

/// Permissions granted to an identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AclEntry {
    /// Bits of [`perms`]; others are kept as they came.
    pub perms: i32,
    /// `world`, `ip`, `digest`, …
    pub scheme: Box<str>,
    /// The identity, or a pattern of identities, within the scheme.
    pub id: Box<str>,
}

impl AclEntry {
    /// An entry for `scheme:id`.
    #[must_use]
    pub fn new(perms: i32, scheme: &str, id: &str) -> Self {
        Self {
            perms,
            scheme: scheme.into(),
            id: id.into(),
        }
    }

    /// An entry for everybody.
    #[must_use]
    pub fn world(perms: i32) -> Self {
        Self::new(perms, WORLD, ANYONE)
    }

    /// The entry as a record.
    #[must_use]
    pub fn to_wire(&self) -> Acl<'_> {
        Acl::new(self.perms, &*self.scheme, &*self.id)
    }
}

/// Takes a record over as it is; null becomes empty. For requests see [`fixup`].
impl From<&Acl<'_>> for AclEntry {
    fn from(acl: &Acl<'_>) -> Self {
        let [scheme, id] = [&acl.id.scheme, &acl.id.id].map(|text| text.as_deref().unwrap_or(""));
        Self::new(acl.perms, scheme, id)
    }
}

/// An ACL: its entries in order, shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AclList(Arc<[AclEntry]>);

impl AclList {
    /// Everything to everybody. Source: `ZooDefs.Ids.OPEN_ACL_UNSAFE`.
    #[must_use]
    pub fn open() -> Self {
        Self(Arc::new([AclEntry::world(perms::ALL)]))
    }
}

impl Deref for AclList {
    type Target = [AclEntry];

    fn deref(&self) -> &[AclEntry] {
        &self.0
    }
}

impl From<&[AclEntry]> for AclList {
    fn from(entries: &[AclEntry]) -> Self {
        Self(entries.into())
    }
}

impl From<Vec<AclEntry>> for AclList {
    fn from(entries: Vec<AclEntry>) -> Self {
        Self(entries.into())
    }
}

impl FromIterator<AclEntry> for AclList {
    fn from_iter<I: IntoIterator<Item = AclEntry>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// Records as an ACL, unchecked: for what a log or snapshot holds.
#[must_use]
pub fn acl_list(acl: &[Acl<'_>]) -> AclList {
    acl.iter().map(AclEntry::from).collect()
}

/// An ACL as records.
#[must_use]
pub fn acl_to_wire(acl: &[AclEntry]) -> Vec<Acl<'_>> {
    acl.iter().map(AclEntry::to_wire).collect()
}

/// What a connection has proved to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthId {
    /// `ip`, `digest`, …, or [`SUPER`].
    pub scheme: Box<str>,
    /// The identity within the scheme.
    pub id: Box<str>,
}

impl AuthId {
    /// An identity.
    #[must_use]
    pub fn new(scheme: &str, id: &str) -> Self {
        Self {
            scheme: scheme.into(),
            id: id.into(),
        }
    }

    /// Whether no ACL holds it back.
    #[must_use]
    pub fn is_super(&self) -> bool {
        &*self.scheme == SUPER
    }
}
