//! Owns the system's Kerberos behind a safe face: a server's key, what it makes of clients' tokens.
//! May call the library for GSS-API, with the Cargo feature `gssapi`. Must not know SASL.

#[cfg(not(feature = "gssapi"))]
#[path = "absent.rs"]
mod imp;
#[cfg(feature = "gssapi")]
#[path = "mit.rs"]
mod imp;

pub(crate) use imp::{Context, Credential, default_realm, use_config_file};

/// Whether this build has Kerberos.
pub(crate) const PRESENT: bool = cfg!(feature = "gssapi");

/// What the library, or its absence, says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct GssError {
    text: String,
    /// Whether a token was put down before Kerberos looked at it.
    pub(crate) unread: bool,
}

impl From<String> for GssError {
    fn from(text: String) -> Self {
        let unread = false;
        Self { text, unread }
    }
}

/// What a client's token led to.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// What the client gets; empty for nothing.
    pub(crate) token: Vec<u8>,
    /// Whether both sides know each other now.
    pub(crate) established: bool,
}
