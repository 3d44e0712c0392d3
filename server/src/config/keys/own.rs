//! Owns the keys that ZooKeeper does not have. May use the readers of values. Must not hold any setting
//! itself.

use tracing_subscriber::EnvFilter;

use super::{KeySpec, key};
use crate::config::own::LogFormat;
use crate::config::value::{Refused, Taken, strict_int};

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "menagerie.log.level",
        "",
        "What is logged: error, warn, info, debug or trace, also by part, as in info,menagerie::peer=debug. Without it RUST_LOG decides, else info.",
        |c, _, v| {
            if EnvFilter::try_new(v).is_err() || v.is_empty() {
                let allowed = "error, warn, info, debug, trace, or such for parts: info,menagerie::peer=debug";
                return Err(Refused::Invalid(allowed.into()));
            }
            c.log.level = Some(v.to_owned());
            Ok(Taken::Exactly)
        },
    )
    .bare()
    .reloaded(|new, live| live.log.level.clone_from(&new.log.level)),
    key(
        "menagerie.log.format",
        "text",
        "How: text for people, or json, an object a line.",
        |c, _, v| {
            c.log.format = match v {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => return Err(Refused::Invalid("text or json".into())),
            };
            Ok(Taken::Exactly)
        },
    )
    .bare(),
    key(
        "menagerie.slowRequestMs",
        "1000",
        "Milliseconds after which a request is logged with its path and session, ten of them a second at most; 0 means never.",
        |c, _, v| strict_int(v, 0, i32::MAX, &mut c.slow_request_ms),
    )
    .bare()
    .reloaded(|new, live| live.slow_request_ms = new.slow_request_ms),
    key(
        "menagerie.limit.session.requestsPerSecond",
        "0",
        "Requests of a session in a second; what is more waits unread. 0 means no limit, as for the next four.",
        |c, _, v| strict_int(v, 0, i32::MAX, &mut c.allowances.session.requests),
    )
    .bare()
    .reloaded(|new, live| live.allowances.session.requests = new.allowances.session.requests),
    key(
        "menagerie.limit.session.bytesPerSecond",
        "0",
        "Bytes of its requests in a second.",
        |c, _, v| strict_int(v, 0, i32::MAX, &mut c.allowances.session.bytes),
    )
    .bare()
    .reloaded(|new, live| live.allowances.session.bytes = new.allowances.session.bytes),
    key(
        "menagerie.limit.session.watches",
        "0",
        "Its watches; a request for one more is answered QUOTAEXCEEDED.",
        |c, _, v| strict_int(v, 0, i32::MAX, &mut c.allowances.watches),
    )
    .bare()
    .reloaded(|new, live| live.allowances.watches = new.allowances.watches),
    key(
        "menagerie.limit.address.requestsPerSecond",
        "0",
        "Requests of all sessions of one address in a second.",
        |c, _, v| strict_int(v, 0, i32::MAX, &mut c.allowances.address.requests),
    )
    .bare()
    .reloaded(|new, live| live.allowances.address.requests = new.allowances.address.requests),
    key(
        "menagerie.limit.address.bytesPerSecond",
        "0",
        "Bytes of their requests in a second.",
        |c, _, v| strict_int(v, 0, i32::MAX, &mut c.allowances.address.bytes),
    )
    .bare()
    .reloaded(|new, live| live.allowances.address.bytes = new.allowances.address.bytes),
];
