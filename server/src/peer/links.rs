//! Owns what is on its way to leader or learners. The core adds and never waits; a link's task
//! sends. Who takes nothing while too much piles up loses the link.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use menagerie_core::ids::LinkId;
use menagerie_core::zab::packet::Packet;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

use super::snapshot_stream::Outgoing;

/// Bytes that may wait for a slow learner.
const QUEUE_MAX: usize = 512 << 20;

/// A part of what goes out.
#[derive(Debug)]
pub(super) enum Part {
    /// Packets.
    Bytes(Vec<u8>),
    /// The tree.
    Snapshot(Box<Outgoing>),
}

/// How packets get out.
#[derive(Debug)]
pub(super) enum Way {
    /// Whoever adds them may send them.
    Socket(Arc<OwnedWriteHalf>),
    /// Only the link's task does, which encrypts them.
    Task,
}

#[derive(Debug, Default)]
struct Queue {
    parts: VecDeque<Part>,
    /// Bytes of the first part that are sent.
    sent: usize,
    bytes: usize,
    /// Where it goes, once the link's task runs.
    way: Option<Way>,
    /// Whether the link's task has taken something that is not sent yet.
    busy: bool,
    /// Why the link ends.
    closed: Option<String>,
}

/// One link's queue.
#[derive(Debug, Default)]
pub(super) struct Link {
    queue: Mutex<Queue>,
    wake: Notify,
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, packet: &Packet, snapshot: &impl Fn() -> Outgoing) {
        let mut queue = self.lock();
        if queue.closed.is_some() {
            return;
        }
        let mut bytes = match queue.parts.pop_back() {
            Some(Part::Bytes(bytes)) => bytes,
            other => {
                queue.parts.extend(other);
                Vec::with_capacity(4096)
            }
        };
        let before = bytes.len();
        packet.encode(&mut bytes);
        queue.bytes += bytes.len() - before;
        queue.parts.push_back(Part::Bytes(bytes));
        if matches!(packet, Packet::Snap(_)) {
            let outgoing = Box::new(snapshot());
            queue.parts.push_back(Part::Snapshot(outgoing));
        }
        if queue.bytes > QUEUE_MAX {
            queue.closed = Some("it takes packets too slowly".to_owned());
        }
    }

    /// Whether it was not closed before.
    fn close(&self, reason: &str) -> bool {
        let mut queue = self.lock();
        let first = queue.closed.is_none();
        if first {
            queue.closed = Some(reason.to_owned());
        }
        drop(queue);
        self.wake.notify_one();
        first
    }

    /// The link's task runs.
    pub(super) fn attach(&self, way: Way) {
        self.lock().way = Some(way);
    }

    /// Sends what the socket takes at once, without the detour over the link's task; that one is
    /// woken for the rest.
    fn flush(&self) {
        let mut queue = self.lock();
        let queue = &mut *queue;
        let socket = match queue.way.as_ref().filter(|_| !queue.busy) {
            Some(Way::Socket(socket)) => socket,
            Some(Way::Task) => {
                self.wake.notify_one();
                return;
            }
            None => return,
        };
        while let Some(Part::Bytes(bytes)) = queue.parts.front() {
            let rest = bytes.get(queue.sent..).unwrap_or_default();
            match socket.try_write(rest) {
                Ok(sent) if sent < rest.len() => queue.sent += sent,
                Ok(_) => {
                    queue.bytes = queue.bytes.saturating_sub(bytes.len());
                    queue.sent = 0;
                    queue.parts.pop_front();
                }
                // The task will see what is wrong, or wait until there is room.
                Err(_) => break,
            }
        }
        if !queue.parts.is_empty() {
            self.wake.notify_one();
        }
    }

    /// The next part with the bytes of it that are sent already, or why there is none any more.
    pub(super) async fn next(&self) -> Result<(Part, usize), String> {
        loop {
            {
                let mut queue = self.lock();
                queue.busy = false;
                if let Some(part) = queue.parts.pop_front() {
                    queue.busy = true;
                    if let Part::Bytes(bytes) = &part {
                        queue.bytes = queue.bytes.saturating_sub(bytes.len());
                    }
                    return Ok((part, std::mem::take(&mut queue.sent)));
                }
                if let Some(reason) = &queue.closed {
                    return Err(reason.clone());
                }
            }
            self.wake.notified().await;
        }
    }
}

/// All links.
#[derive(Debug, Default)]
pub(crate) struct Links {
    links: Mutex<HashMap<LinkId, Arc<Link>>>,
    next: AtomicU64,
}

impl Links {
    fn lock(&self) -> MutexGuard<'_, HashMap<LinkId, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new link.
    pub(super) fn open(&self) -> (LinkId, Arc<Link>) {
        let id = LinkId(self.next.fetch_add(1, Relaxed) + 1);
        let link = Arc::new(Link::default());
        self.lock().insert(id, Arc::clone(&link));
        (id, link)
    }

    /// The link is gone.
    pub(super) fn forget(&self, id: LinkId) {
        self.lock().remove(&id);
    }

    /// Adds packets and wakes those who send them. `snapshot` takes the tree for learners that need
    /// it all.
    pub(crate) fn send(
        &self,
        packets: &mut Vec<(LinkId, Packet)>,
        snapshot: impl Fn() -> Outgoing,
    ) {
        if packets.is_empty() {
            return;
        }
        let links = self.lock();
        let mut woken: Vec<(LinkId, &Arc<Link>)> = Vec::new();
        for (id, packet) in packets.drain(..) {
            if let Some(link) = links.get(&id) {
                link.push(&packet, &snapshot);
                if woken.iter().all(|(other, _)| *other != id) {
                    woken.push((id, link));
                }
            }
        }
        for (_, link) in woken {
            link.flush();
        }
    }

    /// Ends a link when everything before is sent. What the other side had sent before it noticed can
    /// give more reasons; only the first is told.
    pub(crate) fn close(&self, id: LinkId, reason: &str) {
        let link = self.lock().get(&id).cloned();
        if link.is_some_and(|link| link.close(reason)) {
            tracing::info!(link = id.0, "closing a link: {reason}");
        }
    }

    /// How many links there are.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}
