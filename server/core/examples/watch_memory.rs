//! Measures what watches cost in memory: `cargo run --release --example watch_memory`. Prints the
//! bytes asked of the allocator, its own overhead not included.
#![allow(unsafe_code, clippy::disallowed_methods, clippy::disallowed_types)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use menagerie_core::ids::ConnId;
use menagerie_core::watch::{WatchMode, WatchTable, WatchTableKind, path_hash};

/// Counts the bytes that are allocated.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; counting touches an atomic only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `GlobalAlloc::dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SHARDS: usize = 64;

/// As the server has them: many tables by the path's hash.
struct Shards(Vec<WatchTable>);

impl Shards {
    fn new() -> Self {
        Self((0..SHARDS).map(|_| WatchTable::new()).collect())
    }

    fn of(&mut self, path: &str) -> &mut WatchTable {
        &mut self.0[path_hash(1, path) as usize % SHARDS]
    }
}

/// What a case watches: the path and the connection of each watch.
type Watch = (String, u32);

fn measure(name: &str, watches: usize, conns: u32, watch: impl Fn(usize) -> Watch) {
    let before = BYTES.load(Ordering::Relaxed);
    let mut shards = Shards::new();
    let mut path_bytes = 0;
    let start = Instant::now();
    for index in 0..watches {
        let (path, conn) = watch(index);
        path_bytes += path.len();
        shards.of(&path).add(&path, ConnId(conn), WatchMode::Data);
    }
    let added = start.elapsed();
    let bytes = BYTES.load(Ordering::Relaxed) - before;
    println!(
        "{name}: {:.2} bytes per watch (a path has {:.1}), {:.0} ns to add",
        bytes as f64 / watches as f64,
        path_bytes as f64 / watches as f64,
        added.as_nanos() as f64 / watches as f64,
    );
    let start = Instant::now();
    let closed = conns / 2;
    for conn in 0..closed {
        shards
            .0
            .iter_mut()
            .for_each(|table| table.remove_conn(ConnId(conn)));
    }
    let per_conn = start.elapsed().as_nanos() / u128::from(closed.max(1));
    let start = Instant::now();
    let mut out = Vec::new();
    for index in 0..watches.min(10_000) {
        let (path, _) = watch(index);
        shards.of(&path).fire(WatchTableKind::Data, &path, &mut out);
    }
    let fired = start.elapsed();
    println!("  {per_conn} ns to close a connection, {fired:?} for 10,000 events or less");
}

fn main() {
    let own = |conns: usize| {
        move |watch: usize| {
            let path = format!("/services/app-{:04}/instance-{watch:08}", watch % 1000);
            (path, (watch % conns) as u32)
        }
    };
    measure("a million paths, one connection", 1_000_000, 1, own(1));
    measure(
        "a million paths, 1,000 connections",
        1_000_000,
        1_000,
        own(1_000),
    );
    measure(
        "a million paths, 10,000 connections",
        1_000_000,
        10_000,
        own(10_000),
    );
    measure(
        "a million paths, a million connections",
        1_000_000,
        1_000_000,
        own(1_000_000),
    );
    let one = |watch| ("/config".to_owned(), watch as u32);
    measure("one path, 10,000 connections", 10_000, 10_000, one);
    measure("one path, 100,000 connections", 100_000, 100_000, one);
    measure(
        "100 paths, each by 10,000 connections",
        1_000_000,
        10_000,
        |watch| {
            (
                format!("/config/{}", watch / 10_000),
                (watch % 10_000) as u32,
            )
        },
    );
    measure(
        "20,000 paths, each by 50 of 10,000 connections",
        1_000_000,
        10_000,
        |watch| {
            let (path, nth) = (watch % 20_000, watch / 20_000);
            (
                format!("/config/{path}"),
                ((path * 7 + nth * 199) % 10_000) as u32,
            )
        },
    );
}
