//! Owns counting: latencies, errors, stalls, and the report made of them. Must not do IO.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use menagerie_wire::op::ErrorCode;
use serde::Serialize;

/// Latencies above this are clamped.
const HIGHEST_NS: u64 = 120_000_000_000;
/// Acknowledgements slower than this are kept with their times.
pub(crate) const SLOW_NS: u64 = 4_000_000;
/// How many of them.
const MAX_SLOW: usize = 100_000;

/// A request that took long: when it was sent and acknowledged, ns since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slow {
    /// Sent.
    pub(crate) sent: u64,
    /// Acknowledged.
    pub(crate) acked: u64,
}

/// What one thread counts.
pub(crate) struct Counts {
    /// Latencies of reads, ns.
    pub(crate) reads: Histogram<u64>,
    /// Latencies of everything else, ns.
    pub(crate) writes: Histogram<u64>,
    /// Replies with an error, by code.
    pub(crate) errors: BTreeMap<i32, u64>,
    /// Slow writes.
    pub(crate) slow: Vec<Slow>,
    /// The longest time without any reply, ns.
    pub(crate) worst_gap: u64,
}

impl Counts {
    /// Nothing counted yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let histogram = Histogram::new_with_bounds(100, HIGHEST_NS, 3)?;
        Ok(Self {
            reads: histogram.clone(),
            writes: histogram,
            errors: BTreeMap::new(),
            slow: Vec::new(),
            worst_gap: 0,
        })
    }

    /// Counts a reply.
    #[inline]
    pub(crate) fn record(&mut self, write: bool, sent: u64, acked: u64) {
        let latency = acked.saturating_sub(sent);
        if write {
            self.writes.saturating_record(latency);
            if latency > SLOW_NS && self.slow.len() < MAX_SLOW {
                self.slow.push(Slow { sent, acked });
            }
        } else {
            self.reads.saturating_record(latency);
        }
    }

    /// Counts an error.
    #[cold]
    pub(crate) fn error(&mut self, code: i32) {
        *self.errors.entry(code).or_default() += 1;
    }

    /// Adds another thread's counts.
    pub(crate) fn merge(&mut self, other: &Self) -> anyhow::Result<()> {
        self.reads.add(&other.reads)?;
        self.writes.add(&other.writes)?;
        for (code, count) in &other.errors {
            *self.errors.entry(*code).or_default() += count;
        }
        self.slow.extend_from_slice(&other.slow);
        self.worst_gap = self.worst_gap.max(other.worst_gap);
        Ok(())
    }

    /// Replies counted.
    pub(crate) fn ops(&self) -> u64 {
        self.reads.len() + self.writes.len()
    }
}

/// Percentiles in µs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Latency {
    count: u64,
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    p99_99: f64,
    max: f64,
}

impl Latency {
    /// The 99th percentile in µs.
    pub(crate) const fn p99(&self) -> f64 {
        self.p99
    }

    /// Of a histogram in ns; `None` if it is empty.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        #[allow(clippy::cast_precision_loss)]
        let at = |q: f64| histogram.value_at_quantile(q) as f64 / 1000.0;
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            mean: histogram.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: at(1.0),
        })
    }

    fn text(&self) -> String {
        format!(
            "mean {:.0} µs, p50 {:.0}, p90 {:.0}, p99 {:.0}, p99.9 {:.0}, p99.99 {:.0}, max {:.0}",
            self.mean, self.p50, self.p90, self.p99, self.p99_9, self.p99_99, self.max
        )
    }
}

/// The result of one workload.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// Its name.
    pub(crate) workload: String,
    /// Sockets.
    pub(crate) connections: usize,
    /// Requests outstanding on each.
    pub(crate) depth: usize,
    /// Arrivals per second of an open loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<f64>,
    /// Length of the measurement.
    pub(crate) seconds: f64,
    /// Replies in it.
    pub(crate) ops: u64,
    /// Replies per second.
    pub(crate) per_second: f64,
    /// Error replies by name.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Latency of reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_us: Option<Latency>,
    /// Latency of everything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) write_us: Option<Latency>,
    /// The longest time without any reply; per thread.
    pub(crate) worst_gap_ms: f64,
    /// The server's CPU time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_cpu_us_per_op: Option<f64>,
    /// The server's memory at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_rss_mb: Option<f64>,
    /// This program's CPU time.
    pub(crate) client_cpu_us_per_op: f64,
}

/// Times and CPU used around a measurement.
pub(crate) struct Window {
    /// Its length.
    pub(crate) length: Duration,
    /// CPU seconds of the server, if its process is known.
    pub(crate) server_cpu: Option<f64>,
    /// CPU seconds of this process.
    pub(crate) client_cpu: f64,
    /// Memory of the server at the end.
    pub(crate) server_rss: Option<f64>,
}

impl Report {
    /// Of `counts` taken within `window`.
    pub(crate) fn new(
        workload: &str,
        connections: usize,
        depth: usize,
        counts: &Counts,
        window: &Window,
    ) -> Self {
        let ops = counts.ops();
        let seconds = window.length.as_secs_f64();
        #[allow(clippy::cast_precision_loss)]
        let count = ops as f64;
        let per_op = |cpu: f64| if ops == 0 { 0.0 } else { cpu * 1e6 / count };
        #[allow(clippy::cast_precision_loss)]
        let worst_gap_ms = counts.worst_gap as f64 / 1e6;
        Self {
            workload: workload.to_owned(),
            connections,
            depth,
            rate: None,
            seconds,
            ops,
            per_second: if seconds > 0.0 { count / seconds } else { 0.0 },
            errors: (counts.errors.iter())
                .map(|(code, n)| (format!("{} {code}", ErrorCode(*code).name()), *n))
                .collect(),
            read_us: Latency::of(&counts.reads),
            write_us: Latency::of(&counts.writes),
            worst_gap_ms,
            server_cpu_us_per_op: window.server_cpu.map(per_op),
            server_rss_mb: window.server_rss,
            client_cpu_us_per_op: per_op(window.client_cpu),
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let each = match self.rate {
            None => format!("× {}", self.depth),
            Some(rate) => format!("at {rate:.0}/s"),
        };
        let mut out = format!(
            "{}: {:.0} ops/s ({} {each}, {} ops in {:.2} s)\n",
            self.workload, self.per_second, self.connections, self.ops, self.seconds
        );
        for (name, latency) in [("reads ", &self.read_us), ("writes", &self.write_us)] {
            if let Some(latency) = latency {
                out += &format!("  {name} {}\n", latency.text());
            }
        }
        out += &format!(
            "  longest time without a reply {:.1} ms\n",
            self.worst_gap_ms
        );
        out += &format!("  client {:.2} µs CPU/op", self.client_cpu_us_per_op);
        if let Some(cpu) = self.server_cpu_us_per_op {
            out += &format!(", server {cpu:.2} µs CPU/op");
        }
        if let Some(rss) = self.server_rss_mb {
            out += &format!(", server {rss:.1} MB resident");
        }
        out.push('\n');
        for (code, count) in &self.errors {
            out += &format!("  ERRORS {code}: {count}\n");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_divides_by_what_was_counted() {
        let mut counts = Counts::new().unwrap();
        for i in 0..1000 {
            counts.record(i % 10 == 0, 0, 1_000_000);
        }
        counts.record(true, 5, 10_000_005);
        counts.error(-101);
        let window = Window {
            length: Duration::from_secs(2),
            server_cpu: Some(0.1),
            client_cpu: 0.01,
            server_rss: None,
        };
        let report = Report::new("mixed", 1, 2, &counts, &window);
        assert_eq!(report.ops, 1001);
        assert!((report.per_second - 500.5).abs() < 1e-9);
        assert!((report.server_cpu_us_per_op.unwrap() - 99.9).abs() < 0.1);
        assert_eq!(report.errors["NONODE -101"], 1);
        assert_eq!(report.read_us.as_ref().unwrap().count, 900);
        assert_eq!(
            counts.slow,
            [Slow {
                sent: 5,
                acked: 10_000_005
            }]
        );
        assert!(report.text().contains("ERRORS NONODE -101: 1"));
    }
}
