//! Owns a running server: its threads and its runtime, from start to stop.

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_utils::sync::ShardedLock;
use menagerie_core::ids::Zxid;
use menagerie_core::member::{Member, Memory};
use menagerie_core::quorum::{Configs, Membership};
use menagerie_core::replica::Replica;
use menagerie_storage::epoch::{self, ACCEPTED_EPOCH, CURRENT_EPOCH};
use menagerie_storage::txnlog::{LogOptions, TxnLog};
use menagerie_storage::{DataDirs, DirLock, StorageError};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::builder::{Builder, StartError};
use crate::client::listener;
use crate::client::registry::Registry;
use crate::client::throttle::Throttle;
use crate::config::Config;
use crate::fourletter;
use crate::peer::Peers;
use crate::purger;
use crate::runtime::core_thread::CoreThread;
use crate::runtime::engine::Engine;
use crate::runtime::inbox::Inbox;
use crate::runtime::load;
use crate::runtime::log_thread::{FlushPolicy, LogQueue, LogThread, LogWriter};
use crate::runtime::snapshots::{self, SnapshotWorker};
use crate::runtime::watches::ShardedWatches;
use crate::shared::{Clock, Shared};
use crate::stats::ServerStats;

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
    listener: Option<tokio::task::JoinHandle<()>>,
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
        let socket = listen(&runtime, &config)?;
        let address = socket.local_addr().map_err(StartError::Thread)?;

        let seed = RandomState::new().hash_one(std::process::id());
        let keep = match &config.ensemble {
            Some(_) => usize::try_from(config.quorum.commit_log_count).unwrap_or_default(),
            None => 0,
        };
        let restored = load::restore(&config, &dirs, seed, keep)?;
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
            throttle: Throttle::new(config.connection_throttle.clone(), clock.mono_ms()),
            clock,
            tree: ShardedLock::new(restored.tree),
            watches: ShardedWatches::new(),
            conns: Registry::default(),
            inbox: Inbox::default(),
            stats: ServerStats::default(),
            trace_mask: AtomicI64::new(fourletter::TRACE_MASK),
            client_port: AtomicU16::new(address.port()),
            dirs: dirs.clone(),
            large_bytes: AtomicUsize::new(0),
            hash_seed: seed,
            phase: Mutex::default(),
            serving: AtomicBool::new(config.ensemble.is_none()),
            read_only: AtomicBool::new(false),
            local_sessions: AtomicI64::new(0),
            config,
        });
        if restored.fresh {
            // An empty database is one from now on, not a lost one.
            snapshots::save(&shared, &dirs, &replica.sessions().all(), false)?;
        } else if restored.replayed > 0 && shared.config.ensemble.is_none() {
            // The next start will be quicker; clients need not wait for that.
            replica.snapshot_started();
            worker.start(&shared, &replica);
        }
        let recent = restored.recent.into();
        let engine = engine(&shared, replica, recent)?;
        Self::run(shared, engine, worker, runtime, socket, address, locks)
    }

    fn run(
        shared: Arc<Shared>,
        engine: Engine,
        snapshots: SnapshotWorker,
        runtime: tokio::runtime::Runtime,
        socket: TcpListener,
        address: SocketAddr,
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
                let (me, members) = (ensemble.me, ensemble.members.clone());
                let handle = runtime.handle();
                let started = Peers::start(&shared, handle, me, members, stopped.clone());
                let failed = |(address, source)| StartError::Listen { address, source };
                Some(started.map_err(failed)?)
            }
        };
        let core_thread = CoreThread {
            shared: Arc::clone(&shared),
            engine,
            peers,
            touched_ms: 0,
            patience_ms: 0,
            log: Arc::clone(&log),
            snapshots,
        };
        let log_thread = spawn("menagerie-log", &fail, move || log_thread.run())?;
        let core_thread = spawn("menagerie-core", &fail, move || core_thread.run())?;
        runtime.spawn(purger::run(Arc::clone(&shared), dirs, stopped.clone()));
        let listener = runtime.spawn(listener::run(Arc::clone(&shared), socket, stopped));
        Ok(Self {
            shared,
            address,
            runtime: Some(runtime),
            listener: Some(listener),
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

    /// The port, useful when 0 was asked for.
    #[must_use]
    pub const fn client_port(&self) -> u16 {
        self.address.port()
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

    /// Resolves when the server can no longer serve because its log failed.
    pub async fn failed(&self) {
        let mut failed = self.failed.clone();
        let _sender_gone = failed.wait_for(|failed| *failed).await;
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
        // The core first finishes what clients have sent; they still get their answers.
        self.shared.inbox.stop();
        let core = self.core_thread.take().map(JoinHandle::join);
        self.log.stop();
        let log = self.log_thread.take().map(JoinHandle::join);
        let _nobody_listens = self.stop.send(true);
        if let Some(listener) = self.listener.take() {
            let _took_too_long =
                runtime.block_on(async { tokio::time::timeout(GRACE, listener).await });
        }
        runtime.shutdown_timeout(GRACE);
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

/// The core, for a server alone or for a member of an ensemble with what it remembers.
fn engine(
    shared: &Shared,
    replica: Replica,
    recent: Vec<(Zxid, Bytes)>,
) -> Result<Engine, StartError> {
    let Some(ensemble) = &shared.config.ensemble else {
        return Ok(Engine::Alone(Box::new(replica)));
    };
    let mut tree = shared
        .tree
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    shared.set_config_node(&mut tree);
    let last = Zxid(tree.last_zxid());
    let (accepted_epoch, current_epoch) = epochs(&shared.dirs, last)?;
    let memory = Memory {
        accepted_epoch,
        current_epoch,
        recent,
    };
    let configs = Configs::new(Membership::new(ensemble.members.clone()));
    let config = shared.config.member_config(ensemble.me);
    let member = Member::new(config, configs, replica, memory, &tree, shared.clock.now());
    shared.set_phase(member.phase());
    Ok(Engine::Member(Box::new(member)))
}

/// acceptedEpoch and currentEpoch. Source: `QuorumPeer.loadDataBase`.
fn epochs(dirs: &DataDirs, last: Zxid) -> Result<(i64, i64), StartError> {
    let number = |name: &str| -> Result<i64, StorageError> {
        if let Some(number) = epoch::read(&dirs.data, name)? {
            return Ok(number);
        }
        epoch::write(&dirs.data, name, last.epoch())?;
        Ok(last.epoch())
    };
    let (accepted, current) = (number(ACCEPTED_EPOCH)?, number(CURRENT_EPOCH)?);
    if accepted < current {
        let reason = format!("acceptedEpoch is {accepted}, before currentEpoch {current}");
        let path = dirs.data.join(ACCEPTED_EPOCH);
        return Err(StorageError::Unusable { path, reason }.into());
    }
    if last.epoch() > current {
        tracing::warn!(
            %last,
            current,
            "the log is ahead of currentEpoch: the server stopped while it took over a leader's \
             history, and will take it over again"
        );
    }
    Ok((accepted, current))
}

fn lock(dirs: &DataDirs) -> Result<Vec<DirLock>, StorageError> {
    let mut locks = vec![DirLock::acquire(&dirs.data)?];
    if dirs.log != dirs.data {
        locks.push(DirLock::acquire(&dirs.log)?);
    }
    Ok(locks)
}

/// Takes the first address that can be bound.
fn listen(runtime: &tokio::runtime::Runtime, config: &Config) -> Result<TcpListener, StartError> {
    let _inside = runtime.enter();
    let failed = |address: String| move |source| StartError::Listen { address, source };
    let name = config.client_port_address.clone().unwrap_or_default();
    let addresses = config
        .bind_addresses()
        .map_err(failed(format!("{name}:{}", config.client_port)))?;
    let mut last = None;
    for address in addresses {
        match listener::bind(address, config.listen_backlog()) {
            Ok(socket) => return Ok(socket),
            Err(source) if source.kind() == std::io::ErrorKind::AddrInUse => {
                return Err(failed(address.to_string())(source));
            }
            Err(source) => last = Some(failed(address.to_string())(source)),
        }
    }
    let nothing = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    Err(last.unwrap_or_else(|| failed(name)(nothing)))
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
