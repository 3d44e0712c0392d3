//! Owns what the server says of its version. Exporters parse the beginning as the version of
//! ZooKeeper, so it is the one that this server is compatible with.

/// The version of ZooKeeper whose behaviour this is.
pub(crate) const COMPATIBLE: &str = "3.9.5";

/// `3.9.5-menagerie-0.1.0`.
pub(crate) fn full() -> String {
    format!("{COMPATIBLE}-menagerie-{}", env!("CARGO_PKG_VERSION"))
}

/// The version as `srvr` and `mntr` show it, with a date in the place where parsers skip one.
pub(crate) fn built() -> String {
    format!("{}, built on 2026-11-24 00:00 UTC", full())
}
