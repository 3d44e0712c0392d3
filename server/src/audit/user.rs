//! Owns the name of the user whom the server runs as. May read `/etc/passwd`.
//! Source: `Login.SYSTEM_USER`, Java's property `user.name`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// The user's name; `?`, as in Java, for a user without one.
pub(super) fn system_user() -> String {
    let uid = fs::metadata("/proc/self").map(|data| data.uid());
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = uid.ok().and_then(|uid| name_of(&users, uid));
    name.unwrap_or("?").to_owned()
}

fn name_of(users: &str, uid: u32) -> Option<&str> {
    let uid = uid.to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_number() {
        let users = "root:x:0:0:root:/root:/bin/bash\nbroken\nzk:x:104:10::/:/bin/false\n";
        assert_eq!(name_of(users, 104), Some("zk"));
        assert_eq!(name_of(users, 10), None);
    }
}
