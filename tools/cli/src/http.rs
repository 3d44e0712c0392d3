//! Owns asking an admin server over HTTP: one request, one answer, no library. Must not wait longer
//! than it is told to for the next bytes.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::socket::{connect, endpoints};
use crate::tls::Properties;

/// Bytes of an answer's head.
const HEAD_MAX: u64 = 64 << 10;

/// An answer, its body still to be read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: Box<dyn Read>,
}

impl Answer {
    /// A header, whose name is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text, the beginning of it if it is long.
    pub(crate) fn text(self) -> Result<String> {
        let mut bytes = Vec::new();
        self.body.take(16 << 20).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The body.
    pub(crate) fn into_body(self) -> Box<dyn Read> {
        self.body
    }
}

/// Reads a body that comes in chunks.
struct Chunks<R> {
    from: R,
    left: u64,
    ended: bool,
}

impl<R: std::io::BufRead> Chunks<R> {
    fn next(&mut self) -> std::io::Result<()> {
        let mut line = String::new();
        self.from.by_ref().take(1024).read_line(&mut line)?;
        if line.trim().is_empty() {
            line.clear();
            self.from.by_ref().take(1024).read_line(&mut line)?;
        }
        let digits = line.trim().split(';').next().unwrap_or_default();
        let wrong = |_| std::io::Error::other("a chunk without its length");
        self.left = u64::from_str_radix(digits, 16).map_err(wrong)?;
        self.ended = self.left == 0;
        Ok(())
    }
}

impl<R: std::io::BufRead> Read for Chunks<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 && !self.ended {
            self.next()?;
        }
        if self.ended {
            return Ok(0);
        }
        let count = self.from.by_ref().take(self.left).read(into)?;
        if count == 0 && !into.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// The port without one.
const PORT: u16 = 8080;

/// Asks `server` (host:port, or https://host:port) for `path` with these headers. `patience` bounds the connection and each
/// wait for more.
pub(crate) fn get(
    server: &str,
    path: &str,
    headers: &[(&str, &str)],
    properties: &Properties,
    patience: Duration,
) -> Result<Answer> {
    let (tls, server) = match server.strip_prefix("https://") {
        Some(server) => (Some(properties.secure_client()?), server),
        None => (None, server.strip_prefix("http://").unwrap_or(server)),
    };
    let server = server.trim_end_matches('/');
    let found = endpoints(server, PORT, tls.as_ref())?;
    let endpoint = found.first().context("no address")?;
    let mut stream = connect(endpoint, patience)
        .with_context(|| format!("cannot connect to {}", endpoint.address))?;
    stream.set_patience(patience)?;
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
    for (name, value) in headers {
        ensure!(!value.contains(['\r', '\n']), "{name} has a line break");
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::with_capacity(256 << 10, stream);
    let mut head = Vec::new();
    let mut limited = reader.by_ref().take(HEAD_MAX);
    loop {
        let mut line = String::new();
        let read = limited.read_line(&mut line).context("no answer")?;
        ensure!(read > 0, "the answer ends in its head");
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        head.push(line.to_owned());
    }
    let status = head.first().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|code| code.parse().ok());
    let Some(status) = status else {
        bail!("{server} does not speak HTTP");
    };
    let headers: Vec<(String, String)> = head
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let find = |name: &str| headers.iter().find(|(known, _)| known == name);
    let body: Box<dyn Read> = if find("transfer-encoding").is_some() {
        Box::new(Chunks {
            from: reader,
            left: 0,
            ended: false,
        })
    } else {
        match find("content-length").and_then(|(_, value)| value.parse().ok()) {
            Some(length) => Box::new(Exactly {
                from: reader,
                left: length,
            }),
            None => Box::new(reader),
        }
    };
    Ok(Answer {
        status,
        headers,
        body,
    })
}

/// Reads as much as was announced; less is an error.
struct Exactly<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.by_ref().take(self.left).read(into)?;
        if count == 0 && self.left > 0 && !into.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_end_where_they_are_said_to() {
        let chunks = |text: &'static str| {
            let mut out = String::new();
            let (from, left, ended) = (text.as_bytes(), 0, false);
            let read = Chunks { from, left, ended }.read_to_string(&mut out);
            read.map(|_| out).ok()
        };
        assert_eq!(
            chunks("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n").as_deref(),
            Some("abcde")
        );
        assert_eq!(chunks("5\r\nabc"), None);
        assert_eq!(chunks("zz\r\n"), None);
        let exactly = |left| {
            let mut out = String::new();
            let from = "abc".as_bytes();
            Exactly { from, left }
                .read_to_string(&mut out)
                .map(|_| out)
                .ok()
        };
        assert_eq!(exactly(2).as_deref(), Some("ab"));
        assert_eq!(exactly(4), None);
    }
}
