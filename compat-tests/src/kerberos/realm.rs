//! Owns a Kerberos realm of the test's own: MIT's KDC on a loopback port, principals, keytabs, ticket
//! caches, all below one folder. May run the programs of Debian's krb5-kdc and krb5-admin-server. Must
//! not know the machine's own Kerberos.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use menagerie_ports::free_address;

use crate::guard;

/// The realm's name.
pub(super) const REALM: &str = "EXAMPLE.ORG";
/// How long the KDC may take to listen.
const START: Duration = Duration::from_secs(20);

/// A running KDC and its files.
pub(super) struct Realm {
    home: PathBuf,
    address: SocketAddr,
    kdc: Option<Child>,
}

impl Realm {
    /// A realm with these principals, each with a random key.
    pub(super) fn start(home: &Path, principals: &[&str]) -> Result<Self> {
        let mut realm = Self {
            home: home.to_owned(),
            address: free_address()?,
            kdc: None,
        };
        realm.configure()?;
        realm.run("kdb5_util", &["create", "-s", "-r", REALM, "-P", "master"])?;
        let script: String = principals
            .iter()
            .map(|principal| format!("add_principal -randkey {principal}\n"))
            .collect();
        realm.administer(&script)?;
        realm.serve()?;
        Ok(realm)
    }

    /// The configuration for clients and servers.
    pub(super) fn krb5_conf(&self) -> PathBuf {
        self.home.join("krb5.conf")
    }

    /// A file below the realm's folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    fn configure(&self) -> Result<()> {
        let (home, address) = (self.home.display(), self.address);
        // Names stay as they are: what localhost is called elsewhere does not matter.
        let krb5 = format!(
            "[libdefaults]\n  default_realm = {REALM}\n  dns_lookup_kdc = false\n  \
             dns_lookup_realm = false\n  dns_canonicalize_hostname = false\n  rdns = false\n  \
             udp_preference_limit = 1\n\
             [realms]\n  {REALM} = {{\n    kdc = {address}\n  }}\n\
             [domain_realm]\n  localhost = {REALM}\n"
        );
        fs::write(self.krb5_conf(), krb5)?;
        let kdc = format!(
            "[kdcdefaults]\n  kdc_listen = \"\"\n  kdc_tcp_listen = {address}\n\
             [realms]\n  {REALM} = {{\n    database_name = {home}/principals\n    \
             key_stash_file = {home}/stash\n    acl_file = {home}/acl\n  }}\n"
        );
        Ok(fs::write(self.file("kdc.conf"), kdc)?)
    }

    fn command(&self, program: &str) -> Result<Command> {
        let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
        let found = folders.iter().map(|folder| Path::new(folder).join(program));
        let program = found.clone().find(|path| path.exists()).with_context(|| {
            format!("{program} is missing: install krb5-kdc and krb5-admin-server")
        })?;
        let mut command = guard::dying_with_us(&program)?;
        command
            .env("KRB5_CONFIG", self.krb5_conf())
            .env("KRB5_KDC_PROFILE", self.file("kdc.conf"))
            .stdin(Stdio::null());
        Ok(command)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let output = self.command(program)?.args(arguments).output()?;
        ensure!(
            output.status.success(),
            "{program} {}: {}: {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    fn administer(&self, script: &str) -> Result<()> {
        for line in script.lines() {
            self.run("kadmin.local", &["-q", line])?;
        }
        Ok(())
    }

    fn serve(&mut self) -> Result<()> {
        let log = fs::File::create(self.file("kdc.log"))?;
        let mut command = self.command("krb5kdc")?;
        command.arg("-n").stdout(log.try_clone()?).stderr(log);
        let kdc = self.kdc.insert(command.spawn().context("krb5kdc")?);
        let begin = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = kdc.try_wait()? {
                let log = fs::read_to_string(self.home.join("kdc.log")).unwrap_or_default();
                bail!("krb5kdc ended with {status}: {log}");
            }
            ensure!(begin.elapsed() < START, "krb5kdc does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The keys of these principals, as they stay, in a file of that name.
    pub(super) fn keytab(&self, name: &str, principals: &[&str]) -> Result<PathBuf> {
        let file = self.file(name);
        let line = format!(
            "ktadd -norandkey -k {} {}",
            file.display(),
            principals.join(" ")
        );
        self.administer(&line)?;
        ensure!(file.exists(), "kadmin.local wrote no {}", file.display());
        Ok(file)
    }

    /// The principal gets another key; files have the old one.
    pub(super) fn change_key(&self, principal: &str) -> Result<()> {
        self.administer(&format!("change_password -randkey {principal}"))
    }

    /// A ticket of the principal, in a file of that name.
    pub(super) fn ticket(&self, name: &str, keytab: &Path, principal: &str) -> Result<PathBuf> {
        let cache = self.file(name);
        let (keytab, text) = (keytab.display().to_string(), cache.display().to_string());
        self.run("kinit", &["-k", "-t", &keytab, "-c", &text, principal])?;
        Ok(cache)
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        if let Some(mut kdc) = self.kdc.take() {
            // It may have ended already.
            let _ = kdc.kill();
            let _ = kdc.wait();
        }
    }
}
