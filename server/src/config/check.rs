//! Owns what must hold between settings, and what the list of servers means for a single server. May
//! read `myid` and the dynamic configuration file. Must not apply values.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use menagerie_wire::text::cfg::{Members, Role, ServerSpec};

use super::dynamic::DynamicFiles;
use super::error::{ConfigError, Origin, Severity, Warning};
use super::load::read_properties;
use super::settings::{Config, Ensemble};
use crate::audit::AUDIT_CLASS;

impl Config {
    /// Checks the settings against each other and takes over what the list of servers and `myid`
    /// say. Call it after the last [`Config::set`]; a second call does nothing.
    ///
    /// # Errors
    /// [`ConfigError`] when there is no server with these settings.
    pub fn complete(&mut self) -> Result<Vec<Warning>, ConfigError> {
        let mut warnings = Vec::new();
        if self.complete {
            return Ok(warnings);
        }
        self.derive();
        self.check_quorum_auth()?;
        if self.file.is_some() && !self.given("dataDir") {
            return Err(self.missing("dataDir", "the directory for snapshots and log"));
        }
        self.check_audit()?;
        self.check_enforced_schemes()?;
        self.read_logins(&mut warnings)?;
        self.warn_without_kerberos(&mut warnings);
        self.check_timeouts()?;
        self.check_relative_paths(&mut warnings);
        self.check_weights(&mut warnings);
        let servers = self.read_servers()?;
        self.my_id = self.read_my_id()?;
        self.check_servers(&servers, &mut warnings)?;
        self.take_client_address(&servers)?;
        if self.secure_client_port_address.is_some() && self.secure_client_port.is_none() {
            let reason = "secureClientPortAddress is set, so secureClientPort must be".to_owned();
            return Err(self.conflict(&["secureClientPortAddress"], reason));
        }
        if self.has_plain_port() && self.file.is_some() && !self.given("clientPort") {
            return Err(self.missing("clientPort", "there would be nothing to connect to"));
        }
        self.complete = true;
        Ok(warnings)
    }

    /// Whether `key` was set anywhere.
    #[must_use]
    pub fn given(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }

    /// Where `key` was set.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.origins.get(key)
    }

    fn missing(&self, key: &'static str, reason: &'static str) -> ConfigError {
        ConfigError::Missing {
            path: self.file.clone(),
            key,
            reason,
        }
    }

    pub(super) fn conflict(&self, keys: &[&str], reason: String) -> ConfigError {
        let mut origins: Vec<String> = keys
            .iter()
            .filter_map(|key| self.origin(key))
            .map(ToString::to_string)
            .collect();
        origins.dedup();
        ConfigError::Conflict {
            origins: origins.join(", "),
            reason,
        }
    }

    /// Source: `QuorumPeerConfig.parseProperties` — checked for a single server too.
    fn check_quorum_auth(&self) -> Result<(), ConfigError> {
        const ENABLE: &str = "quorum.auth.enableSasl";
        const SERVER: &str = "quorum.auth.serverRequireSasl";
        const LEARNER: &str = "quorum.auth.learnerRequireSasl";
        let auth = &self.quorum_auth;
        let wrong = [
            (
                auth.server_require_sasl && !auth.enable_sasl,
                SERVER,
                ENABLE,
            ),
            (
                auth.learner_require_sasl && !auth.enable_sasl,
                LEARNER,
                ENABLE,
            ),
            (
                auth.server_require_sasl && !auth.learner_require_sasl,
                SERVER,
                LEARNER,
            ),
        ];
        match wrong.into_iter().find(|(wrong, ..)| *wrong) {
            Some((_, on, off)) => {
                Err(self.conflict(&[on, off], format!("{on} is true, so {off} must be true")))
            }
            None => Ok(()),
        }
    }

    /// Source: `ZKAuditProvider.getAuditLogger`, which loads the class only when it is needed.
    fn check_audit(&self) -> Result<(), ConfigError> {
        let class = &self.audit.class;
        if !self.audit.enabled || class == AUDIT_CLASS {
            return Ok(());
        }
        let reason = format!(
            "{class} cannot be loaded, as there is no Java; remove the key, and say where the \
             audit log goes by audit.file"
        );
        Err(self.conflict(&["audit.impl.class", "audit.enable"], reason))
    }

    fn check_timeouts(&self) -> Result<(), ConfigError> {
        let (min, max) = (self.min_session_timeout_ms, self.max_session_timeout_ms);
        if min > max {
            return Err(self.conflict(
                &["minSessionTimeout", "maxSessionTimeout", "tickTime"],
                format!(
                    "minSessionTimeout ({min}) must not be larger than maxSessionTimeout ({max})"
                ),
            ));
        }
        Ok(())
    }

    /// Source: `VerifyingFileFactory` — a path relative to wherever the server happens to be started
    /// is asked to begin with `./`.
    fn check_relative_paths(&self, warnings: &mut Vec<Warning>) {
        if self.file.is_none() {
            return;
        }
        for (key, path) in [
            ("dataDir", Some(&self.data_dir)),
            ("dataLogDir", self.data_log_dir.as_ref()),
        ] {
            let Some(path) = path.filter(|path| path.is_relative() && !path.starts_with("."))
            else {
                continue;
            };
            warnings.push(Warning {
                severity: Severity::Warning,
                origin: self.origin(key).cloned(),
                key: key.into(),
                message: format!(
                    "{} is relative to the directory the server is started in; begin it with ./ if \
                     that is meant",
                    path.display()
                ),
            });
        }
    }

    /// Source: the static block of `BlueThrottle`.
    fn check_weights(&mut self, warnings: &mut Vec<Warning>) {
        let throttle = &mut self.connection_throttle;
        let local = throttle.local_session_weight;
        for (key, weight) in [
            (
                "connection_throttle_global_session_weight",
                &mut throttle.global_session_weight,
            ),
            (
                "connection_throttle_renew_session_weight",
                &mut throttle.renew_session_weight,
            ),
        ] {
            if *weight < local {
                warnings.push(Warning {
                    severity: Severity::Warning,
                    origin: self.origins.get(key).cloned(),
                    key: key.into(),
                    message: format!("{weight} is less than a local session costs; {local} holds"),
                });
                *weight = local;
            }
        }
    }

    /// The `server.N` lines by number, from the configuration itself or the dynamic file.
    fn read_servers(&self) -> Result<BTreeMap<i64, ServerSpec>, ConfigError> {
        let Some(dynamic) = &self.dynamic_config_file else {
            return self
                .servers
                .iter()
                .map(|(id, text)| {
                    let key = format!("server.{id}");
                    let origin = self.origin(&key).cloned().unwrap_or(Origin::Parameter);
                    server(&key, id, text, origin)
                })
                .collect();
        };
        let inline = self.origins.keys().find(|key| {
            ["server.", "group", "weight"]
                .iter()
                .any(|start| key.starts_with(start))
        });
        if let Some(key) = inline {
            let reason = format!("{key} must be in {} then", dynamic.display());
            return Err(self.conflict(&["dynamicConfigFile", key], reason));
        }
        let path = Arc::new(dynamic.clone());
        let mut servers = BTreeMap::new();
        for (line, key, value) in read_properties(dynamic)? {
            let origin = Origin::File {
                path: Arc::clone(&path),
                line,
            };
            if let Some(id) = key.strip_prefix("server.") {
                servers.extend([server(&key, id, &value, origin)?]);
            } else if !key.starts_with("group") && !key.starts_with("weight") && key != "version" {
                let allowed = "server.N, group.N and weight.N in this file".to_owned();
                return Err(ConfigError::Invalid {
                    origin,
                    key,
                    value,
                    allowed,
                });
            }
        }
        Ok(servers)
    }

    /// Source: `QuorumPeerConfig.setupMyId` — optional, but a number if it is there.
    fn read_my_id(&self) -> Result<Option<i64>, ConfigError> {
        let path = self.data_dir.join("myid");
        if !path.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(|source| ConfigError::Unreadable {
            path: path.clone(),
            source,
        })?;
        let line = text.lines().next().unwrap_or_default();
        match line.parse() {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err(ConfigError::Syntax {
                path,
                line: 1,
                reason: format!("the server's number is expected, not \"{line}\""),
            }),
        }
    }

    /// Source: `QuorumPeerConfig.parseDynamicConfig` and `isDistributed`.
    fn check_servers(
        &mut self,
        servers: &BTreeMap<i64, ServerSpec>,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), ConfigError> {
        self.check_addresses(servers)?;
        let voting = servers
            .values()
            .filter(|spec| spec.role == Role::Participant)
            .count();
        let observing = servers.len() - voting;
        let keys: Vec<String> = self
            .origins
            .keys()
            .filter(|key| key.starts_with("server.") || *key == "dynamicConfigFile")
            .cloned()
            .chain(["standaloneEnabled".to_owned()])
            .collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        if voting == 0 && !self.standalone_enabled {
            let reason = "standaloneEnabled is false, so there must be a participant".to_owned();
            return Err(self.conflict(&keys, reason));
        }
        if voting < 2 && observing > 0 && self.standalone_enabled {
            let reason = "observers need more than one participant beside them".to_owned();
            return Err(self.conflict(&keys, reason));
        }
        if voting > 1 || !self.standalone_enabled {
            return self.check_ensemble(servers, &keys, warnings);
        }
        if voting == 1 {
            warnings.push(Warning {
                severity: Severity::Notice,
                origin: keys.first().and_then(|key| self.origin(key)).cloned(),
                key: keys.first().copied().unwrap_or_default().to_owned(),
                message: "the only server: it stands alone, without an ensemble".into(),
            });
        }
        Ok(())
    }

    /// Source: the constructor of `QuorumPeer.QuorumServer`.
    fn check_addresses(&self, servers: &BTreeMap<i64, ServerSpec>) -> Result<(), ConfigError> {
        let several = servers.iter().find(|(_, spec)| spec.addresses.len() > 1);
        let Some((id, spec)) = several.filter(|_| !self.quorum.multi_address) else {
            return Ok(());
        };
        let reason = format!(
            "server.{id} has {} addresses, and multiAddress.enabled is not true",
            spec.addresses.len()
        );
        let line = format!("server.{id}");
        let keys = [&line, "dynamicConfigFile", "multiAddress.enabled"];
        Err(self.conflict(&keys, reason))
    }

    /// Source: `QuorumPeerConfig.parseDynamicConfig`, `setupMyId`, `setupPeerType`.
    fn check_ensemble(
        &mut self,
        servers: &BTreeMap<i64, ServerSpec>,
        keys: &[&str],
        warnings: &mut Vec<Warning>,
    ) -> Result<(), ConfigError> {
        let Some(me) = self.my_id else {
            return Err(ConfigError::Missing {
                path: Some(self.data_dir.join("myid")),
                key: "myid",
                reason: "a member of an ensemble has its number in that file",
            });
        };
        let Some(mine) = servers.get(&me) else {
            let reason = format!("myid says that this is server {me}, which is not among them");
            return Err(self.conflict(keys, reason));
        };
        for (key, value) in [
            ("initLimit", self.quorum.init_limit),
            ("syncLimit", self.quorum.sync_limit),
        ] {
            if value < 1 {
                let reason = "an ensemble needs it, above 0";
                return Err(self.missing(key, reason));
            }
        }
        let observes = mine.role == Role::Observer;
        if self.given("peerType") && self.quorum.peer_is_observer != observes {
            let is = if observes {
                "an observer"
            } else {
                "a participant"
            };
            warnings.push(Warning {
                severity: Severity::Warning,
                origin: self.origin("peerType").cloned(),
                key: "peerType".to_owned(),
                message: format!("the server lines say that this is {is}; they hold"),
            });
        }
        self.read_quorum_logins()?;
        let members = self.read_members(servers, keys)?;
        let next = self.read_next()?;
        self.ensemble = Some(Ensemble { me, members, next });
        Ok(())
    }

    /// Source: `QuorumPeerConfig.parse`.
    fn read_next(&self) -> Result<Option<Members>, ConfigError> {
        let Some(file) = self.file.clone().filter(|_| self.reconfig_enabled) else {
            return Ok(None);
        };
        if self.dynamic_config_file.is_none() {
            return Ok(None);
        }
        let next = DynamicFiles::new(file).read_next();
        next.map_err(|(path, reason)| ConfigError::Syntax {
            path,
            line: 1,
            reason,
        })
    }

    fn read_members(
        &self,
        servers: &BTreeMap<i64, ServerSpec>,
        keys: &[&str],
    ) -> Result<Members, ConfigError> {
        let mut text = String::new();
        if let Some(path) = &self.dynamic_config_file {
            for (_, key, value) in read_properties(path)? {
                text += &format!("{key}={value}\n");
            }
        } else {
            for (key, value) in &self.groups {
                text += &format!("{key}={value}\n");
            }
        }
        for (id, spec) in servers {
            text += &format!("server.{id}={spec}\n");
        }
        let version = self
            .dynamic_config_file
            .as_ref()
            .and_then(|path| path.extension()?.to_str())
            .and_then(|version| i64::from_str_radix(version, 16).ok());
        match Members::parse_dynamic(&text) {
            Ok(members) => Ok(Members {
                version: version.or(members.version),
                ..members
            }),
            Err(error) => Err(self.conflict(keys, error.to_string())),
        }
    }

    /// Source: `QuorumPeerConfig.setupClientPort` — the client address in this server's own line
    /// counts, and must not contradict `clientPort`.
    fn take_client_address(
        &mut self,
        servers: &BTreeMap<i64, ServerSpec>,
    ) -> Result<(), ConfigError> {
        let Some(id) = self.my_id else { return Ok(()) };
        let Some(client) = servers.get(&id).and_then(|spec| spec.client.as_ref()) else {
            return Ok(());
        };
        let key = format!("server.{id}");
        let same_host = self
            .client_port_address
            .as_ref()
            .is_none_or(|host| *host == client.host);
        if self.given("clientPort") && (self.client_port != client.port || !same_host) {
            let reason = format!(
                "clientPort says {}:{} and {key} says {}:{}",
                self.client_port_address.as_deref().unwrap_or_default(),
                self.client_port,
                client.host,
                client.port
            );
            return Err(self.conflict(&["clientPort", &key], reason));
        }
        self.client_port = client.port;
        self.client_port_address = (client.host != "0.0.0.0").then(|| client.host.clone());
        let origin = self
            .origin(&key)
            .or_else(|| self.origin("dynamicConfigFile"))
            .cloned();
        self.origins
            .insert("clientPort".into(), origin.unwrap_or(Origin::Parameter));
        Ok(())
    }
}

fn server(
    key: &str,
    id: &str,
    text: &str,
    origin: Origin,
) -> Result<(i64, ServerSpec), ConfigError> {
    let invalid = |key: &str, allowed: String| ConfigError::Invalid {
        origin: origin.clone(),
        key: key.to_owned(),
        value: text.to_owned(),
        allowed,
    };
    let number = id
        .parse()
        .map_err(|_| invalid(key, "a number after server.".into()))?;
    match ServerSpec::parse(text) {
        Ok(spec) => Ok((number, spec)),
        Err(error) => Err(invalid(
            key,
            format!("host:port:port[:role][;[host:]port] ({error})"),
        )),
    }
}
