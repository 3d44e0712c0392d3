//! Owns clients that write all the time, move to another member when theirs is gone, and remember
//! what was acknowledged.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use menagerie_wire::op::{ErrorCode, op_code};

use crate::guarantee;
use crate::populate::create_request;
use crate::raw::Raw;
use crate::walk::walk;

/// How long a member may take to serve at the end.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the clients have seen.
#[derive(Debug, Default)]
struct Seen {
    acknowledged: Vec<String>,
    sessions: usize,
    longest_gap: Duration,
}

/// Clients at work.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Seen>>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Load {
    /// Starts `count` clients below `/load`, which is made.
    pub(super) fn start(addresses: &[SocketAddr], count: usize) -> Result<Self> {
        let (mut raw, _) = Raw::session(addresses[0], 10_000)?;
        raw.call(op_code::CREATE, &create_request("/load", None, 0))?;
        raw.close_session()?;
        let stop = Arc::new(AtomicBool::new(false));
        let errors = Arc::new(Mutex::new(Vec::new()));
        let clients = (0..count)
            .map(|id| {
                let (stop, addresses) = (Arc::clone(&stop), addresses.to_vec());
                let errors = Arc::clone(&errors);
                thread::spawn(move || client(id, &addresses, &stop, &errors))
            })
            .collect();
        Ok(Self {
            stop,
            clients,
            errors,
        })
    }

    /// Ends it and checks that the member at `address` has everything that was acknowledged.
    pub(super) fn finish(self, address: SocketAddr) -> Result<String> {
        self.stop.store(true, Relaxed);
        let (mut acknowledged, mut lost, mut gap) = (Vec::new(), 0, Duration::ZERO);
        for client in self.clients {
            let seen = client.join().map_err(|_| anyhow!("a client panicked"))?;
            acknowledged.extend(seen.acknowledged);
            lost += seen.sessions - 1;
            gap = gap.max(seen.longest_gap);
        }
        let errors = self
            .errors
            .lock()
            .map_err(|_| anyhow!("a client panicked"))?
            .clone();
        ensure!(errors.is_empty(), "clients saw {errors:?}");
        // A member may just have lost its leader.
        let begun = Instant::now();
        let (mut raw, _) = loop {
            match Raw::session(address, 10_000) {
                Err(_) if begun.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(100)),
                result => break result?,
            }
        };
        let nodes = walk(&mut raw, "/load")?;
        raw.close_session()?;
        let there = |path: &String| nodes.binary_search_by(|node| node.path.cmp(path)).is_ok();
        let missing: Vec<_> = acknowledged.iter().filter(|path| !there(path)).collect();
        if !missing.is_empty() {
            let gone = format!("acknowledged and gone: {missing:?}");
            return Err(guarantee::broken(gone));
        }
        if lost != 0 {
            return Err(guarantee::broken(format!("{lost} sessions were lost")));
        }
        Ok(format!(
            "{} writes acknowledged and none lost, no session lost, longest gap {} ms",
            acknowledged.len(),
            gap.as_millis()
        ))
    }
}

fn client(
    id: usize,
    addresses: &[SocketAddr],
    stop: &AtomicBool,
    errors: &Mutex<Vec<String>>,
) -> Seen {
    let mut seen = Seen::default();
    let mut session: Option<(i64, Vec<u8>)> = None;
    let mut at = id;
    let mut number = 0;
    let mut last = Instant::now();
    while !stop.load(Relaxed) {
        at += 1;
        let address = addresses[at % addresses.len()];
        let Some(mut raw) = connect(address, &mut session, &mut seen) else {
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        while !stop.load(Relaxed) {
            number += 1;
            let path = format!("/load/{id}-{number}");
            match raw.call(op_code::CREATE, &create_request(&path, Some(b"x"), 0)) {
                Ok((header, _)) if header.err == 0 => {
                    seen.longest_gap = seen.longest_gap.max(last.elapsed());
                    last = Instant::now();
                    seen.acknowledged.push(path);
                }
                Ok((header, _)) => {
                    let code = ErrorCode(header.err);
                    if let Ok(mut errors) = errors.lock() {
                        errors.push(format!("{path}: {}", code.name()));
                    }
                    break;
                }
                // The connection is gone; whether the write is there nobody knows.
                Err(_) => break,
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
    seen
}

/// A connection with the client's session, or with a new one when that is gone.
fn connect(
    address: SocketAddr,
    session: &mut Option<(i64, Vec<u8>)>,
    seen: &mut Seen,
) -> Option<Raw> {
    if let Some((id, password)) = session.clone() {
        let (raw, granted) = Raw::resume(address, id, &password).ok()?;
        if granted?.session_id == id {
            return Some(raw);
        }
        *session = None;
        return None;
    }
    let (raw, granted) = Raw::session(address, 20_000).ok()?;
    *session = Some((granted.session_id, granted.passwd));
    seen.sessions += 1;
    Some(raw)
}
