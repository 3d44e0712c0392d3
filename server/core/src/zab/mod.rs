//! Owns what Zab's two roles have in common: the packets between leader and learner, and the history
//! that a leader brings its learners up to. May use `wire::quorum`. Must not send, store or apply.

pub mod history;
pub mod packet;
