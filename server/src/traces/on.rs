//! Owns the way of spans to the collector. May use OpenTelemetry's SDK, whose thread sends them. Must
//! not wait: what does not fit its queue is lost, and the SDK says so.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use menagerie_wire::op::op_code;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanKind, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::Asked;
use crate::client::late;

/// Any of them names a collector. Source: OpenTelemetry's specification of the exporter.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// One for all servers of the process, as are the variables that say where spans go.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// The variables of the environment are not usable.
    #[error("cannot send spans to the collector: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// They are being sent already.
    #[error("spans are sent by this process already")]
    Twice,
}

/// Sends spans until it is dropped, and what is left then.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins to send spans of all servers in this process, if `OTEL_EXPORTER_OTLP_ENDPOINT` or
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` names a collector that speaks OTLP over HTTP. The other
    /// variables of OpenTelemetry hold too, `OTEL_TRACES_SAMPLER` and `OTEL_SERVICE_NAME` for instance.
    ///
    /// # Errors
    /// [`TracesError`].
    pub fn from_env() -> Result<Option<Self>, TracesError> {
        let named = |name: &&str| std::env::var(name).is_ok_and(|value| !value.is_empty());
        if !ENDPOINTS.iter().any(named) {
            return Ok(None);
        }
        let exporter = SpanExporter::builder().with_http().build()?;
        let mut resource = Resource::builder();
        if !named(&"OTEL_SERVICE_NAME") {
            resource = resource.with_service_name("menagerie");
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("menagerie");
        TRACER.set(tracer).map_err(|_| TracesError::Twice)?;
        Ok(Some(Self(provider)))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(Duration::from_secs(5)) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// When something began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started(Option<SystemTime>);

impl Started {
    /// Now, if anybody wants to know.
    pub(crate) fn now() -> Self {
        Self(is_on().then(SystemTime::now))
    }

    /// Of what is not told.
    pub(crate) const fn unknown() -> Self {
        Self(None)
    }
}

pub(crate) fn is_on() -> bool {
    TRACER.get().is_some()
}

/// A request that has been answered.
pub(crate) fn request(started: Started, asked: &Asked<'_>) {
    let (Some(tracer), Some(begin)) = (TRACER.get(), started.0) else {
        return;
    };
    let name = name(asked.op);
    let mut span = tracer
        .span_builder(name)
        .with_kind(SpanKind::Server)
        .with_start_time(begin)
        .start(tracer);
    if span.is_recording() {
        span.set_attribute(KeyValue::new("db.system.name", "zookeeper"));
        span.set_attribute(KeyValue::new("db.operation.name", name));
        if let Some(path) = late::path_of(asked.op, asked.body) {
            span.set_attribute(KeyValue::new("zookeeper.path", path));
        }
        let session = asked.session.to_string();
        span.set_attribute(KeyValue::new("zookeeper.session", session));
        span.set_attribute(KeyValue::new("zookeeper.cxid", i64::from(asked.cxid)));
        let (ip, port) = (asked.remote.ip().to_string(), asked.remote.port());
        span.set_attribute(KeyValue::new("network.peer.address", ip));
        span.set_attribute(KeyValue::new("network.peer.port", i64::from(port)));
    }
    span.end();
}

/// A sync of the log that has ended.
pub(crate) fn sync(took: Duration, entries: u64, bytes: u64) {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    ended("sync of the log", took, || {
        [
            KeyValue::new("menagerie.entries", count(entries)),
            KeyValue::new("menagerie.bytes", count(bytes)),
        ]
    });
}

/// An election that has ended, and what this server is now.
pub(crate) fn election(took: Duration, role: &str) {
    ended("election", took, || {
        [KeyValue::new("zookeeper.role", role.to_owned())]
    });
}

fn ended<const N: usize>(
    name: &'static str,
    took: Duration,
    attributes: impl FnOnce() -> [KeyValue; N],
) {
    let Some(tracer) = TRACER.get() else {
        return;
    };
    let now = SystemTime::now();
    let mut span = tracer
        .span_builder(name)
        .with_kind(SpanKind::Internal)
        .with_start_time(now.checked_sub(took).unwrap_or(now))
        .start(tracer);
    if span.is_recording() {
        span.set_attributes(attributes());
    }
    span.end_with_timestamp(now);
}

/// What a client calls the operation.
const fn name(op: i32) -> &'static str {
    match op {
        op_code::CREATE | op_code::CREATE2 => "create",
        op_code::CREATE_CONTAINER => "createContainer",
        op_code::CREATE_TTL => "createTTL",
        op_code::DELETE | op_code::DELETE_CONTAINER => "delete",
        op_code::EXISTS => "exists",
        op_code::GET_DATA => "getData",
        op_code::SET_DATA => "setData",
        op_code::GET_ACL => "getACL",
        op_code::SET_ACL => "setACL",
        op_code::GET_CHILDREN | op_code::GET_CHILDREN2 => "getChildren",
        op_code::GET_ALL_CHILDREN_NUMBER => "getAllChildrenNumber",
        op_code::GET_EPHEMERALS => "getEphemerals",
        op_code::SYNC => "sync",
        op_code::PING => "ping",
        op_code::MULTI => "multi",
        op_code::MULTI_READ => "multiRead",
        op_code::RECONFIG => "reconfig",
        op_code::ADD_WATCH => "addWatch",
        op_code::CHECK_WATCHES => "checkWatches",
        op_code::REMOVE_WATCHES => "removeWatches",
        op_code::SET_WATCHES | op_code::SET_WATCHES2 => "setWatches",
        op_code::WHO_AM_I => "whoAmI",
        op_code::CLOSE_SESSION => "closeSession",
        _ => "other",
    }
}
