//! Owns the newtypes for the numbers that must not be confused with each other. May use nothing.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($ty:ty), $fmt:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $ty);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $fmt, self.0)
            }
        }
    };
}

id!(
    /// A transaction's id: epoch in the high 32 bits, counter in the low ones.
    Zxid(i64), "0x{:x}"
);
id!(
    /// A client's session.
    SessionId(i64), "0x{:x}"
);
id!(
    /// A client connection of this server, reused after it closed.
    ConnId(u32), "{}"
);
id!(
    /// A request's number as its client chose it.
    Cxid(i32), "{}"
);
