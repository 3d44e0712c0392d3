//! Owns what the schemes mean: which identities they know, whom an entry stands for. Must not
//! decide about permissions.

use super::config::AuthConfig;
use super::{AuthId, ip, x500};

/// A scheme that has a provider; `world`, `auth` and `super` have none.
/// Source: `ProviderRegistry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    Digest,
    Ensemble,
    Ip,
    Sasl,
    X509,
}

impl Provider {
    /// The scheme's provider, if this server has it.
    pub(super) fn of(config: &AuthConfig, scheme: &str) -> Option<Self> {
        let (provider, exists) = match scheme {
            "digest" => (Self::Digest, config.digest_enabled),
            "ensemble" => (Self::Ensemble, config.ensemble_names.is_some()),
            "ip" => (Self::Ip, true),
            "sasl" => (Self::Sasl, config.sasl_enabled),
            "x509" => (Self::X509, config.x509_enabled),
            _ => return None,
        };
        exists.then_some(provider)
    }

    /// Whether its identities are the client's own, for which the scheme `auth` stands.
    pub(super) const fn is_authenticated(self) -> bool {
        match self {
            Self::Digest | Self::Sasl | Self::X509 => true,
            Self::Ensemble | Self::Ip => false,
        }
    }

    pub(super) fn is_valid(self, id: &str) -> bool {
        match self {
            Self::Digest => is_digest(id),
            Self::Ensemble => false,
            Self::Ip => ip::is_valid(id),
            Self::Sasl => is_kerberos_name(id),
            Self::X509 => x500::is_name(id),
        }
    }

    pub(super) fn matches(self, config: &AuthConfig, id: &str, entry: &str) -> bool {
        match self {
            Self::Digest => id == entry,
            Self::Ensemble => false,
            Self::Ip => ip::matches(id, entry),
            Self::Sasl => {
                id == "super"
                    || id == entry
                    || config.let_any_sasl_user_do.as_deref() == Some(entry)
            }
            Self::X509 => id == entry || config.x509_super_user.as_deref() == Some(id),
        }
    }
}

/// `user:hash`; colons at the end do not count. Source: `DigestAuthenticationProvider.isValid`.
fn is_digest(id: &str) -> bool {
    id.trim_end_matches(':').split(':').count() == 2
}

/// A principal `service[/host]@realm`, or any text without `@`. Source: `KerberosName`.
fn is_kerberos_name(id: &str) -> bool {
    let Some((name, realm)) = id.split_once('@') else {
        return true;
    };
    !realm.contains(['/', '@']) && name.matches('/').count() <= 1
}

/// Whether the scheme has a provider here. Source: `ProviderRegistry.getProvider`.
#[must_use]
pub fn is_known(config: &AuthConfig, scheme: &str) -> bool {
    Provider::of(config, scheme).is_some()
}

/// Whether `id` can stand in an ACL under `scheme`, which has a provider here.
#[must_use]
pub fn is_valid(config: &AuthConfig, scheme: &str, id: &str) -> bool {
    Provider::of(config, scheme).is_some_and(|provider| provider.is_valid(id))
}

/// Whether an ACL's `entry` under `scheme` means a client with the identity `id` of that scheme.
#[must_use]
pub fn matches(config: &AuthConfig, scheme: &str, id: &str, entry: &str) -> bool {
    Provider::of(config, scheme).is_some_and(|provider| provider.matches(config, id, entry))
}

/// Whether the scheme `auth` stands for identities of `scheme`.
#[must_use]
pub fn is_authenticated(config: &AuthConfig, scheme: &str) -> bool {
    Provider::of(config, scheme).is_some_and(Provider::is_authenticated)
}

/// What `whoAmI` shows of an identity: never the hash of a password, and nothing where the scheme
/// has no provider. Source: `AuthUtil.getClientInfos`.
#[must_use]
pub fn user_name<'a>(config: &AuthConfig, id: &'a AuthId) -> &'a str {
    match Provider::of(config, &id.scheme) {
        Some(Provider::Digest) => id.id.split(':').next().unwrap_or_default(),
        Some(_) => &id.id,
        None => "",
    }
}
