//! Owns who may use the console, and from where: which hosts it answers for, which pages may send
//! requests to it, which identities a request brings. Must not look at the tree.
//!
//! Identities come with each request, in a header that no other site's page can set, and no cookie
//! is ever given: there is nothing that a foreign page could ride on.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use menagerie_core::acl::{self, AuthId};

use crate::shared::Shared;

/// Why a request is turned away.
pub(super) type Refusal = (StatusCode, String);

fn refuse(status: StatusCode, why: impl Into<String>) -> Refusal {
    (status, why.into())
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Who {
    /// Identities, that of the address included.
    pub(super) ids: Vec<AuthId>,
    /// Whether there are others than that of the address.
    pub(super) logged_in: bool,
}

/// The host of `host`, `host:port` or `[address]:port`, in lower case.
fn host_of(authority: &str) -> String {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        },
    };
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether `host` is a name of this server. A page of another site that has its own name point here
/// (DNS rebinding) comes with that name.
pub(super) fn is_ours(shared: &Shared, host: &str) -> bool {
    if host.parse::<IpAddr>().is_ok() || host == "localhost" || host.ends_with(".localhost") {
        return true;
    }
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let own = own.trim();
    let same = |name: &str| !name.is_empty() && name.eq_ignore_ascii_case(host);
    if same(own)
        || shared
            .config
            .admin
            .console
            .hosts
            .iter()
            .any(|name| same(name))
    {
        return true;
    }
    let configs = shared.configs();
    let servers = configs
        .iter()
        .flat_map(|configs| configs.newest().members().servers.values());
    let mut names = servers.flat_map(|spec| {
        let client = spec.client.iter().map(|client| client.host.as_str());
        spec.addresses.iter().map(|a| a.host.as_str()).chain(client)
    });
    names.any(same)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut all = headers.get_all(name).iter();
    let first = all.next().map(|value| value.to_str());
    if all.next().is_some() {
        return Err(refuse(StatusCode::BAD_REQUEST, format!("{name} twice")));
    }
    first
        .transpose()
        .map_err(|_| refuse(StatusCode::BAD_REQUEST, format!("{name} is not plain text")))
}

/// Checks what a browser says of where a request comes from.
pub(super) fn check_site(
    shared: &Shared,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    let host = text(headers, "host")?;
    let host = host.ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "no Host"))?;
    if !is_ours(shared, &host_of(host)) {
        let why = "the console does not answer under this name; menagerie.console.hosts adds names";
        return Err(refuse(StatusCode::MISDIRECTED_REQUEST, why));
    }
    if let Some(origin) = text(headers, "origin")? {
        let from = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        if !from.is_some_and(|from| from.eq_ignore_ascii_case(host)) {
            return Err(refuse(
                StatusCode::FORBIDDEN,
                "a page of another site may not ask",
            ));
        }
    }
    let site = text(headers, "sec-fetch-site")?;
    let follows_a_link = *method == Method::GET && site == Some("cross-site");
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        // A link from elsewhere may open the page; its data are for the page alone.
        let opens = text(headers, "sec-fetch-mode")? == Some("navigate");
        let same_site = *method == Method::GET && site == Some("same-site");
        if !(opens && (follows_a_link || same_site)) {
            return Err(refuse(
                StatusCode::FORBIDDEN,
                "a page of another site may not ask",
            ));
        }
    }
    Ok(())
}

/// Checks that what is sent is JSON, which no plain form of another site can send.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = text(headers, "content-type")?.unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(refuse(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "send application/json",
    ))
}

/// Reads `Authorization`: `scheme data` as the admin server's commands take it, or `Basic`, which
/// can carry any user and password for the scheme `digest`.
pub(super) fn identify(
    shared: &Shared,
    headers: &HeaderMap,
    remote: IpAddr,
) -> Result<Who, Refusal> {
    let mut ids = vec![acl::ip_id(remote)];
    let Some(given) = text(headers, header::AUTHORIZATION.as_str())? else {
        let logged_in = false;
        return Ok(Who { ids, logged_in });
    };
    let failed = |why: &str| {
        shared
            .stats
            .auth_failed
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        refuse(StatusCode::UNAUTHORIZED, why)
    };
    let (scheme, data) = given.split_once(' ').unwrap_or((given, ""));
    let (scheme, data) = if scheme.eq_ignore_ascii_case("basic") {
        let data = STANDARD
            .decode(data.trim())
            .map_err(|_| failed("Basic without base64"))?;
        ("digest", data)
    } else {
        (scheme, data.as_bytes().to_vec())
    };
    if scheme == "digest" && !data.contains(&b':') {
        return Err(failed("digest takes user:password"));
    }
    let proved = acl::authenticate(&shared.auth, scheme, data.as_slice(), remote);
    let proved =
        proved.map_err(|_| failed("not authenticated: the scheme is not served, or refuses"))?;
    let before = ids.len();
    ids.extend(proved.into_iter().filter(|id| *id != acl::ip_id(remote)));
    let logged_in = ids.len() > before;
    if !logged_in {
        return Err(failed("this scheme proves nothing"));
    }
    Ok(Who { ids, logged_in })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_out_of_authorities() {
        for (text, host) in [
            ("a.example", "a.example"),
            ("A.Example:8080", "a.example"),
            ("[::1]:8080", "::1"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("evil.example.", "evil.example"),
            ("localhost:x", "localhost:x"),
        ] {
            assert_eq!(host_of(text), host, "{text}");
        }
    }

    #[test]
    fn only_json_is_taken() {
        let with = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", kind.parse().unwrap());
            check_json(&headers)
        };
        assert!(with("application/json").is_ok());
        assert!(with("Application/JSON; charset=utf-8").is_ok());
        assert!(with("text/plain").is_err());
        assert!(with("application/jsonp").is_err());
        assert!(check_json(&HeaderMap::new()).is_err());
    }
}
