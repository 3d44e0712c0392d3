//! Owns the threads that execute what the core decides.

pub mod watches;
