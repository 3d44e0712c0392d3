//! Owns what requests mean: preparing transactions, applying them, answering reads. May use
//! `tree`, `watch`, `session`, `acl`, `quota`. Must not decide when something is committed.

pub mod apply;
pub(crate) mod create_mode;
pub(crate) mod eager;
mod outstanding;
pub mod prep;
pub mod read;
pub mod reconfig;
pub mod reply;
