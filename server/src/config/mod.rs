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
mod error;
mod flags;
mod keys;
mod load;
mod markdown;
mod settings;
mod value;

#[cfg(test)]
mod tests;

pub use error::{ConfigError, Origin, Severity, Warning};
pub use keys::{DOCUMENTED_NAMES, KeySpec, Property, SECTIONS, Section, Status, keys, lookup};
pub use markdown::{markdown_table, with_table};
pub(crate) use settings::addresses_to_bind;
pub use settings::{Config, ConnectionThrottle, Ensemble, QuorumSettings, Secret};
