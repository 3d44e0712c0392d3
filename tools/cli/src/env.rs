//! Owns the environment as a value: what was given, and what is changed for the programs that are
//! started. Must not change this process's own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::Command;

/// The variables of the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Env {
    variables: BTreeMap<OsString, OsString>,
}

impl Env {
    /// Those of this process.
    pub(crate) fn of_this_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
        }
    }

    /// A variable; `None` also if it is empty, as scripts see it.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let value = self.variables.get(&OsString::from(name))?;
        Some(value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
    }

    /// The names, those that are text.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().filter_map(|name| name.to_str())
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.into(), value.into());
    }

    /// Sets a variable that is not set.
    pub(crate) fn set_default(&mut self, name: &str, value: &str) {
        if self.get(name).is_none() {
            self.set(name, value);
        }
    }

    /// Adds words to a variable that holds words.
    pub(crate) fn append(&mut self, name: &str, words: &str) {
        let before = self
            .get(name)
            .map(|before| before + " ")
            .unwrap_or_default();
        self.set(name, &(before + words));
    }

    /// Gives a program these variables and no others.
    pub(crate) fn give_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env_clear().envs(&self.variables)
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Env {
    fn from(variables: [(&str, &str); N]) -> Self {
        let mut env = Self::default();
        for (name, value) in variables {
            env.set(name, value);
        }
        env
    }
}
