//! The real binary under a service manager: signals at any time, what the manager is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    missing_docs
)]

mod support;

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Stdio;
use std::time::Duration;

use support::{Client, PATIENCE, Process, command, write_config};

/// The next message to the service manager.
fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let len = socket.recv(&mut buffer).expect("nothing was said");
    String::from_utf8(buffer[..len].to_vec()).unwrap()
}

/// Starts, has a session, stops, and returns what the manager heard meanwhile.
fn managed(socket: &UnixDatagram, name: &str, watchdog_usec: &str) -> Vec<String> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(&write_config(dir.path(), ""));
    command
        .env("NOTIFY_SOCKET", name)
        .env("WATCHDOG_USEC", watchdog_usec)
        .env_remove("WATCHDOG_PID");
    let server = Process::run(&mut command);
    let mut messages = vec![heard(socket)];
    // READY=1 is not said before it is true.
    assert_eq!(
        Client::connect(server.address)
            .unwrap()
            .create("/a", b"", 0),
        0
    );
    if watchdog_usec != "0" {
        messages.extend([heard(socket), heard(socket)]);
    }
    assert_eq!(server.terminate(), Some(0));
    loop {
        let message = heard(socket);
        messages.push(message);
        if messages.last().is_some_and(|last| last == "STOPPING=1") {
            return messages;
        }
    }
}

#[test]
fn a_service_manager_hears_ready_and_stopping() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let messages = managed(&socket, path.to_str().unwrap(), "0");
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(
        messages[0].starts_with("READY=1\nSTATUS=Serving ZooKeeper clients on 127.0.0.1:"),
        "{messages:?}"
    );
}

#[test]
fn the_watchdog_is_fed_by_an_abstract_socket_too() {
    let name = format!("menagerie-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let messages = managed(&socket, &format!("@{name}"), "100000");
    assert!(messages[0].starts_with("READY=1\n"), "{messages:?}");
    let last = messages.len() - 1;
    assert!(last >= 3, "{messages:?}");
    assert!(
        messages[1..last].iter().all(|m| m == "WATCHDOG=1"),
        "{messages:?}"
    );
}

#[test]
fn a_manager_that_is_gone_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(&write_config(dir.path(), ""));
    command.env("NOTIFY_SOCKET", dir.path().join("nobody"));
    let server = Process::run(&mut command);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn sigterm_at_any_time_of_the_start_ends_with_success() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "");
    for delay_ms in 0..20 {
        let mut child = command(&config)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Before main there is nobody to handle anything.
        let end = std::time::Instant::now() + PATIENCE;
        let status = format!("/proc/{}/status", child.id());
        while !handles_sigterm(&std::fs::read_to_string(&status).unwrap()) {
            assert!(std::time::Instant::now() < end, "no handler");
            std::thread::sleep(Duration::from_micros(100));
        }
        std::thread::sleep(Duration::from_millis(delay_ms));
        support::send_signal(&child, "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(0), "after {delay_ms} ms");
    }
}

/// Whether signal 15 is in the mask of caught ones.
fn handles_sigterm(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
    mask & 1 << 14 != 0
}
