//! Owns the ports for clients, the plain one and the one for TLS: opening and serving them. Must not
//! know what is said there.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::listener;
use crate::builder::StartError;
use crate::config::{Config, addresses_to_bind};
use crate::shared::Shared;

/// The open ports: one of them, or both.
#[derive(Debug)]
pub(crate) struct Ports {
    plain: Option<TcpListener>,
    secure: Option<TcpListener>,
}

impl Ports {
    /// Opens what the settings name.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub(crate) fn open(runtime: &Runtime, config: &Config) -> Result<Self, StartError> {
        let _inside = runtime.enter();
        let plain = config.has_plain_port().then_some(config.client_port);
        let open = |host: &Option<String>, port: u16| open(config, host.as_deref(), port);
        Ok(Self {
            plain: plain
                .map(|port| open(&config.client_port_address, port))
                .transpose()?,
            secure: config
                .secure_client_port
                .map(|port| open(&config.secure_client_port_address, port))
                .transpose()?,
        })
    }

    /// Where clients connect: without TLS if they can.
    pub(crate) fn address(&self) -> Result<SocketAddr, StartError> {
        let any = self.plain.as_ref().or(self.secure.as_ref());
        let nothing = || io::Error::from(io::ErrorKind::AddrNotAvailable);
        let address = any.ok_or_else(nothing).and_then(TcpListener::local_addr);
        address.map_err(StartError::Thread)
    }

    /// Where clients connect with TLS.
    pub(crate) fn secure_address(&self) -> Option<SocketAddr> {
        self.secure.as_ref()?.local_addr().ok()
    }

    /// Accepts clients until `stop` changes.
    pub(crate) fn serve(
        self,
        shared: &Arc<Shared>,
        runtime: &Runtime,
        stop: &watch::Receiver<bool>,
    ) -> Vec<JoinHandle<()>> {
        let ports = [(self.plain, false), (self.secure, true)];
        let ports = ports.into_iter();
        let ports = ports.filter_map(|(port, secure)| Some((port?, secure)));
        ports
            .map(|(port, secure)| {
                let shared = Arc::clone(shared);
                runtime.spawn(listener::run(shared, port, secure, stop.clone()))
            })
            .collect()
    }
}

/// Takes the first address that can be bound.
fn open(config: &Config, host: Option<&str>, port: u16) -> Result<TcpListener, StartError> {
    let failed = |address: String| move |source| StartError::Listen { address, source };
    let name = host.unwrap_or_default().to_owned();
    let addresses = addresses_to_bind(host, port).map_err(failed(format!("{name}:{port}")))?;
    let mut last = None;
    for address in addresses {
        match listener::bind(address, config.listen_backlog()) {
            Ok(socket) => return Ok(socket),
            Err(source) if source.kind() == io::ErrorKind::AddrInUse => {
                return Err(failed(address.to_string())(source));
            }
            Err(source) => last = Some(failed(address.to_string())(source)),
        }
    }
    let nothing = io::Error::from(io::ErrorKind::AddrNotAvailable);
    Err(last.unwrap_or_else(|| failed(name)(nothing)))
}
