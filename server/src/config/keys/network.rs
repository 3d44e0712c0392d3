//! Owns the keys for listening and for sessions. May use the readers of values. Must not hold any
//! setting itself.

use super::{Config, KeySpec, key};
use crate::config::value::{Refused, Taken, lenient_bool, lenient_int, strict_bool, strict_int};

pub(super) const LISTEN: &[KeySpec] = &[
    key(
        "clientPort",
        "2181 without a file",
        "Port for clients; 0 takes a free one.",
        |c, _, v| strict_int(v, 0, i32::from(u16::MAX), &mut c.client_port),
    )
    .file_only(),
    key(
        "clientPortAddress",
        "every address",
        "Host name or address to listen on.",
        |c, _, v| {
            c.client_port_address = Some(v.to_owned());
            Ok(Taken::Exactly)
        },
    )
    .file_only(),
    key(
        "clientPortListenBacklog",
        "-1",
        "Connections that may wait to be accepted; below 1 means 50.",
        |c, _, v| strict_int(v, i32::MIN, i32::MAX, &mut c.client_port_listen_backlog),
    )
    .file_only(),
    key(
        "clientTcpKeepAlive",
        "false",
        "TCP keep-alive on client sockets.",
        |c, _, v| lenient_bool(v, &mut c.client_tcp_keep_alive),
    ),
    key(
        "nio.sessionlessCnxnTimeout",
        "10000",
        "Milliseconds a connection may live without a session.",
        |c, _, v| lenient_int(v, 1, &mut c.sessionless_timeout_ms),
    ),
];

pub(super) const SESSIONS: &[KeySpec] = &[
    key(
        "tickTime",
        "3000",
        "Milliseconds of a tick, the step of session expiry.",
        |c, _, v| strict_int(v, 1, i32::MAX, &mut c.tick_time_ms),
    )
    .file_only(),
    key(
        "minSessionTimeout",
        "2 × tickTime",
        "Shortest session time-out in milliseconds.",
        |c, _, v| timeout(v, &mut c.derived.min_session_timeout_ms),
    )
    .reloaded(take_min)
    .file_only(),
    key(
        "maxSessionTimeout",
        "20 × tickTime",
        "Longest session time-out in milliseconds.",
        |c, _, v| timeout(v, &mut c.derived.max_session_timeout_ms),
    )
    .reloaded(take_max)
    .file_only(),
    key(
        "closeSessionTxn.enabled",
        "true",
        "Closing a session logs the paths of its ephemerals.",
        |c, _, v| lenient_bool(v, &mut c.close_session_txn_enabled),
    ),
    key(
        "localSessionsEnabled",
        "false",
        "New sessions are known to one server of an ensemble only, and end there.",
        |c, _, v| strict_bool(v, &mut c.quorum.local_sessions),
    )
    .file_only(),
    key(
        "localSessionsUpgradingEnabled",
        "false",
        "Local sessions become the ensemble's when they create an ephemeral node, which otherwise they cannot.",
        |c, _, v| strict_bool(v, &mut c.quorum.local_sessions_upgrading),
    )
    .file_only(),
];

/// What follows from `tickTime` stays with the tick that the server started with.
fn take_min(new: &Config, live: &mut Config) {
    if new.tick_time_ms == live.tick_time_ms || new.is_given("minSessionTimeout") {
        live.min_session_timeout_ms = new.min_session_timeout_ms;
    }
}

/// As [`take_min`].
fn take_max(new: &Config, live: &mut Config) {
    if new.tick_time_ms == live.tick_time_ms || new.is_given("maxSessionTimeout") {
        live.max_session_timeout_ms = new.max_session_timeout_ms;
    }
}

/// −1 means that it is not set, as in `QuorumPeerConfig`.
fn timeout(value: &str, field: &mut Option<i32>) -> Result<Taken, Refused> {
    let mut timeout = -1_i32;
    strict_int(value, i32::MIN, i32::MAX, &mut timeout)?;
    *field = (timeout != -1).then_some(timeout);
    Ok(Taken::Exactly)
}
