//! Owns what tools need to know of a `zoo.cfg`: where the data is and where clients connect. May
//! read it and the dynamic file it names. Must not judge it: that is the server's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use menagerie_wire::text::properties::{self, Property};

/// Where clients connect when nothing says otherwise.
pub(crate) const CLIENT_PORT: u16 = 2181;

/// A configuration file.
#[derive(Debug)]
pub(crate) struct ZooCfg {
    entries: Vec<Property>,
}

/// Where a server is reached.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress {
    pub(crate) host: String,
    pub(crate) port: String,
    /// Whether it takes TLS to talk to it.
    pub(crate) tls: bool,
}

impl ZooCfg {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is no properties file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let entries = properties::parse(&bytes)
            .map_err(|error| anyhow::anyhow!("{}:{}: {error}", path.display(), error.line))?;
        Ok(Self { entries })
    }

    /// The value of a key, without white space around it.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.key.trim() == key);
        entry
            .map(|entry| entry.value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The server lines, by number.
    pub(crate) fn server_lines(&self) -> BTreeMap<u64, String> {
        let lines = self.entries.iter().filter_map(|entry| {
            let sid = entry.key.trim().strip_prefix("server.")?.parse().ok()?;
            Some((sid, entry.value.trim().to_owned()))
        });
        lines.collect()
    }

    /// `dataDir`.
    pub(crate) fn data_dir(&self) -> Option<PathBuf> {
        self.get("dataDir").map(PathBuf::from)
    }

    /// `dataLogDir`, if it is another directory than `dataDir`.
    pub(crate) fn data_log_dir(&self) -> Option<PathBuf> {
        self.get("dataLogDir").map(PathBuf::from)
    }

    /// Where clients connect with TLS, if there is a port of its own for them.
    pub(crate) fn secure_address(&self) -> Option<ClientAddress> {
        let host = self.get("secureClientPortAddress");
        self.get("secureClientPort").map(|port| ClientAddress {
            host: host.unwrap_or("localhost").to_owned(),
            port: port.to_owned(),
            tls: true,
        })
    }

    /// Where clients connect, and what zkServer.sh says while it looks for that. It looks into
    /// `clientPort`, then this server's line here and in the dynamic file, then `secureClientPort`.
    pub(crate) fn client_address(&self) -> (Option<ClientAddress>, Vec<String>) {
        let mut said = Vec::new();
        let mut host = self
            .get("clientPortAddress")
            .unwrap_or("localhost")
            .to_owned();
        let number = |port: &&str| port.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(port) = self.get("clientPort").filter(number) {
            let port = port.to_owned();
            let tls = false;
            return (Some(ClientAddress { host, port, tls }), said);
        }
        if let Some(client) = self.client_of_own_line(&mut said) {
            let (address, port) = client.rsplit_once(':').unwrap_or(("", &client));
            if !address.is_empty() {
                address.trim_matches(['[', ']']).clone_into(&mut host);
            }
            let (port, tls) = (port.to_owned(), false);
            return (Some(ClientAddress { host, port, tls }), said);
        }
        said.push(
            "Client port not found. Looking for secureClientPort in the static config.".into(),
        );
        let secure = self.get("secureClientPort").map(|port| ClientAddress {
            host,
            port: port.to_owned(),
            tls: true,
        });
        if secure.is_none() {
            let sentence = "Unable to find either secure or unsecure client port in any configs. \
                            Terminating.";
            said.push(sentence.into());
        }
        (secure, said)
    }

    /// What stands behind the semicolon of this server's line.
    fn client_of_own_line(&self, said: &mut Vec<String>) -> Option<String> {
        let my_id = self
            .data_dir()
            .and_then(|dir| fs::read_to_string(dir.join("myid")).ok());
        let my_id: Option<u64> = my_id.and_then(|id| id.trim().parse().ok());
        let Some(my_id) = my_id else {
            let sentence = "myid could not be determined, will not able to locate clientPort in \
                            the server configs.";
            said.push(sentence.into());
            return None;
        };
        let key = format!("server.{my_id}");
        let behind = |line: &str| {
            line.rsplit_once(';')
                .map(|(_, client)| client.trim().to_owned())
        };
        if let Some(client) = self.get(&key).and_then(behind) {
            return Some(client);
        }
        said.push(
            "Client port not found in static config file. Looking in dynamic config file.".into(),
        );
        let dynamic = self.get("dynamicConfigFile").map(Path::new);
        let dynamic = dynamic.and_then(|path| Self::read(path).ok());
        let client = dynamic.and_then(|file| file.get(&key).and_then(behind));
        if client.is_none() {
            said.push("Client port not found in the server configs".into());
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(dir: &Path, text: &str) -> (Option<(String, String, bool)>, usize) {
        let path = dir.join("zoo.cfg");
        fs::write(&path, text.replace("DIR", &dir.display().to_string())).unwrap();
        let (address, said) = ZooCfg::read(&path).unwrap().client_address();
        (address.map(|a| (a.host, a.port, a.tls)), said.len())
    }

    #[test]
    fn the_client_port_is_looked_for_where_zookeeper_allows_it() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let at = |host: &str, port: &str, tls| Some((host.to_owned(), port.to_owned(), tls));
        assert_eq!(
            found(dir, "clientPort=2182\nclientPortAddress=10.0.0.1\n"),
            (at("10.0.0.1", "2182", false), 0)
        );
        assert_eq!(
            found(dir, "dataDir=DIR\nsecureClientPort=2281\n"),
            (at("localhost", "2281", true), 2)
        );
        fs::write(dir.join("myid"), "2\n").unwrap();
        let ours = "dataDir=DIR\nserver.1=a:1:2;7\nserver.2=b:1:2:participant;127.0.0.1:8\n";
        assert_eq!(found(dir, ours), (at("127.0.0.1", "8", false), 0));
        fs::write(dir.join("dynamic"), "server.2=b:1:2;[::1]:9\n").unwrap();
        let dynamic = "dataDir=DIR\ndynamicConfigFile=DIR/dynamic\n";
        assert_eq!(found(dir, dynamic), (at("::1", "9", false), 1));
        assert_eq!(found(dir, "dataDir=DIR\nserver.2=b:1:2\n"), (None, 4));
    }
}
