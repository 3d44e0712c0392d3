use std::net::IpAddr;

use menagerie_wire::data::{Acl, Id, perms};
use menagerie_wire::op::ErrorCode;

use super::*;

fn ids(pairs: &[(&str, &str)]) -> Vec<AuthId> {
    pairs
        .iter()
        .map(|(scheme, id)| AuthId::new(scheme, id))
        .collect()
}

fn all_schemes() -> AuthConfig {
    AuthConfig {
        sasl_enabled: true,
        x509_enabled: true,
        ..AuthConfig::default()
    }
}

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[test]
fn entry_grants_its_permissions_to_its_identity_only() {
    let config = AuthConfig::default();
    let list = [
        AclEntry::new(perms::READ | perms::WRITE, "digest", "a:1"),
        AclEntry::world(perms::READ),
    ];
    let a = ids(&[("ip", "1.2.3.4"), ("digest", "a:1")]);
    let b = ids(&[("ip", "1.2.3.4"), ("digest", "a:2")]);
    assert_eq!(check(&config, &list, perms::WRITE, &a), Ok(()));
    assert_eq!(
        check(&config, &list, perms::WRITE, &b),
        Err(ErrorCode::NoAuth)
    );
    assert_eq!(check(&config, &list, perms::READ, &b), Ok(()));
    assert_eq!(
        check(&config, &list, perms::READ | perms::WRITE, &b),
        Ok(()),
        "one bit is enough"
    );
    assert_eq!(
        check(&config, &list, perms::ADMIN, &a),
        Err(ErrorCode::NoAuth)
    );
}

#[test]
fn identity_of_another_scheme_does_not_match() {
    let config = all_schemes();
    let list = [AclEntry::new(perms::ALL, "digest", "a:1")];
    let refused = Err(ErrorCode::NoAuth);
    assert_eq!(
        check(&config, &list, perms::READ, &ids(&[("sasl", "a:1")])),
        refused
    );
}

#[test]
fn super_user_empty_list_and_skipped_check_pass() {
    let mut config = AuthConfig::default();
    let list = [AclEntry::new(perms::ALL, "digest", "a:1")];
    assert_eq!(
        check(&config, &list, perms::ADMIN, &ids(&[("super", "")])),
        Ok(())
    );
    assert_eq!(check(&config, &[], perms::ADMIN, &[]), Ok(()));
    assert_eq!(
        check(&config, &list, perms::ADMIN, &[]),
        Err(ErrorCode::NoAuth)
    );
    config.skip_acl = true;
    assert_eq!(check(&config, &list, perms::ADMIN, &[]), Ok(()));
}

#[test]
fn scheme_without_provider_grants_nothing() {
    let mut config = AuthConfig::default();
    let x509 = [AclEntry::new(perms::ALL, "x509", "CN=a")];
    let own = ids(&[("x509", "CN=a")]);
    assert_eq!(
        check(&config, &x509, perms::READ, &own),
        Err(ErrorCode::NoAuth)
    );
    config.x509_enabled = true;
    assert_eq!(check(&config, &x509, perms::READ, &own), Ok(()));
    // Only `world:anyone` means everybody.
    let world = [AclEntry::new(perms::ALL, "world", "nobody")];
    assert_eq!(
        check(&config, &world, perms::READ, &own),
        Err(ErrorCode::NoAuth)
    );
}

#[test]
fn sasl_entry_may_stand_for_every_user() {
    let config = AuthConfig {
        let_any_sasl_user_do: Some("any".to_owned()),
        ..all_schemes()
    };
    assert!(matches(&config, "sasl", "bob", "any"));
    assert!(matches(&config, "sasl", "super", "alice"));
    assert!(!matches(&config, "sasl", "bob", "alice"));
}

#[test]
fn x509_super_user_matches_every_x509_entry() {
    let config = AuthConfig {
        x509_super_user: Some("CN=root".to_owned()),
        ..all_schemes()
    };
    assert!(matches(&config, "x509", "CN=root", "CN=a"));
    assert!(!matches(&config, "x509", "CN=b", "CN=a"));
    assert_eq!(
        x509_ids(&config, "CN=root"),
        ids(&[("super", "CN=root"), ("x509", "CN=root")])
    );
    assert_eq!(x509_ids(&config, "CN=b"), ids(&[("x509", "CN=b")]));
    assert_eq!(x509_ids(&AuthConfig::default(), "CN=b"), []);
}

/// Answers of `IPAuthenticationProvider` 3.9.5.
#[test]
fn addresses_are_read_as_zookeeper_reads_them() {
    let config = AuthConfig::default();
    let valid = [
        "1.2.3.4",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "01.002.3.4",
        "1.+2.3.-0",
        "::",
        "::1",
        "1::",
        "::/-0",
        "::/+5",
        "1:2:3:4:5:6:7:8/127",
        "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8",
        "+1:-1::",
    ];
    for text in valid {
        assert!(is_valid(&config, "ip", text), "{text}");
    }
    let invalid = [
        "",
        "/",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.4/",
        "1.2.3.4/33",
        "1.2.3.4/-1",
        "1.2.3.",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "::1::",
        ":::",
        "1:2:3:4:5:6:7:8::",
        "12345::",
        "::/129",
        "::ffff:1.2.3.4",
        "g::",
        "localhost",
        "1.2.3.4 ",
    ];
    for text in invalid {
        assert!(!is_valid(&config, "ip", text), "{text}");
    }
}

#[test]
fn address_matches_by_prefix_within_its_family() {
    let config = AuthConfig::default();
    let cases = [
        ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.4", "10.1.2.3", false),
        ("10.200.2.3", "10.1.2.3/8", true),
        ("11.1.2.3", "10.1.2.3/8", false),
        ("10.1.2.131", "10.1.2.200/25", true),
        ("10.1.2.127", "10.1.2.200/25", false),
        ("255.0.0.1", "0.0.0.0/0", true),
        ("0:0:0:0:0:0:0:1", "::1", true),
        ("2001:db8:0:0:0:0:0:7", "2001:db8::/32", true),
        ("2001:db9:0:0:0:0:0:7", "2001:db8::/32", false),
        ("0:0:0:0:0:0:0:1", "::2/126", true),
        ("1.2.3.4", "::/0", false),
        ("0:0:0:0:0:0:0:1", "0.0.0.0/0", false),
        ("fe80:0:0:0:0:0:0:1%eth0", "fe80::/64", false),
        ("10.1.2.3", "10.1.2.3/x", false),
    ];
    for (client, entry, expected) in cases {
        assert_eq!(
            matches(&config, "ip", client, entry),
            expected,
            "{client} {entry}"
        );
    }
}

/// Answers of `DigestAuthenticationProvider`, `SASLAuthenticationProvider` and
/// `X509AuthenticationProvider` 3.9.5.
#[test]
fn ids_are_valid_where_zookeeper_says_so() {
    let config = all_schemes();
    let cases = [
        ("digest", "a:b", true),
        ("digest", ":b", true),
        ("digest", "a:b::", true),
        ("digest", "a:", false),
        ("digest", "a::b", false),
        ("digest", "", false),
        ("digest", "::", false),
        ("sasl", "bob", true),
        ("sasl", "bob/host@REALM", true),
        ("sasl", "a/b/c", true),
        ("sasl", "a/b/c@R", false),
        ("sasl", "a@b@c", false),
        ("x509", "CN=a+UID=b, O=\"c,d\"", true),
        ("x509", "cn=a;1.2.3=x;oid.2.5.4.3=y", true),
        ("x509", "", true),
        ("x509", "CN=", true),
        ("x509", "CN=\\,a\\2Cb", true),
        ("x509", "CN=#0403010203", true),
        ("x509", "CN=#04030102", false),
        ("x509", "CN=#0c0161 ", false),
        ("x509", "CN=a,", false),
        ("x509", "X=1", false),
        ("x509", "1.40=a", false),
        ("x509", "CN=<a", false),
        ("x509", "CN=\"a", false),
        ("x509", "CN", false),
        ("world", "anyone", false),
        ("ensemble", "x", false),
    ];
    for (scheme, id, expected) in cases {
        assert_eq!(is_valid(&config, scheme, id), expected, "{scheme} {id:?}");
    }
}

fn fixed(requested: &[Acl<'_>], own: &[AuthId]) -> Result<Vec<AclEntry>, ErrorCode> {
    fixup(&AuthConfig::default(), Some(requested), own).map(|list| list.to_vec())
}

fn nullable<'a>(perms: i32, scheme: Option<&'a str>, id: Option<&'a str>) -> Acl<'a> {
    Acl {
        perms,
        id: Id {
            scheme: scheme.map(Into::into),
            id: id.map(Into::into),
        },
    }
}

#[test]
fn fixup_expands_auth_to_authenticated_identities() {
    let own = ids(&[
        ("ip", "1.2.3.4"),
        ("digest", "a:1"),
        ("super", ""),
        ("digest", "b:2"),
    ]);
    let result = fixed(
        &[
            Acl::new(3, "auth", "ignored"),
            Acl::new(1, "world", "anyone"),
        ],
        &own,
    );
    let expected = [
        AclEntry::new(3, "digest", "a:1"),
        AclEntry::new(3, "digest", "b:2"),
        AclEntry::world(1),
    ];
    assert_eq!(result.unwrap(), expected);
    let stranger = ids(&[("ip", "1.2.3.4")]);
    assert_eq!(
        fixed(&[Acl::new(3, "auth", "")], &stranger),
        Err(ErrorCode::InvalidAcl)
    );
}

#[test]
fn fixup_keeps_the_first_of_equal_entries() {
    let entry = Acl::new(1, "ip", "1.2.3.4");
    let other = Acl::new(2, "ip", "1.2.3.4");
    let result = fixed(&[entry.clone(), other, entry], &[]).unwrap();
    let expected = [
        AclEntry::new(1, "ip", "1.2.3.4"),
        AclEntry::new(2, "ip", "1.2.3.4"),
    ];
    assert_eq!(result, expected);
}

#[test]
fn fixup_refuses_what_is_no_acl() {
    let invalid = Err(ErrorCode::InvalidAcl);
    assert_eq!(
        fixup(&AuthConfig::default(), None, &[]).map(|_| ()),
        Err(ErrorCode::InvalidAcl)
    );
    assert_eq!(fixed(&[], &[]), invalid);
    assert_eq!(fixed(&[Acl::new(31, "world", "everyone")], &[]), invalid);
    assert_eq!(fixed(&[Acl::new(31, "nosuch", "x")], &[]), invalid);
    assert_eq!(fixed(&[Acl::new(31, "digest", "user")], &[]), invalid);
    assert_eq!(
        fixed(&[Acl::new(31, "sasl", "bob")], &[]),
        invalid,
        "not configured"
    );
    assert_eq!(fixed(&[Acl::new(31, "super", "")], &[]), invalid);
}

#[test]
fn null_is_invalid_or_what_zookeeper_trips_over() {
    let (invalid, trips) = (Err(ErrorCode::InvalidAcl), Err(ErrorCode::MarshallingError));
    assert_eq!(fixed(&[nullable(1, None, Some("x"))], &[]), invalid);
    assert_eq!(fixed(&[nullable(1, Some("world"), None)], &[]), trips);
    assert_eq!(fixed(&[nullable(1, Some("ip"), None)], &[]), trips);
    assert_eq!(fixed(&[nullable(1, Some("nosuch"), None)], &[]), invalid);
    let own = ids(&[("digest", "a:1")]);
    assert!(fixed(&[nullable(1, Some("auth"), None)], &own).is_ok());
    // Comparing with an earlier entry of the same permissions comes before all that.
    let open = Acl::new(1, "world", "anyone");
    assert_eq!(
        fixed(&[open.clone(), nullable(1, None, Some("x"))], &[]),
        trips
    );
    assert_eq!(
        fixed(&[open.clone(), nullable(2, None, Some("x"))], &[]),
        invalid
    );
    assert_eq!(fixed(&[nullable(1, None, Some("x")), open], &[]), invalid);
}

#[test]
fn digest_authentication_hashes_the_password() {
    let mut config = AuthConfig::default();
    let proved = authenticate(&config, "digest", b"super:test".as_slice(), LOCAL);
    let digest = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";
    assert_eq!(proved.unwrap(), ids(&[("digest", digest)]));
    config.super_digest = Some(digest.to_owned());
    let proved = authenticate(&config, "digest", b"super:test".as_slice(), LOCAL);
    assert_eq!(proved.unwrap(), ids(&[("super", ""), ("digest", digest)]));
    let wrong = authenticate(&config, "digest", b"super:tset".as_slice(), LOCAL).unwrap();
    assert!(!wrong.iter().any(AuthId::is_super));
    config.digest_alg = DigestAlg::from_name("sha-256").unwrap();
    assert_eq!(
        digest_id(&config, "a:b:c"),
        "a:sO4E+IDE/0JhR54ueCK3QQruTHFZ9Bha1bDYijErSV4=",
        "the user ends at the first colon, the password is the rest"
    );
}

#[test]
fn authentication_fails_where_the_scheme_is_not_offered() {
    let config = all_schemes();
    let data = b"a:b".as_slice();
    for scheme in [
        "", "world", "auth", "super", "nosuch", "sasl", "x509", "ensemble",
    ] {
        let result = authenticate(&config, scheme, data, LOCAL);
        assert_eq!(result, Err(ErrorCode::AuthFailed), "{scheme}");
    }
    assert_eq!(
        authenticate(&config, "digest", None, LOCAL),
        Err(ErrorCode::AuthFailed)
    );
    let without = AuthConfig {
        digest_enabled: false,
        ..AuthConfig::default()
    };
    assert_eq!(
        authenticate(&without, "digest", data, LOCAL),
        Err(ErrorCode::AuthFailed)
    );
}

#[test]
fn ip_is_the_address_as_java_writes_it() {
    let config = AuthConfig::default();
    let of = |text: &str| authenticate(&config, "ip", None, text.parse().unwrap()).unwrap();
    assert_eq!(of("127.0.0.1"), ids(&[("ip", "127.0.0.1")]));
    assert_eq!(of("::1"), ids(&[("ip", "0:0:0:0:0:0:0:1")]));
    assert_eq!(
        of("2001:db8::ff00:42"),
        ids(&[("ip", "2001:db8:0:0:0:0:ff00:42")])
    );
    assert_eq!(of("::ffff:10.0.0.1"), ids(&[("ip", "10.0.0.1")]));
}

#[test]
fn ensemble_name_must_be_one_of_ours() {
    let config = AuthConfig {
        ensemble_names: Some(vec!["a".to_owned(), "b".to_owned()]),
        ..AuthConfig::default()
    };
    let of = |name: &'static str| authenticate(&config, "ensemble", name.as_bytes(), LOCAL);
    assert_eq!(of("b"), Ok(Vec::new()));
    assert_eq!(of(""), Ok(Vec::new()));
    assert_eq!(of("c"), Err(ErrorCode::BadArguments));
}

#[test]
fn who_am_i_shows_no_hash() {
    let mut config = AuthConfig {
        sasl_enabled: true,
        ..AuthConfig::default()
    };
    let name = |config: &AuthConfig, scheme: &str, id: &str| {
        user_name(config, &AuthId::new(scheme, id)).to_owned()
    };
    assert_eq!(name(&config, "digest", "bob:abc="), "bob");
    assert_eq!(name(&config, "ip", "1.2.3.4"), "1.2.3.4");
    assert_eq!(name(&config, "sasl", "bob@R"), "bob@R");
    assert_eq!(name(&config, "super", "CN=root"), "");
    config.sasl_enabled = false;
    assert_eq!(
        name(&config, "sasl", "bob"),
        "",
        "a scheme that is not here"
    );
}

#[test]
fn reader_sees_no_digests_and_administrator_does() {
    let config = AuthConfig::default();
    let list = AclList::from(vec![
        AclEntry::new(perms::ALL, "digest", "bob:abc="),
        AclEntry::new(perms::READ, "ip", "1.2.3.4"),
    ]);
    let bob = ids(&[("digest", "bob:abc=")]);
    assert_eq!(shown(&config, &list, &bob).as_ref(), Ok(&list));
    let reader = shown(&config, &list, &ids(&[("ip", "1.2.3.4")])).unwrap();
    let expected = [
        AclEntry::new(perms::ALL, "digest", "bob:x"),
        AclEntry::new(perms::READ, "ip", "1.2.3.4"),
    ];
    assert_eq!(*reader, expected);
    assert_eq!(shown(&config, &list, &[]), Err(ErrorCode::NoAuth));
}

#[test]
fn mask_ends_at_a_line_break_as_in_java() {
    let mask = |id: &str| masked(&AclEntry::new(1, "digest", id)).id.into_string();
    assert_eq!(mask("u:a:b"), "u:x");
    assert_eq!(mask("u:"), "u:x");
    assert_eq!(mask("u"), "u");
    assert_eq!(mask("u:a\nv:b\r\nw"), "u:x\nv:x\r\nw");
    assert_eq!(&*masked(&AclEntry::new(1, "sasl", "u:a")).id, "u:a");
}

#[test]
fn sasl_super_users_are_listed_ones() {
    let config = AuthConfig {
        sasl_super_users: vec!["root@R".to_owned()],
        ..all_schemes()
    };
    assert_eq!(
        sasl_ids(&config, "root@R"),
        ids(&[("sasl", "root@R"), ("super", "")])
    );
    assert_eq!(sasl_ids(&config, "bob@R"), ids(&[("sasl", "bob@R")]));
}

#[test]
fn records_round_trip() {
    let wire = [Acl::new(31, "world", "anyone"), Acl::new(5, "ip", "::1")];
    let list = acl_list(&wire);
    assert_eq!(acl_to_wire(&list), wire);
}

/// Hashes as `openssl dgst` makes them.
#[test]
fn digest_algorithm_is_chosen_by_javas_name() {
    let cases = [
        ("MD5", "2BYMmz3CDU6TGutPRSYhVQ=="),
        ("SHA-224", "NO5ox74+wWKYdzIKr5itkCWCbJdqfZxBpaBhqg=="),
        (
            "SHA-384",
            "M/NiZn7HTqhVZ8t77kPIHIPTVGoTvNRnilTr5ieaJY334TdVUc5jsR1iIyM0tnOD",
        ),
        (
            "sha-512",
            "mdoaJYs51sQ7xY1yh5/CxU2MLd6OyA+mb0neO06R7P3yavbdaDJ9XFm/4RaKEBLXUxeYO/0qTS5uXf3tYf0Smw==",
        ),
        ("SHA-512/224", "8b/dvq349B+GhaRmjmmEuURLjeEv8qp/LLJLww=="),
        (
            "SHA-512/256",
            "OZzjuYX0pZ3N7Wm6zdI/j+Of9drLfO2EMf9IylYc9kQ=",
        ),
    ];
    for (name, hash) in cases {
        let digest_alg = DigestAlg::from_name(name).unwrap();
        let config = AuthConfig {
            digest_alg,
            ..AuthConfig::default()
        };
        assert_eq!(digest_id(&config, "a:b"), format!("a:{hash}"), "{name}");
    }
    for name in ["", "SHA2", "whirlpool"] {
        assert_eq!(DigestAlg::from_name(name), None);
    }
}
