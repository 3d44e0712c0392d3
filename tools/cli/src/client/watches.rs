//! Owns the client's record of its watches: what to register again after a reconnect, which event
//! ends which watch, what removal means. Must not do IO. Source: `ZKWatchManager`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use menagerie_wire::client::SetWatches2;
use menagerie_wire::op::EventType;

use super::event::{CHILD_WATCH_REMOVED, DATA_WATCH_REMOVED, PERSISTENT_WATCH_REMOVED};

/// The tables that a watch can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchKind {
    /// getData, and exists on a node that is there.
    Data,
    /// exists on a node that is not there.
    Exist,
    /// getChildren.
    Child,
    /// addWatch.
    Persistent,
    /// addWatch, recursive.
    Recursive,
}

/// `WatcherType` for removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Remove {
    /// Watches of getChildren.
    Children = 1,
    /// Watches of getData and exists.
    Data = 2,
    /// All watches.
    Any = 3,
}

/// All watches of a client, by server-side path.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    data: BTreeSet<String>,
    exist: BTreeSet<String>,
    child: BTreeSet<String>,
    persistent: BTreeSet<String>,
    recursive: BTreeSet<String>,
}

impl Watches {
    /// Remembers a watch that the server has accepted.
    pub(crate) fn add(&mut self, kind: WatchKind, path: String) {
        let table = match kind {
            WatchKind::Data => &mut self.data,
            WatchKind::Exist => &mut self.exist,
            WatchKind::Child => &mut self.child,
            WatchKind::Persistent => &mut self.persistent,
            WatchKind::Recursive => &mut self.recursive,
        };
        table.insert(path);
    }

    /// Forgets what an event of the server has used up.
    pub(crate) fn fired(&mut self, kind: i32, path: &str) {
        let any = |kinds: &[EventType]| kinds.iter().any(|k| *k as i32 == kind);
        use EventType::{NodeChildrenChanged, NodeCreated, NodeDataChanged, NodeDeleted};
        if any(&[NodeCreated, NodeDataChanged, NodeDeleted]) {
            self.data.remove(path);
            self.exist.remove(path);
        }
        if any(&[NodeChildrenChanged, NodeDeleted]) {
            self.child.remove(path);
        }
    }

    /// Whether removal would find something.
    pub(crate) fn has(&self, path: &str, what: Remove) -> bool {
        let data = self.data.contains(path) || self.exist.contains(path);
        let child = self.child.contains(path);
        match what {
            Remove::Data => data,
            Remove::Children => child,
            Remove::Any => {
                data || child || self.persistent.contains(path) || self.recursive.contains(path)
            }
        }
    }

    /// Forgets watches on `path`; the types of the events that tell so.
    pub(crate) fn remove(&mut self, path: &str, what: Remove) -> Vec<i32> {
        let mut events = Vec::new();
        if what != Remove::Data && self.child.remove(path) {
            events.push(CHILD_WATCH_REMOVED);
        }
        if what != Remove::Children && (self.data.remove(path) | self.exist.remove(path)) {
            events.push(DATA_WATCH_REMOVED);
        }
        if what == Remove::Any && (self.persistent.remove(path) | self.recursive.remove(path)) {
            events.push(PERSISTENT_WATCH_REMOVED);
        }
        events
    }

    /// The request that registers everything again, unless there is nothing.
    pub(crate) fn to_request(&self, relative_zxid: i64) -> Option<SetWatches2<'_>> {
        let tables = [
            &self.data,
            &self.exist,
            &self.child,
            &self.persistent,
            &self.recursive,
        ];
        if tables.iter().all(|table| table.is_empty()) {
            return None;
        }
        let list = |table: &BTreeSet<String>| Some(table.iter().cloned().map(Cow::Owned).collect());
        Some(SetWatches2 {
            relative_zxid,
            data: list(&self.data),
            exist: list(&self.exist),
            child: list(&self.child),
            persistent: list(&self.persistent),
            persistent_recursive: list(&self.recursive),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shot_watches_end_with_their_event_and_persistent_ones_stay() {
        let mut watches = Watches::default();
        for kind in [WatchKind::Data, WatchKind::Child, WatchKind::Persistent] {
            watches.add(kind, "/a".to_owned());
        }
        watches.add(WatchKind::Exist, "/b".to_owned());
        watches.fired(EventType::NodeDataChanged as i32, "/a");
        assert!(!watches.has("/a", Remove::Data));
        assert!(watches.has("/a", Remove::Children));
        watches.fired(EventType::NodeDeleted as i32, "/a");
        assert!(!watches.has("/a", Remove::Children));
        assert!(watches.has("/a", Remove::Any));
        let request = watches.to_request(7).unwrap();
        assert_eq!(request.relative_zxid, 7);
        assert_eq!(request.data, Some(vec![]));
        assert_eq!(request.exist, Some(vec!["/b".into()]));
        assert_eq!(request.persistent, Some(vec!["/a".into()]));
    }

    #[test]
    fn removal_tells_what_was_there() {
        let mut watches = Watches::default();
        watches.add(WatchKind::Recursive, "/a".to_owned());
        watches.add(WatchKind::Child, "/a".to_owned());
        assert_eq!(watches.remove("/a", Remove::Data), Vec::<i32>::new());
        let all = watches.remove("/a", Remove::Any);
        assert_eq!(all, [CHILD_WATCH_REMOVED, PERSISTENT_WATCH_REMOVED]);
        assert!(watches.to_request(0).is_none());
    }
}
