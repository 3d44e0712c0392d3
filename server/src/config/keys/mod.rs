//! Owns the table of keys: what ZooKeeper 3.9.5 reads, what becomes of it here, and how a value is
//! applied. May use the settings and the readers of values. Must not read files or flags.
//!
//! The table drives everything: what is applied, what is warned about and what the README shows.

mod access;
mod ensemble;
mod limits;
mod network;
mod observe;
mod own;
mod publish;
mod storage;
mod tls;

use super::settings::Config;
use super::value::{Applied, Refused, Taken, lenient_bool, strict_long};

/// What becomes of a key that ZooKeeper documents or reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Does what it does in ZooKeeper.
    Honoured,
    /// Tunes a mechanism that is built differently here; accepted, and says so when set.
    NoNeed(&'static str),
    /// Refused with this reason, unless the value asks for nothing.
    Refused(&'static str),
}

/// The name of a key as a Java system property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Property {
    /// `zookeeper.` and the key; a line in `zoo.cfg` sets the same property and wins.
    Prefixed,
    /// None: ZooKeeper reads the key from `zoo.cfg` only.
    None,
    /// The key itself without a prefix; ZooKeeper does not read it from `zoo.cfg`.
    Bare,
}

/// One key.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct KeySpec {
    /// The key in `zoo.cfg`; one that ends in `*` stands for all keys that begin so.
    pub name: &'static str,
    /// The default, as it would be written.
    pub default: &'static str,
    /// What becomes of the key.
    pub status: Status,
    /// Its name as a Java system property.
    pub property: Property,
    /// What it does, for the README.
    pub doc: &'static str,
    /// Applies a value, given the key as written.
    pub(crate) apply: fn(&mut Config, &str, &str) -> Applied,
    /// Takes the value over from a configuration read later, where a running server can.
    pub(crate) reload: Option<Reload>,
}

/// Takes a setting of the first configuration over into the second.
pub(crate) type Reload = fn(&Config, &mut Config);

/// A group of keys under a heading.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// Its keys.
    pub keys: &'static [KeySpec],
}

/// Every key, by section.
pub const SECTIONS: &[Section] = &[
    Section {
        title: "Where to listen",
        keys: network::LISTEN,
    },
    Section {
        title: "Sessions",
        keys: network::SESSIONS,
    },
    Section {
        title: "Limits and batching",
        keys: limits::KEYS,
    },
    Section {
        title: "Storage",
        keys: storage::STORAGE,
    },
    Section {
        title: "Znodes",
        keys: storage::ZNODES,
    },
    Section {
        title: "Access",
        keys: access::ACCESS,
    },
    Section {
        title: "TLS",
        keys: tls::CLIENTS,
    },
    Section {
        title: "TLS between servers",
        keys: tls::QUORUM,
    },
    Section {
        title: "SASL",
        keys: access::SASL,
    },
    Section {
        title: "Four-letter words, logs",
        keys: observe::OBSERVE,
    },
    Section {
        title: "Admin server and metrics",
        keys: publish::KEYS,
    },
    Section {
        title: "Not in ZooKeeper: logs, limits for clients",
        keys: own::KEYS,
    },
    Section {
        title: "Internals of ZooKeeper",
        keys: observe::INTERNALS,
    },
    Section {
        title: "Ensembles",
        keys: ensemble::KEYS,
    },
];

/// Names under which the documentation lists keys that ZooKeeper reads under another name. They are
/// honoured here, with a notice.
pub const DOCUMENTED_NAMES: &[(&str, &str)] = &[
    (
        "advancedFlowControlEnabled",
        "netty.advancedFlowControl.enabled",
    ),
    (
        "connectionDecreaseRatio",
        "connection_throttle_decrease_ratio",
    ),
    (
        "connectionDropDecrease",
        "connection_throttle_drop_decrease",
    ),
    (
        "connectionDropIncrease",
        "connection_throttle_drop_increase",
    ),
    ("connectionFreezeTime", "connection_throttle_freeze_time"),
    ("connectionMaxTokens", "connection_throttle_tokens"),
    ("connectionTokenFillCount", "connection_throttle_fill_count"),
    ("connectionTokenFillTime", "connection_throttle_fill_time"),
    ("maxConcurrentDiffSyncs", "leader.maxConcurrentDiffSyncs"),
    ("maxConcurrentSnapSyncs", "leader.maxConcurrentSnapSyncs"),
    ("maxTimeToWaitForEpoch", "leader.maxTimeToWaitForEpoch"),
    (
        "outstandingHandshake.limit",
        "netty.server.outstandingHandshake.limit",
    ),
    (
        "requestStaleConnectionCheck",
        "request_stale_connection_check",
    ),
    ("requestStaleLatencyCheck", "request_stale_latency_check"),
    ("requestThrottleDropStale", "request_throttle_drop_stale"),
    ("requestThrottleLimit", "request_throttle_max_requests"),
    ("requestThrottleStallTime", "request_throttle_stall_time"),
    ("throttledOpWaitTime", "throttled_op_wait_time"),
    ("watchManaggerName", "watchManagerName"),
];

/// Every key of the table.
pub fn keys() -> impl Iterator<Item = &'static KeySpec> {
    SECTIONS.iter().flat_map(|section| section.keys)
}

/// The entry for `key`: the one of that name, else the longest family it belongs to.
#[must_use]
pub fn lookup(key: &str) -> Option<&'static KeySpec> {
    keys().find(|spec| spec.name == key).or_else(|| {
        keys()
            .filter(|spec| spec.family().is_some_and(|prefix| key.starts_with(prefix)))
            .max_by_key(|spec| spec.name.len())
    })
}

/// The name in the table that is one or two slips of the finger away from `key`.
pub(crate) fn similar(key: &str) -> Option<&'static str> {
    keys()
        .filter(|spec| spec.family().is_none())
        .map(|spec| {
            (
                distance(&key.to_lowercase(), &spec.name.to_lowercase()),
                spec.name,
            )
        })
        .filter(|(distance, name)| *distance <= 2 && distance * 4 < name.len())
        .min()
        .map(|(_, name)| name)
}

/// The number of characters to insert, remove or replace (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (line, from_char) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, to_char) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(from_char != to_char);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

impl KeySpec {
    /// The beginning shared by a family of keys, if this is one.
    #[must_use]
    pub fn family(&self) -> Option<&'static str> {
        self.name.strip_suffix('*')
    }

    /// Source: `QuorumPeerConfig.parseProperties` — a key it knows is never a property.
    const fn file_only(mut self) -> Self {
        self.property = Property::None;
        self
    }

    const fn reloaded(mut self, reload: Reload) -> Self {
        self.reload = Some(reload);
        self
    }

    const fn bare(mut self) -> Self {
        self.property = Property::Bare;
        self
    }

    const fn no_need(mut self, reason: &'static str) -> Self {
        self.status = Status::NoNeed(reason);
        self
    }

    const fn refused(mut self, reason: &'static str) -> Self {
        self.status = Status::Refused(reason);
        self
    }
}

/// A key that is honoured and is the property `zookeeper.<name>` too.
const fn key(
    name: &'static str,
    default: &'static str,
    doc: &'static str,
    apply: fn(&mut Config, &str, &str) -> Applied,
) -> KeySpec {
    KeySpec {
        name,
        default,
        status: Status::Honoured,
        property: Property::Prefixed,
        doc,
        apply,
        reload: None,
    }
}

/// Any value, without effect, and without a word about it.
fn silent(_: &mut Config, _: &str, _: &str) -> Applied {
    Ok(Taken::Exactly)
}

/// Any value, without effect; the status is logged.
fn no_effect(_: &mut Config, _: &str, _: &str) -> Applied {
    Ok(Taken::NoEffect)
}

/// No value at all.
fn refuse(_: &mut Config, _: &str, _: &str) -> Applied {
    Err(Refused::Unsupported)
}

/// A long number of `zoo.cfg` that tunes nothing here.
fn needless_i64(_: &mut Config, _: &str, value: &str) -> Applied {
    strict_long(value, &mut 0).map(|_| Taken::NoEffect)
}

/// A switch that must stay off.
fn refuse_true(_: &mut Config, _: &str, value: &str) -> Applied {
    let mut on = false;
    let taken = lenient_bool(value, &mut on)?;
    if on {
        Err(Refused::Unsupported)
    } else {
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_documented() {
        let mut seen = BTreeSet::new();
        for spec in keys() {
            assert!(seen.insert(spec.name), "{} twice", spec.name);
            assert!(
                !spec.doc.is_empty() && !spec.doc.contains('|'),
                "{}",
                spec.name
            );
            assert!(!spec.default.contains('|'), "{}", spec.name);
        }
        for (documented, real) in DOCUMENTED_NAMES {
            assert!(!seen.contains(documented), "{documented}");
            assert!(lookup(real).is_some(), "{real}");
        }
    }

    #[test]
    fn a_default_that_is_a_value_changes_nothing() {
        let mut applied = 0;
        for spec in keys().filter(|spec| spec.family().is_none()) {
            let default = spec.default;
            if default.is_empty() || default.contains(' ') {
                continue;
            }
            let mut config = Config::embedded_default();
            match (spec.apply)(&mut config, spec.name, default) {
                Ok(Taken::Exactly | Taken::NoEffect) => applied += 1,
                other => panic!("{}={default}: {other:?}", spec.name),
            }
            config.derive();
            // A derived default that is written out is a setting all the same.
            config.derived = Config::embedded_default().derived;
            assert_eq!(config, Config::embedded_default(), "{}", spec.name);
        }
        assert!(applied > 80, "{applied}");
    }

    #[test]
    fn the_longest_family_wins() {
        assert_eq!(
            lookup("ssl.quorum.x509.other").map(|s| s.name),
            Some("ssl.quorum.*")
        );
        assert_eq!(
            lookup("ssl.quorum.crl").map(|s| s.name),
            Some("ssl.quorum.crl")
        );
        assert_eq!(lookup("ssl.other").map(|s| s.name), Some("ssl.*"));
        assert_eq!(lookup("server.3").map(|s| s.name), Some("server.*"));
        assert_eq!(lookup("clientPort").map(|s| s.name), Some("clientPort"));
        assert!(lookup("clientPorts").is_none());
    }

    #[test]
    fn slips_are_recognised() {
        assert_eq!(similar("clientport"), Some("clientPort"));
        assert_eq!(similar("snapCuont"), Some("snapCount"));
        assert_eq!(
            similar("autopurge.snapRetainCounts"),
            Some("autopurge.snapRetainCount")
        );
        assert_eq!(similar("something.else"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
