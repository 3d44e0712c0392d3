//! Owns TLS: key and trust stores, whom to believe, handshakes, and the streams that come of them.
//! May use the settings. Must not know what is said over a stream.

mod context;
mod der;
mod handshake;
mod host;
mod jks;
mod pem;
mod reload;
mod settings;
mod stores;
mod stream;
mod subject;
mod verify;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use context::{knows_suite, suite_names};
pub use handshake::{Tls, TlsClient, TlsFailure, Use};
pub use reload::watch as watch_files;
pub use settings::{ClientAuth, Secret, StoreKind, StoreSettings, TlsSettings, Versions};
pub use stream::Stream;
use stream::{First, first};
pub use subject::rfc2253;

/// How a connection begins that is TLS: the type of its first record.
/// Source: `NettyServerCnxnFactory.TLS_HANDSHAKE_RECORD_TYPE`.
pub const HANDSHAKE_RECORD: u8 = 22;

/// Why there can be no TLS with these settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A store that is needed is not named.
    #[error("{key} is not set: {reason}")]
    Missing {
        /// The key.
        key: String,
        /// What it is for.
        reason: &'static str,
    },
    /// A store cannot be used.
    #[error("{key}={}: {reason}", path.display())]
    Store {
        /// The key that names it.
        key: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The settings contradict each other.
    #[error("{prefix}*: {reason}")]
    Settings {
        /// How their keys begin.
        prefix: &'static str,
        /// What is wrong with them.
        reason: String,
    },
}
