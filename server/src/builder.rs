//! Owns making a server from parameters. Must not serve.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use menagerie_database::RestoreError;
use menagerie_storage::StorageError;
use menagerie_tls::TlsError;

use crate::config::{Config, ConfigError};
use crate::server::ZooServer;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A parameter is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A directory or file cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database cannot be loaded.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A key store, a trust store or another setting of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no database, and `db.autocreate=false` says that there must be one.
    #[error(
        "no database in {}, and db.autocreate=false: restore it from a backup; for a new one, create the \
         file initialize there and start again",
        .0.display()
    )]
    NoDatabase(PathBuf),
    /// The client port cannot be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// What was tried.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The audit log's file cannot be written.
    #[error("{}: cannot write the audit log: {source}", path.display())]
    Audit {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread or the runtime cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// Collects parameters; made by [`ZooServer::builder`].
#[derive(Debug)]
pub struct Builder {
    config: Config,
    wrong: Option<ConfigError>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            config: Config::embedded_default(),
            wrong: None,
        }
    }

    /// Takes a whole configuration.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets one key of `zoo.cfg`; [`Builder::start`] tells what is wrong with it.
    #[must_use]
    pub fn set_parameter(mut self, key: &str, value: impl Display) -> Self {
        match self.config.set(key, &value.to_string()) {
            Ok(warnings) => {
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
            }
            Err(error) => self.wrong = self.wrong.or(Some(error)),
        }
        self
    }

    /// Sets one key given as `key=value`.
    #[must_use]
    pub fn set_parameter_line(self, line: &str) -> Self {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        self.set_parameter(key.trim(), value.trim())
    }

    /// Where the data goes.
    #[must_use]
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.config.data_dir = dir.into();
        self
    }

    /// Loads the database, opens the port and serves. Returns when clients can connect.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn start(mut self) -> Result<ZooServer, StartError> {
        if let Some(error) = self.wrong {
            return Err(error.into());
        }
        for warning in self.config.complete()? {
            tracing::warn!("{warning}");
        }
        ZooServer::start(self.config)
    }
}
