//! Owns the judgement on what members say: whether it is safe to stop the next one, and which it is.
//! Must not ask anybody.

use std::collections::BTreeMap;
use std::fmt;

use super::configs::Finding;
use super::members::{Member, Said, Software};

/// Transactions that a member may be behind the leader under load.
const LAG: i64 = 1000;
/// Digests that are remembered of a member.
const DIGESTS: usize = 4096;
/// Versions of Apache's servers that have formed ensembles with Menagerie in its tests.
const TESTED: [&str; 2] = ["3.8.", "3.9."];

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next member may be stopped.
    Safe(String),
    /// There is none left.
    Done,
    /// Not yet, and why.
    Wait(Vec<String>),
    /// Something is wrong that waiting does not mend.
    GoBack(Vec<String>),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Safe(next) => write!(f, "SAFE  next is {next}"),
            Self::Done => f.write_str("DONE  no member is left to exchange"),
            Self::Wait(reasons) => write!(f, "WAIT  {}", reasons.join("; ")),
            Self::GoBack(reasons) => write!(
                f,
                "BACK  {}\n      stop the member that was exchanged last, put the copy of its directory back, and \
                 start the server that it was before",
                reasons.join("; ")
            ),
        }
    }
}

/// Digests by member and zxid, as long as it is watched.
#[derive(Debug, Default)]
pub(crate) struct Digests(BTreeMap<String, BTreeMap<i64, String>>);

impl Digests {
    /// Notes what members say now.
    pub(crate) fn add(&mut self, members: &[Member]) {
        for member in members {
            let Ok(Said {
                digests: Some(new), ..
            }) = &member.said
            else {
                continue;
            };
            let known = self.0.entry(member.known.name.clone()).or_default();
            known.extend(new.clone());
            while known.len() > DIGESTS {
                known.pop_first();
            }
        }
    }

    /// The newest zxid of which two members have both told the digest, and whether it is the same.
    fn compare(&self, one: &str, other: &str) -> Option<(i64, bool)> {
        let (one, other) = (self.0.get(one)?, self.0.get(other)?);
        let mut newest = one.iter().rev();
        newest.find_map(|(zxid, digest)| Some((*zxid, other.get(zxid)? == digest)))
    }
}

fn answering(members: &[Member]) -> impl Iterator<Item = (&Member, &Said)> {
    let said = members
        .iter()
        .map(|member| (member, member.said.as_ref().ok()));
    said.filter_map(|(member, said)| Some((member, said?)))
}

/// Judges; `back` is the way to Apache's servers.
pub(crate) fn judge(members: &[Member], digests: &Digests, back: bool) -> Verdict {
    let wrong = differences(members, digests);
    if !wrong.is_empty() {
        return Verdict::GoBack(wrong);
    }
    let waits = waits(members);
    if !waits.is_empty() {
        return Verdict::Wait(waits);
    }
    match order(members, back).first() {
        None => Verdict::Done,
        Some(next) => {
            let voters = members
                .iter()
                .filter(|member| !member.is_observer())
                .count();
            let alone = if voters < 3 && !next.is_observer() {
                ", and nobody is served until it is back, as two others would be needed"
            } else {
                ""
            };
            let mode = next.said.as_ref().map_or("", |said| said.mode.as_str());
            Verdict::Safe(format!(
                "{} at {} ({mode}){alone}",
                next.known.name,
                next.known.at()
            ))
        }
    }
}

/// Those to exchange: observers, then followers, the leader last.
pub(crate) fn order(members: &[Member], back: bool) -> Vec<&Member> {
    let wanted = |member: &&Member| {
        member
            .said
            .as_ref()
            .map_or(true, |said| match said.software {
                Software::Apache(_) => !back,
                Software::Menagerie(_) => back,
            })
    };
    let rank = |member: &Member| {
        let leads = member.said.as_ref().is_ok_and(|said| said.mode == "leader");
        (leads, !member.is_observer())
    };
    let mut order: Vec<&Member> = members.iter().filter(wanted).collect();
    order.sort_by_key(|member| rank(member));
    order
}

fn differences(members: &[Member], digests: &Digests) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, one) in members.iter().enumerate() {
        for other in &members[at + 1..] {
            let (one, other) = (&one.known.name, &other.known.name);
            if let Some((zxid, false)) = digests.compare(one, other) {
                wrong.push(format!(
                    "{one} and {other} have different digests at zxid 0x{zxid:x}: their data differ"
                ));
            }
        }
    }
    wrong
}

fn waits(members: &[Member]) -> Vec<String> {
    let mut waits = Vec::new();
    for member in members {
        if let Err(why) = &member.said {
            waits.push(format!("{} {why}", member.known.name));
        }
    }
    let leaders: Vec<_> = answering(members)
        .filter(|(_, said)| said.mode == "leader")
        .collect();
    let (leader, said) = match leaders.as_slice() {
        [one] => *one,
        [] => {
            waits.push("nobody leads".to_owned());
            return waits;
        }
        _ => {
            waits.push("more than one says that it leads".to_owned());
            return waits;
        }
    };
    for (member, other) in answering(members) {
        if other.zxid >> 32 != said.zxid >> 32 {
            waits.push(format!(
                "{} is in epoch {}, the leader in {}",
                member.known.name,
                other.zxid >> 32,
                said.zxid >> 32
            ));
        } else if said.zxid - other.zxid > LAG {
            let behind = said.zxid - other.zxid;
            waits.push(format!(
                "{} is {behind} transactions behind",
                member.known.name
            ));
        }
        if other.zxid == said.zxid && other.nodes != said.nodes {
            waits.push(format!(
                "{} has {} nodes, the leader {}, at the same zxid",
                member.known.name, other.nodes, said.nodes
            ));
        }
    }
    let figure = |key: &str| {
        let figures = said.figures.as_ref()?;
        figures.get(key)?.trim().parse::<f64>().ok()
    };
    let voters = members
        .iter()
        .filter(|member| !member.is_observer())
        .count();
    #[allow(clippy::cast_precision_loss)]
    if let Some(synced) = figure("zk_synced_followers")
        && synced < (voters.saturating_sub(1)) as f64
    {
        waits.push(format!(
            "{} has {synced} synchronised followers of {}",
            leader.known.name,
            voters.saturating_sub(1)
        ));
    }
    waits
}

/// What `check` says of the members besides the verdict.
pub(crate) fn fitness(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut versions = BTreeMap::<String, Vec<&str>>::new();
    for (member, said) in answering(members) {
        versions
            .entry(said.software.to_string())
            .or_default()
            .push(&member.known.name);
        if let Software::Apache(version) = &said.software
            && !TESTED.iter().any(|tested| version.starts_with(tested))
        {
            findings.push(Finding::wrong(format!(
                "{} runs {version}: upgrade to 3.9 first; ensembles of Menagerie and older versions are not tested",
                member.known.name
            )));
        }
        for (word, answered) in [
            ("mntr", said.figures.is_some()),
            ("hash", said.digests.is_some()),
        ] {
            if !answered {
                findings.push(Finding::risky(format!(
                    "{} does not allow {word}: add it to 4lw.commands.whitelist, so that watch sees more",
                    member.known.name
                )));
            }
        }
    }
    for (version, names) in versions {
        findings.push(Finding::good(format!("{}: {version}", names.join(", "))));
    }
    let voters = members
        .iter()
        .filter(|member| !member.is_observer())
        .count();
    findings.push(match voters {
        0..3 => Finding::risky(format!(
            "{voters} voters: clients wait while one of them is exchanged"
        )),
        _ => Finding::good(format!(
            "{voters} voters: the others go on serving while one is exchanged"
        )),
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::super::members::Known;
    use super::*;

    fn member(name: &str, mode: &str, zxid: i64, ours: bool) -> Member {
        let version = "1".to_owned();
        let software = if ours {
            Software::Menagerie(version)
        } else {
            Software::Apache("3.9.5".into())
        };
        Member {
            known: Known {
                name: name.to_owned(),
                host: "h".into(),
                port: 1,
                role: None,
            },
            said: Ok(Said {
                software,
                mode: mode.to_owned(),
                zxid,
                nodes: 5,
                connections: 0,
                figures: None,
                digests: None,
            }),
        }
    }

    fn three() -> Vec<Member> {
        vec![
            member("1", "follower", 0x1_0000_0005, false),
            member("2", "leader", 0x1_0000_0009, false),
            member("3", "follower", 0x1_0000_0009, false),
            member("4", "observer", 0x1_0000_0009, false),
        ]
    }

    fn names(members: &[Member], back: bool) -> Vec<String> {
        order(members, back)
            .iter()
            .map(|member| member.known.name.clone())
            .collect()
    }

    #[test]
    fn observers_come_first_and_the_leader_last() {
        let mut members = three();
        assert_eq!(names(&members, false), ["4", "1", "3", "2"]);
        assert!(names(&members, true).is_empty());
        members[3] = member("4", "observer", 0x1_0000_0009, true);
        assert_eq!(names(&members, false), ["1", "3", "2"]);
        assert_eq!(names(&members, true), ["4"]);
        let verdict = judge(&members, &Digests::default(), false);
        assert_eq!(verdict, Verdict::Safe("1 at h:1 (follower)".into()));
    }

    #[test]
    fn one_waits_for_members_that_are_not_there_or_behind() {
        let waits_for = |members: &[Member], why: &str| {
            let Verdict::Wait(reasons) = judge(members, &Digests::default(), false) else {
                panic!("{why}");
            };
            assert!(reasons.join(";").contains(why), "{reasons:?}");
        };
        let mut members = three();
        members[0].said = Err("not reached: refused".into());
        waits_for(&members, "1 not reached");
        members[0] = member("1", "follower", 0x2_0000_0001, false);
        waits_for(&members, "1 is in epoch 2");
        members[0] = member("1", "leader", 0x1_0000_0009, false);
        waits_for(&members, "more than one");
        members[0] = member("1", "follower", 0x1_0000_0001, false);
        members[1] = member("2", "leader", 0x1_0000_f009, false);
        waits_for(&members, "transactions behind");
        let mut members = three();
        members[2].said.as_mut().unwrap().nodes = 6;
        waits_for(&members, "at the same zxid");
        let mut members = three();
        let figures = BTreeMap::from([("zk_synced_followers".to_owned(), "1.0".to_owned())]);
        members[1].said.as_mut().unwrap().figures = Some(figures);
        waits_for(&members, "1 synchronised followers of 2");
        members.remove(1);
        waits_for(&members, "nobody leads");
    }

    #[test]
    fn different_data_are_a_reason_to_go_back_unless_they_have_become_the_same() {
        let with = |one: &[(i64, &str)], other: &[(i64, &str)]| {
            let mut members = three();
            let map =
                |pairs: &[(i64, &str)]| pairs.iter().map(|(z, d)| (*z, (*d).to_owned())).collect();
            members[0].said.as_mut().unwrap().digests = Some(map(one));
            members[2].said.as_mut().unwrap().digests = Some(map(other));
            let mut digests = Digests::default();
            digests.add(&members);
            judge(&members, &digests, false)
        };
        assert!(matches!(
            with(&[(128, "a")], &[(128, "a")]),
            Verdict::Safe(_)
        ));
        assert!(matches!(
            with(&[(128, "a")], &[(256, "b")]),
            Verdict::Safe(_)
        ));
        let Verdict::GoBack(why) = with(&[(128, "a"), (256, "b")], &[(128, "a"), (256, "c")])
        else {
            panic!("they differ");
        };
        assert!(why[0].contains("0x100"), "{why:?}");
        let healed = with(&[(128, "x"), (256, "b")], &[(128, "y"), (256, "b")]);
        assert!(matches!(healed, Verdict::Safe(_)));
    }
}
