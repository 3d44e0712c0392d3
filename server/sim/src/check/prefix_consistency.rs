//! Owns prefix consistency: there is one sequence of transactions, and every member has delivered a
//! beginning of it. The paper's total order and agreement follow.

use bytes::Bytes;
use menagerie_core::ids::{Sid, Zxid};

use super::Violation;

/// The sequence.
#[derive(Debug, Default)]
pub struct Order(Vec<(Zxid, Bytes)>);

impl Order {
    /// Whether the transaction at index `at` of a member is the sequence's; false when the member is
    /// the first that has one there.
    ///
    /// # Errors
    /// When it is another.
    pub fn agree(&self, sid: Sid, at: usize, zxid: Zxid, bytes: &Bytes) -> Result<bool, Violation> {
        match self.0.get(at) {
            None => Ok(false),
            Some((other, expected)) if *other == zxid && expected == bytes => Ok(true),
            Some((other, _)) => Err(format!(
                "prefix consistency: transaction {at} of server {sid} is {zxid}, that of others is \
                 {other}"
            )),
        }
    }

    /// Appends what is delivered for the first time.
    pub fn push(&mut self, zxid: Zxid, bytes: Bytes) {
        self.0.push((zxid, bytes));
    }

    /// The transaction at an index.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<Zxid> {
        self.0.get(at).map(|(zxid, _)| *zxid)
    }

    /// The last one.
    #[must_use]
    pub fn last(&self) -> Zxid {
        self.0.last().map(|(zxid, _)| *zxid).unwrap_or_default()
    }

    /// Whether a transaction was delivered.
    #[must_use]
    pub fn has(&self, zxid: Zxid) -> bool {
        self.0
            .binary_search_by_key(&zxid, |(zxid, _)| *zxid)
            .is_ok()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Zxid, &Bytes)> {
        self.0.iter().map(|(zxid, bytes)| (*zxid, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_transaction_in_the_same_place_is_found() {
        let mut order = Order::default();
        order.push(Zxid(1), Bytes::from_static(b"a"));
        assert_eq!(
            order.agree(Sid(1), 0, Zxid(1), &Bytes::from_static(b"a")),
            Ok(true)
        );
        assert_eq!(order.agree(Sid(1), 1, Zxid(2), &Bytes::new()), Ok(false));
        assert!(
            order
                .agree(Sid(1), 0, Zxid(1), &Bytes::from_static(b"b"))
                .is_err()
        );
        assert!(
            order
                .agree(Sid(1), 0, Zxid(2), &Bytes::from_static(b"a"))
                .is_err()
        );
    }
}
