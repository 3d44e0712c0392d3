//! A blocking client on the wire records, and the server's binary as a process.

#![allow(dead_code)]

pub mod http;
pub mod members;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use menagerie_wire::client::{
    ConnectRequest, ConnectResponse, CreateRequest, GetDataResponse, PathVersionRequest,
    PathWatchRequest, ReplyHeader, RequestHeader, SetDataRequest,
};
use menagerie_wire::data::Acl;
use menagerie_wire::jute::{self, decode_prefix};
use menagerie_wire::op::op_code;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A reply: its header and what is behind it.
pub type Answer = (ReplyHeader, Vec<u8>);

/// A connection with a session.
pub struct Client {
    pub stream: TcpStream,
    pub session: i64,
    pub password: Vec<u8>,
    pub timeout_ms: i32,
    xid: i32,
}

impl Client {
    /// Opens a session.
    pub fn connect(address: SocketAddr) -> std::io::Result<Self> {
        Self::attach(address, 0, &[0; 16], 10_000)
    }

    /// Opens a session, or takes one up again.
    pub fn attach(
        address: SocketAddr,
        session_id: i64,
        password: &[u8],
        time_out: i32,
    ) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            time_out,
            session_id,
            passwd: Some(password),
            read_only: Some(false),
        };
        send(&mut stream, &jute::to_vec(&request))?;
        let answer = receive(&mut stream)?;
        let (response, _) = decode_prefix::<ConnectResponse<'_>>(&answer).unwrap();
        Ok(Self {
            session: response.session_id,
            password: response.passwd.unwrap_or_default().to_vec(),
            timeout_ms: response.time_out,
            stream,
            xid: 0,
        })
    }

    /// Sends a request without waiting.
    pub fn send(&mut self, op: i32, body: &[u8]) -> std::io::Result<i32> {
        self.xid += 1;
        let mut frame = jute::to_vec(&RequestHeader { xid: self.xid, op });
        frame.extend_from_slice(body);
        send(&mut self.stream, &frame)?;
        Ok(self.xid)
    }

    /// The next reply or event.
    pub fn receive(&mut self) -> std::io::Result<Answer> {
        let frame = receive(&mut self.stream)?;
        let (header, body) = decode_prefix::<ReplyHeader>(&frame).unwrap();
        Ok((header, body.to_vec()))
    }

    /// Sends a request and waits for its reply.
    pub fn call(&mut self, op: i32, body: &[u8]) -> std::io::Result<Answer> {
        let xid = self.send(op, body)?;
        let answer = self.receive()?;
        assert_eq!(answer.0.xid, xid);
        Ok(answer)
    }

    /// Creates a node and returns the error code.
    pub fn create(&mut self, path: &str, data: &[u8], flags: i32) -> i32 {
        self.call(op_code::CREATE, &create_body(path, data, flags))
            .unwrap()
            .0
            .err
    }

    /// Sets data and returns the error code.
    pub fn set(&mut self, path: &str, data: &[u8]) -> i32 {
        let request = SetDataRequest {
            path: Some(path.into()),
            data: Some(data),
            version: -1,
        };
        self.call(op_code::SET_DATA, &jute::to_vec(&request))
            .unwrap()
            .0
            .err
    }

    /// Deletes a node and returns the error code.
    pub fn delete(&mut self, path: &str) -> i32 {
        let request = PathVersionRequest {
            path: Some(path.into()),
            version: -1,
        };
        self.call(op_code::DELETE, &jute::to_vec(&request))
            .unwrap()
            .0
            .err
    }

    /// A node's data, or the error code.
    pub fn get(&mut self, path: &str) -> Result<Vec<u8>, i32> {
        let request = PathWatchRequest {
            path: Some(path.into()),
            watch: false,
        };
        let (header, body) = self
            .call(op_code::GET_DATA, &jute::to_vec(&request))
            .unwrap();
        if header.err != 0 {
            return Err(header.err);
        }
        let (response, _) = decode_prefix::<GetDataResponse<'_>>(&body).unwrap();
        Ok(response.data.unwrap_or_default().to_vec())
    }
}

/// The body of a create.
pub fn create_body(path: &str, data: &[u8], flags: i32) -> Vec<u8> {
    jute::to_vec(&CreateRequest {
        path: Some(path.into()),
        data: Some(data),
        acl: Some(vec![Acl::new(31, "world", "anyone")]),
        flags,
    })
}

/// Sends one frame.
pub fn send(stream: &mut TcpStream, payload: &[u8]) -> std::io::Result<()> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(payload);
    stream.write_all(&frame)
}

/// Receives one frame.
pub fn receive(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let mut frame = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

/// A four-letter word's answer.
pub fn word(address: SocketAddr, word: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(word.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The binary as a process, killed when dropped.
pub struct Process {
    pub child: Child,
    pub address: SocketAddr,
}

/// Writes a configuration for `dir` and returns its path.
pub fn write_config(dir: &Path, more: &str) -> PathBuf {
    let path = dir.join("zoo.cfg");
    let data = dir.join("data");
    let text = format!(
        "clientPort=0\nclientPortAddress=127.0.0.1\ndataDir={}\ntickTime=500\nmaxClientCnxns=0\n\
         4lw.commands.whitelist=*\n{more}",
        data.display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// The binary's command line, with its output captured.
pub fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie"));
    command
        .arg(config)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null());
    command
        .env_remove("JVMFLAGS")
        .env_remove("SERVER_JVMFLAGS")
        .env("RUST_LOG", "info");
    command
}

/// Runs the binary where it is expected to end by itself; its exit code and messages.
pub fn run_to_end(config: &Path) -> (Option<i32>, String) {
    let mut child = command(config).stdout(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Sends a signal by its name.
pub fn send_signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let mut kill = Command::new("kill");
    assert!(kill.args(["-s", name, &pid]).status().unwrap().success());
}

impl Process {
    /// Starts the binary and waits for its ready line.
    pub fn start(config: &Path) -> Self {
        Self::run(&mut command(config))
    }

    /// Runs a command line of the binary and waits for its ready line.
    pub fn run(command: &mut Command) -> Self {
        Self::run_logging(command, Stdio::null())
    }

    /// The same, with its log going somewhere.
    pub fn run_logging(command: &mut Command, log: Stdio) -> Self {
        let mut child = command.stderr(log).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _nobody_listens = send.send(line);
            }
        });
        let line = lines.recv_timeout(PATIENCE).expect("no ready line");
        let port = line
            .strip_prefix("menagerie ready clientPort=")
            .expect("no ready line");
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        Self { child, address }
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        send_signal(&self.child, "TERM");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
