//! Owns the choice of steps: which operations, on which nodes, with which mistakes, from a seed.
//! Must not know servers.

use menagerie_wire::op::op_code as op;

use super::body;
use super::side::SLOTS;
use super::step::{Body, Connect, Damage, RelativeZxid, Request, Step};
use crate::rng::Rng;

/// The steps of a sequence.
pub(crate) fn sequence(seed: u64, length: usize) -> Vec<Step> {
    let mut rng = Rng::new(seed);
    let mut steps: Vec<Step> = (0..3)
        .map(|slot| Step::Connect(slot, fresh(&mut rng)))
        .collect();
    // Every other sequence begins with nodes, so that not all of it ends in NONODE.
    if rng.chance(700) {
        let nodes = ["{R}/a", "{R}/a/b", "{R}/q", "{R}/c"];
        let creates = nodes.map(|path| Request::new(op::CREATE, body::plain_create(path)));
        steps.extend(creates.map(|create| Step::Send(0, vec![create])));
    }
    while steps.len() < length {
        let slot = rng.below(SLOTS);
        steps.push(step(&mut rng, slot));
    }
    steps
}

fn step(rng: &mut Rng, slot: usize) -> Step {
    match rng.below(1000) {
        0..=24 => Step::Connect(slot, fresh(rng)),
        25..=44 => Step::Connect(
            slot,
            Connect::Resume {
                right: !rng.chance(200),
                read_only: read_only(rng),
            },
        ),
        45..=49 => Step::Connect(slot, Connect::Future),
        50..=59 => Step::Drop(slot),
        60..=159 => {
            let count = 2 + rng.below(6);
            Step::Send(slot, (0..count).map(|_| burst_request(rng)).collect())
        }
        160..=184 => Step::Send(slot, vec![damaged(rng)]),
        185..=192 => Step::Send(slot, vec![odd(rng)]),
        _ => Step::Send(slot, vec![request(rng)]),
    }
}

fn read_only(rng: &mut Rng) -> Option<bool> {
    rng.weighted(&[(6, Some(false)), (2, Some(true)), (2, None)])
}

fn fresh(rng: &mut Rng) -> Connect {
    Connect::New {
        time_out: rng.weighted(&[(6, 30_000), (1, 0), (1, -1), (1, i32::MAX), (1, 20_001)]),
        read_only: read_only(rng),
        passwd: rng.weighted(&[(6, 16), (1, 0), (1, -1), (1, 100)]),
    }
}

/// A request in order, or with a mistake a client could make.
fn request(rng: &mut Rng) -> Request {
    let code = rng.weighted(&[
        (90, op::CREATE),
        (60, op::CREATE2),
        (25, op::CREATE_CONTAINER),
        (25, op::CREATE_TTL),
        (70, op::DELETE),
        (60, op::EXISTS),
        (60, op::GET_DATA),
        (80, op::SET_DATA),
        (35, op::GET_ACL),
        (45, op::SET_ACL),
        (40, op::GET_CHILDREN),
        (50, op::GET_CHILDREN2),
        (10, op::SYNC),
        (8, op::PING),
        (70, op::MULTI),
        (30, op::MULTI_READ),
        (4, op::RECONFIG),
        (20, op::CHECK_WATCHES),
        (25, op::REMOVE_WATCHES),
        (6, op::DELETE_CONTAINER),
        (25, op::AUTH),
        (15, op::SET_WATCHES),
        (25, op::SET_WATCHES2),
        (4, op::SASL),
        (15, op::GET_EPHEMERALS),
        (10, op::GET_ALL_CHILDREN_NUMBER),
        (45, op::ADD_WATCH),
        (10, op::WHO_AM_I),
        (5, op::CLOSE_SESSION),
    ]);
    Request::new(code, body_of(rng, code))
}

/// Requests sent without waiting: only what is answered in order; nothing under a quota, which
/// ZooKeeper checks against what it happens to have applied; no setACL, since the requests behind
/// it are checked against the old or the new ACL, depending on what has been applied
/// (`PrepRequestProcessor.pRequest2Txn` leaves the ACL in its change record as it was).
fn burst_request(rng: &mut Rng) -> Request {
    loop {
        let mut request = request(rng);
        let apart = matches!(
            request.op,
            op::AUTH
                | op::SASL
                | op::SET_ACL
                | op::CLOSE_SESSION
                | op::RECONFIG
                | op::PING
                | op::CHECK
        );
        if !apart && !body::touches_quota(&request.body) {
            request.damage = Damage::Whole;
            return request;
        }
    }
}

fn damaged(rng: &mut Rng) -> Request {
    loop {
        let mut request = request(rng);
        let bodyless = matches!(request.op, op::PING | op::CLOSE_SESSION | op::WHO_AM_I);
        request.damage = match rng.below(10) {
            0..=4 => Damage::Short(1 + rng.below(12)),
            5..=6 => Damage::Long(1 + rng.below(9)),
            7..=8 => Damage::Length(rng.weighted(&[
                (1, -1),
                (1, -2),
                (1, i32::MAX),
                (1, i32::MIN),
                (1, 0),
                (1, 5_000_000),
                (1, 60),
            ])),
            _ => Damage::Frame(rng.weighted(&[
                (1, -1),
                (1, i32::MIN),
                (1, i32::MAX),
                (1, 2_000_000),
            ])),
        };
        let frame = matches!(request.damage, Damage::Frame(_));
        // A createTTL that loses its TTL is answered; one whose flags change kills Apache's server.
        if frame || !(bodyless || body::has_ttl(&request.body)) {
            return request;
        }
    }
}

/// Operation codes that are none, or not for clients.
fn odd(rng: &mut Rng) -> Request {
    let code = rng.weighted(&[
        (1, 0),
        (1, 10),
        (1, op::CHECK),
        (1, 23),
        (1, 99),
        (1, 108),
        (1, 500),
        (1, -1),
        (1, -2),
        (1, i32::MAX),
        (1, i32::MIN),
    ]);
    let body = match code {
        op::CHECK => Body::PathInt(body::path(rng), -1),
        _ if rng.chance(500) => Body::Empty,
        _ => Body::Bytes(vec![0, 0, 0, 2, b'/', b'a']),
    };
    Request::new(code, body)
}

fn body_of(rng: &mut Rng, code: i32) -> Body {
    match code {
        op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
            Body::Create(body::create(rng, code))
        }
        op::DELETE => Body::PathInt(body::path(rng), body::version(rng)),
        op::EXISTS | op::GET_DATA | op::GET_CHILDREN | op::GET_CHILDREN2 => {
            Body::PathFlag(body::path(rng), rng.chance(450))
        }
        op::SET_DATA => Body::SetData(body::path(rng), body::data(rng), body::version(rng)),
        op::SET_ACL => Body::SetAcl(body::own_path(rng), body::acl(rng), body::version(rng)),
        op::MULTI => body::multi(rng),
        op::MULTI_READ => body::multi_read(rng),
        op::RECONFIG => body::reconfig(rng),
        op::CHECK_WATCHES | op::REMOVE_WATCHES => Body::PathInt(
            body::path(rng),
            rng.weighted(&[
                (3, 1),
                (3, 2),
                (3, 3),
                (3, 4),
                (3, 5),
                (1, 0),
                (1, 6),
                (1, -1),
            ]),
        ),
        op::ADD_WATCH => Body::PathInt(
            body::path(rng),
            rng.weighted(&[(10, 0), (12, 1), (1, 2), (1, -1)]),
        ),
        op::AUTH => body::auth(rng),
        op::SET_WATCHES => set_watches(rng, 3),
        op::SET_WATCHES2 => set_watches(rng, 5),
        op::SASL => Body::Sasl(rng.chance(500).then(|| b"token".to_vec())),
        op::PING | op::WHO_AM_I | op::CLOSE_SESSION => Body::Empty,
        _ => Body::Path(body::path(rng)),
    }
}

fn set_watches(rng: &mut Rng, lists: usize) -> Body {
    let zxid = match rng.below(10) {
        0 => RelativeZxid::Zero,
        1 => RelativeZxid::Max,
        n => RelativeZxid::Ago(i64::try_from(n * n / 2).unwrap_or(0) - 2),
    };
    let list = |rng: &mut Rng| {
        if rng.chance(20) {
            return None;
        }
        let count = rng.below(3);
        Some((0..count).filter_map(|_| body::path(rng)).collect())
    };
    Body::SetWatches(zxid, (0..lists).map(|_| list(rng)).collect())
}
