//! Owns the take-over of an ensemble of Apache's by the words of `menagerie-tools migrate`, under load:
//! it stops and starts whom the tool names, and one step back. Must not know better than the tool.

use std::net::SocketAddr;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail, ensure};

use super::cluster::Cluster;
use super::load::Load;
use crate::populate::populate;
use crate::programs::{Programs, target_dir};
use crate::server::{Kind, Server};

/// How the tool is asked.
struct Guide {
    program: std::path::PathBuf,
    menagerie: std::path::PathBuf,
    servers: String,
}

/// What it says is next.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    Next(usize),
    Done,
}

impl Guide {
    fn ask(&self, words: &[&str]) -> Result<(Output, String)> {
        let mut command = Command::new(&self.program);
        command
            .arg("migrate")
            .args(words)
            .args(["--servers", &self.servers]);
        let output = command.output().context("menagerie-tools does not run")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((output, text))
    }

    /// Waits until it is safe.
    fn watch(&self, back: &[&str]) -> Result<Word> {
        let words = ["watch", "--until-safe", "--every", "1", "--timeout", "60"];
        let (output, text) = self.ask(&[&words, back].concat())?;
        ensure!(
            output.status.success(),
            "watch ended with {}:\n{text}",
            output.status
        );
        let last = text.lines().last().unwrap_or_default();
        if last.starts_with("DONE") {
            return Ok(Word::Done);
        }
        let name = last.strip_prefix("SAFE  next is server ");
        let number = name.and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
        let number = number.with_context(|| format!("watch ends with {last:?}"))?;
        Ok(Word::Next(number - 1))
    }
}

/// Three of Apache's become three of Menagerie's, and one goes back.
pub(super) fn guided(cluster: &mut Cluster, programs: &Programs) -> Result<String> {
    cluster.start_all()?;
    let addresses: Vec<SocketAddr> = cluster.servers.iter().map(Server::address).collect();
    populate(addresses[0], "before")?;
    let named = addresses.iter().zip(1..);
    let named: Vec<String> = named
        .map(|(address, number)| format!("{number}={address}"))
        .collect();
    let guide = Guide {
        program: target_dir().join("release/menagerie-tools"),
        menagerie: programs.menagerie.clone(),
        servers: named.join(","),
    };
    let menagerie = guide.menagerie.display().to_string();
    let (output, text) = guide.ask(&["check", "--menagerie", &menagerie])?;
    ensure!(output.status.success(), "check: {}:\n{text}", output.status);
    ensure!(text.contains("it can be taken over"), "check says:\n{text}");
    let (_, plan) = guide.ask(&["plan"])?;
    let planned = order_of(&plan)?;
    ensure!(
        planned.last() == Some(&cluster.leader()?),
        "the leader is not the last of the plan:\n{plan}"
    );
    let load = Load::start(&addresses, 6)?;
    let mut taken = Vec::new();
    loop {
        let at = match guide.watch(&[])? {
            Word::Done => break,
            Word::Next(at) => at,
        };
        ensure!(!taken.contains(&at), "server {} is named twice", at + 1);
        let leader = cluster.leader()?;
        ensure!(
            at != leader || taken.len() == 2,
            "the leader is named before the others"
        );
        cluster.servers[at].stop()?;
        let (output, text) = guide.ask(&["watch", "--once"])?;
        ensure!(
            output.status.code() == Some(1) && text.contains("WAIT"),
            "a member is down:\n{text}"
        );
        cluster.servers[at].become_kind(Kind::Menagerie);
        cluster.servers[at].start()?;
        taken.push(at);
    }
    ensure!(taken.len() == 3, "only {taken:?} were exchanged");
    let Word::Next(back) = guide.watch(&["--back"])? else {
        bail!("there is no way back");
    };
    ensure!(
        back != cluster.leader()?,
        "the way back begins with the leader"
    );
    cluster.servers[back].stop()?;
    cluster.servers[back].become_kind(Kind::Apache);
    cluster.servers[back].start()?;
    ensure!(
        guide.watch(&[])? == Word::Next(back),
        "who went back is the one to take over"
    );
    let told = load.finish(addresses[0])?;
    cluster.await_serving()?;
    cluster.compare()?;
    let order: Vec<String> = taken.iter().map(|at| (at + 1).to_string()).collect();
    Ok(format!(
        "{told}; taken over in the order {}, server {} went back",
        order.join(", "),
        back + 1
    ))
}

/// The members in the plan's first line, from 0.
fn order_of(plan: &str) -> Result<Vec<usize>> {
    let line = plan
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("Order: "));
    let names = line.with_context(|| format!("the plan begins with no order:\n{plan}"))?;
    let numbers = names.split(", ").map(|name| {
        let number = name
            .strip_prefix("server ")
            .and_then(|text| text.parse::<usize>().ok());
        number
            .map(|number| number - 1)
            .with_context(|| format!("{name:?} in the order"))
    });
    numbers.collect()
}
