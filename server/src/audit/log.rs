//! Owns the way of lines out of the server: a bounded queue and a thread that writes it. Must not
//! make anybody wait.
//!
//! **When the queue is full**, which takes a disk that stands still, lines are lost, never clients
//! kept waiting: the audit log says in that place how many (`operation=auditLinesLost`), and the
//! server's log warns.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use menagerie_core::effect::Reply;

use super::asked::Asked;
use super::file::AuditFile;
use super::line::{Fields, Line, Outcome};
use super::user::system_user;

/// What writes the audit log in ZooKeeper unless another class is named.
pub(crate) const AUDIT_CLASS: &str = "org.apache.zookeeper.audit.Slf4jAuditLogger";
/// Lines that may wait.
const LINES_MAX: usize = 16_384;
/// Bytes that they may have.
const BYTES_MAX: usize = 32 << 20;
/// How long a server that stops waits for its last lines.
const GRACE: Duration = Duration::from_secs(2);

/// The settings of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditSettings {
    pub(crate) enabled: bool,
    /// The Java class that writes it.
    pub(crate) class: String,
    /// Where to; the server's log if nowhere.
    pub(crate) file: Option<PathBuf>,
    /// MiB of a file, 0 for no limit.
    pub(crate) max_file_mb: u32,
    /// Full files that are kept.
    pub(crate) max_backups: u32,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            class: AUDIT_CLASS.to_owned(),
            file: None,
            // Source: the appender RFAAUDIT of conf/logback.xml.
            max_file_mb: 10,
            max_backups: 10,
        }
    }
}

enum Message {
    Line(Line),
    /// Everything before it is to be written; then say so.
    Stop(Sender<()>),
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

/// The audit log of a server that has one.
#[derive(Debug)]
pub(crate) struct AuditLog {
    queue: Mutex<SyncSender<Message>>,
    waiting: Arc<Waiting>,
    /// Whom the server runs as.
    user: String,
}

impl AuditLog {
    /// Opens it and starts its thread, if it is asked for.
    pub(crate) fn open(settings: &AuditSettings) -> io::Result<Option<Self>> {
        if !settings.enabled {
            return Ok(None);
        }
        let max_bytes = u64::from(settings.max_file_mb) << 20;
        let file = settings.file.as_ref();
        let file = file.map(|path| AuditFile::open(path, max_bytes, settings.max_backups));
        let (queue, lines) = sync_channel(LINES_MAX);
        let waiting = Arc::new(Waiting::default());
        let writer = Writer {
            lines,
            waiting: Arc::clone(&waiting),
            file: file.transpose()?,
            failing: false,
        };
        std::thread::Builder::new()
            .name("menagerie-audit".to_owned())
            .spawn(move || writer.run())?;
        Ok(Some(Self {
            queue: Mutex::new(queue),
            waiting,
            user: system_user(),
        }))
    }

    fn push(&self, line: Line) {
        let bytes = line.text.len();
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = self.waiting.bytes.load(Relaxed) + bytes <= BYTES_MAX;
        // Before it is sent, so that the writer does not count down first.
        self.waiting.bytes.fetch_add(bytes, Relaxed);
        if !has_room || queue.try_send(Message::Line(line)).is_err() {
            self.waiting.bytes.fetch_sub(bytes, Relaxed);
            self.waiting.lost.fetch_add(1, Relaxed);
        }
    }

    /// A request of a client is answered.
    pub(crate) fn replied(&self, asked: &Asked, reply: &Reply<'_>) {
        for line in asked.lines(reply) {
            self.push(line);
        }
    }

    /// Something that the server does by itself.
    pub(crate) fn server_does(&self, operation: &str, outcome: Outcome) {
        let fields = Fields {
            user: Some(&self.user),
            operation,
            ..Fields::default()
        };
        self.push(fields.line(outcome));
    }

    /// An ephemeral node went with its session, or should have. Source: `DataTree.deleteNodes`.
    pub(crate) fn ephemeral_gone(&self, session: i64, path: &str, existed: bool) {
        let fields = Fields {
            session: Some(session),
            user: Some(&self.user),
            operation: "ephemeralZNodeDeletionOnSessionCloseOrExpire",
            znode: Some(path),
            ..Fields::default()
        };
        let outcome = if existed {
            Outcome::Success
        } else {
            Outcome::Failure
        };
        self.push(fields.line(outcome));
    }

    /// Waits until everything is written, or for so long that there is no hope of it.
    pub(crate) fn stop(&self) {
        let (written, wait) = channel();
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.try_send(Message::Stop(written)).is_err() || wait.recv_timeout(GRACE).is_err() {
            tracing::error!("the last lines of the audit log could not be written in time");
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// The thread.
struct Writer {
    lines: Receiver<Message>,
    waiting: Arc<Waiting>,
    file: Option<AuditFile>,
    /// Whether the last line could not be written.
    failing: bool,
}

impl Writer {
    fn run(mut self) {
        while let Ok(message) = self.lines.recv() {
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Line(line) => {
                        self.waiting.bytes.fetch_sub(line.text.len(), Relaxed);
                        self.tell_losses();
                        if !self.write(&line) {
                            self.waiting.lost.fetch_add(1, Relaxed);
                        }
                    }
                    Message::Stop(written) => {
                        self.tell_losses();
                        self.flush();
                        let _nobody_waits = written.send(());
                    }
                }
                next = self.lines.try_recv().ok();
            }
            self.flush();
        }
    }

    fn tell_losses(&mut self) {
        let lost = self.waiting.lost.swap(0, Relaxed);
        if lost > 0 {
            if !self.failing {
                tracing::warn!(lost, "the audit log could not keep up: lines are lost");
            }
            let text = format!("operation=auditLinesLost\tcount={lost}\tresult=failure");
            let outcome = Outcome::Failure;
            if !self.write(&Line { text, outcome }) {
                self.waiting.lost.fetch_add(lost, Relaxed);
            }
        }
    }

    /// Whether it is written, as far as one can know before it is flushed.
    fn write(&mut self, line: &Line) -> bool {
        let Some(file) = &mut self.file else {
            match line.outcome {
                Outcome::Failure => tracing::error!(target: "audit", "{}", line.text),
                _ => tracing::info!(target: "audit", "{}", line.text),
            }
            return true;
        };
        let written = file.write(line, now_ms());
        self.note(written)
    }

    fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            let written = file.flush();
            let _told = self.note(written);
        }
    }

    /// A disk that is full is told once, and again after it was not.
    fn note(&mut self, written: io::Result<()>) -> bool {
        if let Err(error) = &written
            && !self.failing
        {
            tracing::error!(%error, "the audit log cannot be written");
        }
        self.failing = written.is_err();
        !self.failing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_queue_cannot_take_is_counted_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let (queue, lines) = sync_channel(2);
        let waiting = Arc::new(Waiting::default());
        let log = AuditLog {
            queue: Mutex::new(queue),
            waiting: Arc::clone(&waiting),
            user: "zk".to_owned(),
        };
        for number in 0..5 {
            log.ephemeral_gone(7, &format!("/{number}"), number > 0);
        }
        let writer = Writer {
            lines,
            waiting,
            file: Some(AuditFile::open(&path, 0, 0).unwrap()),
            failing: false,
        };
        drop(log);
        writer.run();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text
            .lines()
            .map(|line| line.split_once(": ").unwrap().1)
            .collect();
        let deleted = "operation=ephemeralZNodeDeletionOnSessionCloseOrExpire";
        assert_eq!(
            lines,
            [
                "operation=auditLinesLost\tcount=3\tresult=failure".to_owned(),
                format!("session=0x7\tuser=zk\t{deleted}\tznode=/0\tresult=failure"),
                format!("session=0x7\tuser=zk\t{deleted}\tznode=/1\tresult=success"),
            ]
        );
    }

    #[test]
    fn a_server_that_stops_has_written_everything() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let settings = AuditSettings {
            enabled: true,
            file: Some(path.clone()),
            ..AuditSettings::default()
        };
        let log = AuditLog::open(&settings).unwrap().unwrap();
        for _ in 0..1000 {
            log.server_does("serverStop", Outcome::Invoked);
        }
        log.stop();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap().lines().count(),
            1000
        );
        let nowhere = AuditSettings {
            file: Some(dir.path().join("no/such/folder")),
            ..settings
        };
        assert!(AuditLog::open(&nowhere).is_err());
    }
}
