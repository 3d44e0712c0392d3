//! Owns what requests mean: preparing transactions, applying them, answering reads. May use
//! `tree`, `watch`, `session`, `acl`, `quota`. Must not decide when something is committed.

pub mod apply;
mod create_mode;
mod outstanding;
pub mod prep;
pub mod read;
pub mod reply;
