//! Owns the settings that ZooKeeper does not have. Must not know how they are written.

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// The log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSettings {
    /// What is logged, such as `debug` or `info,menagerie::peer=debug`; without it the environment's
    /// `RUST_LOG` decides, and without that `info`.
    pub level: Option<String>,
    /// How it is written.
    pub format: LogFormat,
}

/// What one client, or one address, may ask for; 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allowance {
    /// Requests per second.
    pub requests: u32,
    /// Bytes of requests per second.
    pub bytes: u32,
}

impl Allowance {
    /// Whether there is a limit.
    #[must_use]
    pub const fn is_limited(self) -> bool {
        self.requests > 0 || self.bytes > 0
    }
}

/// What clients may ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allowances {
    /// Of each session.
    pub session: Allowance,
    /// Of all sessions of one address together.
    pub address: Allowance,
    /// Watches of a session; 0 is no limit.
    pub watches: u32,
}
