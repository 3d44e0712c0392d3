//! Owns certificates for tests: an authority, and stores of every format that it has signed. May run
//! openssl and keytool. Must not start servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The password of every store.
pub(crate) const PASSWORD: &str = "geheim";
/// Every format, by its extension.
pub(crate) const FORMATS: [&str; 3] = ["pem", "p12", "jks"];

/// An authority and what it has signed.
#[derive(Debug)]
pub(crate) struct Authority {
    dir: tempfile::TempDir,
}

impl Authority {
    /// A new one, with trust stores of every format.
    pub(crate) fn new() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("menagerie-certs-")
            .tempdir()?;
        let its = Self { dir };
        its.openssl(
            "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=authority -keyout ca.key -out ca.pem",
        )?;
        fs::copy(its.path("ca.pem"), its.path("trust.pem"))?;
        for (format, kind) in [("p12", "PKCS12"), ("jks", "JKS")] {
            its.keytool(&format!(
                "-importcert -noprompt -alias ca -file ca.pem -keystore trust.{format} -storetype {kind}"
            ))?;
        }
        Ok(its)
    }

    /// A file of it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The trust store of a format.
    pub(crate) fn trust(&self, format: &str) -> PathBuf {
        self.path(&format!("trust.{format}"))
    }

    /// A certificate for `subject`, such as `/CN=a`, and for `hosts`, such as `DNS:localhost`, in key
    /// key stores of every format: `name.pem` and so on. It is valid for so many days; less than none
    /// means that it has expired.
    pub(crate) fn issue(&self, name: &str, subject: &str, hosts: &str, days: i32) -> Result<()> {
        let mut request = self.command("openssl");
        request.args([
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-utf8",
            "-multivalue-rdn",
        ]);
        request.args([
            "-subj",
            subject,
            "-addext",
            &format!("subjectAltName={hosts}"),
        ]);
        request.args([
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.csr"),
        ]);
        run(&mut request)?;
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} \
             -copy_extensions copy -out {name}.crt"
        ))?;
        self.join(name, &[])?;
        self.openssl(&format!(
            "pkcs12 -export -in {name}.crt -inkey {name}.key -certfile ca.pem -name {name} \
             -passout pass:{PASSWORD} -out {name}.p12"
        ))?;
        self.keytool(&format!(
            "-importkeystore -noprompt -srckeystore {name}.p12 -srcstoretype PKCS12 \
             -srcstorepass {PASSWORD} -destkeystore {name}.jks -deststoretype JKS"
        ))
    }

    /// A certificate that vouches for itself, and which the trust store in PEM has from now on.
    pub(crate) fn trust_itself(&self, name: &str) -> Result<()> {
        self.openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN={name} -keyout {name}.key -out {name}.crt"
        ))?;
        let certificate = self.join(name, &[])?;
        let trusted = fs::read_to_string(self.trust("pem"))? + &certificate;
        Ok(fs::write(self.trust("pem"), trusted)?)
    }

    /// A certificate by an authority that this one has signed.
    pub(crate) fn issue_below(&self, name: &str) -> Result<()> {
        self.openssl(
            "req -newkey rsa:2048 -nodes -subj /CN=between -keyout between.key -out between.csr",
        )?;
        fs::write(
            self.path("authority.ext"),
            "basicConstraints=critical,CA:TRUE\n",
        )?;
        fs::write(self.path("usual.ext"), "basicConstraints=CA:FALSE\n")?;
        self.openssl(
            "x509 -req -in between.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
             -extfile authority.ext -out between.crt",
        )?;
        self.openssl(&format!(
            "req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ))?;
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA between.crt -CAkey between.key -CAcreateserial -days 30 -extfile usual.ext -out {name}.crt"
        ))?;
        self.join(name, &["between.crt"]).map(drop)
    }

    /// Puts a certificate, others behind it and the key into one file; the certificate.
    fn join(&self, name: &str, more: &[&str]) -> Result<String> {
        let certificate = fs::read_to_string(self.path(&format!("{name}.crt")))?;
        let mut all = certificate.clone();
        for file in more {
            all += &fs::read_to_string(self.path(file))?;
        }
        all += &fs::read_to_string(self.path(&format!("{name}.key")))?;
        fs::write(self.path(&format!("{name}.pem")), all)?;
        Ok(certificate)
    }

    /// The lines of `zoo.cfg`, or properties without `zookeeper.`, for the stores of that name and
    /// format.
    pub(crate) fn settings(&self, prefix: &str, name: &str, format: &str) -> Vec<String> {
        let key = self.path(&format!("{name}.{format}"));
        let mut settings = vec![
            format!("{prefix}.keyStore.location={}", key.display()),
            format!(
                "{prefix}.trustStore.location={}",
                self.trust(format).display()
            ),
        ];
        if format != "pem" {
            settings.push(format!("{prefix}.keyStore.password={PASSWORD}"));
            settings.push(format!("{prefix}.trustStore.password={PASSWORD}"));
        }
        settings
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir.path());
        command
    }

    fn openssl(&self, arguments: &str) -> Result<()> {
        run(self.command("openssl").args(arguments.split_whitespace()))
    }

    fn keytool(&self, arguments: &str) -> Result<()> {
        let home = std::env::var_os("JAVA_HOME");
        let keytool = home.map_or_else(
            || PathBuf::from("keytool"),
            |home| Path::new(&home).join("bin/keytool"),
        );
        let mut command = self.command(&keytool.display().to_string());
        command.args(arguments.split_whitespace());
        let password = match arguments.contains("-importkeystore") {
            true => "-deststorepass",
            false => "-storepass",
        };
        run(command.args([password, PASSWORD]))
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
