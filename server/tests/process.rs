//! The real binary: what survives a kill, what keeps it from starting, how it stops.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    missing_docs
)]

mod support;

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::process::Stdio;

use menagerie_wire::op::op_code;
use support::{Client, Process, command, create_body, run_to_end, word, write_config};

#[test]
fn everything_acknowledged_is_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "snapCount=50\n");
    let mut expected: Vec<(String, Vec<u8>)> = Vec::new();
    for round in 0..4 {
        let server = Process::start(&config);
        let mut client = Client::connect(server.address).unwrap();
        for (path, data) in &expected {
            assert_eq!(client.get(path).as_ref(), Ok(data), "round {round}, {path}");
        }
        for i in 0..100 {
            let (path, data): (String, Vec<u8>) = (format!("/r{round}-{i}"), vec![b'x'; i]);
            assert_eq!(client.create(&path, &data, 0), 0);
            expected.push((path, data));
        }
        // What is still under way when the kill comes may or may not survive.
        for i in 0..200 {
            let body = create_body(&format!("/unknown-{round}-{i}"), b"?", 0);
            client.send(op_code::CREATE, &body).unwrap();
        }
        let mut answered = 0;
        while answered < 40 + round * 30 {
            let (header, _) = client.receive().unwrap();
            assert_eq!(header.err, 0);
            expected.push((format!("/unknown-{round}-{answered}"), b"?".to_vec()));
            answered += 1;
        }
        server.kill();
    }
}

#[test]
fn a_session_its_ephemerals_and_its_password_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "");
    let server = Process::start(&config);
    let mut client = Client::connect(server.address).unwrap();
    assert_eq!(client.create("/mine", b"", 1), 0);
    server.kill();

    let server = Process::start(&config);
    let thief = Client::attach(server.address, client.session, &[1; 16], 10_000).unwrap();
    assert_eq!((thief.session, thief.timeout_ms), (0, 0));
    let password = client.password.clone();
    let mut again = Client::attach(server.address, client.session, &password, 10_000).unwrap();
    assert_eq!(again.session, client.session);
    assert_eq!(again.get("/mine"), Ok(Vec::new()));
    again.call(op_code::CLOSE_SESSION, &[]).unwrap();
    let mut other = Client::connect(server.address).unwrap();
    assert_eq!(other.get("/mine"), Err(-101));
}

#[test]
fn a_silent_session_expires_with_its_ephemerals_after_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "");
    let server = Process::start(&config);
    let mut client = Client::attach(server.address, 0, &[0; 16], 1000).unwrap();
    assert_eq!(client.timeout_ms, 1000);
    assert_eq!(client.create("/mine", b"", 1), 0);
    server.kill();
    let server = Process::start(&config);
    let mut watcher = Client::connect(server.address).unwrap();
    let end = std::time::Instant::now() + support::PATIENCE;
    while watcher.get("/mine").is_ok() {
        assert!(
            std::time::Instant::now() < end,
            "the session does not expire"
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let resumed = Client::attach(server.address, client.session, &client.password, 1000).unwrap();
    assert_eq!(resumed.session, 0);
}

#[test]
fn sigterm_answers_what_was_sent_and_ends_with_success() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "");
    let server = Process::start(&config);
    let address = server.address;
    let mut client = Client::connect(address).unwrap();
    assert_eq!(client.create("/kept", b"1", 0), 0);
    assert_eq!(server.terminate(), Some(0));
    assert!(client.receive().is_err(), "the connection is closed");
    assert!(Client::connect(address).is_err(), "nobody listens");
    let server = Process::start(&config);
    assert_eq!(
        Client::connect(server.address).unwrap().get("/kept"),
        Ok(b"1".to_vec())
    );
}

#[test]
fn the_end_of_standard_input_is_an_order_to_stop_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "");
    let mut tied = command(&config);
    tied.arg("--stop-with-stdin")
        .stdin(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = tied.spawn().unwrap();
    let stdin = child.stdin.take();
    let mut ready = [0; 16];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut ready)
        .unwrap();
    assert_eq!(&ready, b"menagerie ready ");
    assert_eq!(
        child.try_wait().unwrap(),
        None,
        "it serves while input is open"
    );
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let server = Process::start(&config);
    assert_eq!(word(server.address, "ruok"), "imok", "its input is empty");
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "");
    let server = Process::start(&config);
    let (code, messages) = run_to_end(&config);
    assert_eq!(code, Some(1));
    assert!(
        messages.contains("is in use by another server"),
        "{messages}"
    );
    assert_eq!(word(server.address, "ruok"), "imok");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), &format!("clientPort={port}\n"));
    let (code, messages) = run_to_end(&config);
    assert_eq!(code, Some(1));
    let expected = format!("cannot listen on 127.0.0.1:{port}");
    assert!(messages.contains(&expected), "{messages}");
}

#[test]
fn a_wrong_value_is_named_with_file_line_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "syncLimit=2\ntickTime=2s\n");
    let (code, messages) = run_to_end(&config);
    assert_eq!(code, Some(2));
    assert!(messages.contains("zoo.cfg:8: tickTime=2s"), "{messages}");
}

#[test]
fn a_data_directory_that_is_a_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "");
    fs::write(dir.path().join("data"), b"not a directory").unwrap();
    let (code, messages) = run_to_end(&config);
    assert_eq!(code, Some(1));
    assert!(messages.contains("data/version-2"), "{messages}");
}

#[test]
fn a_torn_tail_is_cut_and_a_damaged_middle_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "");
    let server = Process::start(&config);
    let mut client = Client::connect(server.address).unwrap();
    for i in 0..20 {
        assert_eq!(client.create(&format!("/n{i}"), b"data", 0), 0);
    }
    server.kill();
    let log = dir.path().join("data/version-2/log.1");
    let whole = fs::read(&log).unwrap();
    let used = whole.iter().rposition(|b| *b != 0).unwrap() + 1;

    fs::write(&log, &whole[..used - 7]).unwrap();
    let server = Process::start(&config);
    let mut client = Client::connect(server.address).unwrap();
    assert_eq!(client.get("/n18"), Ok(b"data".to_vec()));
    assert_eq!(client.get("/n19"), Err(-101));
    server.kill();

    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "");
    fs::create_dir_all(dir.path().join("data/version-2")).unwrap();
    let mut damaged = whole;
    damaged[used / 2] ^= 0x10;
    fs::write(dir.path().join("data/version-2/log.1"), damaged).unwrap();
    let (code, messages) = run_to_end(&config);
    assert_eq!(code, Some(1));
    assert!(
        messages.contains("log.1 is corrupt at offset"),
        "{messages}"
    );
    assert!(messages.contains("last good zxid 0x"), "{messages}");
}

#[test]
fn a_log_without_a_snapshot_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), "");
    let server = Process::start(&config);
    assert_eq!(
        Client::connect(server.address)
            .unwrap()
            .create("/a", b"", 0),
        0
    );
    server.kill();
    fs::remove_file(dir.path().join("data/version-2/snapshot.0")).unwrap();
    let (code, messages) = run_to_end(&config);
    assert_eq!(code, Some(1));
    assert!(messages.contains("snapshot.trust.empty=true"), "{messages}");
    let config = write_config(dir.path(), "snapshot.trust.empty=true\n");
    let server = Process::start(&config);
    assert_eq!(
        Client::connect(server.address).unwrap().get("/a"),
        Ok(Vec::new())
    );
}

#[test]
fn a_directory_may_be_a_bare_name() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(
        dir.path(),
        "dataDir=data\naudit.enable=true\naudit.file=audit.log\n",
    );
    let server = Process::run(command(&config).current_dir(dir.path()));
    let mut client = Client::connect(server.address).unwrap();
    assert_eq!(client.create("/a", b"", 0), 0);
    server.kill();
    assert!(dir.path().join("data/version-2").is_dir());
    let audit = fs::read_to_string(dir.path().join("audit.log")).unwrap();
    assert!(
        audit.contains("operation=serverStart\tresult=success"),
        "{audit}"
    );
}
