//! Owns asking for a page. Must not follow redirections or retry.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// How long a page may take.
const REPLY: Duration = Duration::from_secs(20);

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) kind: String,
    pub(crate) body: Vec<u8>,
}

impl Page {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks without a body.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    authorization: Option<&str>,
) -> Result<Page> {
    send(address, method, path, authorization, b"")
}

/// Asks with HTTP 1.0, whose answers end with the connection.
pub(crate) fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    authorization: Option<&str>,
    body: &[u8],
) -> Result<Page> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(REPLY))?;
    let authorization = authorization.map(|value| format!("Authorization: {value}\r\n"));
    let authorization = authorization.unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {}\r\n{authorization}\r\n",
        body.len()
    )?;
    // Who refuses early need not read the rest.
    let _refused_early = stream.write_all(body);
    let mut all = Vec::new();
    stream
        .read_to_end(&mut all)
        .with_context(|| format!("{method} {path}"))?;
    let end = all.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.with_context(|| format!("{method} {path}: no header"))?;
    let head = String::from_utf8_lossy(&all[..end]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let kind = head
        .lines()
        .find_map(|line| line.strip_prefix("content-type: "));
    Ok(Page {
        status: status.with_context(|| format!("{method} {path}: {head}"))?,
        kind: kind.unwrap_or_default().to_owned(),
        body: all[end + 4..].to_vec(),
    })
}

/// Waits until something answers there: a server may serve clients before it serves pages.
pub(crate) fn await_page(address: SocketAddr, path: &str) -> Result<()> {
    let begin = Instant::now();
    while ask(address, "GET", path, None).is_err() {
        ensure!(
            begin.elapsed() < REPLY,
            "nothing answers {path} at {address}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
