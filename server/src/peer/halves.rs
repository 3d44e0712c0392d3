//! Owns the two directions of a connection between servers, with TLS or without. Must not know what
//! is said.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWriteExt as _, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use menagerie_tls::Stream;

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What comes.
#[derive(Debug)]
pub(super) enum Incoming {
    Plain(OwnedReadHalf),
    Tls(ReadHalf<Stream>),
}

/// What goes out.
#[derive(Debug)]
pub(super) enum Outlet {
    /// Others than its task may send over it too.
    Plain(Arc<OwnedWriteHalf>),
    Tls(WriteHalf<Stream>),
}

/// The two directions.
pub(super) fn split(stream: Stream) -> (Incoming, Outlet) {
    match stream {
        Stream::Plain(socket) => {
            let (from, to) = socket.into_split();
            (Incoming::Plain(from), Outlet::Plain(Arc::new(to)))
        }
        tls @ Stream::Tls(_) => {
            let (from, to) = tokio::io::split(tls);
            (Incoming::Tls(from), Outlet::Tls(to))
        }
    }
}

impl AsyncRead for Incoming {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(from) => Pin::new(from).poll_read(context, buffer),
            Self::Tls(from) => Pin::new(from).poll_read(context, buffer),
        }
    }
}

impl Outlet {
    /// Sends all of `bytes`.
    pub(super) async fn send_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(to) => send_all(to, bytes).await,
            Self::Tls(to) => {
                to.write_all(bytes).await?;
                to.flush().await
            }
        }
    }

    /// Says that nothing more will come.
    pub(super) async fn end(&mut self) {
        match self {
            Self::Plain(to) => {
                let socket: &TcpStream = (**to).as_ref();
                let _already_gone = SockRef::from(socket).shutdown(Shutdown::Write);
            }
            Self::Tls(to) => {
                let _already_gone = tokio::time::timeout(FAREWELL, to.shutdown()).await;
            }
        }
    }
}

async fn send_all(to: &OwnedWriteHalf, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
