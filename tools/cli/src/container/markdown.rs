//! Owns the table of variables as docker/README.md shows it. May use the table. Must not add facts of
//! its own.

use std::fs;

use super::table::{Effect, Image, VARIABLES, Variable};

/// Marks the beginning of the generated part.
const BEGIN: &str = "<!-- begin: variables, generated -->";
/// Marks its end.
const END: &str = "<!-- end: variables -->";

fn table() -> String {
    let mut text = String::new();
    for (image, title) in [
        (Image::Official, "As in the official image"),
        (Image::Bitnami, "As in Bitnami's image"),
        (Image::Confluent, "As in Confluent's image"),
    ] {
        text += &format!("\n### {title}\n\n| variable | default | what it does |\n|---|---|---|\n");
        for variable in VARIABLES.iter().filter(|variable| variable.image == image) {
            let default = match variable.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            text += &format!("| `{}` | {default} | {} |\n", variable.name, what(variable));
        }
    }
    text
}

fn what(variable: &Variable) -> String {
    let effect = match variable.effect {
        Effect::Line(key) => format!("`{key}`"),
        Effect::YesNo(key) => format!("`{key}`, as `yes` or `no`"),
        Effect::Yes(key, value) => format!("`yes` sets `{key}={value}`"),
        Effect::With(switch, key) => format!("`{key}`, if `{switch}` says `yes`"),
        Effect::Special => String::new(),
        Effect::Nothing(reason) => format!("nothing: {reason}"),
        Effect::Refused(reason) => format!("`yes` stops the start: {reason}"),
        Effect::Demanded(reason) => format!("`no` stops the start: {reason}"),
    };
    match (effect.as_str(), variable.doc) {
        ("", doc) => doc.to_owned(),
        (_, "") => effect,
        (_, doc) => format!("{effect}. {doc}"),
    }
}

#[test]
fn the_readme_has_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docker/README.md");
    let text = fs::read_to_string(path).unwrap();
    let (before, rest) = text
        .split_once(BEGIN)
        .expect("the README marks where the table is");
    let (_, after) = rest
        .split_once(END)
        .expect("the README marks where the table ends");
    let fresh = format!("{before}{BEGIN}\n{}\n{END}{after}", table());
    if text != fresh {
        assert!(
            std::env::var_os("UPDATE_EXPECT").is_some(),
            "the table in docker/README.md is old; renew it with \
             UPDATE_EXPECT=1 cargo test -p menagerie-tools"
        );
        fs::write(path, fresh).unwrap();
    }
}

#[test]
fn variables_are_named_once_and_switches_exist() {
    for (index, variable) in VARIABLES.iter().enumerate() {
        let again = VARIABLES
            .iter()
            .skip(index + 1)
            .any(|other| other.name == variable.name);
        assert!(!again, "{} is there twice", variable.name);
        assert!(
            !what(variable).is_empty(),
            "{} is not explained",
            variable.name
        );
        if let Effect::With(switch, _) = variable.effect {
            assert!(
                VARIABLES.iter().any(|other| other.name == switch),
                "{switch}"
            );
        }
    }
}
