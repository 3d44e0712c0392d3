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
id!(
    /// A server's number within its ensemble: `myid`.
    Sid(i64), "{}"
);
id!(
    /// A connection between a leader and a learner, as one of its ends names it; never used again.
    LinkId(u64), "{}"
);

impl Zxid {
    /// The first zxid of an epoch, which no transaction has. Source: `ZxidUtils.makeZxid`.
    #[must_use]
    pub const fn first_of(epoch: i64) -> Self {
        Self(epoch << 32)
    }

    /// The epoch in which it was given. Source: `ZxidUtils.getEpochFromZxid`.
    #[must_use]
    pub const fn epoch(self) -> i64 {
        self.0 >> 32
    }

    /// Its place within the epoch. Source: `ZxidUtils.getCounterFromZxid`.
    #[must_use]
    pub const fn counter(self) -> i64 {
        self.0 & 0xFFFF_FFFF
    }
}
