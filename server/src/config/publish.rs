//! Owns the settings of what a server publishes over HTTP. Must not know how they are written.

/// The admin server. Source: `JettyAdminServer`, `Commands`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdminSettings {
    /// Whether there is one.
    pub enabled: bool,
    /// Address to listen on.
    pub address: String,
    /// Port; 0 lets the system choose a free one.
    pub port: u16,
    /// Where its commands are.
    pub command_url: String,
    /// Milliseconds that a connection may be idle.
    pub idle_timeout_ms: u64,
    /// Whether it takes TLS as well, with the stores of `ssl.quorum.`.
    pub port_unification: bool,
    /// Whether it takes nothing else.
    pub force_https: bool,
    /// Whether who speaks TLS with it must have a certificate.
    pub need_client_auth: bool,
    /// Whether the command `snapshot` does something.
    pub snapshot_enabled: bool,
    /// Whether the command `restore` does something.
    pub restore_enabled: bool,
    /// Milliseconds between two snapshots, and between two restores.
    pub rate_limit_ms: i64,
    /// Whether `X-Forwarded-For` says where a request of the scheme `ip` comes from.
    /// Source: `IPAuthenticationProvider`.
    pub use_x_forwarded_for: bool,
    /// The console.
    pub console: ConsoleSettings,
}

/// The console: pages for people on the admin server's port. Ours alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsoleSettings {
    /// Whether there is one; if nobody says so, only on a server without a configuration file.
    pub enabled: Option<bool>,
    /// Names under which browsers may ask for it, besides addresses and the names of this machine
    /// and of the ensemble's members.
    pub hosts: Vec<String>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            address: "0.0.0.0".to_owned(),
            port: 8080,
            command_url: "/commands".to_owned(),
            idle_timeout_ms: 30_000,
            port_unification: false,
            force_https: false,
            need_client_auth: false,
            snapshot_enabled: true,
            restore_enabled: true,
            rate_limit_ms: 300_000,
            use_x_forwarded_for: false,
            console: ConsoleSettings::default(),
        }
    }
}

/// The metrics provider. Source: `PrometheusMetricsProvider`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricsSettings {
    /// Whether Prometheus can scrape this server.
    pub prometheus: bool,
    /// Address to listen on.
    pub http_host: String,
    /// Port; 0 lets the system choose a free one.
    pub http_port: u16,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self {
            prometheus: false,
            http_host: "0.0.0.0".to_owned(),
            http_port: 7000,
        }
    }
}
