//! The text formats against what Apache ZooKeeper 3.9.5 and Java 17 make of the same input.
#![allow(clippy::unwrap_used)]

use menagerie_wire::jute::java_string;
use menagerie_wire::path::validate;
use menagerie_wire::text::{cfg, properties};

fn hex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0, "{text}");
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

fn utf16(hexed: &str) -> String {
    let units: Vec<u16> = hex(hexed)
        .chunks(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect();
    String::from_utf16_lossy(&units)
}

/// Each line: the file in hexadecimal, a tab, then `error` or `key=value;` pairs in UTF-16BE.
#[test]
fn properties_are_what_java_reads() {
    let path = std::env::var("PROPERTIES_TSV").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/properties.tsv").into()
    });
    let golden = std::fs::read_to_string(path).unwrap();
    let mut count = 0;
    for case in golden.lines().filter(|line| !line.starts_with('#')) {
        count += 1;
        let (input, expected) = case.split_once('\t').unwrap();
        let mut expected: Vec<(String, String)> = if expected == "error" {
            assert!(properties::parse(&hex(input)).is_err(), "{case}");
            continue;
        } else {
            expected
                .split_terminator(';')
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap();
                    (utf16(key), utf16(value))
                })
                .collect()
        };
        expected.sort();
        let mut found: Vec<(String, String)> = properties::parse(&hex(input))
            .unwrap_or_else(|error| panic!("{case}: {error}"))
            .into_iter()
            .map(|entry| (entry.key, entry.value))
            .collect();
        found.sort();
        assert_eq!(
            found,
            expected,
            "{:?}",
            String::from_utf8_lossy(&hex(input))
        );
    }
    assert!(count > 200, "{count}");
}

/// Each line: the value of `server.1`, a tab, then `error` or what `QuorumServer.toString` prints.
#[test]
fn server_specs_are_what_zookeeper_reads() {
    let path = std::env::var("SPECS_TSV")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/specs.tsv").into());
    let golden = std::fs::read_to_string(path).unwrap();
    let (mut right, mut wrong) = (0, 0);
    for case in golden.lines().filter(|line| !line.starts_with('#')) {
        let (input, expected) = case.split_once('\t').unwrap();
        match cfg::ServerSpec::parse(input) {
            Ok(spec) => {
                right += 1;
                assert_eq!(spec.to_string(), expected, "{input}");
                assert_eq!(
                    cfg::ServerSpec::parse(expected).unwrap().to_string(),
                    expected
                );
            }
            Err(error) => {
                wrong += 1;
                assert_eq!(expected, "error", "{input}: {error}");
            }
        }
    }
    assert!(right > 100 && wrong > 100, "{right} {wrong}");
}

/// Each line: bytes in hexadecimal, a tab, `new String(bytes, UTF_8)` in UTF-16BE.
#[test]
fn malformed_text_is_what_java_reads() {
    let path = std::env::var("UTF8_TSV")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/utf8.tsv").into());
    let golden = std::fs::read_to_string(path).unwrap();
    let mut count = 0;
    for case in golden.lines().filter(|line| !line.starts_with('#')) {
        let (input, expected) = case.split_once('\t').unwrap();
        assert_eq!(java_string(&hex(input)), utf16(expected), "{case}");
        count += 1;
    }
    assert!(count > 500, "{count}");
}

/// Each line: a path in UTF-16BE, a tab, `ok` or `error`.
#[test]
fn paths_are_judged_as_zookeeper_judges_them() {
    let path = std::env::var("PATHS_TSV")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/paths.tsv").into());
    let golden = std::fs::read_to_string(path).unwrap();
    let (mut good, mut bad) = (0, 0);
    for case in golden.lines().filter(|line| !line.starts_with('#')) {
        let (input, expected) = case.split_once('\t').unwrap();
        let input = utf16(input);
        let judged = validate(&input);
        assert_eq!(judged.is_ok(), expected == "ok", "{input:?}: {judged:?}");
        *(if judged.is_ok() { &mut good } else { &mut bad }) += 1;
    }
    assert!(good > 50 && bad > 50, "{good} {bad}");
}
