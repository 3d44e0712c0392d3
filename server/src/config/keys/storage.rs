//! Owns the keys for files and for special znodes. May use the readers of values. Must not hold any
//! setting itself, nor touch a file.

use std::path::PathBuf;

use menagerie_storage::snapshot::Compression;

use super::{KeySpec, key};
use crate::config::value::{Refused, Taken, lenient_bool, lenient_int, lenient_long, strict_int};

/// The least that `PurgeTxnLog` agrees to keep.
const RETAIN_MIN: i64 = 3;

pub(super) const STORAGE: &[KeySpec] = &[
    key(
        "dataDir",
        "data (without a file)",
        "Directory of the snapshots.",
        |c, _, v| {
            c.data_dir = directory(v)?;
            Ok(Taken::Exactly)
        },
    )
    .file_only(),
    key(
        "dataLogDir",
        "as dataDir",
        "Directory of the transaction log.",
        |c, _, v| {
            c.data_log_dir = Some(directory(v)?);
            Ok(Taken::Exactly)
        },
    )
    .file_only(),
    key(
        "datadir.autocreate",
        "true",
        "Missing directories are created.",
        |c, _, v| lenient_bool(v, &mut c.datadir_autocreate),
    ),
    key(
        "db.autocreate",
        "true",
        "A missing database means an empty one. With false it is a lost one, unless there is a file initialize in dataDir: a member has no vote until a leader has brought it up, a server alone does not start.",
        |c, _, v| lenient_bool(v, &mut c.db_autocreate),
    ),
    key(
        "snapshot.trust.empty",
        "false",
        "A log without any snapshot is replayed instead of refused.",
        |c, _, v| lenient_bool(v, &mut c.snapshot_trust_empty),
    ),
    key(
        "snapCount",
        "100000",
        "Transactions between snapshots.",
        |c, _, v| lenient_int(v, 2, &mut c.snap_count),
    ),
    key(
        "snapSizeLimitInKb",
        "4194304",
        "KiB of transactions between snapshots; 0 or less means no limit.",
        |c, _, v| lenient_long(v, i64::MIN, &mut c.snap_size_limit_kb),
    ),
    key(
        "snapshot.compression.method",
        "none",
        "none, gz or snappy.",
        |c, _, v| {
            c.snapshot_compression = match v.to_ascii_lowercase().as_str() {
                "gz" => Compression::Gzip,
                "snappy" => Compression::Snappy,
                "" | "none" => Compression::None,
                _ => {
                    c.snapshot_compression = Compression::None;
                    return Ok(Taken::Adjusted(
                        "is neither gz nor snappy; as in ZooKeeper snapshots stay plain".into(),
                    ));
                }
            };
            Ok(Taken::Exactly)
        },
    ),
    key(
        "preAllocSize",
        "65536",
        "KiB by which the log file grows ahead of use; 0 means not at all.",
        |c, _, v| {
            // Source: FilePadding — `Long.parseLong`, so no hexadecimal, and 64 MiB after a failure.
            match v.parse::<i64>() {
                Ok(size) => {
                    c.pre_alloc_size_kb = size.clamp(0, i64::MAX / 1024);
                    Ok(Taken::Exactly)
                }
                Err(_) => Ok(Taken::Adjusted(format!(
                    "is not a whole number; as in ZooKeeper the default holds: {}",
                    c.pre_alloc_size_kb
                ))),
            }
        },
    ),
    key(
        "txnLogSizeLimitInKb",
        "-1",
        "KiB after which a new log file is begun; 0 or less means no limit.",
        |c, _, v| lenient_long(v, -1, &mut c.txn_log_size_limit_kb),
    ),
    key(
        "forceSync",
        "yes",
        "A write is on the disk before it is acknowledged; only the word no turns that off.",
        |c, _, v| {
            c.force_sync = v != "no";
            if v == "yes" || v == "no" {
                return Ok(Taken::Exactly);
            }
            Ok(Taken::Adjusted(
                "is neither yes nor no; as in ZooKeeper it means yes".into(),
            ))
        },
    ),
    key(
        "fsync.warningthresholdms",
        "1000",
        "Milliseconds of an fsync from which on a warning is logged.",
        |c, _, v| lenient_long(v, 0, &mut c.fsync_warning_threshold_ms),
    )
    .reloaded(|new, live| live.fsync_warning_threshold_ms = new.fsync_warning_threshold_ms),
    key(
        "autopurge.snapRetainCount",
        "3",
        "Snapshots a purge keeps, at least 3.",
        |c, _, v| {
            strict_int(v, i32::MIN, i32::MAX, &mut c.autopurge_snap_retain_count)?;
            if c.autopurge_snap_retain_count < RETAIN_MIN {
                c.autopurge_snap_retain_count = RETAIN_MIN;
                return Ok(Taken::Adjusted(format!(
                    "is below the minimum; {RETAIN_MIN} holds"
                )));
            }
            Ok(Taken::Exactly)
        },
    )
    .file_only(),
    key(
        "autopurge.purgeInterval",
        "0",
        "Hours between purges; 0 means never.",
        |c, _, v| strict_int(v, i32::MIN, i32::MAX, &mut c.autopurge_purge_interval_h),
    )
    .file_only(),
    key(
        "digest.enabled",
        "true",
        "The digest of the tree is kept and checked.",
        |c, _, v| lenient_bool(v, &mut c.digest_enabled),
    ),
    key(
        "serializeLastProcessedZxid.enabled",
        "true",
        "Snapshots end with the zxid they were taken at.",
        |c, _, v| lenient_bool(v, &mut c.serialize_last_processed_zxid),
    ),
];

pub(super) const ZNODES: &[KeySpec] = &[
    key(
        "extendedTypesEnabled",
        "false",
        "TTL nodes may be created.",
        |c, _, v| lenient_bool(v, &mut c.extended_types_enabled),
    ),
    key(
        "emulate353TTLNodes",
        "false",
        "TTL nodes of ZooKeeper 3.5.3 are understood.",
        |c, _, v| lenient_bool(v, &mut c.emulate353_ttl_nodes),
    ),
    key(
        "znode.container.checkIntervalMs",
        "60000",
        "Milliseconds between checks of container and TTL nodes.",
        |c, _, v| lenient_int(v, 1, &mut c.container_check_interval_ms),
    )
    .bare(),
    key(
        "znode.container.maxPerMinute",
        "10000",
        "Container and TTL nodes deleted in a minute at most.",
        |c, _, v| lenient_int(v, 1, &mut c.container_max_per_minute),
    )
    .bare(),
    key(
        "znode.container.maxNeverUsedIntervalMs",
        "0",
        "Milliseconds after which a container that never had a child goes; 0 means never.",
        |c, _, v| lenient_long(v, 0, &mut c.container_max_never_used_interval_ms),
    )
    .bare(),
    key(
        "enforceQuota",
        "false",
        "Quotas refuse what exceeds them.",
        |c, _, v| lenient_bool(v, &mut c.enforce_quota),
    ),
];

fn directory(value: &str) -> Result<PathBuf, Refused> {
    if value.is_empty() {
        return Err(Refused::Invalid("the path of a directory".into()));
    }
    Ok(PathBuf::from(value))
}
