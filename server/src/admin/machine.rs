//! Owns what is told of the machine and of properties. Must not show a secret.

use serde_json::{Map, Value};

use super::answer::Answer;
use crate::fourletter::environment_lines;
use crate::shared::Shared;

/// Source: `EnvCommand`.
pub(super) fn environment() -> Answer {
    let lines = environment_lines().into_iter();
    Answer {
        fields: lines
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect(),
        ..Answer::default()
    }
}

/// What a Java server has as system properties and means something here: the settings that were
/// given as such, by line or flag. Source: `SystemPropertiesCommand`.
pub(super) fn properties(shared: &Shared) -> Answer {
    let mut fields: Map<String, Value> = Map::new();
    for (key, value) in shared.config.shown_properties() {
        fields.insert(format!("zookeeper.{key}"), value.into());
    }
    let of_machine = [
        "os.arch",
        "os.name",
        "os.version",
        "user.dir",
        "user.home",
        "user.name",
    ];
    for (key, value) in environment_lines() {
        if of_machine.contains(&key) {
            fields.insert(key.to_owned(), value.into());
        }
    }
    Answer {
        fields,
        ..Answer::default()
    }
}
