//! Owns the comparison of what Prometheus scrapes. Must not compare values that may differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};

use super::http::{Page, ask};
use super::traffic;
use crate::differences::Differences;
use crate::programs::root;

/// Figures of the tree and of clients, which are the same after the same work.
const SAME: &[&str] = &[
    "znode_count",
    "watch_count",
    "ephemerals_count",
    "num_alive_connections",
    "global_sessions",
    "local_sessions",
    "outstanding_requests",
    "digest_mismatches_count",
    "connection_rejected",
    "throttled_ops",
];

/// Figures that are above 0 after any work.
const COUNTED: &[&str] = &[
    "packets_received",
    "packets_sent",
    "uptime",
    "open_file_descriptor_count",
    "max_file_descriptor_count",
    "bytes_received_count",
    "response_bytes",
    "connection_request_count",
    "readlatency_count",
    "updatelatency_count",
    "fsynctime_count",
    "snapshottime_count",
    "sync_processor_batch_size_count",
];

/// What a page says.
#[derive(Debug, Default)]
struct Scraped {
    /// By name, how it is measured, and which quantiles there are.
    kinds: BTreeMap<String, (String, BTreeSet<String>)>,
    values: BTreeMap<String, f64>,
    /// What has a key besides: counts and sums, by name and labels.
    keyed: BTreeMap<String, f64>,
}

fn scrape(address: SocketAddr) -> Result<(Page, Scraped)> {
    let page = ask(address, "GET", "/metrics", None)?;
    ensure!(page.status == 200, "{}", page.status);
    let mut scraped = Scraped::default();
    for line in page.text().lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, ""));
            let kind = (kind.to_owned(), BTreeSet::new());
            let twice = scraped.kinds.insert(name.to_owned(), kind);
            ensure!(twice.is_none(), "{name} has two types");
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.rsplit_once(' ') else {
            anyhow::bail!("{line:?} is no sample");
        };
        let Ok(number) = value.parse::<f64>() else {
            anyhow::bail!("{line:?} has no number");
        };
        if let Some((bare, key)) = name.split_once("{key=") {
            let key = key.trim_end_matches([',', '}']);
            if let Some((_, quantile)) = key.split_once(",quantile=") {
                let quantile = quantile.trim_matches('"').to_owned();
                let Some((_, quantiles)) = scraped.kinds.get_mut(bare) else {
                    anyhow::bail!("{line:?} comes before its type");
                };
                quantiles.insert(quantile);
            } else {
                scraped.keyed.insert(format!("{bare} {key}"), number);
            }
            continue;
        }
        match name.split_once("{quantile=") {
            Some((name, quantile)) => {
                let quantile = quantile.trim_matches(['"', ',', '}']);
                let Some((_, quantiles)) = scraped.kinds.get_mut(name) else {
                    anyhow::bail!("{line:?} comes before its type");
                };
                quantiles.insert(quantile.to_owned());
            }
            None => {
                scraped.values.insert(name.to_owned(), number);
            }
        }
    }
    Ok((page, scraped))
}

/// A name of one server only has a reason, in either file; in that of `mntr` labels are parts of keys.
fn explained(name: &str, mntr: &mut Differences, own: &mut Differences, left_out: bool) -> bool {
    let of = |differences: &mut Differences, name: &str| match left_out {
        true => differences.left_out.explains(name),
        false => differences.added.explains(name),
    };
    let labelled = [format!("N_{name}"), format!("TOP_{name}")];
    let family = name.split_once('_').map(|(first, _)| format!("{first}_*"));
    of(own, name)
        || family.is_some_and(|family| of(own, &family))
        || of(mntr, name)
        || labelled.iter().any(|name| of(mntr, name))
}

pub(super) fn compare(apache: SocketAddr, ours: SocketAddr) -> Result<String> {
    let ((one, apache), (two, ours)) = (scrape(apache)?, scrape(ours)?);
    ensure!(one.kind == two.kind, "{} instead of {}", two.kind, one.kind);
    let (mut mntr, mut own) = (Differences::of_mntr()?, Differences::of_metrics()?);
    let (mut wrong, mut same) = (Vec::new(), 0);
    for (name, kind) in &apache.kinds {
        match ours.kinds.get(name) {
            None if explained(name, &mut mntr, &mut own, true) => {}
            None => wrong.push(format!("only Apache tells {name}")),
            Some(other) if other == kind => same += 1,
            Some(other) => wrong.push(format!("{name}: {other:?} instead of {kind:?}")),
        }
    }
    for name in ours
        .kinds
        .keys()
        .filter(|name| !apache.kinds.contains_key(*name))
    {
        if !explained(name, &mut mntr, &mut own, false) {
            wrong.push(format!("only Menagerie tells {name}"));
        }
    }
    for name in SAME {
        let (one, two) = (apache.values.get(*name), ours.values.get(*name));
        if one.is_none() || one != two {
            wrong.push(format!("{name}: {two:?} instead of {one:?}"));
        }
    }
    // Apache's server overlooks that what it writes down of quotas gets longer.
    let size = |scraped: &Scraped| scraped.values.get("approximate_data_size").copied();
    let (one, two) = (
        size(&apache).unwrap_or(-100.0),
        size(&ours).unwrap_or(100.0),
    );
    if (one - two).abs() > 8.0 {
        wrong.push(format!("approximate_data_size: {two} instead of {one}"));
    }
    for (who, scraped) in [("Apache", &apache), ("Menagerie", &ours)] {
        for name in COUNTED {
            let value = scraped.values.get(*name);
            if value.is_none_or(|value| *value <= 0.0) {
                wrong.push(format!("{name} of {who} is {value:?}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    own.all_needed()?;
    let keyed = traffic::same(&apache.keyed, &ours.keyed)?;
    Ok(format!(
        "{same} names with the same type and quantiles, {keyed}"
    ))
}

/// Names that only members of an ensemble are scraped for, and the one that Prometheus makes itself.
const ELSEWHERE: &[&str] = &[
    "up",
    "leader_uptime",
    "learners",
    "synced_followers",
    "synced_observers",
];

/// What the dashboard and the alerts ask Prometheus for is scraped.
pub(super) fn dashboards(ours: SocketAddr) -> Result<String> {
    let (_, scraped) = scrape(ours)?;
    let folder = root().join("docker/monitoring");
    let mut asked = BTreeSet::new();
    for file in ["alerts.yml", "grafana/dashboards/menagerie.json"] {
        let path = folder.join(file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let before = asked.len();
        asked.extend(asked_for(&text));
        ensure!(asked.len() > before, "{file} asks for nothing");
    }
    let known = |name: &str| {
        let whole = name.strip_suffix("_sum").or(name.strip_suffix("_count"));
        ELSEWHERE.contains(&name)
            || [Some(name), whole]
                .into_iter()
                .flatten()
                .any(|name| scraped.kinds.contains_key(name))
    };
    let unknown: Vec<_> = asked.iter().filter(|name| !known(name)).collect();
    ensure!(
        unknown.is_empty(),
        "{unknown:?} are asked for and not scraped"
    );
    Ok(format!("{} names", asked.len()))
}

/// The names in front of the choice of a job.
fn asked_for(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let parts: Vec<&str> = text.split("{job=").collect();
    for before in parts.iter().take(parts.len().saturating_sub(1)) {
        let name = before
            .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .next();
        names.extend(name.map(str::to_owned));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::asked_for;

    #[test]
    fn names_are_found_in_expressions() {
        let text = r#""expr": "rate(a_sum{job=\"x\"}[1m]) / rate(a_count{job=\"x\"}[1m]) + up{job=\"x\"}""#;
        let names: Vec<String> = asked_for(text).into_iter().collect();
        assert_eq!(names, ["a_count", "a_sum", "up"]);
    }
}
