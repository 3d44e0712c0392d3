//! Owns the statistics nodes of quotas. They change with the nodes that they count, in memory only:
//! no transaction, version, zxid or event. Source: `DataTree.updateQuotaStat`,
//! `DataTree.updateQuotaForPath`.

use super::{Tree, ZnodeId, signed};
use crate::quota::{LIMITS_NODE, QUOTA_ROOT, STATS_NODE, StatsTrack, stats_path};

/// The path that a quota below [`QUOTA_ROOT`] is about.
fn quota_subject(quota_path: &str) -> &str {
    quota_path.strip_prefix(QUOTA_ROOT).unwrap_or_default()
}

impl Tree {
    pub(super) fn quota_after_create(&mut self, path: &str, parent: &str, data_len: usize) {
        if parent.starts_with(QUOTA_ROOT) {
            let subject = quota_subject(parent).to_owned();
            if path.ends_with(LIMITS_NODE) && last_component(path) == LIMITS_NODE {
                self.quotas.arm(&subject);
            } else if last_component(path) == STATS_NODE {
                self.recompute_quota(&subject);
            }
        }
        self.count_for_quota(path, signed(data_len), 1);
    }

    pub(super) fn quota_after_delete(&mut self, path: &str, parent: &str, data_len: usize) {
        if parent.starts_with("/zookeeper") && last_component(path) == LIMITS_NODE {
            let subject = quota_subject(parent).to_owned();
            self.quotas.disarm(&subject);
        }
        self.count_for_quota(path, -signed(data_len), -1);
    }

    pub(super) fn quota_after_set(&mut self, path: &str, old_len: usize, new_len: usize) {
        self.count_for_quota(path, signed(new_len) - signed(old_len), 0);
    }

    fn count_for_quota(&mut self, path: &str, bytes: i64, count: i64) {
        if self.quotas.is_empty() {
            return;
        }
        let Some(prefix) = self.quotas.nearest(path) else {
            return;
        };
        let stats_path = stats_path(prefix);
        let Some(id) = self.lookup(&stats_path) else {
            return;
        };
        let text = self
            .node(id)
            .data
            .as_deref()
            .map(String::from_utf8_lossy)
            .unwrap_or_default();
        let mut stats = StatsTrack::parse(&text);
        stats.bytes = stats.bytes.wrapping_add(bytes);
        stats.count = stats.count.wrapping_add(count);
        let text = stats.to_string();
        self.replace_data(&stats_path, id, Some(text.as_bytes()), |_| {});
    }

    fn recompute_quota(&mut self, subject: &str) {
        let Some(stats) = self.lookup(&stats_path(subject)) else {
            return;
        };
        let mut track = StatsTrack::default();
        (track.count, track.bytes) = (0, 0);
        let mut open: Vec<ZnodeId> = self.lookup(subject).into_iter().collect();
        while let Some(id) = open.pop() {
            let node = self.node(id);
            track.count += 1;
            track.bytes += signed(node.data_len());
            open.extend_from_slice(node.children());
        }
        let text = track.to_string();
        self.replace_data(&stats_path(subject), stats, Some(text.as_bytes()), |_| {});
    }

    /// Arms every quota in the tree and recomputes its statistics. Source: `DataTree.setupQuota`.
    pub(super) fn setup_quotas(&mut self) {
        let Some(root) = self.lookup(QUOTA_ROOT) else {
            return;
        };
        let mut open = vec![root];
        let mut subjects = Vec::new();
        while let Some(id) = open.pop() {
            let node = self.node(id);
            if node.children().is_empty() && node.name() == LIMITS_NODE {
                subjects.push(quota_subject(&self.path_of(node.parent)).to_owned());
            }
            open.extend_from_slice(node.children());
        }
        for subject in subjects {
            self.recompute_quota(&subject);
            self.quotas.arm(&subject);
        }
    }
}

fn last_component(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}
