//! Owns what Linux tells about a process: CPU time, resident memory. Must not guess on other
//! systems; there it says that it cannot know.

use std::fs;

use anyhow::{Context as _, Result};

/// CPU seconds of a process, all threads, user and system.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("no process {pid}"))?;
    // The name in parentheses may hold blanks; the fields behind it do not.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |n: usize| {
        fields
            .split_whitespace()
            .nth(n)
            .and_then(|f| f.parse::<u64>().ok())
    };
    let (user, system) = field(11)
        .zip(field(12))
        .context("unreadable /proc/PID/stat")?;
    #[allow(clippy::cast_precision_loss)]
    let ticks = (user + system) as f64;
    #[allow(clippy::cast_precision_loss)]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    Ok(ticks / per_second)
}

/// Resident memory of a process in MB (10⁶ bytes).
pub(crate) fn rss_mb(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("no process {pid}"))?;
    let kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok())
        .context("no VmRSS in /proc/PID/status")?;
    Ok(kib * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_memory_and_grows_older() {
        let pid = std::process::id();
        assert!(rss_mb(pid).unwrap() > 0.1);
        let before = cpu_seconds(pid).unwrap();
        let start = std::time::Instant::now();
        let mut x = 1_u64;
        while start.elapsed().as_millis() < 60 {
            x = std::hint::black_box(x.wrapping_mul(31));
        }
        assert!(cpu_seconds(pid).unwrap() > before);
    }
}
