//! The vectors of RFC 2831, section 4; what Java's server takes and what it refuses.

use super::response::Proof;
use super::{CLIENTS, DigestClient, DigestServer, QUORUM, SaslError, Service, Step};

const NONCE: &str = "OA6MG9tEQGm2hh";

fn proof(uri: &'static str, nonce: &'static [u8], cnonce: &'static [u8]) -> Proof<'static> {
    Proof {
        user: "chris",
        realm: "elwood.innosoft.com",
        password: "secret",
        nonce,
        cnonce,
        uri,
        authzid: None,
    }
}

#[test]
fn vectors_of_the_rfc() {
    let imap = proof(
        "imap/elwood.innosoft.com",
        b"OA6MG9tEQGm2hh",
        b"OA6MHXh6VqTrRk",
    );
    assert_eq!(imap.response(), "d388dad90d4bbd760a152321f2143af7");
    assert_eq!(imap.rspauth(), "ea40f60335c427b5527b84dbabcdfffd");
    let acap = proof(
        "acap/elwood.innosoft.com",
        b"OA9BSXrbuRhWay",
        b"OA9BSuZWMSpW8m",
    );
    assert_eq!(acap.response(), "6084c6db3fede7352c551284490fd0fc");
    assert_eq!(acap.rspauth(), "2f0b3d7c3c2e486600ef710726aa2eae");
}

const IMAP: Service = Service {
    protocol: "imap",
    server: "elwood.innosoft.com",
};

#[test]
fn client_and_server_follow_the_example_of_the_rfc() {
    let mut server = DigestServer::with_nonce(IMAP, NONCE.to_owned());
    let Ok(Step::Challenge(challenge)) = server.step(b"", |_| None) else {
        panic!("no challenge");
    };
    let text = String::from_utf8(challenge.clone()).unwrap();
    assert_eq!(
        text,
        "realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",charset=utf-8,algorithm=md5-sess"
    );
    let mut client = DigestClient::with_cnonce(IMAP, "OA6MHXh6VqTrRk".to_owned());
    let answer = client.answer(&challenge, "chris", "secret").unwrap();
    assert_eq!(
        String::from_utf8(answer.clone()).unwrap(),
        "charset=utf-8,username=\"chris\",realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",\
         nc=00000001,cnonce=\"OA6MHXh6VqTrRk\",digest-uri=\"imap/elwood.innosoft.com\",\
         response=d388dad90d4bbd760a152321f2143af7,qop=auth"
    );
    let password = |user: &str| (user == "chris").then_some("secret");
    let step = server.step(&answer, password).unwrap();
    let token = b"rspauth=ea40f60335c427b5527b84dbabcdfffd".to_vec();
    let user = "chris".to_owned();
    assert_eq!(
        step,
        Step::Done {
            user,
            wants: None,
            token: token.clone()
        }
    );
    assert_eq!(client.verify(&token), Ok(()));
    let other = b"rspauth=00000000000000000000000000000000";
    assert_eq!(client.verify(other), Err(SaslError::WrongPassword));
    assert_eq!(server.step(b"", |_| None), Err(SaslError::Over));
}

/// The parts of a right answer to `server`, which has challenged.
fn right() -> Vec<(&'static str, String)> {
    let proof = Proof {
        user: "bob",
        realm: "zk-sasl-md5",
        password: "geheim",
        nonce: NONCE.as_bytes(),
        cnonce: b"c",
        uri: "zookeeper/zk-sasl-md5",
        authzid: None,
    };
    vec![
        ("charset", "utf-8".to_owned()),
        ("username", "\"bob\"".to_owned()),
        ("realm", "\"zk-sasl-md5\"".to_owned()),
        ("nonce", format!("\"{NONCE}\"")),
        ("nc", "00000001".to_owned()),
        ("cnonce", "\"c\"".to_owned()),
        ("digest-uri", "\"zookeeper/zk-sasl-md5\"".to_owned()),
        ("maxbuf", "65536".to_owned()),
        ("response", proof.response()),
        ("qop", "auth".to_owned()),
    ]
}

fn token(parts: &[(&str, String)]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    parts.join(",")
}

fn outcome(token: &str) -> Result<String, SaslError> {
    let mut server = DigestServer::with_nonce(CLIENTS, NONCE.to_owned());
    server.step(b"anything", |_| None).unwrap();
    let password = |user: &str| (user == "bob").then_some("geheim");
    match server.step(token.as_bytes(), password)? {
        Step::Done { user, .. } => Ok(user),
        Step::Challenge(_) => panic!("challenged twice"),
    }
}

fn with(key: &'static str, value: &str) -> String {
    let mut parts = right();
    match parts.iter_mut().find(|(name, _)| *name == key) {
        Some(part) => part.1 = value.to_owned(),
        None => parts.push((key, value.to_owned())),
    }
    token(&parts)
}

fn without(key: &str) -> String {
    let mut parts = right();
    parts.retain(|(name, _)| *name != key);
    token(&parts)
}

#[test]
fn right_answers_are_taken_in_every_spelling() {
    let bob = Ok("bob".to_owned());
    assert_eq!(outcome(&token(&right())), bob);
    let spaced = token(&right()).replace(',', " , ").replace('=', " = ");
    assert_eq!(outcome(&spaced), bob, "{spaced}");
    assert_eq!(outcome(&format!(",,{},", token(&right()))), bob);
    assert_eq!(outcome(&with("nc", "7")), bob, "nc is not looked at");
    for optional in ["charset", "nc", "maxbuf", "qop"] {
        assert_eq!(outcome(&without(optional)), bob, "{optional}");
    }
    assert_eq!(outcome(&with("nonce-count", "00000001")), bob);
    assert_eq!(outcome(&with("colour", "blue,colour=red")), bob);
    let upper = token(&right()).replace("username", "USERNAME");
    assert_eq!(outcome(&upper), bob);
}

#[test]
fn wrong_answers_are_refused() {
    use SaslError::{Malformed, Mismatch, Missing, NoName, NoNumber, NoUser, WrongPassword};
    for key in ["username", "nonce", "cnonce", "response"] {
        assert_eq!(outcome(&without(key)), Err(Missing(key)));
    }
    for key in ["realm", "digest-uri"] {
        assert_eq!(outcome(&without(key)), Err(Mismatch(key)));
    }
    for (key, value) in [
        ("charset", "latin1"),
        ("realm", "other"),
        ("nonce", "other"),
        ("nonce-count", "2"),
        ("qop", "auth-int"),
        ("digest-uri", "zookeeper/other"),
    ] {
        assert_eq!(outcome(&with(key, value)), Err(Mismatch(key)));
    }
    assert_eq!(outcome(&with("maxbuf", "many")), Err(NoNumber("maxbuf")));
    assert_eq!(
        outcome(&with("nonce-count", "x")),
        Err(NoNumber("nonce-count"))
    );
    assert_eq!(outcome(&with("username", "\"\"")), Err(NoName));
    assert_eq!(outcome(&with("username", "eve")), Err(NoUser));
    assert_eq!(
        outcome(&with("response", &"0".repeat(32))),
        Err(WrongPassword)
    );
    assert_eq!(outcome(&with("authzid", "eve")), Err(WrongPassword));
    for broken in [
        "=x",
        "a,b=c",
        "a b=c",
        "a=",
        "a=\"b",
        "a=\"b\\",
        "a=\"b\"c",
        "realm=a,realm=b",
    ] {
        assert!(
            matches!(outcome(broken), Err(Malformed(_))),
            "{broken}: {:?}",
            outcome(broken)
        );
    }
}

#[test]
fn a_token_too_long_is_refused_and_the_exchange_goes_on() {
    let mut server = DigestServer::with_nonce(QUORUM, NONCE.to_owned());
    let long = [b'x'; 4097];
    assert_eq!(server.step(&long, |_| None), Err(SaslError::TooLong));
    assert!(server.step(&long[..4096], |_| None).is_ok());
}

#[test]
fn names_and_passwords_may_be_in_any_script() {
    // Both ends must agree on the bytes, be it ISO 8859-1 or UTF-8.
    for (user, password) in [("bob", "größer"), ("боб", "пароль"), ("a\"b\\c", ":")] {
        let mut server = DigestServer::new(QUORUM, &[7; 30]);
        let mut client = DigestClient::new(QUORUM, &[8; 30]);
        let Ok(Step::Challenge(challenge)) = server.step(b"", |_| None) else {
            panic!("no challenge");
        };
        let answer = client.answer(&challenge, user, password).unwrap();
        let known = |name: &str| (name == user).then_some(password);
        let Ok(Step::Done {
            user: proved,
            token,
            ..
        }) = server.step(&answer, known)
        else {
            panic!("{user} is refused");
        };
        assert_eq!(proved, user);
        assert_eq!(client.verify(&token), Ok(()));
    }
}
