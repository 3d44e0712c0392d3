//! Owns the rules. Must not do IO.
#![forbid(unsafe_code)]
