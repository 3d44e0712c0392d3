//! Owns what a JSON value looks like, whatever is in it. Must not know what it is about.

use std::collections::BTreeSet;

use serde_json::Value;

/// The paths through a value with the kinds of what is at their ends. Keys that are numbers or paths
/// of nodes stand for each other, and so do the entries of a list.
pub(crate) fn shape(value: &Value) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    walk(value, "", &mut out);
    out
}

fn walk(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "fraction",
        Value::Number(_) => "whole",
        Value::String(_) => "text",
        Value::Array(list) => {
            list.iter()
                .for_each(|entry| walk(entry, &format!("{path}[]"), out));
            "list"
        }
        Value::Object(map) => {
            for (key, entry) in map {
                let any = key.starts_with('/') || key.parse::<i64>().is_ok();
                let key = if any { "*" } else { key.as_str() };
                walk(entry, &format!("{path}.{key}"), out);
            }
            "map"
        }
    };
    out.insert(format!("{path}: {kind}"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_things_do_not_matter_and_kinds_do() {
        let one = json!({"a": {"17": [1, 2]}, "b": [{"c": null}], "p": {"/x": "y"}});
        let two = json!({"b": [{"c": null}, {"c": null}], "p": {"/z": ""}, "a": {"-4": [3]}});
        assert_eq!(shape(&one), shape(&two));
        assert_ne!(shape(&json!({"a": 1})), shape(&json!({"a": 1.0})));
        assert_ne!(shape(&json!({"a": [1]})), shape(&json!({"a": ["1"]})));
        assert_ne!(shape(&json!({"a": 1})), shape(&json!({"b": 1})));
    }
}
