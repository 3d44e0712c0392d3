//! Owns the watch tables, sharded.
