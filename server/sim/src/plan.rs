//! Owns what a run is asked for and what it amounted to.

use std::fmt;

use menagerie_core::planted::Planted;
use menagerie_storage::planted::Planted as StoragePlanted;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Decides everything that the rest of the plan leaves open.
    pub seed: u64,
    /// Simulated milliseconds with faults.
    pub faults_ms: i64,
    /// Whether to tell what happens.
    pub verbose: bool,
    /// A bug in all members.
    pub planted: Planted,
    /// A bug in the storage of all members.
    pub storage_bug: StoragePlanted,
    /// Whether the real storage runs; by the seed when it is open.
    pub files: Option<bool>,
    /// One in so many requests changes the ensemble, 0 for none; by the seed when it is open.
    pub reconfigures: Option<u8>,
}

/// What a run amounted to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Transactions that were delivered.
    pub delivered: usize,
    /// Writes that clients were told of.
    pub acknowledged: usize,
    /// Reconfigurations among them.
    pub reconfigurations: usize,
    /// Reads that were answered.
    pub reads: usize,
    /// Epochs that had a leader.
    pub epochs: usize,
    /// Members that crashed.
    pub crashes: usize,
    /// Observers that were brought up by a follower.
    pub hosted: usize,
    /// Learners brought up to date by transactions alone, by truncation, by a snapshot.
    pub syncs: [usize; 3],
    /// Sessions that were lost.
    pub expired: usize,
    /// Sessions that only one member knew at first.
    pub local: usize,
    /// Watch events.
    pub events: usize,
    /// Runs over the real storage.
    pub with_files: usize,
    /// Times that a full disk, a failed sync, a damaged file stopped a member.
    pub stops: [usize; 3],
    /// Members, observers among them.
    pub members: usize,
}

impl Plan {
    /// Everything as the seed decides.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            faults_ms: 20_000,
            verbose: false,
            planted: Planted::default(),
            storage_bug: StoragePlanted::default(),
            files: None,
            reconfigures: None,
        }
    }
}

impl Report {
    /// Adds what another run amounted to.
    pub fn add(&mut self, more: &Self) {
        self.delivered += more.delivered;
        self.acknowledged += more.acknowledged;
        self.reconfigurations += more.reconfigurations;
        self.reads += more.reads;
        self.epochs += more.epochs;
        self.crashes += more.crashes;
        self.expired += more.expired;
        self.local += more.local;
        self.hosted += more.hosted;
        self.events += more.events;
        self.with_files += more.with_files;
        for (sum, more) in self.stops.iter_mut().zip(more.stops) {
            *sum += more;
        }
        for (sum, more) in self.syncs.iter_mut().zip(more.syncs) {
            *sum += more;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [diff, trunc, snap] = self.syncs;
        let [full, failed, damaged] = self.stops;
        write!(
            f,
            "{} transactions, {} writes acknowledged, {} of them reconfigurations, {} reads, {} \
             watch events, {} sessions lost, {} local at first, {} epochs, {} crashes, {diff}/{trunc}/{snap} \
             synchronisations by DIFF/TRUNC/SNAP, {} of them of observers by followers; {} seeds over the real storage, {full} stops by a \
             full disk, {failed} by a failed sync, {damaged} by a damaged file",
            self.delivered,
            self.acknowledged,
            self.reconfigurations,
            self.reads,
            self.events,
            self.expired,
            self.local,
            self.epochs,
            self.crashes,
            self.hosted,
            self.with_files,
        )
    }
}
