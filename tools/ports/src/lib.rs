//! Owns the choice of ports for servers under test. May bind, to see that a port is free. Must not
//! hand out a port that the kernel may give to somebody's outgoing connection meanwhile.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below are ports of well-known services.
const LOWEST: u32 = 10_000;
/// Where Linux begins to take ports for outgoing connections, unless it is told otherwise.
const EPHEMERAL: u32 = 32_768;

/// How many ports this process has looked at.
static LOOKED_AT: AtomicU32 = AtomicU32::new(0);

/// A loopback address nobody listens on, with a port that no outgoing connection gets: a server
/// that is stopped for a while finds it free when it comes back.
///
/// # Errors
///
/// When all of these ports are taken.
pub fn free_address() -> io::Result<SocketAddr> {
    let end = first_ephemeral();
    let count = end - LOWEST;
    // Processes at the same time begin at different places.
    let begin = std::process::id().wrapping_mul(97);
    for _ in 0..count {
        let at = begin.wrapping_add(LOOKED_AT.fetch_add(1, Ordering::Relaxed)) % count;
        let Ok(port) = u16::try_from(LOWEST + at) else {
            continue;
        };
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener.local_addr();
        }
    }
    let text = format!("no port from {LOWEST} to {end} is free");
    Err(io::Error::new(io::ErrorKind::AddrInUse, text))
}

fn first_ephemeral() -> u32 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .filter(|first| (LOWEST + 1_000..=EPHEMERAL).contains(first))
        .unwrap_or(EPHEMERAL)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_are_not_ephemeral() {
        let ports: Vec<_> = (0..50).map(|_| free_address().unwrap().port()).collect();
        let mut sorted = ports.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), ports.len());
        assert!(ports.iter().all(|&port| u32::from(port) < EPHEMERAL));
    }
}
