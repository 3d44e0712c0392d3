//! Placeholder of the crate root.
fn main() {}
