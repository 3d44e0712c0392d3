//! Owns the audit log's file: lines with time and severity, another file when one is full. May write
//! files. Must not decide what is written.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::line::{Line, Outcome};
use crate::java_date;

/// The file and its predecessors, `NAME.1` being the youngest.
#[derive(Debug)]
pub(super) struct AuditFile {
    path: PathBuf,
    /// Bytes after which another file is begun; 0 is never.
    max_bytes: u64,
    /// Predecessors that are kept.
    keep: u32,
    out: BufWriter<File>,
    bytes: u64,
}

impl AuditFile {
    pub(super) fn open(path: &Path, max_bytes: u64, keep: u32) -> io::Result<Self> {
        let (file, bytes) = append_to(path)?;
        Ok(Self {
            path: path.to_owned(),
            max_bytes,
            keep,
            out: BufWriter::new(file),
            bytes,
        })
    }

    pub(super) fn write(&mut self, line: &Line, now_ms: i64) -> io::Result<()> {
        // As Apache's logback.xml has it: time, severity, logger.
        let level = match line.outcome {
            Outcome::Failure => "ERROR",
            Outcome::Success | Outcome::Invoked => "INFO",
        };
        let time = java_date::iso(now_ms);
        let text = format!("{time} {level} audit.Slf4jAuditLogger: {}\n", line.text);
        let bytes = text.len() as u64;
        if self.max_bytes > 0 && self.bytes > 0 && self.bytes + bytes > self.max_bytes {
            self.roll()?;
        }
        self.out.write_all(text.as_bytes())?;
        self.bytes += bytes;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn name(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn roll(&mut self) -> io::Result<()> {
        self.out.flush()?;
        for number in (1..self.keep).rev() {
            let old = self.name(number);
            if old.exists() {
                fs::rename(old, self.name(number + 1))?;
            }
        }
        if self.keep > 0 {
            fs::rename(&self.path, self.name(1))?;
        } else {
            fs::remove_file(&self.path)?;
        }
        let (file, bytes) = append_to(&self.path)?;
        self.out = BufWriter::new(file);
        self.bytes = bytes;
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<(File, u64)> {
    let file = File::options().create(true).append(true).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_files_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let line = |number: u32| Line {
            text: format!("{number:0>100}"),
            outcome: Outcome::Success,
        };
        let mut file = AuditFile::open(&path, 400, 2).unwrap();
        for number in 0..8 {
            file.write(&line(number), 0).unwrap();
        }
        file.flush().unwrap();
        let last = |name: &str| {
            let text = fs::read_to_string(dir.path().join(name)).unwrap();
            assert!(text.len() <= 400);
            text.trim_end().chars().last().unwrap()
        };
        assert_eq!((last("audit.log"), last("audit.log.1")), ('7', '5'));
        assert_eq!(last("audit.log.2"), '3');
        assert!(!dir.path().join("audit.log.3").exists());
        drop(file);
        // What is there stays.
        let mut file = AuditFile::open(&path, 0, 0).unwrap();
        file.write(&line(8), 0).unwrap();
        file.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    }
}
