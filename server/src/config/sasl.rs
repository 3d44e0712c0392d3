//! Owns the settings of SASL and of enforced authentication, and what must hold between them. May
//! read the JAAS file. Must not authenticate anybody.

use std::path::PathBuf;

use super::error::{ConfigError, Severity, Warning};
use menagerie_tls::Secret;

use super::kerberos::KerberosSettings;
use super::settings::Config;
use crate::sasl::jaas::Section;
use crate::sasl::{KERBEROS, Kerberos, Login, LoginError, QuorumSasl, read_file};

const JAAS_FILE: &str = "java.security.auth.login.config";

/// SASL for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SaslSettings {
    /// The JAAS file.
    pub(crate) jaas_file: Option<PathBuf>,
    /// Its section for clients.
    pub(crate) section: String,
    /// The password of `super`, if not the one in the file.
    pub(crate) super_password: Option<Secret>,
    /// Whether connections live on after SASL failed.
    pub(crate) allow_failed_clients: bool,
    /// What the section says; set by [`Config::complete`].
    pub(crate) login: Option<Login>,
    /// What is set about Kerberos.
    pub(crate) names: KerberosSettings,
    /// The server's key, if its section is about Kerberos; set by [`Config::complete`].
    pub(crate) kerberos: Option<Kerberos>,
}

impl Default for SaslSettings {
    fn default() -> Self {
        Self {
            jaas_file: None,
            section: "Server".to_owned(),
            super_password: None,
            allow_failed_clients: false,
            login: None,
            names: KerberosSettings::default(),
            kerberos: None,
        }
    }
}

impl Config {
    /// The schemes one of which a session needs; none if it needs none. A session that needs SASL
    /// is not asked for another scheme. Source: `AuthenticationHelper.initConfigurations`.
    fn enforced_schemes(&self) -> Option<Vec<&str>> {
        if self.session_require_client_sasl_auth {
            return Some(vec!["sasl"]);
        }
        let schemes = self.enforce_auth_schemes.iter().map(String::as_str);
        self.enforce_auth_enabled.then(|| schemes.collect())
    }

    /// Whether a connection that has proved identities of these schemes may do anything.
    /// Source: `AuthenticationHelper.isCnxnAuthenticated`.
    pub(crate) fn is_enough<'a>(&self, mut proved: impl Iterator<Item = &'a str>) -> bool {
        match (
            self.session_require_client_sasl_auth,
            self.enforce_auth_enabled,
        ) {
            (true, _) => proved.any(|scheme| scheme == "sasl"),
            (false, true) => proved.any(|scheme| self.enforce_auth_schemes.contains(scheme)),
            (false, false) => true,
        }
    }

    /// Whether SASL is among the schemes that a session needs.
    /// Source: `AuthenticationHelper.isSaslAuthRequired`.
    pub(crate) fn requires_sasl(&self) -> bool {
        let schemes = self.enforced_schemes();
        schemes.is_some_and(|schemes| schemes.contains(&"sasl"))
    }

    /// Schemes that are enforced must exist.
    /// Source: `AuthenticationHelper.validateConfiguredProperties`.
    pub(super) fn check_enforced_schemes(&self) -> Result<(), ConfigError> {
        let Some(schemes) = self.enforced_schemes() else {
            return Ok(());
        };
        let keys = [
            "sessionRequireClientSASLAuth",
            "enforce.auth.enabled",
            "enforce.auth.schemes",
        ];
        if schemes.is_empty() {
            let reason = "enforce.auth.enabled is true, so enforce.auth.schemes must name schemes";
            return Err(self.conflict(&keys, reason.to_owned()));
        }
        let auth = self.auth_config();
        let exists = |scheme: &&str| menagerie_core::acl::is_known(&auth, scheme);
        let Some(missing) = schemes.iter().find(|scheme| !exists(scheme)) else {
            return Ok(());
        };
        let mut reason = format!("the scheme \"{missing}\" is enforced and does not exist here");
        if *missing == "sasl" {
            reason += "; authProvider.sasl=org.apache.zookeeper.server.auth.\
                       SASLAuthenticationProvider makes it one";
        }
        Err(self.conflict(&keys, reason))
    }

    /// Reads what the JAAS file says of clients. A file without the section leaves the server
    /// without SASL, as in ZooKeeper. Source: `ServerCnxnFactory.configureSaslLogin`.
    pub(super) fn read_logins(&mut self, warnings: &mut Vec<Warning>) -> Result<(), ConfigError> {
        self.sasl.login = None;
        self.check_realm()?;
        let Some(path) = self.sasl.jaas_file.clone() else {
            return Ok(());
        };
        let (path, sections) = read_file(&path).map_err(wrong)?;
        let find = |name: &str| sections.iter().find(|section| section.name == name);
        if let Some(section) = find(&self.sasl.section) {
            let login = Login::read(&path, section).map_err(wrong)?;
            if let Some(kerberos) = login.kerberos() {
                self.sasl.kerberos = Some(self.read_key(kerberos, &path)?);
            }
            if login.kerberos().is_some() && !login.is_empty() {
                let name = &self.sasl.section;
                let message = format!(
                    "the section {name} is about Kerberos, so that its user_NAME cannot log in"
                );
                self.warn_of_file(warnings, message);
            } else if login.is_empty() && login.kerberos().is_none() {
                let name = &self.sasl.section;
                let message = format!("the section {name} has no user_NAME; nobody can log in");
                self.warn_of_file(warnings, message);
            }
            self.sasl.login = Some(login);
        } else if !self.quorum_auth.enable_sasl || self.given("sasl.serverconfig") {
            let message = format!(
                "{} has no section {}, so that clients cannot log in by SASL; it has {}",
                path.display(),
                self.sasl.section,
                names(&sections)
            );
            self.warn_of_file(warnings, message);
        }
        Ok(())
    }

    /// Reads what the JAAS file says of servers, for a member of an ensemble that uses SASL; both
    /// sections must be there. Source: the constructors of `SaslQuorumAuthServer` and
    /// `SaslQuorumAuthLearner`.
    pub(super) fn read_quorum_logins(&mut self) -> Result<(), ConfigError> {
        self.quorum_auth.sasl = None;
        if !self.quorum_auth.enable_sasl {
            return Ok(());
        }
        const ENABLE: &str = "quorum.auth.enableSasl";
        let Some(path) = self.sasl.jaas_file.clone() else {
            let reason = format!("{ENABLE} is true, so {JAAS_FILE} must name a JAAS file");
            return Err(self.conflict(&[ENABLE], reason));
        };
        let (path, sections) = read_file(&path).map_err(wrong)?;
        let read = |name: &str| {
            let Some(section) = sections.iter().find(|section| section.name == name) else {
                let (path, names) = (path.display(), names(&sections));
                let reason = format!("{path} has no section {name} for servers; it has {names}");
                return Err(self.conflict(&[ENABLE, JAAS_FILE], reason));
            };
            if let Some(module) = section.modules.iter().find(|m| m.class == KERBEROS) {
                let reason = format!(
                    "{KERBEROS}: servers do not log in to each other by Kerberos in this version; \
                     use org.apache.zookeeper.server.auth.DigestLoginModule"
                );
                let (path, line) = (path.clone(), module.line);
                return Err(ConfigError::Syntax { path, line, reason });
            }
            Login::read(&path, section).map_err(wrong)
        };
        let auth = &self.quorum_auth;
        let sasl = QuorumSasl {
            server: read(&auth.server_section)?,
            server_requires: auth.server_require_sasl,
            learner: read(&auth.learner_section)?,
            learner_requires: auth.learner_require_sasl,
        };
        if sasl.learner_requires && sasl.learner.own().is_none() {
            let name = &auth.learner_section;
            let reason = format!(
                "the section {name} of {} has no username and password to log in by",
                path.display()
            );
            return Err(self.conflict(&["quorum.auth.learnerRequireSasl", JAAS_FILE], reason));
        }
        self.quorum_auth.sasl = Some(sasl);
        Ok(())
    }

    fn warn_of_file(&self, warnings: &mut Vec<Warning>, message: String) {
        warnings.push(Warning {
            severity: Severity::Warning,
            origin: self.origin(JAAS_FILE).cloned(),
            key: JAAS_FILE.to_owned(),
            message,
        });
    }
}

fn names(sections: &[Section]) -> String {
    let names: Vec<&str> = sections.iter().map(|s| s.name.as_str()).collect();
    if names.is_empty() {
        return "none".to_owned();
    }
    names.join(", ")
}

fn wrong(error: LoginError) -> ConfigError {
    match error {
        LoginError::Unreadable(path, source) => ConfigError::Unreadable { path, source },
        LoginError::Wrong(path, error) => ConfigError::Syntax {
            path,
            line: error.line,
            reason: error.reason,
        },
    }
}
