//! Owns the cases of the reads.

use super::*;

#[expect(clippy::too_many_lines, reason = "a list of cases")]
pub(super) fn reads(list: &mut List) {
    let ops = [
        ("exists", op::EXISTS),
        ("getData", op::GET_DATA),
        ("getChildren", op::GET_CHILDREN),
        ("getChildren2", op::GET_CHILDREN2),
    ];
    for (name, code) in ops {
        list.add(name, "a node", "OK", flag(code, A, false));
        list.add(name, "with a watch", "OK", flag(code, A, true));
        list.add(name, "no node", "NONODE", flag(code, NONE, true));
        list.add(name, "no permission", "NOAUTH", flag(code, CLOSED, false));
        list.add(name, "empty path", "OK", flag(code, "", false));
        list.add(
            name,
            "null path",
            "MARSHALLINGERROR",
            Request::new(code, Body::PathFlag(None, false)),
        );
        list.add(
            name,
            "truncated",
            "MARSHALLINGERROR",
            damaged(flag(code, A, false), Damage::Short(1)),
        );
    }
    list.add("getACL", "a node", "OK", at(op::GET_ACL, A));
    list.add("getACL", "no node", "NONODE", at(op::GET_ACL, NONE));
    list.with(
        "getACL",
        "digest hidden",
        "OK",
        vec![
            auth("digest", "alice:secret"),
            set_acl(
                A,
                Some(
                    world(1)
                        .into_iter()
                        .chain(entry("digest", "bob:AAAA"))
                        .collect(),
                ),
                -1,
            ),
        ],
        at(op::GET_ACL, A),
    );
    list.add("getACL", "no permission", "NOAUTH", at(op::GET_ACL, CLOSED));
    list.add("sync", "a path", "OK", at(op::SYNC, A));
    list.add("sync", "no node", "OK", at(op::SYNC, NONE));
    list.add("ping", "", "OK", Request::new(op::PING, Body::Empty));
    list.add("getEphemerals", "none", "OK", at(op::GET_EPHEMERALS, "/"));
    list.with(
        "getEphemerals",
        "some",
        "OK",
        vec![create("{R}/e", 1), create("{R}/a/e", 1)],
        at(op::GET_EPHEMERALS, A),
    );
    list.add(
        "getAllChildrenNumber",
        "a node",
        "OK",
        at(op::GET_ALL_CHILDREN_NUMBER, "{R}"),
    );
    list.add(
        "getAllChildrenNumber",
        "no node",
        "NONODE",
        at(op::GET_ALL_CHILDREN_NUMBER, NONE),
    );
    list.with(
        "whoAmI",
        "two identities",
        "OK",
        vec![auth("digest", "alice:secret")],
        Request::new(op::WHO_AM_I, Body::Empty),
    );
    let reconfig = |id| {
        Request::new(
            op::RECONFIG,
            Body::Reconfig(None, Some("1".to_owned()), None, id),
        )
    };
    list.add(
        "reconfig",
        "a single server",
        "RECONFIGDISABLED",
        reconfig(-1),
    );
    let unknown = |code| Request::new(code, Body::Empty);
    for (what, code) in [
        ("operation 0", 0),
        ("operation 10", 10),
        ("operation 23", 23),
        ("operation 500", 500),
        ("operation −2", -2),
    ] {
        list.add("unknown", what, "UNIMPLEMENTED, closed", unknown(code));
    }
    list.add(
        "check",
        "outside a multi",
        "UNIMPLEMENTED, closed",
        number(op::CHECK, A, -1),
    );
}
