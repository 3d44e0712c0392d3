//! Owns measurements by key: the part of the tree that a request was about, the server that
//! acknowledged. Bounds how many keys there are, since clients may choose them. Must not know what
//! is measured. Source: `SummarySet`, `CounterSet`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::Summary;

/// Keys at most; Apache's server has as many as there are.
const KEYS_MAX: usize = 500;
/// The longest key, bytes.
const KEY_BYTES_MAX: usize = 256;
/// What stands for all that have no key of their own: no part of a path can be this.
const REST: &str = "/";
/// Values that are noted before they are added up, so that a lock is not taken for each.
const NOTES_MAX: usize = 16;

/// One measurement for each key.
#[derive(Debug, Default)]
pub(crate) struct Keyed<T> {
    known: RwLock<BTreeMap<Box<str>, Arc<T>>>,
    rest: OnceLock<Arc<T>>,
}

impl<T: Default> Keyed<T> {
    /// The key's measurement, or that of all the keys for which there was no room.
    pub(crate) fn of(&self, key: &str) -> Arc<T> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(key) {
            return Arc::clone(found);
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(key) {
            return Arc::clone(found);
        }
        if known.len() >= KEYS_MAX || key.len() > KEY_BYTES_MAX {
            return Arc::clone(self.rest.get_or_init(Arc::default));
        }
        let new = Arc::<T>::default();
        known.insert(key.into(), Arc::clone(&new));
        new
    }

    /// All keys and their measurements.
    pub(crate) fn all(&self) -> Vec<(Box<str>, Arc<T>)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.iter().map(|(key, of)| (key.clone(), Arc::clone(of)));
        let rest = self.rest.get().map(|of| (REST.into(), Arc::clone(of)));
        known.chain(rest).collect()
    }
}

/// Values of one key after the other, on their way into a set.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    last: Option<(Box<str>, Arc<Summary>)>,
    /// Values and how often they came one after the other: nodes of one kind often have one size.
    values: Vec<(u64, u64)>,
}

impl Notes {
    pub(crate) fn note(&mut self, set: &Keyed<Summary>, key: &str, value: u64) {
        if self.last.as_ref().is_none_or(|(last, _)| **last != *key) {
            self.flush();
            self.last = Some((key.into(), set.of(key)));
        }
        if let Some((_, times)) = self.values.last_mut().filter(|(last, _)| *last == value) {
            *times += 1;
            return;
        }
        if self.values.len() >= NOTES_MAX {
            self.flush();
        }
        self.values.push((value, 1));
    }

    /// Adds up what is noted.
    pub(crate) fn flush(&mut self) {
        if let Some((_, summary)) = &self.last {
            summary.add_all(&self.values);
        }
        self.values.clear();
    }
}

/// The first component of a path, by which traffic is told; none for the root.
/// Source: `PathUtils.getTopNamespace`.
pub(crate) fn namespace(path: &str) -> Option<&str> {
    let below = path.get(path.find('/')? + 1..)?;
    let top = below.find('/').map_or(below, |end| &below[..end]);
    Some(top).filter(|top| !top.is_empty())
}

/// The length of a text as Java counts it.
pub(crate) fn java_len(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.encode_utf16().count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Counter;
    use super::*;

    #[test]
    fn clients_cannot_make_keys_without_end() {
        let counters = Keyed::<Counter>::default();
        let long = "x".repeat(KEY_BYTES_MAX + 1);
        counters.of(&long).add(1);
        for number in 0..KEYS_MAX + 10 {
            counters.of(&number.to_string()).add(1);
        }
        counters.of("0").add(1);
        let all = counters.all();
        assert_eq!(all.len(), KEYS_MAX + 1);
        let total = |key: &str| {
            let found = all.iter().find(|(known, _)| **known == *key);
            found.map(|(_, counter)| counter.total())
        };
        assert_eq!((total("0"), total("1")), (Some(2), Some(1)));
        assert_eq!(total(REST), Some(11));
    }

    #[test]
    fn notes_reach_their_keys_whatever_their_order() {
        let (set, mut notes) = (Keyed::default(), Notes::default());
        for value in 0..100 {
            notes.note(&set, if value % 3 == 0 { "a" } else { "b" }, value);
        }
        notes.note(&set, "b", 1000);
        notes.flush();
        notes.flush();
        let totals = |key: &str| set.of(key).totals();
        assert_eq!((totals("a").count, totals("a").max), (34, 99));
        assert_eq!((totals("b").count, totals("b").max), (67, 1000));
        assert_eq!(totals("a").sum + totals("b").sum, 4950 + 1000);
    }

    #[test]
    fn a_namespace_is_the_first_part_of_a_path() {
        let parts = ["/", "/a", "/a/b", ""].map(namespace);
        assert_eq!(parts, [None, Some("a"), Some("a"), None]);
        assert_eq!((java_len("/a"), java_len("/ä𐐷")), (2, 4));
    }
}
