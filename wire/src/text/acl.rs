//! Owns access control lists as text, the way zkCli reads and prints them. May use nom and `data`.
//! Must not judge whether a server would take them.
//! Source: `cli.AclParser`, `ZKUtil.getPermString`, `cli.GetAclCommand`.

use std::borrow::Cow;
use std::fmt;

use nom::Parser as _;
use nom::bytes::complete::take_till;
use nom::character::complete::char;
use nom::combinator::{all_consuming, rest};
use nom::multi::separated_list0;
use nom::sequence::separated_pair;

use crate::data::{Acl, Id, perms};

/// Why a text is not an access control list. zkCli itself skips such parts with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AclError {
    /// Fewer than two colons.
    #[error("{0} does not have the form scheme:id:perm")]
    Form(String),
    /// Not one of `cdrwa`.
    #[error("Unknown perm type: {0}")]
    Permission(char),
}

/// Letters of the permissions in the order in which they are printed.
const LETTERS: [(char, i32); 5] = [
    ('c', perms::CREATE),
    ('d', perms::DELETE),
    ('r', perms::READ),
    ('w', perms::WRITE),
    ('a', perms::ADMIN),
];

/// Reads permissions such as `cdrwa`, letters in any order.
///
/// # Errors
/// The first letter that is none.
pub fn parse_permissions(letters: &str) -> Result<i32, AclError> {
    letters.chars().try_fold(0, |bits, letter| {
        LETTERS
            .iter()
            .find(|(known, _)| *known == letter)
            .map(|(_, bit)| bits | bit)
            .ok_or(AclError::Permission(letter))
    })
}

/// The letters of permissions; unknown bits are not shown.
#[must_use]
pub fn permissions(bits: i32) -> String {
    LETTERS
        .iter()
        .filter(|(_, bit)| bits & bit != 0)
        .map(|(letter, _)| letter)
        .collect()
}

/// Reads entries `scheme:id:perms` between commas. An id may hold colons, as digests and IPv6
/// addresses do: the scheme ends at the first, the permissions begin behind the last.
///
/// # Errors
/// The first entry that is none.
pub fn parse(text: &str) -> Result<Vec<Acl<'_>>, AclError> {
    let part = take_till::<_, &str, nom::error::Error<&str>>(|c| c == ',');
    let mut parts = match separated_list0(char(','), part).parse(text) {
        Ok((_, parts)) => parts,
        Err(_) => vec![text],
    };
    // Java's `String.split` drops empty parts at the end.
    while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts.into_iter().map(entry).collect()
}

fn entry(text: &str) -> Result<Acl<'_>, AclError> {
    let form = || AclError::Form(text.to_owned());
    let scheme = take_till::<_, &str, nom::error::Error<&str>>(|c| c == ':');
    let mut parts = all_consuming(separated_pair(scheme, char(':'), rest));
    let (_, (scheme, rest)) = parts.parse(text).map_err(|_| form())?;
    let (id, letters) = rest.rsplit_once(':').ok_or_else(form)?;
    Ok(Acl {
        perms: parse_permissions(letters)?,
        id: Id {
            scheme: Some(Cow::Borrowed(scheme)),
            id: Some(Cow::Borrowed(id)),
        },
    })
}

/// Shows an entry as [`parse`] reads it.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a Acl<'a>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Id { scheme, id } = &self.0.id;
        let text = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or("null").to_owned();
        write!(
            f,
            "{}:{}:{}",
            text(scheme),
            text(id),
            permissions(self.0.perms)
        )
    }
}

/// A string as Jute records are printed: behind an apostrophe, a few characters escaped.
/// Source: `ToStringOutputArchive.escapeString`.
fn printed(text: Option<&str>) -> String {
    let Some(text) = text else {
        return String::new();
    };
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\0' | '\n' | '\r' | ',' | '}' | '%' => out.push_str(&format!("%{:02X}", c as u32)),
            _ => out.push(c),
        }
    }
    out
}

/// The two lines that zkCli's `getAcl` prints for an entry, without the last line end.
#[must_use]
pub fn get_acl_lines(acl: &Acl<'_>) -> String {
    let (scheme, id) = (acl.id.scheme.as_deref(), acl.id.id.as_deref());
    format!(
        "{},{}\n: {}",
        printed(scheme),
        printed(id),
        permissions(acl.perms)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_and_shown() {
        let text = "world:anyone:cdrwa,digest:u:h+/=:r,ip:fe80::1/64:wr";
        let list = parse(text).unwrap();
        assert_eq!(list[0], Acl::new(perms::ALL, "world", "anyone"));
        assert_eq!(list[1], Acl::new(perms::READ, "digest", "u:h+/="));
        assert_eq!(
            list[2],
            Acl::new(perms::READ | perms::WRITE, "ip", "fe80::1/64")
        );
        let shown: Vec<String> = list.iter().map(|acl| Shown(acl).to_string()).collect();
        assert_eq!(shown.join(","), text.replace(":wr", ":rw"));
    }

    #[test]
    fn odd_entries() {
        assert_eq!(parse("world:anyone:r,,").unwrap().len(), 1);
        assert_eq!(
            parse("auth::cdrwa").unwrap(),
            [Acl::new(perms::ALL, "auth", "")]
        );
        assert_eq!(parse("auth::").unwrap()[0].perms, 0);
        assert_eq!(
            parse("world:anyone:rx").unwrap_err(),
            AclError::Permission('x')
        );
        for text in ["", "world", "world:anyone", "world:anyone:r,,ip:x:r"] {
            let error = parse(text).unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with("does not have the form scheme:id:perm"),
                "{text}"
            );
        }
    }

    #[test]
    fn get_acl_prints_as_zkcli() {
        let acl = Acl::new(perms::ALL, "world", "anyone");
        assert_eq!(get_acl_lines(&acl), "'world,'anyone\n: cdrwa");
        let acl = Acl::new(perms::READ | 64, "x509", "CN=a,O=b");
        assert_eq!(get_acl_lines(&acl), "'x509,'CN=a%2CO=b\n: r");
    }
}
