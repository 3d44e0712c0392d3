//! Owns SASL GSSAPI (RFC 4752) at the server's end: its key, one client's exchange, step by step.
//! May call `gss`, which blocks. Must not be called on a thread that serves connections.
//! Source: `GssKrb5Server`, `SaslServerCallbackHandler`.

use std::sync::Arc;

use menagerie_core::sasl::kerberos::{MalformedPrincipal, UserNames};
use menagerie_core::sasl::layers::{self, ChoiceError};

use super::gss::{Accepted, Context, Credential, GssError};

/// Bytes of a token; tickets with all that Windows puts into them stay below.
const TOKEN_MAX: usize = 64 << 10;

/// The key of a server, and what it calls its clients.
#[derive(Debug, Clone)]
pub(crate) struct Kerberos(Arc<Key>);

#[derive(Debug)]
struct Key {
    principal: String,
    keytab: Option<String>,
    credential: Credential,
    names: UserNames,
}

impl PartialEq for Kerberos {
    fn eq(&self, other: &Self) -> bool {
        (&self.0.principal, &self.0.keytab) == (&other.0.principal, &other.0.keytab)
    }
}

impl Eq for Kerberos {}

impl Kerberos {
    /// Looks the key up.
    pub(crate) fn new(
        principal: &str,
        keytab: Option<&str>,
        names: UserNames,
    ) -> Result<Self, GssError> {
        let credential = Credential::acceptor(principal, keytab)?;
        Ok(Self(Arc::new(Key {
            principal: principal.to_owned(),
            keytab: keytab.map(str::to_owned),
            credential,
            names,
        })))
    }

    /// Who this server is.
    pub(crate) fn principal(&self) -> &str {
        &self.0.principal
    }
}

/// Why an exchange ends without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GssapiError {
    /// A token beyond the limit.
    #[error("a token of {0} bytes; {TOKEN_MAX} are taken")]
    TooLong(usize),
    /// A token that comes where none is due.
    #[error("{0}")]
    Order(&'static str),
    /// What the library says.
    #[error("{0}: {1}")]
    Gss(&'static str, GssError),
    /// What the client chose.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// A principal that ZooKeeper cannot read.
    #[error(transparent)]
    Name(#[from] MalformedPrincipal),
}

impl GssapiError {
    /// Whether Java's server trips over it, so that the client gets no answer.
    pub(crate) const fn is_fatal(&self) -> bool {
        matches!(self, Self::Choice(ChoiceError::Short(_)) | Self::Name(_))
    }
}

/// What a token led to.
#[derive(Debug)]
pub(crate) enum GssapiStep {
    /// The client has to answer this.
    Challenge(Vec<u8>),
    /// The client is this user, and gets nothing more.
    Done(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Tickets are looked at.
    Context,
    /// The client has to ask which layers there are.
    Asked,
    /// The client has to choose one.
    Choice,
    /// Nothing more comes of it.
    Over,
}

/// One exchange, from a connection's first token to its last.
#[derive(Debug)]
pub(crate) struct GssapiServer {
    kerberos: Kerberos,
    context: Context,
    stage: Stage,
}

impl GssapiServer {
    pub(crate) fn new(kerberos: &Kerberos) -> Self {
        Self {
            kerberos: kerberos.clone(),
            context: Context::default(),
            stage: Stage::Context,
        }
    }

    /// Takes the client's next token. Where the connection lives on behind an error, the client may
    /// try that token again, unless Kerberos has refused its ticket.
    pub(crate) fn step(&mut self, token: &[u8]) -> Result<GssapiStep, GssapiError> {
        if token.len() > TOKEN_MAX {
            return Err(GssapiError::TooLong(token.len()));
        }
        match self.stage {
            Stage::Context => self.accept(token),
            Stage::Asked if token.is_empty() => self.offer(),
            Stage::Asked => Err(GssapiError::Order(
                "a token before the security layers were offered",
            )),
            Stage::Choice => self.choose(token),
            Stage::Over => Err(GssapiError::Order("the exchange is over already")),
        }
    }

    fn accept(&mut self, token: &[u8]) -> Result<GssapiStep, GssapiError> {
        let key = &self.kerberos.0;
        let accepted = key.credential.accept(&mut self.context, token);
        let Accepted { token, established } = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !error.unread {
                    self.stage = Stage::Over;
                }
                let what = "the client's ticket is not accepted";
                return Err(GssapiError::Gss(what, error));
            }
        };
        if established {
            self.stage = Stage::Asked;
            if token.is_empty() {
                return self.offer();
            }
        }
        Ok(GssapiStep::Challenge(token))
    }

    fn offer(&mut self) -> Result<GssapiStep, GssapiError> {
        let failed = |error| GssapiError::Gss("the security layers cannot be offered", error);
        let token = self.context.wrap(&layers::offer()).map_err(failed)?;
        self.stage = Stage::Choice;
        Ok(GssapiStep::Challenge(token))
    }

    /// What the client wants to be does not matter: it is who it proved to be.
    fn choose(&mut self, token: &[u8]) -> Result<GssapiStep, GssapiError> {
        let failed = |error| GssapiError::Gss("the choice of a security layer is not its", error);
        let chosen = self.context.unwrap(token).map_err(failed)?;
        let wants = layers::choice(&chosen)?;
        let failed = |error| GssapiError::Gss("the client has no name", error);
        let principal = self.context.peer().map_err(failed)?;
        let user = self.kerberos.0.names.user(&principal)?;
        self.stage = Stage::Over;
        tracing::debug!(principal, wants, user, "a client has logged in by Kerberos");
        Ok(GssapiStep::Done(user))
    }
}

#[cfg(test)]
#[cfg(feature = "gssapi")]
pub(crate) mod tests {
    use std::path::Path;

    use menagerie_core::sasl::kerberos::Rules;

    use super::*;

    /// A key of zookeeper/h@R that no KDC knows. Source: MIT's description of the file format.
    pub(crate) fn write_keytab(path: &Path) {
        let text = |text: &str| -> Vec<u8> {
            let len = u16::try_from(text.len()).unwrap();
            [&len.to_be_bytes()[..], text.as_bytes()].concat()
        };
        let entry = [
            &[0, 2][..],
            &text("R"),
            &text("zookeeper"),
            &text("h"),
            // The kind of name, the time, the key's version, AES with 256 bits.
            &[0, 0, 0, 1],
            &[0; 4],
            &[1],
            &[0, 18, 0, 32],
            &[7; 32],
        ]
        .concat();
        let len = u32::try_from(entry.len()).unwrap();
        let file = [&[5, 2][..], &len.to_be_bytes(), &entry].concat();
        std::fs::write(path, file).unwrap();
    }

    fn server() -> (tempfile::TempDir, GssapiServer) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keytab");
        write_keytab(&path);
        let names = UserNames {
            rules: Rules::parse("DEFAULT").unwrap(),
            default_realm: "R".to_owned(),
            remove_host: false,
            remove_realm: false,
        };
        let keytab = path.display().to_string();
        let kerberos = Kerberos::new("zookeeper/h@R", Some(&keytab), names).unwrap();
        (dir, GssapiServer::new(&kerberos))
    }

    #[test]
    fn what_is_no_ticket_ends_the_exchange() {
        let refused = "the client's ticket is not accepted: ";
        let empty = b"\x60\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
        let long = vec![0; TOKEN_MAX + 1];
        let too_long = "a token of 65537 bytes; 65536 are taken";
        for (token, reason, behind) in [
            (&b""[..], refused, refused),
            (b"hello", refused, refused),
            (empty, refused, "the exchange is over already"),
            (&long, too_long, too_long),
        ] {
            let (_dir, mut server) = server();
            for reason in [reason, behind] {
                let error = server.step(token).unwrap_err();
                assert!(error.to_string().contains(reason), "{error}");
                assert!(!error.is_fatal());
            }
        }
    }

    #[test]
    fn a_key_must_be_in_the_keytab() {
        let (dir, _) = server();
        let keytab = dir.path().join("keytab").display().to_string();
        let error = Credential::acceptor("zookeeper/other@R", Some(&keytab)).unwrap_err();
        assert!(error.to_string().contains("zookeeper/other@R"), "{error}");
        let error = Credential::acceptor("zookeeper/h@R", Some("/nowhere")).unwrap_err();
        assert!(error.to_string().contains("/nowhere"), "{error}");
    }
}
