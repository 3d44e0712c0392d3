//! Owns who may use the commands that change or copy the tree: an identity that may do everything
//! with the root. Must not prove identities itself. Source: `Commands.handleAuthentication`,
//! `Commands.handleAuthorization`.

use std::net::{IpAddr, SocketAddr};

use axum::http::StatusCode;
use menagerie_core::acl::{self, AuthId};
use menagerie_wire::data::perms;

use super::Ask;
use crate::shared::Shared;

const MISSING: &str = "Auth info is missing for the command";
const NOT_AUTHENTICATED: &str = "Not authenticated";
const NOT_AUTHORIZED: &str = "Not authorized";

/// Reads `Authorization: scheme data`.
pub(super) fn check(shared: &Shared, ask: &Ask) -> Result<(), (StatusCode, &'static str)> {
    let header = ask.authorization.as_deref();
    let header = header.ok_or((StatusCode::UNAUTHORIZED, MISSING))?;
    let refused = (StatusCode::UNAUTHORIZED, NOT_AUTHENTICATED);
    let (scheme, data) = header.split_once(' ').ok_or(refused)?;
    if data.is_empty() || data.contains(' ') {
        return Err(refused);
    }
    let remote = remote(ask, shared.config.admin.use_x_forwarded_for);
    let ids = if scheme == "x509" {
        certified(shared, ask)
    } else {
        let ids = acl::authenticate(&shared.auth, scheme, data.as_bytes(), remote);
        ids.map_err(|_| refused)?
    };
    if ids.is_empty() {
        return Err(refused);
    }
    let tree = shared.read_tree();
    let root = tree.get("/").map(|node| tree.acl_of(node));
    let allowed = root.and_then(|list| acl::check(&shared.auth, list, perms::ALL, &ids));
    allowed.map_err(|_| (StatusCode::FORBIDDEN, NOT_AUTHORIZED))
}

/// Who someone with a certificate is, if it is one that clients may have.
/// Source: `X509AuthenticationProvider.handleAuthentication`.
fn certified(shared: &Shared, ask: &Ask) -> Vec<AuthId> {
    let certificate = ask.certificate.as_deref();
    let believed = certificate.filter(|certificate| {
        let clients = shared.tls.clients.as_ref();
        clients.is_some_and(|tls| tls.believes(certificate))
    });
    let subject = believed.and_then(menagerie_tls::rfc2253);
    subject.map_or_else(Vec::new, |subject| acl::x509_ids(&shared.auth, &subject))
}

/// Where a request comes from: the first address that a proxy names, if proxies are believed.
/// Source: `IPAuthenticationProvider.getClientIPAddress`.
fn remote(ask: &Ask, believes_proxies: bool) -> IpAddr {
    first_of(ask.asker, ask.forwarded_for.as_deref(), believes_proxies)
}

/// The same for a request that is no command.
pub(super) fn remote_of(shared: &Shared, asker: SocketAddr, forwarded_for: Option<&str>) -> IpAddr {
    first_of(
        asker,
        forwarded_for,
        shared.config.admin.use_x_forwarded_for,
    )
}

fn first_of(asker: SocketAddr, forwarded_for: Option<&str>, believes_proxies: bool) -> IpAddr {
    let named = forwarded_for.filter(|_| believes_proxies);
    let first = named.and_then(|list| list.split(',').next()?.trim().parse().ok());
    first.unwrap_or_else(|| asker.ip())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use axum::http::Method;

    use super::*;

    #[test]
    fn proxies_are_believed_when_they_are_to_be() {
        let ask = |forwarded_for: Option<&str>| Ask {
            method: Method::GET,
            asker: "192.0.2.1:77".parse().unwrap(),
            certificate: None,
            parameters: HashMap::new(),
            authorization: None,
            forwarded_for: forwarded_for.map(str::to_owned),
        };
        let of = |forwarded: Option<&str>, believes| remote(&ask(forwarded), believes).to_string();
        assert_eq!(of(Some("10.0.0.1, 10.0.0.2"), true), "10.0.0.1");
        assert_eq!(of(Some("10.0.0.1"), false), "192.0.2.1");
        assert_eq!(of(Some("somebody"), true), "192.0.2.1");
        assert_eq!(of(None, true), "192.0.2.1");
    }
}
