//! Owns what stands for Kerberos in a build without it. Must not do anything.

use std::path::Path;

use super::{Accepted, GssError};

fn absent() -> GssError {
    let text = "this build has no Kerberos: build with the Cargo feature gssapi";
    text.to_owned().into()
}

/// There is none.
#[derive(Debug)]
pub(crate) enum Credential {}

impl Credential {
    /// Fails.
    pub(crate) fn acceptor(_: &str, _: Option<&str>) -> Result<Self, GssError> {
        Err(absent())
    }

    /// Nobody has one to ask.
    pub(crate) fn accept(&self, _: &mut Context, _: &[u8]) -> Result<Accepted, GssError> {
        match *self {}
    }
}

/// Nothing ever comes of it.
#[derive(Debug, Default)]
pub(crate) struct Context(());

impl Context {
    pub(crate) fn peer(&self) -> Result<String, GssError> {
        Err(absent())
    }

    pub(crate) fn wrap(&self, _: &[u8]) -> Result<Vec<u8>, GssError> {
        Err(absent())
    }

    pub(crate) fn unwrap(&self, _: &[u8]) -> Result<Vec<u8>, GssError> {
        Err(absent())
    }
}

/// Fails.
pub(crate) fn default_realm() -> Result<String, GssError> {
    Err(absent())
}

/// Fails.
pub(crate) fn use_config_file(_: &Path) -> Result<(), GssError> {
    Err(absent())
}
