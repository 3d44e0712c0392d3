//! Owns watches.
