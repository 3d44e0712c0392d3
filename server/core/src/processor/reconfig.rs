//! Owns what a reconfiguration asks for: the configuration that it makes of the last one, or why it
//! makes none. May use `quorum`. Must not put it into force.
//! Source: `PrepRequestProcessor.pRequest2Txn`, case reconfig.

use std::collections::BTreeSet;
use std::net::IpAddr;

use menagerie_wire::client::ReconfigRequest;
use menagerie_wire::op::ErrorCode;
use menagerie_wire::text::cfg::{Members, MembersError, MembersErrorKind, Role, ServerSpec};

use crate::ids::{Sid, Zxid};
use crate::quorum::Membership;

/// What a reconfiguration starts from.
#[derive(Debug, Clone)]
pub struct EnsembleView {
    /// The newest configuration.
    pub last_seen: Membership,
    /// Whether it is still on its way.
    pub in_progress: bool,
    /// The leader and those who follow it and have its history, also without a vote.
    pub synced: BTreeSet<Sid>,
    /// `standaloneEnabled`: then an ensemble has two voters at least.
    pub standalone_enabled: bool,
    /// `multiAddress.enabled`: whether a server may have several addresses.
    pub multi_address: bool,
}

impl EnsembleView {
    /// The configuration that `request` asks for, to be proposed at `zxid`.
    ///
    /// # Errors
    /// The code that the client gets.
    pub(crate) fn reconfigure(
        &self,
        request: &ReconfigRequest<'_>,
        zxid: Zxid,
    ) -> Result<Membership, ErrorCode> {
        if self.in_progress {
            return Err(ErrorCode::ReconfigInProgress);
        }
        let from = request.cur_config_id;
        if from != -1 && from != self.last_seen.version() {
            return Err(ErrorCode::BadVersion);
        }
        let mut members = match request.new_members.as_deref() {
            Some(text) => self.all_anew(text)?,
            None => self.changed(
                request.joining_servers.as_deref(),
                request.leaving_servers.as_deref(),
            )?,
        };
        let several = |spec: &ServerSpec| spec.addresses.len() > 1;
        if !self.multi_address && members.servers.values().any(several) {
            return Err(ErrorCode::BadArguments);
        }
        members.version = Some(zxid.0);
        let new = Membership::new(members);
        if new.voters().count() < if self.standalone_enabled { 2 } else { 1 } {
            return Err(ErrorCode::BadArguments);
        }
        if !new.is_quorum(|sid| self.synced.contains(&sid)) {
            return Err(ErrorCode::NewConfigNoQuorum);
        }
        Ok(new)
    }

    /// The whole list, by commas or lines. Source: `QuorumPeerConfig.parseDynamicConfig`.
    fn all_anew(&self, text: &str) -> Result<Members, ErrorCode> {
        let members =
            Members::parse_dynamic(&text.replace(',', "\n")).map_err(|error| code_of(&error))?;
        let votes = |spec: &&ServerSpec| spec.role == Role::Participant;
        let voters = members.servers.values().filter(votes).count();
        let observers = members.servers.len() - voters;
        let unthinkable = match voters {
            0 => !self.standalone_enabled || observers > 0,
            1 => self.standalone_enabled && observers > 0,
            _ => false,
        };
        if unthinkable {
            return Err(ErrorCode::MarshallingError);
        }
        Ok(members)
    }

    /// The last configuration with servers added, replaced and removed; only of one without groups.
    fn changed(&self, joining: Option<&str>, leaving: Option<&str>) -> Result<Members, ErrorCode> {
        let mut members = self.last_seen.members().clone();
        if members.is_hierarchical() {
            return Err(ErrorCode::BadArguments);
        }
        for id in parts(leaving.unwrap_or_default(), ',') {
            members.servers.remove(&number(id)?);
        }
        for joiner in parts(joining.unwrap_or_default(), ',') {
            let mut sides = parts(joiner, '=');
            let (Some(key), Some(spec), None) = (sides.next(), sides.next(), sides.next()) else {
                return Err(ErrorCode::BadArguments);
            };
            let id = number(key.rsplit('.').next().unwrap_or(key))?;
            let spec = ServerSpec::parse(spec).map_err(|_| ErrorCode::BadArguments)?;
            if spec.client.is_none() {
                return Err(ErrorCode::BadArguments);
            }
            let others = members.servers.iter().filter(|(other, _)| **other != id);
            let mine = addresses(&spec);
            if others
                .flat_map(|(_, other)| addresses(other))
                .any(|other| mine.contains(&other))
            {
                return Err(ErrorCode::BadArguments);
            }
            members.servers.insert(id, spec);
        }
        Ok(members)
    }
}

/// What is left between separators without white space. Source: `StringUtils.split`.
fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    text.split(separator)
        .map(|part| part.trim_matches(|c: char| c <= ' '))
        .filter(|part| !part.is_empty())
}

/// Java's exception for what is no number is not one that has a code of its own.
fn number(text: &str) -> Result<i64, ErrorCode> {
    text.parse().map_err(|_| ErrorCode::MarshallingError)
}

const fn code_of(error: &MembersError) -> ErrorCode {
    match error.kind {
        MembersErrorKind::Number(_) | MembersErrorKind::Syntax(_) => ErrorCode::MarshallingError,
        _ => ErrorCode::BadArguments,
    }
}

/// Addresses that no two servers can have. Source: `QuorumServer.checkAddressDuplicate`.
fn addresses(spec: &ServerSpec) -> BTreeSet<(&str, u16)> {
    let peers = spec.addresses.iter().flat_map(|address| {
        let host = address.host.as_str();
        [(host, address.port), (host, address.election_port)]
    });
    let client = spec.client.as_ref();
    peers
        .chain(client.map(|client| (client.host.as_str(), client.port)))
        .filter(|(host, _)| !is_special(host))
        .collect()
}

/// Whether a host is every address of a machine or none but its own.
fn is_special(host: &str) -> bool {
    let of = |ip: IpAddr| ip.is_unspecified() || ip.is_loopback();
    host.is_empty()
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(text: &str, synced: &[i64]) -> EnsembleView {
        EnsembleView {
            last_seen: Membership::new(Members::parse_dynamic(text).unwrap()),
            in_progress: false,
            synced: synced.iter().map(|id| Sid(*id)).collect(),
            standalone_enabled: true,
            multi_address: false,
        }
    }

    fn three() -> EnsembleView {
        let text = "server.1=a:1:2;3\nserver.2=b:1:2;3\nserver.3=c:1:2;3\nversion=64\n";
        view(text, &[1, 2])
    }

    fn ask<'a>(
        joining: Option<&'a str>,
        leaving: Option<&'a str>,
        all: Option<&'a str>,
    ) -> ReconfigRequest<'a> {
        ReconfigRequest {
            joining_servers: joining.map(Into::into),
            leaving_servers: leaving.map(Into::into),
            new_members: all.map(Into::into),
            cur_config_id: -1,
        }
    }

    #[test]
    fn several_addresses_have_to_be_allowed() {
        let joiner = "server.3=c:1:2|d:1:2;3";
        let mut view = three();
        let request = ask(Some(joiner), None, None);
        let refused = view.reconfigure(&request, Zxid(0x65));
        assert_eq!(refused, Err(ErrorCode::BadArguments));
        view.multi_address = true;
        let new = view.reconfigure(&request, Zxid(0x65)).unwrap();
        let line = "\nserver.3=c:1:2|d:1:2:participant;0.0.0.0:3\n";
        assert!(new.to_string().contains(line), "{new}");
    }

    #[test]
    fn servers_join_leave_and_change() {
        let view = three();
        let text = |request: ReconfigRequest<'_>| {
            view.reconfigure(&request, Zxid(0x65))
                .map(|new| new.to_string())
        };
        assert_eq!(
            text(ask(Some(" server.4=d:1:2:observer;3 , "), Some("3"), None)).unwrap(),
            "server.1=a:1:2:participant;0.0.0.0:3\nserver.2=b:1:2:participant;0.0.0.0:3\n\
             server.4=d:1:2:observer;0.0.0.0:3\nversion=65"
        );
        let all = "server.1=a:1:2;3,server.2=b:1:2;3,group.1=1:2,weight.1=2";
        assert!(
            text(ask(None, None, Some(all)))
                .unwrap()
                .ends_with("group.1=1:2\nweight.1=2\nweight.2=1\nversion=65")
        );
        // Who is not there need not leave.
        assert!(text(ask(None, Some("9"), None)).is_ok());
    }

    #[test]
    fn errors_are_those_of_apache() {
        let mut view = three();
        for (request, code) in [
            (ask(None, Some("x"), None), ErrorCode::MarshallingError),
            (
                ask(Some("server.4=d:1:2"), None, None),
                ErrorCode::BadArguments,
            ),
            (ask(Some("server.4"), None, None), ErrorCode::BadArguments),
            (
                ask(Some("server.4=a:9:2;7"), None, None),
                ErrorCode::BadArguments,
            ),
            (ask(None, Some("2,3"), None), ErrorCode::BadArguments),
            (ask(None, Some("2"), None), ErrorCode::NewConfigNoQuorum),
            (ask(None, None, Some("tickTime=1")), ErrorCode::BadArguments),
            (
                ask(None, None, Some("server.x=a:1:2;3")),
                ErrorCode::MarshallingError,
            ),
            (
                ask(
                    None,
                    None,
                    Some("server.1=a:1:2;3,server.2=b:1:2:observer;3"),
                ),
                ErrorCode::MarshallingError,
            ),
        ] {
            let got = view.reconfigure(&request, Zxid(0x65));
            assert_eq!(got.unwrap_err(), code, "{request:?}");
        }
        let mut conditional = ask(None, Some("3"), None);
        conditional.cur_config_id = 0x63;
        let got = view.reconfigure(&conditional, Zxid(0x65));
        assert_eq!(got.unwrap_err(), ErrorCode::BadVersion);
        view.in_progress = true;
        let got = view.reconfigure(&conditional, Zxid(0x65));
        assert_eq!(got.unwrap_err(), ErrorCode::ReconfigInProgress);
    }
}
