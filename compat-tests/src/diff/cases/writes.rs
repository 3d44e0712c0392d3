//! Owns the cases of delete, setData, setACL and the other writes.

use super::*;

#[expect(clippy::too_many_lines, reason = "a list of cases")]
pub(super) fn writes(list: &mut List) {
    let guarded = || {
        vec![
            create("{R}/p", 0),
            create("{R}/p/c", 0),
            set_acl("{R}/p", Some(entry("ip", "10.1.1.1")), -1),
        ]
    };
    list.add(
        "delete",
        "any version",
        "OK",
        number(op::DELETE, "{R}/a/b", -1),
    );
    list.add(
        "delete",
        "right version",
        "OK",
        number(op::DELETE, "{R}/a/b", 0),
    );
    list.add(
        "delete",
        "wrong version",
        "BADVERSION",
        number(op::DELETE, "{R}/a/b", 3),
    );
    list.add("delete", "no node", "NONODE", number(op::DELETE, NONE, -1));
    list.add(
        "delete",
        "with children",
        "NOTEMPTY",
        number(op::DELETE, A, -1),
    );
    list.with(
        "delete",
        "no permission on the parent",
        "NOAUTH",
        guarded(),
        number(op::DELETE, "{R}/p/c", -1),
    );
    list.add(
        "delete",
        "the root",
        "BADARGUMENTS",
        number(op::DELETE, "/", -1),
    );
    list.add(
        "delete",
        "/zookeeper",
        "BADARGUMENTS",
        number(op::DELETE, "/zookeeper", -1),
    );
    list.add(
        "delete",
        "truncated",
        "MARSHALLINGERROR",
        damaged(number(op::DELETE, A, -1), Damage::Short(2)),
    );
    list.add("setData", "any version", "OK", set(A, -1));
    list.add("setData", "right version", "OK", set(A, 0));
    list.add("setData", "wrong version", "BADVERSION", set(A, 3));
    list.add("setData", "no node", "NONODE", set(NONE, -1));
    list.add("setData", "no permission", "NOAUTH", set(CLOSED, -1));
    list.add("setData", "invalid path", "BADARGUMENTS", set("{R}/a/", -1));
    list.add(
        "setData",
        "null path",
        "BADARGUMENTS",
        Request::new(op::SET_DATA, Body::SetData(None, None, -1)),
    );
    list.add(
        "setData",
        "truncated",
        "MARSHALLINGERROR",
        damaged(set(A, -1), Damage::Short(2)),
    );
    list.add(
        "setACL",
        "any version",
        "OK",
        set_acl(A, Some(world(1)), -1),
    );
    list.with(
        "setACL",
        "auth",
        "OK",
        vec![auth("digest", "alice:secret")],
        set_acl(A, Some(entry("auth", "")), -1),
    );
    list.add(
        "setACL",
        "wrong version",
        "BADVERSION",
        set_acl(A, Some(world(1)), 5),
    );
    list.add(
        "setACL",
        "no node",
        "NONODE",
        set_acl(NONE, Some(world(1)), -1),
    );
    list.with(
        "setACL",
        "no permission",
        "NOAUTH",
        vec![set_acl(A, Some(world(15)), -1)],
        set_acl(A, Some(world(31)), -1),
    );
    list.add(
        "setACL",
        "empty",
        "INVALIDACL",
        set_acl(A, Some(Vec::new()), -1),
    );
    list.add("setACL", "null", "INVALIDACL", set_acl(A, None, -1));
    list.add(
        "setACL",
        "malformed address",
        "INVALIDACL",
        set_acl(A, Some(entry("ip", "1.2.3")), -1),
    );
    list.add(
        "setACL",
        "malformed digest id",
        "INVALIDACL",
        set_acl(A, Some(entry("digest", "x")), -1),
    );
}
