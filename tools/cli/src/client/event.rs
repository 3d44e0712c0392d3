//! Owns events as a client sees them: those of the server and those of its own connection.
//! Source: `Watcher.Event`, `WatchedEvent.toString`.

use std::fmt;

/// What happened to the connection or to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// `EventType` by number, −1 for a change of state.
    pub(crate) kind: i32,
    /// `KeeperState` by number.
    pub(crate) state: i32,
    /// The node, without the chroot.
    pub(crate) path: Option<String>,
    /// The transaction, −1 if there is none.
    pub(crate) zxid: i64,
}

/// `KeeperState.Disconnected`.
pub(crate) const DISCONNECTED: i32 = 0;
/// `KeeperState.SyncConnected`.
pub(crate) const SYNC_CONNECTED: i32 = 3;
/// `KeeperState.AuthFailed`.
pub(crate) const AUTH_FAILED: i32 = 4;
/// `KeeperState.ConnectedReadOnly`.
pub(crate) const CONNECTED_READ_ONLY: i32 = 5;
/// `KeeperState.Closed`.
pub(crate) const CLOSED: i32 = 7;
/// `KeeperState.Expired`.
pub(crate) const EXPIRED: i32 = -112;

/// `EventType.DataWatchRemoved`.
pub(crate) const DATA_WATCH_REMOVED: i32 = 5;
/// `EventType.ChildWatchRemoved`.
pub(crate) const CHILD_WATCH_REMOVED: i32 = 6;
/// `EventType.PersistentWatchRemoved`.
pub(crate) const PERSISTENT_WATCH_REMOVED: i32 = 7;

impl Event {
    /// A change of the connection's state.
    pub(crate) const fn of_state(state: i32) -> Self {
        Self {
            kind: -1,
            state,
            path: None,
            zxid: -1,
        }
    }

    /// The name of its type.
    pub(crate) const fn kind_name(&self) -> &'static str {
        match self.kind {
            -1 => "None",
            1 => "NodeCreated",
            2 => "NodeDeleted",
            3 => "NodeDataChanged",
            4 => "NodeChildrenChanged",
            DATA_WATCH_REMOVED => "DataWatchRemoved",
            CHILD_WATCH_REMOVED => "ChildWatchRemoved",
            PERSISTENT_WATCH_REMOVED => "PersistentWatchRemoved",
            _ => "Unknown",
        }
    }

    /// The name of the state.
    pub(crate) const fn state_name(&self) -> &'static str {
        match self.state {
            DISCONNECTED => "Disconnected",
            SYNC_CONNECTED => "SyncConnected",
            AUTH_FAILED => "AuthFailed",
            CONNECTED_READ_ONLY => "ConnectedReadOnly",
            6 => "SaslAuthenticated",
            CLOSED => "Closed",
            EXPIRED => "Expired",
            _ => "Unknown",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().unwrap_or("null");
        let (state, kind, zxid) = (self.state_name(), self.kind_name(), self.zxid);
        write!(
            f,
            "WatchedEvent state:{state} type:{kind} path:{path} zxid: {zxid}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_read_as_in_zkcli() {
        assert_eq!(
            Event::of_state(SYNC_CONNECTED).to_string(),
            "WatchedEvent state:SyncConnected type:None path:null zxid: -1"
        );
        let event = Event {
            kind: 3,
            state: 3,
            path: Some("/t/a".to_owned()),
            zxid: 568_577,
        };
        assert_eq!(
            event.to_string(),
            "WatchedEvent state:SyncConnected type:NodeDataChanged path:/t/a zxid: 568577"
        );
    }
}
