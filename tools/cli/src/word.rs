//! Owns asking a server a four-letter word. Must not wait longer than it is told to.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use menagerie_tls::TlsClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The longest answer that is read; `cons` of a server with many clients may have more.
const ANSWER_MAX: u64 = 16 << 20;

/// What a server answers to a word: all it says until it closes the connection.
///
/// # Errors
/// When no address of `host` answers in time.
pub(crate) fn ask(host: &str, port: u16, word: &str, patience: Duration) -> io::Result<String> {
    let end = Instant::now() + patience;
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        let asked = left(end).and_then(|time| TcpStream::connect_timeout(&address, time));
        match asked.and_then(|stream| converse(stream, word, end)) {
            Ok(answer) => return Ok(answer),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The same over TLS.
///
/// # Errors
/// As [`ask`], and when the other side is not to be believed.
pub(crate) fn ask_secure(
    tls: &TlsClient,
    host: &str,
    port: u16,
    word: &str,
    patience: Duration,
) -> io::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asking = async {
        let socket = tokio::net::TcpStream::connect((host, port)).await?;
        let mut stream = tls.connect(socket, host).await?;
        stream.write_all(word.as_bytes()).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let asked = runtime.block_on(async { tokio::time::timeout(patience, asking).await });
    asked.unwrap_or_else(|_| Err(late()))
}

/// One or the other.
///
/// # Errors
/// As [`ask_secure`].
pub(crate) fn ask_over(
    tls: Option<&TlsClient>,
    host: &str,
    port: u16,
    word: &str,
    patience: Duration,
) -> io::Result<String> {
    match tls {
        Some(tls) => ask_secure(tls, host, port, word, patience),
        None => ask(host, port, word, patience),
    }
}

fn converse(mut stream: TcpStream, word: &str, end: Instant) -> io::Result<String> {
    stream.set_write_timeout(Some(left(end)?))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left(end)?))?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => answer.extend(chunk.iter().take(count)),
            // A server may close with a reset once it has said everything.
            Err(error) if error.kind() == ErrorKind::ConnectionReset && !answer.is_empty() => break,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(late()),
            Err(error) => return Err(error),
        }
        if answer.len() as u64 > ANSWER_MAX {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "the answer is too long",
            ));
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(late())
    } else {
        Ok(left)
    }
}

fn late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "no answer in time")
}
