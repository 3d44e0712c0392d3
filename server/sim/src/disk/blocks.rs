//! Owns a simulated disk behind the storage crate's trait: what is synced survives a power failure,
//! of all else any part may. May use the seed's randomness only. Must not know any format.
//!
//! Of a file's unsynced writes a power failure keeps all, none, a part up to some byte, or any
//! 512-byte sectors; of a directory's unsynced changes a beginning or any selection. A sync that
//! fails has stored some of what it should have, and nothing else can be read any more.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use menagerie_storage::disk::{Access, Disk, DiskFile};
use menagerie_storage::planted::Planted;

/// The unit in which a disk writes.
const SECTOR: usize = 512;

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

#[derive(Debug, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

fn write_into(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => write_into(content, *at, bytes),
            Self::Len(len) => content.resize(*len, 0),
        }
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// The power fails.
    fn settle(&mut self, rng: &mut fastrand::Rng) {
        let changes = std::mem::take(&mut self.unsynced);
        match rng.u8(..4) {
            0 => {}
            1 => changes.iter().for_each(|c| c.apply(&mut self.durable)),
            2 => {
                let whole = rng.usize(..=changes.len());
                for change in &changes[..whole] {
                    change.apply(&mut self.durable);
                }
                if let Some(Change::Write(at, bytes)) = changes.get(whole) {
                    let part = &bytes[..rng.usize(..=bytes.len())];
                    write_into(&mut self.durable, *at, part);
                }
            }
            _ => self.settle_sectors(&changes, rng),
        }
        self.now.clone_from(&self.durable);
    }

    /// Any sectors; but what was written behind a change of the length needs that.
    fn settle_sectors(&mut self, changes: &[Change], rng: &mut fastrand::Rng) {
        let kept = [2, 5, 9][rng.usize(..3)];
        for change in changes {
            let Change::Write(at, bytes) = change else {
                if rng.bool() {
                    return;
                }
                change.apply(&mut self.durable);
                continue;
            };
            let (mut from, end) = (*at, at + bytes.len());
            while from < end {
                let to = ((from / SECTOR + 1) * SECTOR).min(end);
                if rng.u8(..10) < kept {
                    write_into(&mut self.durable, from, &bytes[from - at..to - at]);
                }
                from = to;
            }
        }
    }
}

#[derive(Debug)]
enum NameChange {
    Link(PathBuf, u64),
    Rename(PathBuf, PathBuf, u64),
    Unlink(PathBuf),
    Dir(PathBuf),
}

impl NameChange {
    /// The directory whose entries it changes.
    fn dir(&self) -> &Path {
        let (Self::Link(path, _) | Self::Rename(path, ..) | Self::Unlink(path) | Self::Dir(path)) =
            self;
        path.parent().unwrap_or(path)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>, dirs: &mut BTreeSet<PathBuf>) {
        match self {
            Self::Link(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            Self::Unlink(path) => {
                names.remove(path);
            }
            Self::Dir(path) => {
                dirs.insert(path.clone());
            }
        }
    }
}

#[derive(Debug)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<PathBuf, u64>,
    dirs: BTreeSet<PathBuf>,
    durable_names: BTreeMap<PathBuf, u64>,
    durable_dirs: BTreeSet<PathBuf>,
    unsynced: Vec<NameChange>,
    rng: fastrand::Rng,
    /// Operations until the power fails.
    power_for: Option<u32>,
    dead: bool,
    /// Bytes that files may have together.
    capacity: Option<usize>,
    used: usize,
    sync_fails: bool,
    planted: Planted,
}

/// A disk. Copies are the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

fn error(kind: ErrorKind, text: &'static str) -> io::Error {
    io::Error::new(kind, text)
}

impl State {
    /// Every operation that changes something: the power may fail before it.
    fn operate(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.power_for {
            self.dead |= *left == 0;
            *left = left.saturating_sub(1);
        }
        self.alive()
    }

    fn alive(&self) -> io::Result<()> {
        if self.dead {
            return Err(error(ErrorKind::Other, "the power has failed"));
        }
        Ok(())
    }

    fn lookup(&self, path: &Path) -> io::Result<u64> {
        let found = self.names.get(path).copied();
        found.ok_or_else(|| error(ErrorKind::NotFound, "no such file"))
    }

    fn inode(&mut self, inode: u64) -> io::Result<&mut Inode> {
        let found = self.inodes.get_mut(&inode);
        found.ok_or_else(|| error(ErrorKind::NotFound, "the file is gone"))
    }

    fn rename_unsynced(&mut self, change: NameChange) {
        change.apply(&mut self.names, &mut self.dirs);
        self.unsynced.push(change);
        self.recount();
    }

    fn recount(&mut self) {
        if self.capacity.is_some() {
            let len = |inode: &u64| self.inodes.get(inode).map_or(0, |inode| inode.now.len());
            self.used = self.names.values().map(len).sum();
        }
    }

    fn settle_names(&mut self) {
        let changes = std::mem::take(&mut self.unsynced);
        let all = self.rng.bool();
        let beginning = self.rng.usize(..=changes.len());
        for (index, change) in changes.iter().enumerate() {
            let kept = if all {
                index < beginning
            } else {
                self.rng.bool()
            };
            if kept {
                change.apply(&mut self.durable_names, &mut self.durable_dirs);
            }
        }
        let dirs = &self.durable_dirs;
        let has_dir = |path: &Path| path.parent().is_some_and(|dir| dirs.contains(dir));
        self.durable_names.retain(|path, _| has_dir(path));
        self.names.clone_from(&self.durable_names);
        self.dirs.clone_from(&self.durable_dirs);
    }
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(rng: fastrand::Rng, planted: Planted) -> Self {
        Self(Arc::new(Mutex::new(State {
            inodes: BTreeMap::new(),
            next_inode: 1,
            names: BTreeMap::new(),
            dirs: BTreeSet::new(),
            durable_names: BTreeMap::new(),
            durable_dirs: BTreeSet::new(),
            unsynced: Vec::new(),
            rng,
            power_for: None,
            dead: false,
            capacity: None,
            used: 0,
            sync_fails: false,
            planted,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the power fail before the operation behind so many more.
    pub fn fail_power_after(&self, operations: u32) {
        self.state().power_for = Some(operations);
    }

    /// Whether the power has failed.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// The power fails, if it has not yet, and comes back.
    pub fn lose_power(&self) {
        let state = &mut *self.state();
        for inode in state.inodes.values_mut() {
            inode.settle(&mut state.rng);
        }
        state.settle_names();
        let names = &state.durable_names;
        let used: BTreeSet<u64> = names.values().copied().collect();
        state.inodes.retain(|inode, _| used.contains(inode));
        state.power_for = None;
        state.dead = false;
        state.recount();
    }

    /// The process is killed: what it has written stays.
    pub fn lose_process(&self) {
        let mut state = self.state();
        state.power_for = None;
        state.dead = false;
    }

    /// Leaves room for so many bytes more; `None` for all that anyone wants.
    pub fn leave_room(&self, bytes: Option<usize>) {
        let mut state = self.state();
        state.capacity = Some(usize::MAX);
        state.recount();
        state.capacity = bytes.map(|bytes| state.used + bytes);
    }

    /// Nothing fails from now on.
    pub fn heal(&self) {
        let mut state = self.state();
        state.power_for = None;
        state.capacity = None;
        state.sync_fails = false;
    }

    /// Lets the next sync fail.
    pub fn fail_sync(&self) {
        self.state().sync_fails = true;
    }

    /// Flips a bit of what is synced in one of the files that `choose` wants; which one, and where.
    pub fn flip_bit(&self, choose: impl Fn(&str) -> bool) -> Option<(PathBuf, usize)> {
        let state = &mut *self.state();
        let name = |path: &Path| path.file_name()?.to_str().map(str::to_owned);
        let wanted = |path: &Path| name(path).is_some_and(|name| choose(&name));
        let files: Vec<(PathBuf, u64)> = state
            .names
            .iter()
            .filter(|(path, inode)| wanted(path) && state.durable_names.get(*path) == Some(inode))
            .map(|(path, inode)| (path.clone(), *inode))
            .collect();
        if files.is_empty() {
            return None;
        }
        let (path, inode) = &files[state.rng.usize(..files.len())];
        let inode = state.inodes.get_mut(inode)?;
        let both = inode.durable.len().min(inode.now.len());
        let used = inode.durable[..both].iter().rposition(|byte| *byte != 0)?;
        let at = state.rng.usize(..=used);
        let bit = 1 << state.rng.u8(..8);
        inode.durable[at] ^= bit;
        inode.now[at] ^= bit;
        Some((path.clone(), at))
    }

    /// The operator removes everything.
    pub fn wipe(&self) {
        let mut state = self.state();
        state.inodes.clear();
        state.names.clear();
        state.durable_names.clear();
        state.unsynced.clear();
        state.used = 0;
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.operate()?;
        if !path.parent().is_some_and(|dir| state.dirs.contains(dir)) {
            return Err(error(ErrorKind::NotFound, "no such directory"));
        }
        let inode = match state.lookup(path) {
            Ok(inode) => {
                state.inode(inode)?.change(Change::Len(0));
                state.recount();
                inode
            }
            Err(_) => {
                if state.capacity.is_some_and(|max| state.used >= max) {
                    return Err(error(ErrorKind::StorageFull, "no space left on device"));
                }
                let inode = state.next_inode;
                state.next_inode += 1;
                state.inodes.insert(inode, Inode::default());
                state.rename_unsynced(NameChange::Link(path.to_owned(), inode));
                inode
            }
        };
        let disk = self.clone();
        Ok(Arc::new(SimFile { disk, inode }))
    }

    fn open(&self, path: &Path, _: Access) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state();
        state.alive()?;
        let inode = state.lookup(path)?;
        let disk = self.clone();
        Ok(Arc::new(SimFile { disk, inode }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        state.alive()?;
        if !state.dirs.contains(dir) {
            return Err(error(ErrorKind::NotFound, "no such directory"));
        }
        let paths = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(paths.cloned().collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        let mut above: Vec<&Path> = dir.ancestors().collect();
        above.reverse();
        for dir in above {
            if !state.dirs.contains(dir) {
                state.operate()?;
                state.rename_unsynced(NameChange::Dir(dir.to_owned()));
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let inode = state.lookup(from)?;
        state.rename_unsynced(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.lookup(path)?;
        state.operate()?;
        state.rename_unsynced(NameChange::Unlink(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let state = &mut *self.state();
        state.operate()?;
        let changes = std::mem::take(&mut state.unsynced);
        let (its, others): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| change.dir() == dir);
        for change in its {
            change.apply(&mut state.durable_names, &mut state.durable_dirs);
        }
        state.unsynced = others;
        Ok(())
    }

    fn planted(&self) -> Planted {
        self.state().planted
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: u64,
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.alive()?;
        let content = &state.inode(self.inode)?.now;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = content.get(from..).unwrap_or_default();
        let n = bytes.len().min(buffer.len());
        buffer[..n].copy_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let (capacity, used) = (state.capacity, state.used);
        let inode = state.inode(self.inode)?;
        let len = inode.now.len();
        let room = capacity.map_or(usize::MAX, |max| len + max.saturating_sub(used));
        let fits = room.saturating_sub(at).min(bytes.len());
        inode.change(Change::Write(at, bytes[..fits].to_vec()));
        let grown = inode.now.len() - len;
        state.used += grown;
        if fits < bytes.len() {
            return Err(error(ErrorKind::StorageFull, "no space left on device"));
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.alive()?;
        Ok(state.inode(self.inode)?.now.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        state.inode(self.inode)?.change(Change::Len(len));
        state.recount();
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let state = &mut *self.disk.state();
        state.operate()?;
        let Some(inode) = state.inodes.get_mut(&self.inode) else {
            return Err(error(ErrorKind::NotFound, "the file is gone"));
        };
        if std::mem::take(&mut state.sync_fails) {
            inode.settle(&mut state.rng);
            return Err(error(ErrorKind::Other, "input/output error"));
        }
        inode.sync();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use menagerie_core::tree::{Tree, TreeOptions};
    use menagerie_database::{SaveOptions, Saving};
    use menagerie_storage::snapshot::Compression;
    use menagerie_storage::{DataDirs, purge};

    use super::*;

    fn disk(seed: u64) -> SimDisk {
        let disk = SimDisk::new(fastrand::Rng::with_seed(seed), Planted::default());
        disk.create_dir_all(Path::new("/d")).unwrap();
        for dir in ["/", "/d"] {
            disk.sync_dir(Path::new(dir)).unwrap();
        }
        disk
    }

    fn content(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
        let file = disk.open(Path::new(path), Access::Read).ok()?;
        let mut bytes = vec![0; 4096];
        let n = file.read_at(&mut bytes, 0).unwrap();
        bytes.truncate(n);
        Some(bytes)
    }

    #[test]
    fn what_is_synced_survives_and_what_is_not_may_not() {
        let mut outcomes = BTreeSet::new();
        for seed in 0..200 {
            let disk = disk(seed);
            let file = disk.create(Path::new("/d/a")).unwrap();
            file.write_all_at(&[1; 1000], 0).unwrap();
            file.sync_data().unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            file.write_all_at(&[2; 1000], 1000).unwrap();
            disk.lose_power();
            let after = content(&disk, "/d/a").unwrap();
            assert_eq!(after[..1000], [1; 1000]);
            outcomes.insert(after[1000..].to_vec());
        }
        assert!(outcomes.contains(&vec![]));
        assert!(outcomes.contains(&vec![2; 1000]));
        assert!(outcomes.len() > 10);
    }

    #[test]
    fn a_name_is_durable_only_with_its_directory() {
        let mut outcomes = BTreeSet::new();
        for seed in 0..50 {
            let disk = disk(seed);
            let file = disk.create(Path::new("/d/new")).unwrap();
            file.write_all_at(b"x", 0).unwrap();
            file.sync_data().unwrap();
            disk.rename(Path::new("/d/new"), Path::new("/d/name"))
                .unwrap();
            disk.lose_power();
            outcomes.insert((content(&disk, "/d/new"), content(&disk, "/d/name")));
        }
        let x = || Some(b"x".to_vec());
        assert!(outcomes.contains(&(None, None)));
        assert!(outcomes.contains(&(None, x())));
        assert!(outcomes.contains(&(x(), None)));
    }

    #[test]
    fn a_full_disk_takes_a_part_and_says_so() {
        let disk = disk(1);
        let file = disk.create(Path::new("/d/a")).unwrap();
        disk.leave_room(Some(10));
        let full = file.write_all_at(&[1; 16], 0).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        assert_eq!(content(&disk, "/d/a"), Some(vec![1; 10]));
        assert!(disk.create(Path::new("/d/b")).is_err());
        file.write_all_at(&[2; 10], 0).unwrap();
        disk.leave_room(None);
        file.write_all_at(&[1; 16], 0).unwrap();
    }

    #[test]
    fn the_power_fails_between_two_operations() {
        let disk = disk(1);
        disk.fail_power_after(1);
        let file = disk.create(Path::new("/d/a")).unwrap();
        assert!(file.write_all_at(&[1], 0).is_err());
        assert!(disk.is_dead());
        disk.lose_power();
        assert!(!disk.is_dead());
        disk.create(Path::new("/d/a")).unwrap();
    }

    #[test]
    fn a_purge_leaves_no_hole_in_the_log() {
        let dir = Path::new("/d");
        let save = SaveOptions {
            compression: Compression::None,
            digest: true,
            last_zxid: true,
        };
        let mut left = BTreeSet::new();
        for seed in 0..200 {
            let disk = disk(seed);
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            let dirs = DataDirs::open_on(shared, dir, dir, true).unwrap();
            let mut tree = Tree::new(TreeOptions::default());
            for start in (1..=0x51).step_by(0x10) {
                disk.create(&dirs.log.join(format!("log.{start:x}")))
                    .unwrap();
                tree.advance(start + 0xf);
                Saving::whole(&dirs, &tree, &[], &save).unwrap();
            }
            disk.fail_power_after(u32::try_from(seed % 20).unwrap());
            let _power_failed = purge::purge(&dirs, purge::RETAIN_MIN);
            disk.lose_power();
            let logs: Vec<i64> = dirs.logs().unwrap().iter().map(|(at, _)| *at).collect();
            let whole = logs.windows(2).all(|two| two[1] == two[0] + 0x10);
            assert!(whole && logs.last() == Some(&0x51), "{seed}: {logs:x?}");
            left.insert(logs.len());
        }
        assert_eq!(left, BTreeSet::from([3, 4, 5, 6]));
    }
}
