//! Owns the reasons for what one server tells and the other does not, as they are written down for
//! people. Must not compare anything.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};

/// Keys with a reason, and which of them were met.
#[derive(Debug, Default)]
pub(crate) struct Reasons {
    patterns: Vec<String>,
    met: BTreeSet<String>,
}

impl Reasons {
    /// Whether the key is among them, with what its numbers are called or without.
    pub(crate) fn explains(&mut self, key: &str) -> bool {
        let parts = [
            "avg_", "min_", "max_", "cnt_", "sum_", "p50_", "p95_", "p99_", "p999_",
        ];
        let bare = parts.iter().find_map(|part| key.strip_prefix(part));
        let known = |name: &str| self.patterns.iter().any(|pattern| pattern == name);
        let found = [Some(key), bare]
            .into_iter()
            .flatten()
            .find(|name| known(name));
        if let Some(name) = found {
            self.met.insert(name.to_owned());
        }
        found.is_some()
    }
}

/// The two tables of a file.
#[derive(Debug)]
pub(crate) struct Differences {
    file: &'static str,
    /// Told by Apache's server only.
    pub(crate) left_out: Reasons,
    /// Told by Menagerie only.
    pub(crate) added: Reasons,
}

impl Differences {
    /// Of `mntr`.
    pub(crate) fn of_mntr() -> Result<Self> {
        Self::read("MNTR.md", include_str!("../MNTR.md"))
    }

    /// Of what Prometheus scrapes, besides those of `mntr`.
    pub(crate) fn of_metrics() -> Result<Self> {
        Self::read("METRICS.md", include_str!("../METRICS.md"))
    }

    fn read(file: &'static str, text: &str) -> Result<Self> {
        let (left_out, added) = text
            .split_once("\n## Added\n")
            .with_context(|| format!("{file} has no part about what is added"))?;
        let names = |part: &str| -> Reasons {
            let rows = part.lines().filter(|line| line.starts_with("| `"));
            let keys = rows.filter_map(|row| row.split('|').nth(1));
            let names = keys.flat_map(|keys| keys.split('`').skip(1).step_by(2));
            Reasons {
                patterns: names.map(str::to_owned).collect(),
                met: BTreeSet::new(),
            }
        };
        Ok(Self {
            file,
            left_out: names(left_out),
            added: names(added),
        })
    }

    /// A reason for what is no difference any more should go.
    pub(crate) fn all_needed(&self) -> Result<()> {
        for reasons in [&self.left_out, &self.added] {
            let idle: Vec<_> = reasons
                .patterns
                .iter()
                .filter(|pattern| !reasons.met.contains(*pattern))
                .collect();
            ensure!(
                idle.is_empty(),
                "{} explains what is no difference: {idle:?}",
                self.file
            );
        }
        Ok(())
    }
}
