//! Owns a connection's SASL exchange: what becomes of a client's tokens. May use the settings of
//! SASL, and threads that may block for Kerberos. Must not touch the connection. Source:
//! `ZooKeeperServer.processSasl`.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use menagerie_core::acl::{self, AuthConfig, AuthId};
use menagerie_core::sasl::{CLIENTS, DigestServer, NONCE_BYTES, SaslError, Step};
use menagerie_wire::op::ErrorCode;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::kerberos::{GssapiError, GssapiServer, GssapiStep};
use crate::config::Config;

/// Steps of Kerberos at the same time, in the whole process; others wait.
const STEPS_AT_ONCE: usize = 16;
/// How long one may take, waiting included.
const STEP_PATIENCE: Duration = Duration::from_secs(30);

static STEPS: Semaphore = Semaphore::const_new(STEPS_AT_ONCE);

/// What the client gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A token, and what the client has proved to be by the one it sent.
    Reply(Option<Vec<u8>>, Vec<AuthId>),
    /// This error and no token, for this reason; the connection is closed behind it.
    Refuse(ErrorCode, String),
    /// Nothing, for this reason: the connection is closed.
    Close(String),
}

/// When the client gets it.
#[derive(Debug)]
pub(crate) enum Turn {
    Now(Outcome),
    /// When this is ready: [`ClientExchange::resume`] then has the outcome.
    Later(Pending),
}

/// A step on another thread.
#[derive(Debug)]
pub(crate) struct Pending(JoinHandle<Option<Stepped>>);

/// What it came to.
type Stepped = (GssapiServer, Result<GssapiStep, GssapiError>);

impl Pending {
    fn step(mut server: GssapiServer, token: Vec<u8>) -> Self {
        Self(tokio::spawn(async move {
            let step = async move {
                let permit = STEPS.acquire().await.ok()?;
                let step = spawn_blocking(move || {
                    let result = server.step(&token);
                    drop(permit);
                    (server, result)
                });
                step.await.ok()
            };
            timeout(STEP_PATIENCE, step).await.ok().flatten()
        }))
    }
}

impl Future for Pending {
    type Output = Option<Stepped>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|done| done.ok().flatten())
    }
}

impl Drop for Pending {
    /// A thread that is at it comes to its end; nothing new begins.
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The exchange of one connection.
#[derive(Debug, Default)]
pub(crate) enum ClientExchange {
    #[default]
    New,
    Digest(DigestServer),
    Gssapi(Box<GssapiServer>),
    /// A step of it is pending.
    Elsewhere,
}

impl ClientExchange {
    /// Takes the client's next token.
    pub(crate) fn step(&mut self, config: &Config, auth: &AuthConfig, token: &[u8]) -> Turn {
        let Some(kerberos) = &config.sasl.kerberos else {
            return Turn::Now(self.digest(config, auth, token));
        };
        let server = match std::mem::replace(self, Self::Elsewhere) {
            Self::New => GssapiServer::new(kerberos),
            Self::Gssapi(server) => *server,
            other => {
                *self = other;
                return Turn::Now(Outcome::Close(SaslError::Over.to_string()));
            }
        };
        Turn::Later(Pending::step(server, token.to_vec()))
    }

    /// Takes what a step elsewhere came to; nothing, if it took too long.
    pub(crate) fn resume(
        &mut self,
        config: &Config,
        auth: &AuthConfig,
        stepped: Option<Stepped>,
    ) -> Outcome {
        let Some((server, result)) = stepped else {
            return Outcome::Close(format!("Kerberos took more than {STEP_PATIENCE:?}"));
        };
        *self = Self::Gssapi(Box::new(server));
        match result {
            Ok(GssapiStep::Challenge(token)) => Outcome::Reply(Some(token), Vec::new()),
            Ok(GssapiStep::Done(user)) => Outcome::Reply(None, acl::sasl_ids(auth, &user)),
            Err(error) if error.is_fatal() => Outcome::Close(error.to_string()),
            Err(error) => failed(config, &error),
        }
    }

    fn digest(&mut self, config: &Config, auth: &AuthConfig, token: &[u8]) -> Outcome {
        // A server without a list of users answers any token with null.
        let Some(login) = &config.sasl.login else {
            return Outcome::Reply(None, Vec::new());
        };
        if matches!(self, Self::New) {
            match nonce() {
                Ok(nonce) => *self = Self::Digest(DigestServer::new(CLIENTS, &nonce)),
                Err(error) => {
                    tracing::error!(%error, "the system has no random numbers; no SASL without");
                    return Outcome::Close(SaslError::Over.to_string());
                }
            }
        }
        let Self::Digest(server) = self else {
            return Outcome::Close(SaslError::Over.to_string());
        };
        let password = |user: &str| {
            let password = login.password(user)?;
            let own = config.sasl.super_password.as_ref();
            let own = own.filter(|_| user == acl::SUPER);
            Some(own.map_or(password, |own| own.reveal()))
        };
        let error = match server.step(token, password) {
            Ok(Step::Challenge(token)) => return Outcome::Reply(Some(token), Vec::new()),
            // What the client wants to be does not matter: it is who it proved to be.
            // Source: `SaslServerCallbackHandler.handleAuthorizeCallback`.
            Ok(Step::Done { user, token, .. }) => {
                return Outcome::Reply(Some(token), acl::sasl_ids(auth, &user));
            }
            Err(error @ (SaslError::NoName | SaslError::NoNumber(_))) => {
                return Outcome::Close(error.to_string());
            }
            Err(error) => error,
        };
        failed(config, &error)
    }
}

/// What a failure costs is configured.
fn failed(config: &Config, error: &dyn Display) -> Outcome {
    if config.requires_sasl() {
        Outcome::Refuse(ErrorCode::SessionClosedRequireSaslAuth, error.to_string())
    } else if config.sasl.allow_failed_clients {
        tracing::warn!(%error, "SASL failed; the connection lives on, as configured");
        Outcome::Reply(None, Vec::new())
    } else {
        Outcome::Refuse(ErrorCode::AuthFailed, error.to_string())
    }
}

/// Random bytes that nobody can guess.
pub(crate) fn nonce() -> Result<[u8; NONCE_BYTES], rustix::io::Errno> {
    let mut nonce = [0; NONCE_BYTES];
    let mut filled = 0;
    while filled < NONCE_BYTES {
        let rest = nonce.get_mut(filled..).unwrap_or_default();
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(bytes) => filled += bytes,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(nonce)
}

#[cfg(test)]
mod tests {
    use menagerie_core::sasl::DigestClient;

    use super::*;
    use crate::config::Secret;
    use crate::sasl::Login;
    use crate::sasl::jaas;

    fn config() -> Config {
        let text = "Server { org.apache.zookeeper.server.auth.DigestLoginModule required \
                    user_super=\"old\" user_bob=\"geheim\"; };";
        let sections = jaas::parse(text).unwrap();
        let login = Login::read("jaas.conf".as_ref(), &sections[0]).unwrap();
        let mut config = Config::embedded_default();
        config.sasl.login = Some(login);
        config
    }

    fn log_in(config: &Config, user: &str, password: &str) -> Outcome {
        let mut exchange = ClientExchange::default();
        let auth = config.auth_config();
        let Outcome::Reply(Some(challenge), _) = exchange.digest(config, &auth, b"") else {
            panic!("no challenge");
        };
        let mut client = DigestClient::new(CLIENTS, &[1; NONCE_BYTES]);
        let answer = client.answer(&challenge, user, password).unwrap();
        exchange.digest(config, &auth, &answer)
    }

    fn proved(outcome: &Outcome) -> Vec<String> {
        let Outcome::Reply(Some(_), ids) = outcome else {
            return Vec::new();
        };
        let name = |id: &AuthId| format!("{}:{}", id.scheme, id.id);
        ids.iter().map(name).collect()
    }

    #[test]
    fn a_password_makes_an_identity() {
        let mut config = config();
        assert_eq!(proved(&log_in(&config, "bob", "geheim")), ["sasl:bob"]);
        assert_eq!(proved(&log_in(&config, "super", "old")), ["sasl:super"]);
        config.sasl.super_password = Some(Secret::new("new".to_owned()));
        config.super_users.insert("super".to_owned());
        let outcome = log_in(&config, "super", "new");
        assert_eq!(proved(&outcome), ["sasl:super", "super:"]);
        assert!(proved(&log_in(&config, "super", "old")).is_empty());
        assert_eq!(proved(&log_in(&config, "bob", "geheim")), ["sasl:bob"]);
    }

    #[test]
    fn what_a_failure_costs_is_configured() {
        let mut config = config();
        let refused = |config: &Config| log_in(config, "bob", "wrong");
        let because = || SaslError::WrongPassword.to_string();
        let outcome = Outcome::Refuse(ErrorCode::AuthFailed, because());
        assert_eq!(refused(&config), outcome);
        config.sasl.allow_failed_clients = true;
        assert_eq!(refused(&config), Outcome::Reply(None, Vec::new()));
        config.session_require_client_sasl_auth = true;
        let outcome = Outcome::Refuse(ErrorCode::SessionClosedRequireSaslAuth, because());
        assert_eq!(refused(&config), outcome);
    }

    #[test]
    fn without_users_every_token_is_answered_with_null() {
        let config = Config::embedded_default();
        let mut exchange = ClientExchange::default();
        for token in ["", "x"] {
            let outcome = exchange.digest(&config, &config.auth_config(), token.as_bytes());
            assert_eq!(outcome, Outcome::Reply(None, Vec::new()));
        }
    }
}
