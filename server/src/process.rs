//! Owns what the system knows of this process. May read below /proc. Must not keep anything.

use std::fs;

/// Figures of the process as it is now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Process {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// Time that its threads could have run and waited for a processor.
    pub(crate) waited_seconds: f64,
    /// When it was started, since 1970.
    pub(crate) start_seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) open_fds: usize,
    pub(crate) max_fds: u64,
    pub(crate) threads: u64,
}

/// None where there is no /proc.
pub(crate) fn read() -> Option<Process> {
    let (open_fds, max_fds) = descriptors();
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let mut process = parse(&stat, ticks, rustix::param::page_size() as u64)?;
    process.start_seconds += boot_seconds()?;
    process.waited_seconds = waited_seconds();
    Some(Process {
        open_fds,
        max_fds,
        ..process
    })
}

/// Reads `/proc/PID/stat`; the start is in seconds since the machine's. Source: proc(5).
fn parse(stat: &str, ticks: f64, page: u64) -> Option<Process> {
    // The name in parentheses may hold anything, further parentheses included.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let number = |at: usize| fields.get(at - 3)?.trim().parse::<u64>().ok();
    Some(Process {
        cpu_seconds: (number(14)? + number(15)?) as f64 / ticks,
        threads: number(20)?,
        start_seconds: number(22)? as f64 / ticks,
        virtual_bytes: number(23)?,
        resident_bytes: number(24)? * page,
        waited_seconds: 0.0,
        open_fds: 0,
        max_fds: 0,
    })
}

fn boot_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line?.trim().parse().ok()
}

/// Threads that have ended are not counted; the server's live as long as it does.
fn waited_seconds() -> f64 {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return 0.0;
    };
    let waited = |task: fs::DirEntry| {
        let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').nth(1)?.parse::<f64>().ok()
    };
    let nanoseconds: f64 = tasks.flatten().filter_map(waited).sum();
    nanoseconds / 1e9
}

/// What the system says of its memory under a key such as `MemTotal:`, in KiB.
pub(crate) fn memory_kib(key: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Open file descriptors of this process, and how many it may have.
pub(crate) fn descriptors() -> (usize, u64) {
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let max = limits.lines().find_map(|line| {
        let rest = line.strip_prefix("Max open files")?;
        rest.split_whitespace().next()?.parse().ok()
    });
    (open, max.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let stat =
            "7 (a) b) c) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 9 0 1200 4096 3 18446744";
        let process = parse(stat, 100.0, 4096).unwrap();
        assert!((process.cpu_seconds - 2.0).abs() < 1e-9);
        assert!((process.start_seconds - 12.0).abs() < 1e-9);
        assert_eq!((process.threads, process.virtual_bytes), (9, 4096));
        assert_eq!(process.resident_bytes, 3 * 4096);
        assert_eq!(parse("7 (a) S 1", 100.0, 4096), None);
    }

    #[test]
    fn this_process_is_alive() {
        let process = read().unwrap();
        assert!(process.threads >= 1 && process.open_fds >= 3, "{process:?}");
        assert!(process.resident_bytes > 1 << 18, "{process:?}");
        let now = std::time::SystemTime::now();
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        let age = now.as_secs_f64() - process.start_seconds;
        assert!((-2.0..3600.0 * 24.0).contains(&age), "{age}");
    }
}
