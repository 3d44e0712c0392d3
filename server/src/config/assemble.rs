//! Owns how settings reach the parts below the server. May use the types those parts are configured
//! with. Must not decide a value.

use menagerie_core::acl::AuthConfig;
use menagerie_core::election::ElectionConfig;
use menagerie_core::ids::Sid;
use menagerie_core::member::MemberConfig;
use menagerie_core::planted::Planted;
use menagerie_core::processor::prep::PrepConfig;
use menagerie_core::reaper::ReaperConfig;
use menagerie_core::replica::ReplicaConfig;
use menagerie_core::snap_policy::SnapPolicyConfig;
use menagerie_core::tree::{OwnerRules, TreeOptions};

use super::settings::{Config, Secret};

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
            x509_enabled: self.x509_enabled,
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

    /// Settings of a member of an ensemble.
    #[must_use]
    pub fn member_config(&self, me: i64) -> MemberConfig {
        let quorum = &self.quorum;
        MemberConfig {
            me: Sid(me),
            tick_ms: self.tick_time_ms,
            init_limit: quorum.init_limit,
            sync_limit: quorum.sync_limit,
            commit_log_count: usize::try_from(quorum.commit_log_count).unwrap_or_default(),
            force_snapshot_sync: quorum.force_snapshot_sync,
            planted: Planted::default(),
            election: ElectionConfig {
                min_interval_ms: quorum.min_notification_interval_ms,
                max_interval_ms: quorum.max_notification_interval_ms,
                ..ElectionConfig::default()
            },
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
                close_session_txn: self.close_session_txn_enabled,
                hash_seed: seed,
            },
            tick_ms: self.tick_time_ms,
            server_id: self.ensemble.as_ref().map_or(STANDALONE_ID, |e| e.me),
            alone: self.ensemble.is_none(),
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
