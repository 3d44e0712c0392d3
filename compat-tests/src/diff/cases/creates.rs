//! Owns the cases of create, create2, createContainer, createTTL and deleteContainer.

use super::*;

#[expect(clippy::too_many_lines, reason = "a list of cases")]
pub(super) fn creates(list: &mut List) {
    for (name, code) in [("create", op::CREATE), ("create2", op::CREATE2)] {
        let ask = |body: Create| Request::new(code, Body::Create(body));
        let mut case = |what, expected, body| list.add(name, what, expected, ask(body));
        case("persistent", "OK", new("{R}/n", 0));
        case("ephemeral", "OK", new("{R}/n", 1));
        case("persistent sequential", "OK", new("{R}/n", 2));
        case("ephemeral sequential", "OK", new("{R}/n", 3));
        case("sequential, empty name", "OK", new("{R}/a/", 2));
        case(
            "null data",
            "OK",
            Create {
                data: None,
                ..new("{R}/n", 0)
            },
        );
        case("the node exists", "NODEEXISTS", new(A, 0));
        case("no parent", "NONODE", new("{R}/none/n", 0));
        case(
            "no permission on the parent",
            "NOAUTH",
            new("{R}/closed/n", 0),
        );
        case(
            "null ACL",
            "INVALIDACL",
            Create {
                acl: None,
                ..new("{R}/n", 0)
            },
        );
        case(
            "empty ACL",
            "INVALIDACL",
            Create {
                acl: Some(vec![]),
                ..new("{R}/n", 0)
            },
        );
        case(
            "unknown scheme",
            "INVALIDACL",
            Create {
                acl: Some(entry("no", "x")),
                ..new("{R}/n", 0)
            },
        );
        case(
            "auth without identity",
            "INVALIDACL",
            Create {
                acl: Some(entry("auth", "")),
                ..new("{R}/n", 0)
            },
        );
        case("invalid path", "BADARGUMENTS", new("{R}/..", 0));
        case("relative path", "BADARGUMENTS", new("n", 0));
        case("invalid flags", "BADARGUMENTS", new("{R}/n", 9));
        case("TTL flags without TTL", "BADARGUMENTS", new("{R}/n", 5));
        case(
            "null path",
            "MARSHALLINGERROR",
            Create {
                path: None,
                ..new("{R}/n", 0)
            },
        );
        list.with(
            name,
            "below an ephemeral",
            "NOCHILDRENFOREPHEMERALS",
            vec![create("{R}/e", 1)],
            ask(new("{R}/e/n", 0)),
        );
        list.add(
            name,
            "truncated",
            "MARSHALLINGERROR",
            damaged(ask(new("{R}/n", 0)), Damage::Short(3)),
        );
        list.add(
            name,
            "bytes left over",
            "OK",
            damaged(ask(new("{R}/n", 0)), Damage::Long(3)),
        );
        list.add(
            name,
            "negative length",
            "MARSHALLINGERROR",
            damaged(ask(new("{R}/n", 0)), Damage::Length(-5)),
        );
    }
    let quota = |name: &str, data: &[u8]| {
        let path = format!("/zookeeper/quota{{R}}/a{name}");
        Request::new(
            op::CREATE,
            Body::Create(Create {
                data: Some(data.to_vec()),
                ..new(&path, 0)
            }),
        )
    };
    let root = Request::new(op::CREATE, Body::Create(new("/zookeeper/quota{R}", 0)));
    let limits = b"count=-1,bytes=-1=;byteHardLimit=30;countHardLimit=2";
    let armed = vec![
        root,
        quota("", b""),
        quota("/zookeeper_limits", limits),
        quota("/zookeeper_stats", b"count=0,bytes=0"),
    ];
    list.with(
        "create",
        "over the hard quota of nodes",
        "QUOTAEXCEEDED",
        armed.clone(),
        create("{R}/a/x", 0),
    );
    let big = Body::SetData(Some(A.to_owned()), Some(vec![1; 40]), -1);
    list.with(
        "setData",
        "over the hard quota of bytes",
        "QUOTAEXCEEDED",
        armed,
        Request::new(op::SET_DATA, big),
    );
}

pub(super) fn other_creates(list: &mut List) {
    let container =
        |path: &str, flags| Request::new(op::CREATE_CONTAINER, Body::Create(new(path, flags)));
    list.add("createContainer", "new", "OK", container("{R}/n", 4));
    list.add(
        "createContainer",
        "the node exists",
        "NODEEXISTS",
        container(A, 4),
    );
    list.add(
        "createContainer",
        "no parent",
        "NONODE",
        container("{R}/none/n", 4),
    );
    list.add(
        "createContainer",
        "no permission on the parent",
        "NOAUTH",
        container("{R}/closed/n", 4),
    );
    list.add(
        "createContainer",
        "invalid flags",
        "BADARGUMENTS",
        container("{R}/n", 9),
    );
    list.add("createTTL", "new", "OK", ttl("{R}/n", 5, 3_600_000));
    list.add("createTTL", "sequential", "OK", ttl("{R}/n", 6, 3_600_000));
    list.add(
        "createTTL",
        "the node exists",
        "NODEEXISTS",
        ttl(A, 5, 3_600_000),
    );
    list.add(
        "createTTL",
        "no parent",
        "NONODE",
        ttl("{R}/none/n", 5, 3_600_000),
    );
    list.add("createTTL", "TTL 0", "BADARGUMENTS", ttl("{R}/n", 5, 0));
    list.add(
        "createTTL",
        "TTL too long",
        "BADARGUMENTS",
        ttl("{R}/n", 5, 1 << 41),
    );
    list.add(
        "createTTL",
        "extended types off",
        "UNIMPLEMENTED",
        ttl("{R}/n", 5, 3_600_000),
    );
    list.by_default();
    list.with(
        "deleteContainer",
        "empty container",
        "OK",
        vec![container("{R}/n", 4)],
        at(op::DELETE_CONTAINER, "{R}/n"),
    );
    list.add(
        "deleteContainer",
        "with a child",
        "NOTEMPTY",
        at(op::DELETE_CONTAINER, A),
    );
    list.add(
        "deleteContainer",
        "no node",
        "NONODE",
        at(op::DELETE_CONTAINER, NONE),
    );
}
