//! Owns the cases of watches.

use super::*;

#[expect(clippy::too_many_lines, reason = "a list of cases")]
pub(super) fn watches(list: &mut List) {
    let add = |path: &str, mode| number(op::ADD_WATCH, path, mode);
    list.add("addWatch", "persistent", "OK", add(A, 0));
    list.add("addWatch", "persistent recursive", "OK", add(A, 1));
    list.add("addWatch", "no node", "OK", add(NONE, 0));
    list.add("addWatch", "unknown mode", "MARSHALLINGERROR", add(A, 7));
    let kinds = [
        ("children", 1, op::GET_CHILDREN),
        ("data", 2, op::GET_DATA),
        ("any", 3, op::EXISTS),
    ];
    for (name, code) in [
        ("checkWatches", op::CHECK_WATCHES),
        ("removeWatches", op::REMOVE_WATCHES),
    ] {
        for (what, kind, read) in kinds {
            list.with(
                name,
                what,
                "OK",
                vec![flag(read, A, true)],
                number(code, A, kind),
            );
        }
        list.with(
            name,
            "persistent",
            "OK",
            vec![add(A, 0)],
            number(code, A, 4),
        );
        list.with(
            name,
            "persistent recursive",
            "OK",
            vec![add(A, 1)],
            number(code, A, 5),
        );
        list.with(
            name,
            "another kind",
            "NOWATCHER",
            vec![add(A, 1)],
            number(code, A, 2),
        );
        list.add(name, "none", "NOWATCHER", number(code, A, 3));
        list.add(name, "unknown kind", "MARSHALLINGERROR", number(code, A, 9));
    }
    let some = |path: &str| Some(vec![path.to_owned()]);
    let three = |zxid| Body::SetWatches(zxid, vec![some(A), some(NONE), some(A)]);
    list.add(
        "setWatches",
        "nothing missed",
        "OK",
        Request::new(op::SET_WATCHES, three(RelativeZxid::Ago(0))),
    );
    list.add(
        "setWatches",
        "changes missed",
        "EVENT 3, EVENT 4, OK",
        Request::new(op::SET_WATCHES, three(RelativeZxid::Zero)),
    );
    list.add(
        "setWatches",
        "null lists",
        "MARSHALLINGERROR",
        Request::new(
            op::SET_WATCHES,
            Body::SetWatches(RelativeZxid::Zero, vec![None, None, None]),
        ),
    );
    let five = |zxid| {
        Body::SetWatches(
            zxid,
            vec![some(NONE), some(A), some(NONE), some(A), some(A)],
        )
    };
    list.add(
        "setWatches2",
        "changes missed",
        "EVENT 2, EVENT 1, EVENT 2, OK",
        Request::new(op::SET_WATCHES2, five(RelativeZxid::Zero)),
    );
    let fired: [(&str, Request, &str, Request); 8] = [
        (
            "data watch, data set",
            flag(op::GET_DATA, A, true),
            "EVENT 3, OK",
            set(A, -1),
        ),
        (
            "data watch, node deleted",
            flag(op::GET_DATA, "{R}/a/b", true),
            "EVENT 2, OK",
            number(op::DELETE, "{R}/a/b", -1),
        ),
        (
            "exist watch, node created",
            flag(op::EXISTS, NONE, true),
            "EVENT 1, OK",
            create(NONE, 0),
        ),
        (
            "child watch, child created",
            flag(op::GET_CHILDREN, A, true),
            "EVENT 4, OK",
            create("{R}/a/x", 0),
        ),
        (
            "child watch, child's data set",
            flag(op::GET_CHILDREN, A, true),
            "OK",
            set("{R}/a/b", -1),
        ),
        (
            "persistent, child created",
            add(A, 0),
            "EVENT 4, OK",
            create("{R}/a/x", 0),
        ),
        (
            "recursive, child created",
            add(A, 1),
            "EVENT 1, OK",
            create("{R}/a/x", 0),
        ),
        (
            "recursive, multi",
            add(A, 1),
            "EVENT 3, EVENT 1, EVENT 2, OK",
            multi(&[
                set(A, -1),
                create("{R}/a/x", 0),
                number(op::DELETE, "{R}/a/b", -1),
            ]),
        ),
    ];
    for (what, watch, expected, change) in fired {
        list.with("watch events", what, expected, vec![watch], change);
    }
    list.with(
        "watch events",
        "persistent goes on",
        "EVENT 3, OK",
        vec![add(A, 0), set(A, -1)],
        set(A, -1),
    );
    list.with(
        "watch events",
        "a data watch does not",
        "OK",
        vec![flag(op::GET_DATA, A, true), set(A, -1)],
        set(A, -1),
    );
}
