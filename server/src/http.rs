//! Owns serving HTTP: who may connect, how long one may be idle, how it ends. Must not know what is
//! served.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

use menagerie_tls::{Stream, Tls, TlsFailure};

use crate::slow::Patient;

/// Connections that are served at a time; others wait in the system's queue.
const MAX_CONNECTIONS: usize = 64;
/// How long connections get to end by themselves.
const GRACE: Duration = Duration::from_secs(1);
/// Pause when the system has no more descriptors to give.
const BREATH: Duration = Duration::from_millis(100);

/// Who asks, for handlers that want to know.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) from: SocketAddr,
    /// The certificate that it has shown.
    pub(crate) certificate: Option<Arc<[u8]>>,
}

/// TLS on the port.
#[derive(Debug, Clone)]
pub(crate) struct Https {
    pub(crate) tls: Arc<Tls>,
    /// Whether who does not speak it is served as well.
    pub(crate) plain_too: bool,
}

impl Https {
    async fn accept(&self, socket: TcpStream) -> Result<Stream, TlsFailure> {
        if self.plain_too && !self.tls.detect(&socket).await? {
            return Ok(Stream::Plain(socket));
        }
        self.tls.accept(socket).await
    }
}

/// Opens the port; tells the address that was tried when it cannot.
pub(crate) async fn listen(host: &str, port: u16) -> Result<TcpListener, (String, io::Error)> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let bound = TcpListener::bind((host, port)).await;
    bound.map_err(|error| (format!("{host}:{port}"), error))
}

/// Serves until `stop` says otherwise. A connection that sends no whole request header within `idle`
/// ends, and one that reads nothing of its answer for as long.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    idle: Duration,
    https: Option<Https>,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let ending = GracefulShutdown::new();
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            next = next => next,
        };
        let (socket, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection for HTTP");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let (router, https, watcher) = (router.clone(), https.clone(), ending.watcher());
        tokio::spawn(async move {
            let _place = place;
            let stream = match &https {
                None => Stream::Plain(socket),
                Some(https) => match https.accept(socket).await {
                    Ok(stream) => stream,
                    Err(TlsFailure::Gone) => return,
                    Err(failure) => {
                        tracing::warn!(%from, "a connection for HTTP is closed: {failure}");
                        return;
                    }
                },
            };
            let certificate = stream.peer_certificate();
            let certificate = certificate.map(|der| Arc::from(der.as_ref()));
            let asker = Asker { from, certificate };
            let service = service_fn(move |request| answer(router.clone(), request, asker.clone()));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(idle)
                .serve_connection(TokioIo::new(Patient::new(stream, idle)), service);
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%from, %error, "a connection for HTTP ended");
            }
        });
    }
    let _some_go_on = tokio::time::timeout(GRACE, ending.shutdown()).await;
}

async fn answer(
    router: Router,
    request: Request<Incoming>,
    asker: Asker,
) -> Result<axum::response::Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(asker);
    router.oneshot(request).await
}
