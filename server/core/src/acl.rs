//! Owns ACL rules.
