//! Owns the rules of znode paths. Must not know the tree. Source: `PathUtils.validatePath`.

/// Why a path is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Empty.
    #[error("the path is empty")]
    Empty,
    /// Does not start with a slash.
    #[error("the path does not start with /")]
    NoLeadingSlash,
    /// Ends with a slash.
    #[error("the path ends with /")]
    TrailingSlash,
    /// Two slashes in a row.
    #[error("empty name at byte {0}")]
    EmptyName(usize),
    /// `.` or `..` as a name.
    #[error("relative name at byte {0}")]
    RelativeName(usize),
    /// A character that paths may not have.
    #[error("character U+{code:04X} at byte {at} is not allowed")]
    Character {
        /// Its code point.
        code: u32,
        /// Where it starts.
        at: usize,
    },
}

/// Whether a path may not have this character. Supplementary characters are pairs of surrogates
/// to ZooKeeper, which it excludes.
const fn is_forbidden(c: char) -> bool {
    matches!(c as u32,
        0..=0x1F | 0x7F..=0x9F | 0xD800..=0xF8FF | 0xFFF0..=0xFFFF | 0x1_0000..)
}

/// Checks a path.
///
/// # Errors
/// The first rule that it breaks.
pub fn validate(path: &str) -> Result<(), PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    let Some(rest) = path.strip_prefix('/') else {
        return Err(PathError::NoLeadingSlash);
    };
    if rest.is_empty() {
        return Ok(());
    }
    if rest.ends_with('/') {
        return Err(PathError::TrailingSlash);
    }
    let plain = |b: u8| (0x20..0x7F).contains(&b);
    if !path.bytes().all(plain)
        && let Some((at, c)) = path.char_indices().find(|(_, c)| is_forbidden(*c))
    {
        return Err(PathError::Character { code: c as u32, at });
    }
    let mut at = 1;
    for name in rest.split('/') {
        match name {
            "" => return Err(PathError::EmptyName(at)),
            "." | ".." => return Err(PathError::RelativeName(at)),
            _ => at += name.len() + 1,
        }
    }
    Ok(())
}

/// The parent of a valid path; `None` for the root.
#[must_use]
pub fn parent(path: &str) -> Option<&str> {
    match path.rsplit_once('/')? {
        ("", "") => None,
        ("", _) => Some("/"),
        (parent, _) => Some(parent),
    }
}

/// The name behind the last slash; empty for the root.
#[must_use]
pub fn last_component(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_judged_as_zookeeper_does() {
        for good in ["/", "/a", "/a/b.c", "/a/...", "/ä/ö", "/a b"] {
            assert_eq!(validate(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a",
            "/a/",
            "//",
            "/a//b",
            "/./a",
            "/a/..",
            "/a\u{0}",
            "/\u{7f}",
            "/😀",
            "/\u{fff0}",
        ] {
            assert!(validate(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn parents_and_names() {
        for (path, above, name) in [
            ("/", None, ""),
            ("/a", Some("/"), "a"),
            ("/a/b", Some("/a"), "b"),
        ] {
            assert_eq!(
                (parent(path), last_component(path)),
                (above, name),
                "{path}"
            );
        }
    }
}
