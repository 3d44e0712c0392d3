//! Owns copying a live server's tree into a file that a server can start from, and checking the copy.
//! May use the admin server's command `snapshot`. Must not leave a file under its name that is not
//! whole.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use menagerie_core::tree::TreeOptions;
use menagerie_database::{OneFile, load_one_file};
use serde_json::json;

use crate::http;
use crate::subtree::{identities, identity};
use crate::tls::TlsArgs;

/// How long the server may need for the snapshot, and then for the next part of it.
const PATIENCE: Duration = Duration::from_secs(120);

/// What to copy, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// The file to write; in a directory, snapshot.ZXID; - is standard output
    to: PathBuf,
    /// The admin server, host:port, or https://host:port
    #[arg(long, default_value = "localhost:8080")]
    admin: String,
    /// Where its commands are
    #[arg(long, default_value = "/commands")]
    url: String,
    /// An identity that may do everything with the root: scheme:data such as digest:user:password.
    /// $MENAGERIE_AUTH does as well, and other users of this machine do not see it
    #[arg(long)]
    auth: Option<String>,
    /// Fail when clients wrote while the snapshot was written, so that it is not of one moment
    #[arg(long)]
    exact: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: TlsArgs,
}

/// The subcommand `backup`.
pub(crate) fn main(args: &BackupArgs) -> Result<ExitCode> {
    let to_stdout = args.to.as_os_str() == "-";
    let folder = match (to_stdout, args.to.is_dir()) {
        (true, _) => std::env::temp_dir(),
        (_, true) => args.to.clone(),
        _ => {
            let folder = args.to.parent().filter(|path| !path.as_os_str().is_empty());
            folder.unwrap_or_else(|| Path::new(".")).to_owned()
        }
    };
    let (mut file, size) = fetch(args, &folder)?;
    let options = TreeOptions {
        owner_rules: menagerie_core::tree::OwnerRules {
            extended_types: true,
            emulate_353: false,
        },
        digest_enabled: true,
        hash_seed: 0,
    };
    let copy = load_one_file(file.path(), options).context("what came is not a whole snapshot")?;
    if args.exact && !copy.exact {
        bail!(
            "the snapshot of {} was written while clients wrote: parts of it are newer than others. \
             Try again when it is quiet",
            copy.zxid
        );
    }
    let name = if to_stdout {
        file.as_file_mut().rewind()?;
        io::copy(file.as_file_mut(), &mut io::stdout().lock())?;
        "standard output".to_owned()
    } else {
        let path = match args.to.is_dir() {
            true => args
                .to
                .join(format!("snapshot.{:x}{}", copy.zxid.0, suffix(file.path()))),
            false => args.to.clone(),
        };
        file.as_file().sync_all()?;
        let _now_under_its_name: File = file
            .persist(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        path.display().to_string()
    };
    tell(args, &copy, &name, size, to_stdout)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(args: &BackupArgs, copy: &OneFile, name: &str, size: u64, to_stdout: bool) -> Result<()> {
    let text = if args.json {
        let told = json!({
            "file": name, "zxid": format!("0x{:x}", copy.zxid.0), "nodes": copy.tree.node_count(),
            "sessions": copy.sessions.len(), "bytes": size, "exact": copy.exact,
            "digest": format!("{:x}", copy.tree.digest()),
        });
        told.to_string()
    } else {
        let moment = match copy.exact {
            true => "all of it as of that zxid, its digest is right",
            false => "its checksums are right; clients wrote meanwhile, so that parts are newer",
        };
        format!(
            "{name}: {} nodes and {} sessions as of {}, {size} bytes; {moment}",
            copy.tree.node_count(),
            copy.sessions.len(),
            copy.zxid
        )
    };
    match to_stdout {
        true => writeln!(io::stderr(), "{text}")?,
        false => println!("{text}"),
    }
    Ok(())
}

fn suffix(path: &Path) -> &'static str {
    match path.extension().and_then(|end| end.to_str()) {
        Some("gz") => ".gz",
        Some("snappy") => ".snappy",
        _ => "",
    }
}

/// Asks for the snapshot and takes it into a file without a name to rely on.
fn fetch(args: &BackupArgs, folder: &Path) -> Result<(tempfile::NamedTempFile, u64)> {
    let given: Vec<String> = args.auth.iter().cloned().collect();
    let all = identities(&given);
    let one = all
        .first()
        .context("give an identity: --auth digest:user:password")?;
    let (scheme, data) = identity(one)?;
    let path = format!("{}/snapshot?streaming=true", args.url.trim_end_matches('/'));
    let authorization = format!("{scheme} {data}");
    let answer = http::get(
        &args.admin,
        &path,
        &[("Authorization", &authorization)],
        &args.tls.properties()?,
        PATIENCE,
    )
    .with_context(|| format!("admin server {}", args.admin))?;
    match answer.status {
        200 => {}
        401 => bail!("{}: the identity is not accepted", args.admin),
        403 => bail!(
            "{}: the identity may not do everything with the root",
            args.admin
        ),
        429 => bail!(
            "{}: the last snapshot was too recent (admin.rateLimiterIntervalInMS)",
            args.admin
        ),
        503 => bail!(
            "{}: snapshots are turned off there (admin.snapshot.enabled)",
            args.admin
        ),
        status => {
            let text = answer.text().unwrap_or_default();
            bail!("{}: status {status}: {}", args.admin, text.trim());
        }
    }
    ensure!(
        answer
            .header("content-type")
            .is_none_or(|kind| !kind.contains("json")),
        "{} did not send a snapshot; is it older than ZooKeeper 3.9?",
        args.admin
    );
    let mut body = answer.into_body();
    let mut head = [0; 8];
    body.read_exact(&mut head)
        .context("the snapshot is cut off")?;
    let end = match head {
        [0x1f, 0x8b, ..] => ".gz",
        [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', _] => ".snappy",
        _ => "",
    };
    let mut file = tempfile::Builder::new()
        .prefix(".backup-")
        .suffix(end)
        .tempfile_in(folder)
        .with_context(|| format!("cannot write into {}", folder.display()))?;
    file.write_all(&head)?;
    let size = io::copy(&mut body, &mut file).context("the snapshot is cut off")?;
    file.flush()?;
    Ok((file, size + head.len() as u64))
}
