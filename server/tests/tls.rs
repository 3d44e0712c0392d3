//! TLS for clients: who gets in, as whom, and what becomes of those who do not speak it.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use menagerie::ZooServer;
use menagerie_wire::client::{ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader};
use menagerie_wire::jute::{self, decode_prefix};
use menagerie_wire::op::op_code;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const PATIENCE: Duration = Duration::from_secs(20);

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone)]
struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    fn both(&self) -> String {
        format!("{}{}", self.certificate, self.key)
    }
}

fn named(name: &str) -> CertificateParams {
    let hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(hosts).unwrap();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Zoo, Inc.");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Authority {
    fn new() -> Self {
        let mut params = named("the authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    fn issue(&self, name: &str) -> Identity {
        self.sign(&named(name))
    }

    /// A list that revokes the certificate with that number.
    fn revocation(&self, serial: u64) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2120, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// A server with TLS, its authority and its files.
struct Served {
    dir: tempfile::TempDir,
    authority: Authority,
    server: ZooServer,
}

impl Served {
    fn with(settings: &[(&str, &str)]) -> Self {
        let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        put(dir.path(), "ca.pem", &authority.pem());
        put(dir.path(), "server.pem", &authority.issue("server").both());
        let server = start(dir.path(), settings).unwrap();
        Self {
            dir,
            authority,
            server,
        }
    }

    fn secure(&self) -> SocketAddr {
        SocketAddr::new(
            [127, 0, 0, 1].into(),
            self.server.secure_addr().unwrap().port(),
        )
    }

    fn plain(&self) -> SocketAddr {
        SocketAddr::new([127, 0, 0, 1].into(), self.server.client_port())
    }

    fn connect(&self, identity: Option<&Identity>) -> Secure {
        self.connect_to(self.secure(), identity)
    }

    fn connect_to(&self, address: SocketAddr, identity: Option<&Identity>) -> Secure {
        connect(&self.authority, address, identity)
    }

    /// What `whoAmI` says of someone with this identity; an error when the server lets go.
    fn whoami(&self, identity: Option<&Identity>) -> std::io::Result<String> {
        whoami(&mut self.connect(identity))
    }

    fn ask(&self, address: SocketAddr, word: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        ask(&mut stream, word)
    }
}

fn connect(authority: &Authority, address: SocketAddr, identity: Option<&Identity>) -> Secure {
    let mut roots = RootCertStore::empty();
    let pem = authority.pem();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(Identity { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(connection, socket)
}

fn put(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

fn start(dir: &Path, settings: &[(&str, &str)]) -> Result<ZooServer, menagerie::StartError> {
    let mut builder = ZooServer::builder()
        .set_parameter("dataDir", dir.join("data").display())
        .set_parameter("clientPort", 0)
        .set_parameter("secureClientPort", 0)
        .set_parameter("admin.enableServer", "false")
        .set_parameter("4lw.commands.whitelist", "*")
        .set_parameter("ssl.keyStore.location", dir.join("server.pem").display())
        .set_parameter("ssl.trustStore.location", dir.join("ca.pem").display());
    for (key, value) in settings {
        builder = builder.set_parameter(key, value);
    }
    builder.start()
}

fn send(stream: &mut impl Write, body: &[u8]) -> std::io::Result<()> {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    stream.write_all(&frame)?;
    stream.flush()
}

fn receive(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body)?;
    Ok(body)
}

fn open_session(stream: &mut (impl Read + Write)) -> std::io::Result<i64> {
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        time_out: 10_000,
        session_id: 0,
        passwd: Some(&[0; 16]),
        read_only: Some(false),
    };
    send(stream, &jute::to_vec(&request))?;
    let answer = receive(stream)?;
    let (response, _) = decode_prefix::<ConnectResponse<'_>>(&answer).unwrap();
    Ok(response.session_id)
}

fn whoami(stream: &mut (impl Read + Write)) -> std::io::Result<String> {
    assert_ne!(open_session(stream)?, 0);
    let op = op_code::WHO_AM_I;
    send(stream, &jute::to_vec(&RequestHeader { xid: 1, op }))?;
    let answer = receive(stream)?;
    let (header, body) = decode_prefix::<ReplyHeader>(&answer).unwrap();
    assert_eq!(header.err, 0);
    Ok(String::from_utf8_lossy(body).into_owned())
}

fn ask(stream: &mut (impl Read + Write), word: &str) -> String {
    stream.write_all(word.as_bytes()).unwrap();
    stream.flush().unwrap();
    let mut answer = Vec::new();
    let _no_farewell = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_client_is_who_its_certificate_says() {
    let served = Served::with(&[(
        "X509AuthenticationProvider.superUser",
        "O=Zoo\\, Inc.,CN=root",
    )]);
    let alice = served.authority.issue("alice");
    let said = served.whoami(Some(&alice)).unwrap();
    assert!(
        said.contains("x509") && said.contains("O=Zoo\\, Inc.,CN=alice"),
        "{said}"
    );
    let said = served
        .whoami(Some(&served.authority.issue("root")))
        .unwrap();
    assert!(said.contains("super"), "{said}");
    let mut stream = served.connect(Some(&alice));
    open_session(&mut stream).unwrap();
    let over = |word| ask(&mut served.connect(Some(&alice)), word);
    assert!(over("srvr").contains("Mode: standalone"));
    // Each port tells of its own connections.
    assert_eq!(over("cons").matches("sid=").count(), 1);
    assert_eq!(
        served.ask(served.plain(), "cons").matches("sid=").count(),
        0
    );
    let conf = served.ask(served.plain(), "conf");
    let (plain, secure) = (served.plain().port(), served.secure().port());
    let lines = format!("clientPort={plain}\nsecureClientPort={secure}\n");
    assert!(conf.starts_with(&lines), "{conf}");
}

#[test]
fn strangers_do_not_get_in() {
    let served = Served::with(&[]);
    assert!(served.whoami(None).is_err());
    assert!(
        served
            .whoami(Some(&Authority::new().issue("mallory")))
            .is_err()
    );
    let mut old = named("old");
    (old.not_before, old.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 1, 2));
    assert!(served.whoami(Some(&served.authority.sign(&old))).is_err());
    let mntr = served.ask(served.plain(), "mntr");
    assert!(mntr.contains("zk_unsuccessful_handshake\t3\n"), "{mntr}");
    assert!(mntr.contains("zk_outstanding_tls_handshake\t0\n"), "{mntr}");
    assert!(mntr.contains("zk_auth_failed_count\t3\n"), "{mntr}");
    assert!(mntr.contains("zk_num_alive_connections\t1\n"), "{mntr}");
}

#[test]
fn who_needs_no_certificate_gets_in_without() {
    let wants = Served::with(&[("ssl.clientAuth", "want")]);
    let said = wants.whoami(None).unwrap();
    assert!(
        said.contains("127.0.0.1") && !said.contains("x509"),
        "{said}"
    );
    let alice = wants.authority.issue("alice");
    assert!(wants.whoami(Some(&alice)).unwrap().contains("CN=alice"));
    assert!(
        wants
            .whoami(Some(&Authority::new().issue("mallory")))
            .is_err()
    );
    let asks_nobody = Served::with(&[("ssl.clientAuth", "none")]);
    let alice = asks_nobody.authority.issue("alice");
    assert!(!asks_nobody.whoami(Some(&alice)).unwrap().contains("x509"));
}

#[test]
fn the_wrong_tongue_ends_a_connection() {
    let served = Served::with(&[]);
    assert_eq!(served.ask(served.secure(), "ruok"), "");
    let alice = served.authority.issue("alice");
    let begun = Instant::now();
    assert!(whoami(&mut served.connect_to(served.plain(), Some(&alice))).is_err());
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(served.ask(served.plain(), "ruok"), "imok");
}

#[test]
fn one_port_may_serve_both() {
    let served = Served::with(&[("client.portUnification", "true")]);
    assert_eq!(served.ask(served.plain(), "ruok"), "imok");
    let alice = served.authority.issue("alice");
    let said = whoami(&mut served.connect_to(served.plain(), Some(&alice))).unwrap();
    assert!(said.contains("CN=alice"), "{said}");
    let mut plain = TcpStream::connect(served.plain()).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(!whoami(&mut plain).unwrap().contains("x509"));
}

#[test]
fn revoked_certificates_are_refused() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    put(dir.path(), "server.pem", &authority.issue("server").both());
    put(dir.path(), "ca.pem", &authority.pem());
    let error = start(dir.path(), &[("ssl.crl", "true")])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("revocation lists (X509 CRL) are expected in it"),
        "{error}"
    );
    let list = authority.revocation(7);
    put(dir.path(), "ca.pem", &format!("{}{list}", authority.pem()));
    let numbered = |number: u64| {
        let mut params = named("numbered");
        params.serial_number = Some(SerialNumber::from(number));
        authority.sign(&params)
    };
    let (good, revoked) = (numbered(6), numbered(7));
    let server = start(dir.path(), &[("ssl.crl", "true")]).unwrap();
    let served = Served {
        dir,
        authority,
        server,
    };
    served.whoami(Some(&good)).unwrap();
    assert!(served.whoami(Some(&revoked)).is_err());
}

#[test]
fn stores_are_read_again_when_they_change() {
    let served = Served::with(&[("client.certReload", "true")]);
    let other = Authority::new();
    let bob = other.issue("bob");
    assert!(served.whoami(Some(&bob)).is_err());
    // What cannot be read changes nothing.
    put(served.dir.path(), "ca.pem", "nonsense");
    std::thread::sleep(Duration::from_millis(2500));
    served
        .whoami(Some(&served.authority.issue("alice")))
        .unwrap();
    let both = format!("{}{}", served.authority.pem(), other.pem());
    put(served.dir.path(), "ca.pem", &both);
    let begun = Instant::now();
    while served.whoami(Some(&bob)).is_err() {
        assert!(
            begun.elapsed() < PATIENCE,
            "the new trust store is not in use"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn handshakes_are_few_and_short() {
    let served = Served::with(&[("netty.server.outstandingHandshake.limit", "1")]);
    let mut silent = TcpStream::connect(served.secure()).unwrap();
    let alice = served.authority.issue("alice");
    let begun = Instant::now();
    while served.whoami(Some(&alice)).is_ok() {
        silent = TcpStream::connect(served.secure()).unwrap();
        assert!(begun.elapsed() < PATIENCE, "two handshakes at a time");
    }
    drop(silent);
    while served.whoami(Some(&alice)).is_err() {
        assert!(begun.elapsed() < PATIENCE, "no handshake any more");
    }
    assert!(
        served
            .ask(served.plain(), "mntr")
            .contains("zk_tls_handshake_exceeded\t")
    );
}

#[test]
fn a_server_without_its_stores_does_not_start() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let error = |settings: &[(&str, &str)]| start(dir.path(), settings).unwrap_err().to_string();
    assert!(
        error(&[]).contains("server.pem: cannot be read: No such file"),
        "{}",
        error(&[])
    );
    assert!(
        error(&[("ssl.keyStore.location", "")]).starts_with("ssl.keyStore.location is not set")
    );
    put(dir.path(), "ca.pem", &authority.pem());
    let (one, other) = (authority.issue("one"), authority.issue("other"));
    put(
        dir.path(),
        "server.pem",
        &format!("{}{}", one.certificate, other.key),
    );
    assert!(
        error(&[]).contains("its key or certificate cannot be used"),
        "{}",
        error(&[])
    );
    put(dir.path(), "server.pem", &one.certificate);
    assert!(error(&[]).contains("it holds no key"), "{}", error(&[]));
}

#[test]
fn who_is_checked_by_host_must_be_where_its_certificate_says() {
    let served = Served::with(&[
        ("ssl.clientHostnameVerification", "true"),
        ("ssl.allowReverseDnsLookup", "false"),
    ]);
    served
        .whoami(Some(&served.authority.issue("here")))
        .unwrap();
    let mut elsewhere = CertificateParams::new(vec!["elsewhere.example.org".to_owned()]).unwrap();
    elsewhere
        .distinguished_name
        .push(DnType::CommonName, "elsewhere");
    assert!(
        served
            .whoami(Some(&served.authority.sign(&elsewhere)))
            .is_err()
    );
}

/// A page of the admin server: the status line and what follows.
fn page(stream: &mut (impl Read + Write), path: &str, more: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n");
    let _refused = stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.flush());
    let mut answer = Vec::new();
    let _no_farewell = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_admin_server_speaks_tls_too() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    put(dir.path(), "server.pem", &authority.issue("server").both());
    put(dir.path(), "ca.pem", &authority.pem());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (key, trust) = (file("server.pem"), file("ca.pem"));
    let stores = [
        ("admin.enableServer", "true"),
        ("admin.serverPort", "0"),
        ("admin.rateLimiterIntervalInMS", "0"),
        ("ssl.quorum.keyStore.location", key.as_str()),
        ("ssl.quorum.trustStore.location", trust.as_str()),
    ];
    let with = |more: &[(&str, &str)]| start(dir.path(), &[&stores[..], more].concat()).unwrap();
    let ask = |server: ZooServer, identity: Option<&Identity>, path: &str, more: &str| {
        let at = SocketAddr::new([127, 0, 0, 1].into(), server.admin_addr().unwrap().port());
        let mut plain = TcpStream::connect(at).unwrap();
        plain.set_read_timeout(Some(PATIENCE)).unwrap();
        let plain = page(&mut plain, path, more);
        (
            plain,
            page(&mut connect(&authority, at, identity), path, more),
        )
    };
    let ruok = "/commands/ruok";
    let (plain, secure) = ask(with(&[("admin.portUnification", "true")]), None, ruok, "");
    assert!(
        plain.starts_with("HTTP/1.1 200") && secure.starts_with("HTTP/1.1 200"),
        "{plain}{secure}"
    );
    let (plain, secure) = ask(with(&[("admin.forceHttps", "true")]), None, ruok, "");
    assert!(
        plain.is_empty() && secure.starts_with("HTTP/1.1 200"),
        "{plain}{secure}"
    );
    let needs = [
        ("admin.forceHttps", "true"),
        ("admin.needClientAuth", "true"),
    ];
    let (_, secure) = ask(with(&needs), None, ruok, "");
    assert!(secure.is_empty(), "{secure}");
    let alice = authority.issue("alice");
    let snapshot = "/commands/snapshot?streaming=false";
    let by_certificate = "Authorization: x509 any\r\n";
    let (_, secure) = ask(with(&needs), Some(&alice), snapshot, by_certificate);
    assert!(secure.starts_with("HTTP/1.1 200"), "{secure}");
    let (plain, _) = ask(
        with(&[("admin.portUnification", "true")]),
        None,
        snapshot,
        by_certificate,
    );
    assert!(plain.starts_with("HTTP/1.1 401"), "{plain}");
}
