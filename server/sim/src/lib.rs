//! Owns the deterministic simulator: members with their real core, disks, a network and clients
//! that exist only as values, all driven by one seed. May use `menagerie-core` and, over a simulated
//! disk, `menagerie-database` and `menagerie-storage`. Must not use threads, clocks or any randomness but the seed's: a run is repeated exactly by its seed.
#![forbid(unsafe_code)]

pub mod check;
pub mod disk;
pub mod node;
pub mod plan;
pub mod world;

pub use plan::{Plan, Report};
pub use world::run;
