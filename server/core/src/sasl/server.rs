//! Owns the server's end: challenge, check, proof in return. Must not know who may do what.
//! Source: `DigestMD5Server`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::directives::{Directives, quote};
use super::response::{Proof, same};
use super::{NONCE_BYTES, SaslError, Service};

/// Source: `DigestMD5Base.MAX_RESPONSE_LENGTH`.
const TOKEN_MAX: usize = 4096;
/// Directives that may come once at most. Java's server looks for the count of the nonce under
/// this name, while clients send it as `nc`, which is not looked at.
const KNOWN: [&str; 13] = [
    "username",
    "realm",
    "nonce",
    "cnonce",
    "nonce-count",
    "qop",
    "digest-uri",
    "response",
    "maxbuf",
    "charset",
    "cipher",
    "authzid",
    "auth-param",
];

/// What a token led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The client has to answer this.
    Challenge(Vec<u8>),
    /// The client has proved to be `user` and gets the server's proof.
    Done {
        /// The name in the list of users.
        user: String,
        /// Who the client would be if it were asked (`authzid`).
        wants: Option<String>,
        /// `rspauth=…`
        token: Vec<u8>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Begun,
    Challenged,
    Over,
}

/// One exchange, from a connection's first token to its last.
#[derive(Debug)]
pub struct DigestServer {
    service: Service,
    nonce: String,
    state: State,
}

impl DigestServer {
    /// An exchange about `service`. Nobody must be able to guess `nonce`.
    #[must_use]
    pub fn new(service: Service, nonce: &[u8; NONCE_BYTES]) -> Self {
        Self::with_nonce(service, STANDARD.encode(nonce))
    }

    pub(super) const fn with_nonce(service: Service, nonce: String) -> Self {
        Self {
            service,
            nonce,
            state: State::Begun,
        }
    }

    /// Takes the client's next token. `password` knows the users.
    ///
    /// # Errors
    /// [`SaslError`]: the exchange is over then. The first token is not looked at unless it is too
    /// long, as in Java.
    pub fn step<'p>(
        &mut self,
        token: &[u8],
        password: impl FnOnce(&str) -> Option<&'p str>,
    ) -> Result<Step, SaslError> {
        if token.len() > TOKEN_MAX {
            return Err(SaslError::TooLong);
        }
        match self.state {
            State::Begun => {
                self.state = State::Challenged;
                Ok(Step::Challenge(self.challenge().into_bytes()))
            }
            State::Challenged => {
                self.state = State::Over;
                self.check(token, password)
            }
            State::Over => Err(SaslError::Over),
        }
    }

    fn challenge(&self) -> String {
        let (realm, nonce) = (quote(self.service.server), quote(&self.nonce));
        format!("realm={realm},nonce={nonce},charset=utf-8,algorithm=md5-sess")
    }

    /// In Java's order, as it matters which is found first: a number that is none, or something
    /// that is answered.
    fn check<'p>(
        &self,
        token: &[u8],
        password: impl FnOnce(&str) -> Option<&'p str>,
    ) -> Result<Step, SaslError> {
        let given = Directives::parse(token, &KNOWN)?;
        if given.bytes("charset").is_some_and(|set| set != b"utf-8") {
            return Err(SaslError::Mismatch("charset"));
        }
        number(&given, "maxbuf", 10)?;
        let user = given
            .text("username")
            .ok_or(SaslError::Missing("username"))?;
        let realm = given.text("realm").unwrap_or_default();
        if realm != self.service.server {
            return Err(SaslError::Mismatch("realm"));
        }
        let nonce = given.bytes("nonce").ok_or(SaslError::Missing("nonce"))?;
        if nonce != self.nonce.as_bytes() {
            return Err(SaslError::Mismatch("nonce"));
        }
        let cnonce = given.bytes("cnonce").ok_or(SaslError::Missing("cnonce"))?;
        if number(&given, "nonce-count", 16)?.is_some_and(|count| count != 1) {
            return Err(SaslError::Mismatch("nonce-count"));
        }
        if given.bytes("qop").is_some_and(|qop| qop != b"auth") {
            return Err(SaslError::Mismatch("qop"));
        }
        let uri = given.text("digest-uri").unwrap_or_default();
        if !uri.eq_ignore_ascii_case(&self.service.uri()) {
            return Err(SaslError::Mismatch("digest-uri"));
        }
        let response = given
            .bytes("response")
            .ok_or(SaslError::Missing("response"))?;
        if user.is_empty() {
            return Err(SaslError::NoName);
        }
        let proof = Proof {
            user: &user,
            realm: &realm,
            password: password(&user).ok_or(SaslError::NoUser)?,
            nonce,
            cnonce,
            uri: &uri,
            authzid: given.bytes("authzid"),
        };
        if !same(response, proof.response().as_bytes()) {
            return Err(SaslError::WrongPassword);
        }
        Ok(Step::Done {
            user: user.to_string(),
            wants: given.text("authzid").map(|name| name.into_owned()),
            token: format!("rspauth={}", proof.rspauth()).into_bytes(),
        })
    }
}

fn number(given: &Directives, key: &'static str, radix: u32) -> Result<Option<i32>, SaslError> {
    let Some(text) = given.text(key) else {
        return Ok(None);
    };
    let number = i32::from_str_radix(&text, radix);
    number.map(Some).map_err(|_| SaslError::NoNumber(key))
}
