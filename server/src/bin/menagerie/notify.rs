//! Owns what a service manager is told: that the server is ready, alive, stopping. May send
//! datagrams to the socket that the environment names. Must not fail the server.
//! Source: sd_notify(3), systemd.service(5).

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager that started this process, if there is one that wants to hear.
#[derive(Debug)]
pub(crate) struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How long it waits for a sign of life.
    watchdog: Option<Duration>,
}

impl Notify {
    /// What the environment says.
    pub(crate) fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let socket = env("NOTIFY_SOCKET").and_then(|name| match open(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!("NOTIFY_SOCKET={name}: {error}; the service manager hears nothing");
                None
            }
        });
        // WATCHDOG_PID is there when the variables may be inherited by those whom they do not mean.
        let mine = env("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = env("WATCHDOG_USEC")
            .filter(|_| mine && socket.is_some())
            .and_then(|usec| usec.parse().ok())
            .filter(|usec| *usec > 0)
            .map(Duration::from_micros);
        Self { socket, watchdog }
    }

    /// How often a sign of life is due: twice in the time that the service manager waits.
    pub(crate) fn watchdog_period(&self) -> Option<Duration> {
        let half = self.watchdog? / 2;
        Some(half.max(Duration::from_millis(1)))
    }

    /// Sends assignments such as `READY=1`, one a line.
    pub(crate) fn send(&self, text: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(text.as_bytes(), address)
        {
            tracing::warn!("cannot tell the service manager {text:?}: {error}");
        }
    }
}

fn open(name: &str) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not hold up the server.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Notify {
        Notify::from_env(&|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time() {
        let socket = ("NOTIFY_SOCKET", "@nobody");
        let period = |variables: &[(&str, &str)]| with(variables).watchdog_period();
        let second = ("WATCHDOG_USEC", "1000000");
        assert_eq!(period(&[socket, second]), Some(Duration::from_millis(500)));
        assert_eq!(period(&[socket]), None);
        assert_eq!(period(&[second]), None, "nobody listens");
        assert_eq!(period(&[socket, second, ("WATCHDOG_PID", "1")]), None);
        assert_eq!(period(&[socket, ("WATCHDOG_USEC", "0")]), None);
    }
}
