//! Owns the settings of TLS: stores, protocol versions, suites, who is asked for a certificate. Must
//! not read stores.

use std::fmt;
use std::path::PathBuf;

use super::context::{knows_suite, suite_names};

/// What is said of versions that are none.
const VERSIONS: &str = "TLSv1.3, TLSv1.2 (older versions are not secure and not offered)";
/// Milliseconds to show whether a connection is TLS.
const DETECTION_MS: u64 = 5000;

/// A value that no message and no log may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The hidden text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// How a key or trust store is stored. Source: `KeyStoreFileType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreKind {
    /// Java's own format.
    Jks,
    /// Text: certificates, and in a key store the key.
    Pem,
    /// PKCS #12.
    Pkcs12,
}

/// Where keys or certificates are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StoreSettings {
    /// The file.
    pub location: Option<PathBuf>,
    /// Its password.
    pub password: Option<Secret>,
    /// A file with the password, which wins.
    pub password_path: Option<PathBuf>,
    /// How it is stored; by its extension if not set.
    pub kind: Option<StoreKind>,
}

impl StoreSettings {
    /// Source: `KeyStoreFileType.fromPropertyValue`.
    fn set(&mut self, what: &str, value: &str) -> Result<Option<String>, Option<String>> {
        let path = (!value.is_empty()).then(|| PathBuf::from(value));
        match what {
            "location" => self.location = path,
            "password" => self.password = Some(Secret::new(value.to_owned())),
            "passwordPath" => self.password_path = path,
            "type" => {
                self.kind = match value.to_ascii_uppercase().as_str() {
                    "" => None,
                    "JKS" => Some(StoreKind::Jks),
                    "PEM" => Some(StoreKind::Pem),
                    "PKCS12" => Some(StoreKind::Pkcs12),
                    _ => return Err(Some("PEM, PKCS12 or JKS".to_owned())),
                }
            }
            _ => return Err(None),
        }
        Ok(None)
    }
}

/// Whether a server asks for certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ClientAuth {
    /// Nobody gets in without.
    #[default]
    Need,
    /// Who has none gets in as well.
    Want,
    /// It does not ask.
    None,
}

/// Versions of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// TLS 1.2
    pub tls12: bool,
    /// TLS 1.3
    pub tls13: bool,
}

impl Versions {
    /// TLS 1.3 alone.
    pub const NEWEST: Self = Self {
        tls12: false,
        tls13: true,
    };
    /// TLS 1.2 alone.
    pub const OLDER: Self = Self {
        tls12: true,
        tls13: false,
    };
    /// Both.
    pub const ALL: Self = Self {
        tls12: true,
        tls13: true,
    };

    /// The versions of these names that exist here, and the names of those that do not.
    fn parse(names: &str) -> (Self, Vec<String>) {
        let mut versions = Self {
            tls12: false,
            tls13: false,
        };
        let mut others = Vec::new();
        for name in names.split(',').map(str::trim) {
            match name {
                "TLSv1.2" => versions.tls12 = true,
                "TLSv1.3" => versions.tls13 = true,
                other => others.push(other.to_owned()),
            }
        }
        (versions, others)
    }
}

/// TLS for clients or between servers. Source: `X509Util`, `SSLContextAndOptions`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsSettings {
    /// The server's own key and certificates.
    pub key_store: StoreSettings,
    /// Whom it trusts.
    pub trust_store: StoreSettings,
    /// Versions by `protocol`.
    pub protocol: Versions,
    /// Whether TLS 1.3 by `protocol` means the version before, too, as in a context of Java's.
    pub older_too: bool,
    /// Versions by `enabledProtocols`, which wins.
    pub enabled_protocols: Option<Versions>,
    /// Suites by their standard names; all if not set.
    pub cipher_suites: Option<Vec<String>>,
    /// Whether it asks for certificates.
    pub client_auth: ClientAuth,
    /// Whether certificates must be for the host that has them.
    pub hostname_verification: bool,
    /// Whether that holds for who connects, too.
    pub client_hostname_verification: bool,
    /// Whether the name service may be asked for the name of an address.
    pub allow_reverse_dns_lookup: bool,
    /// Whether certificates are looked up in revocation lists.
    pub crl: bool,
    /// Milliseconds in which a connection has to show whether it is TLS.
    pub handshake_detection_timeout_ms: u64,
}

fn left_out(names: &[String]) -> Option<String> {
    let text = format!("{} is not offered and left out", names.join(", "));
    (!names.is_empty()).then_some(text)
}

impl TlsSettings {
    /// For clients. Source: `ClientX509Util`.
    #[must_use]
    pub fn for_clients() -> Self {
        Self {
            key_store: StoreSettings::default(),
            trust_store: StoreSettings::default(),
            protocol: Versions::NEWEST,
            older_too: false,
            enabled_protocols: None,
            cipher_suites: None,
            client_auth: ClientAuth::Need,
            hostname_verification: true,
            client_hostname_verification: false,
            allow_reverse_dns_lookup: false,
            crl: false,
            handshake_detection_timeout_ms: DETECTION_MS,
        }
    }

    /// Between servers. Source: `QuorumX509Util`.
    #[must_use]
    pub fn for_quorum() -> Self {
        Self {
            protocol: Versions::ALL,
            older_too: true,
            client_hostname_verification: true,
            allow_reverse_dns_lookup: true,
            ..Self::for_clients()
        }
    }

    /// Applies a setting by its name without the prefix; tells what of the value is left out or
    /// replaced.
    ///
    /// # Errors
    /// What is allowed, where the value is not; `None` if there is no setting of that name.
    pub fn set(&mut self, name: &str, value: &str) -> Result<Option<String>, Option<String>> {
        let invalid = |allowed: &str| Err(Some(allowed.to_owned()));
        match name {
            "protocol" => {
                self.protocol = match value {
                    "TLSv1.3" if !self.older_too => Versions::NEWEST,
                    "TLSv1.3" | "TLS" => Versions::ALL,
                    "TLSv1.2" => Versions::OLDER,
                    _ => return invalid(VERSIONS),
                };
                return Ok(None);
            }
            "enabledProtocols" => {
                let (versions, others) = Versions::parse(value);
                if !versions.tls12 && !versions.tls13 {
                    return invalid(VERSIONS);
                }
                self.enabled_protocols = Some(versions);
                return Ok(left_out(&others));
            }
            "ciphersuites" => return self.set_suites(value).map_err(Some),
            "clientAuth" => {
                self.client_auth = match value.to_ascii_lowercase().as_str() {
                    "" | "need" => ClientAuth::Need,
                    "want" => ClientAuth::Want,
                    "none" => ClientAuth::None,
                    _ => return invalid("need, want or none"),
                };
                return Ok(None);
            }
            "handshakeDetectionTimeoutMillis" => {
                let ms: i32 = match value.parse() {
                    Ok(ms) => ms,
                    Err(_) => return invalid("a whole number"),
                };
                let usable = u64::try_from(ms).ok().filter(|ms| *ms > 0);
                self.handshake_detection_timeout_ms = usable.unwrap_or(DETECTION_MS);
                let text = "is below 1; as in ZooKeeper the default holds: 5000";
                return Ok(usable.is_none().then(|| text.to_owned()));
            }
            _ => {}
        }
        if let Some(field) = self.switch(name) {
            *field = value.eq_ignore_ascii_case("true");
            let clear = *field || value.eq_ignore_ascii_case("false");
            let text = "is neither true nor false; as in ZooKeeper it means false";
            return Ok((!clear).then(|| text.to_owned()));
        }
        match name.split_once('.') {
            Some(("keyStore", what)) => self.key_store.set(what, value),
            Some(("trustStore", what)) => self.trust_store.set(what, value),
            _ => Err(None),
        }
    }

    fn switch(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "hostnameVerification" => &mut self.hostname_verification,
            "clientHostnameVerification" => &mut self.client_hostname_verification,
            "allowReverseDnsLookup" => &mut self.allow_reverse_dns_lookup,
            "crl" => &mut self.crl,
            _ => return None,
        })
    }

    fn set_suites(&mut self, value: &str) -> Result<Option<String>, String> {
        let names = value.split(',').map(str::trim).map(str::to_owned);
        let (known, others): (Vec<_>, Vec<_>) = names.partition(|name| knows_suite(name));
        if known.is_empty() {
            let all: Vec<String> = suite_names().collect();
            return Err(format!("of {}", all.join(", ")));
        }
        self.cipher_suites = Some(known);
        Ok(left_out(&others))
    }

    /// The versions that are spoken.
    #[must_use]
    pub fn versions(&self) -> Versions {
        self.enabled_protocols.unwrap_or(self.protocol)
    }
}
