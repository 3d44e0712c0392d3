//! Owns a client's answer to a challenge, written from RFC 2831 and nothing else, so that it can be
//! wrong on purpose. Must not use Menagerie's own.

use anyhow::{Context as _, Result};
use md5::{Digest as _, Md5};

/// A client's answer before it is written.
pub(super) struct Answer {
    user: String,
    password: String,
    nonce: String,
    authzid: Option<String>,
    /// Its directives.
    pub(super) parts: Vec<(String, String)>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The nonce of a challenge.
pub(super) fn nonce(challenge: &str) -> Result<&str> {
    let (_, rest) = challenge
        .split_once("nonce=\"")
        .with_context(|| format!("no nonce in {challenge}"))?;
    let (nonce, _) = rest.split_once('"').context("no end of the nonce")?;
    Ok(nonce)
}

const REALM: &str = "zk-sasl-md5";
const URI: &str = "zookeeper/zk-sasl-md5";
const CNONCE: &str = "cnonce+/1";

impl Answer {
    /// The right answer.
    pub(super) fn new(challenge: &str, user: &str, password: &str) -> Result<Self> {
        let nonce = nonce(challenge)?.to_owned();
        let quoted = |text: &str| {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{text}\"")
        };
        let part = |key: &str, value: String| (key.to_owned(), value);
        let mut answer = Self {
            user: user.to_owned(),
            password: password.to_owned(),
            nonce: nonce.clone(),
            authzid: None,
            parts: vec![
                part("charset", "utf-8".to_owned()),
                part("username", quoted(user)),
                part("realm", quoted(REALM)),
                part("nonce", quoted(&nonce)),
                part("nc", "00000001".to_owned()),
                part("cnonce", quoted(CNONCE)),
                part("digest-uri", quoted(URI)),
                part("maxbuf", "65536".to_owned()),
                part("qop", "auth".to_owned()),
            ],
        };
        let response = answer.value("AUTHENTICATE");
        answer.parts.push(part("response", response));
        Ok(answer)
    }

    /// RFC 2831, 2.1.2.1.
    fn value(&self, method: &str) -> String {
        let narrow = |text: &str| -> Vec<u8> {
            let all: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
            all.unwrap_or_else(|| text.as_bytes().to_vec())
        };
        let mut secret = narrow(&self.user);
        secret.extend_from_slice(format!(":{REALM}:").as_bytes());
        secret.extend(narrow(&self.password));
        let mut a1 = Md5::digest(secret).to_vec();
        a1.extend_from_slice(format!(":{}:{CNONCE}", self.nonce).as_bytes());
        if let Some(authzid) = &self.authzid {
            a1.extend_from_slice(format!(":{authzid}").as_bytes());
        }
        let a1 = hex(&Md5::digest(a1));
        let a2 = hex(&Md5::digest(format!("{method}:{URI}")));
        let whole = format!("{a1}:{}:00000001:{CNONCE}:auth:{a2}", self.nonce);
        hex(&Md5::digest(whole))
    }

    /// Asks to be somebody else, with a response that goes with that.
    pub(super) fn for_other(&mut self, authzid: &str) {
        self.authzid = Some(authzid.to_owned());
        let response = self.value("AUTHENTICATE");
        self.set("response", &response);
        self.set("authzid", &format!("\"{authzid}\""));
    }

    /// Changes or adds a part.
    pub(super) fn set(&mut self, key: &str, value: &str) {
        match self.parts.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => value.clone_into(old),
            None => self.parts.push((key.to_owned(), value.to_owned())),
        }
    }

    /// The server's proof for the right answer.
    pub(super) fn proof(&self) -> String {
        format!("rspauth={}", self.value(""))
    }

    /// As a token.
    pub(super) fn token(&self) -> String {
        let parts: Vec<String> = self.parts.iter().map(|(k, v)| format!("{k}={v}")).collect();
        parts.join(",")
    }
}
