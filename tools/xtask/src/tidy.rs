//! Owns the rules for sources that no compiler checks. May read what git tracks. Must not change
//! anything.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::run::root;

/// Lines a source file may have.
const LINES: usize = 800;

/// Files that are output of a program.
const GENERATED: &[&str] = &["Cargo.lock", "package-lock.json", "go.sum"];

/// Checks every tracked file; prints what is wrong; false when something is.
pub(crate) fn check() -> Result<bool> {
    let mut complaints = Vec::new();
    for name in tracked()? {
        let path = root().join(&name);
        // Files that are not text are data; those that are gone are on their way out of git.
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        complaints.extend(file(&name, &text));
    }
    for complaint in &complaints {
        println!("{complaint}");
    }
    Ok(complaints.is_empty())
}

fn tracked() -> Result<Vec<String>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output()
        .context("cannot run git")?;
    ensure!(output.status.success(), "git ls-files: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    Ok(text
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

fn file(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let base = name.rsplit('/').next().unwrap_or(name);
    if GENERATED.contains(&base) {
        return complaints;
    }
    let rust = base.ends_with(".rs");
    if rust && text.lines().count() > LINES {
        complaints.push(format!("{name}: more than {LINES} lines"));
    }
    if rust && !is_test(name) && !text.trim_start_matches("#![").starts_with("//!") {
        complaints.push(format!("{name}:1: no //! header"));
    }
    // The markers are put together here, so that this file does not hold them.
    let markers = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
    ];
    let private = [
        concat!("/wo", "rk/"),
        concat!("artifact", "ory"),
        concat!("nexus", "."),
    ];
    let code = rust
        || [".java", ".py", ".go", ".c", ".mjs", ".sh"]
            .iter()
            .any(|e| base.ends_with(e));
    for (index, line) in text.lines().enumerate() {
        let at = index + 1;
        if let Some(marker) = markers.iter().find(|m| code && has_word(line, m)) {
            complaints.push(format!("{name}:{at}: {marker}"));
        }
        if let Some(place) = private.iter().find(|p| line.contains(**p)) {
            complaints.push(format!("{name}:{at}: names {place}"));
        }
        if base.ends_with(".md") {
            complaints.extend(dead_links(name, line).map(|link| format!("{name}:{at}: no {link}")));
        }
    }
    complaints
}

/// Integration tests and fuzz targets need no header.
fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("/tests.rs") || name.contains("/fuzz_targets/")
}

fn has_word(line: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(inside) && !after.is_some_and(inside)
    })
}

/// Relative links in a line of Markdown that lead nowhere.
fn dead_links<'a>(name: &'a str, line: &'a str) -> impl Iterator<Item = &'a str> {
    let folder = root().join(Path::new(name).parent().unwrap_or(Path::new("")));
    line.split("](").skip(1).filter_map(move |rest| {
        let link = rest.split(')').next()?;
        let path = link.split('#').next()?;
        let elsewhere = path.is_empty() || link.contains("://") || link.starts_with("mailto:");
        (!elsewhere && !folder.join(path).exists()).then_some(link)
    })
}

#[cfg(test)]
mod tests {
    use super::{file, has_word};

    #[test]
    fn a_marker_is_a_word_of_its_own() {
        let marker = concat!("TO", "DO");
        assert!(has_word(&format!("// {marker}: later"), marker));
        assert!(!has_word(&format!("{marker}S are fine"), marker));
    }

    #[test]
    fn dead_links_missing_headers_and_long_files_are_named() {
        assert_eq!(
            file("a.md", "see [this](nowhere.md)"),
            ["a.md:1: no nowhere.md"]
        );
        assert!(file("a.md", "see [this](README.md#x) and [that](https://a.b/c)").is_empty());
        assert_eq!(file("a.rs", "fn f() {}"), ["a.rs:1: no //! header"]);
        assert_eq!(
            file("a.rs", &"//! x\n".repeat(801)),
            ["a.rs: more than 800 lines"]
        );
    }
}
