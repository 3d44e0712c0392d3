//! Owns a proxy between a client and a server that notes which operations were answered how. May
//! decode headers. Must not change a byte.

use std::collections::{BTreeSet, HashMap};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Result;
use menagerie_wire::client::{ReplyHeader, RequestHeader};
use menagerie_wire::jute::decode_prefix;
use menagerie_wire::op::xid;

/// Pairs of operation code and error code.
pub(crate) type Seen = BTreeSet<(i32, i32)>;

/// A proxy in front of one server.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

/// Operations that await their replies, by xid.
type Waiting = Arc<Mutex<HashMap<i32, Vec<i32>>>>;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Listens; its threads end with the process or with their connections.
    pub(crate) fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Seen::new()));
        let all = Arc::clone(&seen);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A server that restarts refuses; the client notices by its closed connection.
                if let Ok(server) = TcpStream::connect(server) {
                    let _ = join(client, server, &all);
                }
            }
        });
        Ok(Self { address, seen })
    }

    /// What has been seen.
    pub(crate) fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }
}

fn join(client: TcpStream, server: TcpStream, seen: &Arc<Mutex<Seen>>) -> Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let waiting = Waiting::default();
    let (to_server, to_client) = (server.try_clone()?, client.try_clone()?);
    let asked = Arc::clone(&waiting);
    thread::spawn(move || {
        let note = |frame: &[u8]| {
            if let Ok((header, _)) = decode_prefix::<RequestHeader>(frame) {
                lock(&asked).entry(header.xid).or_default().push(header.op);
            }
        };
        pump(&client, &to_server, note);
    });
    let seen = Arc::clone(seen);
    thread::spawn(move || {
        let note = |frame: &[u8]| {
            let Ok((header, _)) = decode_prefix::<ReplyHeader>(frame) else {
                return;
            };
            if header.xid == xid::NOTIFICATION {
                return;
            }
            let mut waiting = lock(&waiting);
            if let Some(ops) = waiting.get_mut(&header.xid)
                && !ops.is_empty()
            {
                lock(&seen).insert((ops.remove(0), header.err));
            }
        };
        pump(&server, &to_client, note);
    });
    Ok(())
}

/// Copies bytes as they come and shows every frame but the first, which is the handshake. What is
/// no frame, a four-letter word, is copied all the same.
fn pump(mut from: &TcpStream, mut to: &TcpStream, note: impl Fn(&[u8])) {
    let mut chunk = [0_u8; 65536];
    let mut gathered: Vec<u8> = Vec::new();
    let mut handshake = true;
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        let bytes = chunk.get(..count).unwrap_or_default();
        gathered.extend_from_slice(bytes);
        while let Some(frame) = take_frame(&mut gathered) {
            if !std::mem::take(&mut handshake) {
                note(&frame);
            }
        }
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn take_frame(gathered: &mut Vec<u8>) -> Option<Vec<u8>> {
    let prefix: [u8; 4] = gathered.get(..4)?.try_into().ok()?;
    let end = 4 + usize::try_from(u32::from_be_bytes(prefix)).ok()?;
    let frame = gathered.get(4..end)?.to_vec();
    gathered.drain(..end);
    Some(frame)
}
