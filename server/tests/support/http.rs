//! One HTTP request over a connection of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

/// A status, zero where the answer is none; headers in lower case; a body.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// Sends all of a request, whatever it is, and reads until the other side closes.
pub fn exchange(address: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
    // Who refuses early need not read the rest.
    let _refused_early = stream.write_all(request);
    let mut all = Vec::new();
    let _reset = stream.read_to_end(&mut all);
    let end = all.windows(4).position(|w| w == b"\r\n\r\n");
    let end = end.unwrap_or(all.len());
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    Reply {
        status: (head.split(' ').nth(1))
            .and_then(|code| code.parse().ok())
            .unwrap_or(0),
        head: head.to_lowercase(),
        body: all.get(end + 4..).unwrap_or_default().to_vec(),
    }
}

/// A request that ends the connection. `headers` is empty or ends its last line.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    exchange(address, &[head.as_bytes(), body].concat())
}
