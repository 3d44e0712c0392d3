//! Owns what can be wrong with a configuration and where it was written. May use thiserror. Must
//! not decide anything.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A line (from 1) of a configuration file.
    File {
        /// The file, as it was named.
        path: Arc<PathBuf>,
        /// The line on which the key starts, from 1.
        line: usize,
    },
    /// A Java flag in an environment variable.
    Flag {
        /// The environment variable.
        variable: &'static str,
        /// The flag without its value, such as `-Dzookeeper.snapCount`.
        flag: String,
    },
    /// An argument of the command line, from 1.
    Argument(usize),
    /// A call of [`Config::set`](super::Config::set).
    Parameter,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Flag { variable, flag } => write!(f, "{variable}: {flag}"),
            Self::Argument(index) => write!(f, "argument {index}"),
            Self::Parameter => f.write_str("parameter"),
        }
    }
}

/// How much a [`Warning`] asks of the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing; nothing to do.
    Notice,
    /// Probably not what was meant.
    Warning,
}

/// Something about the configuration that a person should read and that does not stop the start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// How much it matters.
    pub severity: Severity,
    /// Where it was written; `None` if it is about no single line.
    pub origin: Option<Origin>,
    /// The key as it was written; empty if it is about no single key.
    pub key: String,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Why the server does not start with this configuration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {source}", path.display())]
    Unreadable {
        /// The file, as it was named.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a properties file.
    #[error("{}:{line}: {reason}", path.display())]
    Syntax {
        /// The file, as it was named.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A value that its key does not allow.
    #[error("{origin}: {key}={value}: allowed is {allowed}")]
    Invalid {
        /// Where it was written.
        origin: Origin,
        /// The key as it was written.
        key: String,
        /// The value as it was written, or `…` if it is a secret.
        value: String,
        /// What the key allows.
        allowed: String,
    },
    /// A value that ZooKeeper allows and this version does not serve.
    #[error("{origin}: {key}={value}: {reason}")]
    Unsupported {
        /// Where it was written.
        origin: Origin,
        /// The key as it was written.
        key: String,
        /// The value as it was written, or `…` if it is a secret.
        value: String,
        /// What is missing and what to do about it.
        reason: String,
    },
    /// A setting without which there is no server.
    #[error("{}{key} is not set: {reason}", path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default())]
    Missing {
        /// The file in which it was expected.
        path: Option<PathBuf>,
        /// The key.
        key: &'static str,
        /// What it is for.
        reason: &'static str,
    },
    /// Settings that contradict each other.
    #[error("{origins}: {reason}")]
    Conflict {
        /// Where the two were written.
        origins: String,
        /// How they contradict each other.
        reason: String,
    },
    /// The command line is neither a file nor `port dataDir [tickTime] [maxClientCnxns]`.
    #[error(
        "{0} arguments: give none, the path of a zoo.cfg, or: port dataDir [tickTime] [maxClientCnxns]"
    )]
    Usage(usize),
}

/// `value` as it may be shown in a message: secrets are not.
pub(crate) fn shown(key: &str, value: &str) -> String {
    let lower = key.to_ascii_lowercase();
    if lower.contains("passw") || lower.contains("superdigest") {
        "…".into()
    } else {
        value.into()
    }
}
