//! Owns bad input on connections. May use `raw`. Must not start servers.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use menagerie_wire::client::{ConnectRequest, PathWatchRequest, RequestHeader, SetDataRequest};
use menagerie_wire::jute::{append, decode_all, to_vec};
use menagerie_wire::multi::{MultiRequest, MultiResponse, MultiResult};
use menagerie_wire::op::{ErrorCode, op_code};

use super::FRAME;
use crate::populate::create_request;
use crate::raw::{Incoming, Raw};
use crate::rng::Rng;

/// A case against a running server.
pub(super) type Case = (&'static str, fn(SocketAddr) -> Result<()>);

/// Cases with the usual limit of frames.
pub(super) const CASES: &[Case] = &[
    ("garbage instead of a connect request", garbage),
    ("a connect request that is too short", short_connect),
    ("half a frame and then the end", half_frame),
    ("half a frame and then silence", half_frame_and_silence),
    ("nothing at all", nothing),
    ("a slow writer", slow_writer),
    ("frames at and over the limit", frame_limit),
    ("wrong passwords", wrong_password),
    ("a multi over the limit", multi_over_the_limit),
    ("invalid UTF-8", invalid_utf8),
    ("lengths that lie", lying_lengths),
    ("random frames in a session", random_frames),
    ("five hundred connections dropped at once", many_dropped),
    ("two hundred sessions lost", many_lost),
    ("a client that does not read", no_reader),
];

/// Cases with a limit that lets them through.
pub(super) const BIG_CASES: &[Case] = &[("a million paths in one multi", million)];

const WAIT: Duration = Duration::from_secs(10);

fn closed(raw: &mut Raw) -> Result<()> {
    match raw.receive(WAIT) {
        Incoming::Closed => Ok(()),
        other => bail!("expected the end of the connection, got {other:?}"),
    }
}

fn serves(address: SocketAddr) -> Result<()> {
    let (mut raw, _) = Raw::session(address, 10_000).context("the server no longer serves")?;
    raw.ping()?;
    raw.close_session()
}

fn garbage(address: SocketAddr) -> Result<()> {
    let texts: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        &[0x80, 0, 0, 0, 1, 2, 3],
    ];
    for text in texts {
        let mut raw = Raw::open(address)?;
        raw.send_bytes(text);
        closed(&mut raw).with_context(|| format!("after {:?}", text.escape_ascii().to_string()))?;
    }
    let mut rng = Rng::new(1);
    for _ in 0..200 {
        let mut raw = Raw::open(address)?;
        let length = 1 + rng.below(300);
        let bytes: Vec<u8> = (0..length).map(|_| rng.next().to_le_bytes()[0]).collect();
        raw.send_bytes(&bytes);
        raw.abandon();
    }
    serves(address)
}

fn short_connect(address: SocketAddr) -> Result<()> {
    for length in [0, 1, 5, 23, 27] {
        let mut raw = Raw::open(address)?;
        raw.send(&vec![0; length]);
        closed(&mut raw).with_context(|| format!("{length} bytes"))?;
    }
    serves(address)
}

fn half_frame(address: SocketAddr) -> Result<()> {
    for bytes in [
        &[0_u8, 0][..],
        &[0, 0, 0, 45],
        &[0, 0, 0, 45, 0, 0, 0, 0, 1, 2, 3],
    ] {
        let mut raw = Raw::open(address)?;
        raw.send_bytes(bytes);
        raw.abandon();
    }
    let (mut raw, _) = Raw::session(address, 1000)?;
    raw.send_bytes(&[0, 0, 1, 0, 0, 0, 0, 1]);
    raw.abandon();
    serves(address)
}

fn half_frame_and_silence(address: SocketAddr) -> Result<()> {
    let mut raw = Raw::open(address)?;
    raw.send_bytes(&[0, 0, 0, 45, 0, 0]);
    closed(&mut raw)
}

fn nothing(address: SocketAddr) -> Result<()> {
    let mut raw = Raw::open(address)?;
    let begin = Instant::now();
    closed(&mut raw)?;
    let took = begin.elapsed();
    ensure!(
        took > Duration::from_millis(500),
        "closed after {took:?} only"
    );
    Ok(())
}

fn connect_frame() -> Vec<u8> {
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        time_out: 10_000,
        session_id: 0,
        passwd: Some(&[0; 16]),
        read_only: Some(false),
    };
    framed(&to_vec(&request))
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes()
        .to_vec();
    frame.extend_from_slice(body);
    frame
}

fn request(xid: i32, op: i32, body: &impl serde::Serialize) -> Vec<u8> {
    let mut frame = to_vec(&RequestHeader { xid, op });
    append(&mut frame, body);
    frame
}

fn slow_writer(address: SocketAddr) -> Result<()> {
    let mut raw = Raw::open(address)?;
    let slowly = |raw: &mut Raw, bytes: &[u8]| {
        for byte in bytes {
            raw.send_bytes(&[*byte]);
            thread::sleep(Duration::from_millis(4));
        }
    };
    slowly(&mut raw, &connect_frame());
    let Incoming::Frame(answer) = raw.receive(WAIT) else {
        bail!("no session");
    };
    ensure!(Raw::granted(&answer)?.session_id != 0, "no session");
    let exists = request(1, op_code::EXISTS, &exists("/zookeeper"));
    slowly(&mut raw, &framed(&exists));
    let (header, _) = raw.reply(1)?;
    ensure!(header.err == 0, "exists: {}", header.err);
    raw.close_session()
}

fn exists(path: &str) -> PathWatchRequest<'_> {
    PathWatchRequest {
        path: Some(path.into()),
        watch: false,
    }
}

fn frame_limit(address: SocketAddr) -> Result<()> {
    let (mut raw, session) = Raw::session(address, 10_000)?;
    let (header, _) = raw.call(op_code::CREATE, &create_request("/limit", None, 0))?;
    ensure!(header.err == 0, "create: {}", header.err);
    // Header, path, data and version fill the frame to the last byte.
    let rest = 8 + 4 + "/limit".len() + 4 + 4;
    for (length, fits) in [(FRAME, true), (FRAME + 1, false)] {
        let data = vec![7; length - rest];
        let set = SetDataRequest {
            path: Some("/limit".into()),
            data: Some(&data),
            version: -1,
        };
        let frame = request(1000, op_code::SET_DATA, &set);
        ensure!(frame.len() == length, "the frame has {} bytes", frame.len());
        raw.send(&frame);
        if fits {
            let (header, _) = raw.reply(1000)?;
            ensure!(header.err == 0, "at the limit: {}", header.err);
        } else {
            closed(&mut raw).context("over the limit")?;
        }
    }
    let (mut raw, granted) = Raw::resume(address, session.session_id, &session.passwd)?;
    ensure!(
        granted.is_some_and(|g| g.session_id == session.session_id),
        "the session is gone"
    );
    let delete = menagerie_wire::client::PathVersionRequest {
        path: Some("/limit".into()),
        version: -1,
    };
    let (header, _) = raw.call(op_code::DELETE, &delete)?;
    ensure!(header.err == 0, "delete: {}", header.err);
    raw.close_session()
}

fn wrong_password(address: SocketAddr) -> Result<()> {
    let (raw, session) = Raw::session(address, 10_000)?;
    raw.abandon();
    let long = vec![0; 10_000];
    for passwd in [&[0_u8; 16][..], &[], &[1, 2, 3], &long] {
        let (mut raw, granted) = Raw::resume(address, session.session_id, passwd)?;
        let granted = granted.context("no answer")?;
        ensure!(
            granted.session_id == 0 && granted.time_out == 0,
            "granted {granted:?}"
        );
        closed(&mut raw)?;
    }
    let (_, granted) = Raw::resume(address, session.session_id + 1, &session.passwd)?;
    ensure!(
        granted.is_none_or(|g| g.session_id == 0),
        "granted another session"
    );
    let (raw, granted) = Raw::resume(address, session.session_id, &session.passwd)?;
    ensure!(
        granted.is_some_and(|g| g.session_id == session.session_id),
        "the session is gone"
    );
    raw.close_session()
}

/// A multi of `count` deletes of nodes that do not exist.
fn deletes(count: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for number in 0..count {
        append(&mut body, &(op_code::DELETE, false, -1_i32));
        append(&mut body, &(format!("/none/{number}"), -1_i32));
    }
    append(&mut body, &MultiRequest { ops: Vec::new() });
    body
}

fn multi_over_the_limit(address: SocketAddr) -> Result<()> {
    let (mut raw, session) = Raw::session(address, 10_000)?;
    let mut frame = to_vec(&RequestHeader {
        xid: 1,
        op: op_code::MULTI,
    });
    frame.extend(deletes(1_000_000));
    raw.send(&frame);
    closed(&mut raw)?;
    let (raw, _) = Raw::resume(address, session.session_id, &session.passwd)?;
    raw.close_session()
}

fn million(address: SocketAddr) -> Result<()> {
    const COUNT: usize = 1_000_000;
    let (mut raw, _) = Raw::session(address, 60_000)?;
    let mut frame = to_vec(&RequestHeader {
        xid: 1,
        op: op_code::MULTI,
    });
    frame.extend(deletes(COUNT));
    raw.send(&frame);
    let (header, body) = raw.reply(1)?;
    ensure!(header.err == 0, "multi: {}", header.err);
    let response = decode_all::<MultiResponse<'_>>(&body)?;
    ensure!(
        response.results.len() == COUNT,
        "{} results",
        response.results.len()
    );
    let first = response.results.first();
    ensure!(
        first == Some(&MultiResult::Error(ErrorCode::NoNode.0)),
        "the first result is {first:?}"
    );
    raw.close_session()
}

fn invalid_utf8(address: SocketAddr) -> Result<()> {
    let (mut raw, _) = Raw::session(address, 10_000)?;
    let paths: [&[u8]; 4] = [
        b"/\xff\xfe",
        b"/a\xc3",
        b"/\xed\xa0\x80",
        b"/\xf8\x88\x80\x80\x80",
    ];
    for path in paths {
        let mut read = path_bytes(path);
        read.push(0);
        let (header, _) = call_bytes(&mut raw, op_code::EXISTS, &read)?;
        ensure!(header.err == ErrorCode::NoNode.0, "exists: {}", header.err);
        let mut create = path_bytes(path);
        append(
            &mut create,
            &(-1_i32, 1_i32, 31_i32, "world", "anyone", 0_i32),
        );
        let (header, _) = call_bytes(&mut raw, op_code::CREATE, &create)?;
        ensure!(
            header.err == ErrorCode::BadArguments.0,
            "create: {}",
            header.err
        );
    }
    raw.close_session()
}

fn path_bytes(path: &[u8]) -> Vec<u8> {
    framed(path)
}

fn call_bytes(
    raw: &mut Raw,
    op: i32,
    body: &[u8],
) -> Result<(menagerie_wire::client::ReplyHeader, Vec<u8>)> {
    let xid = raw.take_xid();
    let mut frame = to_vec(&RequestHeader { xid, op });
    frame.extend_from_slice(body);
    raw.send(&frame);
    raw.reply(xid)
}

fn lying_lengths(address: SocketAddr) -> Result<()> {
    let (mut raw, _) = Raw::session(address, 10_000)?;
    for length in [-2_i32, i32::MIN, i32::MAX, 1 << 30, 100] {
        for op in [
            op_code::CREATE,
            op_code::GET_DATA,
            op_code::SET_WATCHES,
            op_code::SET_ACL,
        ] {
            let mut body = length.to_be_bytes().to_vec();
            body.extend_from_slice(b"/abc");
            let (header, _) = call_bytes(&mut raw, op, &body)?;
            let expected = ErrorCode::MarshallingError.0;
            ensure!(
                header.err == expected,
                "operation {op}, length {length}: {}",
                header.err
            );
        }
    }
    raw.close_session()
}

fn random_frames(address: SocketAddr) -> Result<()> {
    let mut rng = Rng::new(7);
    for _ in 0..300 {
        let (mut raw, _) = Raw::session(address, 1000)?;
        for _ in 0..20 {
            // closeSession and createSession apart, any operation with any body.
            let op = i32::try_from(rng.below(110)).unwrap_or(0);
            let body: Vec<u8> = (0..rng.below(60))
                .map(|_| rng.next().to_le_bytes()[0] & 0x1f)
                .collect();
            let mut frame = to_vec(&RequestHeader { xid: 5, op });
            frame.extend_from_slice(&body);
            raw.send(&frame);
        }
        raw.abandon();
    }
    serves(address)
}

fn many_dropped(address: SocketAddr) -> Result<()> {
    let all: Vec<_> = (0..500)
        .map(|_| Raw::open(address))
        .collect::<Result<_>>()?;
    drop(all);
    serves(address)
}

fn many_lost(address: SocketAddr) -> Result<()> {
    for _ in 0..200 {
        let (raw, _) = Raw::session(address, 1)?;
        raw.abandon();
    }
    serves(address)
}

/// Asks for far more than socket buffers hold and reads nothing; others are served meanwhile.
fn no_reader(address: SocketAddr) -> Result<()> {
    let (mut writer, _) = Raw::session(address, 30_000)?;
    let data = vec![1; 500_000];
    let (header, _) = writer.call(op_code::CREATE, &create_request("/fat", Some(&data), 1))?;
    ensure!(header.err == 0, "create: {}", header.err);
    let (mut greedy, _) = Raw::session(address, 1000)?;
    let mut bytes = Vec::new();
    for xid in 0..2000 {
        bytes.extend(framed(&request(xid, op_code::GET_DATA, &exists("/fat"))));
    }
    greedy.send_bytes(&bytes);
    for _ in 0..100 {
        let begin = Instant::now();
        writer.ping()?;
        ensure!(
            begin.elapsed() < Duration::from_secs(2),
            "a ping took {:?}",
            begin.elapsed()
        );
        thread::sleep(Duration::from_millis(5));
    }
    greedy.abandon();
    writer.close_session()
}
