//! Owns what is to be said of TLS: stores that cannot be used, certificates about to expire, and
//! ports without it. Must not open ports.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use menagerie_wire::text::cfg::ServerSpec;

use super::{Finding, good, risky, wrong};
use crate::config::Config;
use crate::secured::Secured;

/// A certificate that ends sooner is one to be renewed.
const SOON_DAYS: i64 = 30;
const DAY_SECONDS: i64 = 24 * 3600;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    match Secured::new(config) {
        Ok(secured) => {
            let all = [&secured.clients, &secured.quorum, &secured.admin];
            findings.extend(all.into_iter().flatten().flat_map(|tls| certificates(tls)));
        }
        Err(error) => findings.push(wrong(
            "TLS",
            error.to_string(),
            "the chapter TLS of the README makes stores with openssl",
        )),
    }
    findings.extend(clients(config));
    findings.extend(servers(config));
    findings
}

/// How long a server's own certificates last.
fn certificates(tls: &menagerie_tls::Tls) -> Vec<Finding> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
    let prefix = tls.prefix();
    let own = tls.own_certificates().into_iter();
    own.map(|(subject, expires)| {
        let (what, days) = (format!("{prefix}keyStore"), (expires - now) / DAY_SECONDS);
        let remedy = "renew it: with client.certReload and sslQuorumReloadCertFiles a new file is \
                      enough";
        if expires <= now {
            wrong(
                what,
                format!("the certificate of {subject} has expired"),
                remedy,
            )
        } else if days < SOON_DAYS {
            risky(
                what,
                format!("the certificate of {subject} expires in {days} days"),
                remedy,
            )
        } else {
            good(
                what,
                format!("the certificate of {subject} is good for {days} days"),
            )
        }
    })
    .collect()
}

fn clients(config: &Config) -> Option<Finding> {
    let inside = |name: &str| matches!(name, "localhost" | "127.0.0.1" | "::1" | "");
    let open = !config.client_port_address.as_deref().is_some_and(inside);
    if !config.has_plain_port() || !open {
        return None;
    }
    Some(
        if config.secure_client_port.is_some() || config.client_port_unification {
            risky(
                "clientPort",
                "clients may still come without TLS",
                "once all have changed over, name secureClientPort only, or let clientPortAddress be \
             127.0.0.1",
            )
        } else {
            risky(
                "clientPort",
                "clients come without TLS: whoever sees the network sees data and passwords",
                "set secureClientPort, or keep the port inside a network of your own",
            )
        },
    )
}

fn servers(config: &Config) -> Option<Finding> {
    let ensemble = config.ensemble.as_ref()?;
    let outside = |spec: &ServerSpec| {
        let loopback = |host: &str| {
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        };
        spec.addresses.iter().any(|at| !loopback(&at.host))
    };
    if !ensemble.members.servers.values().any(outside) {
        return None;
    }
    match (config.quorum.ssl, config.quorum.port_unification) {
        (true, false) => None,
        (true, true) => Some(risky(
            "portUnification",
            "servers without TLS are still accepted",
            "once all have sslQuorum=true, remove portUnification=true",
        )),
        (false, _) => Some(risky(
            "sslQuorum",
            "servers speak without TLS: whoever reaches their ports may become one of them",
            "set sslQuorum=true, or keep the ports inside a network of your own",
        )),
    }
}
