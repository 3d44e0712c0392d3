//! Owns the cases of authentication, sessions and what is no request.

use super::*;

#[expect(clippy::too_many_lines, reason = "a list of cases")]
pub(super) fn sessions(list: &mut List) {
    list.add("auth", "digest", "OK", auth("digest", "alice:secret"));
    list.add("auth", "ip", "OK", auth("ip", ""));
    list.add(
        "auth",
        "unknown scheme",
        "AUTHFAILED, closed",
        auth("nosuch", "x"),
    );
    list.add("auth", "sasl", "AUTHFAILED, closed", auth("sasl", "x"));
    list.add("auth", "super", "OK", auth("digest", "super:test"));
    list.add(
        "sasl",
        "not configured",
        "OK",
        Request::new(op::SASL, Body::Sasl(Some(b"x".to_vec()))),
    );
    list.add(
        "sasl",
        "null token",
        "closed",
        Request::new(op::SASL, Body::Sasl(None)),
    );
    list.add(
        "closeSession",
        "",
        "OK, closed",
        Request::new(op::CLOSE_SESSION, Body::Empty),
    );
    list.add(
        "frame",
        "negative length",
        "closed",
        damaged(at(op::SYNC, A), Damage::Frame(-1)),
    );
    list.add(
        "frame",
        "over the limit",
        "closed",
        damaged(at(op::SYNC, A), Damage::Frame(2_000_000)),
    );
    let connect = |list: &mut List, what, expected, how: Connect| {
        list.add(
            "connect",
            what,
            expected,
            Request::new(op::PING, Body::Empty),
        );
        if let Some(case) = list.0.last_mut() {
            case.steps.pop();
            case.steps.push(Step::Connect(0, how));
        }
    };
    let fresh = |read_only, time_out, passwd| Connect::New {
        time_out,
        read_only,
        passwd,
    };
    connect(
        list,
        "new session",
        "session",
        fresh(Some(false), 30_000, 16),
    );
    connect(
        list,
        "without the read-only byte",
        "session",
        fresh(None, 30_000, 16),
    );
    connect(
        list,
        "read-only client",
        "session",
        fresh(Some(true), 30_000, 16),
    );
    connect(
        list,
        "null password",
        "session",
        fresh(Some(false), 30_000, -1),
    );
    connect(
        list,
        "time-out below the least",
        "session",
        fresh(Some(false), 1, 16),
    );
    connect(
        list,
        "time-out above the most",
        "session",
        fresh(Some(false), i32::MAX, 16),
    );
    connect(
        list,
        "the session again",
        "session",
        Connect::Resume {
            right: true,
            read_only: Some(false),
        },
    );
    connect(
        list,
        "wrong password",
        "no session, closed",
        Connect::Resume {
            right: false,
            read_only: Some(false),
        },
    );
    connect(list, "a zxid from the future", "closed", Connect::Future);
}
