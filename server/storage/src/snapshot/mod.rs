//! Owns snapshot files: writing, choosing, reading. Source: `FileSnap`, `SnapStream`.

pub mod read;
mod snappy;
pub mod write;

/// How a snapshot is compressed, which its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// `.gz`
    Gzip,
    /// `.snappy`, in snappy-java's stream format.
    Snappy,
}

impl Compression {
    /// The last part of the file's name.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Snappy => ".snappy",
        }
    }

    /// What a file's name says.
    #[must_use]
    pub fn of(path: &std::path::Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("snappy") => Self::Snappy,
            _ => Self::None,
        }
    }
}

/// The string that ends nodes and seals: `/`, as Jute writes it.
pub(crate) const SLASH: [u8; 5] = [0, 0, 0, 1, b'/'];
