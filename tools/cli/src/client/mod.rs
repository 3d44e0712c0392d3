//! Owns talking to a server as a client: a blocking connection for bulk work, and a client with
//! watches that reconnects, for the shell. May use `wire`, sockets and tokio. Must not print.

pub(crate) mod blocking;
mod connection;
mod error;
mod event;
mod ops;
mod session;
mod watches;

pub(crate) use error::ClientError;
pub(crate) use event::Event;
pub(crate) use ops::{Acls, Client, CreateKind};
pub(crate) use session::{Options, State};
pub(crate) use watches::Remove;
