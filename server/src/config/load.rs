//! Owns the sources and their precedence. May read the configuration file. Must not know any key.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use menagerie_tls::Secret;
use menagerie_wire::text::properties;

use super::error::{ConfigError, Origin, Severity, Warning, shown};
use super::flags::{self, Flag};
use super::keys::{DOCUMENTED_NAMES, KeySpec, Property, Status, lookup, similar};

use super::settings::Config;
use super::value::{Refused, Taken};

/// One value on its way into the configuration.
struct Entry {
    spec: &'static KeySpec,
    /// The key as the table knows it.
    key: String,
    value: String,
    /// The key as it was written.
    written: String,
    origin: Origin,
}

/// Collects entries so that each key is applied once, with the value that wins.
struct Loader {
    config: Config,
    entries: Vec<Entry>,
    warnings: Vec<Warning>,
}

impl Config {
    /// Reads Java flags from the environment `env` and then the file at `path`; without a file the
    /// embedded defaults hold.
    ///
    /// # Errors
    /// [`ConfigError`], with the file, line and key where there is one.
    pub fn from_sources(
        path: Option<&Path>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let mut loader = Loader::new();
        loader.read_flags(env);
        if let Some(path) = path {
            loader.read_file(path)?;
        }
        loader.finish()
    }

    /// Reads the arguments of the command line (without the program's name): none, the path of a
    /// `zoo.cfg`, or `port dataDir [tickTime] [maxClientCnxns]`. Source: `ServerConfig.parse`, where
    /// the last form has no limit of connections by default.
    ///
    /// # Errors
    /// [`ConfigError`], as [`Config::from_sources`].
    pub fn from_args(
        args: &[String],
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        match args {
            [] => Self::from_sources(None, env),
            [path] => Self::from_sources(Some(Path::new(path)), env),
            _ if args.len() > 4 => Err(ConfigError::Usage(args.len())),
            _ => {
                let mut loader = Loader::new();
                loader.read_flags(env);
                loader.config.max_client_cnxns = 0;
                let names = ["clientPort", "dataDir", "tickTime", "maxClientCnxns"];
                for (index, (key, value)) in names.into_iter().zip(args).enumerate() {
                    loader.read_line(key, value, Origin::Argument(index + 1));
                }
                loader.finish()
            }
        }
    }

    /// Sets one key, as a line in `zoo.cfg` or as a Java property (with or without `zookeeper.`).
    /// Call [`Config::complete`] after the last one.
    ///
    /// # Errors
    /// [`ConfigError`] when the key does not allow the value.
    pub fn set(&mut self, key: &str, value: &str) -> Result<Vec<Warning>, ConfigError> {
        let plain = key.strip_prefix("zookeeper.").unwrap_or(key);
        let mut loader = Loader::new();
        std::mem::swap(self, &mut loader.config);
        if let Some(spec) = lookup(plain) {
            loader.push(spec, plain, value, key, Origin::Parameter);
        } else {
            loader.read_line(plain, value, Origin::Parameter);
        }
        let applied = loader.apply();
        std::mem::swap(self, &mut loader.config);
        applied.map(|()| loader.warnings)
    }
}

impl Loader {
    fn new() -> Self {
        Self {
            config: Config::embedded_default(),
            entries: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn finish(mut self) -> Result<(Config, Vec<Warning>), ConfigError> {
        self.apply()?;
        self.warnings.extend(self.config.complete()?);
        Ok((self.config, self.warnings))
    }

    fn read_flags(&mut self, env: &dyn Fn(&str) -> Option<String>) {
        let disabled = env(flags::AUTOCREATE_DISABLE).is_some_and(|value| !value.is_empty());
        if let Some(spec) = lookup("datadir.autocreate").filter(|_| disabled) {
            let variable = flags::AUTOCREATE_DISABLE;
            let origin = Origin::Flag {
                variable,
                flag: "-Dzookeeper.datadir.autocreate".into(),
            };
            self.push(spec, spec.name, "false", spec.name, origin);
        }
        for variable in flags::VARIABLES {
            let Some(text) = env(variable) else { continue };
            let mut other = Vec::new();
            for (written, flag) in flags::read(&text) {
                self.read_flag(variable, written, flag, &mut other);
            }
            if !other.is_empty() {
                self.warnings.push(Warning {
                    severity: Severity::Notice,
                    origin: None,
                    key: variable.into(),
                    message: format!("flags without a meaning here: {}", other.join(" ")),
                });
            }
        }
    }

    fn read_flag(
        &mut self,
        variable: &'static str,
        written: String,
        flag: Flag,
        other: &mut Vec<String>,
    ) {
        let origin = Origin::Flag {
            variable,
            flag: written.clone(),
        };
        match flag {
            Flag::Setting {
                key,
                value,
                spec,
                old,
            } => {
                if !old || !self.entries.iter().any(|entry| entry.key == key) {
                    self.push(spec, &key, &value, &key, origin);
                }
            }
            Flag::Useless { value, reason } => {
                let key = written.trim_start_matches("-D");
                let message = format!("\"{}\": {reason}", shown(key, &value));
                self.warn(Severity::Warning, Some(origin), "", message);
            }
            Flag::Unknown { key, value } => self.unknown(&key, &value, origin),
            Flag::Other => other.push(written),
        }
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let entries = read_properties(path)?;
        let text = fs::read(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_path_buf(),
            source,
        })?;
        self.config.initial_config = Some(Secret::new(String::from_utf8_lossy(&text).into_owned()));
        self.config.file = Some(path.to_path_buf());
        let path = Arc::new(path.to_path_buf());
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (line, key, value) in entries {
            let origin = Origin::File {
                path: Arc::clone(&path),
                line,
            };
            if let Some(earlier) = seen.insert(key.clone(), line) {
                let message = format!("was set on line {earlier} already; this line wins");
                self.warn(Severity::Warning, Some(origin.clone()), &key, message);
            }
            if !value.is_ascii() {
                let message = format!(
                    "read as \"{}\": properties files are ISO-8859-1, write other characters as \\uXXXX",
                    shown(&key, &value)
                );
                self.warn(Severity::Notice, Some(origin.clone()), &key, message);
            }
            self.read_line(&key, &value, origin);
        }
        Ok(())
    }

    /// A key as `zoo.cfg` has it.
    fn read_line(&mut self, key: &str, value: &str, origin: Origin) {
        if let Some((_, real)) = DOCUMENTED_NAMES
            .iter()
            .find(|(documented, _)| *documented == key)
        {
            let message = format!(
                "ZooKeeper documents this name and reads {real}; honoured here, write {real} to \
                 have it honoured there too"
            );
            self.warn(Severity::Notice, Some(origin.clone()), key, message);
            if let Some(spec) = lookup(real) {
                self.push(spec, real, value, key, origin);
            }
            return;
        }
        if let Some(spec) = lookup(key) {
            let theirs = spec.property == Property::Bare && !key.starts_with("menagerie.");
            if theirs && matches!(origin, Origin::File { .. }) {
                let message =
                    format!("ZooKeeper reads this as the flag -D{key} only; honoured here");
                self.warn(Severity::Notice, Some(origin.clone()), key, message);
            }
            self.push(spec, key, value, key, origin);
            return;
        }
        match key.strip_prefix("zookeeper.") {
            // Honouring it would let a line that has been dead for years, such as
            // zookeeper.skipACL, come to life with the change of servers.
            Some(plain) if lookup(plain).is_some() => {
                let message =
                    format!("ZooKeeper ignores this name, and so it is here; write {plain}");
                self.warn(Severity::Warning, Some(origin), key, message);
            }
            _ => self.unknown(key, value, origin),
        }
    }

    fn unknown(&mut self, key: &str, value: &str, origin: Origin) {
        let hint = similar(key)
            .map(|name| format!("; did you mean {name}?"))
            .unwrap_or_default();
        let message = format!("no setting of this name is known; it changes nothing{hint}");
        self.warn(Severity::Warning, Some(origin), key, message);
        self.config.unknown.insert(key.to_owned(), value.to_owned());
    }

    fn warn(&mut self, severity: Severity, origin: Option<Origin>, key: &str, message: String) {
        self.warnings.push(Warning {
            severity,
            origin,
            key: key.to_owned(),
            message,
        });
    }

    /// Takes a value in place of an earlier one of the same key.
    fn push(
        &mut self,
        spec: &'static KeySpec,
        key: &str,
        value: &str,
        written: &str,
        origin: Origin,
    ) {
        if let Some(index) = self.entries.iter().position(|entry| entry.key == key) {
            let earlier = self.entries.remove(index);
            if matches!(earlier.origin, Origin::Flag { .. }) && earlier.value != value {
                let message = format!("{} was set too; this wins", earlier.origin);
                self.warn(Severity::Notice, Some(origin.clone()), written, message);
            }
        }
        self.entries.push(Entry {
            spec,
            key: key.to_owned(),
            value: value.to_owned(),
            written: written.to_owned(),
            origin,
        });
    }

    fn apply(&mut self) -> Result<(), ConfigError> {
        for entry in std::mem::take(&mut self.entries) {
            let outcome = (entry.spec.apply)(&mut self.config, &entry.key, &entry.value);
            let value = shown(&entry.written, &entry.value);
            match outcome {
                Ok(Taken::Exactly) => {}
                Ok(Taken::Adjusted(message)) => {
                    let message = format!("\"{value}\" {message}");
                    let origin = Some(entry.origin.clone());
                    self.warn(Severity::Warning, origin, &entry.written, message);
                }
                Ok(Taken::NoEffect) => {
                    let (severity, message) = no_effect(entry.spec.status);
                    let origin = Some(entry.origin.clone());
                    self.warn(severity, origin, &entry.written, message);
                }
                Err(Refused::Invalid(allowed)) => {
                    let Entry {
                        origin,
                        written: key,
                        ..
                    } = entry;
                    return Err(ConfigError::Invalid {
                        origin,
                        key,
                        value,
                        allowed,
                    });
                }
                Err(Refused::Unsupported) => {
                    let reason = no_effect(entry.spec.status).1;
                    let Entry {
                        origin,
                        written: key,
                        ..
                    } = entry;
                    return Err(ConfigError::Unsupported {
                        origin,
                        key,
                        value,
                        reason,
                    });
                }
            }
            self.config.complete = false;
            self.config.origins.insert(entry.key, entry.origin);
        }
        Ok(())
    }
}

/// What to say about a value that changes nothing.
fn no_effect(status: Status) -> (Severity, String) {
    match status {
        Status::NoNeed(reason) => (Severity::Notice, format!("changes nothing: {reason}")),
        Status::Refused(reason) => (Severity::Warning, reason.to_owned()),
        Status::Honoured => (Severity::Notice, "changes nothing".to_owned()),
    }
}

/// The line, key and value of each entry of a properties file, trimmed as `QuorumPeerConfig` does.
pub(super) fn read_properties(path: &Path) -> Result<Vec<(usize, String, String)>, ConfigError> {
    let bytes = fs::read(path).map_err(|source| ConfigError::Unreadable {
        path: PathBuf::from(path),
        source,
    })?;
    // Source: Properties.load(InputStream) — the file is ISO-8859-1 whatever it was written in.
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let entries = properties::parse_every(&text).map_err(|error| ConfigError::Syntax {
        path: PathBuf::from(path),
        line: error.line,
        reason: error.to_string(),
    })?;
    let trim = |text: &str| text.trim_matches(|c: char| c <= ' ').to_owned();
    Ok(entries
        .into_iter()
        .map(|e| (e.line, trim(&e.key), trim(&e.value)))
        .collect())
}
