//! Owns how settings reach the parts below the server. May use the types those parts are configured
//! with. Must not decide a value.

use menagerie_core::acl::AuthConfig;
use menagerie_core::election::ElectionConfig;
use menagerie_core::ids::Sid;
use menagerie_core::member::{MemberConfig, ObserverConfig};
use menagerie_core::planted::Planted;
use menagerie_core::processor::prep::PrepConfig;
use menagerie_core::reaper::ReaperConfig;
use menagerie_core::replica::ReplicaConfig;
use menagerie_core::sessions::SessionRules;
use menagerie_core::snap_policy::SnapPolicyConfig;
use menagerie_core::tree::{OwnerRules, TreeOptions};
use menagerie_database::LoadOptions;
use menagerie_tls::Secret;

use super::settings::Config;

/// The number of a server that stands alone, whatever `myid` says.
/// Source: `ZooKeeperServer.createSessionTrackerServerId`.
const STANDALONE_ID: i64 = 1;

impl Config {
    /// Settings of authentication and access control.
    #[must_use]
    pub fn auth_config(&self) -> AuthConfig {
        AuthConfig {
            skip_acl: self.skip_acl,
            digest_enabled: self.digest_auth_enabled,
            digest_alg: self.digest_alg,
            super_digest: self
                .super_digest
                .as_ref()
                .map(Secret::reveal)
                .map(str::to_owned),
            x509_enabled: self.x509_enabled
                || self.secure_client_port.is_some()
                || self.client_port_unification,
            x509_super_user: self.x509_super_user.clone(),
            sasl_enabled: self.sasl_enabled,
            let_any_sasl_user_do: self.let_any_sasl_user_do.clone(),
            sasl_super_users: self.super_users.iter().cloned().collect(),
            ensemble_names: self
                .ensemble_auth_enabled
                .then(|| self.ensemble_names.clone()),
        }
    }

    /// Settings of the tree. `hash_seed` differs from process to process.
    #[must_use]
    pub fn tree_options(&self, hash_seed: u64) -> TreeOptions {
        TreeOptions {
            owner_rules: OwnerRules {
                extended_types: self.extended_types_enabled,
                emulate_353: self.emulate353_ttl_nodes,
            },
            digest_enabled: self.digest_enabled,
            hash_seed,
        }
    }

    /// How the database is loaded, with so many of its last transactions remembered.
    #[must_use]
    pub fn load_options(&self, hash_seed: u64, keep: usize) -> LoadOptions {
        LoadOptions {
            tree: self.tree_options(hash_seed),
            keep,
            trust_empty: self.snapshot_trust_empty,
            alone: self.ensemble.is_none(),
        }
    }

    /// Settings of a member of an ensemble. `seed` differs from process to process.
    #[must_use]
    pub fn member_config(&self, me: i64, seed: u64) -> MemberConfig {
        let quorum = &self.quorum;
        MemberConfig {
            me: Sid(me),
            tick_ms: self.tick_time_ms,
            init_limit: quorum.init_limit,
            sync_limit: quorum.sync_limit,
            commit_log_count: usize::try_from(quorum.commit_log_count).unwrap_or_default(),
            force_snapshot_sync: quorum.force_snapshot_sync,
            reconfig_enabled: self.reconfig_enabled,
            standalone_enabled: self.standalone_enabled,
            observers: ObserverConfig {
                masters: quorum.observer_master_port().is_some(),
                reconnect_delay_ms: quorum.observer_reconnect_delay_ms,
                election_delay_ms: quorum.observer_election_delay_ms,
                seed,
            },
            multi_address: quorum.multi_address,
            max_snap_syncs: usize::try_from(quorum.max_concurrent_snap_syncs).unwrap_or(1),
            max_diff_syncs: usize::try_from(quorum.max_concurrent_diff_syncs).unwrap_or(1),
            epoch_wait_ms: quorum.max_time_to_wait_for_epoch_ms,
            planted: Planted::default(),
            election: ElectionConfig {
                min_interval_ms: quorum.min_notification_interval_ms,
                max_interval_ms: quorum.max_notification_interval_ms,
                ..ElectionConfig::default()
            },
        }
    }

    /// How new sessions begin.
    #[must_use]
    pub const fn session_rules(&self) -> SessionRules {
        // A server alone makes nothing of it. Source: `ZooKeeperServer.createSessionTracker`.
        if self.quorum.local_sessions && self.ensemble.is_some() {
            let upgrade = self.quorum.local_sessions_upgrading;
            SessionRules::Local { upgrade }
        } else {
            SessionRules::Global
        }
    }

    /// Settings of the replica. `seed` differs from process to process.
    #[must_use]
    pub fn replica_config(&self, seed: u64) -> ReplicaConfig {
        ReplicaConfig {
            prep: PrepConfig {
                auth: self.auth_config(),
                enforce_quota: self.enforce_quota,
                reconfig_enabled: self.reconfig_enabled,
                eager_acl_check: self.eager_acl_check,
                close_session_txn: self.close_session_txn_enabled,
                hash_seed: seed,
            },
            tick_ms: self.tick_time_ms,
            server_id: self.ensemble.as_ref().map_or(STANDALONE_ID, |e| e.me),
            alone: self.ensemble.is_none(),
            sessions: self.session_rules(),
            reaper: ReaperConfig {
                check_interval_ms: self.container_check_interval_ms,
                max_per_minute: self.container_max_per_minute,
                max_never_used_ms: self.container_max_never_used_interval_ms,
            },
            snapshots: SnapPolicyConfig {
                count: u64::try_from(self.snap_count).unwrap_or_default(),
                bytes: u64::try_from(self.snap_size_limit_kb)
                    .unwrap_or_default()
                    .saturating_mul(1024),
            },
            seed,
        }
    }
}
