//! Owns the table of settings as the README shows it. May use the table of keys. Must not add facts
//! of its own.

use std::fmt::Write as _;

use super::keys::{KeySpec, Property, SECTIONS, Status};

/// Marks the beginning of the generated part of the README.
const BEGIN: &str = "<!-- begin: configuration table, generated -->";
/// Marks its end.
const END: &str = "<!-- end: configuration table -->";

/// The table of all settings in Markdown, a section for each group.
#[must_use]
pub fn markdown_table() -> String {
    let mut out = String::new();
    for section in SECTIONS {
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "\n#### {}\n\n| key | default | here | what it does |\n|---|---|---|---|\n",
            section.title
        );
        for spec in section.keys {
            let default = match spec.default {
                "" => String::new(),
                plain if plain.contains(' ') => plain.to_owned(),
                value => format!("`{value}`"),
            };
            let _ = writeln!(
                out,
                "| `{}`{}{} | {default} | {} | {} |",
                spec.name,
                mark(spec),
                if spec.reload.is_some() { " ³" } else { "" },
                here(spec.status),
                spec.doc
            );
        }
    }
    out
}

/// `readme` with the table of this build between its marks; `None` if it has no marks.
#[must_use]
pub fn with_table(readme: &str) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{BEGIN}\n{}\n{END}{after}",
        markdown_table()
    ))
}

fn mark(spec: &KeySpec) -> &'static str {
    match spec.property {
        Property::Prefixed => "",
        Property::None => " ¹",
        Property::Bare => " ²",
    }
}

fn here(status: Status) -> String {
    // What to do about it is for the log.
    let brief = |reason: &'static str| reason.split([';', '(']).next().unwrap_or(reason).trim_end();
    match status {
        Status::Honoured => "honoured".into(),
        Status::NoNeed(reason) => format!("no effect: {}", brief(reason)),
        Status::Refused(reason) => format!("refused: {}", brief(reason)),
    }
}
