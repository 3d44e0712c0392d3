//! Owns talking to a server as a client. May use `wire` and sockets. Must not print.

pub(crate) mod blocking;
