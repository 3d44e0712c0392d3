use menagerie_wire::text::cfg::Members;

use super::*;
use crate::quorum::Membership;

fn configs(text: &str) -> Configs {
    Configs::new(Membership::new(Members::parse_dynamic(text).unwrap()))
}

fn three() -> Configs {
    configs("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2:observer\n")
}

fn looking(leader: i64, zxid: i64, epoch: i64, round: i64) -> Notification {
    Notification {
        state: ServerState::Looking,
        leader,
        zxid,
        round,
        peer_epoch: epoch,
        version: 2,
        config: Vec::new(),
    }
}

fn in_state(state: ServerState, n: Notification) -> Notification {
    Notification { state, ..n }
}

/// Server 1 with history (epoch 1, zxid 5), just begun to look.
fn started(out: &mut Outbox) -> (Election, Configs) {
    let configs = three();
    let mut election = Election::new(Sid(1), ElectionConfig::default());
    assert_eq!(election.start(Zxid(5), 1, &configs, 0, out), None);
    (election, configs)
}

#[test]
fn a_better_vote_is_adopted_and_told() {
    let mut out = Outbox::new();
    let (mut e, c) = started(&mut out);
    assert_eq!(out.iter().map(|(to, _)| to.0).collect::<Vec<_>>(), [2, 3]);
    for (better, n) in [
        (false, looking(3, 4, 1, 1)),
        (false, looking(3, 99, 0, 1)),
        (true, looking(2, 5, 1, 1)),
        (true, looking(2, 6, 1, 1)),
        (true, looking(3, 0, 2, 1)),
    ] {
        out.clear();
        e.receive(Sid(n.leader), &n, &c, 0, &mut out);
        assert_eq!(e.proposal().leader == Sid(n.leader), better, "{n:?}");
        assert_eq!(out.len(), if better { 2 } else { 0 });
    }
}

#[test]
fn a_quorum_waits_for_those_who_might_know_better() {
    let mut out = Outbox::new();
    let (mut e, c) = started(&mut out);
    assert_eq!(
        e.receive(Sid(2), &looking(2, 6, 1, 1), &c, 10, &mut out),
        None
    );
    assert_eq!(e.next_tick(), 200);
    assert_eq!(e.tick(&c, 209, &mut out), None);
    assert_eq!(e.tick(&c, 210, &mut out), Some(Sid(2)));

    let (mut e, c) = started(&mut out);
    e.receive(Sid(2), &looking(2, 6, 1, 1), &c, 10, &mut out);
    assert_eq!(e.reachable(Sid(3), false, &c, 11), Some(Sid(2)));

    let (mut e, c) = started(&mut out);
    e.receive(Sid(2), &looking(2, 6, 1, 1), &c, 10, &mut out);
    assert_eq!(
        e.receive(Sid(3), &looking(3, 7, 1, 1), &c, 150, &mut out),
        None
    );
    assert_eq!(e.tick(&c, 349, &mut out), None);
    let second = looking(3, 7, 1, 1);
    assert_eq!(e.receive(Sid(2), &second, &c, 349, &mut out), Some(Sid(3)));
}

#[test]
fn later_rounds_count_and_earlier_ones_are_told() {
    let mut out = Outbox::new();
    let (mut e, c) = started(&mut out);
    e.receive(Sid(3), &looking(3, 4, 1, 7), &c, 0, &mut out);
    assert_eq!((e.round(), e.proposal().leader), (7, Sid(1)));
    out.clear();
    e.receive(Sid(2), &looking(2, 9, 9, 6), &c, 0, &mut out);
    assert_eq!(e.proposal().leader, Sid(1));
    assert_eq!(out.len(), 1);
    assert_eq!((out[0].0, out[0].1.round), (Sid(2), 7));
}

#[test]
fn an_ensemble_with_a_leader_is_joined() {
    let mut out = Outbox::new();
    let (mut e, c) = started(&mut out);
    let vote = looking(3, 2, 4, 9);
    let following = in_state(ServerState::Following, vote.clone());
    assert_eq!(e.receive(Sid(2), &following, &c, 0, &mut out), None);
    let leading = in_state(ServerState::Leading, vote);
    assert_eq!(e.receive(Sid(3), &leading, &c, 0, &mut out), Some(Sid(3)));
    assert_eq!(e.round(), 9);
    e.settle(ServerState::Following, 5);
    out.clear();
    e.receive(Sid(2), &looking(2, 9, 9, 1), &c, 0, &mut out);
    let told = &out[0].1;
    assert_eq!(
        (told.leader, told.peer_epoch, told.round, told.state),
        (3, 5, 9, ServerState::Following)
    );
}

#[test]
fn a_proposed_configuration_keeps_nobody_from_joining_a_leader() {
    let mut out = Outbox::new();
    let mut configs = configs("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nversion=1\n");
    let next = "server.1=a:1:2\nserver.4=d:1:2\nserver.5=e:1:2\nversion=2\n";
    configs.see(Membership::new(Members::parse_dynamic(next).unwrap()));
    let mut election = Election::new(Sid(1), ElectionConfig::default());
    assert_eq!(election.start(Zxid(9), 1, &configs, 0, &mut out), None);
    let follows = in_state(ServerState::Following, looking(3, 5, 2, 7));
    let leads = in_state(ServerState::Leading, looking(3, 5, 2, 7));
    let mut hears = |from, n| election.receive(Sid(from), n, &configs, 0, &mut out);
    assert_eq!(hears(4, &follows), None);
    assert_eq!(hears(2, &follows), None);
    assert_eq!(hears(3, &leads), Some(Sid(3)));
}

#[test]
fn votes_for_one_who_does_not_lead_decide_nothing() {
    let mut out = Outbox::new();
    let (mut e, c) = started(&mut out);
    let following = in_state(ServerState::Following, looking(3, 2, 4, 9));
    e.receive(Sid(2), &following, &c, 0, &mut out);
    assert_eq!(e.receive(Sid(3), &following, &c, 0, &mut out), None);
    let mine = in_state(ServerState::Following, looking(1, 2, 4, 9));
    e.receive(Sid(2), &mine, &c, 0, &mut out);
    assert_eq!(e.receive(Sid(3), &mine, &c, 0, &mut out), None);
}

#[test]
fn observers_ask_and_are_answered_but_do_not_count() {
    let mut out = Outbox::new();
    let (mut e, c) = started(&mut out);
    out.clear();
    e.receive(Sid(4), &looking(4, 99, 99, 1), &c, 0, &mut out);
    assert_eq!((e.proposal().leader, out.len()), (Sid(1), 1));

    let mut observer = Election::new(Sid(4), ElectionConfig::default());
    out.clear();
    observer.start(Zxid(5), 1, &c, 0, &mut out);
    assert_eq!(out.len(), 3);
    assert_eq!(out[0].1.leader, i64::MIN);
    let leading = in_state(ServerState::Leading, looking(3, 2, 4, 9));
    observer.receive(Sid(3), &leading, &c, 0, &mut out);
    let following = in_state(ServerState::Following, looking(3, 2, 4, 9));
    assert_eq!(
        observer.receive(Sid(1), &following, &c, 0, &mut out),
        Some(Sid(3))
    );
}

#[test]
fn who_has_no_weight_does_not_lead() {
    let text = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n\
        group.1=1:2:3\nweight.1=1\nweight.2=1\nweight.3=0\n";
    let c = configs(text);
    let mut out = Outbox::new();
    let mut e = Election::new(Sid(1), ElectionConfig::default());
    e.start(Zxid(5), 1, &c, 0, &mut out);
    e.receive(Sid(3), &looking(3, 9, 9, 1), &c, 0, &mut out);
    assert_eq!(e.proposal().leader, Sid(1));
    e.receive(Sid(3), &looking(1, 5, 1, 1), &c, 0, &mut out);
    assert_eq!(e.tick(&c, 1000, &mut out), None);
}

#[test]
fn a_single_voter_elects_itself() {
    let c = configs("server.1=a:1:2\n");
    let mut e = Election::new(Sid(1), ElectionConfig::default());
    assert_eq!(e.start(Zxid(5), 1, &c, 0, &mut Outbox::new()), Some(Sid(1)));
}

#[test]
fn votes_are_sent_again_ever_more_seldom() {
    let mut out = Outbox::new();
    let (mut e, c) = started(&mut out);
    let mut at = Vec::new();
    for _ in 0..12 {
        at.push(e.next_tick());
        out.clear();
        e.tick(&c, e.next_tick(), &mut out);
        assert_eq!(out.len(), 2);
    }
    let gaps: Vec<_> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps[..4], [400, 800, 1600, 3200]);
    assert_eq!(gaps[10], 60_000);
}

/// One of two, told by the oracle that it is alone or that the other one is.
fn pair(oracle: Oracle) -> Configs {
    Configs {
        oracle,
        ..configs("server.1=a:1:2\nserver.2=b:1:2\n")
    }
}

#[test]
fn whom_the_oracle_leaves_alone_leads_when_nobody_better_comes() {
    let (mut out, alone) = (Outbox::new(), pair(Oracle::Alone));
    let mut e = Election::new(Sid(1), ElectionConfig::default());
    assert_eq!(e.start(Zxid(5), 1, &alone, 0, &mut out), None);
    assert_eq!(e.reachable(Sid(2), false, &alone, 1), None);
    assert_eq!(e.tick(&alone, 201, &mut out), Some(Sid(1)));

    let mut e = Election::new(Sid(1), ElectionConfig::default());
    e.start(Zxid(5), 1, &alone, 0, &mut out);
    e.receive(Sid(2), &looking(2, 6, 1, 1), &alone, 10, &mut out);
    assert_eq!(e.tick(&alone, 300, &mut out), Some(Sid(2)), "it has more");

    let mut e = Election::new(Sid(1), ElectionConfig::default());
    let other = pair(Oracle::Other);
    e.start(Zxid(5), 1, &other, 0, &mut out);
    e.reachable(Sid(2), false, &other, 1);
    assert_eq!(e.tick(&other, 300, &mut out), None);
    assert_eq!(e.rejudge(&alone, 300), None);
    assert_eq!(e.tick(&alone, 500, &mut out), Some(Sid(1)));
}

#[test]
fn who_leads_alone_is_followed_if_the_oracle_is_for_it() {
    let mut out = Outbox::new();
    let leads = in_state(ServerState::Leading, looking(2, 6, 1, 7));
    for (oracle, expected) in [(Oracle::Other, Some(Sid(2))), (Oracle::Silent, None)] {
        let configs = pair(oracle);
        let mut e = Election::new(Sid(1), ElectionConfig::default());
        e.start(Zxid(5), 1, &configs, 0, &mut out);
        assert_eq!(e.receive(Sid(2), &leads, &configs, 1, &mut out), expected);
    }
    // Three vote by majority, whatever the oracle says.
    let configs = Configs {
        oracle: Oracle::Other,
        ..three()
    };
    let mut e = Election::new(Sid(1), ElectionConfig::default());
    e.start(Zxid(5), 1, &configs, 0, &mut out);
    assert_eq!(e.receive(Sid(2), &leads, &configs, 1, &mut out), None);
}

#[test]
fn votes_of_those_who_noticed_a_little_earlier_count() {
    let mut out = Outbox::new();
    for (came, gone, counts) in [
        (1_100, false, true),
        (1_100, true, false),
        // By then the vote may be that of a round long over.
        (800, false, false),
    ] {
        let (mut e, c) = started(&mut out);
        e.receive(Sid(2), &looking(2, 9, 1, 1), &c, 0, &mut out);
        assert_eq!(e.tick(&c, 200, &mut out), Some(Sid(2)));
        e.settle(ServerState::Following, 2);
        out.clear();
        e.receive(Sid(3), &looking(3, 9, 2, 2), &c, came, &mut out);
        assert_eq!(out.len(), 1, "it hears that there still is a leader");
        e.reachable(Sid(2), false, &c, came);
        if gone {
            e.reachable(Sid(3), false, &c, came);
        }
        let leader = e.start(Zxid(9), 2, &c, 1_150, &mut out);
        assert_eq!(leader, counts.then_some(Sid(3)), "{came} {gone}");
    }
}
