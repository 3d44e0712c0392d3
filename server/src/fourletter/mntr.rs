//! Owns the answer to `mntr`. Source: `MonitorCommand`.

use std::fmt::Write as _;

use menagerie_core::tree::Tree;

use super::report::double;
use crate::monitor::{self, Value};
use crate::runtime::engine::Engine;
use crate::shared::Shared;

pub(super) fn text(shared: &Shared, engine: &Engine, tree: &Tree) -> String {
    let mut text = String::new();
    for reading in monitor::readings(shared, engine, tree) {
        line(&mut text, reading.key, &reading.value);
    }
    for quota in monitor::quotas(tree) {
        let (top, what, value) = (quota.top, quota.what, quota.value);
        let _infallible = writeln!(text, "zk_{top}_quota_{what}_per_namespace\t{value}");
    }
    for (key, value) in monitor::measured(&shared.stats) {
        line(&mut text, &key, &value);
    }
    text
}

fn line(text: &mut String, key: &str, value: &Value) {
    let _infallible = match value {
        Value::Text(value) => writeln!(text, "zk_{key}\t{value}"),
        Value::Integer(value) => writeln!(text, "zk_{key}\t{value}"),
        Value::Double(value) => writeln!(text, "zk_{key}\t{}", double(*value)),
    };
}
