//! Owns completion of commands and paths. May ask the server for children. Must not wait long.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::commands::SPECS;

/// How long completion may wait for the server.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lists the names of a node's children; nothing if that takes too long.
pub(crate) type Children = Arc<dyn Fn(&str) -> Vec<String> + Send + Sync>;

/// Completes the word before the cursor.
pub(crate) struct ShellHelper {
    children: Mutex<Children>,
}

impl ShellHelper {
    /// That finds children so.
    pub(crate) fn new(children: Children) -> Self {
        Self {
            children: Mutex::new(children),
        }
    }

    /// For the caller's time-out.
    pub(crate) const PATIENCE: Duration = PATIENCE;

    fn candidates(&self, word: &str, is_first: bool) -> Vec<String> {
        if is_first {
            let names = SPECS.iter().map(|spec| spec.name).chain(["help"]);
            return names
                .filter(|name| name.starts_with(word))
                .map(str::to_owned)
                .collect();
        }
        let Some((parent, start)) = word.rsplit_once('/').filter(|_| word.starts_with('/')) else {
            return Vec::new();
        };
        let children = self
            .children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let names = children(if parent.is_empty() { "/" } else { parent });
        let fitting = names.into_iter().filter(|name| name.starts_with(start));
        fitting.map(|name| format!("{parent}/{name}")).collect()
    }
}

impl Completer for ShellHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..cursor).unwrap_or(line);
        let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let word = before.get(start..).unwrap_or_default();
        let is_first = before
            .get(..start)
            .is_none_or(|rest| rest.trim().is_empty());
        let pairs = self.candidates(word, is_first).into_iter();
        let pair = |text: String| Pair {
            display: text.clone(),
            replacement: text,
        };
        Ok((start, pairs.map(pair).collect()))
    }
}

impl Hinter for ShellHelper {
    type Hint = String;
}
impl Highlighter for ShellHelper {}
impl Validator for ShellHelper {}
impl Helper for ShellHelper {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_come_first_and_paths_after() {
        let children: Children = Arc::new(|path| match path {
            "/" => vec!["app".to_owned(), "zookeeper".to_owned()],
            "/app" => vec!["a1".to_owned(), "a2".to_owned(), "b".to_owned()],
            _ => Vec::new(),
        });
        let helper = ShellHelper::new(children);
        assert_eq!(
            helper.candidates("getA", true),
            ["getAcl", "getAllChildrenNumber"]
        );
        assert_eq!(helper.candidates("/z", false), ["/zookeeper"]);
        assert_eq!(helper.candidates("/app/a", false), ["/app/a1", "/app/a2"]);
        assert!(helper.candidates("x", false).is_empty());
    }
}
