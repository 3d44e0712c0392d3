//! Owns the choice of paths, data, ACLs, versions and the bodies made of them, mistakes included.
//! Must not choose what would crash Apache's server.

use menagerie_wire::op::op_code as op;

use super::step::{Body, Create, Entry, Path};
use crate::rng::Rng;

const NODES: &[&str] = &[
    "{R}/a",
    "{R}/a/b",
    "{R}/a/b/c",
    "{R}/a/d",
    "{R}/c",
    "{R}/c/x",
    "{R}/q",
    "{R}/q/a",
    "{R}/q/a/b",
    "{R}/e",
    "{R}",
];

const STRANGE: &[&str] = &[
    "",
    "/",
    "a",
    "{R}/",
    "{R}/a/",
    "{R}//a",
    "{R}/./a",
    "{R}/../a",
    "{R}/a\u{0}b",
    "{R}/\u{1}",
    "{R}/\u{7f}",
    "{R}/\u{fff5}",
    "{R}/\u{e000}",
    "{R}/ä ö",
    "{R}/\u{1f40e}",
    "{R}/a/s0000000000",
    "{R}/a/s0000000001",
    "{R}/a/0000000000",
    "{R}/none/at/all",
    "/zookeeper",
    "/zookeeper/config",
    "/zookeeper/quota",
    "/zookeeper/quota{R}",
    "/zookeeper/quota{R}/q",
    "/zookeeper/quota{R}/q/zookeeper_limits",
    "/zookeeper/quota{R}/q/zookeeper_stats",
    "/zookeeper/none",
];

/// A path: mostly of a few nodes, so that operations meet.
pub(crate) fn path(rng: &mut Rng) -> Path {
    match rng.below(1000) {
        0..=7 => None,
        8..=119 => Some(rng.pick(STRANGE).to_owned()),
        _ => Some(rng.pick(NODES).to_owned()),
    }
}

/// A path that no other sequence has, so that a refusal there does not spoil the next.
pub(crate) fn own_path(rng: &mut Rng) -> Path {
    path(rng).filter(|path| path.contains(super::step::ROOT) || !path.starts_with('/'))
}

/// A new node's path; `sequential` ones are prefixes.
fn new_path(rng: &mut Rng, sequential: bool) -> Path {
    if sequential && rng.chance(700) {
        let prefixes = [
            "{R}/a/s",
            "{R}/a/",
            "{R}/c/n-",
            "{R}/q/s",
            "{R}/e/s",
            "{R}/none/s",
        ];
        return Some(rng.pick(&prefixes).to_owned());
    }
    // The node under the quota is worth having; so is its limit.
    if rng.chance(60) {
        let quota = [
            "/zookeeper/quota{R}",
            "/zookeeper/quota{R}/q",
            "/zookeeper/quota{R}/q/zookeeper_limits",
            "/zookeeper/quota{R}/q/zookeeper_stats",
        ];
        return Some(rng.pick(&quota).to_owned());
    }
    path(rng)
}

/// Data: none, empty, short, long, quota texts.
pub(crate) fn data(rng: &mut Rng) -> Option<Vec<u8>> {
    let quotas = [
        "count=3,bytes=40",
        "count=2,bytes=-1",
        "count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=3",
        "count=5,bytes=100=;byteHardLimit=-1;countHardLimit=2",
        "count=0,bytes=0",
    ];
    match rng.below(20) {
        0..=1 => None,
        2..=3 => Some(Vec::new()),
        4..=12 => Some(vec![b'x'; 1 + rng.below(12)]),
        13 => Some(vec![0xff; 1000 + rng.below(5000)]),
        14 => Some(vec![0, 1, 2, 0xfe, 0xff]),
        _ => Some(rng.pick(&quotas).as_bytes().to_vec()),
    }
}

/// An expected version: any, a likely one, or a wrong one.
pub(crate) fn version(rng: &mut Rng) -> i32 {
    rng.weighted(&[
        (12, -1),
        (4, 0),
        (3, 1),
        (2, 2),
        (1, 3),
        (1, 7),
        (1, -2),
        (1, i32::MIN),
    ])
}

fn entry(rng: &mut Rng) -> Entry {
    let alice = "alice:tUNwIbpmHPLcjp2AcvdbPRIx2Ms=";
    let who = [
        ("world", "anyone"),
        ("world", "anyone"),
        ("world", "anyone"),
        ("auth", ""),
        ("auth", "whatever"),
        ("digest", alice),
        ("digest", "bob:AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("ip", "127.0.0.1"),
        ("ip", "127.0.0.0/8"),
        ("ip", "10.0.0.0/8"),
        ("ip", "::1"),
        ("world", "somebody"),
        ("digest", "nocolon"),
        ("digest", "a:b:c"),
        ("ip", "300.1.1.1"),
        ("ip", "127.0.0.1/33"),
        ("ip", "127.0.0.1/x"),
        ("super", "x"),
        ("nosuch", "x"),
        ("x509", "CN=a"),
        ("sasl", "carol"),
    ];
    let choices = if rng.chance(120) { who.len() } else { 10 };
    let (scheme, id) = who[rng.below(choices)];
    let perms = rng.weighted(&[
        (14, 31),
        (3, 1),
        (2, 3),
        (2, 5),
        (1, 16),
        (1, 0),
        (1, 30),
        (1, -1),
    ]);
    let some = |rng: &mut Rng, text: &str| (!rng.chance(6)).then(|| text.to_owned());
    (perms, some(rng, scheme), some(rng, id))
}

/// An ACL, mostly open.
pub(crate) fn acl(rng: &mut Rng) -> Option<Vec<Entry>> {
    match rng.below(100) {
        0..=1 => None,
        2..=3 => Some(Vec::new()),
        4..=64 => Some(open()),
        _ => {
            let count = 1 + rng.below(3);
            Some((0..count).map(|_| entry(rng)).collect())
        }
    }
}

fn open() -> Vec<Entry> {
    vec![(31, Some("world".to_owned()), Some("anyone".to_owned()))]
}

/// A persistent node for everyone.
pub(crate) fn plain_create(path: &str) -> Body {
    Body::Create(Create {
        path: Some(path.to_owned()),
        data: Some(b"start".to_vec()),
        acl: Some(open()),
        flags: 0,
        ttl: None,
    })
}

/// The body of a create operation of this code.
pub(crate) fn create(rng: &mut Rng, code: i32) -> Create {
    let flags = match code {
        op::CREATE_CONTAINER => rng.weighted(&[(20, 4), (1, 0), (1, 7), (1, -1)]),
        // Other flags than these two pass Apache's checks and then end its process.
        op::CREATE_TTL => rng.weighted(&[(3, 5), (2, 6)]),
        _ => rng.weighted(&[
            (16, 0),
            (8, 1),
            (6, 2),
            (4, 3),
            (1, 4),
            (1, 5),
            (1, 6),
            (1, 7),
            (1, -1),
            (1, i32::MAX),
        ]),
    };
    let ttl = (code == op::CREATE_TTL).then(|| {
        rng.weighted(&[
            (8, 3_600_000),
            (2, 1 << 40),
            (1, (1 << 40) - 1),
            (1, (1 << 40) + 1),
            (1, 0),
            (1, -1),
            (1, i64::MIN),
            (1, i64::MAX),
        ])
    });
    Create {
        path: new_path(rng, matches!(flags, 2 | 3 | 6)),
        data: data(rng),
        acl: acl(rng),
        flags,
        ttl,
    }
}

/// A multi, mostly of writes that multi allows.
pub(crate) fn multi(rng: &mut Rng) -> Body {
    let count = rng.weighted(&[(1, 0), (3, 1), (6, 2), (6, 3), (3, 5), (1, 9)]);
    let part = |rng: &mut Rng| {
        let code = rng.weighted(&[
            (20, op::CREATE),
            (14, op::CREATE2),
            (4, op::CREATE_CONTAINER),
            (4, op::CREATE_TTL),
            (14, op::DELETE),
            (20, op::SET_DATA),
            (14, op::CHECK),
            (1, op::GET_DATA),
            (1, op::SET_ACL),
            (1, op::EXISTS),
        ]);
        let body = match code {
            op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
                Body::Create(create(rng, code))
            }
            op::SET_DATA => Body::SetData(path(rng), data(rng), version(rng)),
            op::GET_DATA | op::EXISTS => Body::PathFlag(path(rng), false),
            op::SET_ACL => Body::SetAcl(own_path(rng), acl(rng), version(rng)),
            _ => Body::PathInt(path(rng), version(rng)),
        };
        (code, body)
    };
    Body::Multi((0..count).map(|_| part(rng)).collect())
}

/// A multiRead, mostly of reads that it allows.
pub(crate) fn multi_read(rng: &mut Rng) -> Body {
    let count = rng.below(5);
    let part = |rng: &mut Rng| {
        let code = rng.weighted(&[
            (20, op::GET_DATA),
            (20, op::GET_CHILDREN),
            (1, op::EXISTS),
            (1, op::GET_CHILDREN2),
            (1, op::DELETE),
        ]);
        match code {
            op::DELETE => (code, Body::PathInt(path(rng), -1)),
            _ => (code, Body::PathFlag(path(rng), rng.chance(300))),
        }
    };
    Body::Multi((0..count).map(|_| part(rng)).collect())
}

/// A reconfiguration, which a lone server refuses.
pub(crate) fn reconfig(rng: &mut Rng) -> Body {
    let some = |rng: &mut Rng, text: &str| rng.chance(500).then(|| text.to_owned());
    Body::Reconfig(
        some(rng, "server.2=localhost:2888:3888;2181"),
        some(rng, "1"),
        some(rng, "server.1=localhost:2888:3888;2181"),
        rng.weighted(&[(1, -1), (1, 0)]),
    )
}

/// Credentials, mostly such that the connection lives on.
pub(crate) fn auth(rng: &mut Rng) -> Body {
    let choices = [
        ("digest", "alice:secret"),
        ("digest", "alice:secret"),
        ("digest", "bob:builder"),
        ("digest", "super:test"),
        ("digest", "nocolon"),
        ("digest", ""),
        ("digest", "a:b:c"),
        ("ip", "1.2.3.4"),
        ("ip", ""),
        ("nosuch", "x"),
        ("world", "anyone"),
        ("auth", "x"),
        ("sasl", "x"),
        ("x509", "x"),
        ("", "x"),
    ];
    let count = if rng.chance(150) { choices.len() } else { 4 };
    let (scheme, auth) = choices[rng.below(count)];
    let some = |rng: &mut Rng, text: &str| (!rng.chance(15)).then(|| text.to_owned());
    Body::Auth(some(rng, scheme), some(rng, auth))
}

fn any_part(body: &Body, test: &dyn Fn(&Body) -> bool) -> bool {
    match body {
        Body::Multi(parts) => parts.iter().any(|(_, part)| test(part)),
        _ => test(body),
    }
}

/// Whether a body holds a createTTL.
pub(crate) fn has_ttl(body: &Body) -> bool {
    any_part(
        body,
        &|b| matches!(b, Body::Create(create) if create.ttl.is_some()),
    )
}

/// Whether a body names a node with a quota, or the quota itself.
pub(crate) fn touches_quota(body: &Body) -> bool {
    let quota = |path: &Path| {
        path.as_deref()
            .is_some_and(|p| p.starts_with("{R}/q") || p.starts_with("/zookeeper"))
    };
    any_part(body, &|b| match b {
        Body::Path(path)
        | Body::PathInt(path, _)
        | Body::PathFlag(path, _)
        | Body::SetData(path, ..)
        | Body::SetAcl(path, ..) => quota(path),
        Body::Create(create) => quota(&create.path),
        _ => false,
    })
}
