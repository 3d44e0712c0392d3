//! Owns the lists of servers in the grammars of three images. Must not judge addresses: the server
//! does.

use anyhow::{Result, bail};

/// Lines `server.N=…`.
type Lines = Vec<(String, String)>;

/// What ZOO_SERVERS says: the official image's `server.N=…`, or Bitnami's addresses, which get
/// `client_port`. One address alone is no ensemble, as in Bitnami's image.
///
/// # Errors
/// The entry that is neither, or a number that is none.
pub(super) fn zoo_servers(text: &str, client_port: &str) -> Result<Lines> {
    if text
        .split_whitespace()
        .any(|entry| entry.starts_with("server."))
    {
        return text
            .split_whitespace()
            .map(|entry| match entry.split_once('=') {
                Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
                None => bail!("ZOO_SERVERS: {entry:?} is not server.N=host:2888:3888;2181"),
            })
            .collect();
    }
    let entries: Vec<&str> = text
        .split([',', ';', ' ', '\t', '\n'])
        .filter(|entry| !entry.is_empty())
        .collect();
    let mut lines = Lines::new();
    for (index, entry) in entries.iter().enumerate() {
        let (address, id) = match entry.split_once("::") {
            Some((address, id)) => (address, id.to_owned()),
            None => (*entry, (index + 1).to_string()),
        };
        let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || address.split(':').count() < 3 {
            bail!(
                "ZOO_SERVERS: {entry:?} is neither server.N=host:2888:3888;2181 nor \
                 host:2888:3888::N"
            );
        }
        lines.push((format!("server.{id}"), format!("{address};{client_port}")));
    }
    if lines.len() < 2 {
        lines.clear();
    }
    Ok(lines)
}

/// What Confluent's lists say: entries with semicolons between, numbered from 1.
pub(super) fn numbered(key: &str, text: &str) -> Lines {
    let entries = text.split(';').enumerate();
    entries
        .filter(|(_, entry)| !entry.trim().is_empty())
        .map(|(index, entry)| (format!("{key}.{}", index + 1), entry.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let lines = zoo_servers(text, "2181").unwrap();
        lines
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect()
    }

    #[test]
    fn both_grammars_of_zoo_servers_are_known() {
        assert_eq!(
            lines("server.1=a:2888:3888;2181  server.2=b:2888:3888:observer;2181"),
            [
                "server.1=a:2888:3888;2181",
                "server.2=b:2888:3888:observer;2181"
            ]
        );
        let expected = [
            "server.3=a:2888:3888;2181",
            "server.5=b:2888:3888:observer;2181",
        ];
        assert_eq!(lines("a:2888:3888::3,b:2888:3888:observer::5"), expected);
        assert_eq!(lines("a:2888:3888::3; b:2888:3888:observer::5"), expected);
        assert_eq!(
            lines("a:1:2 b:1:2"),
            ["server.1=a:1:2;2181", "server.2=b:1:2;2181"]
        );
        assert!(lines("a:2888:3888::1").is_empty());
        for wrong in [
            "a:1:2::x,b:1:2::2",
            "a b",
            "a:1:2::,b:1:2::2",
            "server.1 server.2",
        ] {
            assert!(zoo_servers(wrong, "2181").is_err(), "{wrong}");
        }
    }

    #[test]
    fn confluents_lists_are_numbered() {
        let expected = [("server.1", "a:1:2"), ("server.2", "b:1:2")];
        let got = numbered("server", "a:1:2; b:1:2;");
        assert!(
            got.iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .eq(expected)
        );
    }
}
