//! Owns whom to believe: chains of certificates up to a trusted one, and revocation. Must not look
//! at host names, which `host` does behind the handshake.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationOptionsBuilder, anchor_from_trusted_cert,
};

use super::stores::Trusted;

/// Judges certificates.
#[derive(Debug)]
pub(super) struct Judge {
    anchors: Vec<TrustAnchor<'static>>,
    trusted: Vec<CertificateDer<'static>>,
    /// Subjects of the trusted certificates, which who connects may choose by.
    hints: Vec<DistinguishedName>,
    /// Revocation lists, if certificates are to be looked up in them.
    lists: Option<Vec<CertRevocationList<'static>>>,
    provider: Arc<CryptoProvider>,
    mandatory: bool,
}

impl Judge {
    /// From what is trusted. `crl` says whether there must be revocation lists, `mandatory` whether
    /// who connects must have a certificate.
    pub(super) fn new(
        trusted: Trusted,
        crl: bool,
        mandatory: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let mut anchors = Vec::new();
        for certificate in &trusted.certificates {
            let anchor = anchor_from_trusted_cert(certificate).map_err(|error| {
                let subject = super::rfc2253(certificate).unwrap_or_default();
                format!("its certificate {subject:?} cannot be used: {error}")
            })?;
            anchors.push(anchor.to_owned());
        }
        let hint = |anchor: &TrustAnchor<'_>| DistinguishedName::in_sequence(&anchor.subject);
        let hints = anchors.iter().map(hint).collect();
        if crl && trusted.revoked.is_empty() {
            return Err(
                "revocation lists (X509 CRL) are expected in it: they are not fetched".to_owned(),
            );
        }
        let list =
            |der: &[u8]| OwnedCertRevocationList::from_der(der).map(CertRevocationList::from);
        let lists: Result<Vec<_>, _> = trusted.revoked.iter().map(|der| list(der)).collect();
        let lists = lists.map_err(|error| format!("a revocation list cannot be read: {error}"))?;
        Ok(Self {
            anchors,
            trusted: trusted.certificates,
            hints,
            lists: crl.then_some(lists),
            provider: Arc::clone(provider),
            mandatory,
        })
    }

    /// Whether a client with that certificate, and no others beside it, would be believed.
    pub(super) fn believes(&self, certificate: &CertificateDer<'_>) -> bool {
        let usage = KeyUsage::client_auth();
        self.judge(certificate, &[], UnixTime::now(), usage).is_ok()
    }

    fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        // Source: Java's PKIXValidator — who is trusted itself needs nobody to vouch for it.
        if self.trusted.contains(certificate) {
            return Ok(());
        }
        let leaf = EndEntityCert::try_from(certificate).map_err(error)?;
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().flatten().collect();
        let revocation = match &self.lists {
            None => None,
            Some(_) => {
                let options = RevocationOptionsBuilder::new(&lists);
                let options = options.map_err(|_| Error::General("no revocation list".into()))?;
                Some(
                    options
                        .with_expiration_policy(ExpirationPolicy::Enforce)
                        .build(),
                )
            }
        };
        let algorithms = self.provider.signature_verification_algorithms.all;
        leaf.verify_for_usage(
            algorithms,
            &self.anchors,
            chain,
            now,
            usage,
            revocation,
            None,
        )
        .map(drop)
        .map_err(error)
    }
}

/// What the other side is told, and the log.
fn error(error: webpki::Error) -> Error {
    use webpki::Error as E;
    let told = match error {
        E::CertExpired { .. } | E::CrlExpired { .. } => CertificateError::Expired,
        E::CertNotValidYet { .. } => CertificateError::NotValidYet,
        E::CertRevoked => CertificateError::Revoked,
        E::UnknownIssuer => CertificateError::UnknownIssuer,
        E::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    Error::InvalidCertificate(told)
}

impl ClientCertVerifier for Judge {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(certificate, chain, now, KeyUsage::client_auth())?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(certificate, chain, now, KeyUsage::server_auth())?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ClientCertVerifier::verify_tls12_signature(self, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ClientCertVerifier::verify_tls13_signature(self, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ClientCertVerifier::supported_verify_schemes(self)
    }
}
