//! Owns the settings of Kerberos: how principals become users, which realm is this server's. May ask
//! the library for GSS-API. Must not authenticate anybody.

use std::path::{Path, PathBuf};

use menagerie_core::sasl::kerberos::{Rules, UserNames};

use super::error::{ConfigError, Severity, Warning};
use super::settings::Config;
use super::value::{Applied, Refused, Taken};
use crate::sasl::gss;
use crate::sasl::{Kerberos, KerberosLogin};

const REQUIRE: &str = "requireKerberosConfig";
/// Keys that say nothing without Kerberos.
const KEYS: [&str; 5] = [
    "java.security.krb5.conf",
    "java.security.krb5.realm",
    "kerberos.removeHostFromPrincipal",
    "kerberos.removeRealmFromPrincipal",
    "security.auth_to_local",
];

/// What is set about Kerberos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KerberosSettings {
    /// The library's configuration, if not the system's.
    pub(crate) krb5_conf: Option<PathBuf>,
    /// The realm of principals that need no rule, if not the one in that file.
    pub(crate) realm: Option<String>,
    /// Whether there must be one.
    pub(crate) required: bool,
    /// Rules that have been read once without an error.
    pub(crate) auth_to_local: String,
    /// Whether users are named without the host.
    pub(crate) remove_host: bool,
    /// Whether users are named without the realm.
    pub(crate) remove_realm: bool,
}

impl Default for KerberosSettings {
    fn default() -> Self {
        Self {
            krb5_conf: None,
            realm: None,
            required: false,
            auth_to_local: "DEFAULT".to_owned(),
            remove_host: false,
            remove_realm: false,
        }
    }
}

impl KerberosSettings {
    /// Takes over `security.auth_to_local`.
    pub(super) fn set_rules(&mut self, text: &str) -> Applied {
        Rules::parse(text).map_err(|error| Refused::Invalid(error.to_string()))?;
        text.clone_into(&mut self.auth_to_local);
        Ok(Taken::Exactly)
    }

    fn default_realm(&self) -> Result<String, gss::GssError> {
        self.realm.clone().map_or_else(gss::default_realm, Ok)
    }
}

impl Config {
    /// Source: the static block of `KerberosName`.
    pub(super) fn check_realm(&self) -> Result<(), ConfigError> {
        if !self.sasl.names.required {
            return Ok(());
        }
        let wrong = |error: gss::GssError| {
            let reason = format!("{REQUIRE} is true, and there is no Kerberos realm: {error}");
            self.conflict(&[REQUIRE], reason)
        };
        self.use_krb5_conf().map_err(wrong)?;
        let realm = self.sasl.names.default_realm().map_err(wrong)?;
        tracing::debug!(realm, "the default realm");
        Ok(())
    }

    fn use_krb5_conf(&self) -> Result<(), gss::GssError> {
        let path = self.sasl.names.krb5_conf.as_deref();
        path.map_or(Ok(()), gss::use_config_file)
    }

    /// Looks up the key of which the JAAS file at `path` says where it is.
    pub(super) fn read_key(
        &self,
        login: &KerberosLogin,
        path: &Path,
    ) -> Result<Kerberos, ConfigError> {
        let settings = &self.sasl.names;
        let wrong = |reason: String| ConfigError::Syntax {
            path: path.to_owned(),
            line: login.line,
            reason,
        };
        self.use_krb5_conf().map_err(|error| {
            self.conflict(&["java.security.krb5.conf"], format!("Kerberos: {error}"))
        })?;
        let default_realm = settings.default_realm().unwrap_or_else(|error| {
            tracing::warn!(%error, "Kerberos has no default realm here");
            String::new()
        });
        let names = UserNames {
            rules: Rules::parse(&settings.auth_to_local)
                .map_err(|error| wrong(format!("security.auth_to_local: {error}")))?,
            default_realm: default_realm.clone(),
            remove_host: settings.remove_host,
            remove_realm: settings.remove_realm,
        };
        let mut principal = login.principal.clone();
        if !principal.contains('@') && !default_realm.is_empty() {
            principal = principal + "@" + &default_realm;
        }
        let keytab = login.keytab.as_deref();
        Kerberos::new(&principal, keytab, names).map_err(|error| {
            let keytab = keytab.unwrap_or("the system's keytab");
            wrong(format!("no key of {principal} in {keytab}: {error}"))
        })
    }

    /// Settings that are there for Kerberos, where it is not.
    pub(super) fn warn_without_kerberos(&self, warnings: &mut Vec<Warning>) {
        if self.sasl.kerberos.is_some() {
            return;
        }
        let why = if gss::PRESENT {
            "and the JAAS file's section is not about it"
        } else {
            "which this build has not (Cargo feature gssapi)"
        };
        for key in KEYS {
            if let Some(origin) = self.origin(key) {
                warnings.push(Warning {
                    severity: Severity::Notice,
                    origin: Some(origin.clone()),
                    key: key.to_owned(),
                    message: format!("has a meaning with Kerberos only, {why}"),
                });
            }
        }
    }
}
