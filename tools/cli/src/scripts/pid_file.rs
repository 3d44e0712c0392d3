//! Owns the file with the number of the server's process. Must never take another process for a
//! server: numbers are used again.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

/// Words one of which stands in the command line of a server, ours or Apache's.
const SERVERS: [&str; 3] = ["menagerie", "zookeeper", "zoo.cfg"];

/// The file.
#[derive(Debug)]
pub(super) struct PidFile {
    pub(super) path: PathBuf,
}

impl PidFile {
    pub(super) fn write(&self, pid: u32) -> io::Result<()> {
        fs::write(&self.path, pid.to_string())
    }

    /// The number in it.
    ///
    /// # Errors
    /// When the file is there and has no number, or cannot be read.
    pub(super) fn read(&self) -> io::Result<Option<i32>> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let number: Option<i32> = text.trim().parse().ok();
        match number.filter(|number| *number > 0) {
            Some(number) => Ok(Some(number)),
            None => Err(io::Error::new(
                ErrorKind::InvalidData,
                "no process number in it",
            )),
        }
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether a process is there and is a server.
pub(super) fn is_server(pid: i32) -> bool {
    let proc = Path::new("/proc").join(pid.to_string());
    let Ok(command_line) = fs::read(proc.join("cmdline")) else {
        return false;
    };
    let command_line = String::from_utf8_lossy(&command_line).to_lowercase();
    // A process that has ended and that nobody has waited for has no command line.
    SERVERS.iter().any(|word| command_line.contains(word))
}

/// Asks a process to end; one that has ended already is as good.
pub(super) fn terminate(pid: i32) -> io::Result<()> {
    let pid = Pid::from_raw(pid).ok_or(ErrorKind::InvalidInput)?;
    match kill_process(pid, Signal::TERM) {
        Err(Errno::SRCH) => Ok(()),
        result => Ok(result?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_processes_are_no_servers() {
        // The tests' own command line has the name of the tools.
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(is_server(own));
        assert!(!is_server(i32::MAX));
        let mut other = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = i32::try_from(other.id()).unwrap();
        let sleeps =
            || fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|c| c.starts_with(b"sleep"));
        while !sleeps() {
            std::thread::yield_now();
        }
        assert!(!is_server(pid));
        terminate(pid).unwrap();
        assert!(!other.wait().unwrap().success());
    }

    #[test]
    fn the_file_has_a_number_or_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = PidFile {
            path: dir.path().join("pid"),
        };
        assert_eq!(file.read().unwrap(), None);
        file.write(7).unwrap();
        assert_eq!(file.read().unwrap(), Some(7));
        for text in ["", "x", "-1", "0"] {
            fs::write(&file.path, text).unwrap();
            assert_eq!(file.read().unwrap_err().kind(), ErrorKind::InvalidData);
        }
        file.remove().unwrap();
        file.remove().unwrap();
    }
}
