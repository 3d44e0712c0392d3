//! Owns the conversations. May use the steps. Must not judge what is answered.

use anyhow::Result;

use super::steps::Steps;

const BOB: (&str, &str) = ("bob", "geheim");

/// The right passwords, in every kind of name.
pub(super) fn log_in(steps: &mut Steps) -> Result<()> {
    for user in [BOB, ("zoe", "größer"), ("super", "adminsecret")] {
        steps.log_in(user.0, user, |_| {})?;
        steps.who_am_i()?;
        steps.ping()?;
    }
    steps.log_in("a name with a slash", ("a/b", "x\"y"), |_| {})?;
    steps.who_am_i()?;
    steps.log_in("bob, as somebody else", BOB, |a| a.for_other("super"))?;
    steps.who_am_i()?;
    // A first token is not looked at.
    steps.connect()?;
    steps.token("that nobody expects", Some(b"hello"))?;
    steps.token("empty", Some(b""))?;
    // Behind a successful exchange there is none.
    steps.log_in("bob", BOB, |_| {})?;
    steps.token("behind the end", Some(b""))?;
    steps.log_in("bob", BOB, |_| {})?;
    steps.close_session()
}

/// Tokens that are none, in the wrong order, too long.
pub(super) fn bad_tokens(steps: &mut Steps) -> Result<()> {
    steps.connect()?;
    steps.token("null", None)?;
    for (what, token) in [
        ("empty", &b""[..]),
        ("zeros", &[0; 16]),
        ("no UTF-8", b"username=\xff\xfe,nonce=\xc0"),
        ("not closed", b"username=\"bob"),
        ("without a name", b"=bob"),
        ("half", b"username=\"bob\",realm=\"zk-sasl-md5\""),
        ("commas", b",,,,"),
        ("4096 bytes", &[b'x'; 4096]),
        ("4097 bytes", &[b'x'; 4097]),
        ("500000 bytes", &[b'x'; 500_000]),
        (
            "GSSAPI's",
            b"\x60\x82\x02\x00\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02",
        ),
    ] {
        steps.connect()?;
        steps.token("empty", Some(b""))?;
        steps.token(what, Some(token))?;
        if steps
            .seen
            .last()
            .is_some_and(|line| line.contains("error 0"))
        {
            steps.token("behind it", Some(b"x"))?;
            steps.exists("/")?;
        }
    }
    steps.connect()?;
    steps.token("4097 bytes at first", Some(&[b'x'; 4097]))?;
    steps.log_in("wrong password", ("bob", "wrong"), |_| {})?;
    steps.log_in("nobody", ("eve", "geheim"), |_| {})?;
    steps.log_in("no name", ("", ""), |_| {})?;
    Ok(())
}

/// The right answer with one part changed, missing, or more.
pub(super) fn changed_answers(steps: &mut Steps) -> Result<()> {
    for (key, value) in [
        ("charset", "utf8"),
        ("charset", "UTF-8"),
        ("charset", "\"utf-8\""),
        ("username", "bob"),
        ("username", "\"Bob\""),
        ("username", "\"b\\ob\""),
        ("realm", "\"other\""),
        ("realm", "\"\""),
        ("nonce", "\"other\""),
        ("nc", "00000002"),
        ("nc", "zzz"),
        ("nonce-count", "00000001"),
        ("nonce-count", "2"),
        ("nonce-count", "zzz"),
        ("cnonce", "\"\""),
        ("digest-uri", "\"ZOOKEEPER/zk-sasl-md5\""),
        ("digest-uri", "\"zookeeper/other\""),
        ("digest-uri", "\"zookeeper-quorum/zk-quorum-sasl-md5\""),
        ("maxbuf", "1"),
        ("maxbuf", "-1"),
        ("maxbuf", "many"),
        ("maxbuf", "99999999999"),
        ("qop", "auth-int"),
        ("qop", "auth-conf"),
        ("qop", "none"),
        ("cipher", "rc4"),
        ("response", "00000000000000000000000000000000"),
        ("response", "\"\""),
        ("authzid", "\"bob\""),
        ("colour", "\"blue\""),
    ] {
        let what = format!("with {key}={value}");
        steps.log_in(&what, BOB, |answer| answer.set(key, value))?;
    }
    for key in [
        "charset",
        "username",
        "realm",
        "nonce",
        "nc",
        "cnonce",
        "digest-uri",
        "maxbuf",
        "qop",
        "response",
    ] {
        let what = format!("without {key}");
        steps.log_in(&what, BOB, |answer| {
            answer.parts.retain(|(name, _)| name != key);
        })?;
        let what = format!("with {key} twice");
        steps.log_in(&what, BOB, |answer| {
            let again = answer.parts.iter().find(|(name, _)| name == key).cloned();
            answer.parts.extend(again);
        })?;
        let what = format!("with {key} in capitals");
        steps.log_in(&what, BOB, |answer| {
            for (name, _) in &mut answer.parts {
                if name == key {
                    name.make_ascii_uppercase();
                }
            }
        })?;
    }
    Ok(())
}

/// What identities are good for.
pub(super) fn acls(steps: &mut Steps) -> Result<()> {
    steps.log_in("bob", BOB, |_| {})?;
    steps.who_am_i()?;
    for (path, scheme, id) in [
        ("/own", "auth", ""),
        ("/bob", "sasl", "bob"),
        ("/zoe", "sasl", "zoe"),
        ("/realm", "sasl", "bob@REALM"),
        ("/host", "sasl", "bob/host@REALM"),
        ("/twice", "sasl", "bob@A@B"),
        ("/empty", "sasl", ""),
        ("/all", "sasl", "anyone"),
    ] {
        steps.create(path, scheme, id)?;
        steps.acl_of(path)?;
    }
    for user in [BOB, ("zoe", "größer"), ("super", "adminsecret")] {
        steps.log_in(user.0, user, |_| {})?;
        for path in ["/own", "/bob", "/zoe", "/realm", "/all"] {
            steps.get(path)?;
            steps.acl_of(path)?;
        }
    }
    steps.connect()?;
    for path in ["/own", "/bob", "/zoe", "/all"] {
        steps.get(path)?;
    }
    // SASL has a request of its own.
    steps.auth("sasl", b"bob")
}

/// Which of two passwords makes somebody super.
pub(super) fn super_password(steps: &mut Steps) -> Result<()> {
    steps.log_in("the file's", ("super", "adminsecret"), |_| {})?;
    steps.log_in("its own", ("super", "other"), |_| {})?;
    steps.who_am_i()?;
    steps.log_in("for bob", ("bob", "other"), |_| {})?;
    steps.log_in("bob's own", BOB, |_| {})
}

/// What a server lets pass that enforces a scheme.
pub(super) fn enforced(steps: &mut Steps) -> Result<()> {
    steps.connect()?;
    steps.ping()?;
    steps.connect()?;
    steps.exists("/")?;
    steps.connect()?;
    steps.close_session()?;
    steps.connect()?;
    steps.create("/enforced", "world", "anyone")?;
    steps.connect()?;
    steps.auth("ip", b"")?;
    steps.exists("/")?;
    steps.connect()?;
    steps.auth("digest", b"bob:x")?;
    steps.exists("/")?;
    steps.connect()?;
    steps.token("empty", Some(b""))?;
    steps.exists("/")?;
    steps.log_in("wrong password", ("bob", "wrong"), |_| {})?;
    steps.connect()?;
    steps.token("null", None)?;
    steps.log_in("bob", BOB, |_| {})?;
    steps.ping()?;
    steps.exists("/")?;
    steps.create("/mine", "sasl", "bob")?;
    steps.close_session()
}
