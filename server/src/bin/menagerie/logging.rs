//! Owns where the log goes, how it is written, and what of it. Must not read configurations.

use std::io::IsTerminal as _;

use menagerie::config::{LogFormat, LogSettings};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// The log of this process.
#[derive(Debug)]
pub(crate) struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    level: Option<String>,
}

impl Logging {
    /// Begins to log to standard error.
    pub(crate) fn start(settings: &LogSettings) -> Self {
        let (filter, handle) = reload::Layer::new(filter(settings.level.as_deref()));
        let text = fmt::layer().with_writer(std::io::stderr);
        let layer = match settings.format {
            LogFormat::Json => text.json().flatten_event(true).boxed(),
            _ => text.with_ansi(std::io::stderr().is_terminal()).boxed(),
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(layer)
            .init();
        Self {
            filter: handle,
            level: settings.level.clone(),
        }
    }

    /// Logs from now on what the settings say. How it is written stays.
    pub(crate) fn change(&mut self, settings: &LogSettings) {
        if settings.level == self.level {
            return;
        }
        match self.filter.reload(filter(settings.level.as_deref())) {
            Ok(()) => self.level.clone_from(&settings.level),
            Err(error) => tracing::error!(%error, "cannot change what is logged"),
        }
    }
}

/// The level of the configuration, else what the environment says, else `info`.
fn filter(level: Option<&str>) -> EnvFilter {
    let configured = level.and_then(|level| EnvFilter::try_new(level).ok());
    configured
        .or_else(|| EnvFilter::try_from_default_env().ok())
        .unwrap_or_else(|| EnvFilter::new("info"))
}
