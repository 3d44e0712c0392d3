//! Owns ensembles whose members know each other by names that a slow name server knows late, never, or
//! with another address after a while. Writes the namespaces' `hosts` and `resolv.conf`, and removes
//! them. Must not tell a server an address of another one.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::cluster::Cluster;
use super::load::Load;
use super::network::Network;

/// Where `ip netns exec` looks for files that a namespace has in place of those in `/etc`.
const PLACE: &str = "/etc/netns";
/// How long an election may take with names that do not resolve: less than one connection attempt
/// to such a name, and less than what a resolver takes to give up.
const ELECTION: Duration = Duration::from_millis(4500);
/// How long a member may take to be found once its name is known.
const FOUND: Duration = Duration::from_secs(20);
/// The member whose name is known late, and which moves later.
const LATE: usize = 2;
/// The member that leads at first, and moves.
const FIRST_LEADER: usize = 3;
/// The member whose name nobody ever knows, and which does not run.
const NEVER: usize = 4;
/// What is added to a host's number when it moves.
const MOVED: usize = 100;

/// What the members can know of each other.
struct Names {
    folders: Vec<PathBuf>,
    addresses: Vec<Option<IpAddr>>,
    /// Takes every question and answers none.
    _name_server: UdpSocket,
}

impl Names {
    /// Nobody has a name yet.
    fn new(network: &Network, count: usize) -> Result<Self> {
        let here = network.here()?;
        let name_server = UdpSocket::bind((here, 53))
            .with_context(|| format!("cannot be a name server at {here}"))?;
        let folder = |at| Path::new(PLACE).join(network.host(at));
        let names = Self {
            folders: (0..count).map(folder).collect(),
            addresses: vec![None; count],
            _name_server: name_server,
        };
        for folder in &names.folders {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            fs::write(folder.join("resolv.conf"), format!("nameserver {here}\n"))?;
        }
        names.write()?;
        Ok(names)
    }

    fn of(at: usize) -> String {
        format!("zoo{}.example", at + 1)
    }

    /// Everybody knows from now on where `at` is.
    fn tell(&mut self, at: usize, address: IpAddr) -> Result<()> {
        self.addresses[at] = Some(address);
        self.write()
    }

    /// In place: the file that a running process sees is this one, not another of that name.
    fn write(&self) -> Result<()> {
        let mut text = "127.0.0.1 localhost\n".to_owned();
        for (at, address) in self.addresses.iter().enumerate() {
            if let Some(address) = address {
                text.push_str(&format!("{address} {}\n", Self::of(at)));
            }
        }
        for folder in &self.folders {
            fs::write(folder.join("hosts"), &text)?;
        }
        Ok(())
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        for folder in &self.folders {
            let _gone = fs::remove_dir_all(folder);
        }
        // Others may have files there.
        let _not_empty = fs::remove_dir(PLACE);
    }
}

/// Everything, under load.
pub(super) fn all(cluster: &mut Cluster, network: &Network) -> Result<String> {
    let count = cluster.servers.len();
    let mut names = Names::new(network, count)?;
    for at in (0..count).filter(|at| *at != LATE && *at != NEVER) {
        names.tell(at, network.addresses(at)[0])?;
    }
    call_by_name(cluster);

    for at in 0..NEVER {
        cluster.servers[at].spawn()?;
    }
    let first =
        serving(cluster, &[0, 1, FIRST_LEADER]).context("with two names that nobody knows")?;
    waits(cluster, LATE, 0).context("its own name is not known yet")?;

    let addresses: Vec<SocketAddr> = [0, 1].map(|at| cluster.servers[at].address()).to_vec();
    let load = Load::start(&addresses, 4)?;
    let address = network.addresses(LATE)[0];
    known(cluster, &mut names, LATE, address, 0).context("its name is known now")?;

    // Election with a name that nobody knows among the voters.
    let leader = cluster.leader()?;
    cluster.servers[leader].kill()?;
    let rest: Vec<usize> = (0..NEVER).filter(|at| *at != leader).collect();
    let second = serving(cluster, &rest).context("the leader was killed")?;
    cluster.servers[leader].spawn()?;
    found(cluster, leader).context("the killed leader is back")?;

    for at in [LATE, FIRST_LEADER] {
        moves(cluster, network, &mut names, at)
            .with_context(|| format!("server {} has another address", at + 1))?;
    }
    // Those that moved are needed now, first by whoever leads and then for an election.
    cluster.servers[1].kill()?;
    thread::sleep(Duration::from_millis(500));
    serving(cluster, &[0, LATE, FIRST_LEADER]).context("without server 2")?;
    cluster.servers[1].spawn()?;
    found(cluster, 1).context("server 2 is back")?;
    let leader = cluster.leader()?;
    cluster.servers[leader].kill()?;
    let rest: Vec<usize> = (0..NEVER).filter(|at| *at != leader).collect();
    let third = serving(cluster, &rest).context("two have moved, and the leader was killed")?;
    cluster.servers[leader].spawn()?;
    found(cluster, leader).context("the killed leader is back again")?;
    let told = load.finish(addresses[0])?;

    // Whoever has the smallest number is connected to by all others.
    let leader = cluster.leader()?;
    for at in [0, leader] {
        moves_running(cluster, network, &mut names, at)
            .with_context(|| format!("server {} runs on at another address", at + 1))?;
    }
    let rest: Vec<usize> = (0..NEVER).filter(|at| *at != 1).collect();
    cluster.servers[1].kill()?;
    thread::sleep(Duration::from_millis(500));
    serving(cluster, &rest).context("those who moved while they ran are needed")?;
    cluster.servers[1].spawn()?;
    found(cluster, 1).context("server 2 is back again")?;
    cluster.compare()?;
    let ms = [first, second, third].map(|took| took.as_millis());
    Ok(format!("elections took {ms:?} ms; {told}"))
}

/// Server lines have names, and clients reach a member at whatever address it has.
fn call_by_name(cluster: &mut Cluster) {
    let lines: Vec<String> = (cluster.ports.iter().enumerate())
        .map(|(at, (quorum, election))| {
            format!("server.{}={}:{quorum}:{election}", at + 1, Names::of(at))
        })
        .collect();
    for server in &mut cluster.servers {
        let mut settings = server.settings().clone();
        settings.lines.retain(|line| !line.starts_with("server."));
        settings.lines.extend(lines.iter().cloned());
        settings.lines.push("clientPortAddress=0.0.0.0".to_owned());
        server.configure(settings);
    }
}

/// How long it takes until those `among` the members have a leader among them and follow it.
fn serving(cluster: &Cluster, among: &[usize]) -> Result<Duration> {
    let begun = Instant::now();
    loop {
        let modes: Vec<String> = among.iter().map(|at| cluster.mode(*at)).collect();
        let leaders = modes.iter().filter(|mode| *mode == "leader").count();
        if leaders == 1 && modes.iter().all(|mode| !mode.is_empty()) {
            return Ok(begun.elapsed());
        }
        let ms = begun.elapsed().as_millis();
        ensure!(
            begun.elapsed() < ELECTION,
            "after {ms} ms they are {modes:?}"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

/// A member runs, and says in its log from `from` on which name it waits for. It may follow a leader,
/// as that does not take a port of its own.
fn waits(cluster: &mut Cluster, at: usize, from: usize) -> Result<()> {
    let begun = Instant::now();
    let server = &mut cluster.servers[at];
    let wanted = format!("host=\"{}\"", Names::of(at));
    loop {
        if let Some(status) = server.exited()? {
            anyhow::bail!("it ended with {status}: {}", server.log_tail());
        }
        let log = server.log();
        let late = |line: &str| line.contains("does not stand for") && line.contains(&wanted);
        if log.get(from..).unwrap_or_default().lines().any(late) {
            break;
        }
        ensure!(
            begun.elapsed() < FOUND,
            "it does not say so: {}",
            server.log_tail()
        );
        thread::sleep(Duration::from_millis(50));
    }
    // It must not have given up by then, as it would for a port in use.
    thread::sleep(Duration::from_secs(4));
    let ended = cluster.servers[at].exited()?;
    let tail = cluster.servers[at].log_tail();
    ensure!(ended.is_none(), "it gave up: {tail}");
    Ok(())
}

/// A member finds the others, and they it.
fn found(cluster: &mut Cluster, at: usize) -> Result<()> {
    let begun = Instant::now();
    while cluster.mode(at).is_empty() {
        let ended = cluster.servers[at].exited()?;
        let tail = cluster.servers[at].log_tail();
        ensure!(ended.is_none(), "server {} ended: {tail}", at + 1);
        ensure!(
            begun.elapsed() < FOUND,
            "server {} is not found: {tail}",
            at + 1
        );
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A member's machine is lost without a word, and the member comes back at another address, of which
/// the names tell only a while later.
fn moves(cluster: &mut Cluster, network: &Network, names: &mut Names, at: usize) -> Result<()> {
    network.plug(at, 0, false)?;
    cluster.servers[at].kill()?;
    let address = network.readdress(at, at + MOVED)?;
    network.plug(at, 0, true)?;
    let port = cluster.servers[at].address().port();
    cluster.servers[at].move_to((address, port).into());
    let from = cluster.servers[at].log().len();
    cluster.servers[at].spawn()?;
    waits(cluster, at, from).context("its name still stands for the old address")?;
    known(cluster, names, at, address, from)
}

/// A member's machine gets another address under it, of which the names tell only a while later.
fn moves_running(
    cluster: &mut Cluster,
    network: &Network,
    names: &mut Names,
    at: usize,
) -> Result<()> {
    let from = cluster.servers[at].log().len();
    network.plug(at, 0, false)?;
    let address = network.readdress(at, at + 2 * MOVED)?;
    network.plug(at, 0, true)?;
    let port = cluster.servers[at].address().port();
    cluster.servers[at].move_to((address, port).into());
    let begun = Instant::now();
    let lost = "this machine has lost the address of the election port";
    while !cluster.servers[at].log()[from..].contains(lost) {
        let tail = cluster.servers[at].log_tail();
        ensure!(begun.elapsed() < FOUND, "it does not notice: {tail}");
        thread::sleep(Duration::from_millis(50));
    }
    known(cluster, names, at, address, from)
}

/// A member's name is known now: it opens its port, and everybody finds it.
fn known(
    cluster: &mut Cluster,
    names: &mut Names,
    at: usize,
    address: IpAddr,
    from: usize,
) -> Result<()> {
    names.tell(at, address)?;
    let begun = Instant::now();
    let server = &cluster.servers[at];
    let open = "this address of the election port is open now";
    while !server.log().get(from..).unwrap_or_default().contains(open) {
        let tail = server.log_tail();
        ensure!(begun.elapsed() < FOUND, "it does not open its port: {tail}");
        thread::sleep(Duration::from_millis(50));
    }
    found(cluster, at)
}
