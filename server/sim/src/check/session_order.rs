//! Owns what a session is promised: replies in the order of requests, never an older state than one
//! that it has seen, and behind a sync at least what was acknowledged before it.

use menagerie_core::ids::Zxid;

use super::Violation;

/// A client's view.
#[derive(Debug, Default)]
pub struct SessionOrder {
    last: Zxid,
    /// What a read behind a finished sync must have.
    synced_to: Zxid,
}

impl SessionOrder {
    /// The newest state that it has seen.
    #[must_use]
    pub const fn last(&self) -> Zxid {
        self.last
    }

    /// A reply.
    ///
    /// # Errors
    /// When it is of an older state.
    pub fn replied(&mut self, zxid: Zxid) -> Result<(), Violation> {
        if zxid < self.last {
            return Err(format!(
                "session order: {zxid} behind {}, which the client has seen",
                self.last
            ));
        }
        self.last = zxid;
        Ok(())
    }

    /// A write is done; `floor` was the last that anyone was told of when it was sent.
    ///
    /// # Errors
    /// When it has its place before that.
    pub fn wrote(zxid: Zxid, floor: Zxid) -> Result<(), Violation> {
        if zxid > floor {
            return Ok(());
        }
        Err(format!(
            "linearizability: a write sent after {floor} was acknowledged got {zxid}"
        ))
    }

    /// A sync is done that was sent when `floor` was the last that anyone was told of.
    pub fn synced(&mut self, floor: Zxid) {
        self.synced_to = self.synced_to.max(floor);
    }

    /// A read is done.
    ///
    /// # Errors
    /// When it does not show what a sync before it has to.
    pub fn read(&self, zxid: Zxid) -> Result<(), Violation> {
        if zxid >= self.synced_to {
            return Ok(());
        }
        Err(format!(
            "sync: a read behind a sync that had to show {} shows {zxid}",
            self.synced_to
        ))
    }

    /// It has lost its connection; what it has seen stays.
    pub fn disconnected(&mut self) {
        self.synced_to = Zxid(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_states_are_found() {
        let mut order = SessionOrder::default();
        order.replied(Zxid(2)).unwrap();
        assert!(order.replied(Zxid(1)).is_err());
        order.synced(Zxid(5));
        assert!(order.read(Zxid(4)).is_err());
        order.read(Zxid(5)).unwrap();
        SessionOrder::wrote(Zxid(6), Zxid(5)).unwrap();
        assert!(SessionOrder::wrote(Zxid(5), Zxid(5)).is_err());
    }
}
