//! Owns the SASL exchange between servers, in front of everything else on a connection: who connects
//! logs in, who accepts lets in. May read and write the connection. Must not go on behind the
//! exchange. Source: `SaslQuorumAuthServer`, `SaslQuorumAuthLearner`.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use menagerie_core::sasl::{DigestClient, DigestServer, QUORUM, SaslError, Step};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::exchange::nonce;
use super::users::Login;

/// Begins each packet, so that one can tell whether the other side wants to log in.
/// Source: `QuorumAuth.QUORUM_AUTH_MAGIC_NUMBER`.
const MAGIC: [u8; 8] = 0x5F24_3501_3501_EDCC_i64.to_be_bytes();
/// Bytes of a token.
const TOKEN_MAX: usize = 8192;

/// Source: `QuorumAuth.Status`.
mod status {
    pub(super) const IN_PROGRESS: i32 = 0;
    pub(super) const SUCCESS: i32 = 1;
    pub(super) const ERROR: i32 = -1;
}

/// SASL between servers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct QuorumSasl {
    /// Those who may log in.
    pub(crate) server: Login,
    /// Whether nobody else may connect.
    pub(crate) server_requires: bool,
    /// Who this server is.
    pub(crate) learner: Login,
    /// Whether it logs in.
    pub(crate) learner_requires: bool,
}

fn refused(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "SASL: no answer in time")
}

impl QuorumSasl {
    /// Logs in on a connection that this side has opened, if that is wanted.
    pub(crate) async fn log_in<S>(&self, stream: &mut S, patience: Duration) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if !self.learner_requires {
            return Ok(());
        }
        let exchange = tokio::time::timeout(patience, self.client(stream));
        exchange.await.unwrap_or_else(|_| Err(late()))
    }

    async fn client<S>(&self, stream: &mut S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let wrong = |error: SaslError| refused(format!("SASL: {error}"));
        let Some((user, password)) = self.learner.own() else {
            return Err(refused("SASL: this server has no name to log in by".into()));
        };
        let mut client = DigestClient::new(QUORUM, &nonce()?);
        send(stream, status::IN_PROGRESS, b"").await?;
        let (_, challenge) = receive(stream).await?;
        let answer = client.answer(&challenge, user, password).map_err(wrong)?;
        send(stream, status::IN_PROGRESS, &answer).await?;
        let (said, token) = receive(stream).await?;
        if said != status::SUCCESS {
            return Err(refused(format!("SASL: {user} is refused")));
        }
        client.verify(&token).map_err(wrong)
    }

    /// Lets the other side log in, if it wants to; what it has said of other things. An error is the
    /// end of the connection.
    pub(crate) async fn let_in<S>(&self, stream: &mut S, patience: Duration) -> io::Result<BytesMut>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut begin = BytesMut::with_capacity(64);
        let exchange = async {
            while begin.len() < MAGIC.len() {
                let mut rest = (&mut *stream).take((MAGIC.len() - begin.len()) as u64);
                if rest.read_buf(&mut begin).await? == 0 {
                    return Err(refused("it ended before it logged in by SASL".to_owned()));
                }
            }
            if begin[..] != MAGIC {
                return Err(refused("it does not log in by SASL".to_owned()));
            }
            begin.clear();
            self.server(stream).await
        };
        let outcome = tokio::time::timeout(patience, exchange).await;
        match outcome.unwrap_or_else(|_| Err(late())) {
            Err(error) if self.server_requires => Err(error),
            Err(error) => {
                tracing::debug!(%error, "a server is let in all the same, as configured");
                Ok(begin)
            }
            Ok(()) => Ok(begin),
        }
    }

    /// The exchange behind the first packet's first eight bytes.
    async fn server<S>(&self, stream: &mut S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut server = DigestServer::new(QUORUM, &nonce()?);
        let (_, mut token) = receive_rest(stream).await?;
        loop {
            let (user, error) = match server.step(&token, |user| self.server.password(user)) {
                Ok(Step::Challenge(challenge)) => {
                    send(stream, status::IN_PROGRESS, &challenge).await?;
                    (_, token) = receive(stream).await?;
                    continue;
                }
                // Source: `SaslQuorumServerCallbackHandler.handleAuthorizeCallback`.
                Ok(Step::Done { user, wants, .. })
                    if wants.as_ref().is_some_and(|w| *w != user) =>
                {
                    (user, "it wants to be somebody else".to_owned())
                }
                Ok(Step::Done { user, token, .. }) => {
                    tracing::debug!(user, "a server has logged in");
                    return send(stream, status::SUCCESS, &token).await;
                }
                Err(error) => (String::new(), error.to_string()),
            };
            // Whether it hears of it or not, this is over.
            let _already_gone = send(stream, status::ERROR, b"").await;
            return Err(refused(
                format!("SASL: {user}: {error}").replace(": : ", ": "),
            ));
        }
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, status: i32, token: &[u8]) -> io::Result<()> {
    let mut packet = MAGIC.to_vec();
    packet.extend(status.to_be_bytes());
    packet.extend(u32::try_from(token.len()).unwrap_or_default().to_be_bytes());
    packet.extend_from_slice(token);
    stream.write_all(&packet).await?;
    stream.flush().await
}

async fn receive<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<(i32, Vec<u8>)> {
    let mut magic = [0; MAGIC.len()];
    stream.read_exact(&mut magic).await?;
    if magic != MAGIC {
        return Err(refused(
            "SASL: the other side does not take part".to_owned(),
        ));
    }
    receive_rest(stream).await
}

async fn receive_rest<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<(i32, Vec<u8>)> {
    let status = stream.read_i32().await?;
    let len = stream.read_i32().await?;
    let len = match usize::try_from(len) {
        Ok(len) if len <= TOKEN_MAX => len,
        Err(_) if len == -1 => 0,
        _ => return Err(refused(format!("SASL: a token of {len} bytes"))),
    };
    let mut token = vec![0; len];
    stream.read_exact(&mut token).await?;
    Ok((status, token))
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::sasl::jaas;

    const PATIENCE: Duration = Duration::from_secs(5);
    const SHORT: Duration = Duration::from_millis(100);

    fn sasl(password: &str, requires: bool) -> QuorumSasl {
        let module = "org.apache.zookeeper.server.auth.DigestLoginModule required";
        let text = format!(
            "S {{ {module} user_zk=\"geheim\"; }};\n\
             L {{ {module} username=\"zk\" password=\"{password}\"; }};"
        );
        let sections = jaas::parse(&text).unwrap();
        let login = |at: usize| Login::read("jaas.conf".as_ref(), &sections[at]).unwrap();
        QuorumSasl {
            server: login(0),
            server_requires: requires,
            learner: login(1),
            learner_requires: true,
        }
    }

    async fn meet(client: &QuorumSasl, server: &QuorumSasl) -> (io::Result<()>, io::Result<usize>) {
        let (mut one, mut other) = duplex(4096);
        let client = async {
            let outcome = client.log_in(&mut one, PATIENCE).await;
            one.write_all(b"more").await.unwrap();
            outcome
        };
        let server = async {
            let begin = server.let_in(&mut other, PATIENCE).await?;
            let mut rest = [0; 4];
            other.read_exact(&mut rest).await?;
            assert_eq!(&rest, b"more");
            Ok(begin.len())
        };
        tokio::join!(client, server)
    }

    #[tokio::test]
    async fn who_knows_the_password_is_let_in() {
        let (client, server) = meet(&sasl("geheim", true), &sasl("", true)).await;
        client.unwrap();
        assert_eq!(server.unwrap(), 0);
    }

    #[tokio::test]
    async fn who_does_not_is_told_and_stays_out_where_that_is_required() {
        let (client, server) = meet(&sasl("wrong", true), &sasl("", true)).await;
        assert!(client.unwrap_err().to_string().contains("zk is refused"));
        let error = server.unwrap_err().to_string();
        assert!(error.contains("wrong password"), "{error}");
        let (client, server) = meet(&sasl("wrong", true), &sasl("", false)).await;
        assert!(client.is_err());
        assert_eq!(server.unwrap(), 0);
    }

    #[tokio::test]
    async fn who_does_not_log_in_loses_no_byte_where_it_may() {
        for (requires, good) in [(false, true), (true, false)] {
            let (mut one, mut other) = duplex(4096);
            one.write_all(b"hello, world").await.unwrap();
            let begin = sasl("", requires).let_in(&mut other, PATIENCE).await;
            assert_eq!(begin.is_ok(), good, "{begin:?}");
            if let Ok(begin) = begin {
                assert_eq!(&begin[..], b"hello, w");
            }
            let (mut one, mut other) = duplex(4096);
            one.write_all(b"hel").await.unwrap();
            let begin = sasl("", requires).let_in(&mut other, SHORT).await;
            assert_eq!(begin.is_ok(), good, "{begin:?}");
            if let Ok(begin) = begin {
                assert_eq!(&begin[..], b"hel");
            }
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_ever_or_reads_too_much() {
        let (_silent, mut other) = duplex(64);
        let error = sasl("", true).log_in(&mut other, SHORT).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let (mut one, mut other) = duplex(4096);
        one.write_all(&MAGIC).await.unwrap();
        one.write_all(&[0, 0, 0, 0, 0x7f, 0, 0, 0]).await.unwrap();
        let outcome = sasl("", true).let_in(&mut other, PATIENCE).await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("a token of 2130706432 bytes"), "{error}");
    }
}
