//! Owns integrity: what is delivered was broadcast by the primary of its epoch, as it is delivered.

use std::collections::BTreeMap;

use bytes::Bytes;
use menagerie_core::ids::{Sid, Zxid};

use super::Violation;

/// What was broadcast, and by whom: whoever logs a transaction first.
#[derive(Debug, Default)]
pub struct Integrity(BTreeMap<Zxid, (Sid, Bytes)>);

impl Integrity {
    /// An entry goes into a member's log.
    ///
    /// # Errors
    /// When another transaction of that zxid went into another's.
    pub fn logged(&mut self, sid: Sid, zxid: Zxid, bytes: &[u8]) -> Result<(), Violation> {
        let first = self.0.entry(zxid);
        let (primary, expected) = first.or_insert_with(|| (sid, Bytes::copy_from_slice(bytes)));
        if *expected == bytes {
            return Ok(());
        }
        Err(format!(
            "integrity: server {sid} logs {zxid}, but it is not what server {primary} broadcast"
        ))
    }

    /// A transaction is delivered for the first time.
    ///
    /// # Errors
    /// When the primary of its epoch has not broadcast it.
    pub fn delivered(
        &self,
        sid: Sid,
        zxid: Zxid,
        bytes: &Bytes,
        leader: Option<Sid>,
    ) -> Result<(), Violation> {
        match self.0.get(&zxid) {
            Some((primary, sent)) if sent == bytes && leader == Some(*primary) => Ok(()),
            found => {
                let primary = found.map(|(primary, _)| *primary);
                Err(format!(
                    "integrity: server {sid} delivered {zxid}, which {primary:?} broadcast; the \
                     primary is {leader:?}"
                ))
            }
        }
    }

    /// What was broadcast in the same epoch before.
    #[must_use]
    pub fn broadcast_before(&self, zxid: Zxid) -> Option<Zxid> {
        let before = self.0.range(..zxid).next_back().map(|(before, _)| *before);
        before.filter(|before| before.epoch() == zxid.epoch())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_primary_did_not_broadcast_is_found() {
        let mut integrity = Integrity::default();
        let (zxid, a) = (Zxid((1 << 32) | 1), Bytes::from_static(b"a"));
        integrity.logged(Sid(1), zxid, &a).unwrap();
        integrity.logged(Sid(2), zxid, &a).unwrap();
        assert!(integrity.logged(Sid(2), zxid, b"b").is_err());
        integrity.delivered(Sid(3), zxid, &a, Some(Sid(1))).unwrap();
        assert!(integrity.delivered(Sid(3), zxid, &a, Some(Sid(2))).is_err());
        assert!(
            integrity
                .delivered(Sid(3), Zxid(zxid.0 + 1), &a, Some(Sid(1)))
                .is_err()
        );
    }
}
