//! Owns finding the leader. Source: `Learner.connectToLeader`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use menagerie_core::event::Event;
use menagerie_core::ids::Sid;
use tokio::net::TcpStream;

use super::{Peers, quorum_port, resolve};

/// Attempts; a leader that has just been elected may take a moment to open its port.
const TRIES: u32 = 8;
/// The first pause between attempts, which doubles up to the configured one.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// Connects to a leader and tells the core.
pub(super) async fn run(peers: Arc<Peers>, leader: Sid) {
    let event = match connect(&peers, leader).await {
        Ok(stream) => {
            let (id, link) = peers.links.open();
            // First, so that nothing that the leader says comes before.
            peers
                .shared
                .inbox
                .urgent(Event::LinkUp { leader, link: id });
            quorum_port::spawn(&peers, id, link, stream, None);
            return;
        }
        Err(error) => Event::LinkFailed {
            leader,
            reason: error.to_string(),
        },
    };
    peers.shared.inbox.urgent(event);
}

async fn connect(peers: &Peers, leader: Sid) -> io::Result<TcpStream> {
    let quorum = &peers.shared.config.quorum;
    let ticks = match quorum.connect_to_leader_limit {
        0 => quorum.init_limit,
        ticks => ticks,
    };
    let addresses = peers.addresses(leader);
    if addresses.is_empty() {
        let text = format!("server {leader} is not in the configuration");
        return Err(io::Error::other(text));
    }
    let longest = Duration::from_millis(u64::try_from(quorum.connect_delay_ms).unwrap_or_default());
    let mut pause = FIRST_PAUSE.min(longest);
    let trying = async {
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for _ in 0..TRIES {
            for address in addresses {
                let attempt = async {
                    let at = resolve(&address.host, address.port).await?;
                    TcpStream::connect(&at[..]).await
                };
                match attempt.await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => {
                        let text = format!("{}:{}: {error}", address.host, address.port);
                        failure = io::Error::new(error.kind(), text);
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
        Err(failure)
    };
    match tokio::time::timeout(peers.tick(ticks), trying).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
    }
}
