//! Owns settings that are allowed and dangerous. Must not look beyond the configuration and the
//! file it came from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use menagerie_wire::text::cfg::Role;

use super::{Finding, good, risky};
use crate::config::Config;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    storage(config, &mut findings);
    access(config, &mut findings);
    ensemble(config, &mut findings);
    if findings.is_empty() {
        findings.push(good("settings", "nothing dangerous among them"));
    }
    findings
}

fn storage(config: &Config, findings: &mut Vec<Finding>) {
    if config.autopurge_purge_interval_h <= 0 {
        findings.push(risky(
            "autopurge.purgeInterval",
            "old snapshots and logs are never removed, so that the disk fills up",
            "set autopurge.purgeInterval=24",
        ));
    }
    if !config.force_sync {
        findings.push(risky(
            "forceSync",
            "writes are acknowledged before they are on the disk: a power failure loses them, and in an \
             ensemble can lose what others rely on",
            "remove forceSync=no",
        ));
    }
    if !config.digest_enabled {
        findings.push(risky(
            "digest.enabled",
            "members cannot notice that their trees differ",
            "remove digest.enabled=false",
        ));
    }
}

fn access(config: &Config, findings: &mut Vec<Finding>) {
    if config.skip_acl {
        findings.push(risky(
            "skipACL",
            "anybody who can connect may read and change everything",
            "remove skipACL=yes",
        ));
    }
    let open = config.client_port_address.as_deref();
    let open = open.is_none_or(|name| !matches!(name, "localhost" | "127.0.0.1" | "::1" | ""));
    if open && config.four_letter_word_allowed("wchp") {
        findings.push(risky(
            "4lw.commands.whitelist",
            "everybody who reaches the client port may ask for lists of all watches and sessions, \
             which are long, and reset counters",
            "name the words that your monitoring asks, such as srvr,ruok,mntr",
        ));
    }
    if config.max_client_cnxns == 0 && config.max_cnxns == 0 {
        findings.push(risky(
            "maxClientCnxns",
            "one client in a loop can take all file descriptors",
            "set maxClientCnxns to what a client needs, or maxCnxns to what the server can bear",
        ));
    }
    let admin = &config.admin;
    if admin.enabled && !admin.force_https && matches!(admin.address.as_str(), "0.0.0.0" | "::") {
        findings.push(risky(
            "admin.serverAddress",
            format!(
                "the admin server answers everybody who reaches port {}, without TLS",
                admin.port
            ),
            "set admin.serverAddress to an address inside, admin.forceHttps=true, or \
             admin.enableServer=false",
        ));
    }
    let Some(file) = config
        .file
        .as_ref()
        .filter(|_| config.super_digest.is_some())
    else {
        return;
    };
    let mode = fs::metadata(file).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o004 != 0 {
        findings.push(risky(
            file.display().to_string(),
            "every user of this machine may read it, and it has the digest of super",
            format!("chmod o-r {}", file.display()),
        ));
    }
}

fn ensemble(config: &Config, findings: &mut Vec<Finding>) {
    let Some(ensemble) = &config.ensemble else {
        return;
    };
    let servers = ensemble.members.servers.values();
    let voters = servers
        .filter(|spec| spec.role == Role::Participant)
        .count();
    if voters % 2 == 0 && ensemble.members.groups.is_empty() {
        findings.push(risky(
            "server.N",
            format!(
                "{voters} voters bear no more failures than {} would",
                voters.saturating_sub(1)
            ),
            "have an odd number of voters",
        ));
    }
    let quorum = &config.quorum;
    let (init, sync) = (quorum.init_limit, quorum.sync_limit);
    let sync_ms = sync.saturating_mul(config.tick_time_ms);
    if sync_ms < 2000 {
        findings.push(risky(
            "syncLimit",
            format!("followers that do not answer for {sync_ms} ms are dropped; a slow disk takes longer"),
            "let syncLimit times tickTime be 4 s or more",
        ));
    }
    if init < sync {
        findings.push(risky(
            "initLimit",
            format!("{init} ticks to synchronise are fewer than the {sync} ticks of syncLimit"),
            "let initLimit be twice syncLimit or more",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(lines: &[(&str, &str)]) -> Vec<String> {
        let mut config = Config::embedded_default();
        for (key, value) in lines {
            config.set(key, value).unwrap();
        }
        config.complete().unwrap();
        examine(&config)
            .into_iter()
            .map(|finding| finding.what)
            .collect()
    }

    #[test]
    fn dangerous_settings_are_named() {
        let careful = [
            ("autopurge.purgeInterval", "24"),
            ("admin.serverAddress", "127.0.0.1"),
        ];
        assert_eq!(whats(&careful), ["settings"]);
        let careless = [
            ("forceSync", "no"),
            ("skipACL", "yes"),
            ("4lw.commands.whitelist", "*"),
            ("maxClientCnxns", "0"),
            ("digest.enabled", "false"),
        ];
        let expected = [
            "autopurge.purgeInterval",
            "forceSync",
            "digest.enabled",
            "skipACL",
            "4lw.commands.whitelist",
            "maxClientCnxns",
            "admin.serverAddress",
        ];
        assert_eq!(whats(&careless), expected);
    }
}
