//! Owns finding whom to learn through, the leader or a follower that serves observers, and connecting
//! to whichever of a server's addresses answers.
//! Source: `Learner.connectToLeader`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use menagerie_core::effect::Port;
use menagerie_core::event::Event;
use menagerie_core::ids::Sid;
use menagerie_tls::Stream;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::quorum_port::{self, Connection};
use super::{Peers, resolve, secure};

/// Attempts; who has just begun to lead or to follow may take a moment to open its port.
const TRIES: u32 = 8;
/// The same at a follower: another one may be ready to serve an observer.
const TRIES_AT_FOLLOWER: u32 = 2;
/// The first pause between attempts, which doubles up to the configured one.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// How much earlier than the next one an address of a server is tried: where all answer, only the
/// first gets a connection.
const HEAD_START: Duration = Duration::from_millis(20);

/// Connects after a pause and tells the core.
pub(super) async fn run(peers: Arc<Peers>, to: Sid, port: Port, pause: Duration) {
    tokio::time::sleep(pause).await;
    let event = match connect(&peers, to, port).await {
        Ok(stream) => {
            let (id, link) = peers.links.open();
            // First, so that nothing that the other side says comes before.
            peers.shared.inbox.urgent(Event::LinkUp { to, link: id });
            quorum_port::spawn(&peers, id, link, Connection::Dialled(stream));
            return;
        }
        Err(error) => Event::LinkFailed {
            to,
            reason: error.to_string(),
        },
    };
    peers.shared.inbox.urgent(event);
}

async fn connect(peers: &Peers, to: Sid, port: Port) -> io::Result<Stream> {
    let quorum = &peers.shared.config.quorum;
    let ticks = match quorum.connect_to_leader_limit {
        0 => quorum.init_limit,
        ticks => ticks,
    };
    let mut addresses = peers.book.of(to);
    if let (Port::ObserverMaster, Some(port)) = (port, quorum.observer_master_port()) {
        addresses.iter_mut().for_each(|address| address.port = port);
    }
    if addresses.is_empty() {
        let text = format!("server {to} is not in the configuration");
        return Err(io::Error::other(text));
    }
    let longest = Duration::from_millis(u64::try_from(quorum.connect_delay_ms).unwrap_or_default());
    let tries = match port {
        Port::Quorum => TRIES,
        Port::ObserverMaster => TRIES_AT_FOLLOWER,
    };
    let names: Vec<String> = addresses
        .iter()
        .map(|address| format!("{}:{}", address.host, address.port))
        .collect();
    let attempts = addresses
        .into_iter()
        .map(|address| persevere(address.host, address.port, tries, longest))
        .collect();
    let patience = peers.tick(ticks);
    match tokio::time::timeout(patience, race(attempts)).await {
        Ok(Ok((socket, host))) => {
            let mut stream = secure::outgoing(&peers.shared, socket, &host).await?;
            if let Some(sasl) = &peers.shared.config.quorum_auth.sasl {
                sasl.log_in(&mut stream, patience).await?;
            }
            Ok(stream)
        }
        Ok(Err(error)) => Err(error),
        Err(_) => {
            let (names, ms) = (names.join(", "), patience.as_millis());
            let text = format!("{names}: no answer within {ms} ms");
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        }
    }
}

/// Tries an address again and again.
async fn persevere(
    host: String,
    port: u16,
    tries: u32,
    longest: Duration,
) -> io::Result<(TcpStream, String)> {
    let mut pause = FIRST_PAUSE.min(longest);
    let mut tried = 1;
    loop {
        match one(&host, port).await {
            Err(_) if tried < tries => {}
            result => return result.map(|socket| (socket, host)),
        }
        tried += 1;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// A connection to one address; an error names it.
pub(super) async fn one(host: &str, port: u16) -> io::Result<TcpStream> {
    let attempt = async {
        let at = resolve(host, port).await?;
        TcpStream::connect(&at[..]).await
    };
    attempt
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{host}:{port}: {error}")))
}

/// The first connection that comes about, or all the reasons why none does.
pub(super) async fn race<T, F>(attempts: Vec<F>) -> io::Result<T>
where
    F: Future<Output = io::Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let (mut waiting, mut running) = (attempts.into_iter(), JoinSet::new());
    let mut kind = io::ErrorKind::AddrNotAvailable;
    let mut failures: Vec<String> = Vec::new();
    loop {
        if let Some(attempt) = waiting.next() {
            running.spawn(attempt);
        }
        let ended = tokio::select! {
            ended = running.join_next() => ended,
            () = tokio::time::sleep(HEAD_START), if waiting.len() > 0 => continue,
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => {
                kind = error.kind();
                failures.push(error.to_string());
            }
            // Nobody ends them but this function.
            Some(Err(_)) => {}
            None => return Err(io::Error::new(kind, failures.join("; "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Instant;

    use tokio::net::TcpListener;

    use super::*;

    async fn listening() -> (TcpListener, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    async fn never() -> io::Result<TcpStream> {
        std::future::pending().await
    }

    type Attempt = std::pin::Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

    #[tokio::test]
    async fn one_that_does_not_answer_keeps_nobody_waiting() {
        let (_listener, port) = listening().await;
        let good = async move { one("127.0.0.1", port).await };
        let attempts: Vec<Attempt> = vec![Box::pin(never()), Box::pin(good)];
        let begun = Instant::now();
        let stream = race(attempts).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap().port(), port);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn only_the_first_of_those_that_answer_gets_a_connection() {
        let ((first, port), (second, other)) = (listening().await, listening().await);
        let attempts: Vec<Attempt> = vec![
            Box::pin(async move { one("127.0.0.1", port).await }),
            Box::pin(async move { one("127.0.0.1", other).await }),
        ];
        race(attempts).await.unwrap();
        first.accept().await.unwrap();
        let late = tokio::time::timeout(Duration::from_millis(200), second.accept());
        assert!(late.await.is_err());
    }

    #[tokio::test]
    async fn all_reasons_are_told() {
        let ((first, port), (second, other)) = (listening().await, listening().await);
        drop((first, second));
        let attempts: Vec<Attempt> = vec![
            Box::pin(async move { one("127.0.0.1", port).await }),
            Box::pin(async move { one("127.0.0.1", other).await }),
        ];
        let text = race(attempts).await.unwrap_err().to_string();
        for port in [port, other] {
            assert!(text.contains(&format!("127.0.0.1:{port}: ")), "{text}");
        }
    }
}
