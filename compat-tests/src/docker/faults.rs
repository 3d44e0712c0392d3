//! Owns what befalls the members while all clients work: each fault is a row. Must not know clients.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::members::Ensemble;

/// Something that befalls a member, and is over again.
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) befall: fn(&mut Ensemble) -> Result<()>,
    /// Members have other addresses afterwards.
    pub(super) moves: bool,
}

/// Every fault, in the order in which they come.
pub(super) const ALL: &[Fault] = &[
    Fault {
        name: "stop",
        what: "a follower, then the leader stops and starts",
        befall: stop,
        moves: false,
    },
    Fault {
        name: "kill",
        what: "the leader is killed and started",
        befall: kill,
        moves: false,
    },
    Fault {
        name: "pause",
        what: "the leader is paused until another leads, then a follower",
        befall: pause,
        moves: false,
    },
    Fault {
        name: "disconnect",
        what: "the leader is off the network until another leads, then a follower",
        befall: disconnect,
        moves: false,
    },
    Fault {
        name: "dns",
        what: "each member comes back under another address",
        befall: dns,
        moves: true,
    },
];

/// Long enough for clients and members to notice.
const PAUSE: Duration = Duration::from_secs(7);
/// Between two that befall different members.
const BREATH: Duration = Duration::from_secs(1);

fn stop(ensemble: &mut Ensemble) -> Result<()> {
    for at in [ensemble.follower()?, ensemble.leader()?] {
        ensemble.stop(at)?;
        thread::sleep(BREATH);
        ensemble.start_again(at)?;
        ensemble.await_serving()?;
    }
    Ok(())
}

fn kill(ensemble: &mut Ensemble) -> Result<()> {
    let leader = ensemble.leader()?;
    ensemble.kill(leader)?;
    ensemble.await_other_leader(leader)?;
    thread::sleep(BREATH);
    ensemble.start_again(leader)?;
    ensemble.await_serving()
}

fn pause(ensemble: &mut Ensemble) -> Result<()> {
    let leader = ensemble.leader()?;
    ensemble.pause(leader)?;
    ensemble.await_other_leader(leader)?;
    thread::sleep(PAUSE);
    ensemble.unpause(leader)?;
    ensemble.await_serving()?;
    let follower = ensemble.follower()?;
    ensemble.pause(follower)?;
    thread::sleep(PAUSE);
    ensemble.unpause(follower)?;
    ensemble.await_serving()
}

fn disconnect(ensemble: &mut Ensemble) -> Result<()> {
    let leader = ensemble.leader()?;
    ensemble.disconnect(leader)?;
    ensemble.await_other_leader(leader)?;
    thread::sleep(BREATH);
    ensemble.connect(leader, false)?;
    ensemble.await_serving()?;
    let follower = ensemble.follower()?;
    ensemble.disconnect(follower)?;
    thread::sleep(PAUSE);
    ensemble.connect(follower, false)?;
    ensemble.await_serving()
}

/// As when containers are made anew: nobody has the address it had.
fn dns(ensemble: &mut Ensemble) -> Result<()> {
    for at in 0..super::members::MEMBERS {
        ensemble.stop(at)?;
        ensemble.disconnect(at)?;
        ensemble.connect(at, true)?;
        ensemble.start_again(at)?;
        ensemble.await_serving()?;
        thread::sleep(BREATH);
    }
    Ok(())
}
