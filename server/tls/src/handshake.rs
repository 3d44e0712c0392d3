//! Owns shaking hands, as the one who accepts or who connects, within bounds of time and number.
//! May look up names of addresses. Must not read what is said afterwards.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use tokio_rustls::rustls::ClientConfig;

use super::context::{Contexts, build, build_client};
use super::stream::Stream;
use super::{First, HANDSHAKE_RECORD, TlsError, first, host, subject};
use crate::{StoreSettings, TlsSettings};

/// How long a handshake may take. Source: Netty's `SslHandler`.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at a time, where the settings say nothing.
const HANDSHAKES_MAX: usize = 1024;

/// What TLS is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Clients.
    Clients,
    /// Other servers.
    Quorum,
    /// The admin server, which takes the stores of `ssl.quorum.`.
    Admin,
}

impl Use {
    /// How the keys of its settings begin.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Clients => "ssl.",
            Self::Quorum | Self::Admin => "ssl.quorum.",
        }
    }

    pub(super) const fn connects(self) -> bool {
        matches!(self, Self::Quorum)
    }
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum TlsFailure {
    /// The other side does not speak TLS.
    #[error("it does not begin with TLS")]
    Plain,
    /// It has gone without a word, as probes do.
    #[error("it was closed before anything was said")]
    Gone,
    /// There are too many.
    #[error("too many handshakes at a time")]
    TooMany,
    /// It took too long.
    #[error("no handshake within {} s", HANDSHAKE.as_secs())]
    Late,
    /// What the library says.
    #[error("handshake failed: {0}")]
    Handshake(io::Error),
    /// The certificate is for someone else.
    #[error("{0}")]
    Host(String),
    /// The connection is lost.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<TlsFailure> for io::Error {
    fn from(failure: TlsFailure) -> Self {
        match failure {
            TlsFailure::Io(error) | TlsFailure::Handshake(error) => error,
            other => Self::new(io::ErrorKind::ConnectionAborted, other.to_string()),
        }
    }
}

/// TLS for one use.
#[derive(Debug)]
pub struct Tls {
    settings: TlsSettings,
    purpose: Use,
    contexts: RwLock<Arc<Contexts>>,
    /// Whether certificates of who connects, and of whom it connects to, are checked for the host.
    checks_clients: bool,
    checks_servers: bool,
    under_way: AtomicUsize,
    most: usize,
}

/// Counts a handshake while it lasts.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Tls {
    /// Reads the stores. `fips` means that servers do not check each other's names, `most` is how
    /// many handshakes there may be at a time.
    ///
    /// # Errors
    /// What is wrong with stores or settings.
    pub fn new(
        settings: &TlsSettings,
        purpose: Use,
        fips: bool,
        most: Option<usize>,
    ) -> Result<Arc<Self>, TlsError> {
        let contexts = build(settings, purpose)?;
        // Source: `X509Util.createTrustManager` — in FIPS mode it is Java's own trust manager, to
        // which nobody tells the host between servers.
        let checks = settings.hostname_verification && !(fips && purpose == Use::Quorum);
        Ok(Arc::new(Self {
            checks_clients: checks
                && settings.client_hostname_verification
                && purpose != Use::Admin,
            checks_servers: checks,
            settings: settings.clone(),
            purpose,
            contexts: RwLock::new(Arc::new(contexts)),
            under_way: AtomicUsize::new(0),
            most: most.unwrap_or(HANDSHAKES_MAX),
        }))
    }

    /// Reads the stores anew; the old contexts stay when that fails.
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        let contexts = Arc::new(build(&self.settings, self.purpose)?);
        *self
            .contexts
            .write()
            .unwrap_or_else(PoisonError::into_inner) = contexts;
        Ok(())
    }

    /// The files that it is made of.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let of = |store: &StoreSettings| [store.location.clone(), store.password_path.clone()];
        let stores = [&self.settings.key_store, &self.settings.trust_store];
        stores.into_iter().flat_map(of).flatten().collect()
    }

    /// Subjects of the server's own certificates, and when they end, in seconds since 1970.
    pub fn own_certificates(&self) -> Vec<(String, i64)> {
        let contexts = self.contexts();
        let told = contexts.chain.iter().filter_map(|certificate| {
            Some((
                subject::rfc2253(certificate)?,
                subject::expires(certificate)?,
            ))
        });
        told.collect()
    }

    /// How the keys of its settings begin.
    pub const fn prefix(&self) -> &'static str {
        self.purpose.prefix()
    }

    fn contexts(&self) -> Arc<Contexts> {
        let contexts = self.contexts.read();
        Arc::clone(&contexts.unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a client with that certificate would be believed.
    pub fn believes(&self, certificate: &[u8]) -> bool {
        let certificate = CertificateDer::from(certificate);
        self.contexts().judge.believes(&certificate)
    }

    /// Whether who connects must be where its certificate says.
    pub const fn checks_clients(&self) -> bool {
        self.checks_clients
    }

    /// Handshakes that are under way.
    pub fn under_way(&self) -> usize {
        self.under_way.load(Relaxed)
    }

    /// How long a connection may take to show whether it is TLS.
    pub const fn detection(&self) -> Duration {
        Duration::from_millis(self.settings.handshake_detection_timeout_ms)
    }

    /// Whether a connection begins with TLS; one that says nothing in time does not.
    /// Source: `UnifiedServerSocket.UnifiedSocket.detectMode`.
    pub async fn detect(&self, socket: &TcpStream) -> io::Result<bool> {
        let first = first(socket, self.detection()).await?;
        Ok(first == First::Byte(HANDSHAKE_RECORD))
    }

    /// Takes a connection from a socket that was accepted.
    pub async fn accept(&self, socket: TcpStream) -> Result<Stream, TlsFailure> {
        self.accept_known_as(socket, &[]).await
    }

    /// The same from someone whose address stands for `names`.
    pub async fn accept_known_as(
        &self,
        socket: TcpStream,
        names: &[String],
    ) -> Result<Stream, TlsFailure> {
        let remote = socket.peer_addr()?.ip().to_canonical();
        let _counted = self.begin()?;
        match first(&socket, HANDSHAKE).await? {
            First::Byte(HANDSHAKE_RECORD) => {}
            First::Byte(_) => return Err(TlsFailure::Plain),
            First::Closed => return Err(TlsFailure::Gone),
            First::Silence => return Err(TlsFailure::Late),
        }
        let acceptor = TlsAcceptor::from(Arc::clone(&self.contexts().server));
        let stream = finish(acceptor.accept(socket)).await?;
        let stream = Stream::Tls(Box::new(TlsStream::Server(stream)));
        if self.checks_clients && stream.peer_certificate().is_some() {
            self.check_host(&stream, remote, names).await?;
        }
        Ok(stream)
    }

    /// Makes TLS of a socket that is connected to `name`.
    pub async fn connect(&self, socket: TcpStream, name: &str) -> Result<Stream, TlsFailure> {
        let contexts = self.contexts();
        let client = contexts.client.as_ref();
        let client = client.ok_or_else(|| io::Error::other("TLS does not connect here"))?;
        connect(client, socket, name, self.checks_servers).await
    }

    fn begin(&self) -> Result<UnderWay<'_>, TlsFailure> {
        let before = self.under_way.fetch_add(1, Relaxed);
        let counted = UnderWay(&self.under_way);
        if before >= self.most {
            return Err(TlsFailure::TooMany);
        }
        Ok(counted)
    }

    /// Source: `ZKTrustManager.performHostVerification`.
    async fn check_host(
        &self,
        stream: &Stream,
        ip: IpAddr,
        names: &[String],
    ) -> Result<(), TlsFailure> {
        let none = || TlsFailure::Host("it has no certificate".to_owned());
        let certificate = stream.peer_certificate().ok_or_else(none)?;
        match host::check(certificate, ip, names) {
            Ok(()) => Ok(()),
            Err(reason) if !names.is_empty() || !self.settings.allow_reverse_dns_lookup => {
                Err(TlsFailure::Host(reason))
            }
            Err(_) => {
                let name = reverse_name(ip).await;
                let names: Vec<String> = name.into_iter().collect();
                host::check(certificate, ip, &names).map_err(TlsFailure::Host)
            }
        }
    }
}

/// TLS of a client.
#[derive(Debug, Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    checks: bool,
}

impl TlsClient {
    /// Reads the stores; a key store is not needed.
    ///
    /// # Errors
    /// What is wrong with stores or settings.
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        Ok(Self {
            config: build_client(settings)?,
            checks: settings.hostname_verification,
        })
    }

    /// Makes TLS of a socket that is connected to `name`.
    ///
    /// # Errors
    /// When the other side does not shake hands or is not to be believed.
    pub async fn connect(&self, socket: TcpStream, name: &str) -> Result<Stream, TlsFailure> {
        connect(&self.config, socket, name, self.checks).await
    }
}

async fn connect(
    config: &Arc<ClientConfig>,
    socket: TcpStream,
    name: &str,
    checks: bool,
) -> Result<Stream, TlsFailure> {
    let remote = socket.peer_addr()?.ip().to_canonical();
    let connector = TlsConnector::from(Arc::clone(config));
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    // Names that the protocol cannot carry, such as those with an underscore, go without.
    let server = ServerName::try_from(bare.to_owned()).unwrap_or_else(|_| remote.into());
    let stream = finish(connector.connect(server, socket)).await?;
    let stream = Stream::Tls(Box::new(TlsStream::Client(stream)));
    if checks {
        let none = || TlsFailure::Host("it has no certificate".to_owned());
        let certificate = stream.peer_certificate().ok_or_else(none)?;
        host::check(certificate, remote, &[bare.to_owned()]).map_err(TlsFailure::Host)?;
    }
    Ok(stream)
}

async fn finish<S>(handshake: impl Future<Output = io::Result<S>>) -> Result<S, TlsFailure> {
    match tokio::time::timeout(HANDSHAKE, handshake).await {
        Ok(shaken) => shaken.map_err(TlsFailure::Handshake),
        Err(_) => Err(TlsFailure::Late),
    }
}

/// The name that the name service has for an address, if it says so in time.
async fn reverse_name(ip: IpAddr) -> Option<String> {
    let asked = tokio::task::spawn_blocking(move || dns_lookup::lookup_addr(&ip).ok());
    let name = tokio::time::timeout(HANDSHAKE, asked).await.ok()?.ok()??;
    // An address in place of a name is no name.
    name.parse::<IpAddr>().is_err().then_some(name)
}
