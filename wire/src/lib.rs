//! Owns ZooKeeper's bytes: Jute, the client protocol's records, transaction and snapshot records,
//! framing, path rules and the text formats. May use serde, byteorder, nom and bytes. Must not do
//! IO, read clocks, or know what a request means.
//!
//! Every decoder is total: any input gives a value or a [`jute::DecodeError`], and allocates no
//! more than the input could justify.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

pub mod client;
pub mod data;
pub mod election;
pub mod frame;
pub mod jute;
pub mod multi;
pub mod op;
pub mod path;
pub mod quorum;
pub mod text;
pub mod txn;
