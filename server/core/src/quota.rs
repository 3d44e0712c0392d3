//! Owns what quotas mean: the text of limits and statistics, which paths have one, and whether a
//! change would exceed it. May use nothing. Must not know nodes: the tree keeps the texts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Below this path the tree keeps limits and statistics, mirroring the paths they are about.
/// Source: `Quotas.quotaZookeeper`.
pub const QUOTA_ROOT: &str = "/zookeeper/quota";
/// Name of the node with the limits. Source: `Quotas.limitNode`.
pub const LIMITS_NODE: &str = "zookeeper_limits";
/// Name of the node with the statistics. Source: `Quotas.statNode`.
pub const STATS_NODE: &str = "zookeeper_stats";

const COUNT: &str = "count";
const BYTES: &str = "bytes";
const COUNT_HARD_LIMIT: &str = "countHardLimit";
const BYTE_HARD_LIMIT: &str = "byteHardLimit";

/// The node with the limits of `path`.
#[must_use]
pub fn limits_path(path: &str) -> String {
    format!("{QUOTA_ROOT}{path}/{LIMITS_NODE}")
}

/// The node with the statistics of `path`.
#[must_use]
pub fn stats_path(path: &str) -> String {
    format!("{QUOTA_ROOT}{path}/{STATS_NODE}")
}

/// Limits or statistics. −1 stands for what is not given. Source: `StatsTrack`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsTrack {
    /// Nodes: how many there are, or may be before a warning.
    pub count: i64,
    /// Bytes of data: how many there are, or may be before a warning.
    pub bytes: i64,
    /// The other keys, hard limits among them.
    others: BTreeMap<Box<str>, i64>,
}

/// A text that is no limits or statistics. ZooKeeper throws where it meets one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not key=number in quota text")]
pub struct MalformedStats(pub String);

impl Default for StatsTrack {
    fn default() -> Self {
        Self {
            count: -1,
            bytes: -1,
            others: BTreeMap::new(),
        }
    }
}

impl StatsTrack {
    /// Reads a text, leaving out what is malformed. For texts that decide about an error, see
    /// [`StatsTrack::try_parse`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut track = Self::default();
        for pair in pairs(text) {
            if let Ok((key, value)) = key_value(pair) {
                track.set(key, value);
            }
        }
        track
    }

    /// Reads a text as ZooKeeper does: pairs are separated by any number of `,` and `;`, and what
    /// comes behind a second `=` does not count. Source: `StatsTrack.StatsTrack(String)`.
    ///
    /// # Errors
    /// Where ZooKeeper throws: a pair without a value, or a value that is no 64-bit number.
    pub fn try_parse(text: &str) -> Result<Self, MalformedStats> {
        let mut track = Self::default();
        for pair in pairs(text) {
            let (key, value) = key_value(pair)?;
            track.set(key, value);
        }
        Ok(track)
    }

    fn set(&mut self, key: &str, value: i64) {
        match key {
            COUNT => self.count = value,
            BYTES => self.bytes = value,
            _ => {
                self.others.insert(key.into(), value);
            }
        }
    }

    fn other(&self, key: &str) -> i64 {
        self.others.get(key).copied().unwrap_or(-1)
    }

    /// Nodes that there may be at most; −1 for no limit.
    #[must_use]
    pub fn count_hard_limit(&self) -> i64 {
        self.other(COUNT_HARD_LIMIT)
    }

    /// Bytes that there may be at most; −1 for no limit.
    #[must_use]
    pub fn byte_hard_limit(&self) -> i64 {
        self.other(BYTE_HARD_LIMIT)
    }

    /// Sets the limit of nodes.
    pub fn set_count_hard_limit(&mut self, limit: i64) {
        self.others.insert(COUNT_HARD_LIMIT.into(), limit);
    }

    /// Sets the limit of bytes.
    pub fn set_byte_hard_limit(&mut self, limit: i64) {
        self.others.insert(BYTE_HARD_LIMIT.into(), limit);
    }
}

/// The text as ZooKeeper writes it. The `=` behind the bytes, if more follows, is for parsers
/// of 3.4, which take count and bytes by position. Source: `StatsTrack.toString`.
impl fmt::Display for StatsTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{COUNT}={},{BYTES}={}", self.count, self.bytes)?;
        if !self.others.is_empty() {
            f.write_str("=")?;
        }
        for (key, value) in &self.others {
            write!(f, ";{key}={value}")?;
        }
        Ok(())
    }
}

/// The pairs of a text. Separators at the end are dropped, one at the start leaves an empty pair,
/// as Java's `Pattern.split` has it.
fn pairs(text: &str) -> impl Iterator<Item = &str> {
    let separator = |c| matches!(c, ',' | ';');
    let text = text.trim_end_matches(separator);
    let leading = text.starts_with(separator).then_some("");
    leading
        .into_iter()
        .chain(text.split(separator).filter(|pair| !pair.is_empty()))
}

fn key_value(pair: &str) -> Result<(&str, i64), MalformedStats> {
    let malformed = || MalformedStats(pair.to_owned());
    let mut parts = pair.trim_end_matches('=').split('=');
    let key = parts.next().unwrap_or_default();
    let value = match parts.next().ok_or_else(malformed)? {
        "" => -1,
        digits => digits.parse().map_err(|_| malformed())?,
    };
    Ok((key, value))
}

/// The paths that have a quota. Source: `PathTrie` as `DataTree.pTrie` uses it.
#[derive(Debug, Default, Clone)]
pub struct QuotaTrie {
    paths: BTreeSet<Box<str>>,
}

impl QuotaTrie {
    /// No quotas.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no path has a quota.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Paths with a quota.
    #[must_use]
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Gives `path` a quota. The root cannot have one. Source: `PathTrie.addPath`.
    pub fn arm(&mut self, path: &str) {
        let path = normal(path);
        if !path.is_empty() {
            self.paths.insert(path.into());
        }
    }

    /// Takes the quota of `path` away. Source: `PathTrie.deletePath`.
    pub fn disarm(&mut self, path: &str) {
        self.paths.remove(&*normal(path));
    }

    /// The nearest path at or above `path` that has a quota.
    /// Source: `DataTree.getMaxPrefixWithQuota`.
    #[must_use]
    pub fn nearest(&self, path: &str) -> Option<&str> {
        if self.paths.is_empty() {
            return None;
        }
        let path = normal(path);
        let mut prefix = &*path;
        loop {
            if let Some(found) = self.paths.get(prefix) {
                return Some(found);
            }
            prefix = prefix.get(..prefix.rfind('/')?)?;
        }
    }

    /// All paths with a quota, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(|path| &**path)
    }
}

/// The path as the trie sees it, without blank components. Source: `PathTrie.split`.
fn normal(path: &str) -> std::borrow::Cow<'_, str> {
    let is_blank = |part: &str| part.chars().all(|c| c <= ' ');
    let clean = path
        .strip_prefix('/')
        .is_some_and(|rest| !rest.split('/').any(is_blank));
    if clean {
        return path.into();
    }
    let mut out = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !is_blank(part)) {
        out.push('/');
        out.push_str(part);
    }
    out.into()
}

/// What a change adds to the statistics; negative when it takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotaDelta {
    /// Bytes of data.
    pub bytes: i64,
    /// Nodes.
    pub count: i64,
}

impl QuotaDelta {
    /// By the creation of a node. Source: `ZooKeeperServer.checkQuota`.
    #[must_use]
    pub fn of_create(data_len: usize) -> Self {
        Self {
            bytes: signed(data_len),
            count: 1,
        }
    }

    /// By setting a node's data.
    #[must_use]
    pub fn of_set_data(old_len: usize, new_len: usize) -> Self {
        Self {
            bytes: signed(new_len) - signed(old_len),
            count: 0,
        }
    }
}

fn signed(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

/// What a limit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaResource {
    /// Nodes.
    Count,
    /// Bytes of data.
    Bytes,
}

/// A limit that a change exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// What it limits.
    pub resource: QuotaResource,
    /// What there would be.
    pub would_be: i64,
    /// What there may be.
    pub limit: i64,
    /// Whether the change must be refused; otherwise it is only logged.
    pub hard: bool,
}

/// The limits that `delta` would exceed: count before bytes, and nothing after a hard one. A hard
/// limit hides the soft one. Source: `ZooKeeperServer.checkQuota(String, long, long, String)`.
#[must_use]
pub fn exceeded(limits: &StatsTrack, stats: &StatsTrack, delta: QuotaDelta) -> Vec<Exceeded> {
    let mut all = Vec::new();
    let checks = [
        (
            QuotaResource::Count,
            delta.count,
            stats.count,
            limits.count_hard_limit(),
            limits.count,
        ),
        (
            QuotaResource::Bytes,
            delta.bytes,
            stats.bytes,
            limits.byte_hard_limit(),
            limits.bytes,
        ),
    ];
    for (resource, delta, now, hard_limit, soft_limit) in checks {
        let hard = hard_limit > -1;
        let limit = if hard { hard_limit } else { soft_limit };
        let would_be = now.wrapping_add(delta);
        if delta != 0 && limit > -1 && would_be > limit {
            all.push(Exceeded {
                resource,
                would_be,
                limit,
                hard,
            });
            if hard {
                break;
            }
        }
    }
    all
}

/// Whether a change by `count` nodes and `bytes` must be refused where quotas are enforced; for
/// the limits that only warn see [`exceeded`].
#[must_use]
pub fn exceeds_hard_limit(limits: &StatsTrack, stats: &StatsTrack, count: i64, bytes: i64) -> bool {
    exceeded(limits, stats, QuotaDelta { bytes, count })
        .iter()
        .any(|exceeded| exceeded.hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_as_zookeeper_writes_it() {
        let mut track = StatsTrack::default();
        assert_eq!(track.to_string(), "count=-1,bytes=-1");
        (track.count, track.bytes) = (4, 5);
        assert_eq!(track.to_string(), "count=4,bytes=5");
        track.set_count_hard_limit(10);
        track.set_byte_hard_limit(20);
        let text = "count=4,bytes=5=;byteHardLimit=20;countHardLimit=10";
        assert_eq!(track.to_string(), text);
        assert_eq!(StatsTrack::try_parse(text), Ok(track));
    }

    #[test]
    fn separators_may_repeat_and_order_does_not_matter() {
        let track = StatsTrack::try_parse("bytes=7;;,count=3=;x=1,,").unwrap();
        assert_eq!((track.count, track.bytes, track.other("x")), (3, 7, 1));
        assert_eq!(track.to_string(), "count=3,bytes=7=;x=1");
    }

    #[test]
    fn value_between_two_equal_signs_counts_as_minus_one() {
        let track = StatsTrack::try_parse("count==5,=6").unwrap();
        assert_eq!((track.count, track.other("")), (-1, 6));
    }

    #[test]
    fn malformed_text_is_refused_or_left_out() {
        for text in [
            "count",
            "count=",
            "count=x",
            "count= 1",
            ",count=1",
            "=",
            "count=1,bytes",
        ] {
            assert!(StatsTrack::try_parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            StatsTrack::parse("count=1,bytes,x=y").to_string(),
            "count=1,bytes=-1"
        );
        assert_eq!(StatsTrack::try_parse(""), Ok(StatsTrack::default()));
        assert_eq!(StatsTrack::try_parse(";,"), Ok(StatsTrack::default()));
        assert_eq!(StatsTrack::try_parse("count=+5").unwrap().count, 5);
    }

    #[test]
    fn nearest_is_the_longest_armed_prefix_by_component() {
        let mut quotas = QuotaTrie::new();
        assert_eq!(quotas.nearest("/a"), None);
        quotas.arm("/a");
        quotas.arm("/a/b/c");
        assert_eq!(quotas.nearest("/a"), Some("/a"));
        assert_eq!(quotas.nearest("/ab"), None);
        assert_eq!(quotas.nearest("/a/b"), Some("/a"));
        assert_eq!(quotas.nearest("/a/b/c"), Some("/a/b/c"));
        assert_eq!(quotas.nearest("/a/b/c/d/e"), Some("/a/b/c"));
        assert_eq!(quotas.nearest("/"), None);
        assert_eq!(quotas.nearest(""), None);
        quotas.disarm("/a/b");
        quotas.disarm("/a/b/c");
        assert_eq!(quotas.nearest("/a/b/c"), Some("/a"));
        quotas.disarm("/a");
        assert!(quotas.is_empty());
    }

    #[test]
    fn root_cannot_be_armed() {
        let mut quotas = QuotaTrie::new();
        quotas.arm("");
        quotas.arm("/");
        assert!(quotas.is_empty());
    }

    #[test]
    fn blank_components_do_not_count() {
        let mut quotas = QuotaTrie::new();
        quotas.arm("/a/ /b");
        assert_eq!(quotas.nearest("/a/b/c"), Some("/a/b"));
        assert_eq!(quotas.nearest("/a/  /b"), Some("/a/b"));
    }

    fn limits(text: &str) -> StatsTrack {
        StatsTrack::try_parse(text).unwrap()
    }

    #[test]
    fn hard_limits_refuse_and_soft_ones_only_tell() {
        let stats = limits("count=3,bytes=10");
        let create = QuotaDelta::of_create(5);
        let refused = |text| exceeds_hard_limit(&limits(text), &stats, create.count, create.bytes);
        assert!(!refused("countHardLimit=4,byteHardLimit=15"));
        assert!(refused("countHardLimit=3"));
        assert!(refused("byteHardLimit=14"));
        assert!(!refused("count=3,bytes=14"));
        let soft = exceeded(&limits("count=3,bytes=14"), &stats, create);
        assert_eq!(soft.len(), 2);
        assert!(soft.iter().all(|exceeded| !exceeded.hard));
        // A hard limit that is kept hides a soft one that is not.
        assert!(exceeded(&limits("count=3,countHardLimit=9"), &stats, create).is_empty());
    }

    #[test]
    fn what_does_not_change_is_not_checked() {
        let over = limits("count=9,bytes=9");
        let hard = limits("countHardLimit=1,byteHardLimit=1");
        assert!(exceeded(&hard, &over, QuotaDelta::of_set_data(5, 5)).is_empty());
        // Shrinking below what is over the limit is still refused, as in ZooKeeper.
        assert!(exceeds_hard_limit(&hard, &over, 0, -1));
        let only_count = exceeded(&hard, &over, QuotaDelta::of_create(1));
        assert_eq!(only_count.len(), 1, "the hard count limit ends the check");
    }
}
