//! Owns the commands that copy the tree out. Must not write snapshots itself. Source:
//! `SnapshotCommand`, `LastSnapshotCommand`, `RateLimiter`.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use axum::body::Body;
use axum::http::StatusCode;
use menagerie_core::ids::Zxid;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::answer::Answer;
use super::server::ending;
use crate::shared::Shared;

/// Bytes of a snapshot in memory at a time.
const CHUNK: usize = 256 << 10;

/// Lets one request through in a time.
#[derive(Debug)]
pub(super) struct Limiter {
    every: Duration,
    last: Mutex<Option<Instant>>,
}

impl Limiter {
    pub(super) fn new(every: Duration) -> Self {
        let last = Mutex::default();
        Self { every, last }
    }

    pub(super) fn allows(&self, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.saturating_duration_since(last) < self.every) {
            return false;
        }
        *last = Some(now);
        true
    }
}

/// The newest snapshot: its zxid, and when it was written, in seconds since 1970.
pub(super) async fn last(shared: &Arc<Shared>) -> Answer {
    let dirs = shared.dirs.clone();
    let newest = tokio::task::spawn_blocking(move || {
        let (zxid, path) = dirs
            .snapshots()
            .ok()?
            .into_iter()
            .max_by_key(|(at, _)| *at)?;
        let written = path.metadata().ok()?.modified().ok()?;
        let written = written.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some((zxid, written.as_secs()))
    });
    let (zxid, timestamp) = match newest.await.ok().flatten() {
        Some((zxid, seconds)) => (format!("{zxid:x}"), seconds.into()),
        None => ("-1".to_owned(), (-1).into()),
    };
    Answer::of([("zxid", zxid.into()), ("timestamp", timestamp)])
}

/// Takes a snapshot; with `streaming` it is sent.
pub(super) async fn take(
    shared: &Arc<Shared>,
    limiter: &Limiter,
    parameters: &HashMap<String, String>,
) -> Answer {
    if !shared.live.load().admin.snapshot_enabled {
        tracing::warn!("snapshot command refused: admin.snapshot.enabled is false");
        return Answer::bare(StatusCode::SERVICE_UNAVAILABLE);
    }
    if !shared.config.serialize_last_processed_zxid {
        tracing::warn!("snapshot command refused: serializeLastProcessedZxid.enabled is false");
        return Answer::bare(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let metrics = &shared.stats.metrics;
    if !limiter.allows(Instant::now()) {
        metrics.snapshot_rate_limited_count.add(1);
        tracing::warn!("snapshot command refused: the last one was too recent");
        return Answer::bare(StatusCode::TOO_MANY_REQUESTS);
    }
    let Some(taken) = shared.inbox.snapshot().await else {
        return ending();
    };
    let opened = match taken {
        Ok(zxid) => open(shared, zxid).await.map(|file| (zxid, file)),
        Err(error) => Err(io::Error::other(error)),
    };
    let (zxid, (file, size)) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            metrics.snapshot_error_count.add(1);
            tracing::error!(%error, "the snapshot that an operator asked for failed");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let answer = Answer::wrong(format!("the snapshot failed: {error}"));
            return Answer { status, ..answer };
        }
    };
    let streaming = parameters.get("streaming");
    let streaming = streaming.is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let body = || Body::from_stream(ReaderStream::with_capacity(file, CHUNK));
    let mut headers = vec![
        ("last_zxid", format!("0x{:x}", zxid.0)),
        ("snapshot_size", size.to_string()),
    ];
    if streaming {
        headers.push(("content-length", size.to_string()));
    }
    Answer {
        headers,
        body: streaming.then(body),
        ..Answer::default()
    }
}

/// The file of a snapshot, and its size in bytes. It can be read to its end even if it is purged
/// meanwhile.
async fn open(shared: &Arc<Shared>, zxid: Zxid) -> io::Result<(File, u64)> {
    let dirs = shared.dirs.clone();
    let path = tokio::task::spawn_blocking(move || {
        let all = dirs.snapshots().map_err(io::Error::other)?;
        let found = all.into_iter().find(|(at, _)| *at == zxid.0);
        found.ok_or_else(|| io::Error::other(format!("there is no file of {zxid}")))
    });
    let (_, path) = path.await.map_err(io::Error::other)??;
    let file = File::open(path).await?;
    let size = file.metadata().await?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_comes_through_in_a_time() {
        let limiter = Limiter::new(Duration::from_secs(10));
        let begin = Instant::now();
        assert!(limiter.allows(begin));
        assert!(!limiter.allows(begin + Duration::from_secs(9)));
        assert!(limiter.allows(begin + Duration::from_secs(10)));
        assert!(!limiter.allows(begin + Duration::from_secs(11)));
        let never = Limiter::new(Duration::ZERO);
        assert!(never.allows(begin) && never.allows(begin));
    }
}
