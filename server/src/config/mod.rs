//! Owns configuration.
