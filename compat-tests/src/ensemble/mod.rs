//! Owns ensembles of real processes: what they go through, and that nothing is lost or different
//! afterwards. May use `server`, `populate`, `walk`. Must not look into a server.

mod cables;
mod clients;
mod cluster;
mod eager_acl;
mod full_disk;
mod guided;
mod hostile;
mod load;
mod local_sessions;
mod misfits;
mod names;
mod network;
mod observers;
mod oracle;
mod pages;
mod quorum_sasl;
mod quorum_tls;
mod reconfig;
mod restore;
mod scenarios;
mod sessions;
mod words;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::guarantee;
use crate::programs::Programs;
use crate::server::Kind;
use cluster::Cluster;
use network::Network;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only the ensemble with this name, such as `AAM`, or `reconfig-MMMMM`, or all that begin with
    /// `reconfig`. A letter stands for each member, with an `o` behind an observer.
    #[arg(long)]
    only: Option<String>,
    /// Print the names and stop.
    #[arg(long)]
    list: bool,
    /// How many to put through it at a time.
    #[arg(long, default_value = "1")]
    jobs: NonZeroUsize,
}

/// What ensembles go through.
struct Suite {
    /// Begins their names; empty for the scenarios of all.
    name: &'static str,
    /// A is Apache, B is Apache 3.8, M is Menagerie. The last voter leads at first.
    ensembles: &'static [&'static str],
    /// Given the members and where programs are; what to tell of it.
    run: fn(&[Member], &Programs) -> Result<String>,
}

const SUITES: &[Suite] = &[
    Suite {
        name: "",
        ensembles: &[
            "MMM", "AAM", "MMA", "MAM", "AMA", "BBM", "MMB", "AMMAoMo", "MMMMM",
        ],
        run: |members, programs| on(Cluster::new(members, programs)?, scenarios::all),
    },
    Suite {
        name: "hostile",
        ensembles: &["MMM"],
        run: |members, programs| on(Cluster::new(members, programs)?, hostile::all),
    },
    // The first three are members from the start.
    Suite {
        name: "reconfig",
        ensembles: &["MMMMM", "AMAMA", "MAMAM"],
        run: |members, programs| {
            let cluster = Cluster::reconfigurable(members, programs, 3)?;
            on(cluster, reconfig::all)
        },
    },
    // Followers serve the observers.
    Suite {
        name: "observer-master",
        ensembles: &["MMMMoAo", "AMAMoAo"],
        run: |members, programs| {
            let cluster = Cluster::with_observer_masters(members, programs)?;
            on(cluster, observers::all)
        },
    },
    // One member knows a session until it needs an ephemeral node, or for ever.
    Suite {
        name: "local-sessions",
        ensembles: &["AAA", "MMM", "AMA", "MAM", "AMMAoMo"],
        run: |members, programs| {
            let with = |upgrade, scenario: fn(&mut Cluster) -> Result<String>| {
                let mut cluster = match members.iter().any(|(_, observer)| *observer) {
                    true => Cluster::with_observer_masters(members, programs)?,
                    false => Cluster::new(members, programs)?,
                };
                local_sessions::configure(&mut cluster, upgrade);
                on(cluster, scenario)
            };
            let upgradable = with(true, local_sessions::upgradable)?;
            let fixed = with(false, local_sessions::fixed)?;
            Ok(format!("{upgradable}; without upgrades: {fixed}"))
        },
    },
    // Apache's servers close them, and elections with them take longer than clients wait.
    Suite {
        name: "connections",
        ensembles: &["MMM", "MMMMM"],
        run: |members, programs| on(Cluster::new(members, programs)?, sessions::connections_stay),
    },
    Suite {
        name: "history",
        ensembles: &["MMM", "AMM"],
        run: |members, programs| on(Cluster::new(members, programs)?, scenarios::history),
    },
    Suite {
        name: "partitions",
        ensembles: &["MMM", "AMM"],
        run: |members, programs| {
            let network = Network::new(members.len(), 1)?;
            let cluster = Cluster::on_network(members, programs, &network)?;
            on(cluster, |cluster| scenarios::partitions(cluster, &network))
        },
    },
    Suite {
        name: "two-addresses",
        ensembles: &["MMM", "AMM", "MMA"],
        run: |members, programs| {
            let network = Network::new(members.len(), 2)?;
            let cluster = Cluster::on_network(members, programs, &network)?;
            on(cluster, |cluster| cables::all(cluster, &network))
        },
    },
    // Nobody ever learns the last one's name.
    Suite {
        name: "names",
        ensembles: &["MMMMM"],
        run: |members, programs| {
            let network = Network::new(members.len(), 1)?;
            let cluster = Cluster::on_network(members, programs, &network)?;
            on(cluster, |cluster| names::all(cluster, &network))
        },
    },
    Suite {
        name: "oracle",
        ensembles: &["MM", "AM", "MA"],
        run: |members, programs| on(Cluster::new(members, programs)?, oracle::all),
    },
    // The first one is what goes wrong.
    Suite {
        name: "misfits",
        ensembles: &["MMM", "MAA"],
        run: |members, programs| on(Cluster::new(members, programs)?, misfits::all),
    },
    Suite {
        name: "words",
        ensembles: &["AMAMAoMo"],
        run: |members, programs| on(Cluster::new(members, programs)?, words::all),
    },
    Suite {
        name: "eager-acl",
        ensembles: &["AMAMAoMo", "MAMAMoAo"],
        run: |members, programs| on(Cluster::new(members, programs)?, eager_acl::all),
    },
    // Its leader, one of Menagerie's, is given a snapshot of another member.
    Suite {
        name: "restore",
        ensembles: &["MMM", "AAMAoMo"],
        run: |members, programs| on(Cluster::new(members, programs)?, restore::all),
    },
    // Menagerie's are to be the last voter and one of those before.
    Suite {
        name: "full-disk",
        ensembles: &["MMM", "MAM"],
        run: |members, programs| on(Cluster::new(members, programs)?, full_disk::all),
    },
    Suite {
        name: "quorum-sasl",
        ensembles: &["MMM", "AMA", "MAM"],
        run: |members, programs| on(Cluster::new(members, programs)?, quorum_sasl::all),
    },
    Suite {
        name: "quorum-sasl-upgrade",
        ensembles: &["MMM", "AMA"],
        run: |members, programs| on(Cluster::new(members, programs)?, quorum_sasl::upgrade),
    },
    Suite {
        name: "quorum-tls",
        ensembles: &["MMM", "AMA", "MAM"],
        run: |members, programs| on(Cluster::new(members, programs)?, quorum_tls::all),
    },
    Suite {
        name: "quorum-tls-upgrade",
        ensembles: &["MMM", "AMA"],
        run: |members, programs| on(Cluster::new(members, programs)?, quorum_tls::upgrade),
    },
    Suite {
        name: "rolling",
        ensembles: &["MMM", "MMMMM"],
        run: |members, programs| on(Cluster::new(members, programs)?, scenarios::rolling),
    },
    Suite {
        name: "migration",
        ensembles: &["AAA"],
        run: |members, programs| on(Cluster::new(members, programs)?, scenarios::migration),
    },
    // As `menagerie-tools migrate` says.
    Suite {
        name: "guided",
        ensembles: &["AAA"],
        run: |members, programs| {
            let cluster = Cluster::new(members, programs)?;
            on(cluster, |cluster| guided::guided(cluster, programs))
        },
    },
];

/// Puts an ensemble through something; an error comes with what the members last said.
fn on(
    mut cluster: Cluster,
    scenario: impl FnOnce(&mut Cluster) -> Result<String>,
) -> Result<String> {
    scenario(&mut cluster).map_err(|error| cluster.explain(&error))
}

/// A member: which server, and whether it only observes.
type Member = (Kind, bool);

fn members(name: &str) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for letter in name.chars() {
        match letter {
            'B' => members.push((Kind::Apache38, false)),
            'A' => members.push((Kind::Apache, false)),
            'M' => members.push((Kind::Menagerie, false)),
            _ => {
                if let Some(last) = members.last_mut() {
                    last.1 = true;
                }
            }
        }
    }
    members
}

pub(crate) fn run(options: &Options, programs: &Programs) -> Result<bool> {
    let chosen: Vec<_> = all().filter(|one| options.wants(one)).collect();
    ensure!(
        !chosen.is_empty(),
        "there is no such ensemble; --list tells the names"
    );
    if options.list {
        chosen.iter().for_each(|one| println!("{}", one.name()));
        return Ok(true);
    }
    // Each takes the next when it is done with one: most of the time ensembles wait.
    let next = AtomicUsize::new(0);
    let good = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..options.jobs.get() {
            scope.spawn(|| {
                while let Some(one) = chosen.get(next.fetch_add(1, SeqCst)) {
                    if !one.run(programs) {
                        good.store(false, SeqCst);
                    }
                }
            });
        }
    });
    Ok(good.load(SeqCst))
}

/// One ensemble of a suite.
#[derive(Clone, Copy)]
struct Chosen {
    suite: &'static Suite,
    ensemble: &'static str,
}

impl Chosen {
    fn name(self) -> String {
        match self.suite.name {
            "" => self.ensemble.to_owned(),
            suite => format!("{suite}-{}", self.ensemble),
        }
    }

    /// Runs it, a second time if the first failed and no guarantee was broken: processes are waited
    /// for, and a machine may be too slow for that once. False when it failed.
    fn run(self, programs: &Programs) -> bool {
        let once = || {
            (
                Instant::now(),
                (self.suite.run)(&members(self.ensemble), programs),
            )
        };
        let (begun, result) = match once() {
            (begun, Err(error)) if !guarantee::is_broken(&error) => {
                let seconds = begun.elapsed().as_secs_f64();
                println!(
                    "{}: AGAIN, since it failed after {seconds:.0} s: {error:#}",
                    self.name()
                );
                once()
            }
            first => first,
        };
        report(&self.name(), begun, result)
    }
}

fn all() -> impl Iterator<Item = Chosen> {
    SUITES.iter().flat_map(|suite| {
        let ensembles = suite.ensembles.iter();
        ensembles.map(move |&ensemble| Chosen { suite, ensemble })
    })
}

impl Options {
    fn wants(&self, one: &Chosen) -> bool {
        let Some(only) = self.only.as_deref() else {
            return true;
        };
        only == one.name() || (only == one.suite.name && !only.is_empty())
    }
}

fn report(name: &str, begun: Instant, result: Result<String>) -> bool {
    let seconds = begun.elapsed().as_secs_f64();
    match result {
        Ok(text) => {
            println!("{name}: ok in {seconds:.0} s; {text}");
            true
        }
        Err(error) => {
            println!("{name}: FAILED after {seconds:.0} s: {error:#}");
            false
        }
    }
}
