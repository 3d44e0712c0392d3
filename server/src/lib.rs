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

mod admin;
mod audit;
mod builder;
mod client;
pub mod config;
pub mod doctor;
mod fourletter;
mod http;
mod java_date;
mod live;
mod metrics;
mod monitor;
mod peer;
mod process;
mod prometheus;
mod purger;
pub mod runtime;
mod sasl;
mod secured;
mod server;
mod shared;
mod slow;
mod stats;
mod top_paths;
mod traces;
mod version;

pub use builder::{Builder, StartError};
pub use live::Reloaded;
pub use menagerie_tls::TlsError;
pub use server::{StopError, ZooServer};
#[cfg(feature = "opentelemetry")]
pub use traces::{Traces, TracesError};
