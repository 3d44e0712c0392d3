//! Owns what can be configured about authentication. Must not read properties.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha1::{Digest as _, Sha1};
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};

/// Settings of authentication and access control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// Whether ACLs are not checked at all. `zookeeper.skipACL=yes`
    pub skip_acl: bool,
    /// Whether the scheme `digest` exists. `zookeeper.DigestAuthenticationProvider.enabled`
    pub digest_enabled: bool,
    /// `zookeeper.DigestAuthenticationProvider.digestAlg`
    pub digest_alg: DigestAlg,
    /// Who knows this digest's password is super user, `super:<base64>`.
    /// `zookeeper.DigestAuthenticationProvider.superDigest`
    pub super_digest: Option<String>,
    /// Whether the scheme `x509` exists: `zookeeper.authProvider.x509` is set, which a secure
    /// client port does by itself.
    pub x509_enabled: bool,
    /// The subject that is super user. `zookeeper.X509AuthenticationProvider.superUser`
    pub x509_super_user: Option<String>,
    /// Whether the scheme `sasl` exists: some `zookeeper.authProvider.*` names its provider.
    pub sasl_enabled: bool,
    /// An ACL entry for this user is one for every SASL user. `zookeeper.letAnySaslUserDoX`
    pub let_any_sasl_user_do: Option<String>,
    /// SASL users that are super users. `zookeeper.superUser` and all `zookeeper.superUser.*`
    pub sasl_super_users: Vec<String>,
    /// The names that the scheme `ensemble` accepts, when it exists; an empty list accepts all.
    /// `zookeeper.ensembleAuthName`
    pub ensemble_names: Option<Vec<String>>,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            skip_acl: false,
            digest_enabled: true,
            digest_alg: DigestAlg::Sha1,
            super_digest: None,
            x509_enabled: false,
            x509_super_user: None,
            sasl_enabled: false,
            let_any_sasl_user_do: None,
            sasl_super_users: Vec::new(),
            ensemble_names: None,
        }
    }
}

/// How passwords of the scheme `digest` are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DigestAlg {
    /// MD5
    Md5,
    /// SHA-1, ZooKeeper's default.
    #[default]
    Sha1,
    /// SHA-224
    Sha224,
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
    /// SHA-512/224
    Sha512Of224,
    /// SHA-512/256
    Sha512Of256,
}

impl DigestAlg {
    /// The algorithm of that name, in any case, as `java.security.MessageDigest` knows them.
    /// `None` for unknown ones: ZooKeeper does not start then. MD2 and SHA-3 are not offered.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "MD5" => Self::Md5,
            "SHA1" | "SHA-1" | "SHA" => Self::Sha1,
            "SHA224" | "SHA-224" => Self::Sha224,
            "SHA256" | "SHA-256" => Self::Sha256,
            "SHA384" | "SHA-384" => Self::Sha384,
            "SHA512" | "SHA-512" => Self::Sha512,
            "SHA512/224" | "SHA-512/224" => Self::Sha512Of224,
            "SHA512/256" | "SHA-512/256" => Self::Sha512Of256,
            _ => return None,
        })
    }

    /// The hash in base64, with padding.
    pub(super) fn base64(self, data: &[u8]) -> String {
        match self {
            Self::Md5 => STANDARD.encode(Md5::digest(data)),
            Self::Sha1 => STANDARD.encode(Sha1::digest(data)),
            Self::Sha224 => STANDARD.encode(Sha224::digest(data)),
            Self::Sha256 => STANDARD.encode(Sha256::digest(data)),
            Self::Sha384 => STANDARD.encode(Sha384::digest(data)),
            Self::Sha512 => STANDARD.encode(Sha512::digest(data)),
            Self::Sha512Of224 => STANDARD.encode(Sha512_224::digest(data)),
            Self::Sha512Of256 => STANDARD.encode(Sha512_256::digest(data)),
        }
    }
}
