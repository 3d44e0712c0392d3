//! Owns the ACLs in use, each once, with the number of nodes that use it. Must not know nodes.
//! Source: `ReferenceCountedACLCache`.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use menagerie_wire::data::Acl;

use super::{AclEntry, AclList, acl_list};

/// A number for an ACL in an [`AclTable`], reused after nothing uses the ACL any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AclId(u32);

impl AclId {
    /// The open ACL's: everything to everybody. It is always there and not counted.
    pub const OPEN: Self = Self(0);
}

/// The open ACL's id in snapshots. Source: `ReferenceCountedACLCache.OPEN_UNSAFE_ACL_ID`.
const OPEN_SNAPSHOT_ID: i64 = -1;

#[derive(Debug)]
struct Slot {
    list: AclList,
    /// Nodes that use it.
    uses: u64,
    /// Its id in snapshots, never used again for another: a snapshot's ids are written before the
    /// nodes that use them, while nodes go on changing.
    snapshot_id: i64,
}

/// The ACLs in use.
#[derive(Debug)]
pub struct AclTable {
    hash: FixedState,
    /// The first is the open one.
    slots: Vec<Option<Slot>>,
    free: Vec<AclId>,
    index: HashTable<AclId>,
    last_snapshot_id: i64,
    /// By id in the snapshot that is being loaded.
    loading: BTreeMap<i64, AclId>,
}

impl Default for AclTable {
    fn default() -> Self {
        Self::new()
    }
}

impl AclTable {
    /// A table with the open ACL, and a fixed hash seed.
    #[must_use]
    pub fn new() -> Self {
        Self::with_seed(0)
    }

    /// A table with the open ACL. Clients choose the ACLs, so a server takes a seed of its own.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        let mut table = Self {
            hash: FixedState::with_seed(seed),
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            last_snapshot_id: 0,
            loading: BTreeMap::new(),
        };
        let open = table.insert(AclList::open(), OPEN_SNAPSHOT_ID);
        debug_assert_eq!(open, AclId::OPEN);
        table
    }

    fn slot(&self, id: AclId) -> Option<&Slot> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    fn slot_mut(&mut self, id: AclId) -> Option<&mut Slot> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    fn find(&self, acl: &[AclEntry]) -> Option<AclId> {
        let is_it = |id: &AclId| self.slot(*id).is_some_and(|slot| *slot.list == *acl);
        self.index.find(self.hash.hash_one(acl), is_it).copied()
    }

    fn insert(&mut self, list: AclList, snapshot_id: i64) -> AclId {
        let hash = self.hash.hash_one(&*list);
        let slot = Some(Slot {
            list,
            uses: 0,
            snapshot_id,
        });
        let id = if let Some(id) = self.free.pop() {
            self.slots[id.0 as usize] = slot;
            id
        } else {
            self.slots.push(slot);
            AclId(u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 different ACLs"))
        };
        let (slots, state) = (&self.slots, &self.hash);
        self.index.insert_unique(hash, id, |id| {
            let slot = slots.get(id.0 as usize).and_then(Option::as_ref);
            slot.map_or(0, |slot| state.hash_one(&*slot.list))
        });
        id
    }

    fn next_snapshot_id(&mut self) -> i64 {
        self.last_snapshot_id = self.last_snapshot_id.wrapping_add(1).max(1);
        self.last_snapshot_id
    }

    /// The id of an ACL, for one more node that uses it. What the log has as null, which is not
    /// the same as empty, means the open ACL. Source: `convertAcls`.
    pub fn intern(&mut self, acl: &[AclEntry]) -> AclId {
        let id = self.find(acl).unwrap_or_else(|| {
            let snapshot_id = self.next_snapshot_id();
            self.insert(acl.into(), snapshot_id)
        });
        self.retain(id);
        id
    }

    /// The ACL with that id.
    ///
    /// # Panics
    /// When nothing uses the id: then who asks has lost count.
    #[must_use]
    pub fn get(&self, id: AclId) -> &AclList {
        &self.slot(id).expect("an ACL in use is in the table").list
    }

    /// Counts one more node that uses the ACL. Source: `addUsage`.
    pub fn retain(&mut self, id: AclId) {
        if id != AclId::OPEN
            && let Some(slot) = self.slot_mut(id)
        {
            slot.uses += 1;
        }
    }

    /// Counts one node less and forgets the ACL with the last. Source: `removeUsage`.
    pub fn release(&mut self, id: AclId) {
        if id == AclId::OPEN {
            return;
        }
        let Some(slot) = self.slot_mut(id) else {
            return;
        };
        slot.uses = slot.uses.saturating_sub(1);
        if slot.uses == 0 {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: AclId) {
        let Some(slot) = self.slots.get_mut(id.0 as usize).and_then(Option::take) else {
            return;
        };
        let hash = self.hash.hash_one(&*slot.list);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.free.push(id);
    }

    /// Different ACLs, the open one included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none but the open one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() <= 1
    }

    /// Takes over an ACL under the id that a snapshot gives it. No node uses it yet.
    /// Source: `deserialize`.
    pub fn load(&mut self, snapshot_id: i64, acl: &[Acl<'_>]) {
        let list = acl_list(acl);
        let id = self
            .find(&list)
            .unwrap_or_else(|| self.insert(list, snapshot_id));
        self.last_snapshot_id = self.last_snapshot_id.max(snapshot_id);
        self.loading.insert(snapshot_id, id);
    }

    /// The ACL of a loaded node, for one more node that uses it. One that the snapshot lacks came
    /// after its ACLs were written: nobody but a super user passes until replay, which has
    /// the node's creation or its new ACL, gives the node its own.
    pub fn loaded(&mut self, snapshot_id: i64) -> AclId {
        if snapshot_id == OPEN_SNAPSHOT_ID {
            return AclId::OPEN;
        }
        match self.loading.get(&snapshot_id) {
            Some(&id) => {
                self.retain(id);
                id
            }
            None => self.intern(&[AclEntry::world(0)]),
        }
    }

    /// Ends loading: forgets the ACLs that no node uses. Source: `purgeUnused`.
    pub fn purge_unused(&mut self) {
        self.loading = BTreeMap::new();
        let unused: Vec<AclId> = (1..self.slots.len())
            .filter_map(|index| u32::try_from(index).ok().map(AclId))
            .filter(|id| self.slot(*id).is_some_and(|slot| slot.uses == 0))
            .collect();
        for id in unused {
            self.forget(id);
        }
    }

    /// An ACL's id in snapshots.
    #[must_use]
    pub fn snapshot_id(&self, id: AclId) -> i64 {
        self.slot(id)
            .map_or(OPEN_SNAPSHOT_ID, |slot| slot.snapshot_id)
    }

    /// What a snapshot says of ACLs: all but the open one, which has its id without being there.
    pub fn snapshot_entries(&self) -> impl Iterator<Item = (i64, &AclList)> + '_ {
        let others = self.slots.iter().skip(1).flatten();
        others.map(|slot| (slot.snapshot_id, &slot.list))
    }
}

#[cfg(test)]
mod tests {
    use menagerie_wire::data::perms;

    use super::*;

    fn entry(id: &str) -> AclEntry {
        AclEntry::new(perms::ALL, "digest", id)
    }

    #[test]
    fn equal_lists_have_one_id_and_order_matters() {
        let mut table = AclTable::new();
        let ab = table.intern(&[entry("a:1"), entry("b:1")]);
        let ba = table.intern(&[entry("b:1"), entry("a:1")]);
        assert_ne!(ab, ba);
        assert_eq!(table.intern(&[entry("a:1"), entry("b:1")]), ab);
        assert_eq!(table.len(), 3);
        assert_eq!(&*table.get(ab)[0].id, "a:1");
        assert_eq!((table.snapshot_id(ab), table.snapshot_id(ba)), (1, 2));
    }

    #[test]
    fn open_acl_has_fixed_ids_and_is_never_forgotten() {
        let mut table = AclTable::new();
        assert_eq!(table.intern(&AclList::open()), AclId::OPEN);
        table.release(AclId::OPEN);
        table.release(AclId::OPEN);
        table.purge_unused();
        assert_eq!(&**table.get(AclId::OPEN), &[AclEntry::world(perms::ALL)]);
        assert_eq!(table.snapshot_id(AclId::OPEN), -1);
        assert_eq!(table.snapshot_entries().count(), 0);
    }

    #[test]
    fn last_release_forgets_and_the_snapshot_id_is_not_used_again() {
        let mut table = AclTable::new();
        let a = table.intern(&[entry("a:1")]);
        table.retain(a);
        table.release(a);
        assert_eq!(table.len(), 2, "one node still uses it");
        table.release(a);
        assert!(table.is_empty());
        let b = table.intern(&[entry("b:1")]);
        assert_eq!(b, a, "the slot is reused");
        assert_eq!(table.snapshot_id(b), 2);
        assert_eq!(&*table.get(b)[0].id, "b:1");
    }

    #[test]
    fn loading_keeps_given_ids_and_drops_unused_lists() {
        let mut table = AclTable::new();
        let wire = |id: &'static str| [Acl::new(perms::ALL, "digest", id)];
        table.load(7, &wire("a:1"));
        table.load(9, &wire("b:1"));
        table.load(3, &[Acl::new(perms::ALL, "world", "anyone")]);
        let a = table.loaded(7);
        assert_eq!(table.loaded(3), AclId::OPEN);
        assert_eq!(table.loaded(-1), AclId::OPEN);
        table.purge_unused();
        let entries: Vec<i64> = table.snapshot_entries().map(|(id, _)| id).collect();
        assert_eq!(entries, [7]);
        assert_eq!(table.intern(&[entry("a:1")]), a);
        let new = table.intern(&[entry("c:1")]);
        assert_eq!(table.snapshot_id(new), 10, "above all that were loaded");
    }

    #[test]
    fn node_whose_acl_the_snapshot_lacks_is_closed() {
        let mut table = AclTable::new();
        let id = table.loaded(5);
        let list = table.get(id).clone();
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].perms, 0);
        table.release(id);
        assert!(table.is_empty());
    }
}
