//! Owns the measurement of what measuring costs: the calls that a request makes, in a loop. Run with
//! `cargo test --release -p menagerie --lib cost_of_metrics -- --ignored --nocapture`.

use std::hint::black_box;
use std::sync::atomic::Ordering::Relaxed;

use super::{Notes, java_len, namespace};
use crate::stats::ServerStats;

const ROUNDS: u64 = 1_000_000;
/// As many reads as one guard of the tree allows.
const GROUP: u64 = 64;

/// Time that this thread has had a processor, ns.
fn on_cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// The best of some runs, ns for one request: what else runs can only make it longer.
fn best(mut run: impl FnMut()) -> f64 {
    let times = (0..10).map(|_| {
        let begin = on_cpu();
        run();
        (on_cpu() - begin) as f64 / ROUNDS as f64
    });
    times.fold(f64::INFINITY, f64::min)
}

/// Reads in groups of that size, from paths that take turns.
fn reads(stats: &ServerStats, group: u64, paths: &[&str]) -> f64 {
    let mut notes = Notes::default();
    best(|| {
        for number in 0..ROUNDS {
            stats.received.fetch_add(1, Relaxed);
            let path = black_box(paths[number as usize % paths.len()]);
            if let Some(top) = namespace(path) {
                let bytes = (java_len(path) + 168) as u64;
                notes.note(&stats.metrics.read_per_namespace, top, bytes);
            }
            if number % group == 0 {
                notes.flush();
                stats.sent.fetch_add(group, Relaxed);
                stats.instant_reads.fetch_add(group, Relaxed);
                stats.add_response(200);
            }
        }
    })
}

/// Writes whose replies leave in groups of that size.
fn writes(stats: &ServerStats, group: u64) -> f64 {
    let mut notes = Notes::default();
    best(|| {
        for number in 0..ROUNDS {
            stats.received.fetch_add(1, Relaxed);
            stats.in_process.fetch_add(1, Relaxed);
            let path = black_box("/bench/node-000001");
            if let Some(top) = namespace(path) {
                let bytes = (java_len(path) + 100) as u64;
                notes.note(&stats.metrics.write_per_namespace, top, bytes);
            }
            stats.add_latency(number % 8, false);
            if number % group == 0 {
                notes.flush();
                stats.sent.fetch_add(group, Relaxed);
                stats.in_process.fetch_sub(1, Relaxed);
                stats.add_response(200);
            }
        }
    })
}

#[test]
#[ignore = "a measurement, for the table in tools/README.md"]
fn cost_of_metrics() {
    let stats = ServerStats::default();
    let (one, two) = (&["/bench/node-000001"][..], &["/bench/a", "/other/b"][..]);
    let rows = [
        (
            "a read among 64 of no namespace",
            reads(&stats, GROUP, &["/"]),
        ),
        ("a read by itself", reads(&stats, 1, one)),
        ("a read among 64", reads(&stats, GROUP, one)),
        (
            "a read among 64 of two namespaces",
            reads(&stats, GROUP, two),
        ),
        ("a write by itself", writes(&stats, 1)),
        ("a write among 64", writes(&stats, GROUP)),
    ];
    for (what, nanoseconds) in rows {
        eprintln!("{what}: {nanoseconds:.1} ns");
        assert!(nanoseconds < 100_000.0, "{what} costs {nanoseconds} ns");
    }
    let noted = stats.metrics.read_per_namespace.of("other").totals().count;
    assert!(noted >= ROUNDS, "{noted}");
}
