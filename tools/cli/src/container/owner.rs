//! Owns who runs the server in a container, and that the directories are theirs. Must not follow
//! links: they may lead out of the directories.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Whoever runs the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The user of the official image.
const ZOOKEEPER: User = User {
    uid: 1000,
    gid: 1000,
};

/// The user `zookeeper` of this system, or the numbers it has in the official image.
pub(super) fn user() -> User {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    find(&text, "zookeeper").unwrap_or(ZOOKEEPER)
}

fn find(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let mut number = fields.skip(1).map(|field| field.parse().ok());
        Some(User {
            uid: number.next()??,
            gid: number.next()??,
        })
    })
}

/// Gives a directory, created if it is not there, and everything in it to `user`.
///
/// # Errors
/// The path that cannot be changed.
pub(super) fn hand_over(dir: &Path, user: User) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        let of = || format!("cannot give {} to user {}", path.display(), user.uid);
        let metadata = fs::symlink_metadata(&path).with_context(of)?;
        if (metadata.uid(), metadata.gid()) != (user.uid, user.gid) {
            lchown(&path, Some(user.uid), Some(user.gid)).with_context(of)?;
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(&path).with_context(of)? {
                left.push(entry.with_context(of)?.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_the_systems_zookeeper() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nzookeeper:x:1001:1002::/:/bin/false\n";
        let found = find(passwd, "zookeeper");
        assert_eq!(
            found,
            Some(User {
                uid: 1001,
                gid: 1002
            })
        );
        assert_eq!(find(passwd, "zoo"), None);
        assert_eq!(find("zookeeper:x:a:b", "zookeeper"), None);
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir_all(data.join("version-2")).unwrap();
        std::os::unix::fs::symlink("/nowhere", data.join("link")).unwrap();
        let own = fs::metadata(&data).unwrap();
        let user = User {
            uid: own.uid(),
            gid: own.gid(),
        };
        hand_over(&data, user).unwrap();
        hand_over(&dir.path().join("new"), user).unwrap();
        assert!(dir.path().join("new").is_dir());
    }
}
