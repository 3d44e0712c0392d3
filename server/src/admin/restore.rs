//! Owns the command that puts another tree in the place of the one that is served: it takes a
//! snapshot, reads all of it, and only then hands it over. Must not change anything itself. Source:
//! `RestoreCommand`, `ZooKeeperServer.restoreFromSnapshot`.
//!
//! Apache's server takes the tree into its memory alone, where the next start forgets it, and in an
//! ensemble makes its member differ from the others until each has been given the same. Here it is on
//! disk before it is served, and an ensemble gets it from its leader.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::StatusCode;
use hyper::body::Body as _;
use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::member::{NoPlace, Place};
use menagerie_core::tree::Tree;
use menagerie_database::{OneFile, Saving, Staged, load_one_file};
use menagerie_storage::StorageError;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

use super::answer::Answer;
use super::server::ending;
use super::snapshot::Limiter;
use crate::metrics::ms;
use crate::runtime::snapshots;
use crate::shared::Shared;

/// How long the next part of a snapshot may take to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// How the file begins that takes it in; what comes behind tells how it is compressed.
const INCOMING: &str = "restore.incoming";

/// What the command keeps.
#[derive(Debug)]
pub(super) struct Restorer {
    limiter: Limiter,
    /// Held while one is under way.
    busy: Mutex<()>,
}

/// A file that goes when nobody needs it any more.
struct Incoming(PathBuf);

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %self.0.display(), %error, "cannot remove a snapshot that came in");
        }
    }
}

fn failed(status: StatusCode, error: impl Into<String>) -> Answer {
    let error = error.into();
    tracing::error!(%error, "restore command failed; the tree is as it was");
    Answer {
        status,
        ..Answer::wrong(error)
    }
}

impl Restorer {
    pub(super) fn new(every: Duration) -> Self {
        Self {
            limiter: Limiter::new(every),
            busy: Mutex::default(),
        }
    }

    pub(super) async fn restore(&self, shared: &Arc<Shared>, body: Body) -> Answer {
        if !shared.live.load().admin.restore_enabled {
            tracing::warn!("restore command refused: admin.restore.enabled is false");
            return Answer::bare(StatusCode::SERVICE_UNAVAILABLE);
        }
        if !shared.config.serialize_last_processed_zxid {
            tracing::warn!("restore command refused: serializeLastProcessedZxid.enabled is false");
            return Answer::bare(StatusCode::INTERNAL_SERVER_ERROR);
        }
        // Before all of it has come.
        if let Err(answer) = place(shared, Zxid(0)).await {
            return answer;
        }
        if body.is_end_stream() {
            return failed(
                StatusCode::BAD_REQUEST,
                "send the snapshot as the request's body",
            );
        }
        let Ok(_busy) = self.busy.try_lock() else {
            shared.stats.metrics.restore_rate_limited_count.add(1);
            tracing::warn!("restore command refused: another one is under way");
            return Answer::bare(StatusCode::TOO_MANY_REQUESTS);
        };
        if !self.limiter.allows(Instant::now()) {
            shared.stats.metrics.restore_rate_limited_count.add(1);
            tracing::warn!("restore command refused: the last one was too recent");
            return Answer::bare(StatusCode::TOO_MANY_REQUESTS);
        }
        let answer = restore_from(shared, body).await;
        if answer.status == StatusCode::INTERNAL_SERVER_ERROR {
            shared.stats.metrics.restore_error_count.add(1);
        }
        answer
    }
}

async fn restore_from(shared: &Arc<Shared>, body: Body) -> Answer {
    let began = Instant::now();
    let incoming = match receive(&shared.dirs.data, body).await {
        Ok(incoming) => incoming,
        Err(error) => {
            let why = format!("the snapshot did not come in: {error}");
            return failed(StatusCode::INTERNAL_SERVER_ERROR, why);
        }
    };
    let options = shared.config.tree_options(shared.hash_seed);
    let read = tokio::task::spawn_blocking(move || load_one_file(&incoming.0, options));
    let file = match read.await.map_err(io::Error::other) {
        Ok(Ok(file)) => file,
        Ok(Err(error)) => {
            let why = format!("the snapshot cannot be used: {error}");
            return failed(StatusCode::INTERNAL_SERVER_ERROR, why);
        }
        Err(error) => return failed(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    let answer = replace(shared, file).await;
    if answer.status == StatusCode::OK {
        shared.stats.metrics.restore_time.add(ms(began.elapsed()));
    }
    answer
}

async fn replace(shared: &Arc<Shared>, file: OneFile) -> Answer {
    let OneFile {
        tree,
        sessions,
        zxid,
        exact,
    } = file;
    if !exact {
        tracing::warn!(%zxid, "the snapshot to restore was written while the tree changed, or by a \
            server without digests: parts of it may be a little newer than others");
    }
    let sessions: Vec<(SessionId, i32)> = sessions.into_iter().collect();
    let mut tree = Box::new(tree);
    let place = match place(shared, zxid).await {
        Ok(place) => place,
        Err(answer) => return answer,
    };
    let mut staged = None;
    if let Some(place) = place {
        match stage(shared, tree, &sessions, place.zxid).await {
            Ok((file, same_tree)) => (staged, tree) = (Some((file, place)), same_tree),
            Err(error) => {
                let why = format!("the tree could not be put on the disk: {error}");
                return failed(StatusCode::INTERNAL_SERVER_ERROR, why);
            }
        }
    }
    match shared.inbox.restore(tree, sessions, staged).await {
        None => ending(),
        Some(Err(error)) => failed(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the tree was not restored: {error}"),
        ),
        Some(Ok(now)) => Answer::of([
            ("last_zxid", now.0.into()),
            ("snapshot_zxid", zxid.0.into()),
            ("at_one_zxid", exact.into()),
        ]),
    }
}

/// Where the tree of a snapshot as of `zxid` goes in an ensemble, if this server leads it.
async fn place(shared: &Arc<Shared>, zxid: Zxid) -> Result<Option<Place>, Answer> {
    let asked = shared
        .inbox
        .ask(move |engine, _| engine.member().map(|member| member.place(zxid)));
    match asked.await {
        None => Err(ending()),
        Some(None) => Ok(None),
        Some(Some(Ok(place))) => Ok(Some(place)),
        Some(Some(Err(no_place))) => {
            let status = match no_place {
                NoPlace::Learns(_) => StatusCode::CONFLICT,
                NoPlace::NoEpoch(_) => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            Err(failed(status, no_place.to_string()))
        }
    }
}

/// Puts a tree on the disk, but for its name, as of `zxid` and with this ensemble's configuration.
async fn stage(
    shared: &Arc<Shared>,
    mut tree: Box<Tree>,
    sessions: &[(SessionId, i32)],
    zxid: Zxid,
) -> Result<(Box<Staged>, Box<Tree>), String> {
    let (shared, sessions) = (Arc::clone(shared), sessions.to_vec());
    let staging = tokio::task::spawn_blocking(move || {
        tree.advance(zxid.0);
        shared.set_config_node(&mut tree);
        let options = snapshots::options(&shared.config);
        let staged = Saving::staged(&shared.dirs, &tree, &sessions, &options)?;
        Ok::<_, StorageError>((Box::new(staged), tree))
    });
    let staged = staging.await.map_err(|error| error.to_string())?;
    staged.map_err(|error| error.to_string())
}

/// The end of a file's name that tells how such a beginning is compressed.
fn ending_of(head: &[u8]) -> &'static str {
    match head {
        [0x1f, 0x8b, ..] => ".gz",
        [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', ..] => ".snappy",
        _ => "",
    }
}

/// Writes what comes into a file of its own.
async fn receive(folder: &Path, mut body: Body) -> io::Result<Incoming> {
    let mut open: Option<(File, Incoming)> = None;
    loop {
        let next = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        let Some(frame) = tokio::time::timeout(PATIENCE, next).await? else {
            break;
        };
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else {
            continue;
        };
        if open.is_none() {
            let path = folder.join(format!("{INCOMING}{}", ending_of(&data)));
            let file = File::create(&path).await?;
            open = Some((file, Incoming(path)));
        }
        if let Some((file, _)) = &mut open {
            file.write_all(&data).await?;
        }
    }
    let (mut file, incoming) = open.ok_or_else(|| io::Error::other("it is empty"))?;
    file.flush().await?;
    Ok(incoming)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_is_told_by_the_beginning() {
        assert_eq!(ending_of(b"ZKSN\0\0\0\x02"), "");
        assert_eq!(ending_of(&[0x1f, 0x8b, 8]), ".gz");
        assert_eq!(ending_of(b"\x82SNAPPY\0"), ".snappy");
        assert_eq!(ending_of(b""), "");
    }
}
