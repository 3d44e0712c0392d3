//! Owns the keys for limits, throttling and batching. May use the readers of values. Must not hold
//! any setting itself.

use super::{KeySpec, key, no_effect};
use crate::config::value::{
    Taken, lenient_bool, lenient_int, lenient_long, strict_f64, strict_int,
};

const WAITS_UNREAD: &str = "a waiting request stays unread with its connection and ends with it";

/// Requests above it, with what the log adds, would not fit the longest record the log reads.
const REQUEST_MAX: usize = 48 << 20;

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "maxClientCnxns",
        "60",
        "Connections from one address; 0 means no limit.",
        |c, _, v| {
            let mut limit = 0_i64;
            strict_int(v, i32::MIN, i32::MAX, &mut limit)?;
            c.max_client_cnxns = usize::try_from(limit).unwrap_or_default();
            Ok(Taken::Exactly)
        },
    )
    .reloaded(|new, live| live.max_client_cnxns = new.max_client_cnxns)
    .file_only(),
    key(
        "maxCnxns",
        "0",
        "Connections in all; 0 means no limit.",
        |c, _, v| lenient_int(v, 0, &mut c.max_cnxns),
    )
    .reloaded(|new, live| live.max_cnxns = new.max_cnxns),
    key(
        "globalOutstandingLimit",
        "1000",
        "Requests in the server from which on connections with a request under way are not read.",
        |c, _, v| lenient_int(v, 0, &mut c.global_outstanding_limit),
    )
    .reloaded(|new, live| live.global_outstanding_limit = new.global_outstanding_limit),
    key(
        "jute.maxbuffer",
        "1048575",
        "Longest request in bytes.",
        |c, _, v| {
            let default = c.jute_max_buffer;
            let taken = lenient_int(v, 0, &mut c.jute_max_buffer)?;
            if c.jute_max_buffer == 0 {
                c.jute_max_buffer = default;
                let message = format!("would refuse every request; the default holds: {default}");
                return Ok(Taken::Adjusted(message));
            }
            if c.jute_max_buffer > REQUEST_MAX {
                c.jute_max_buffer = REQUEST_MAX;
                let message =
                    format!("is more than one record of the log takes; {REQUEST_MAX} holds");
                return Ok(Taken::Adjusted(message));
            }
            Ok(taken)
        },
    )
    .bare(),
    key(
        "jute.maxbuffer.extrasize",
        "as jute.maxbuffer",
        "Bytes a request may grow by on its way to the log.",
        no_effect,
    )
    .no_need("the log takes any request that is short enough to be accepted"),
    key(
        "largeRequestThreshold",
        "-1",
        "Bytes from which on a request counts as large; -1 means none does.",
        |c, _, v| {
            let default = c.large_request_threshold;
            let taken = lenient_int(v, -1, &mut c.large_request_threshold)?;
            if c.large_request_threshold == 0 {
                c.large_request_threshold = default;
                return Ok(Taken::Adjusted(
                    "must be -1 or more than 0; -1 holds".into(),
                ));
            }
            Ok(taken)
        },
    )
    .reloaded(|new, live| live.large_request_threshold = new.large_request_threshold),
    key(
        "largeRequestMaxBytes",
        "104857600",
        "Bytes of large requests in the server; a request beyond closes its connection.",
        |c, _, v| {
            let default = c.large_request_max_bytes;
            let taken = lenient_int(v, 0, &mut c.large_request_max_bytes)?;
            if c.large_request_max_bytes == 0 {
                c.large_request_max_bytes = default;
                return Ok(Taken::Adjusted(format!(
                    "must be more than 0; {default} holds"
                )));
            }
            Ok(taken)
        },
    )
    .reloaded(|new, live| live.large_request_max_bytes = new.large_request_max_bytes),
    key(
        "request_throttle_max_requests",
        "0",
        "Requests in the pipeline from which on others wait; 0 means no limit.",
        |c, _, v| lenient_int(v, 0, &mut c.request_throttle_max_requests),
    )
    .reloaded(|new, live| live.request_throttle_max_requests = new.request_throttle_max_requests),
    key(
        "request_throttle_stall_time",
        "100",
        "Milliseconds a waiting request sleeps before it looks again.",
        |c, _, v| lenient_int(v, 1, &mut c.request_throttle_stall_time_ms),
    )
    .reloaded(|new, live| live.request_throttle_stall_time_ms = new.request_throttle_stall_time_ms),
    key(
        "request_throttle_drop_stale",
        "true",
        "Stale waiting requests are dropped.",
        no_effect,
    )
    .no_need(WAITS_UNREAD),
    key(
        "request_stale_latency_check",
        "false",
        "A request that waited longer than its session time-out is stale.",
        no_effect,
    )
    .no_need(WAITS_UNREAD),
    key(
        "request_stale_connection_check",
        "true",
        "A request whose connection is closed is stale.",
        no_effect,
    )
    .no_need(WAITS_UNREAD),
    key(
        "request_throttler.shutdownTimeout",
        "10000",
        "Milliseconds a shutdown waits for waiting requests.",
        no_effect,
    )
    .no_need(WAITS_UNREAD),
    key(
        "throttled_op_wait_time",
        "0",
        "Milliseconds in the queue after which a request is answered THROTTLEDOP; 0 means never.",
        |c, _, v| lenient_int(v, 0, &mut c.throttled_op_wait_time_ms),
    )
    .reloaded(|new, live| live.throttled_op_wait_time_ms = new.throttled_op_wait_time_ms),
    key(
        "connection_throttle_tokens",
        "0",
        "Size of the token bucket for new sessions; 0 turns it off.",
        |c, _, v| lenient_int(v, 0, &mut c.connection_throttle.tokens),
    )
    .reloaded(|new, live| live.connection_throttle.tokens = new.connection_throttle.tokens),
    key(
        "connection_throttle_fill_time",
        "1",
        "Milliseconds between refills of the bucket.",
        |c, _, v| lenient_int(v, 1, &mut c.connection_throttle.fill_time_ms),
    )
    .reloaded(|new, live| {
        live.connection_throttle.fill_time_ms = new.connection_throttle.fill_time_ms
    }),
    key(
        "connection_throttle_fill_count",
        "1",
        "Tokens of a refill.",
        |c, _, v| lenient_int(v, 0, &mut c.connection_throttle.fill_count),
    )
    .reloaded(|new, live| live.connection_throttle.fill_count = new.connection_throttle.fill_count),
    key(
        "connection_throttle_freeze_time",
        "-1",
        "Milliseconds between changes of the dropping probability; -1 means no dropping.",
        |c, _, v| lenient_int(v, -1, &mut c.connection_throttle.freeze_time_ms),
    )
    .reloaded(|new, live| {
        live.connection_throttle.freeze_time_ms = new.connection_throttle.freeze_time_ms
    }),
    key(
        "connection_throttle_drop_increase",
        "0.02",
        "Added to the probability when the bucket is empty.",
        |c, _, v| strict_f64(v, 0.0, 1.0, &mut c.connection_throttle.drop_increase),
    )
    .reloaded(|new, live| {
        live.connection_throttle.drop_increase = new.connection_throttle.drop_increase
    }),
    key(
        "connection_throttle_drop_decrease",
        "0.002",
        "Taken from the probability when the bucket is full enough.",
        |c, _, v| strict_f64(v, 0.0, 1.0, &mut c.connection_throttle.drop_decrease),
    )
    .reloaded(|new, live| {
        live.connection_throttle.drop_decrease = new.connection_throttle.drop_decrease
    }),
    key(
        "connection_throttle_decrease_ratio",
        "0",
        "The part of the bucket that is full enough.",
        |c, _, v| strict_f64(v, 0.0, 1.0, &mut c.connection_throttle.decrease_ratio),
    )
    .reloaded(|new, live| {
        live.connection_throttle.decrease_ratio = new.connection_throttle.decrease_ratio
    }),
    key(
        "connection_throttle_weight_enabled",
        "false",
        "Sessions cost tokens by weight.",
        |c, _, v| lenient_bool(v, &mut c.connection_throttle.weight_enabled),
    )
    .reloaded(|new, live| {
        live.connection_throttle.weight_enabled = new.connection_throttle.weight_enabled
    }),
    key(
        "connection_throttle_global_session_weight",
        "3",
        "Tokens a new session costs.",
        |c, _, v| lenient_int(v, 1, &mut c.connection_throttle.global_session_weight),
    )
    .reloaded(|new, live| {
        live.connection_throttle.global_session_weight =
            new.connection_throttle.global_session_weight
    }),
    key(
        "connection_throttle_local_session_weight",
        "1",
        "Tokens a new local session costs.",
        |c, _, v| lenient_int(v, 1, &mut c.connection_throttle.local_session_weight),
    )
    .reloaded(|new, live| {
        live.connection_throttle.local_session_weight = new.connection_throttle.local_session_weight
    }),
    key(
        "connection_throttle_renew_session_weight",
        "2",
        "Tokens a resumed session costs.",
        |c, _, v| lenient_int(v, 1, &mut c.connection_throttle.renew_session_weight),
    )
    .reloaded(|new, live| {
        live.connection_throttle.renew_session_weight = new.connection_throttle.renew_session_weight
    }),
    key(
        "flushDelay",
        "0",
        "Milliseconds a batch of writes may wait for company before it is flushed.",
        |c, _, v| lenient_long(v, 0, &mut c.flush_delay_ms),
    ),
    key(
        "maxWriteQueuePollTime",
        "flushDelay / 3",
        "Milliseconds of quiet after which a waiting batch is flushed.",
        no_effect,
    )
    .no_need("a waiting batch is flushed after flushDelay or with maxBatchSize writes"),
    key(
        "maxBatchSize",
        "1000",
        "Writes in a batch at most.",
        |c, _, v| lenient_int(v, 0, &mut c.max_batch_size),
    ),
];
