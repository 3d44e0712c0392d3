//! Owns the cases of multi and multiRead.

use super::*;

#[expect(clippy::too_many_lines, reason = "a list of cases")]
pub(super) fn multis(list: &mut List) {
    let delete = |path: &str, version| number(op::DELETE, path, version);
    let check = |version| number(op::CHECK, A, version);
    let case =
        |list: &mut List, what, parts: &[Request]| list.add("multi", what, "OK", multi(parts));
    case(
        list,
        "all kinds",
        &[
            check(0),
            create("{R}/m", 0),
            create("{R}/s", 2),
            create("{R}/e", 1),
            ttl("{R}/t", 5, 9999),
            Request::new(op::CREATE2, Body::Create(new("{R}/m2", 0))),
            Request::new(op::CREATE_CONTAINER, Body::Create(new("{R}/mc", 4))),
            set(A, 0),
            delete("{R}/a/b", 0),
        ],
    );
    case(list, "none", &[]);
    case(
        list,
        "one fails: NODEEXISTS",
        &[set(A, 0), create("{R}/a/b", 0), check(-1)],
    );
    case(
        list,
        "one fails: NONODE",
        &[create("{R}/m", 0), delete(NONE, -1), check(-1)],
    );
    case(list, "one fails: NOTEMPTY", &[delete(A, -1)]);
    case(
        list,
        "one fails: BADVERSION",
        &[create("{R}/m", 0), check(9)],
    );
    case(list, "one fails: NOAUTH", &[set(CLOSED, -1)]);
    case(
        list,
        "one fails: INVALIDACL",
        &[Request::new(
            op::CREATE,
            Body::Create(Create {
                acl: Some(vec![]),
                ..new("{R}/m", 0)
            }),
        )],
    );
    case(
        list,
        "one fails: NOCHILDRENFOREPHEMERALS",
        &[create("{R}/e", 1), create("{R}/e/x", 0)],
    );
    case(
        list,
        "a later one uses an earlier one",
        &[
            create("{R}/m", 0),
            create("{R}/m/n", 0),
            set("{R}/m/n", 0),
            delete("{R}/m/n", 1),
            delete("{R}/m", 0),
        ],
    );
    list.add(
        "multi",
        "an operation it does not allow",
        "MARSHALLINGERROR",
        multi(&[flag(op::EXISTS, A, false)]),
    );
    list.add(
        "multi",
        "a read among writes",
        "MARSHALLINGERROR",
        multi(&[set(A, -1), flag(op::GET_DATA, A, false)]),
    );
    list.add(
        "multi",
        "invalid flags",
        "MARSHALLINGERROR",
        multi(&[create("{R}/m", 9)]),
    );
    list.add(
        "multi",
        "truncated",
        "MARSHALLINGERROR",
        damaged(multi(&[set(A, -1)]), Damage::Short(4)),
    );
    let read = |parts: Vec<Request>| Request {
        op: op::MULTI_READ,
        ..multi(&parts)
    };
    list.add(
        "multiRead",
        "data and children",
        "OK",
        read(vec![
            flag(op::GET_DATA, A, false),
            flag(op::GET_CHILDREN, A, false),
        ]),
    );
    list.add(
        "multiRead",
        "some fail",
        "OK",
        read(vec![
            flag(op::GET_DATA, NONE, false),
            flag(op::GET_CHILDREN, CLOSED, false),
            flag(op::GET_DATA, A, true),
        ]),
    );
    list.add("multiRead", "none", "OK", read(Vec::new()));
    list.add(
        "multiRead",
        "a write",
        "MARSHALLINGERROR",
        read(vec![delete(A, -1)]),
    );
}
