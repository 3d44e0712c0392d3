//! Owns TLS of the tools: the properties that Java's clients read, from their flags and from a file.
//! May read the file and the stores that it names. Must not connect.
//! Source: `ZKClientConfig`, `ClientX509Util`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use menagerie_tls::{TlsClient, TlsSettings};
use menagerie_wire::text::jvmflags::{self, Flag};
use menagerie_wire::text::properties;

use crate::env::Env;

/// The variables that zkCli.sh and zkServer.sh give to Java, the last one wins.
const VARIABLES: [&str; 2] = ["CLIENT_JVMFLAGS", "JVMFLAGS"];
const SECURE: &str = "client.secure";

/// Properties by name, without `zookeeper.`, in the order in which they hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Properties(Vec<(String, String)>);

impl Properties {
    /// Those of the environment.
    pub(crate) fn of_env(env: &Env) -> Self {
        let mut properties = Self::default();
        for flags in VARIABLES.iter().filter_map(|name| env.get(name)) {
            properties.add_flags(&flags);
        }
        properties
    }

    /// Adds `-Dname=value`, and what else there is passes by.
    pub(crate) fn add_flags(&mut self, flags: &str) {
        for flag in jvmflags::parse(flags) {
            if let Flag::Property { name, value } = flag {
                self.add(&name, &value);
            }
        }
    }

    /// Adds what a file has, which wins.
    pub(crate) fn add_file(&mut self, path: &Path) -> Result<()> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let entries = properties::parse(&bytes)
            .map_err(|error| anyhow::anyhow!("{}:{}: {error}", path.display(), error.line))?;
        for entry in entries {
            self.add(entry.key.trim(), entry.value.trim());
        }
        Ok(())
    }

    fn add(&mut self, name: &str, value: &str) {
        if let Some(name) = name.strip_prefix("zookeeper.") {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    /// TLS, if it is wanted.
    ///
    /// # Errors
    /// What is wrong with settings or stores.
    pub(crate) fn client(&self) -> Result<Option<TlsClient>> {
        let secure = self.0.iter().rfind(|(name, _)| name == SECURE);
        if secure.is_some_and(|(_, value)| value.eq_ignore_ascii_case("true")) {
            return self.secure_client().map(Some);
        }
        Ok(None)
    }

    /// TLS, wanted or not.
    ///
    /// # Errors
    /// What is wrong with settings or stores.
    pub(crate) fn secure_client(&self) -> Result<TlsClient> {
        let mut settings = TlsSettings::for_clients();
        for (name, value) in &self.0 {
            let Some(key) = name.strip_prefix("ssl.") else {
                continue;
            };
            match settings.set(key, value) {
                Ok(None) | Err(None) => {}
                Ok(Some(said)) => eprintln!("zookeeper.{name}: {said}"),
                Err(Some(allowed)) => bail!("zookeeper.{name}: allowed is {allowed}"),
            }
        }
        let made = TlsClient::new(&settings);
        made.map_err(|error| anyhow::anyhow!("zookeeper.{error}"))
    }
}

/// The options of subcommands that can speak TLS, which are those of the shell.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TlsArgs {
    /// A property of Java's client, as CLIENT_JVMFLAGS may hold them: zookeeper.client.secure=true
    /// for TLS, then zookeeper.ssl.trustStore.location=… and so on; may be repeated
    #[arg(short = 'D', value_name = "NAME=VALUE")]
    properties: Vec<String>,
    /// A file of such properties, which win
    #[arg(long, value_name = "FILE")]
    client_configuration: Option<PathBuf>,
}

impl TlsArgs {
    /// What holds together with the environment.
    pub(crate) fn properties(&self) -> Result<Properties> {
        let mut properties = Properties::of_env(&Env::of_this_process());
        for given in &self.properties {
            let (name, value) = given
                .split_once('=')
                .with_context(|| format!("-D{given} has no value"))?;
            properties.add(name, value);
        }
        if let Some(path) = &self.client_configuration {
            properties.add_file(path)?;
        }
        Ok(properties)
    }

    /// TLS, if it is wanted.
    pub(crate) fn client(&self) -> Result<Option<TlsClient>> {
        self.properties()?.client()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_win_over_flags_and_flags_over_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("client.properties");
        std::fs::write(&file, "zookeeper.client.secure = true\n").unwrap();
        let env = Env::from([
            ("CLIENT_JVMFLAGS", "-Xmx1g -Dzookeeper.client.secure=true"),
            ("JVMFLAGS", "-Dzookeeper.client.secure=false -Dother=1"),
        ]);
        let mut properties = Properties::of_env(&env);
        assert!(properties.client().unwrap().is_none());
        properties.add_file(&file).unwrap();
        let error = properties.client().unwrap_err().to_string();
        assert!(
            error.starts_with("zookeeper.ssl.trustStore.location is not set"),
            "{error}"
        );
        properties.add_flags("-Dzookeeper.ssl.trustStore.location=/none.pem");
        let error = properties.client().unwrap_err().to_string();
        assert!(error.contains("/none.pem: cannot be read"), "{error}");
        properties.add_flags("-Dzookeeper.ssl.enabledProtocols=SSLv3");
        let error = properties.client().unwrap_err().to_string();
        assert!(
            error.starts_with("zookeeper.ssl.enabledProtocols: allowed is"),
            "{error}"
        );
    }
}
