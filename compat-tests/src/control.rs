//! Owns a server that tests may restart: a thread that runs it, and a port where a line `restart`
//! or `kill` does so, answered by `ok` when the server serves again. Must not interpret tests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::programs::Programs;
use crate::server::{Kind, Server, Settings};

/// A running server with a control port.
#[derive(Debug)]
pub(crate) struct Controlled {
    /// Where the server listens.
    pub(crate) address: SocketAddr,
    /// Where it is controlled.
    pub(crate) control: SocketAddr,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<String>>,
}

impl Controlled {
    /// Starts a server and its control port.
    pub(crate) fn start(kind: Kind, programs: &Programs, settings: Settings) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let control = listener.local_addr()?;
        let end = Arc::new(AtomicBool::new(false));
        let (report, started) = mpsc::channel();
        let (programs, told) = (programs.clone(), Arc::clone(&end));
        // The server dies with the thread that starts it, so one thread does so every time.
        let thread = thread::spawn(move || {
            let mut server = match Server::started(kind, &programs, settings) {
                Ok(server) => server,
                Err(error) => {
                    let _ = report.send(Err(error));
                    return String::new();
                }
            };
            let _ = report.send(Ok(server.address()));
            while let Ok((stream, _)) = listener.accept() {
                if told.load(Ordering::Acquire) {
                    break;
                }
                if let Err(error) = serve(&mut server, &stream) {
                    let _ = writeln!(&stream, "error: {error:#}");
                }
            }
            server.log_tail()
        });
        let address = started.recv().context("the server's thread is gone")??;
        Ok(Self {
            address,
            control,
            end,
            thread: Some(thread),
        })
    }

    /// Ends the server; the end of its log.
    pub(crate) fn finish(mut self) -> String {
        self.join()
    }

    fn join(&mut self) -> String {
        self.end.store(true, Ordering::Release);
        // Wakes the thread from accept.
        let _ = TcpStream::connect_timeout(&self.control, Duration::from_secs(1));
        let thread = self.thread.take();
        thread.and_then(|t| t.join().ok()).unwrap_or_default()
    }
}

impl Drop for Controlled {
    fn drop(&mut self) {
        self.join();
    }
}

fn serve(server: &mut Server, stream: &TcpStream) -> Result<()> {
    obey(stream, |word| {
        match word {
            "restart" => server.stop()?,
            "kill" => server.kill()?,
            other => bail!("unknown command {other:?}"),
        }
        server.start()
    })
}

/// Does what each line asks for, and answers `ok` when it is done.
pub(crate) fn obey(stream: &TcpStream, mut command: impl FnMut(&str) -> Result<()>) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        command(line.trim())?;
        (&mut &*stream).write_all(b"ok\n")?;
        line.clear();
    }
    Ok(())
}
