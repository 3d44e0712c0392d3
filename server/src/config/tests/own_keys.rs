//! Owns a value for every key that ZooKeeper does not have.

use super::super::LogFormat;
use super::every_key::Check;

/// As in `every_key`.
pub(super) const CASES: &[(&str, &str, Check)] = &[
    ("menagerie.log.level", "info,menagerie::peer=debug", |c| {
        c.log.level.as_deref() == Some("info,menagerie::peer=debug")
    }),
    ("menagerie.log.format", "json", |c| {
        c.log.format == LogFormat::Json
    }),
    ("menagerie.slowRequestMs", "7", |c| c.slow_request_ms == 7),
    ("menagerie.limit.session.requestsPerSecond", "7", |c| {
        c.allowances.session.requests == 7
    }),
    ("menagerie.limit.session.bytesPerSecond", "7", |c| {
        c.allowances.session.bytes == 7
    }),
    ("menagerie.limit.session.watches", "7", |c| {
        c.allowances.watches == 7
    }),
    ("menagerie.limit.address.requestsPerSecond", "7", |c| {
        c.allowances.address.requests == 7
    }),
    ("menagerie.limit.address.bytesPerSecond", "7", |c| {
        c.allowances.address.bytes == 7
    }),
];
