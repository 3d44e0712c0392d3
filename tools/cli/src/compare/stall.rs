//! Owns the slowest write while a snapshot is taken: writes go on until a new snapshot file has
//! appeared and stopped growing. Must not know which server writes it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::bench::engine::{Load, Outcome};
use crate::bench::{Target, Workload, run_workload};

/// Between looks at the directory.
const LOOK: Duration = Duration::from_millis(5);
/// A snapshot file that has not grown for so long is complete.
const QUIET: Duration = Duration::from_millis(700);
/// How long to wait for a snapshot.
const LIMIT: Duration = Duration::from_secs(180);
/// Around the time in which the file was seen to grow. A server may copy its tree before there is
/// a file, and sync or rename the file after its last growth.
const MARGIN: Duration = Duration::from_millis(500);

/// When a snapshot file was first seen and last seen to grow.
struct Seen {
    from: Instant,
    to: Instant,
}

/// The slowest writes, ms.
pub(crate) struct Stall {
    /// While the snapshot was written.
    pub(crate) during: f64,
    /// At any other time.
    pub(crate) outside: f64,
}

/// Runs writes over the working set until a snapshot has been taken.
pub(crate) fn measure(load: &Load, target: &Target, files: &Path) -> Result<Stall> {
    let load = Load {
        duration: LIMIT + Duration::from_secs(30),
        ..load.clone()
    };
    let (outcome, seen) = thread::scope(|scope| {
        let writer = scope.spawn(|| run_workload(Workload::Set, &load, target));
        let seen = watch(files, || writer.is_finished());
        load.stop.store(true, Ordering::Relaxed);
        (writer.join(), seen)
    });
    load.stop.store(false, Ordering::Relaxed);
    let Ok(outcome) = outcome else {
        bail!("the load thread panicked")
    };
    let outcome = outcome?;
    Ok(worst(&outcome, &seen?))
}

fn worst(outcome: &Outcome, seen: &Seen) -> Stall {
    let since_start = |at: Instant| {
        let ns = at.saturating_duration_since(outcome.start).as_nanos();
        u64::try_from(ns).unwrap_or(u64::MAX)
    };
    let from = since_start(seen.from.checked_sub(MARGIN).unwrap_or(seen.from));
    let to = since_start(seen.to + MARGIN);
    let (mut during, mut outside, mut outside_at) = (0, 0, 0);
    for slow in &outcome.counts.slow {
        let took = slow.acked - slow.sent;
        if slow.sent <= to && slow.acked >= from {
            during = during.max(took);
        } else if took > outside {
            (outside, outside_at) = (took, slow.sent);
        }
    }
    let seconds = |ns: u64| Duration::from_nanos(ns).as_secs_f64();
    eprintln!(
        "  the snapshot was seen from {:.2} s to {:.2} s; slowest write outside sent at {:.2} s",
        seconds(from),
        seconds(to),
        seconds(outside_at)
    );
    // Writes below the threshold of the list are all as fast as that at least.
    let fast = outcome
        .counts
        .writes
        .max()
        .min(crate::bench::stats::SLOW_NS);
    #[allow(clippy::cast_precision_loss)]
    let ms = |ns: u64| ns.max(fast) as f64 / 1e6;
    Stall {
        during: ms(during),
        outside: ms(outside),
    }
}

/// Waits for a snapshot that was not there before, until it is complete.
fn watch(files: &Path, mut ended: impl FnMut() -> bool) -> Result<Seen> {
    let before = sizes(files);
    let start = Instant::now();
    let mut last = HashMap::new();
    let mut seen: Option<Seen> = None;
    loop {
        thread::sleep(LOOK);
        let mut now = sizes(files);
        now.retain(|name, _| !before.contains_key(name));
        let at = Instant::now();
        if !now.is_empty() && now != last {
            seen.get_or_insert(Seen { from: at, to: at }).to = at;
            last = now;
        }
        match seen {
            Some(seen) if seen.to.elapsed() > QUIET => return Ok(seen),
            _ if ended() => bail!("the load ended before a snapshot was taken"),
            _ if start.elapsed() > LIMIT => bail!("no complete snapshot within {LIMIT:?}"),
            _ => {}
        }
    }
}

/// Names and sizes of the files that are, or become, snapshots.
fn sizes(files: &Path) -> HashMap<String, u64> {
    let entries = fs::read_dir(files).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            // A file may vanish or be renamed between the listing and this.
            let size = entry.metadata().ok()?.len();
            name.contains("snapshot").then_some((name, size))
        })
        .collect()
}
