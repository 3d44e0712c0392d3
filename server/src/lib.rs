//! The server as a library.

pub mod config;
pub mod runtime;
