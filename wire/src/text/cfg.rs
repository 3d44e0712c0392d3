//! Owns what `zoo.cfg` and the dynamic configuration say about an ensemble: server specs, groups,
//! weights, version. May use nom and `properties`. Must not resolve names or judge the ensemble.
//! Source: `QuorumPeer.QuorumServer`, `ConfigUtils.getHostAndPort`, `QuorumMaj`,
//! `QuorumHierarchical`, `QuorumPeerConfig.parseDynamicConfig`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use nom::bytes::complete::{take_till, take_until};
use nom::character::complete::char;
use nom::combinator::{all_consuming, opt};
use nom::multi::separated_list0;
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser as _};

use super::properties::{self, PropertiesError, Property};

/// Whether a server votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Votes; the default.
    Participant,
    /// Only follows.
    Observer,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Participant => "participant",
            Self::Observer => "observer",
        })
    }
}

/// One address of a server towards its peers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    /// Name or literal, without brackets; empty means loopback, as to Java.
    pub host: String,
    /// Where a leader listens for learners.
    pub port: u16,
    /// Where elections are held.
    pub election_port: u16,
}

/// Where a server listens for clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Client {
    /// Name or literal, without brackets; `0.0.0.0` if only a port was written.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The value of `server.N`:
/// `host:port:electionPort[:role][|host:port:electionPort[:role]]…[;[clientHost:]clientPort]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerSpec {
    /// At least one; more only with `multiAddress.enabled`.
    pub addresses: Vec<ServerAddress>,
    /// Whether it votes.
    pub role: Role,
    /// Its client address, unless that is in the static file.
    pub client: Option<Client>,
}

/// Why a text is not a server spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Too few or too many parts.
    #[error("\"{0}\" is not host:port:port or host:port:port:role")]
    ServerForm(String),
    /// Too many parts.
    #[error("\"{0}\" is not port or host:port")]
    ClientForm(String),
    /// More than one `;`.
    #[error("more than one client address")]
    Clients,
    /// `[` without `]:`.
    #[error("\"{0}\" starts with [ but has no matching ]: with something behind it")]
    Bracket(String),
    /// Not a number from 0 to 65535.
    #[error("\"{0}\" is not a port")]
    Port(String),
    /// Both ports of an address are the same.
    #[error("quorum port and election port are both {0}")]
    SamePorts(u16),
    /// Neither participant nor observer.
    #[error("\"{0}\" is neither participant nor observer")]
    Role(String),
    /// The addresses of one server name different roles.
    #[error("one address says {0}, another {1}")]
    MixedRoles(Role, Role),
}

/// The parts of `text` between `separator`; empty ones at the end do not count, as to Java's
/// `String.split`.
fn split(text: &str, separator: char) -> Vec<&str> {
    let part = take_till::<_, &str, nom::error::Error<&str>>(|c| c == separator);
    let mut parts = match separated_list0(char(separator), part).parse(text) {
        Ok((_, parts)) => parts,
        Err(_) => vec![text],
    };
    if text.is_empty() {
        return vec![text];
    }
    while parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts
}

/// A literal in brackets and the rest behind its colon.
fn bracketed(input: &str) -> IResult<&str, (&str, &str)> {
    let host = delimited(char('['), take_until("]"), char(']'));
    let rest = preceded(char(':'), take_till(|_| false));
    all_consuming((host, rest)).parse(input)
}

/// `host:port…` in parts. A lone literal in brackets counts as one part.
fn host_and_ports(text: &str) -> Result<Vec<&str>, SpecError> {
    if !text.starts_with('[') {
        return Ok(split(text, ':'));
    }
    match bracketed(text) {
        Ok((_, (host, rest))) if !rest.is_empty() => {
            Ok([host].into_iter().chain(split(rest, ':')).collect())
        }
        _ => Err(SpecError::Bracket(text.to_owned())),
    }
}

fn port(text: &str) -> Result<u16, SpecError> {
    text.parse().map_err(|_| SpecError::Port(text.to_owned()))
}

fn role(text: &str) -> Result<Role, SpecError> {
    let word = text.trim_matches(|c| c <= ' ');
    [Role::Participant, Role::Observer]
        .into_iter()
        .find(|role| role.to_string().eq_ignore_ascii_case(word))
        .ok_or_else(|| SpecError::Role(text.to_owned()))
}

fn server_address(text: &str) -> Result<(ServerAddress, Option<Role>), SpecError> {
    let parts = host_and_ports(text)?;
    let (host, learners, election, kind) = match parts[..] {
        [host, learners, election] => (host, learners, election, None),
        [host, learners, election, kind] => (host, learners, election, Some(role(kind)?)),
        _ => return Err(SpecError::ServerForm(text.to_owned())),
    };
    let address = ServerAddress {
        host: host.to_owned(),
        port: port(learners)?,
        election_port: port(election)?,
    };
    if address.port == address.election_port {
        return Err(SpecError::SamePorts(address.port));
    }
    Ok((address, kind))
}

fn client_address(text: &str) -> Result<Client, SpecError> {
    let (host, number) = match host_and_ports(text)?[..] {
        [number] => ("0.0.0.0", number),
        [host, number] => (host, number),
        _ => return Err(SpecError::ClientForm(text.to_owned())),
    };
    Ok(Client {
        host: host.to_owned(),
        port: port(number)?,
    })
}

impl ServerSpec {
    /// Reads the value of a `server.N` line. White space counts, except around the role.
    ///
    /// # Errors
    /// The first part that does not fit.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let (servers, client) = match split(text, ';')[..] {
            [] => ("", None),
            [servers] => (servers, None),
            [servers, client] => (servers, Some(client_address(client)?)),
            _ => return Err(SpecError::Clients),
        };
        let mut addresses = Vec::new();
        let mut role = None;
        for part in split(servers, '|') {
            let (address, kind) = server_address(part)?;
            addresses.push(address);
            match (role, kind) {
                (Some(a), Some(b)) if a != b => return Err(SpecError::MixedRoles(a, b)),
                _ => role = role.or(kind),
            }
        }
        if addresses.is_empty() {
            return Err(SpecError::ServerForm(servers.to_owned()));
        }
        Ok(Self {
            addresses,
            role: role.unwrap_or(Role::Participant),
            client,
        })
    }
}

impl FromStr for ServerSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        Self::parse(text)
    }
}

/// A host as Java's `InetSocketAddress.getHostString` gives it: literals in their full form.
/// Source: `QuorumServer.delimitedHostString`.
fn host_string(host: &str) -> String {
    let Ok(v6) = host.parse::<Ipv6Addr>() else {
        return match host.parse::<Ipv4Addr>() {
            Ok(v4) => v4.to_string(),
            Err(_) if host.is_empty() => "localhost".to_owned(),
            Err(_) => host.to_owned(),
        };
    };
    match v6.to_ipv4_mapped() {
        Some(v4) => v4.to_string(),
        None => {
            let groups: Vec<String> = v6.segments().iter().map(|g| format!("{g:x}")).collect();
            groups.join(":")
        }
    }
}

fn delimited_host(host: &str) -> String {
    let host = host_string(host);
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    }
}

/// As it is written into the dynamic configuration: addresses by host, the role always there.
/// Source: `QuorumServer.toString`.
impl fmt::Display for ServerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut addresses: Vec<_> = self.addresses.iter().collect();
        addresses.sort_by_cached_key(|address| host_string(&address.host));
        for (index, address) in addresses.into_iter().enumerate() {
            let between = if index == 0 { "" } else { "|" };
            let host = delimited_host(&address.host);
            write!(
                f,
                "{between}{host}:{}:{}",
                address.port, address.election_port
            )?;
        }
        write!(f, ":{}", self.role)?;
        match &self.client {
            Some(client) => write!(f, ";{}:{}", delimited_host(&client.host), client.port),
            None => Ok(()),
        }
    }
}

/// The members of an ensemble, as `zoo.cfg`, the dynamic file or `/zookeeper/config` list them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// By server number.
    pub servers: BTreeMap<i64, ServerSpec>,
    /// Servers by group number; empty if every server has one vote.
    pub groups: BTreeMap<i64, Vec<i64>>,
    /// Weights that are written; others are 1.
    pub weights: BTreeMap<i64, i64>,
    /// The configuration's version, a zxid.
    pub version: Option<i64>,
}

/// Why a configuration does not describe an ensemble.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {key}: {kind}")]
pub struct MembersError {
    /// From 1; 0 if it is about no single line.
    pub line: usize,
    /// The key as written; empty if there is none.
    pub key: String,
    /// What is wrong.
    pub kind: MembersErrorKind,
}

/// The ways in which a line can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembersErrorKind {
    /// The text is not a properties file.
    #[error(transparent)]
    Syntax(#[from] PropertiesError),
    /// The value is not a server spec.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Something that must be a number is not.
    #[error("\"{0}\" is not a number")]
    Number(String),
    /// A server in two groups.
    #[error("server {0} is in more than one group")]
    GroupTwice(i64),
    /// With groups, every participant needs one.
    #[error("server {0} is in no group")]
    NoGroup(i64),
    /// A group names a server that is not there.
    #[error("server {0} does not exist")]
    UnknownServer(i64),
    /// Only members belong here.
    #[error("not server.N, group.N, weight.N or version")]
    UnknownKey,
}

fn number(text: &str, radix: u32) -> Result<i64, MembersErrorKind> {
    i64::from_str_radix(text, radix).map_err(|_| MembersErrorKind::Number(text.to_owned()))
}

/// A key's name and what is behind its first dot.
fn dotted(key: &str) -> IResult<&str, (&str, Option<&str>)> {
    let name = take_till(|c| c == '.');
    (name, opt(preceded(char('.'), take_till(|_| false)))).parse(key)
}

impl Members {
    /// Takes the members' lines out of a configuration and leaves all others alone.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn from_properties<'a>(
        lines: impl IntoIterator<Item = &'a Property>,
    ) -> Result<Self, MembersError> {
        Self::read(lines, false)
    }

    /// Reads a dynamic configuration, which may hold nothing else.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse_dynamic(text: &str) -> Result<Self, MembersError> {
        let lines = properties::parse_str(text).map_err(|error| MembersError {
            line: error.line,
            key: String::new(),
            kind: error.into(),
        })?;
        Self::read(&lines, true)
    }

    fn read<'a>(
        lines: impl IntoIterator<Item = &'a Property>,
        only: bool,
    ) -> Result<Self, MembersError> {
        let mut members = Self::default();
        for property in lines {
            let taken = members.line(property);
            let kind = match taken {
                Ok(true) => continue,
                Ok(false) if only => MembersErrorKind::UnknownKey,
                Ok(false) => continue,
                Err(kind) => kind,
            };
            return Err(MembersError {
                line: property.line,
                key: property.key.clone(),
                kind,
            });
        }
        members.check_groups().map_err(|kind| MembersError {
            line: 0,
            key: "group".to_owned(),
            kind,
        })?;
        Ok(members)
    }

    /// Whether the line is about members.
    fn line(&mut self, property: &Property) -> Result<bool, MembersErrorKind> {
        let (key, value) = (property.key.as_str(), property.value.as_str());
        let (name, id) = match dotted(key) {
            Ok((_, (name, id))) => (name, id),
            Err(_) => (key, None),
        };
        if name == "server" && id.is_some() {
            let id = number(id.unwrap_or_default(), 10)?;
            self.servers.insert(id, ServerSpec::parse(value)?);
        } else if name.starts_with("group") {
            let group = number(id.unwrap_or(key), 10)?;
            for member in split(value, ':') {
                let member = number(member, 10)?;
                if self.groups.values().flatten().any(|other| *other == member) {
                    return Err(MembersErrorKind::GroupTwice(member));
                }
                self.groups.entry(group).or_default().push(member);
            }
        } else if name.starts_with("weight") {
            let server = number(id.unwrap_or(key), 10)?;
            self.weights.insert(server, number(value, 10)?);
        } else if key == "version" {
            self.version = Some(number(value, 16)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Whether votes are counted by groups.
    #[must_use]
    pub fn is_hierarchical(&self) -> bool {
        !self.groups.is_empty() || !self.weights.is_empty()
    }

    fn votes(&self, id: i64) -> bool {
        self.servers
            .get(&id)
            .is_some_and(|server| server.role == Role::Participant)
    }

    /// With groups: the written weights, and 1 for every other participant. Else nothing.
    #[must_use]
    pub fn all_weights(&self) -> BTreeMap<i64, i64> {
        let mut weights = BTreeMap::new();
        if self.is_hierarchical() {
            let voting = self.servers.keys().filter(|id| self.votes(**id));
            weights.extend(voting.map(|id| (*id, 1)));
            weights.extend(&self.weights);
        }
        weights
    }

    fn check_groups(&self) -> Result<(), MembersErrorKind> {
        if !self.is_hierarchical() {
            return Ok(());
        }
        let grouped: Vec<i64> = self.groups.values().flatten().copied().collect();
        let weights = self.all_weights();
        let alone = self
            .servers
            .keys()
            .find(|id| self.votes(**id) && !grouped.contains(id));
        if let Some(id) = alone {
            return Err(MembersErrorKind::NoGroup(*id));
        }
        match grouped.into_iter().find(|id| !weights.contains_key(id)) {
            Some(id) => Err(MembersErrorKind::UnknownServer(id)),
            None => Ok(()),
        }
    }
}

/// The text of `/zookeeper/config`, without a newline at its end. Source: `QuorumMaj.toString`,
/// `QuorumHierarchical.toString`.
impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, spec) in &self.servers {
            writeln!(f, "server.{id}={spec}")?;
        }
        for (group, members) in &self.groups {
            let mut members = members.clone();
            members.sort_unstable();
            let members: Vec<String> = members.iter().map(i64::to_string).collect();
            writeln!(f, "group.{group}={}", members.join(":"))?;
        }
        for (id, weight) in self.all_weights() {
            writeln!(f, "weight.{id}={weight}")?;
        }
        write!(f, "version={:x}", self.version.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_back_as_zookeeper_prints_them() {
        let text = "server.2=h2:2888:3888\nserver.1=h1:2888:3888:observer;2181\nversion=1000000a3";
        let members = Members::parse_dynamic(text).unwrap();
        assert_eq!(members.version, Some(0x0001_0000_00A3));
        assert_eq!(
            members.to_string(),
            "server.1=h1:2888:3888:observer;0.0.0.0:2181\n\
             server.2=h2:2888:3888:participant\nversion=1000000a3"
        );
        assert_eq!(
            Members::parse_dynamic(&members.to_string()).unwrap(),
            members
        );
    }

    #[test]
    fn groups_and_weights() {
        let text = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n\
                    group.1=2:1\ngroup.2=3\nweight.3=0\n";
        let members = Members::parse_dynamic(text).unwrap();
        assert!(members.is_hierarchical());
        assert!(
            members
                .to_string()
                .ends_with("group.1=1:2\ngroup.2=3\nweight.1=1\nweight.2=1\nweight.3=0\nversion=0")
        );
    }

    #[test]
    fn errors_name_line_key_and_reason() {
        for (text, message) in [
            (
                "a=1\n\nserver.1 = h:2888",
                "line 3: server.1: \"h:2888\" is not host:port:port or host:port:port:role",
            ),
            ("server.x=h:1:2", "line 1: server.x: \"x\" is not a number"),
            ("server.1=h:1:x", "line 1: server.1: \"x\" is not a port"),
            (
                "server.1=h:1:2\ngroup.1=1\ngroup.2=1",
                "line 3: group.2: server 1 is in more than one group",
            ),
            (
                "server.1=h:1:2\ngroup.1=2\nweight.2=1",
                "line 0: group: server 1 is in no group",
            ),
            ("group.1=7", "line 0: group: server 7 does not exist"),
        ] {
            let lines = properties::parse_str(text).unwrap();
            let error = Members::from_properties(&lines).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let error = Members::parse_dynamic("server.1=h:1:2\ntickTime=2000").unwrap_err();
        assert_eq!(error.kind, MembersErrorKind::UnknownKey);
    }
}
