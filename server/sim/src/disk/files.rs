//! Owns a member's files: the storage crate and what the server does with it, over a simulated disk,
//! in the order of the server's log thread. Keeps what only checkers need beside them.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::quorum::Configs;
use menagerie_core::tree::{Tree, TreeOptions};
use menagerie_database::{Cut, LoadOptions, RestoreError, SaveOptions, Saving, Walk};
use menagerie_storage::planted::Bug;
use menagerie_storage::snapshot::Compression;
use menagerie_storage::txnlog::{LogOptions, TxnLog};
use menagerie_storage::{DataDirs, StorageError, disk, purge};

use super::blocks::SimDisk;
use super::{Done, RECENT, Restored, Stop, Task};

/// A transaction and its zxid, in order.
type Lineage = Vec<(Zxid, Bytes)>;

#[derive(Debug)]
struct Open {
    dirs: DataDirs,
    log: TxnLog,
    saving: Option<Saving>,
}

/// The files.
#[derive(Debug)]
pub struct Files {
    blocks: SimDisk,
    /// While the process runs.
    open: Option<Open>,
    configs: Option<Configs>,
    /// The transactions that made each snapshot.
    lineages: BTreeMap<Zxid, Lineage>,
    /// A bit that was flipped, and in which file.
    flipped: Option<String>,
    /// Whether the next start without a database knows that it was lost.
    guarded: bool,
    /// Whether the member has no vote for that.
    blank: bool,
    prealloc_bytes: u64,
    log_size_limit: Option<u64>,
    save: SaveOptions,
}

impl Files {
    /// A new disk.
    #[must_use]
    pub fn new(blocks: SimDisk, configs: Configs, rng: &mut fastrand::Rng) -> Self {
        Self {
            blocks,
            open: None,
            configs: Some(configs),
            lineages: BTreeMap::new(),
            flipped: None,
            guarded: false,
            blank: false,
            prealloc_bytes: [0, 4096, 8192][rng.usize(..3)],
            log_size_limit: [None, Some(400), Some(3000)][rng.usize(..3)],
            save: SaveOptions {
                compression: if rng.u8(..8) == 0 {
                    Compression::Gzip
                } else {
                    Compression::None
                },
                digest: true,
                last_zxid: rng.bool(),
            },
        }
    }

    /// The disk below.
    #[must_use]
    pub const fn blocks(&self) -> &SimDisk {
        &self.blocks
    }

    /// The file that a bit was flipped in.
    #[must_use]
    pub fn flipped(&self) -> Option<&str> {
        self.flipped.as_deref()
    }

    /// Whether the database was lost and no leader has brought it back.
    #[must_use]
    pub const fn is_blank(&self) -> bool {
        self.blank
    }

    pub(super) const fn configs(&self) -> Option<&Configs> {
        self.configs.as_ref()
    }

    /// Flips a bit of a log or snapshot. Small files have no checksums, so that nothing could tell.
    pub fn flip_bit(&mut self) {
        let choose = |name: &str| {
            (name.starts_with("log.") || name.starts_with("snapshot.")) && !name.ends_with(".tmp")
        };
        if let Some((path, at)) = self.blocks.flip_bit(choose) {
            self.flipped = Some(format!("{} at {at}", path.display()));
        }
    }

    /// The operator removes everything but the configuration. With `guarded` the member knows that
    /// something was lost (`db.autocreate=false`).
    pub fn wipe(&mut self, guarded: bool) {
        (self.guarded, self.blank) = (guarded, guarded);
        self.blocks.wipe();
        self.flipped = None;
        self.lineages.clear();
    }

    fn stop(&self, error: &StorageError) -> Stop {
        if self.blocks.is_dead() {
            return Stop::Power;
        }
        match error {
            error if error.is_disk_full() => Stop::Full,
            StorageError::Io { .. } | StorageError::Failed { .. } => {
                Stop::Failed(error.to_string())
            }
            error => Stop::Damaged(error.to_string()),
        }
    }

    pub(super) fn load(&mut self) -> Result<Restored, Stop> {
        self.open = None;
        let shared: Arc<dyn disk::Disk> = Arc::new(self.blocks.clone());
        let (data, logs) = (Path::new("/data"), Path::new("/logs"));
        let dirs = DataDirs::open_on(shared, data, logs, true);
        let dirs = dirs.map_err(|error| self.stop(&error))?;
        let restored = self.restore(&dirs)?;
        let options = LogOptions {
            prealloc_bytes: self.prealloc_bytes,
            force_sync: !disk::Disk::planted(&self.blocks).has(Bug::CommitNotSynced),
            size_limit_bytes: self.log_size_limit,
        };
        let log = TxnLog::in_dirs(&dirs, options);
        self.open = Some(Open {
            dirs,
            log,
            saving: None,
        });
        Ok(restored)
    }

    fn restore(&mut self, dirs: &DataDirs) -> Result<Restored, Stop> {
        let options = LoadOptions {
            tree: TreeOptions::default(),
            keep: usize::MAX,
            trust_empty: false,
            alone: false,
        };
        let restored =
            menagerie_database::restore(dirs, &options).map_err(|error| match &error {
                RestoreError::Storage(storage) => self.stop(storage),
                other => Stop::Damaged(other.to_string()),
            })?;
        let sessions: Vec<_> = restored.sessions.into_iter().collect();
        if restored.fresh {
            let begun = menagerie_database::set_blank(dirs, self.guarded);
            begun.map_err(|error| self.stop(&error))?;
            self.lineages.insert(Zxid(0), Vec::new());
            Saving::whole(dirs, &restored.tree, &sessions, &self.save)
                .map_err(|error| self.stop(&error))?;
        }
        let last = Zxid(restored.tree.last_zxid());
        let (accepted, current) =
            menagerie_database::load_epochs(dirs, last).map_err(|error| self.stop(&error))?;
        let from = restored.snapshot.map_or(Zxid(0), |(zxid, _)| zxid);
        let mut lineage = self.lineages.get(&from).cloned().unwrap_or_default();
        lineage.extend(restored.recent.iter().cloned());
        let keep = restored.recent.len().saturating_sub(RECENT);
        Ok(Restored {
            tree: restored.tree,
            sessions,
            recent: restored.recent.into_iter().skip(keep).collect(),
            lineage,
            accepted,
            current,
            configs: self.configs.clone(),
            mismatches: restored.mismatches,
            blank: menagerie_database::is_blank(dirs).map_err(|error| self.stop(&error))?,
        })
    }

    /// As the server's log thread: entries are synced together, before anything else is done and at
    /// the end.
    pub(super) fn work(&mut self, tasks: Vec<Task>) -> (Vec<Done>, Result<(), Stop>) {
        let mut done = Vec::new();
        let mut written = None;
        for task in tasks {
            if !matches!(task, Task::Append(_))
                && let Err(stop) = self.commit(&mut written, &mut done)
            {
                return (done, Err(stop));
            }
            if let Err(stop) = self.perform(task, &mut written, &mut done) {
                return (done, Err(stop));
            }
        }
        let result = self.commit(&mut written, &mut done);
        (done, result)
    }

    fn commit(&mut self, written: &mut Option<Zxid>, done: &mut Vec<Done>) -> Result<(), Stop> {
        let (Some(open), Some(zxid)) = (&mut self.open, written.take()) else {
            return Ok(());
        };
        match open.log.commit() {
            Ok(_) => done.push(Done::Logged(zxid)),
            Err(error) => return Err(self.stop(&error)),
        }
        Ok(())
    }

    fn perform(
        &mut self,
        task: Task,
        written: &mut Option<Zxid>,
        done: &mut Vec<Done>,
    ) -> Result<(), Stop> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let dirs = open.dirs.clone();
        let result = match task {
            Task::Append(entries) => entries.iter().try_for_each(|(zxid, entry)| {
                *written = Some(*zxid);
                open.log.append(zxid.0, entry)
            }),
            Task::Configs(configs) => {
                self.configs = Some(configs);
                Ok(())
            }
            Task::Epoch(kind, epoch) => menagerie_database::save_epoch(&dirs, kind, epoch)
                .map(|()| done.push(Done::Epoch(kind, epoch))),
            Task::Truncate(zxid, reload) => {
                let cut = open
                    .log
                    .roll()
                    .and_then(|()| menagerie_database::cut(&dirs, zxid));
                match cut {
                    Ok(Cut::Done) => {
                        let reloaded = match reload {
                            true => Some(Box::new(self.restore(&dirs)?)),
                            false => None,
                        };
                        done.push(Done::Cut { zxid, reloaded });
                        Ok(())
                    }
                    Ok(Cut::Impossible(reason)) => {
                        done.push(Done::CutFailed { zxid, reason });
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
            Task::Install(snapshot) => {
                self.lineages
                    .insert(snapshot.zxid, snapshot.lineage.clone());
                let tree = snapshot.tree();
                let result = open.log.roll().and_then(|()| {
                    menagerie_database::replace(&dirs, &tree, &snapshot.sessions, &self.save)
                });
                result.map(|()| done.push(Done::Installed(snapshot)))
            }
            Task::RegainVote => {
                let noted = menagerie_database::set_blank(&dirs, false);
                noted.map(|()| self.blank = false)
            }
            Task::Save(_) => Ok(()),
            Task::Roll => open.log.roll(),
        };
        result.map_err(|error| self.stop(&error))
    }

    /// Begins a snapshot of the server's own.
    ///
    /// # Errors
    /// When the power fails.
    pub fn save(
        &mut self,
        tree: &Tree,
        sessions: &[(SessionId, i32)],
        lineage: &[(Zxid, Bytes)],
    ) -> Result<bool, Stop> {
        let Some(open) = &mut self.open else {
            return Ok(false);
        };
        match Saving::new(&open.dirs, Walk::new(tree, sessions), &self.save) {
            Ok(saving) => {
                self.lineages.insert(saving.zxid(), lineage.to_vec());
                open.saving = Some(saving);
                Ok(true)
            }
            // As in the server: the log has everything, the next snapshot may succeed.
            Err(_) if !self.blocks.is_dead() => Ok(false),
            Err(_) => Err(Stop::Power),
        }
    }

    /// Goes on with it, by so many nodes; false when it is finished or has failed, `None` when there
    /// is none.
    ///
    /// # Errors
    /// When the power fails.
    pub fn save_more(&mut self, tree: &Tree, mut nodes: usize) -> Result<Option<bool>, Stop> {
        let Some(open) = &mut self.open else {
            return Ok(None);
        };
        let Some(mut saving) = open.saving.take() else {
            return Ok(None);
        };
        let more = saving.take(tree, |_| {
            nodes = nodes.saturating_sub(1);
            nodes > 0
        });
        let result = saving.write().and_then(|()| {
            if more {
                open.saving = Some(saving);
                return Ok(());
            }
            saving.finish(Zxid(tree.last_zxid()), tree.digest())?;
            purge::purge(&open.dirs, purge::RETAIN_MIN).map(drop)
        });
        if result.is_err() && self.blocks.is_dead() {
            return Err(Stop::Power);
        }
        Ok(Some(more && result.is_ok()))
    }

    pub(super) fn lose_power(&mut self, queue: VecDeque<Task>, rng: &mut fastrand::Rng) {
        if !self.blocks.is_dead() && rng.bool() {
            // In the middle of what it was about to do.
            self.blocks.fail_power_after(rng.u32(..12));
            let _nobody_hears_of_it = self.work(queue.into());
        }
        // Whatever is dropped with the process must not reach the disk any more.
        self.blocks.fail_power_after(0);
        self.open = None;
        self.blocks.lose_power();
    }

    /// The process ends, the machine does not.
    pub fn lose_process(&mut self) {
        self.blocks.fail_power_after(0);
        self.open = None;
        self.blocks.lose_process();
    }

    pub(super) fn read(&self, from: Zxid, upto: Zxid) -> Option<Lineage> {
        let dirs = &self.open.as_ref()?.dirs;
        menagerie_database::read_behind(dirs, from, upto, 1000.0).ok()?
    }
}
