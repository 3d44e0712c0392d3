//! Owns the spans that go to a collector of OpenTelemetry: one for each request, sync of the log and
//! election. Must not slow down a server that has none: without the feature `opentelemetry` nothing of
//! this is in the binary, and with it, a server that was not told of a collector looks at one flag.
//!
//! ZooKeeper's protocol has no room for a client's trace, so that each span is the root of its own.

#[cfg(feature = "opentelemetry")]
mod on;

#[cfg(feature = "opentelemetry")]
pub(crate) use on::{Started, election, is_on, request, sync};
#[cfg(feature = "opentelemetry")]
pub use on::{Traces, TracesError};

#[cfg(not(feature = "opentelemetry"))]
mod off;

#[cfg(not(feature = "opentelemetry"))]
pub(crate) use off::{Started, election, is_on, request, sync};

use menagerie_core::ids::SessionId;

/// What a span tells of a request.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "opentelemetry"), allow(dead_code))]
pub(crate) struct Asked<'a> {
    pub(crate) op: i32,
    pub(crate) body: &'a [u8],
    pub(crate) cxid: i32,
    pub(crate) session: SessionId,
    pub(crate) remote: std::net::SocketAddr,
}
