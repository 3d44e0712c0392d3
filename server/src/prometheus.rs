//! Owns what Prometheus scrapes: ZooKeeper's names, types and labels, and a few of our own. May look
//! at everything. Must not measure anything itself. Source: `PrometheusMetricsProvider`.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics::{counter, gauge};
use metrics_exporter_prometheus::formatting::{write_help_line, write_type_line};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::http;
use crate::metrics::Scraped;
use crate::monitor::{self, Kind, QuotaReading, Reading, Value};
use crate::process;
use crate::shared::Shared;

/// How long a connection may be idle; scrapers come every few seconds.
const IDLE: Duration = Duration::from_secs(60);

/// Opens the port and serves on it.
pub(crate) async fn start(
    shared: &Arc<Shared>,
    stop: watch::Receiver<bool>,
) -> Result<(SocketAddr, JoinHandle<()>), (String, io::Error)> {
    let settings = &shared.config.metrics;
    let listener = http::listen(&settings.http_host, settings.http_port).await?;
    let address = listener
        .local_addr()
        .map_err(|error| (settings.http_host.clone(), error))?;
    let exporter = Arc::new(Exporter::new(Arc::clone(shared)));
    let router = Router::new()
        .route("/metrics", get(scrape))
        .with_state(exporter);
    tracing::info!(%address, "Prometheus can scrape /metrics");
    let task = tokio::spawn(http::serve(listener, router, IDLE, None, stop));
    Ok((address, task))
}

async fn scrape(State(exporter): State<Arc<Exporter>>) -> impl IntoResponse {
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    match exporter.text().await {
        Some(text) => (StatusCode::OK, kind, text),
        None => (StatusCode::SERVICE_UNAVAILABLE, kind, String::new()),
    }
}

/// Puts what is measured into Prometheus' form.
struct Exporter {
    shared: Arc<Shared>,
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    /// One scrape at a time: values are set one by one.
    one: Mutex<()>,
}

impl Exporter {
    /// Several servers may run in one process, so that none installs its recorder for all.
    fn new(shared: Arc<Shared>) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let one = Mutex::new(());
        Self {
            shared,
            recorder,
            handle,
            one,
        }
    }

    /// None when the server is ending.
    async fn text(&self) -> Option<String> {
        let (readings, quotas) = monitor::ask(&self.shared).await?;
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        metrics::with_local_recorder(&self.recorder, || {
            self.set_readings(&readings);
            self.set_quotas(&quotas);
        });
        let mut text = self.handle.render();
        self.write_summaries(&mut text);
        self.write_own(&mut text);
        write_process(&mut text);
        Some(text)
    }

    fn set_readings(&self, readings: &[Reading]) {
        for reading in readings {
            let key = reading.key;
            match (reading.kind, &reading.value) {
                (Kind::Gauge, Value::Integer(value)) => gauge!(key).set(*value as f64),
                (Kind::Gauge, Value::Double(value)) => gauge!(key).set(*value),
                (Kind::Counter, Value::Integer(value)) => {
                    counter!(key).absolute(u64::try_from(*value).unwrap_or(0));
                }
                _ => {}
            }
        }
        for (key, count) in self.shared.stats.metrics.counters() {
            counter!(key).absolute(count.total());
        }
    }

    fn set_quotas(&self, quotas: &[QuotaReading]) {
        for quota in quotas {
            let name = format!("quota_{}_per_namespace", quota.what);
            gauge!(name, "key" => quota.top.clone()).set(quota.value as f64);
        }
    }

    /// What ZooKeeper has no name for.
    fn write_own(&self, text: &mut String) {
        let stats = &self.shared.stats;
        let counters = [
            (
                "menagerie_slow_requests_total",
                "Requests that took longer than menagerie.slowRequestMs.",
                &stats.late.count,
            ),
            (
                "menagerie_limited_total",
                "Times that a client was left unread for its share of requests or bytes.",
                &stats.limited,
            ),
            (
                "menagerie_refused_watches_total",
                "Requests refused for the watch that they would have left.",
                &stats.watches_refused,
            ),
        ];
        for (key, help, count) in counters {
            write_help_line(text, key, None, None, help);
            write_type_line(text, key, None, None, "counter");
            let _infallible = writeln!(text, "{key} {}\n", count.load(Relaxed));
        }
    }

    fn write_summaries(&self, text: &mut String) {
        let stats = &self.shared.stats;
        stats.count_instant_reads();
        let basic = stats.metrics.summaries().map(|(key, s)| (key, s.scrape()));
        let advanced = stats.metrics.distributions();
        let advanced = advanced.map(|(key, d)| (key, d.scrape()));
        for (name, scraped) in basic.into_iter().chain(advanced) {
            write_head(text, name, "summary");
            write_summary(text, name, None, &scraped);
        }
        for (name, set) in stats.metrics.keyed_summaries() {
            write_head(text, name, "summary");
            for (key, of) in set.all() {
                write_summary(text, name, Some(&key), &of.scrape());
            }
        }
        for (name, set) in stats.metrics.keyed_distributions() {
            write_head(text, name, "summary");
            for (key, of) in set.all() {
                write_summary(text, name, Some(&key), &of.scrape());
            }
        }
        for (name, set) in stats.metrics.keyed_counters() {
            write_head(text, name, "counter");
            for (key, of) in set.all() {
                let key = escaped(&key);
                let _infallible = writeln!(text, "{name}{{key=\"{key}\"}} {}", of.total());
            }
        }
    }
}

fn write_head(text: &mut String, name: &str, kind: &str) {
    write_help_line(text, name, None, None, name);
    write_type_line(text, name, None, None, kind);
}

/// A label's value, as Prometheus reads it.
fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

/// A quantile of nothing is not a number, as in ZooKeeper.
fn write_summary(text: &mut String, name: &str, key: Option<&str>, scraped: &Scraped) {
    let label = key.map(|key| format!("key=\"{}\"", escaped(key)));
    for (quantile, value) in &scraped.quantiles {
        let value = value.map_or_else(|| "NaN".to_owned(), |value| value.to_string());
        let labels = label.as_ref().map(|label| format!("{label},"));
        let labels = labels.unwrap_or_default();
        let _infallible = writeln!(text, "{name}{{{labels}quantile=\"{quantile}\"}} {value}");
    }
    let labels = label
        .map(|label| format!("{{{label}}}"))
        .unwrap_or_default();
    let (count, sum) = (scraped.count, scraped.sum);
    let _infallible = writeln!(
        text,
        "{name}_sum{labels} {sum}\n{name}_count{labels} {count}\n"
    );
}

/// What Prometheus' own libraries tell of a process, and the time that threads waited for a
/// processor: the stalls that a Java server shows as pauses.
fn write_process(text: &mut String) {
    let Some(process) = process::read() else {
        return;
    };
    let mut write = |key, help, kind, value: f64| {
        write_help_line(text, key, None, None, help);
        write_type_line(text, key, None, None, kind);
        let _infallible = writeln!(text, "{key} {value}\n");
    };
    let cpu = "Total user and system CPU time spent in seconds.";
    write(
        "process_cpu_seconds_total",
        cpu,
        "counter",
        process.cpu_seconds,
    );
    let waited = "Seconds that threads which could run waited for a processor.";
    let key = "menagerie_run_queue_wait_seconds_total";
    write(key, waited, "counter", process.waited_seconds);
    let gauges = [
        (
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            process.start_seconds,
        ),
        (
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            process.resident_bytes as f64,
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
            process.virtual_bytes as f64,
        ),
        (
            "process_open_fds",
            "Number of open file descriptors.",
            process.open_fds as f64,
        ),
        (
            "process_max_fds",
            "Maximum number of open file descriptors.",
            process.max_fds as f64,
        ),
        (
            "process_threads",
            "Number of threads.",
            process.threads as f64,
        ),
    ];
    for (key, help, value) in gauges {
        write(key, help, "gauge", value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_labels() {
        let scraped = Scraped {
            count: 2,
            sum: 7,
            quantiles: vec![(0.5, Some(3)), (0.99, None)],
        };
        let mut text = String::new();
        write_summary(&mut text, "of", Some("a\"b\\"), &scraped);
        let lines: Vec<_> = text.lines().collect();
        let expected = [
            r#"of{key="a\"b\\",quantile="0.5"} 3"#,
            r#"of{key="a\"b\\",quantile="0.99"} NaN"#,
            r#"of_sum{key="a\"b\\"} 7"#,
            r#"of_count{key="a\"b\\"} 2"#,
            "",
        ];
        assert_eq!(lines, expected);
        text.clear();
        write_summary(&mut text, "of", None, &scraped);
        assert!(text.ends_with("of_sum 7\nof_count 2\n\n"), "{text}");
    }
}
