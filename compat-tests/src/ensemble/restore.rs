//! Owns giving an ensemble of either kind's members an earlier tree back, by the admin server's command
//! `restore`. Must not look into a server.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use menagerie_wire::client::PathWatchRequest;
use menagerie_wire::op::op_code;

use super::cluster::Cluster;
use super::pages::Pages;
use crate::pages::http::{ask, await_page, send};
use crate::populate::{TIME_OUT, create_request, populate};
use crate::raw::Raw;
use crate::server::Kind;

const SOMEBODY: Option<&str> = Some("digest an:operator");
const NO_NODE: i32 = -101;

/// Everything.
pub(super) fn all(cluster: &mut Cluster) -> Result<String> {
    let pages = Pages::configure(cluster)?;
    cluster.start_all()?;
    let (leader, follower) = (cluster.leader()?, cluster.follower()?);
    ensure!(
        cluster.servers[leader].kind() == Kind::Menagerie,
        "server {} leads",
        leader + 1
    );
    populate(cluster.servers[follower].address(), "before")?;
    let nodes = cluster.compare()?;
    let snapshot = "/commands/snapshot?streaming=true";
    await_page(pages.of(follower), "/commands/ruok")?;
    let copy = ask(pages.of(follower), "GET", snapshot, SOMEBODY)?;
    ensure!(copy.status == 200, "{}", copy.text());

    populate(cluster.servers[leader].address(), "after")?;
    ensure!(cluster.compare()? > nodes, "nothing was added");
    let give = |at| {
        send(
            pages.of(at),
            "POST",
            "/commands/restore",
            SOMEBODY,
            &copy.body,
        )
    };
    if cluster.servers[follower].kind() == Kind::Menagerie {
        let refused = give(follower)?;
        ensure!(
            refused.status == 409,
            "{} {}",
            refused.status,
            refused.text()
        );
    }
    let begun = Instant::now();
    let mut given = give(leader)?;
    if given.text().contains("send the snapshot there") {
        // The machine was busy with other things, and somebody else was elected.
        given = give(cluster.leader()?)?;
    }
    ensure!(given.status == 200, "{} {}", given.status, given.text());
    cluster.await_serving()?;
    let took = begun.elapsed();
    let is_back = |cluster: &mut Cluster, more: usize| -> Result<()> {
        for server in &cluster.servers {
            let found = look(server.address())?;
            ensure!(found == (0, NO_NODE), "{found:?}");
        }
        let now = cluster.compare()?;
        ensure!(
            now == nodes + more,
            "{now} nodes, {nodes} before and {more} since"
        );
        Ok(())
    };
    is_back(cluster, 0).context("the tree was given back")?;

    // It goes on, and whoever leads next has it too.
    for (at, server) in cluster.servers.iter().enumerate() {
        let (mut raw, _) = Raw::session(server.address(), TIME_OUT)?;
        let path = format!("/since-{at}");
        let (header, _) = raw.call(op_code::CREATE, &create_request(&path, None, 0))?;
        ensure!(header.err == 0, "{path}: error {}", header.err);
    }
    let more = cluster.servers.len();
    let leader = cluster.leader()?;
    cluster.servers[leader].kill()?;
    let next = cluster.leader()?;
    cluster.servers[leader].spawn()?;
    cluster.await_serving()?;
    is_back(cluster, more).with_context(|| format!("server {} leads now", next + 1))?;
    Ok(format!(
        "{nodes} nodes back on {more} members after {} ms, snapshot by {}",
        took.as_millis(),
        cluster.servers[follower].kind().name()
    ))
}

/// How a member answers for what was there before, and what came after.
fn look(address: SocketAddr) -> Result<(i32, i32)> {
    let (mut raw, _) = Raw::session(address, TIME_OUT)?;
    let mut exists = |path: &str| -> Result<i32> {
        let request = PathWatchRequest {
            path: Some(path.into()),
            watch: false,
        };
        Ok(raw.call(op_code::EXISTS, &request)?.0.err)
    };
    Ok((exists("/before")?, exists("/after")?))
}
