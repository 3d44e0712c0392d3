//! Owns members that cannot join: with wrong files, wrong lines, another's number. Their logs, and
//! those of the members that turn them away, have to say why, in words of an operator's.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use menagerie_ports::free_address;

use super::cluster::Cluster;
use crate::server::{Kind, Server, Settings};

/// How long it may take until something is said.
const PATIENCE: Duration = Duration::from_secs(40);
/// The member that goes wrong.
const ODD: usize = 0;

/// What goes wrong; afterwards every member is started, and has to join.
type Case = fn(&mut Cluster) -> Result<()>;

/// Everything, on an ensemble that has not been started.
pub(super) fn all(cluster: &mut Cluster) -> Result<String> {
    let cases: &[(&str, Case)] = &[
        ("nobody else is there", alone),
        ("no myid, and wrong ones", numbers),
        ("an accepted epoch that is ahead", epoch_ahead),
        ("a current epoch ahead of the accepted one", epochs_apart),
        ("a configuration version that is ahead", version_ahead),
        ("other server lines", other_lines),
        ("quorum port and election port swapped", swapped),
        ("another server with the same number", clash),
    ];
    for (what, case) in cases {
        case(cluster).with_context(|| (*what).to_owned())?;
        for server in &mut cluster.servers {
            if server.pid().is_none() {
                server.spawn()?;
            }
        }
        cluster
            .await_serving()
            .with_context(|| format!("after: {what}"))?;
        cluster
            .compare()
            .with_context(|| format!("after: {what}"))?;
    }
    Ok(format!("{} kinds of misfits told", cases.len()))
}

/// Waits until a member's log has all of `words` in one line, in what it says from `from` on.
fn await_line(server: &Server, from: usize, words: &[&str]) -> Result<()> {
    let begun = Instant::now();
    loop {
        let log = server.log();
        let said = log.get(from..).unwrap_or_default();
        if said
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)))
        {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "no line with {words:?} in what {} said: {said}",
            server.kind().name()
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the member that goes wrong says all of `words` in one line.
fn await_odd(cluster: &Cluster, from: usize, words: &[&str]) -> Result<()> {
    await_line(&cluster.servers[ODD], from, words)
}

/// Starts the member that goes wrong, with other settings for the time of `case`.
fn with(
    cluster: &mut Cluster,
    settings: Settings,
    case: impl FnOnce(&mut Cluster, usize) -> Result<()>,
) -> Result<()> {
    let server = &mut cluster.servers[ODD];
    let before = server.settings().clone();
    server.stop()?;
    let from = server.log().len();
    server.configure(settings);
    server.spawn()?;
    let result = case(cluster, from);
    let server = &mut cluster.servers[ODD];
    server.kill()?;
    server.configure(before);
    result
}

fn alone(cluster: &mut Cluster) -> Result<()> {
    cluster.servers[ODD].spawn()?;
    let (_, port) = cluster.ports[1];
    let reached = format!("server 2 cannot be reached: 127.0.0.1:{port}: Connection refused");
    await_odd(
        cluster,
        0,
        &["no leader after", &reached, "server 3 cannot be reached"],
    )
}

fn numbers(cluster: &mut Cluster) -> Result<()> {
    let file = cluster.servers[ODD].data_dir().join("myid");
    let here = file.display().to_string();
    for (text, words) in [
        (
            None,
            vec![
                here.as_str(),
                "myid",
                "a member of an ensemble has its number in that file",
            ],
        ),
        (
            Some("7"),
            vec!["myid says that this is server 7, which is not among them"],
        ),
        (
            Some("one"),
            vec![
                here.as_str(),
                "the server's number is expected, not \"one\"",
            ],
        ),
    ] {
        let server = &mut cluster.servers[ODD];
        server.stop()?;
        match text {
            Some(text) => fs::write(&file, text)?,
            None => fs::remove_file(&file)?,
        }
        let from = server.log().len();
        server.spawn()?;
        let status = server.wait_exit(PATIENCE)?;
        ensure!(status.code() == Some(2), "it ended with {status}");
        await_odd(cluster, from, &words)?;
    }
    Ok(fs::write(&file, "1\n")?)
}

fn set_epochs(server: &Server, accepted: i64, current: Option<i64>) -> Result<()> {
    let folder = server.data_dir().join("version-2");
    fs::write(folder.join("acceptedEpoch"), accepted.to_string())?;
    if let Some(current) = current {
        fs::write(folder.join("currentEpoch"), current.to_string())?;
    }
    Ok(())
}

fn epoch_ahead(cluster: &mut Cluster) -> Result<()> {
    cluster.servers[ODD].stop()?;
    let leader = cluster.leader()?;
    let ours = cluster.servers[leader].kind() == Kind::Menagerie;
    let before = cluster.servers[leader].log().len();
    let server = &mut cluster.servers[ODD];
    set_epochs(server, 99, None)?;
    let from = server.log().len();
    server.spawn()?;
    if ours {
        // The leader makes way for one that may have a later epoch.
        let words = "server 1 has promised itself to epoch 99";
        await_line(&cluster.servers[leader], before, &[words])
    } else {
        let words = "behind epoch 99, which this server has promised itself to";
        await_odd(cluster, from, &[words])?;
        // Apache keeps it out until there is another leader.
        cluster.servers[leader].stop()
    }
}

fn epochs_apart(cluster: &mut Cluster) -> Result<()> {
    let server = &mut cluster.servers[ODD];
    server.stop()?;
    let folder = server.data_dir().join("version-2");
    let current: i64 = fs::read_to_string(folder.join("currentEpoch"))?
        .trim()
        .parse()?;
    set_epochs(server, current - 1, None)?;
    let from = server.log().len();
    server.spawn()?;
    let status = server.wait_exit(PATIENCE)?;
    ensure!(!status.success(), "it ended with {status}");
    let words = [
        "acceptedEpoch".to_owned(),
        "currentEpoch".to_owned(),
        current.to_string(),
    ];
    await_odd(cluster, from, &words.each_ref().map(String::as_str))?;
    set_epochs(&cluster.servers[ODD], current, None)
}

fn version_ahead(cluster: &mut Cluster) -> Result<()> {
    let mut settings = cluster.servers[ODD].settings().clone();
    let (lines, rest): (Vec<String>, Vec<String>) = settings
        .lines
        .into_iter()
        .partition(|line| line.starts_with("server."));
    let dynamic = cluster.servers[ODD].data_dir().join("dynamic.ff00000000");
    fs::write(&dynamic, lines.join("\n"))?;
    settings.lines = rest;
    settings
        .lines
        .push(format!("dynamicConfigFile={}", dynamic.display()));
    let leader = cluster.leader()?;
    let before = cluster.servers[leader].log().len();
    with(cluster, settings, |cluster, from| {
        await_odd(
            cluster,
            from,
            &[
                "before it told its epoch; its log says why",
                "configuration version ff00000000",
            ],
        )?;
        let leader = &cluster.servers[leader];
        if leader.kind() == Kind::Menagerie {
            let words = "server 1 has configuration version ff00000000, the leader only 0";
            await_line(leader, before, &[words])?;
        }
        Ok(())
    })
}

fn other_lines(cluster: &mut Cluster) -> Result<()> {
    let mut settings = cluster.servers[ODD].settings().clone();
    settings.lines.push("server.4=127.0.0.1:7:8".to_owned());
    let other = cluster.follower_but(ODD)?;
    let before = cluster.servers[other].log().len();
    with(cluster, settings, |cluster, from| {
        let words = format!("server {} has other server lines than this one", other + 1);
        await_odd(cluster, from, &[&words, "server.4=127.0.0.1:7:8"])?;
        let other = &cluster.servers[other];
        if other.kind() == Kind::Menagerie {
            await_line(
                other,
                before,
                &["server 1 has other server lines than this one"],
            )?;
        }
        Ok(())
    })
}

fn swapped(cluster: &mut Cluster) -> Result<()> {
    let leader = cluster.leader()?;
    let (quorum, election) = cluster.ports[leader];
    let mut settings = cluster.servers[ODD].settings().clone();
    for line in &mut settings.lines {
        *line = line.replace(
            &format!(":{quorum}:{election}:"),
            &format!(":{election}:{quorum}:"),
        );
    }
    let before = cluster.servers[leader].log().len();
    with(cluster, settings, |cluster, from| {
        // Apache's leader does not find the way back and says nothing, but the third member does.
        await_odd(cluster, from, &["has other server lines than this one"])?;
        let leader = &cluster.servers[leader];
        if leader.kind() == Kind::Menagerie {
            for port in ["over the election port", "a connection to the quorum port"] {
                await_line(leader, before, &[port, "the wrong way round"])?;
            }
        }
        Ok(())
    })
}

fn clash(cluster: &mut Cluster) -> Result<()> {
    let last = cluster.servers.len() - 1;
    let before: Vec<usize> = cluster
        .servers
        .iter()
        .map(|server| server.log().len())
        .collect();
    let mut settings = cluster.servers[ODD].settings().clone();
    let (quorum, election) = (free_address()?.port(), free_address()?.port());
    for line in &mut settings.lines {
        if line.starts_with("server.1=") {
            *line = format!("server.1=127.0.0.1:{quorum}:{election}:participant");
        }
    }
    let mut twin = Server::new(Kind::Menagerie, cluster.servers[ODD].programs(), settings)?;
    fs::create_dir_all(twin.data_dir())?;
    fs::write(twin.data_dir().join("myid"), "1\n")?;
    twin.spawn()?;
    if cluster.servers[last].kind() == Kind::Menagerie {
        let says = format!("says that its election port is 127.0.0.1:{election}");
        let words = ["server 1 at 127.0.0.1", &says, "there may be two servers 1"];
        await_line(&cluster.servers[last], before[last], &words)?;
    }
    // It has a line that the others do not have.
    await_line(&twin, 0, &["has other server lines than this one"])?;
    twin.kill()
}
