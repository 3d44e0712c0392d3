//! Owns the settings as typed values, their defaults, and what follows from several of them. May
//! use std. Must not read files or know how settings are written.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use menagerie_core::acl::DigestAlg;
use menagerie_storage::snapshot::Compression;
use menagerie_tls::{Secret, TlsSettings};

use menagerie_wire::text::cfg::{Members, Role, ServerAddress};

use super::error::Origin;
use super::own::{Allowances, LogSettings};
use super::publish::{AdminSettings, MetricsSettings};
use super::sasl::SaslSettings;
use crate::audit::AuditSettings;
use crate::sasl::QuorumSasl;
use crate::top_paths::PathSettings;

/// The limits of connection attempts, a token bucket with optional random dropping.
/// Source: `BlueThrottle`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConnectionThrottle {
    /// Size of the bucket; 0 turns the throttle off.
    pub tokens: i64,
    /// Milliseconds between refills.
    pub fill_time_ms: i64,
    /// Tokens added by a refill.
    pub fill_count: i64,
    /// Milliseconds between adjustments of the dropping probability; −1 turns dropping off.
    pub freeze_time_ms: i64,
    /// Added to the probability when the bucket is empty.
    pub drop_increase: f64,
    /// Subtracted from the probability when the bucket is full enough.
    pub drop_decrease: f64,
    /// Which part of the bucket is full enough.
    pub decrease_ratio: f64,
    /// Whether sessions cost tokens by weight.
    pub weight_enabled: bool,
    /// Tokens that a new global session costs.
    pub global_session_weight: i64,
    /// Tokens that a new local session costs.
    pub local_session_weight: i64,
    /// Tokens that a resumed session costs.
    pub renew_session_weight: i64,
}

/// Every setting of a server. Names are ZooKeeper's, in Rust's spelling; units are in the names.
///
/// A default that depends on other settings is filled in by [`Config::complete`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Config {
    // --- where to listen
    /// Port for clients; 0 lets the system choose a free one.
    pub client_port: u16,
    /// Host name or address to listen on; `None` means every address.
    pub client_port_address: Option<String>,
    /// Accepted connections that may wait; −1 means Java's 50. See [`Config::listen_backlog`].
    pub client_port_listen_backlog: i32,
    /// Whether client sockets use TCP keep-alive.
    pub client_tcp_keep_alive: bool,
    /// Port for clients with TLS, if there is one; 0 lets the system choose.
    pub secure_client_port: Option<u16>,
    /// Host name or address of that port; `None` means every address.
    pub secure_client_port_address: Option<String>,
    /// Whether the client port takes TLS as well.
    pub client_port_unification: bool,
    /// Whether the stores of TLS for clients are read again when they change.
    pub client_cert_reload: bool,
    /// Handshakes of clients at a time; 0 and less mean a limit of the server's own.
    pub outstanding_handshakes_max: i64,
    /// Whether servers do not check each other's host names.
    pub fips_mode: bool,
    /// TLS for clients.
    pub ssl: TlsSettings,
    /// TLS between servers, and of the admin server.
    pub quorum_ssl: TlsSettings,

    // --- time and sessions
    /// Milliseconds of a tick: the step of session expiry.
    pub tick_time_ms: i64,
    /// The shortest session time-out a client can have, in milliseconds; two ticks if not set.
    pub min_session_timeout_ms: i32,
    /// The longest session time-out a client can have, in milliseconds; twenty ticks if not set.
    pub max_session_timeout_ms: i32,
    /// How long a connection may live without a session, in milliseconds.
    pub sessionless_timeout_ms: u64,
    /// Whether closing a session logs the paths of its ephemerals.
    pub close_session_txn_enabled: bool,

    // --- limits
    /// Connections of one address; 0 means no limit.
    pub max_client_cnxns: usize,
    /// Connections in all; 0 means no limit.
    pub max_cnxns: usize,
    /// Requests in the server before connections are no longer read.
    pub global_outstanding_limit: i64,
    /// The longest frame a client may send, in bytes.
    pub jute_max_buffer: usize,
    /// From how many bytes on a request is large; −1 means never.
    pub large_request_threshold: i64,
    /// Bytes of large requests that may be in the server.
    pub large_request_max_bytes: i64,
    /// Requests that may be in the pipeline before others wait; 0 means no limit.
    pub request_throttle_max_requests: i64,
    /// Milliseconds a waiting request sleeps before it looks again.
    pub request_throttle_stall_time_ms: i64,
    /// Milliseconds in the throttler's queue after which a request is refused; 0 means never.
    pub throttled_op_wait_time_ms: i64,
    /// Limits of connection attempts.
    pub connection_throttle: ConnectionThrottle,

    // --- batching
    /// Milliseconds a batch of writes may wait for company before it is flushed to disk.
    pub flush_delay_ms: i64,
    /// Writes in a batch; 0 or less means no limit by number.
    pub max_batch_size: i64,

    // --- storage
    /// Where snapshots are, in `version-2` under it.
    pub data_dir: PathBuf,
    /// As configured; see [`Config::log_dir`].
    pub data_log_dir: Option<PathBuf>,
    /// Whether missing directories are created at the start.
    pub datadir_autocreate: bool,
    /// Whether a missing database means an empty one.
    pub db_autocreate: bool,
    /// Whether a log without any snapshot is replayed instead of refused.
    pub snapshot_trust_empty: bool,
    /// Transactions after which a snapshot is taken.
    pub snap_count: i64,
    /// KiB of transactions after which a snapshot is taken; 0 or less means no limit by size.
    pub snap_size_limit_kb: i64,
    /// How snapshots are compressed. Source: `SnapStream.StreamMode`.
    pub snapshot_compression: Compression,
    /// KiB by which the log file is enlarged ahead of use.
    pub pre_alloc_size_kb: i64,
    /// KiB after which a new log file is started; −1 means no limit.
    pub txn_log_size_limit_kb: i64,
    /// Whether a write is on the disk before it is acknowledged.
    pub force_sync: bool,
    /// Milliseconds of an fsync from which on a warning is logged.
    pub fsync_warning_threshold_ms: i64,
    /// Snapshots that a purge keeps, at least 3.
    pub autopurge_snap_retain_count: i64,
    /// Hours between purges; 0 or less means never.
    pub autopurge_purge_interval_h: i64,
    /// Whether the tree's digest is kept and checked.
    pub digest_enabled: bool,
    /// Whether snapshots end with the zxid they were taken at.
    pub serialize_last_processed_zxid: bool,

    // --- znodes
    /// Whether TTL nodes may be created.
    pub extended_types_enabled: bool,
    /// Whether TTL nodes of ZooKeeper 3.5.3 are understood.
    pub emulate353_ttl_nodes: bool,
    /// Milliseconds between checks of container and TTL nodes.
    pub container_check_interval_ms: i64,
    /// Container and TTL nodes deleted in a minute at most.
    pub container_max_per_minute: i64,
    /// Milliseconds after which a container that never had a child is deleted; 0 means never.
    pub container_max_never_used_interval_ms: i64,
    /// Whether quotas refuse what exceeds them.
    pub enforce_quota: bool,
    /// Members of an ensemble check ACLs before a write goes its way to the leader.
    pub eager_acl_check: bool,

    // --- access
    /// Whether ACLs are not checked.
    pub skip_acl: bool,
    /// Whether the scheme `digest` exists.
    pub digest_auth_enabled: bool,
    /// How passwords of the scheme `digest` are hashed.
    pub digest_alg: DigestAlg,
    /// The digest id (`super:` and base64) that passes every ACL.
    pub super_digest: Option<Secret>,
    /// User names that pass every ACL once SASL has named them so.
    pub super_users: BTreeSet<String>,
    /// The X.500 name that passes every ACL.
    pub x509_super_user: Option<String>,
    /// Whether the scheme `x509` exists.
    pub x509_enabled: bool,
    /// Whether the scheme `sasl` exists in ACLs.
    pub sasl_enabled: bool,
    /// The user whose ACL entries are for every SASL user.
    pub let_any_sasl_user_do: Option<String>,
    /// Whether the scheme `ensemble` exists.
    pub ensemble_auth_enabled: bool,
    /// The names the scheme `ensemble` accepts; none accepts all.
    pub ensemble_names: Vec<String>,
    /// Whether a session needs one of the schemes in `enforce_auth_schemes`.
    pub enforce_auth_enabled: bool,
    /// The schemes one of which a session needs.
    pub enforce_auth_schemes: BTreeSet<String>,
    /// Whether a session needs SASL.
    pub session_require_client_sasl_auth: bool,

    // --- four-letter words and the rest
    /// The admin server.
    pub admin: AdminSettings,
    /// The metrics provider.
    pub metrics: MetricsSettings,
    /// The log.
    pub log: LogSettings,
    /// Milliseconds after which a request is logged; 0 means never.
    pub slow_request_ms: u32,
    /// What clients may ask for.
    pub allowances: Allowances,
    /// The words as configured; see [`Config::four_letter_word_allowed`].
    pub four_lw_whitelist: BTreeSet<String>,
    /// Whether read-only mode is on.
    pub read_only_mode: bool,
    /// Whether reconfiguration is on. A standalone server answers `reconfig` with
    /// RECONFIGDISABLED if it is off and with UNIMPLEMENTED if it is on.
    pub reconfig_enabled: bool,
    /// Whether one `server.N` line means a standalone server.
    pub standalone_enabled: bool,

    /// The `server.N` lines, by the text after the dot.
    pub servers: BTreeMap<String, String>,
    /// The `group.N` and `weight.N` lines, by their whole key.
    pub groups: BTreeMap<String, String>,
    /// What the servers have in common as an ensemble.
    pub quorum: QuorumSettings,
    /// The ensemble, unless this server stands alone; set by [`Config::complete`].
    pub ensemble: Option<Ensemble>,
    /// The file that holds the `server.N` lines instead.
    pub dynamic_config_file: Option<PathBuf>,
    /// The number in `dataDir/myid`, if there is one.
    pub my_id: Option<i64>,
    /// The configuration file, if there was one.
    pub file: Option<PathBuf>,
    /// The text of the configuration file, which may hold passwords.
    pub initial_config: Option<Secret>,
    /// Keys no part of the server knows, as ZooKeeper would set them as properties.
    pub unknown: BTreeMap<String, String>,
    /// Whether [`Config::complete`] has been through since the last change.
    pub(crate) complete: bool,
    /// What was configured of the settings that otherwise follow from others.
    pub(crate) derived: Derived,
    /// The audit log.
    pub(crate) audit: AuditSettings,
    /// Which paths are asked for most.
    pub(crate) top_paths: PathSettings,
    /// SASL for clients.
    pub(crate) sasl: SaslSettings,
    /// Quorum authentication switches, checked against each other as ZooKeeper does.
    pub(crate) quorum_auth: QuorumAuth,
    /// Where each setting that was given was written, by the key's table name.
    pub(crate) origins: BTreeMap<String, Origin>,
}

/// Settings of an ensemble.
#[derive(Debug, Clone, PartialEq)]
pub struct QuorumSettings {
    /// Ticks that a learner has to connect and synchronise.
    pub init_limit: i64,
    /// Ticks without a sign of life.
    pub sync_limit: i64,
    /// Ticks to connect to the leader; 0 takes `initLimit`.
    pub connect_to_leader_limit: i64,
    /// What `peerType` says.
    pub peer_is_observer: bool,
    /// Whether the ports between servers listen on every address.
    pub listen_on_all_ips: bool,
    /// Milliseconds to connect for an election.
    pub cnx_timeout_ms: i64,
    /// TCP keep-alive between servers.
    pub tcp_keep_alive: bool,
    /// Committed transactions kept for learners.
    pub commit_log_count: i64,
    /// Learners get the log while it is smaller than that part of a snapshot; negative never.
    pub snapshot_size_factor: f64,
    /// Whether learners get snapshots only.
    pub force_snapshot_sync: bool,
    /// Milliseconds before votes are sent again for the first time.
    pub min_notification_interval_ms: i64,
    /// Milliseconds between votes at most.
    pub max_notification_interval_ms: i64,
    /// Milliseconds between attempts to connect to the leader.
    pub connect_delay_ms: i64,
    /// `observerMasterPort` as given; see [`Self::observer_master_port`].
    pub observer_master_port: i64,
    /// Milliseconds that an observer waits at most before it connects again.
    pub observer_reconnect_delay_ms: i64,
    /// Milliseconds that an observer waits at most before it looks for a leader again.
    pub observer_election_delay_ms: i64,
    /// Whether the leader serves clients.
    pub leader_serves: bool,
    /// Whether new sessions are known to one server only.
    pub local_sessions: bool,
    /// Whether such sessions become the ensemble's when they create an ephemeral node.
    pub local_sessions_upgrading: bool,
    /// Whether servers speak TLS with each other.
    pub ssl: bool,
    /// Whether they accept both, whatever they speak themselves.
    pub port_unification: bool,
    /// Whether their stores are read again when they change.
    pub reload_cert_files: bool,
    /// Whether a server may have several addresses.
    pub multi_address: bool,
    /// Whether a connection over one of several addresses ends when that one no longer answers.
    pub reachability_check: bool,
    /// Milliseconds that it has for an answer.
    pub reachability_timeout_ms: i64,
    /// How often opening an election port is tried; 0 means without end.
    pub election_port_bind_retry: i64,
    /// Milliseconds that a server has to say who it is on the election port; below 1 means
    /// `syncLimit` ticks.
    pub election_introduction_ms: i64,
    /// Observers that a leader sends snapshots to at a time, followers counted.
    pub max_concurrent_snap_syncs: i64,
    /// Observers that a leader sends transactions to at a time, followers counted.
    pub max_concurrent_diff_syncs: i64,
    /// Milliseconds after which a leader that waits for an epoch gives up when one of its voters
    /// looks for a leader again; negative means never.
    pub max_time_to_wait_for_epoch_ms: i64,
    /// A leader notes how long members take to acknowledge every so many proposals; below 1 it notes
    /// none.
    pub ack_logging_frequency: i64,
    /// The file that decides where one of two voters is alone.
    pub oracle_path: Option<PathBuf>,
}

impl Default for QuorumSettings {
    fn default() -> Self {
        Self {
            init_limit: 0,
            sync_limit: 0,
            connect_to_leader_limit: 0,
            peer_is_observer: false,
            listen_on_all_ips: false,
            cnx_timeout_ms: 5000,
            tcp_keep_alive: false,
            commit_log_count: 500,
            snapshot_size_factor: 0.33,
            force_snapshot_sync: false,
            min_notification_interval_ms: 200,
            max_notification_interval_ms: 60_000,
            connect_delay_ms: 100,
            observer_master_port: 0,
            observer_reconnect_delay_ms: 0,
            observer_election_delay_ms: 200,
            leader_serves: true,
            local_sessions: false,
            local_sessions_upgrading: false,
            ssl: false,
            port_unification: false,
            reload_cert_files: false,
            multi_address: false,
            reachability_check: true,
            reachability_timeout_ms: 1000,
            election_port_bind_retry: 3,
            election_introduction_ms: -1,
            max_concurrent_snap_syncs: 10,
            max_concurrent_diff_syncs: 100,
            max_time_to_wait_for_epoch_ms: -1,
            ack_logging_frequency: 1000,
            oracle_path: None,
        }
    }
}

impl QuorumSettings {
    /// Where followers serve observers, if they do: 0 and less mean that they do not.
    #[must_use]
    pub fn observer_master_port(&self) -> Option<u16> {
        let port = u16::try_from(self.observer_master_port).ok()?;
        (port > 0).then_some(port)
    }
}

/// The ensemble that this server belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensemble {
    /// This server's number.
    pub me: i64,
    /// Its members.
    pub members: Members,
    /// Members of a reconfiguration that was on its way when the server stopped.
    pub next: Option<Members>,
}

/// Settings whose default follows from others, as far as they were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Derived {
    pub(crate) min_session_timeout_ms: Option<i32>,
    pub(crate) max_session_timeout_ms: Option<i32>,
}

/// The switches of SASL between servers. Source: `QuorumPeerConfig.parseProperties`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QuorumAuth {
    pub(crate) enable_sasl: bool,
    pub(crate) server_require_sasl: bool,
    pub(crate) learner_require_sasl: bool,
    /// Sections of the JAAS file: who may log in, and who this server is.
    pub(crate) server_section: String,
    pub(crate) learner_section: String,
    /// What they say; set by [`Config::complete`] for a member of an ensemble that wants it.
    pub(crate) sasl: Option<QuorumSasl>,
}

impl Default for QuorumAuth {
    fn default() -> Self {
        Self {
            enable_sasl: false,
            server_require_sasl: false,
            learner_require_sasl: false,
            server_section: "QuorumServer".to_owned(),
            learner_section: "QuorumLearner".to_owned(),
            sasl: None,
        }
    }
}

impl Default for ConnectionThrottle {
    fn default() -> Self {
        Self {
            tokens: 0,
            fill_time_ms: 1,
            fill_count: 1,
            freeze_time_ms: -1,
            drop_increase: 0.02,
            drop_decrease: 0.002,
            decrease_ratio: 0.0,
            weight_enabled: false,
            global_session_weight: 3,
            local_session_weight: 1,
            renew_session_weight: 2,
        }
    }
}

impl Config {
    /// The configuration of a server without a file: port 2181, data in `./data`, everything else
    /// ZooKeeper's default.
    #[must_use]
    pub fn embedded_default() -> Self {
        Self {
            client_port: 2181,
            client_port_address: None,
            client_port_listen_backlog: -1,
            client_tcp_keep_alive: false,
            secure_client_port: None,
            secure_client_port_address: None,
            client_port_unification: false,
            client_cert_reload: false,
            outstanding_handshakes_max: -1,
            fips_mode: true,
            ssl: TlsSettings::for_clients(),
            quorum_ssl: TlsSettings::for_quorum(),
            tick_time_ms: 3000,
            min_session_timeout_ms: 6000,
            max_session_timeout_ms: 60_000,
            sessionless_timeout_ms: 10_000,
            close_session_txn_enabled: true,
            max_client_cnxns: 60,
            max_cnxns: 0,
            global_outstanding_limit: 1000,
            jute_max_buffer: 0xf_ffff,
            large_request_threshold: -1,
            large_request_max_bytes: 100 * 1024 * 1024,
            request_throttle_max_requests: 0,
            request_throttle_stall_time_ms: 100,
            throttled_op_wait_time_ms: 0,
            connection_throttle: ConnectionThrottle::default(),
            flush_delay_ms: 0,
            max_batch_size: 1000,
            data_dir: PathBuf::from("data"),
            data_log_dir: None,
            datadir_autocreate: true,
            db_autocreate: true,
            snapshot_trust_empty: false,
            snap_count: 100_000,
            snap_size_limit_kb: 4_194_304,
            snapshot_compression: Compression::None,
            pre_alloc_size_kb: 65_536,
            txn_log_size_limit_kb: -1,
            force_sync: true,
            fsync_warning_threshold_ms: 1000,
            autopurge_snap_retain_count: 3,
            autopurge_purge_interval_h: 0,
            digest_enabled: true,
            serialize_last_processed_zxid: true,
            extended_types_enabled: false,
            emulate353_ttl_nodes: false,
            container_check_interval_ms: 60_000,
            container_max_per_minute: 10_000,
            container_max_never_used_interval_ms: 0,
            enforce_quota: false,
            eager_acl_check: false,
            skip_acl: false,
            digest_auth_enabled: true,
            digest_alg: DigestAlg::Sha1,
            super_digest: None,
            super_users: BTreeSet::new(),
            x509_super_user: None,
            x509_enabled: false,
            sasl_enabled: false,
            let_any_sasl_user_do: None,
            ensemble_auth_enabled: false,
            ensemble_names: Vec::new(),
            enforce_auth_enabled: false,
            enforce_auth_schemes: BTreeSet::new(),
            session_require_client_sasl_auth: false,
            admin: AdminSettings::default(),
            log: LogSettings::default(),
            slow_request_ms: 1000,
            allowances: Allowances::default(),
            metrics: MetricsSettings::default(),
            four_lw_whitelist: BTreeSet::new(),
            read_only_mode: false,
            reconfig_enabled: false,
            standalone_enabled: true,
            servers: BTreeMap::new(),
            groups: BTreeMap::new(),
            quorum: QuorumSettings::default(),
            ensemble: None,
            dynamic_config_file: None,
            my_id: None,
            file: None,
            initial_config: None,
            unknown: BTreeMap::new(),
            audit: AuditSettings::default(),
            top_paths: PathSettings::default(),
            sasl: SaslSettings::default(),
            quorum_auth: QuorumAuth::default(),
            complete: false,
            derived: Derived::default(),
            origins: BTreeMap::new(),
        }
    }

    /// Fills in the settings that follow from others and were not given themselves.
    pub(crate) fn derive(&mut self) {
        let ticks = |n: i64| i32::try_from(self.tick_time_ms.saturating_mul(n)).unwrap_or(i32::MAX);
        let given = self.derived;
        self.min_session_timeout_ms = given.min_session_timeout_ms.unwrap_or_else(|| ticks(2));
        self.max_session_timeout_ms = given.max_session_timeout_ms.unwrap_or_else(|| ticks(20));
    }

    /// Accepted connections that may wait. Java takes anything below 1 for 50.
    #[must_use]
    pub fn listen_backlog(&self) -> i32 {
        if self.client_port_listen_backlog < 1 {
            50
        } else {
            self.client_port_listen_backlog
        }
    }

    /// Where the transaction log is, in `version-2` under it: `dataLogDir`, else `dataDir`.
    #[must_use]
    pub fn log_dir(&self) -> &Path {
        self.data_log_dir.as_deref().unwrap_or(&self.data_dir)
    }

    /// The directory that holds the snapshot files themselves.
    #[must_use]
    pub fn snapshot_files_dir(&self) -> PathBuf {
        self.data_dir.join("version-2")
    }

    /// The directory that holds the log files themselves.
    #[must_use]
    pub fn log_files_dir(&self) -> PathBuf {
        self.log_dir().join("version-2")
    }

    /// Whether `word` may be asked. `srvr` always may, since zkServer.sh asks it, `isro` in
    /// read-only mode, and `*` stands for every word there is.
    /// Source: `FourLetterCommands.isEnabled`.
    #[must_use]
    pub fn four_letter_word_allowed(&self, word: &str) -> bool {
        word == "srvr"
            || (word == "isro" && self.read_only_mode)
            || self.four_lw_whitelist.contains("*")
            || self.four_lw_whitelist.contains(word)
    }

    /// The addresses to listen on, the best first: a server takes the first it can bind. Without
    /// `clientPortAddress` that is every address of both families, else every IPv4 address. An
    /// empty name means loopback, as in Java.
    ///
    /// # Errors
    /// When the name cannot be resolved.
    pub fn bind_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        addresses_to_bind(self.client_port_address.as_deref(), self.client_port)
    }

    /// Whether there is a port for clients without TLS: a file may name the other one only.
    #[must_use]
    pub fn has_plain_port(&self) -> bool {
        let given = self.file.is_none() || self.given("clientPort");
        given || self.secure_client_port.is_none()
    }

    /// The answer to the four-letter word `conf`. `members` are those in force, the ports are those in use, and the sizes
    /// are those of the files in the two directories, in bytes.
    /// Source: `ZooKeeperServer.dumpConf`; a standalone server's id is 0 whatever `myid` says.
    #[must_use]
    pub fn conf_text(
        &self,
        members: Option<&Members>,
        (client_port, secure_port): (Option<u16>, Option<u16>),
        data_dir_size: u64,
        log_dir_size: u64,
    ) -> String {
        let port = |port: Option<u16>| port.map_or(-1, i32::from);
        format!(
            "clientPort={}\nsecureClientPort={}\ndataDir={}\ndataDirSize={data_dir_size}\n\
             dataLogDir={}\ndataLogSize={log_dir_size}\ntickTime={}\nmaxClientCnxns={}\n\
             minSessionTimeout={}\nmaxSessionTimeout={}\nclientPortListenBacklog={}\nserverId={}\n{}",
            port(client_port),
            port(secure_port),
            absolute(&self.snapshot_files_dir()).display(),
            absolute(&self.log_files_dir()).display(),
            self.tick_time_ms,
            self.max_client_cnxns,
            self.min_session_timeout_ms,
            self.max_session_timeout_ms,
            self.client_port_listen_backlog,
            self.ensemble.as_ref().map_or(0, |ensemble| ensemble.me),
            self.ensemble_text(members)
        )
    }

    /// What `conf` says of an ensemble. Source: `QuorumPeer`'s part of `ConfCommand`.
    fn ensemble_text(&self, members: Option<&Members>) -> String {
        let (Some(ensemble), Some(members)) = (&self.ensemble, members) else {
            return String::new();
        };
        let quorum = &self.quorum;
        // Who is no longer a member goes on under the addresses that it had.
        let mine = members.servers.get(&ensemble.me);
        let Some(mine) = mine.or_else(|| ensemble.members.servers.get(&ensemble.me)) else {
            return String::new();
        };
        // Several ports as `MultipleAddresses.getAllPorts` gives them, each once.
        let ports = |of: fn(&ServerAddress) -> u16| {
            let mut all: Vec<u16> = mine.addresses.iter().map(of).collect();
            all.sort_unstable();
            all.dedup();
            let all: Vec<String> = all.iter().map(u16::to_string).collect();
            all.join("|")
        };
        let role = match mine.role {
            Role::Participant => 0,
            Role::Observer => 1,
        };
        format!(
            "initLimit={}\nsyncLimit={}\nelectionAlg=3\nelectionPort={}\nquorumPort={}\n\
             peerType={role}\nmembership: \n{}",
            quorum.init_limit,
            quorum.sync_limit,
            ports(|address| address.election_port),
            ports(|address| address.port),
            members
        )
    }
}

/// The addresses to listen on, the best first; see [`Config::bind_addresses`].
///
/// # Errors
/// When the name cannot be resolved.
pub(crate) fn addresses_to_bind(name: Option<&str>, port: u16) -> io::Result<Vec<SocketAddr>> {
    match name {
        None => Ok([
            IpAddr::from(Ipv6Addr::UNSPECIFIED),
            IpAddr::from(Ipv4Addr::UNSPECIFIED),
        ]
        .map(|ip| SocketAddr::new(ip, port))
        .to_vec()),
        Some("") => Ok(vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)]),
        Some(name) => {
            let bare = name
                .strip_prefix('[')
                .and_then(|name| name.strip_suffix(']'));
            let mut addresses: Vec<_> = (bare.unwrap_or(name), port).to_socket_addrs()?.collect();
            // Java prefers IPv4 addresses where a name has both.
            addresses.sort_by_key(SocketAddr::is_ipv6);
            Ok(addresses)
        }
    }
}

/// Java's `File.getAbsolutePath`: under the working directory, nothing else changed.
fn absolute(path: &Path) -> PathBuf {
    std::env::current_dir().map_or_else(|_| path.to_path_buf(), |here| here.join(path))
}
