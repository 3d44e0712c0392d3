//! Owns what the variables of a container come to: the lines of zoo.cfg, `myid`, the variables of
//! the server, what is said. Must not read or write files.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::servers;
use super::table::{Effect, Image, VARIABLES, Variable};
use crate::env::Env;

/// The configuration of the official image when no server is named.
const ONE_SERVER: (&str, &str) = ("server.1", "localhost:2888:3888;2181");

/// Directories of other images, which their users mount: for what it stands, the data, the log.
const FOREIGN: &[(&str, &str, Option<&str>)] = &[
    ("/bitnami/zookeeper", "/bitnami/zookeeper/data", None),
    (
        "/var/lib/zookeeper",
        "/var/lib/zookeeper/data",
        Some("/var/lib/zookeeper/log"),
    ),
];

/// One line of zoo.cfg.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    key: String,
    value: String,
    /// The variable of another image that it comes from.
    from: Option<&'static str>,
}

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) data_dir: PathBuf,
    pub(super) log_dir: Option<PathBuf>,
    /// The directory of the server's output.
    pub(super) output_dir: PathBuf,
    pub(super) my_id: String,
    /// The text of zoo.cfg.
    pub(super) config: String,
    /// The environment of the server.
    pub(super) env: Env,
    /// Sentences for the log.
    pub(super) said: Vec<String>,
}

/// Whether a variable says yes, as Bitnami's scripts read it.
fn is_yes(value: &str) -> bool {
    ["1", "yes", "true"]
        .iter()
        .any(|yes| value.eq_ignore_ascii_case(yes))
}

/// The directory of zoo.cfg.
pub(super) fn config_dir(env: &Env) -> PathBuf {
    env.get("ZOO_CONF_DIR")
        .unwrap_or_else(|| "/conf".to_owned())
        .into()
}

impl Plan {
    /// Reads the variables; `is_dir` tells which directories there are.
    ///
    /// # Errors
    /// The variable that asks for what this version does not have, or that cannot be understood.
    pub(super) fn new(env: Env, is_dir: &dyn Fn(&Path) -> bool) -> Result<Self> {
        let mut plan = Self {
            data_dir: "/data".into(),
            log_dir: Some("/datalog".into()),
            output_dir: env
                .get("ZOO_LOG_DIR")
                .unwrap_or_else(|| "/logs".to_owned())
                .into(),
            my_id: String::new(),
            config: String::new(),
            env,
            said: Vec::new(),
        };
        plan.choose_directories(is_dir);
        let ids = ["ZOO_MY_ID", "ZOO_SERVER_ID", "ZOOKEEPER_SERVER_ID"];
        let id = ids.iter().find_map(|name| plan.env.get(name));
        plan.my_id = id.unwrap_or_else(|| "1".to_owned());
        let mut lines = plan.lines()?;
        plan.add_servers(&mut lines)?;
        plan.add_extra(&mut lines)?;
        plan.config = text(&lines)?;
        plan.note_unknown();
        plan.set_level();
        if let Some(flags) = plan.env.get("KAFKA_OPTS") {
            plan.env.append("SERVER_JVMFLAGS", &flags);
        }
        Ok(plan)
    }

    fn choose_directories(&mut self, is_dir: &dyn Fn(&Path) -> bool) {
        let given = |name: &str, own: &str| self.env.get(name).filter(|dir| dir != own);
        let (data, log) = (
            given("ZOO_DATA_DIR", "/data"),
            given("ZOO_DATA_LOG_DIR", "/datalog"),
        );
        let foreign = FOREIGN.iter().find(|(home, ..)| is_dir(Path::new(home)));
        let moved = foreign.filter(|_| data.is_none());
        if let Some((home, its_data, its_log)) = moved {
            self.said
                .push(format!("{home} is there: the data is kept in it"));
            self.data_dir = its_data.into();
            self.log_dir = its_log.map(PathBuf::from);
        }
        if let Some(data) = data {
            self.data_dir = data.into();
        }
        if let Some(log) = log {
            self.log_dir = Some(log.into());
        }
    }

    /// The lines that single variables stand for.
    fn lines(&mut self) -> Result<Vec<Line>> {
        let mut lines: Vec<Line> = Vec::new();
        for variable in of(Image::Official) {
            let Effect::Line(key) = variable.effect else {
                continue;
            };
            let value = match variable.name {
                "ZOO_DATA_DIR" => self.data_dir.display().to_string(),
                "ZOO_DATA_LOG_DIR" => match &self.log_dir {
                    Some(dir) => dir.display().to_string(),
                    None => continue,
                },
                _ => variable.default.to_owned(),
            };
            if !value.is_empty() {
                put(&mut lines, key, value, None);
            }
        }
        let foreign = of(Image::Confluent).chain(of(Image::Bitnami));
        for variable in foreign.chain(of(Image::Official)) {
            self.take(variable, &mut lines)?;
        }
        Ok(lines)
    }

    fn take(&mut self, variable: &'static Variable, lines: &mut Vec<Line>) -> Result<()> {
        let name = variable.name;
        let value = self.env.get(name);
        let from = (variable.image != Image::Official).then_some(name);
        if let Effect::With(switch, key) = variable.effect {
            let default = Some(variable.default).filter(|default| !default.is_empty());
            let value = value.or_else(|| default.map(str::to_owned));
            let on = self.env.get(switch).is_some_and(|value| is_yes(&value));
            if let Some(value) = value.filter(|_| on) {
                put(lines, key, value, from);
            }
            return Ok(());
        }
        let Some(value) = value else { return Ok(()) };
        match variable.effect {
            Effect::Line(_) if matches!(name, "ZOO_DATA_DIR" | "ZOO_DATA_LOG_DIR") => {}
            Effect::Line(key) => put(lines, key, value, from),
            Effect::YesNo(key) => put(lines, key, is_yes(&value).to_string(), from),
            Effect::Yes(key, yes) if is_yes(&value) => put(lines, key, yes.to_owned(), from),
            Effect::Nothing(reason) => {
                self.said.push(format!("{name} changes nothing: {reason}"));
            }
            Effect::Refused(reason) if is_yes(&value) => bail!("{name}={value}: {reason}"),
            Effect::Demanded(reason) if !is_yes(&value) => bail!("{name}={value}: {reason}"),
            _ => {}
        }
        Ok(())
    }

    fn add_servers(&self, lines: &mut Vec<Line>) -> Result<()> {
        let client_port = lines.iter().find(|line| line.key == "clientPort");
        let port = client_port
            .map_or("2181", |line| line.value.as_str())
            .to_owned();
        let foreign = client_port.is_some();
        let mut add = |(key, value): (String, String), from| lines.push(Line { key, value, from });
        if let Some(text) = self.env.get("ZOO_SERVERS") {
            let servers = servers::zoo_servers(&text, &port)?;
            if servers.is_empty() && !foreign {
                add(("clientPort".to_owned(), port), None);
            }
            for server in servers {
                add(server, None);
            }
        } else if let Some(text) = self.env.get("ZOOKEEPER_SERVERS") {
            if !foreign {
                add(("clientPort".to_owned(), port), None);
            }
            for (name, key) in [
                ("ZOOKEEPER_SERVERS", "server"),
                ("ZOOKEEPER_GROUPS", "group"),
                ("ZOOKEEPER_WEIGHTS", "weight"),
            ] {
                let text = if key == "server" {
                    Some(text.clone())
                } else {
                    self.env.get(name)
                };
                for entry in text.iter().flat_map(|text| servers::numbered(key, text)) {
                    add(entry, Some(name));
                }
            }
        } else if !foreign {
            let (key, value) = ONE_SERVER;
            add((key.to_owned(), value.to_owned()), None);
        }
        // The port that a server's own line has is not said twice.
        let has_client = |line: &Line| line.key.starts_with("server.") && line.value.contains(';');
        if lines.iter().any(has_client) {
            lines.retain(|line| line.key != "clientPort");
        }
        Ok(())
    }

    /// ZOO_CFG_EXTRA, and Bitnami's variables of which each is a key: `ZOO_CFG_a_b` is `a.b`.
    fn add_extra(&self, lines: &mut Vec<Line>) -> Result<()> {
        let keys = self
            .env
            .names()
            .filter_map(|name| Some((name, name.strip_prefix("ZOO_CFG_")?)));
        for (name, key) in keys.filter(|(_, key)| *key != "EXTRA") {
            let value = self.env.get(name).unwrap_or_default();
            put(lines, &key.replace('_', "."), value, None);
        }
        for entry in self
            .env
            .get("ZOO_CFG_EXTRA")
            .unwrap_or_default()
            .split_whitespace()
        {
            let Some((key, value)) = entry.split_once('=') else {
                bail!("ZOO_CFG_EXTRA: {entry:?} is not key=value");
            };
            // Not in place of an earlier line: the last one wins in the file, too.
            lines.push(Line {
                key: key.to_owned(),
                value: value.to_owned(),
                from: None,
            });
        }
        Ok(())
    }

    /// What is not known is said, but for what Kubernetes and Docker say about services.
    fn note_unknown(&mut self) {
        let known = |name: &str| {
            let name = name.strip_suffix("_FILE").unwrap_or(name);
            VARIABLES.iter().any(|variable| variable.name == name)
        };
        let of_services = |name: &str| {
            name.contains("_SERVICE_") || name.contains("_TCP") || name.ends_with("_PORT")
        };
        let unknown: Vec<String> = self
            .env
            .names()
            .filter(|name| name.starts_with("ZOO_") && !name.starts_with("ZOO_CFG_"))
            .filter(|name| !known(name) && !of_services(name))
            .map(|name| format!("{name} is not known and changes nothing"))
            .collect();
        self.said.extend(unknown);
    }

    fn set_level(&mut self) {
        let names = [
            "ZOO_LOG_LEVEL",
            "ZOO_LOG4J_PROP",
            "ZOOKEEPER_LOG4J_ROOT_LOGLEVEL",
        ];
        let Some(text) = names.iter().find_map(|name| self.env.get(name)) else {
            return;
        };
        let word = text
            .split(',')
            .next()
            .unwrap_or_default()
            .trim()
            .to_lowercase();
        let level = match word.as_str() {
            "all" | "trace" => "trace",
            "debug" => "debug",
            "info" => "info",
            "warn" | "warning" => "warn",
            "error" | "fatal" => "error",
            "off" => "off",
            _ => {
                self.said.push(format!(
                    "{text:?} is no level for the log; it stays at info"
                ));
                return;
            }
        };
        self.env.set_default("RUST_LOG", level);
    }
}

fn of(image: Image) -> impl Iterator<Item = &'static Variable> {
    VARIABLES
        .iter()
        .filter(move |variable| variable.image == image)
}

/// Sets a key, in its place if it has one.
fn put(lines: &mut Vec<Line>, key: &str, value: String, from: Option<&'static str>) {
    match lines.iter_mut().find(|line| line.key == key) {
        Some(line) => (line.value, line.from) = (value, from),
        None => lines.push(Line {
            key: key.to_owned(),
            value,
            from,
        }),
    }
}

fn text(lines: &[Line]) -> Result<String> {
    let mut text = String::new();
    for Line { key, value, from } in lines {
        if value.contains(['\n', '\r']) {
            bail!("{}: a value must be one line", from.unwrap_or(key));
        }
        if let Some(from) = from {
            text += &format!("# {from}\n");
        }
        text += &format!("{key}={value}\n");
    }
    Ok(text)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
