//! The real binary sends spans to a collector of OpenTelemetry, if it is told of one.
#![cfg(feature = "opentelemetry")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    missing_docs
)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use support::{Client, Process, command, write_config};

/// Takes a request of HTTP and answers it; its first line and its body.
fn take(stream: TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    reader.into_inner().write_all(answer)?;
    Ok((first, body))
}

fn collector() -> (String, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (send, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Ok(request) = take(stream)
                && send.send(request).is_err()
            {
                break;
            }
        }
    });
    (url, requests)
}

fn has(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn requests_and_syncs_become_spans() {
    let (url, requests) = collector();
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "");
    let mut line = command(&config);
    let server = Process::run(line.env("OTEL_EXPORTER_OTLP_ENDPOINT", url));
    let mut client = Client::connect(server.address).unwrap();
    assert_eq!(client.create("/traced", b"", 0), 0);
    assert_eq!(client.get("/traced"), Ok(Vec::new()));
    let session = format!("0x{:x}", client.session);
    // What has not been sent yet is sent at the end.
    assert_eq!(server.terminate(), Some(0));
    let mut all = Vec::new();
    while let Ok((first, body)) = requests.recv_timeout(Duration::from_secs(1)) {
        assert!(first.starts_with("POST /v1/traces "), "{first}");
        all.extend(body);
    }
    for text in [
        "menagerie",
        "create",
        "getData",
        "/traced",
        "sync of the log",
        "zookeeper.session",
        &session,
    ] {
        assert!(has(&all, text), "{text}");
    }
}

#[test]
fn a_collector_that_is_not_there_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "");
    let mut line = command(&config);
    let server = Process::run(line.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"));
    let mut client = Client::connect(server.address).unwrap();
    for i in 0..5000 {
        assert_eq!(client.create(&format!("/n{i}"), b"", 0), 0);
    }
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_wrong_address_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "");
    let mut line = command(&config);
    line.env("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address");
    let output = line.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("cannot send spans to the collector"),
        "{said}"
    );
}
