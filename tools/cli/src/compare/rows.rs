//! Owns what is compared: the rows of the table and their targets. Must not measure.

use crate::bench::Workload;

/// What a row must show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// Menagerie's figure is at least that many times Apache's.
    TimesAtLeast(f64),
    /// Menagerie's figure is at most that part of Apache's.
    PartAtMost(f64),
    /// Menagerie's figure is at most that.
    AtMost(f64),
    /// Shown only.
    None,
}

impl Goal {
    /// For people.
    pub(crate) fn text(self) -> String {
        match self {
            Self::TimesAtLeast(times) => format!("≥ {times}×"),
            Self::PartAtMost(part) => format!("≤ 1/{:.0}", 1.0 / part),
            Self::AtMost(most) => format!("≤ {most}"),
            Self::None => "–".to_owned(),
        }
    }

    /// Whether it is met; `None` if there is nothing to judge by.
    pub(crate) fn met(self, apache: Option<f64>, menagerie: Option<f64>) -> Option<bool> {
        let ours = menagerie?;
        match self {
            Self::TimesAtLeast(times) => Some(ours >= times * apache?),
            Self::PartAtMost(part) => Some(ours <= part * apache?),
            Self::AtMost(most) => Some(ours <= most),
            Self::None => None,
        }
    }
}

/// How a figure is obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Operations per second of a load.
    Throughput(Shape),
    /// Server CPU time per operation of that load, µs.
    CpuPerOp(Shape),
    /// Memory of a server that has just been started, MB.
    IdleMemory,
    /// From start to the first acknowledged write on an empty directory, ms.
    FirstWriteEmpty,
    /// Memory after the big tree has been loaded, MB.
    BigMemory,
    /// Start to first acknowledged write with the big tree, ms.
    FirstWriteBig,
    /// Memory after that start, MB.
    BigMemoryRestarted,
    /// Slowest write while a snapshot of the big tree is written, ms.
    SnapshotStall,
    /// Slowest write of the same run outside the snapshot, ms.
    OutsideStall,
    /// 99th percentile of that load's writes, µs.
    WriteP99(Shape),
    /// 99th percentile of that load's writes when they come at a rate that is part of what Apache
    /// does with it, in an open loop, µs.
    OpenP99(Shape),
    /// That rate as it was answered, per second.
    OpenRate(Shape),
    /// From a leader's death to a write on a member that is left, ms.
    FailOver,
}

impl Source {
    /// The load that it wants in an open loop.
    pub(crate) const fn open_loop(self) -> Option<Shape> {
        match self {
            Self::OpenP99(shape) => Some(shape),
            _ => None,
        }
    }

    /// Whether it needs the big tree.
    pub(crate) const fn is_big(self) -> bool {
        matches!(
            self,
            Self::BigMemory
                | Self::FirstWriteBig
                | Self::BigMemoryRestarted
                | Self::SnapshotStall
                | Self::OutsideStall
        )
    }
}

/// A load: a workload, connections, and requests outstanding on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape(pub(crate) Workload, pub(crate) usize, pub(crate) usize);

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// For `--only`.
    pub(crate) id: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    /// Of the figures.
    pub(crate) unit: &'static str,
    /// How it is measured.
    pub(crate) source: Source,
    /// What it must show.
    pub(crate) goal: Goal,
}

const GET: Shape = Shape(Workload::Get, 16, 16);
const SET: Shape = Shape(Workload::Set, 16, 16);

macro_rules! rows {
    ($($id:literal, $title:literal, $unit:literal, $source:expr, $goal:expr;)*) => {
        &[$(Row { id: $id, title: $title, unit: $unit, source: $source, goal: $goal }),*]
    };
}

use Source as S;

/// All rows, in the order in which they are measured.
pub(crate) const ROWS: &[Row] = rows! {
    "first-write", "First write after a cold start, empty directory", "ms",
        S::FirstWriteEmpty, Goal::AtMost(60.0);
    "idle", "Resident memory, idle", "MB", S::IdleMemory, Goal::AtMost(12.0);
    "get", "getData, 16 connections × 16 outstanding", "ops/s",
        S::Throughput(GET), Goal::TimesAtLeast(6.0);
    "get-cpu", "Server CPU per getData", "µs", S::CpuPerOp(GET), Goal::PartAtMost(1.0 / 8.0);
    "set", "setData, 16 × 16", "ops/s", S::Throughput(SET), Goal::TimesAtLeast(3.0);
    "set-cpu", "Server CPU per setData", "µs", S::CpuPerOp(SET), Goal::PartAtMost(1.0 / 5.0);
    "mixed", "90 % getData, 10 % setData, 16 × 16", "ops/s",
        S::Throughput(Shape(Workload::Mixed, 16, 16)), Goal::TimesAtLeast(3.0);
    "set-1x1", "setData, 1 × 1", "ops/s",
        S::Throughput(Shape(Workload::Set, 1, 1)), Goal::TimesAtLeast(1.5);
    "set-open-p99", "p99 of setData at 55 % of Apache's rate, open loop, 16 connections", "µs",
        S::OpenP99(SET), Goal::PartAtMost(1.0 / 3.0);
    "set-open-rate", "setData answered in that run", "ops/s", S::OpenRate(SET), Goal::None;
    "get-1x1", "getData, 1 × 1", "ops/s",
        S::Throughput(Shape(Workload::Get, 1, 1)), Goal::TimesAtLeast(1.0);
    "set-4x4", "setData, 4 × 4", "ops/s",
        S::Throughput(Shape(Workload::Set, 4, 4)), Goal::TimesAtLeast(1.0);
    "get-4x4", "getData, 4 × 4", "ops/s",
        S::Throughput(Shape(Workload::Get, 4, 4)), Goal::TimesAtLeast(1.0);
    "sessions", "Sessions opened and closed, 16 at a time", "1/s",
        S::Throughput(Shape(Workload::Sessions, 16, 1)), Goal::TimesAtLeast(5.0);
    "multi", "multi of 10 setData, 16 × 4", "ops/s",
        S::Throughput(Shape(Workload::Multi, 16, 4)), Goal::TimesAtLeast(1.0);
    "create", "create, 16 × 16", "ops/s",
        S::Throughput(Shape(Workload::Create, 16, 16)), Goal::TimesAtLeast(1.0);
    "big-memory", "Resident memory, a million 100-byte znodes", "MB",
        S::BigMemory, Goal::AtMost(330.0);
    "big-first-write", "First write after a cold start, a million znodes", "ms",
        S::FirstWriteBig, Goal::PartAtMost(1.0 / 5.0);
    "big-memory-restarted", "Resident memory, a million znodes, after a restart", "MB",
        S::BigMemoryRestarted, Goal::AtMost(330.0);
    "stall", "Slowest write while a snapshot of the million is taken, 4 × 4", "ms",
        S::SnapshotStall, Goal::AtMost(20.0);
    "stall-outside", "Slowest write in the same run outside the snapshot", "ms",
        S::OutsideStall, Goal::None;
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_judged_only_by_figures_that_exist() {
        assert_eq!(
            Goal::TimesAtLeast(3.0).met(Some(10.0), Some(30.0)),
            Some(true)
        );
        assert_eq!(
            Goal::TimesAtLeast(3.0).met(Some(10.0), Some(29.0)),
            Some(false)
        );
        assert_eq!(
            Goal::PartAtMost(0.2).met(Some(10.0), Some(2.1)),
            Some(false)
        );
        assert_eq!(Goal::AtMost(12.0).met(None, Some(11.9)), Some(true));
        assert_eq!(Goal::TimesAtLeast(3.0).met(None, Some(30.0)), None);
        assert_eq!(Goal::AtMost(12.0).met(Some(90.0), None), None);
        assert_eq!(Goal::None.met(Some(1.0), Some(1.0)), None);
        assert_eq!(Goal::PartAtMost(1.0 / 8.0).text(), "≤ 1/8");
    }

    #[test]
    fn ids_are_unique() {
        for (at, row) in ROWS.iter().enumerate() {
            assert!(
                ROWS[at + 1..].iter().all(|other| other.id != row.id),
                "{}",
                row.id
            );
        }
    }
}
