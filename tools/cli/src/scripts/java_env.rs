//! Owns the file `java.env`, which Apache's scripts read as shell: the assignments in it. Must not
//! run anything.

use std::io::ErrorKind;
use std::path::Path;

use crate::env::Env;

/// Takes up the assignments of a file, if it is there; what cannot be understood comes back as
/// sentences.
pub(super) fn read(path: &Path, env: &mut Env) -> Vec<String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => return vec![format!("cannot read {}: {error}", path.display())],
    };
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        match assignment(line, env) {
            Some((name, value)) => env.set(name, &value),
            None => complaints.push(format!(
                "{}:{}: not an assignment, passed over: {line}",
                path.display(),
                index + 1
            )),
        }
    }
    complaints
}

/// `NAME=value`, the value without its quotes and with variables filled in.
fn assignment<'a>(line: &'a str, env: &Env) -> Option<(&'a str, String)> {
    let (name, value) = line.split_once('=')?;
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(letter) {
        return None;
    }
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(literal) = inner('\'') {
        return (!literal.contains('\'')).then(|| (name, literal.to_owned()));
    }
    let plain = match inner('"') {
        Some(quoted) => quoted,
        None if value.contains(char::is_whitespace) => return None,
        None => value,
    };
    // Commands, escapes and further quotes take a real shell.
    if plain.contains(['`', '\\', '"', '\'', ';', '&', '|']) || plain.contains("$(") {
        return None;
    }
    let mut parts = plain.split('$');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (variable, rest) = match part.strip_prefix('{') {
            Some(braced) => braced.split_once('}')?,
            None => part.split_at(part.find(|c| !letter(c)).unwrap_or(part.len())),
        };
        if variable.is_empty() || !variable.chars().all(letter) {
            return None;
        }
        filled += &env.get(variable).unwrap_or_default();
        filled += rest;
    }
    Some((name, filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_taken_and_the_rest_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("java.env");
        let text = "#!/bin/sh\n# ours\nexport JVMFLAGS=\"-Xmx1g $JVMFLAGS\"\nA=b\nQ='$A'\n\
                    C=\"${A}c\"\nif [ x ]; then\nD=$(date)\nE=a b\n";
        std::fs::write(&path, text).unwrap();
        let mut env = Env::from([("JVMFLAGS", "-Dx=y")]);
        let complaints = read(&path, &mut env);
        assert_eq!(env.get("JVMFLAGS").as_deref(), Some("-Xmx1g -Dx=y"));
        let value = |name: &str| env.get(name).unwrap_or_default();
        assert_eq!([value("A"), value("Q"), value("C")], ["b", "$A", "bc"]);
        assert_eq!(complaints.len(), 3, "{complaints:?}");
        assert!(complaints[0].contains("java.env:7: "), "{complaints:?}");
        assert_eq!(read(&dir.path().join("no"), &mut env), Vec::<String>::new());
    }
}
