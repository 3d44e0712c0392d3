//! Owns a network of its own for an ensemble: a namespace for each server, joined by one or several
//! bridges to which this process is connected too, and what goes wrong on it. Needs to be root.
//! Everything is removed at the end.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// How many bridges there can be at a time: 198.18.0.0 to 198.19.255.0, from the addresses that are
/// set aside for tests of networks (RFC 2544).
const NETS: u32 = 512;
/// This process.
const HERE: u8 = 254;

/// A bridge. It is in a namespace of its own, where no firewall of this machine has a say.
#[derive(Debug)]
struct Bridge {
    /// The namespace, and the cable that leads to it.
    name: String,
    /// The first three numbers of the addresses.
    net: [u8; 3],
}

/// The network.
#[derive(Debug)]
pub(super) struct Network {
    bridges: Vec<Bridge>,
    count: usize,
}

/// Runs `ip`; what it says.
fn said(words: &str) -> Result<String> {
    let output = Command::new("ip")
        .args(words.split(' '))
        .output()
        .context("cannot run ip, from Debian's package iproute2")?;
    let wrong = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {words}: {}", wrong.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn ip(words: &str) -> Result<()> {
    said(words).map(drop)
}

impl Bridge {
    /// Takes addresses that nobody uses, beginning with some that follow from this process' number.
    /// Making the namespace claims them, so that a run at the same time gets others.
    fn claim() -> Result<Self> {
        for attempt in 0..NETS {
            let number = (std::process::id() + attempt) % NETS;
            let [.., high, low] = number.to_be_bytes();
            let (name, net) = (format!("mg{number}"), [198, 18 + high, low]);
            let [a, b, c] = net;
            if said("-4 -o addr")?.contains(&format!(" {a}.{b}.{c}.")) {
                continue;
            }
            match ip(&format!("netns add {name}")) {
                Ok(()) => return Ok(Self { name, net }),
                Err(error) if error.to_string().contains("File exists") => {}
                Err(error) => return Err(error.context("a network of its own needs root")),
            }
        }
        bail!("all {NETS} networks for tests are taken")
    }

    fn build(&self) -> Result<()> {
        let (name, [a, b, c]) = (&self.name, self.net);
        ip(&format!("-n {name} link add bridge type bridge"))?;
        ip(&format!("-n {name} link set bridge up"))?;
        ip(&format!(
            "link add {name} type veth peer name here netns {name}"
        ))?;
        ip(&format!("-n {name} link set here master bridge up"))?;
        ip(&format!("addr add {a}.{b}.{c}.{HERE}/24 dev {name}"))?;
        ip(&format!("link set {name} up"))
    }

    /// A cable to a host, which is number `at`.
    fn connect(&self, host: &str, at: usize, device: &str) -> Result<()> {
        let (name, address) = (&self.name, self.address(at));
        ip(&format!(
            "-n {name} link add v{at} type veth peer name {device} netns {host}"
        ))?;
        ip(&format!("-n {name} link set v{at} master bridge up"))?;
        ip(&format!("-n {host} addr add {address}/24 dev {device}"))?;
        ip(&format!("-n {host} link set {device} up"))
    }

    fn address(&self, at: usize) -> IpAddr {
        let [a, b, c] = self.net;
        Ipv4Addr::new(a, b, c, u8::try_from(at + 1).unwrap_or(HERE)).into()
    }
}

impl Network {
    /// A network of `count` hosts that are connected `times`.
    pub(super) fn new(count: usize, times: usize) -> Result<Self> {
        let mut network = Self {
            bridges: Vec::new(),
            count,
        };
        for _ in 0..times {
            network.bridges.push(Bridge::claim()?);
        }
        for at in 0..count {
            let host = network.host(at);
            ip(&format!("netns add {host}"))?;
            ip(&format!("-n {host} link set lo up"))?;
        }
        for (number, bridge) in network.bridges.iter().enumerate() {
            bridge.build()?;
            for at in 0..count {
                bridge.connect(&network.host(at), at, &format!("eth{number}"))?;
            }
        }
        Ok(network)
    }

    /// The namespace of a host.
    pub(super) fn host(&self, at: usize) -> String {
        let first = self.bridges.first().map_or("", |bridge| &bridge.name);
        format!("{first}h{at}")
    }

    /// The addresses of a host.
    pub(super) fn addresses(&self, at: usize) -> Vec<IpAddr> {
        let bridges = self.bridges.iter();
        bridges.map(|bridge| bridge.address(at)).collect()
    }

    /// Nothing that `from` sends to `to` arrives any more.
    pub(super) fn cut(&self, from: usize, to: usize) -> Result<()> {
        self.route("add", from, to)
    }

    /// It does again.
    pub(super) fn heal(&self, from: usize, to: usize) -> Result<()> {
        self.route("del", from, to)
    }

    fn route(&self, what: &str, from: usize, to: usize) -> Result<()> {
        let host = self.host(from);
        for address in self.addresses(to) {
            ip(&format!("-n {host} route {what} blackhole {address}/32"))?;
        }
        Ok(())
    }

    /// The address of this process on the first bridge.
    pub(super) fn here(&self) -> Result<IpAddr> {
        let bridge = self.bridges.first().context("no bridge")?;
        Ok(bridge.address(usize::from(HERE) - 1))
    }

    /// Gives a host the address that number `to` would have, in place of its own on the first bridge.
    pub(super) fn readdress(&self, at: usize, to: usize) -> Result<IpAddr> {
        let bridge = self.bridges.first().context("no bridge")?;
        let (host, address) = (self.host(at), bridge.address(to));
        ip(&format!("-n {host} addr flush dev eth0"))?;
        ip(&format!("-n {host} addr add {address}/24 dev eth0"))?;
        Ok(address)
    }

    /// Pulls or plugs one of a host's cables.
    pub(super) fn plug(&self, at: usize, cable: usize, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        let bridge = self.bridges.get(cable).context("no such cable")?;
        ip(&format!("-n {} link set v{at} {state}", bridge.name))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for bridge in &self.bridges {
            // A namespace takes its end of a cable along, but only when its last process is gone.
            for at in 0..self.count {
                let _gone = ip(&format!("-n {} link del v{at}", bridge.name));
            }
            let _gone = ip(&format!("link del {}", bridge.name));
        }
        for at in 0..self.count {
            let _gone = ip(&format!("netns del {}", self.host(at)));
        }
        for bridge in &self.bridges {
            let _gone = ip(&format!("netns del {}", bridge.name));
        }
    }
}
