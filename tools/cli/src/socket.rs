//! Owns connections to servers for code that waits for them, with TLS or without. Must not wait longer
//! than it is told to. TLS is that of the shell, and happens in a thread of its own: what waits talks
//! to it through a pair of local sockets.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use menagerie_tls::TlsClient;
use mio::event::Source;
use mio::{Interest, Registry, Token};
use tokio::runtime::{Builder, Runtime};

/// A server, and how it is talked to.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The host as it was named, which a certificate has to be for.
    pub(crate) host: String,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<TlsClient>,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            address,
            tls: None,
        }
    }
}

/// Resolves `host:port[,host:port…]`; at least one server or an error.
pub(crate) fn endpoints(
    servers: &str,
    port: u16,
    tls: Option<&TlsClient>,
) -> Result<Vec<Endpoint>> {
    let mut found = Vec::new();
    for server in servers.split(',').map(str::trim) {
        let named = server.rsplit_once(':').filter(|(host, port)| {
            port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
        });
        let (host, port) = match named {
            Some((host, port)) => (host, port.parse()?),
            None => (server, port),
        };
        let host = host.trim_matches(['[', ']']);
        let mut addresses = (host, port)
            .to_socket_addrs()
            .with_context(|| format!("cannot resolve {server}"))?;
        found.extend(addresses.next().map(|address| Endpoint {
            host: host.to_owned(),
            address,
            tls: tls.cloned(),
        }));
    }
    ensure!(!found.is_empty(), "no address in {servers:?}");
    Ok(found)
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    /// To the thread that speaks TLS.
    Bridged(UnixStream),
}

/// Connects, TLS included, within that time.
pub(crate) fn connect(to: &Endpoint, patience: Duration) -> io::Result<Socket> {
    match &to.tls {
        None => TcpStream::connect_timeout(&to.address, patience).map(Socket::Plain),
        Some(tls) => bridge(tls, to, patience).map(Socket::Bridged),
    }
}

/// Where TLS happens.
fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let made = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("tls")
        .enable_all()
        .build()?;
    Ok(RUNTIME.get_or_init(|| made))
}

fn bridge(tls: &TlsClient, to: &Endpoint, patience: Duration) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    theirs.set_nonblocking(true)?;
    let runtime = runtime()?;
    let connecting = async {
        let socket = tokio::net::TcpStream::connect(to.address).await?;
        socket.set_nodelay(true)?;
        let secured = tls.connect(socket, &to.host).await;
        secured.map_err(|failure| io::Error::other(format!("TLS: {failure}")))
    };
    let connected = runtime.block_on(async { tokio::time::timeout(patience, connecting).await });
    let mut server = connected.map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
    let _in_the_runtime = runtime.enter();
    let mut theirs = tokio::net::UnixStream::from_std(theirs)?;
    runtime.spawn(async move {
        // When either is gone so is the other: who waits sees its connection end.
        let _how_much = tokio::io::copy_bidirectional(&mut theirs, &mut server).await;
    });
    Ok(ours)
}

impl Socket {
    /// Bounds every wait for bytes, in either direction.
    pub(crate) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        let patience = Some(patience);
        match self {
            Self::Plain(socket) => {
                socket.set_nodelay(true)?;
                socket.set_read_timeout(patience)?;
                socket.set_write_timeout(patience)
            }
            Self::Bridged(socket) => {
                socket.set_read_timeout(patience)?;
                socket.set_write_timeout(patience)
            }
        }
    }

    /// The same connection for a loop of events.
    pub(crate) fn into_events(self) -> io::Result<EventSocket> {
        Ok(match self {
            Self::Plain(socket) => {
                socket.set_nonblocking(true)?;
                EventSocket::Plain(mio::net::TcpStream::from_std(socket))
            }
            Self::Bridged(socket) => {
                socket.set_nonblocking(true)?;
                EventSocket::Bridged(mio::net::UnixStream::from_std(socket))
            }
        })
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Bridged(socket) => socket.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Bridged(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection that does not block.
#[derive(Debug)]
pub(crate) enum EventSocket {
    Plain(mio::net::TcpStream),
    Bridged(mio::net::UnixStream),
}

impl EventSocket {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Plain(socket) => socket,
            Self::Bridged(socket) => socket,
        }
    }
}

impl Read for EventSocket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Bridged(socket) => socket.read(into),
        }
    }
}

impl Write for EventSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Bridged(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for EventSocket {
    fn register(&mut self, with: &Registry, token: Token, of: Interest) -> io::Result<()> {
        self.source().register(with, token, of)
    }

    fn reregister(&mut self, with: &Registry, token: Token, of: Interest) -> io::Result<()> {
        self.source().reregister(with, token, of)
    }

    fn deregister(&mut self, with: &Registry) -> io::Result<()> {
        self.source().deregister(with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_hosts_and_ports() {
        let found = |servers: &str| {
            let found = endpoints(servers, 2181, None)?;
            let shown = |one: &Endpoint| format!("{} {}", one.host, one.address);
            anyhow::Ok(found.iter().map(shown).collect::<Vec<_>>())
        };
        let three = found("127.0.0.1, 127.0.0.2:7,[::1]:8").unwrap();
        let expected = [
            "127.0.0.1 127.0.0.1:2181",
            "127.0.0.2 127.0.0.2:7",
            "::1 [::1]:8",
        ];
        assert_eq!(three, expected);
        assert_eq!(found("::1").unwrap(), ["::1 [::1]:2181"]);
        assert!(found("").is_err() && found("127.0.0.1:x").is_err());
    }
}
