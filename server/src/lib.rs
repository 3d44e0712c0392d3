//! Menagerie: a ZooKeeper server to run or to embed. Owns the shells around the rules: sockets,
//! threads, clocks, configuration. May use `menagerie-core`, `menagerie-storage`, tokio. Must not
//! hold a rule of the protocol.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let server = menagerie::ZooServer::builder()
//!     .set_parameter("dataDir", dir.path().display())
//!     .set_parameter("clientPort", 0)
//!     .start()?;
//! println!("serving on {}", server.client_addr());
//! server.stop()?;
//! # Ok(())
//! # }
//! ```

mod builder;
mod client;
pub mod config;
mod fourletter;
mod java_date;
mod peer;
mod purger;
pub mod runtime;
mod server;
mod shared;
mod stats;
mod version;

pub use builder::{Builder, StartError};
pub use server::{StopError, ZooServer};
