//! Owns what there is TLS for in this server. Must not shake hands.

use std::sync::Arc;

use menagerie_tls::{Tls, TlsError, Use};

use crate::config::{ClientAuth, Config, TlsSettings};

/// What there is TLS for.
#[derive(Debug, Default)]
pub(crate) struct Secured {
    /// For clients.
    pub(crate) clients: Option<Arc<Tls>>,
    /// Between servers.
    pub(crate) quorum: Option<Arc<Tls>>,
    /// For the admin server.
    pub(crate) admin: Option<Arc<Tls>>,
}

impl Secured {
    /// Reads the stores that the settings ask for.
    ///
    /// # Errors
    /// What is wrong with stores or settings.
    pub(crate) fn new(config: &Config) -> Result<Self, TlsError> {
        let mut secured = Self::default();
        if config.secure_client_port.is_some() || config.client_port_unification {
            let most = usize::try_from(config.outstanding_handshakes_max);
            let most = most.ok().filter(|most| *most > 0);
            let tls = Tls::new(&config.ssl, Use::Clients, config.fips_mode, most)?;
            if config.ssl.trust_store.location.is_none()
                && config.ssl.client_auth != ClientAuth::None
            {
                tracing::warn!(
                    "ssl.trustStore.location is not set: no client's certificate is \
                    believed; ssl.clientAuth=none serves clients without"
                );
            }
            secured.clients = Some(tls);
        }
        let quorum = &config.quorum;
        if config.ensemble.is_some() && (quorum.ssl || quorum.port_unification) {
            secured.quorum = between_servers(config)?;
        }
        let admin = &config.admin;
        if admin.enabled && (admin.port_unification || admin.force_https) {
            // Source: `JettyAdminServer` — it takes the stores and nothing else of the settings.
            let mut settings = TlsSettings::for_quorum();
            settings.key_store = config.quorum_ssl.key_store.clone();
            settings.trust_store = config.quorum_ssl.trust_store.clone();
            settings.client_auth = match admin.need_client_auth {
                true => ClientAuth::Need,
                false => ClientAuth::None,
            };
            secured.admin = Some(Tls::new(&settings, Use::Admin, true, None)?);
        }
        Ok(secured)
    }

    /// What is to be read again when its files change.
    pub(crate) fn reloaded(&self, config: &Config) -> Vec<Arc<Tls>> {
        let clients = self.clients.iter().filter(|_| config.client_cert_reload);
        let quorum = self.quorum.iter().chain(&self.admin);
        let quorum = quorum.filter(|_| config.quorum.reload_cert_files);
        clients.chain(quorum).cloned().collect()
    }
}

/// TLS between servers; none where it is only to be accepted and there are no stores.
fn between_servers(config: &Config) -> Result<Option<Arc<Tls>>, TlsError> {
    let settings = &config.quorum_ssl;
    if !config.quorum.ssl && settings.key_store.location.is_none() {
        tracing::warn!(
            "portUnification=true without ssl.quorum.keyStore.location: servers are \
            accepted without TLS only"
        );
        return Ok(None);
    }
    if settings.trust_store.location.is_none() {
        return Err(TlsError::Missing {
            key: "ssl.quorum.trustStore.location".to_owned(),
            reason: "without it no other server is believed",
        });
    }
    if config.fips_mode && settings.hostname_verification {
        tracing::info!(
            "host names in the certificates of other servers are not checked, as in \
            ZooKeeper; fips-mode=false checks them"
        );
    }
    Tls::new(settings, Use::Quorum, config.fips_mode, None).map(Some)
}
