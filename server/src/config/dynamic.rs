//! Owns the files in which an ensemble that is reconfigured keeps its configuration: beside
//! `zoo.cfg` one file for what is in force, one for what is on its way, and in `zoo.cfg` itself
//! where to find it. Must not decide what is in force.
//! Source: `QuorumPeer.setQuorumVerifier`, `QuorumPeerConfig.writeDynamicConfig` and
//! `editStaticConfig`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use menagerie_core::quorum::{Configs, Membership};
use menagerie_storage::{StorageError, replace};
use menagerie_wire::text::cfg::Members;
use menagerie_wire::text::properties;

/// Behind the name of `zoo.cfg`: the configuration that is on its way.
const NEXT: &str = ".dynamic.next";

/// The files beside one `zoo.cfg`.
#[derive(Debug, Clone)]
pub(crate) struct DynamicFiles {
    file: PathBuf,
}

impl DynamicFiles {
    /// Those of the `zoo.cfg` at `file`.
    pub(crate) const fn new(file: PathBuf) -> Self {
        Self { file }
    }

    fn beside(&self, end: &str) -> PathBuf {
        let mut path = self.file.as_os_str().to_owned();
        path.push(end);
        PathBuf::from(path)
    }

    /// The configuration that was on its way when the server stopped.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub(crate) fn read_next(&self) -> Result<Option<Members>, (PathBuf, String)> {
        let path = self.beside(NEXT);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err((path, error.to_string())),
        };
        match Members::parse_dynamic(&text) {
            Ok(members) => Ok(Some(members)),
            Err(error) => Err((path, error.to_string())),
        }
    }

    /// Keeps a copy of a `zoo.cfg` that lists the servers itself: the first reconfiguration takes
    /// them out. Source: `QuorumPeerConfig.backupOldConfig`.
    ///
    /// # Errors
    /// When the system cannot.
    pub(crate) fn back_up(&self) -> Result<(), StorageError> {
        let bytes = fs::read(&self.file).map_err(StorageError::io("read", &self.file))?;
        replace::write(&self.beside(".bak"), &bytes)
    }

    /// Brings the files from one state to another; `me` is this server.
    ///
    /// # Errors
    /// When the system cannot; the files then show the state before, or a part of the change that
    /// a restart understands.
    pub(crate) fn save(
        &self,
        before: &Configs,
        now: &Configs,
        me: i64,
    ) -> Result<(), StorageError> {
        if let Some(next) = now.next()
            && before.next() != Some(next)
        {
            replace::write(&self.beside(NEXT), lines(next, true).as_bytes())?;
        }
        if now.committed.version() != before.committed.version() {
            let path = self.beside(&format!(".dynamic.{:x}", now.committed.version()));
            replace::write(&path, lines(&now.committed, false).as_bytes())?;
            self.point_to(&path, &now.committed, me)?;
        }
        if now.next().is_none() {
            let path = self.beside(NEXT);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StorageError::io("remove", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Lets `zoo.cfg` name the dynamic file and leaves to that what it says. All else stays, with
    /// its comments and in its order.
    fn point_to(&self, dynamic: &Path, now: &Membership, me: i64) -> Result<(), StorageError> {
        let bytes = fs::read(&self.file).map_err(StorageError::io("read", &self.file))?;
        let with_client = now.members().servers.get(&me);
        let with_client = with_client.is_some_and(|spec| spec.client.is_some());
        let goes = |key: &str| {
            let starts = [
                "server.",
                "group",
                "weight",
                "dynamicConfigFile",
                "peerType",
            ];
            starts.iter().any(|start| key.starts_with(start))
                || with_client && key.starts_with("clientPort")
        };
        let mut text = without(&bytes, goes);
        let path = fs::canonicalize(dynamic).map_err(StorageError::io("find", dynamic))?;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text += "dynamicConfigFile=";
        for c in path.to_string_lossy().chars() {
            match c {
                '\\' => text += "\\\\",
                c if c.is_ascii() => text.push(c),
                c => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        text += &format!("\\u{unit:04x}");
                    }
                }
            }
        }
        text.push('\n');
        let bytes: Vec<u8> = text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
            .collect();
        replace::write(&self.file, &bytes)
    }
}

/// The lines of a dynamic file, sorted. The version is in the file's name once it is in force.
fn lines(membership: &Membership, with_version: bool) -> String {
    let text = membership.to_string();
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| with_version || !line.starts_with("version"))
        .collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// A properties file, ISO-8859-1, without the entries whose key `goes`.
fn without(bytes: &[u8], goes: impl Fn(&str) -> bool) -> String {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let entries = properties::parse_every(&text).unwrap_or_default();
    let begins = |line: usize| entries.iter().find(|entry| entry.line == line);
    let mut kept = String::new();
    let mut dropping = false;
    let mut continued = false;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if !continued {
            let entry = begins(index + 1);
            dropping = entry.is_some_and(|entry| goes(entry.key.trim()));
            continued = entry.is_some();
        }
        if !dropping {
            kept += line;
        }
        let end = line.trim_end_matches(['\r', '\n']);
        let backslashes = end.len() - end.trim_end_matches('\\').len();
        continued &= backslashes % 2 == 1;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership(text: &str) -> Membership {
        Membership::new(Members::parse_dynamic(text).unwrap())
    }

    #[test]
    fn files_follow_the_ensemble() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("zoo.cfg");
        let static_part = "# ours\ntickTime=2000\ndataDir=/d\\\n  ata\nclientPort=2181\n\
                           server.1=a:1:2\nserver.2=b:1:2;\\\n  3\nsyncLimit=5\n";
        fs::write(&file, static_part).unwrap();
        let files = DynamicFiles::new(file);
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).ok();
        files.back_up().unwrap();
        assert_eq!(read("zoo.cfg.bak").as_deref(), Some(static_part));

        let start = Configs::new(membership("server.1=a:1:2\nserver.2=b:1:2;3"));
        let mut seen = start.clone();
        seen.see(membership(
            "server.10=c:1:2;3\nserver.2=b:1:2;3\nversion=100000007",
        ));
        files.save(&start, &seen, 2).unwrap();
        assert_eq!(
            read("zoo.cfg.dynamic.next").as_deref(),
            Some(
                "server.10=c:1:2:participant;0.0.0.0:3\n\
                 server.2=b:1:2:participant;0.0.0.0:3\nversion=100000007"
            )
        );
        let next = files.read_next().unwrap().unwrap();
        assert_eq!(next.version, Some(0x1_0000_0007));

        let mut active = seen.clone();
        active.activate(Membership::new(next));
        files.save(&seen, &active, 2).unwrap();
        assert_eq!(files.read_next(), Ok(None));
        let name = "zoo.cfg.dynamic.100000007";
        let path = fs::canonicalize(dir.path().join(name)).unwrap();
        assert_eq!(
            read(name).as_deref(),
            Some("server.10=c:1:2:participant;0.0.0.0:3\nserver.2=b:1:2:participant;0.0.0.0:3")
        );
        let expected = format!(
            "# ours\ntickTime=2000\ndataDir=/d\\\n  ata\nsyncLimit=5\ndynamicConfigFile={}\n",
            path.display()
        );
        assert_eq!(read("zoo.cfg"), Some(expected));
    }
}
