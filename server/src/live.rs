//! Owns the settings that change while a server runs: when its configuration is read again, and which
//! of it can be taken over. Must not read files.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use menagerie_wire::text::properties;

use crate::client::throttle::Throttle;
use crate::config::{Config, keys, lookup};

/// What became of a configuration that was read again; keys are named as in `zoo.cfg`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// Keys whose values hold from now on.
    pub taken: Vec<&'static str>,
    /// Keys whose values will hold after a restart.
    pub waiting: Vec<String>,
}

/// The settings as they are now.
#[derive(Debug)]
pub(crate) struct Live {
    config: ArcSwap<Config>,
    throttle: ArcSwap<Throttle>,
}

impl Live {
    pub(crate) fn new(config: &Config, now_ms: i64) -> Self {
        Self {
            throttle: ArcSwap::from_pointee(throttle(config, now_ms)),
            config: ArcSwap::from_pointee(config.clone()),
        }
    }

    /// The settings; whoever holds them for long holds old ones.
    pub(crate) fn load(&self) -> Guard<Arc<Config>> {
        self.config.load()
    }

    /// The limit on new sessions.
    pub(crate) fn throttle(&self) -> Guard<Arc<Throttle>> {
        self.throttle.load()
    }

    /// Takes over what can be, from `new`; `started` is what the server started with.
    pub(crate) fn reload(&self, started: &Config, new: &Config, now_ms: i64) -> Reloaded {
        let old = self.config.load_full();
        let mut live = Config::clone(&old);
        let mut taken = Vec::new();
        for spec in keys() {
            let Some(take_over) = spec.reload else {
                continue;
            };
            let before = live.clone();
            take_over(new, &mut live);
            if live != before {
                taken.push(spec.name);
            }
        }
        if live.connection_throttle != old.connection_throttle {
            self.throttle.store(Arc::new(throttle(&live, now_ms)));
        }
        self.config.store(Arc::new(live));
        Reloaded {
            taken,
            waiting: waiting(started, new),
        }
    }
}

fn throttle(config: &Config, now_ms: i64) -> Throttle {
    Throttle::new(config.connection_throttle.clone(), now_ms)
}

/// The keys whose lines differ and that a running server cannot take over.
fn waiting(started: &Config, new: &Config) -> Vec<String> {
    let (old, new) = (lines(started), lines(new));
    let names = old.keys().chain(new.keys());
    let mut changed: Vec<String> = names
        .filter(|key| old.get(*key) != new.get(*key))
        .filter(|key| lookup(key).is_none_or(|spec| spec.reload.is_none()))
        .filter(|key| started.ensemble.is_none() || !is_of_ensemble(key))
        .cloned()
        .collect();
    changed.sort();
    changed.dedup();
    changed
}

/// What a reconfiguration writes, which holds already.
fn is_of_ensemble(key: &str) -> bool {
    let family = ["server.", "group.", "weight."];
    family.iter().any(|family| key.starts_with(family))
        || ["dynamicConfigFile", "clientPort", "clientPortAddress"].contains(&key)
}

fn lines(config: &Config) -> BTreeMap<String, String> {
    let text = config.initial_config.as_ref();
    let text = text.map_or("", |text| text.reveal());
    // Whoever could be read once can be read again.
    let lines = properties::parse_str(text).unwrap_or_default();
    lines.into_iter().map(|one| (one.key, one.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn config(text: &str) -> Config {
        let mut config = Config::embedded_default();
        for line in properties::parse_str(text).unwrap() {
            config.set(&line.key, &line.value).unwrap();
        }
        config.complete().unwrap();
        config.initial_config = Some(Secret::new(text.to_owned()));
        config
    }

    #[test]
    fn what_can_be_taken_over_is_and_the_rest_is_told() {
        let started = config("maxClientCnxns=60\ntickTime=2000\nsnapCount=1000\n");
        let live = Live::new(&started, 0);
        let new = config(
            "maxClientCnxns=5\ntickTime=3000\n4lw.commands.whitelist=ruok\nminSessionTimeout=7000\n",
        );
        let reloaded = live.reload(&started, &new, 0);
        let taken = [
            "minSessionTimeout",
            "maxClientCnxns",
            "4lw.commands.whitelist",
        ];
        assert_eq!(reloaded.taken, taken);
        assert_eq!(reloaded.waiting, ["snapCount", "tickTime"]);
        let now = live.load();
        assert_eq!((now.max_client_cnxns, now.tick_time_ms), (5, 2000));
        assert_eq!(now.min_session_timeout_ms, 7000);
        assert!(now.four_letter_word_allowed("ruok"));
        // Once more changes nothing, and what waits goes on waiting.
        let again = live.reload(&started, &new, 0);
        assert_eq!((again.taken.len(), again.waiting.len()), (0, 2));
        // A line that is gone means the default.
        let back = live.reload(&started, &started, 0);
        assert_eq!(back.taken.len(), 3, "{back:?}");
        assert_eq!(back.waiting, [""; 0]);
        assert_eq!(live.load().max_client_cnxns, 60);
    }

    #[test]
    fn a_changed_throttle_is_a_new_one() {
        let started = config("tickTime=2000\n");
        let live = Live::new(&started, 0);
        let asks = crate::client::throttle::Asks::New;
        assert!(live.throttle().admit(asks, 0));
        let tight = config("tickTime=2000\nconnection_throttle_tokens=1\n");
        let reloaded = live.reload(&started, &tight, 0);
        assert_eq!(reloaded.taken, ["connection_throttle_tokens"]);
        assert!(live.throttle().admit(asks, 0));
        assert!(!live.throttle().admit(asks, 0));
    }
}
