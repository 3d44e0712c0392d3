//! Owns what watches promise: a client hears of a change before it sees the new state, and of nothing
//! that it did not ask for.

use std::collections::BTreeMap;

use menagerie_core::ids::Zxid;

use super::Violation;

/// What a connection watches, and as of which change of the node.
#[derive(Debug, Default)]
pub struct WatchOrder(BTreeMap<String, Zxid>);

impl WatchOrder {
    /// A read is done: the node's last change, `None` when there is no node.
    ///
    /// # Errors
    /// When the node has changed and no event came.
    pub fn read(
        &mut self,
        path: &str,
        changed: Option<Zxid>,
        watch: bool,
    ) -> Result<(), Violation> {
        if let Some(since) = self.0.get(path)
            && changed != Some(*since)
        {
            return Err(format!(
                "watch order: {path} is seen as of {changed:?}, watched since {since}, without an \
                 event"
            ));
        }
        if let Some(changed) = changed.filter(|_| watch) {
            self.0.insert(path.to_owned(), changed);
        }
        Ok(())
    }

    /// An event has come.
    ///
    /// # Errors
    /// When nothing was watched.
    pub fn fired(&mut self, path: &str) -> Result<(), Violation> {
        match self.0.remove(path) {
            Some(_) => Ok(()),
            None => Err(format!(
                "watch order: an event of {path}, which is not watched"
            )),
        }
    }

    /// The connection is gone, and its watches with it.
    pub fn disconnected(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_without_its_event_is_found() {
        let mut watches = WatchOrder::default();
        watches.read("/a", Some(Zxid(1)), true).unwrap();
        watches.read("/a", Some(Zxid(1)), false).unwrap();
        assert!(watches.read("/a", Some(Zxid(2)), false).is_err());
        assert!(watches.read("/a", None, false).is_err());
        watches.fired("/a").unwrap();
        assert!(watches.fired("/a").is_err());
        watches.read("/a", Some(Zxid(2)), false).unwrap();
    }
}
