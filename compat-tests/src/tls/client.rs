//! Owns a small client that speaks TLS: it opens a session, asks who it is, and asks words. Must not
//! know servers.

use std::fs;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use menagerie_wire::client::{ConnectRequest, ReplyHeader, RequestHeader};
use menagerie_wire::jute::{self, decode_prefix};
use menagerie_wire::op::op_code;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DEFAULT_VERSIONS, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};

use crate::certs::Authority;

const PATIENCE: Duration = Duration::from_secs(10);

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A certificate and its key.
#[derive(Debug)]
pub(super) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// One that the authority has issued.
    pub(super) fn read(authority: &Authority, name: &str) -> Result<Self> {
        let pem = fs::read(authority.path(&format!("{name}.pem")))?;
        let chain: Result<_, _> = CertificateDer::pem_slice_iter(&pem).collect();
        Ok(Self {
            chain: chain?,
            key: PrivateKeyDer::from_pem_slice(&pem)?,
        })
    }
}

/// What becomes of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has a session, and is known by these schemes and identities.
    In(Vec<(String, String)>),
    /// The server has let go.
    Out,
}

fn connect(
    address: SocketAddr,
    authority: &Authority,
    identity: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Stream> {
    let mut roots = RootCertStore::empty();
    let pem = fs::read(authority.path("ca.pem"))?;
    roots.add(CertificateDer::from_pem_slice(&pem)?)?;
    let versions = if versions.is_empty() {
        DEFAULT_VERSIONS
    } else {
        versions
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)?
        .with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(Identity { chain, key }) => {
            config.with_client_auth_cert(chain.clone(), key.clone_key())?
        }
    };
    let name = ServerName::try_from("localhost")?;
    let connection = ClientConnection::new(Arc::new(config), name)?;
    let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(StreamOwned::new(connection, socket))
}

fn send(stream: &mut Stream, body: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    stream.write_all(&[&length.to_be_bytes()[..], body].concat())?;
    stream.flush()
}

fn receive(stream: &mut Stream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length).min(1 << 20);
    let mut body = vec![0; usize::try_from(length).unwrap_or_default()];
    stream.read_exact(&mut body)?;
    Ok(body)
}

fn open(stream: &mut Stream) -> std::io::Result<Vec<u8>> {
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        time_out: 10_000,
        session_id: 0,
        passwd: Some(&[0; 16]),
        read_only: Some(false),
    };
    send(stream, &jute::to_vec(&request))?;
    receive(stream)
}

/// A session that is open.
pub(super) struct Session {
    _stream: Stream,
}

impl Session {
    /// Opens one.
    pub(super) fn open(
        address: SocketAddr,
        authority: &Authority,
        as_whom: &Identity,
    ) -> Result<Self> {
        let mut stream = connect(address, authority, Some(as_whom), &[])?;
        open(&mut stream).context("no session")?;
        Ok(Self { _stream: stream })
    }
}

/// Connects, opens a session and asks who it is; with no versions all are offered.
pub(super) fn whoami(
    address: SocketAddr,
    authority: &Authority,
    identity: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Outcome> {
    let mut stream = connect(address, authority, identity, versions)?;
    if open(&mut stream).is_err() {
        return Ok(Outcome::Out);
    }
    let op = op_code::WHO_AM_I;
    send(&mut stream, &jute::to_vec(&RequestHeader { xid: 1, op }))?;
    let answer = receive(&mut stream)?;
    let (header, mut body) = decode_prefix::<ReplyHeader>(&answer)?;
    ensure!(header.err == 0, "whoAmI: error {}", header.err);
    let mut ids = Vec::new();
    for _ in 0..number(&mut body)? {
        ids.push((text(&mut body)?, text(&mut body)?));
    }
    ids.sort();
    Ok(Outcome::In(ids))
}

fn number(body: &mut &[u8]) -> Result<usize> {
    let (head, rest) = body.split_first_chunk::<4>().context("too short")?;
    *body = rest;
    Ok(usize::try_from(u32::from_be_bytes(*head))?)
}

fn text(body: &mut &[u8]) -> Result<String> {
    let len = number(body)?;
    let (head, rest) = body.split_at_checked(len).context("too short")?;
    *body = rest;
    Ok(String::from_utf8(head.to_vec())?)
}

/// The answer to a four-letter word.
pub(super) fn ask(
    address: SocketAddr,
    authority: &Authority,
    as_whom: &Identity,
    word: &str,
) -> Result<String> {
    let mut stream = connect(address, authority, Some(as_whom), &[])?;
    stream.write_all(word.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    let _no_farewell = stream.read_to_end(&mut answer);
    Ok(String::from_utf8(answer)?)
}
