//! Owns a running server: its threads and its runtime, from start to stop.

use std::collections::VecDeque;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_utils::sync::ShardedLock;
use menagerie_core::ids::Zxid;
use menagerie_core::member::{Member, Memory};
use menagerie_core::quorum::{Configs, Membership};
use menagerie_core::replica::Replica;
use menagerie_database::{RestoreError, Restored, Saving};
use menagerie_storage::txnlog::{LogOptions, TxnLog};
use menagerie_storage::{DataDirs, DirLock, StorageError};
use tokio::sync::watch;

use crate::admin;
use crate::audit::{AuditLog, Outcome};
use crate::builder::{Builder, StartError};
use crate::client::ports::Ports;
use crate::client::registry::Registry;
use crate::config::{Config, DynamicFiles};
use crate::fourletter;
use crate::live::{Live, Reloaded};
use crate::metrics::ms;
use crate::peer::Peers;
use crate::prometheus;
use crate::purger;
use crate::runtime::ack_times::AckTimes;
use crate::runtime::core_thread::CoreThread;
use crate::runtime::engine::Engine;
use crate::runtime::inbox::Inbox;
use crate::runtime::log_thread::{FlushPolicy, LogQueue, LogThread, LogWriter};
use crate::runtime::restoring::Restoring;
use crate::runtime::snapshots::{self, SnapshotWorker};
use crate::runtime::watches::ShardedWatches;
use crate::secured::Secured;
use crate::shared::{Clock, Shared};
use crate::stats::{Metrics, ServerStats};
use crate::top_paths::{self, TopPaths};

/// How long connections get to end by themselves.
const GRACE: Duration = Duration::from_secs(5);

/// Why a server did not stop in good order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// The log failed while the server ran; nothing was acknowledged that is not safe.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A thread ended by a panic.
    #[error("the {0} thread ended by a panic")]
    Panic(&'static str),
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct ZooServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
    secure_address: Option<SocketAddr>,
    listeners: Vec<tokio::task::JoinHandle<()>>,
    pages: Pages,
    stop: watch::Sender<bool>,
    failed: watch::Receiver<bool>,
    failure: Arc<Mutex<Option<StorageError>>>,
    log: Arc<LogQueue>,
    core_thread: Option<JoinHandle<()>>,
    log_thread: Option<JoinHandle<()>>,
    _locks: Vec<DirLock>,
}

impl ZooServer {
    /// Starts to collect parameters.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn start(config: Config) -> Result<Self, StartError> {
        let audit = AuditLog::open(&config.audit).map_err(|source| StartError::Audit {
            path: config.audit.file.clone().unwrap_or_default(),
            source,
        })?;
        let audit = audit.map(Arc::new);
        let started = Self::start_audited(config, audit.clone());
        if let Some(audit) = audit {
            let outcome = match &started {
                Ok(_) => Outcome::Success,
                Err(_) => Outcome::Failure,
            };
            audit.server_does("serverStart", outcome);
            if started.is_err() {
                audit.stop();
            }
        }
        started
    }

    fn start_audited(config: Config, audit: Option<Arc<AuditLog>>) -> Result<Self, StartError> {
        back_up_servers(&config);
        let tls = Secured::new(&config)?;
        if let Some(kerberos) = &config.sasl.kerberos {
            let principal = kerberos.principal();
            tracing::info!("clients may log in by Kerberos, for tickets to {principal}");
        }
        let dirs = DataDirs::open(
            &config.data_dir,
            config.log_dir(),
            config.datadir_autocreate,
        )?;
        let locks = lock(&dirs)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("menagerie-io")
            .build()
            .map_err(StartError::Thread)?;
        // Before the database is loaded: a port in use should not cost minutes to find out.
        let ports = Ports::open(&runtime, &config)?;
        let address = ports.address()?;
        let secure_address = ports.secure_address();

        let seed = RandomState::new().hash_one(std::process::id());
        let keep = match &config.ensemble {
            Some(_) => usize::try_from(config.quorum.commit_log_count).unwrap_or_default(),
            None => 0,
        };
        let restored = load(&config, &dirs, seed, keep)?;
        let blank = is_lost(&config, &dirs, &restored)?;
        let clock = Clock::new();
        let replica_config = config.replica_config(seed);
        let sessions = restored
            .sessions
            .iter()
            .map(|(id, timeout)| (*id, *timeout));
        let mut replica = Replica::new(replica_config, &restored.tree, sessions, clock.now());
        let mut worker = SnapshotWorker::new(dirs.clone());
        let shared = Arc::new(Shared {
            auth: config.auth_config(),
            live: Live::new(&config, clock.mono_ms()),
            clock,
            top_paths: TopPaths::new(&config.top_paths, seed),
            audit,
            tree: ShardedLock::new(restored.tree),
            watches: ShardedWatches::new(),
            conns: Registry::default(),
            inbox: Inbox::default(),
            stats: ServerStats::default(),
            trace_mask: AtomicI64::new(fourletter::TRACE_MASK),
            client_port: AtomicU16::new(address.port()),
            secure_port: AtomicU16::new(secure_address.map_or(0, |address| address.port())),
            tls,
            dirs: dirs.clone(),
            large_bytes: AtomicUsize::new(0),
            hash_seed: seed,
            configs: Mutex::new(configs(&config)),
            client_address: watch::Sender::new(None),
            phase: Mutex::default(),
            serving: AtomicBool::new(config.ensemble.is_none()),
            blank: AtomicBool::new(blank),
            read_only: AtomicBool::new(false),
            local_sessions: AtomicI64::new(0),
            config,
        });
        note_start(&shared.stats.metrics, restored.took, restored.replayed);
        if restored.fresh {
            // An empty database is one from now on, unless it is noted as a lost one.
            let options = snapshots::options(&shared.config);
            let sessions = replica.sessions().all();
            let begun = Instant::now();
            Saving::whole(&dirs, &shared.read_tree(), &sessions, &options)?;
            let took = ms(begun.elapsed());
            shared.stats.metrics.snapshottime.add(took);
        } else if restored.replayed > 0 && shared.config.ensemble.is_none() {
            // The next start will be quicker; clients need not wait for that.
            replica.snapshot_started();
            worker.start(&shared, &replica);
        }
        let recent = restored.recent.into();
        let engine = engine(&shared, replica, recent, blank)?;
        Self::run(shared, engine, worker, runtime, ports, locks)
    }

    fn run(
        shared: Arc<Shared>,
        engine: Engine,
        snapshots: SnapshotWorker,
        runtime: tokio::runtime::Runtime,
        ports: Ports,
        locks: Vec<DirLock>,
    ) -> Result<Self, StartError> {
        let dirs = shared.dirs.clone();
        let (stop, stopped) = watch::channel(false);
        let (fail, failed) = watch::channel(false);
        let fail = Arc::new(fail);
        let failure = Arc::new(Mutex::new(None));
        let on_failure = {
            let (failure, fail) = (Arc::clone(&failure), Arc::clone(&fail));
            move |error| {
                *failure
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
                let _nobody_listens = fail.send(true);
            }
        };
        let writer = LogWriter::new(
            Arc::clone(&shared),
            TxnLog::new(dirs.log.clone(), log_options(&shared.config)),
            on_failure,
        );
        let log = Arc::new(LogQueue::new(writer, flush_policy(&shared.config)));
        let log_thread = LogThread {
            shared: Arc::clone(&shared),
            queue: Arc::clone(&log),
        };
        let peers = match &shared.config.ensemble {
            None => None,
            Some(ensemble) => {
                let handle = runtime.handle();
                let started = Peers::start(&shared, handle, ensemble, stopped.clone());
                let failed = |(address, source)| StartError::Listen { address, source };
                Some(started.map_err(failed)?)
            }
        };
        let core_thread = CoreThread {
            shared: Arc::clone(&shared),
            engine,
            peers,
            touched_ms: 0,
            proposed: VecDeque::new(),
            ack_times: AckTimes::new(shared.config.quorum.ack_logging_frequency),
            patience_ms: 0,
            log: Arc::clone(&log),
            snapshots,
            restoring: Restoring::default(),
        };
        let log_thread = spawn("menagerie-log", &fail, move || log_thread.run())?;
        let core_thread = spawn("menagerie-core", &fail, move || core_thread.run())?;
        runtime.spawn(purger::run(Arc::clone(&shared), dirs, stopped.clone()));
        runtime.spawn(top_paths::run(Arc::clone(&shared), stopped.clone()));
        let pages = runtime.block_on(Pages::open(&shared, &stopped))?;
        for tls in shared.tls.reloaded(&shared.config) {
            runtime.spawn(menagerie_tls::watch_files(tls, stopped.clone()));
        }
        let (address, secure_address) = (ports.address()?, ports.secure_address());
        let listeners = ports.serve(&shared, &runtime, &stopped);
        Ok(Self {
            shared,
            address,
            runtime: Some(runtime),
            secure_address,
            listeners,
            pages,
            stop,
            failed,
            failure,
            log,
            core_thread: Some(core_thread),
            log_thread: Some(log_thread),
            _locks: locks,
        })
    }

    /// Where clients connect.
    #[must_use]
    pub const fn client_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where clients connect with TLS, if they can.
    #[must_use]
    pub const fn secure_addr(&self) -> Option<SocketAddr> {
        self.secure_address
    }

    /// The port, useful when 0 was asked for.
    #[must_use]
    pub const fn client_port(&self) -> u16 {
        self.address.port()
    }

    /// Where the admin server listens, if there is one.
    #[must_use]
    pub const fn admin_addr(&self) -> Option<SocketAddr> {
        self.pages.admin
    }

    /// Where Prometheus can scrape, if it can.
    #[must_use]
    pub const fn metrics_addr(&self) -> Option<SocketAddr> {
        self.pages.metrics
    }

    /// `host:port` for a client on this machine.
    #[must_use]
    pub fn connect_string(&self) -> String {
        let ip = self.address.ip();
        if ip.is_unspecified() {
            return format!("127.0.0.1:{}", self.client_port());
        }
        self.address.to_string()
    }

    /// Takes over from a configuration read again what a running server can take over, for instance
    /// `maxClientCnxns`, and tells what else has changed. Nothing changes for connections that are
    /// open already but their limits.
    pub fn reload(&self, config: &Config) -> Reloaded {
        let now = self.shared.clock.mono_ms();
        self.shared.live.reload(&self.shared.config, config, now)
    }

    /// Resolves when the server can no longer serve because its log failed.
    pub async fn failed(&self) {
        let mut failed = self.failed.clone();
        let _sender_gone = failed.wait_for(|failed| *failed).await;
    }

    /// Whether the core still deals with what it is asked; takes as long as the core does.
    pub async fn answers(&self) -> bool {
        self.shared.inbox.ask(|_, _| ()).await.is_some()
    }

    /// Stops accepting, finishes what was begun, syncs, and ends.
    ///
    /// # Errors
    /// When the log had failed or a thread panicked.
    pub fn stop(mut self) -> Result<(), StopError> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<(), StopError> {
        let Some(runtime) = self.runtime.take() else {
            return Ok(());
        };
        if let Some(audit) = &self.shared.audit {
            audit.server_does("serverStop", Outcome::Invoked);
        }
        // The core first finishes what clients have sent; they still get their answers.
        self.shared.inbox.stop();
        let core = self.core_thread.take().map(JoinHandle::join);
        self.log.stop();
        let log = self.log_thread.take().map(JoinHandle::join);
        let _nobody_listens = self.stop.send(true);
        let listeners = self.listeners.drain(..);
        for task in listeners.chain(self.pages.tasks.drain(..)) {
            let _took_too_long =
                runtime.block_on(async { tokio::time::timeout(GRACE, task).await });
        }
        runtime.shutdown_timeout(GRACE);
        if let Some(audit) = &self.shared.audit {
            audit.stop();
        }
        if matches!(core, Some(Err(_))) {
            return Err(StopError::Panic("core"));
        }
        if matches!(log, Some(Err(_))) {
            return Err(StopError::Panic("log"));
        }
        let failure = self
            .failure
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        failure.map_or(Ok(()), |error| Err(error.into()))
    }
}

impl Drop for ZooServer {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            tracing::error!(%error, "the server did not stop in good order");
        }
    }
}

/// What is served over HTTP.
#[derive(Debug, Default)]
struct Pages {
    admin: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Pages {
    /// Opens the ports. A member of an ensemble does without the admin server when its port is in
    /// use, as ZooKeeper's does; one alone too, unless the port was asked for by name.
    /// Source: `QuorumPeer.start`, `ZooKeeperServerMain.runFromConfig`.
    async fn open(shared: &Arc<Shared>, stop: &watch::Receiver<bool>) -> Result<Self, StartError> {
        let config = &shared.config;
        let failed = |(address, source)| StartError::Listen { address, source };
        let mut pages = Self::default();
        if config.metrics.prometheus {
            let started = prometheus::start(shared, stop.clone()).await;
            let (address, task) = started.map_err(failed)?;
            pages.metrics = Some(address);
            pages.tasks.push(task);
        }
        if !config.admin.enabled {
            return Ok(pages);
        }
        match admin::start(shared, stop.clone()).await {
            Ok((address, task)) => {
                pages.admin = Some(address);
                pages.tasks.push(task);
            }
            Err(error) if config.ensemble.is_none() && config.is_given("admin.serverPort") => {
                return Err(failed(error));
            }
            Err((address, error)) => tracing::warn!(
                %address, %error,
                "no admin server, its port cannot be opened; admin.serverPort sets another"
            ),
        }
        Ok(pages)
    }
}

/// Tells that the server cannot go on when a thread that it cannot do without ends by a panic: a
/// server whose rules are broken is worse than one that is down.
struct PanicGuard(Arc<watch::Sender<bool>>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _nobody_listens = self.0.send(true);
        }
    }
}

fn spawn(
    name: &str,
    fail: &Arc<watch::Sender<bool>>,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let guard = PanicGuard(Arc::clone(fail));
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let _guard = guard;
            body();
        })
        .map_err(StartError::Thread)
}

/// Notes how long it took to read what was on disk. Source: `ZKDatabase.loadDataBase`,
/// `FileTxnSnapLog.restore`.
fn note_start(metrics: &Metrics, (snapshot, log): (Duration, Duration), replayed: u64) {
    metrics.dbinittime.add(ms(snapshot + log));
    metrics.startup_snap_load_time.add(ms(snapshot));
    metrics.startup_txns_load_time.add(ms(log));
    metrics.startup_txns_loaded.add(replayed);
}

/// The core, for a server alone or for a member of an ensemble with what it remembers.
fn engine(
    shared: &Shared,
    replica: Replica,
    recent: Vec<(Zxid, Bytes)>,
    blank: bool,
) -> Result<Engine, StartError> {
    let Some(ensemble) = &shared.config.ensemble else {
        return Ok(Engine::Alone(Box::new(replica)));
    };
    let mut tree = shared
        .tree
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(configs) = shared.configs() else {
        return Ok(Engine::Alone(Box::new(replica)));
    };
    shared.set_config_node(&mut tree);
    let last = Zxid(tree.last_zxid());
    let (accepted_epoch, current_epoch) = menagerie_database::load_epochs(&shared.dirs, last)?;
    let memory = Memory {
        accepted_epoch,
        current_epoch,
        recent,
        blank,
    };
    let config = shared.config.member_config(ensemble.me, shared.hash_seed);
    let member = Member::new(config, configs, replica, memory, &tree, shared.clock.now());
    shared.set_phase(member.phase());
    Ok(Engine::Member(Box::new(member)))
}

/// Whether the database was lost, so that a member has no vote until it is brought up, and a server alone
/// does not start. One that is missing is taken for lost with `db.autocreate=false`, unless there is the
/// file `initialize`, which is used up by that. Source: `FileTxnSnapLog.restore`.
fn is_lost(config: &Config, dirs: &DataDirs, restored: &Restored) -> Result<bool, StartError> {
    let empty = restored.tree.last_zxid() == 0;
    let noted = menagerie_database::is_blank(dirs)?;
    if !(restored.fresh || noted && empty) {
        return Ok(noted && config.ensemble.is_some());
    }
    let file = config.data_dir.join("initialize");
    let new = match fs::remove_file(&file) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => config.db_autocreate,
        Err(error) => return Err(io_error(file, error)),
    };
    if !new && config.ensemble.is_none() {
        return Err(StartError::NoDatabase(config.data_dir.clone()));
    }
    menagerie_database::set_blank(dirs, !new)?;
    Ok(!new)
}

fn io_error(path: PathBuf, source: std::io::Error) -> StartError {
    StorageError::Io {
        action: "remove",
        path,
        source,
    }
    .into()
}

/// The ensemble's configurations as the files have them.
fn configs(config: &Config) -> Option<Configs> {
    let ensemble = config.ensemble.as_ref()?;
    let mut configs = Configs::new(Membership::new(ensemble.members.clone()));
    if let Some(next) = &ensemble.next {
        configs.see(Membership::new(next.clone()));
    }
    Some(configs)
}

/// Keeps what `zoo.cfg` says of the servers, which moves to a file of its own with the first
/// reconfiguration.
fn back_up_servers(config: &Config) {
    let inline = config.ensemble.is_some() && config.dynamic_config_file.is_none();
    if let Some(file) = config
        .file
        .clone()
        .filter(|_| inline && config.reconfig_enabled)
        && let Err(error) = DynamicFiles::new(file).back_up()
    {
        tracing::warn!(%error, "no copy of the configuration could be made");
    }
}

/// Reads the database.
fn load(
    config: &Config,
    dirs: &DataDirs,
    seed: u64,
    keep: usize,
) -> Result<Restored, RestoreError> {
    let begun = Instant::now();
    let restored = menagerie_database::restore(dirs, &config.load_options(seed, keep))?;
    let path = restored.snapshot.as_ref().map(|(_, path)| path);
    tracing::info!(
        snapshot = path.map(|path| path.display().to_string()),
        replayed = restored.replayed,
        zxid = format_args!("0x{:x}", restored.tree.last_zxid()),
        nodes = restored.tree.node_count(),
        sessions = restored.sessions.len(),
        took_ms = begun.elapsed().as_millis(),
        "database loaded"
    );
    Ok(restored)
}

fn lock(dirs: &DataDirs) -> Result<Vec<DirLock>, StorageError> {
    let mut locks = vec![DirLock::acquire(&dirs.data)?];
    if dirs.log != dirs.data {
        locks.push(DirLock::acquire(&dirs.log)?);
    }
    Ok(locks)
}

fn log_options(config: &Config) -> LogOptions {
    let bytes = |kb: i64| u64::try_from(kb).unwrap_or_default().saturating_mul(1024);
    LogOptions {
        prealloc_bytes: bytes(config.pre_alloc_size_kb),
        force_sync: config.force_sync,
        size_limit_bytes: (config.txn_log_size_limit_kb > 0)
            .then(|| bytes(config.txn_log_size_limit_kb)),
    }
}

fn flush_policy(config: &Config) -> FlushPolicy {
    FlushPolicy {
        delay: Duration::from_millis(u64::try_from(config.flush_delay_ms).unwrap_or_default()),
        max_batch: usize::try_from(config.max_batch_size)
            .ok()
            .filter(|max| *max > 0)
            .unwrap_or(usize::MAX),
    }
}
