use menagerie_wire::text::cfg::Members;

use super::*;

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
