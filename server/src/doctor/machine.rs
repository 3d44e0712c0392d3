//! Owns what the machine gives the server. May read below /proc. Must not change limits.

use std::net::TcpListener;

use super::{Finding, good, risky, wrong};
use crate::config::Config;
use crate::process;

/// File descriptors that a server should have: one for each client, some for itself.
const DESCRIPTORS: u64 = 4096;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (_, most) = process::descriptors();
    findings.push(if most < DESCRIPTORS {
        risky(
            "file descriptors",
            format!("this shell's processes may have {most}, one for each client"),
            format!("ulimit -n {DESCRIPTORS}, or LimitNOFILE= in a unit of systemd"),
        )
    } else {
        good("file descriptors", format!("{most}"))
    });
    if let Some(swapping) = swapped_kib().filter(|kib| *kib > 0) {
        findings.push(risky(
            "memory",
            format!(
                "{} MiB of this machine's memory are swapped out",
                swapping >> 10
            ),
            "give the machine more memory: a server that is swapped out misses its time limits",
        ));
    }
    findings.push(port(config));
    findings
}

fn swapped_kib() -> Option<u64> {
    let (total, free) = (
        process::memory_kib("SwapTotal:")?,
        process::memory_kib("SwapFree:")?,
    );
    Some(total.saturating_sub(free))
}

/// Whether clients' port can be opened.
fn port(config: &Config) -> Finding {
    let what = format!("clientPort {}", config.client_port);
    let addresses = match config.bind_addresses() {
        Ok(addresses) => addresses,
        Err(error) => {
            return wrong(
                what,
                format!("clientPortAddress cannot be resolved: {error}"),
                "write an address of this machine, or none",
            );
        }
    };
    let mut failure = None;
    for address in addresses {
        match TcpListener::bind(address) {
            Ok(_closed_again) => return good(what, "can be opened"),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let failure = failure.map_or_else(String::new, |error| error.to_string());
    risky(
        what,
        format!("cannot be opened: {failure}"),
        "nothing, if that is the server that you look after",
    )
}
