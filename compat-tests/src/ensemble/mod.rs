//! Owns ensembles of real processes: what they go through, and that nothing is lost or different
//! afterwards. May use `server`, `populate`, `walk`. Must not look into a server.

mod clients;
mod cluster;
mod hostile;
mod load;
mod scenarios;

use std::time::Instant;

use anyhow::Result;

use crate::programs::Programs;
use crate::server::Kind;
use cluster::Cluster;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only the ensemble with this name, such as `AAM`: a letter for each member, `o` behind an
    /// observer; `migration`, or `hostile`.
    #[arg(long)]
    only: Option<String>,
}

/// The ensembles: A is Apache, M is Menagerie; the last voter leads at first.
const ENSEMBLES: &[&str] = &["MMM", "AAM", "MMA", "MAM", "AMA", "AMMAoMo", "MMMMM"];

/// A member: which server, and whether it only observes.
type Member = (Kind, bool);

fn members(name: &str) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for letter in name.chars() {
        match letter {
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
    let mut good = true;
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    for name in ENSEMBLES.iter().filter(|name| wanted(name)) {
        let begun = Instant::now();
        let result = Cluster::new(&members(name), programs)
            .and_then(|mut cluster| scenarios::all(&mut cluster).map_err(|e| cluster.explain(&e)));
        good &= report(name, begun, result);
    }
    if wanted("hostile") {
        let begun = Instant::now();
        let result = Cluster::new(&members("MMM"), programs)
            .and_then(|mut cluster| hostile::all(&mut cluster).map_err(|e| cluster.explain(&e)));
        good &= report("bad input on the ports between servers", begun, result);
    }
    if wanted("migration") {
        let begun = Instant::now();
        let result = Cluster::new(&members("AAA"), programs).and_then(|mut cluster| {
            scenarios::migration(&mut cluster).map_err(|e| cluster.explain(&e))
        });
        good &= report("AAA to MMM and back", begun, result);
    }
    Ok(good)
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
