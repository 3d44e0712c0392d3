//! Owns proving identities: from what a client sends in an `auth` packet, and from what its
//! connection or its SASL exchange has proved already. Must not do the exchanges.

use std::net::IpAddr;

use menagerie_wire::op::ErrorCode;

use super::AuthId;
use super::config::AuthConfig;
use super::providers::Provider;

/// Handles an `auth` packet and returns what the connection is from now on, besides what it was.
/// Failures are answered with `AUTHFAILED`, then the connection is closed.
///
/// The scheme `x509` fails here: a connection with a certificate has its identity, see
/// [`x509_ids`], from the start. Source: `ZooKeeperServer.processPacket`, `OpCode.auth`, and the
/// providers' `handleAuthentication`.
///
/// # Errors
/// `AUTHFAILED`: no such scheme here, or it is not satisfied. `BADARGUMENTS`: the client means
/// another ensemble; the connection is closed without an answer.
pub fn authenticate<'a>(
    config: &AuthConfig,
    scheme: &str,
    data: impl Into<Option<&'a [u8]>>,
    remote: IpAddr,
) -> Result<Vec<AuthId>, ErrorCode> {
    let provider = Provider::of(config, scheme).ok_or(ErrorCode::AuthFailed)?;
    let data = data.into();
    match provider {
        Provider::Digest => {
            // Bytes that are no UTF-8 are replaced before hashing, as Java does.
            let text = String::from_utf8_lossy(data.ok_or(ErrorCode::AuthFailed)?);
            let digest = digest_id(config, &text);
            let mut ids = Vec::with_capacity(2);
            if config.super_digest.as_deref() == Some(&digest) {
                ids.push(AuthId::new(super::SUPER, ""));
            }
            ids.push(AuthId::new("digest", &digest));
            Ok(ids)
        }
        Provider::Ensemble => {
            let names = config.ensemble_names.as_deref().unwrap_or_default();
            let name = String::from_utf8_lossy(data.unwrap_or_default());
            let is_ours =
                name.is_empty() || names.is_empty() || names.iter().any(|own| *own == name);
            if is_ours {
                Ok(Vec::new())
            } else {
                Err(ErrorCode::BadArguments)
            }
        }
        Provider::Ip => Ok(vec![ip_id(remote)]),
        Provider::Sasl | Provider::X509 => Err(ErrorCode::AuthFailed),
    }
}

/// `user:hash` for `user:password`. Source: `DigestAuthenticationProvider.generateDigest`.
#[must_use]
pub fn digest_id(config: &AuthConfig, user_password: &str) -> String {
    let user = user_password.split(':').next().unwrap_or_default();
    format!(
        "{user}:{}",
        config.digest_alg.base64(user_password.as_bytes())
    )
}

/// The identity that every connection has: its address as Java's `getHostAddress` writes it,
/// which for IPv6 is all eight groups. Source: `NIOServerCnxn.NIOServerCnxn`.
#[must_use]
pub fn ip_id(remote: IpAddr) -> AuthId {
    let text = match remote.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => v6.segments().map(|group| format!("{group:x}")).join(":"),
    };
    AuthId::new("ip", &text)
}

/// The identities of a TLS connection whose client has a certificate that the trust store
/// accepts, by the certificate's subject as RFC 2253 writes it. None where the scheme `x509` does
/// not exist. Source: `X509AuthenticationProvider.handleAuthentication`.
#[must_use]
pub fn x509_ids(config: &AuthConfig, subject: &str) -> Vec<AuthId> {
    let mut ids = Vec::new();
    if config.x509_enabled {
        if config.x509_super_user.as_deref() == Some(subject) {
            ids.push(AuthId::new(super::SUPER, subject));
        }
        ids.push(AuthId::new("x509", subject));
    }
    ids
}

/// The identities of a connection whose SASL exchange proved `user`.
/// Source: `ZooKeeperServer.processSasl`.
#[must_use]
pub fn sasl_ids(config: &AuthConfig, user: &str) -> Vec<AuthId> {
    let mut ids = vec![AuthId::new("sasl", user)];
    if config.sasl_super_users.iter().any(|name| name == user) {
        ids.push(AuthId::new(super::SUPER, ""));
    }
    ids
}
