//! Owns what a section of a JAAS file means: the users whom a server knows, the user or the Kerberos
//! principal that it is itself. May read the file. Must not decide which section counts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::gss;
use super::jaas::{self, JaasError, Module, Section};
use crate::config::Secret;

/// The login module whose options are users. Source: `DigestLoginModule`.
const DIGEST: &str = "org.apache.zookeeper.server.auth.DigestLoginModule";

/// The login module of Kerberos, whose options say where a server's key is.
pub(crate) const KERBEROS: &str = "com.sun.security.auth.module.Krb5LoginModule";

/// What a section says of Kerberos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KerberosLogin {
    /// Where it says so, from 1.
    pub(crate) line: usize,
    /// Who this server is, `SERVICE/HOST`, with or without `@REALM`.
    pub(crate) principal: String,
    /// The file of its keys, if not the system's.
    pub(crate) keytab: Option<String>,
}

impl KerberosLogin {
    /// Source: `Krb5LoginModule.initialize`, `SecurityUtils.createSaslServer`.
    fn read(module: &Module) -> Result<Self, JaasError> {
        let line = module.line;
        let wrong = |reason: &str| {
            let reason = format!("{KERBEROS}: {reason}");
            Err(JaasError { line, reason })
        };
        if !gss::PRESENT {
            return wrong(&format!(
                "this build has no Kerberos; build with the Cargo feature gssapi, or use {DIGEST}"
            ));
        }
        let option = |name: &str| module.option(name);
        if !option("useKeyTab").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return wrong("useKeyTab=true is needed: a server has its key in a keytab");
        }
        let Some(principal) = option("principal").filter(|name| name.contains('/')) else {
            return wrong("principal must say who the server is, SERVICE/HOST@REALM");
        };
        Ok(Self {
            line,
            principal: principal.to_owned(),
            keytab: option("keyTab").map(str::to_owned),
        })
    }
}

/// What a section says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Login {
    /// Those who may log in, `user_NAME`.
    users: BTreeMap<String, Secret>,
    /// Who this side is, `username` and `password`.
    own: Option<(String, Secret)>,
    /// The key that this side has instead of users.
    kerberos: Option<KerberosLogin>,
}

/// Why there is no [`Login`].
#[derive(Debug)]
pub(crate) enum LoginError {
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file says something that is not allowed there.
    Wrong(PathBuf, JaasError),
}

impl Login {
    /// Reads a section of the file at `path`.
    pub(crate) fn read(path: &Path, section: &Section) -> Result<Self, LoginError> {
        let mut login = Self::default();
        for module in &section.modules {
            let taken = login.take(module);
            taken.map_err(|error| LoginError::Wrong(path.to_owned(), error))?;
        }
        Ok(login)
    }

    fn take(&mut self, module: &Module) -> Result<(), JaasError> {
        let line = module.line;
        if module.class == KERBEROS {
            self.kerberos = Some(KerberosLogin::read(module)?);
            return Ok(());
        }
        if module.class != DIGEST {
            let class = &module.class;
            let reason =
                format!("{class}: Java classes cannot be loaded; use {DIGEST} or {KERBEROS}");
            return Err(JaasError { line, reason });
        }
        let option = |name: &str| module.option(name);
        for (key, value) in &module.options {
            if let Some(user) = key.strip_prefix("user_") {
                let secret = Secret::new(value.clone());
                self.users.insert(user.to_owned(), secret);
            }
        }
        if let Some(user) = option("username") {
            let Some(password) = option("password") else {
                let reason = "there is a username and no password".to_owned();
                return Err(JaasError { line, reason });
            };
            self.own = Some((user.to_owned(), Secret::new(password.to_owned())));
        }
        Ok(())
    }

    /// A user's password.
    pub(crate) fn password(&self, user: &str) -> Option<&str> {
        self.users.get(user).map(Secret::reveal)
    }

    /// Whether it has no users.
    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// What it says of Kerberos, which users then cannot do without.
    pub(crate) const fn kerberos(&self) -> Option<&KerberosLogin> {
        self.kerberos.as_ref()
    }

    /// The name and password of this side.
    pub(crate) fn own(&self) -> Option<(&str, &str)> {
        let (user, password) = self.own.as_ref()?;
        Some((user, password.reveal()))
    }
}

/// The sections of a JAAS file; `path` may be a `file:` address, as in Java.
pub(crate) fn read_file(path: &Path) -> Result<(PathBuf, Vec<Section>), LoginError> {
    let text = path.to_string_lossy();
    // -Djava.security.auth.login.config==FILE means this file alone; there is no other here.
    let name = text.strip_prefix('=').unwrap_or(&text);
    let name = match name.strip_prefix("file:") {
        Some(address) => address.strip_prefix("//").unwrap_or(address),
        None => name,
    };
    let path = PathBuf::from(name);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => return Err(LoginError::Unreadable(path, error)),
    };
    match jaas::parse(&String::from_utf8_lossy(&bytes)) {
        Ok(sections) => Ok((path, sections)),
        Err(error) => Err(LoginError::Wrong(path, error)),
    }
}
