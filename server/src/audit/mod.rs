//! Owns the audit log: who changed what, a line for each change, as ZooKeeper writes them. May
//! look into requests. Must not make anybody wait: see [`log`].
//!
//! A request is looked into by its connection's task, when it is handed to the core
//! ([`asked::Asked`]); its lines are made when its reply is. Every member logs what its own clients
//! do, and the ephemeral nodes that go with sessions. Source: `AuditHelper`, `ZKAuditProvider`.

mod asked;
mod file;
mod line;
mod log;
mod user;

pub(crate) use asked::Asked;
pub(crate) use line::Outcome;
pub(crate) use log::{AUDIT_CLASS, AuditLog, AuditSettings};
