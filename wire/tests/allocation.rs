//! A short input that claims to be long must not cost memory.
// The counting allocator is the only way to see it.
#![allow(unsafe_code, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use menagerie_wire::client::{GetChildrenResponse, SetWatches2, WhoAmIResponse};
use menagerie_wire::jute::{decode_all, from_slice};
use menagerie_wire::multi::MultiRequest;
use menagerie_wire::txn::MultiTxn;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to `System` unchanged; the counter does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _gone = ALLOCATED.try_with(|sum| sum.set(sum.get() + layout.size()));
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that `work` allocates.
fn cost(work: impl FnOnce()) -> usize {
    let before = ALLOCATED.with(Cell::get);
    work();
    ALLOCATED.with(Cell::get) - before
}

#[test]
fn the_counter_counts() {
    assert!(cost(|| drop(Vec::<u8>::with_capacity(5000))) >= 5000);
}

#[test]
fn claimed_counts_reserve_little() {
    let claim = b"\x7F\xFF\xFF\xFF\0\0\0\x01x\0\0\0";
    let costs = [
        cost(|| assert!(decode_all::<GetChildrenResponse<'_>>(claim).is_err())),
        cost(|| assert!(from_slice::<GetChildrenResponse<'_>>(claim).is_err())),
        cost(|| assert!(decode_all::<MultiTxn<'_>>(claim).is_err())),
        cost(|| assert!(from_slice::<MultiTxn<'_>>(claim).is_err())),
        cost(|| assert!(decode_all::<WhoAmIResponse<'_>>(claim).is_err())),
        cost(|| assert!(from_slice::<SetWatches2<'_>>(&[claim.as_slice(); 2].concat()).is_err())),
        cost(|| assert!(decode_all::<MultiRequest<'_>>(claim).is_err())),
    ];
    assert!(costs.iter().all(|&bytes| bytes <= 4096), "{costs:?}");
}

#[test]
fn claimed_lengths_reserve_nothing() {
    let claim = b"\0\0\0\x01\x7F\xFF\xFF\xFFabcd";
    let costs = [
        cost(|| assert!(decode_all::<GetChildrenResponse<'_>>(claim).is_err())),
        cost(|| assert!(from_slice::<GetChildrenResponse<'_>>(claim).is_err())),
    ];
    assert!(costs.iter().all(|&bytes| bytes <= 4096), "{costs:?}");
}
