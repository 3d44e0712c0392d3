//! Owns the client's end, for servers that authenticate to each other. Source: RFC 2831 and what
//! `DigestMD5Server` takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::directives::{Directives, quote};
use super::response::{NONCE_COUNT, Proof, same};
use super::{NONCE_BYTES, SaslError, Service};

/// Source: `DigestMD5Base.MAX_CHALLENGE_LENGTH`.
const CHALLENGE_MAX: usize = 2048;

/// One exchange: an empty token to begin with, then [`answer`](Self::answer), then
/// [`verify`](Self::verify).
#[derive(Debug)]
pub struct DigestClient {
    service: Service,
    cnonce: String,
    /// The server's proof, once there was a challenge.
    expected: Option<String>,
}

impl DigestClient {
    /// An exchange about `service`. Nobody must be able to guess `cnonce`.
    #[must_use]
    pub fn new(service: Service, cnonce: &[u8; NONCE_BYTES]) -> Self {
        Self::with_cnonce(service, STANDARD.encode(cnonce))
    }

    pub(super) const fn with_cnonce(service: Service, cnonce: String) -> Self {
        Self {
            service,
            cnonce,
            expected: None,
        }
    }

    /// The answer to the server's challenge.
    ///
    /// # Errors
    /// [`SaslError`]: the challenge is none that this mechanism knows.
    pub fn answer(
        &mut self,
        challenge: &[u8],
        user: &str,
        password: &str,
    ) -> Result<Vec<u8>, SaslError> {
        if challenge.len() > CHALLENGE_MAX {
            return Err(SaslError::TooLong);
        }
        let known = ["nonce", "charset", "algorithm", "maxbuf", "cipher", "stale"];
        let given = Directives::parse(challenge, &known)?;
        if given.bytes("algorithm") != Some(b"md5-sess") {
            return Err(SaslError::Mismatch("algorithm"));
        }
        let nonce = given.bytes("nonce").ok_or(SaslError::Missing("nonce"))?;
        let qop = given.text("qop").unwrap_or("auth".into());
        if !qop.split(',').any(|one| one.trim() == "auth") {
            return Err(SaslError::Mismatch("qop"));
        }
        let realm = given.text("realm").unwrap_or_default();
        let uri = self.service.uri();
        let proof = Proof {
            user,
            realm: &realm,
            password,
            nonce,
            cnonce: self.cnonce.as_bytes(),
            uri: &uri,
            authzid: None,
        };
        self.expected = Some(proof.rspauth());
        let charset = match given.bytes("charset") {
            Some(_) => "charset=utf-8,",
            None => "",
        };
        let answer = format!(
            "{charset}username={},realm={},nonce={},nc={NONCE_COUNT},cnonce={},digest-uri={},\
             response={},qop=auth",
            quote(user),
            quote(&realm),
            quote(&String::from_utf8_lossy(nonce)),
            quote(&self.cnonce),
            quote(&uri),
            proof.response(),
        );
        Ok(answer.into_bytes())
    }

    /// Whether the server knows the password too.
    ///
    /// # Errors
    /// [`SaslError`] when it does not, or there was no challenge.
    pub fn verify(&self, token: &[u8]) -> Result<(), SaslError> {
        let expected = self.expected.as_ref().ok_or(SaslError::Over)?;
        let given = Directives::parse(token, &["rspauth"])?;
        let proof = given
            .bytes("rspauth")
            .ok_or(SaslError::Missing("rspauth"))?;
        if same(proof, expected.as_bytes()) {
            Ok(())
        } else {
            Err(SaslError::WrongPassword)
        }
    }
}
