//! Owns where things are: the script, its configuration, the server's program, the log. The rules
//! are those of Apache's zkEnv.sh. Must not start anything.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::java_env;
use crate::env::Env;

/// The server's program.
const SERVER: &str = "menagerie";

/// Where a script stands, and its environment.
#[derive(Debug)]
pub(crate) struct Place {
    /// The path that the script was called by.
    pub(super) script: String,
    pub(super) env: Env,
}

impl Place {
    /// For the script called as `script`.
    pub(crate) fn new(script: &str, env: Env) -> Self {
        Self {
            script: script.to_owned(),
            env,
        }
    }

    /// The script's directory; of one that was found on PATH, where it was found.
    fn bin_dir(&self) -> Option<PathBuf> {
        let script = Path::new(&self.script);
        let script = if self.script.contains('/') {
            script.to_owned()
        } else {
            let found = on_path(&self.env, &self.script);
            found.unwrap_or_else(|| PathBuf::from(&self.script))
        };
        let parent = |path: &Path| path.parent().map(Path::to_owned);
        // Of links in a directory such as /usr/local/bin, what they lead to counts.
        let home = |dir: &PathBuf| dir.join("../conf").is_dir();
        let first = parent(&script).filter(home);
        let linked = || {
            let real = std::fs::canonicalize(&script).ok()?;
            parent(&real).filter(home)
        };
        first.or_else(linked).or_else(|| parent(&own_program()?))
    }

    /// The directory of the configuration: `chosen` (`--config`), `ZOOCFGDIR`, `/etc/zookeeper` if
    /// a configuration is there, `../conf` of the script.
    pub(super) fn config_dir(&self, chosen: Option<&str>) -> PathBuf {
        let named = chosen
            .map(str::to_owned)
            .or_else(|| self.env.get("ZOOCFGDIR"));
        if let Some(named) = named {
            return PathBuf::from(named);
        }
        let system = PathBuf::from("/etc/zookeeper");
        if system.join(self.config_name()).is_file() {
            return system;
        }
        self.bin_dir().unwrap_or_default().join("../conf")
    }

    fn config_name(&self) -> String {
        self.env
            .get("ZOOCFG")
            .unwrap_or_else(|| "zoo.cfg".to_owned())
    }

    /// The configuration file; `named` is a name in the directory, or a path.
    pub(super) fn config(&self, dir: &Path, named: Option<&str>) -> PathBuf {
        match named {
            Some(path) if path.contains('/') => PathBuf::from(path),
            Some(name) => dir.join(name),
            None => dir.join(self.config_name()),
        }
    }

    /// Takes up what `java.env` in the configuration's directory sets.
    pub(super) fn read_java_env(&mut self, config_dir: &Path) {
        for complaint in java_env::read(&config_dir.join("java.env"), &mut self.env) {
            eprintln!("{complaint}");
        }
    }

    /// Where the server's output goes.
    pub(super) fn log_dir(&self) -> PathBuf {
        let named = self.env.get("ZOO_LOG_DIR").map(PathBuf::from);
        named.unwrap_or_else(|| self.bin_dir().unwrap_or_default().join("../logs"))
    }

    /// The server's program: beside this one, else on PATH.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn server_program(&self) -> Result<PathBuf> {
        let beside = own_program().map(|program| program.with_file_name(SERVER));
        let beside = beside.filter(|program| program.is_file());
        let Some(program) = beside.or_else(|| on_path(&self.env, SERVER)) else {
            bail!("the program {SERVER} is neither beside menagerie-tools nor on PATH");
        };
        Ok(program)
    }
}

fn own_program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    Some(std::fs::canonicalize(&program).unwrap_or(program))
}

fn on_path(env: &Env, name: &str) -> Option<PathBuf> {
    let path = env.get("PATH")?;
    let mut candidates = std::env::split_paths(&path).map(|dir| dir.join(name));
    candidates.find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_found_by_apaches_rules() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["zk/bin", "zk/conf", "links"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let script = dir.path().join("zk/bin/zkServer.sh");
        std::fs::write(&script, "").unwrap();
        let link = dir.path().join("links/zkServer.sh");
        std::os::unix::fs::symlink(&script, &link).unwrap();
        let links = dir.path().join("links");
        let env = Env::from([("PATH", links.to_str().unwrap())]);
        let conf = |script: &str, env: &Env| Place::new(script, env.clone()).config_dir(None);
        let real = std::fs::canonicalize(dir.path()).unwrap();
        assert_eq!(
            conf(script.to_str().unwrap(), &env),
            dir.path().join("zk/bin/../conf")
        );
        assert_eq!(conf("zkServer.sh", &env), real.join("zk/bin/../conf"));

        let place = Place::new(
            "zkServer.sh",
            Env::from([("ZOOCFGDIR", "/conf"), ("ZOOCFG", "b")]),
        );
        let at = |chosen, named| place.config(&place.config_dir(chosen), named);
        assert_eq!(at(None, None), Path::new("/conf/b"));
        assert_eq!(at(Some("/other"), None), Path::new("/other/b"));
        assert_eq!(at(None, Some("a.cfg")), Path::new("/conf/a.cfg"));
        assert_eq!(at(None, Some("./a.cfg")), Path::new("./a.cfg"));
    }
}
