//! Owns files. May use std IO.
