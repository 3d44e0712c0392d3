//! Owns the Java flags in the environment: which of them are settings, and of which key. May use the
//! table of keys. Must not apply anything.

use super::keys::{KeySpec, Property, lookup};

/// The variables in the order in which zkServer.sh gives them to Java; the last flag wins.
pub(super) const VARIABLES: [&str; 2] = ["SERVER_JVMFLAGS", "JVMFLAGS"];

/// With anything in it, zkServer.sh gives Java `-Dzookeeper.datadir.autocreate=false` as the first
/// flag.
pub(super) const AUTOCREATE_DISABLE: &str = "ZOO_DATADIR_AUTOCREATE_DISABLE";

/// The name `fsync.warningthresholdms` had before it got a prefix; the one with the prefix wins.
/// Source: the static block of `FileTxnLog`.
const OLD_FSYNC_WARNING: &str = "fsync.warningthresholdms";

/// Beginnings of properties, after `zookeeper.`, that set up logging or clients: start scripts give
/// them to servers too, and no server reads them.
const NOT_OF_THE_SERVER: [&str; 15] = [
    "audit.log",
    "auditlog.",
    "client.secure",
    "clientCnxnSocket",
    "console.",
    "disableAutoWatchReset",
    "home.",
    "log.",
    "request.timeout",
    "root.logger",
    "sasl.client",
    "server.principal",
    "server.realm",
    "tracelog.",
    "version",
];

/// What a flag is.
pub(super) enum Flag {
    /// A setting; `old` if a newer name of it wins.
    Setting {
        key: String,
        value: String,
        spec: &'static KeySpec,
        old: bool,
    },
    /// A property of ZooKeeper without effect, and the sentence that says why.
    Useless { value: String, reason: String },
    /// A property `zookeeper.<key>` that no part of the server reads.
    Unknown { key: String, value: String },
    /// For the virtual machine, for logging or for clients.
    Other,
}

/// The flags of one variable: as written up to the value, and what each is.
///
/// zkServer.sh expands the variable without quotes, so that white space always separates and a
/// quotation mark is a character like any other.
pub(super) fn read(text: &str) -> Vec<(String, Flag)> {
    text.split_ascii_whitespace()
        .map(|flag| {
            match flag
                .strip_prefix("-D")
                .filter(|property| !property.is_empty())
            {
                Some(assignment) => {
                    let (name, value) = assignment.split_once('=').unwrap_or((assignment, ""));
                    (format!("-D{name}"), property(name, value.to_owned()))
                }
                None => (flag.to_owned(), Flag::Other),
            }
        })
        .collect()
}

fn property(name: &str, value: String) -> Flag {
    if name == OLD_FSYNC_WARNING {
        return match lookup(name) {
            Some(spec) => Flag::Setting {
                key: name.to_owned(),
                value,
                spec,
                old: true,
            },
            None => Flag::Other,
        };
    }
    let Some(key) = name.strip_prefix("zookeeper.") else {
        return match lookup(name) {
            Some(spec) if spec.property == Property::Bare => Flag::Setting {
                key: name.to_owned(),
                value,
                spec,
                old: false,
            },
            _ => Flag::Other,
        };
    };
    if NOT_OF_THE_SERVER
        .iter()
        .any(|prefix| key.starts_with(prefix))
    {
        return Flag::Other;
    }
    match lookup(key) {
        None => Flag::Unknown {
            key: key.to_owned(),
            value,
        },
        Some(spec) => match spec.property {
            Property::Prefixed => Flag::Setting {
                key: key.to_owned(),
                value,
                spec,
                old: false,
            },
            Property::None => Flag::Useless {
                value,
                reason: format!(
                    "ZooKeeper reads {key} from zoo.cfg only; the flag changes nothing"
                ),
            },
            Property::Bare => Flag::Useless {
                value,
                reason: format!("ZooKeeper reads this as -D{key}; the flag changes nothing"),
            },
        },
    }
}
