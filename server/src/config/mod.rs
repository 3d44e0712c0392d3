//! Owns configuration: `zoo.cfg`, Java flags, the command line, their precedence and what they mean
//! together; one typed struct comes out. May use `wire::text` and read the files it is pointed to.
//! Must not start anything, and must never ignore silently a key that ZooKeeper documents.
//!
//! Precedence is ZooKeeper's. A key that `QuorumPeerConfig` knows is read from `zoo.cfg` only. Every
//! other key is a Java property: `-Dzookeeper.<key>` in `SERVER_JVMFLAGS`, then in `JVMFLAGS`, then
//! the line in `zoo.cfg`, of which the last wins — `QuorumPeerConfig.parseProperties` sets the
//! property when the flags are long there.

mod assemble;
mod check;
mod dynamic;
mod error;
mod flags;
mod kerberos;
mod keys;
mod load;
mod markdown;
mod own;
mod publish;
mod sasl;
mod settings;
mod shown;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use dynamic::DynamicFiles;
pub use error::{ConfigError, Origin, Severity, Warning};
pub use keys::{DOCUMENTED_NAMES, KeySpec, Property, SECTIONS, Section, Status, keys, lookup};
pub use markdown::{markdown_table, with_table};
pub use menagerie_tls::{ClientAuth, Secret, StoreKind, StoreSettings, TlsSettings, Versions};
pub use own::{Allowance, Allowances, LogFormat, LogSettings};
pub use publish::{AdminSettings, MetricsSettings};
pub(crate) use settings::addresses_to_bind;
pub use settings::{Config, ConnectionThrottle, Ensemble, QuorumSettings};
