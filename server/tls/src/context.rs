//! Owns making contexts of the settings: versions, suites, keys, whom to believe. Must not shake
//! hands. Source: `ClientX509Util.createNettySslContextForServer`, `SSLContextAndOptions`.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
};

use super::stores::{KeyEntry, read_key, read_trusted};
use super::verify::Judge;
use super::{TlsError, Use};
use crate::{ClientAuth, TlsSettings};

/// What is needed to accept and to connect.
#[derive(Debug)]
pub(super) struct Contexts {
    pub(super) server: Arc<ServerConfig>,
    pub(super) judge: Arc<Judge>,
    /// The server's own certificate, and those of authorities between.
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) client: Option<Arc<ClientConfig>>,
}

/// The standard name of a suite; the library's names for those of TLS 1.3 differ.
fn name(suite: &SupportedCipherSuite) -> String {
    let name = format!("{:?}", suite.suite());
    name.replace("TLS13_", "TLS_")
}

/// Whether there is a suite of that name.
pub fn knows_suite(wanted: &str) -> bool {
    suite_names().any(|name| name == wanted)
}

/// Every suite.
pub fn suite_names() -> impl Iterator<Item = String> {
    ring::ALL_CIPHER_SUITES.iter().map(name)
}

fn provider(settings: &TlsSettings) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if let Some(names) = &settings.cipher_suites {
        let found = names.iter().filter_map(|wanted| {
            let mut all = ring::ALL_CIPHER_SUITES.iter();
            all.find(|suite| name(suite) == *wanted).copied()
        });
        provider.cipher_suites = found.collect();
    }
    provider
}

fn versions(settings: &TlsSettings) -> Vec<&'static SupportedProtocolVersion> {
    let wanted = settings.versions();
    let mut versions = Vec::new();
    if wanted.tls13 {
        versions.push(&TLS13);
    }
    if wanted.tls12 {
        versions.push(&TLS12);
    }
    versions
}

/// Reads the stores and makes the contexts for `purpose`.
pub(super) fn build(settings: &TlsSettings, purpose: Use) -> Result<Contexts, TlsError> {
    let prefix = purpose.prefix();
    let wrong = |reason: String| TlsError::Settings { prefix, reason };
    let key = read_key(prefix, &settings.key_store)?;
    let key = key.ok_or_else(|| TlsError::Missing {
        key: format!("{prefix}keyStore.location"),
        reason: "TLS needs a file with a key and its certificate",
    })?;
    let trusted = read_trusted(prefix, &settings.trust_store)?;
    let provider = Arc::new(provider(settings));
    let versions = versions(settings);
    let judge = judge(settings, prefix, trusted, &provider)?;
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| wrong(error.to_string()))?;
    let server = match settings.client_auth {
        ClientAuth::None => server.with_no_client_auth(),
        ClientAuth::Need | ClientAuth::Want => {
            server.with_client_cert_verifier(Arc::clone(&judge) as _)
        }
    };
    let unfit = |error: String| unfit(settings, prefix, error);
    let KeyEntry { key, chain } = key;
    let server = server
        .with_single_cert(chain.clone(), key.clone_key())
        .map_err(|error| unfit(error.to_string()))?;
    let client = if purpose.connects() {
        let own = Some(KeyEntry {
            key,
            chain: chain.clone(),
        });
        Some(client_config(
            settings,
            prefix,
            &provider,
            (Arc::clone(&judge), own),
        )?)
    } else {
        None
    };
    Ok(Contexts {
        server: Arc::new(server),
        judge,
        chain,
        client,
    })
}

/// What a client is made of, whose own key is optional.
pub(super) fn build_client(settings: &TlsSettings) -> Result<Arc<ClientConfig>, TlsError> {
    let prefix = Use::Clients.prefix();
    let own = read_key(prefix, &settings.key_store)?;
    if settings.trust_store.location.is_none() {
        return Err(TlsError::Missing {
            key: format!("{prefix}trustStore.location"),
            reason: "without it no server is believed",
        });
    }
    let trusted = read_trusted(prefix, &settings.trust_store)?;
    let provider = Arc::new(provider(settings));
    let judge = judge(settings, prefix, trusted, &provider)?;
    client_config(settings, prefix, &provider, (judge, own))
}

fn client_config(
    settings: &TlsSettings,
    prefix: &'static str,
    provider: &Arc<CryptoProvider>,
    (judge, own): (Arc<Judge>, Option<KeyEntry>),
) -> Result<Arc<ClientConfig>, TlsError> {
    let client = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&versions(settings))
        .map_err(|error| TlsError::Settings {
            prefix,
            reason: error.to_string(),
        })?
        .dangerous()
        .with_custom_certificate_verifier(judge);
    let client = match own {
        None => client.with_no_client_auth(),
        Some(KeyEntry { key, chain }) => client
            .with_client_auth_cert(chain, key)
            .map_err(|error| unfit(settings, prefix, error.to_string()))?,
    };
    Ok(Arc::new(client))
}

fn judge(
    settings: &TlsSettings,
    prefix: &'static str,
    trusted: super::stores::Trusted,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<Judge>, TlsError> {
    let mandatory = settings.client_auth == ClientAuth::Need;
    let made = Judge::new(trusted, settings.crl, mandatory, provider);
    let made = made.map_err(|reason| match &settings.trust_store.location {
        Some(path) => TlsError::Store {
            key: format!("{prefix}trustStore.location"),
            path: path.clone(),
            reason,
        },
        None => TlsError::Missing {
            key: format!("{prefix}trustStore.location"),
            reason: "revocation lists are expected in it",
        },
    });
    made.map(Arc::new)
}

/// A key that does not go with its certificate, or that is of no use.
fn unfit(settings: &TlsSettings, prefix: &str, mut reason: String) -> TlsError {
    if reason.contains("UnsupportedCertVersion") {
        reason = "the certificate is of version 1; openssl x509 -req makes one of version 3 with \
                  -copy_extensions copy or -extfile"
            .to_owned();
    }
    TlsError::Store {
        key: format!("{prefix}keyStore.location"),
        path: settings.key_store.location.clone().unwrap_or_default(),
        reason: format!("its key or certificate cannot be used: {reason}"),
    }
}
