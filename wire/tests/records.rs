//! Every record: what is written is read again, by both decoders, which agree on any bytes.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use menagerie_wire::client::*;
use menagerie_wire::data::{Acl, Id, Stat, StatPersisted};
use menagerie_wire::jute::{Decode, decode_prefix, from_prefix, from_slice, to_vec};
use menagerie_wire::multi::{MultiOp, MultiRequest, MultiResponse, MultiResult};
use menagerie_wire::op::op_code;
use menagerie_wire::quorum::{LearnerInfo, QuorumPacket};
use menagerie_wire::txn::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

/// Both decoders give the same value and rest, or the same kind of error.
fn agree<T>(input: &'static [u8])
where
    T: Decode<'static> + serde::Deserialize<'static> + PartialEq + std::fmt::Debug,
{
    let with_nom = decode_prefix::<T>(input).map_err(|e| (e.kind, e.rest));
    let with_serde = from_prefix::<T>(input).map_err(|e| (e.kind, e.rest));
    assert_eq!(with_nom, with_serde, "{input:02x?}");
}

fn mutate(mut bytes: Vec<u8>, at: Index, with: u8, cut: Option<Index>) -> &'static [u8] {
    if !bytes.is_empty() {
        let at = at.index(bytes.len());
        bytes[at] = with;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len() + 1));
    }
    bytes.leak()
}

fn odd_byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), Just(0), Just(0xFF), Just(0x7F), Just(0x80)]
}

macro_rules! properties {
    ($($case:ident: $ty:ty = $name:ident { $($field:ident: $strategy:expr),* };)*) => {$(
        mod $case {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(128))]

                #[test]
                fn round_trip(
                    record in crate::common::$case::strategy(),
                    tail in vec(any::<u8>(), 0..4),
                ) {
                    let mut bytes = to_vec(&record);
                    let length = bytes.len();
                    bytes.extend(tail);
                    let bytes: &'static [u8] = bytes.leak();
                    let rest = &bytes[length..];
                    prop_assert_eq!(decode_prefix::<$ty>(bytes), Ok((record.clone(), rest)));
                    prop_assert_eq!(from_prefix::<$ty>(bytes), Ok((record, rest)));
                }

                #[test]
                fn decoders_agree(
                    record in crate::common::$case::strategy(),
                    at in any::<Index>(),
                    with in odd_byte(),
                    cut in option::of(any::<Index>()),
                    noise in vec(odd_byte(), 0..64),
                ) {
                    agree::<$ty>(mutate(to_vec(&record), at, with, cut));
                    agree::<$ty>(noise.leak());
                }
            }
        }
    )*};
}
mod each {
    use super::*;

    every_record!(properties);
}

fn multi_op() -> impl Strategy<Value = MultiOp<'static>> {
    let codes = prop_oneof![
        Just(op_code::CREATE),
        Just(op_code::CREATE2),
        Just(op_code::CREATE_CONTAINER)
    ];
    prop_oneof![
        (codes, create_request::strategy()).prop_map(|(op, mut r)| {
            // Unknown flags, those with a TTL, and null ACLs are refused while decoding.
            r.acl.get_or_insert_default();
            r.flags = r.flags.rem_euclid(5);
            MultiOp::Create(op, r)
        }),
        create_ttl_request::strategy().prop_map(MultiOp::CreateTtl),
        path_version_request::strategy().prop_map(MultiOp::Delete),
        set_data_request::strategy().prop_map(MultiOp::SetData),
        path_version_request::strategy().prop_map(MultiOp::Check),
    ]
}

fn multi_read() -> impl Strategy<Value = MultiOp<'static>> {
    prop_oneof![
        path_watch_request::strategy().prop_map(MultiOp::GetChildren),
        path_watch_request::strategy().prop_map(MultiOp::GetData),
    ]
}

fn multi_result() -> impl Strategy<Value = MultiResult<'static>> {
    prop_oneof![
        path_response::strategy().prop_map(MultiResult::Create),
        create2_response::strategy().prop_map(MultiResult::Create2),
        Just(MultiResult::Delete),
        stat::strategy().prop_map(MultiResult::SetData),
        Just(MultiResult::Check),
        get_children_response::strategy().prop_map(MultiResult::GetChildren),
        get_data_response::strategy().prop_map(MultiResult::GetData),
        int().prop_map(MultiResult::Error),
    ]
}

/// Decoding ends, with whatever result, and what was decoded can be written and read again.
fn total<T>(input: &'static [u8])
where
    T: Decode<'static> + serde::Serialize + PartialEq + std::fmt::Debug,
{
    if let Ok((value, rest)) = decode_prefix::<T>(input) {
        assert!(rest.len() <= input.len());
        // Text may become U+FFFD in either reading, so only the second writing is stable.
        let again: &'static [u8] = to_vec(&value).leak();
        let (value, rest) = decode_prefix::<T>(again).unwrap();
        assert!(rest.is_empty());
        let stable: &'static [u8] = to_vec(&value).leak();
        assert_eq!(decode_prefix::<T>(stable).unwrap(), (value, &b""[..]));
    }
}

proptest! {
    #[test]
    fn multis_round_trip(
        ops in prop_oneof![vec(multi_op(), 0..6), vec(multi_read(), 0..6)],
        results in vec(multi_result(), 0..6),
    ) {
        let request = MultiRequest { ops };
        let bytes: &'static [u8] = to_vec(&request).leak();
        prop_assert_eq!(decode_prefix(bytes), Ok((request, &b""[..])));
        let response = MultiResponse { results };
        let bytes: &'static [u8] = to_vec(&response).leak();
        prop_assert_eq!(decode_prefix(bytes), Ok((response, &b""[..])));
    }

    #[test]
    fn mixed_multis_are_refused(write in multi_op(), read in multi_read()) {
        let bytes: &'static [u8] = to_vec(&MultiRequest { ops: vec![write, read] }).leak();
        prop_assert!(decode_prefix::<MultiRequest<'_>>(bytes).is_err());
    }

    #[test]
    fn connect_requests_round_trip(
        base in connect_request_base::strategy(),
        read_only in option::of(any::<bool>()),
    ) {
        let request = ConnectRequest {
            protocol_version: base.protocol_version,
            last_zxid_seen: base.last_zxid_seen,
            time_out: base.time_out,
            session_id: base.session_id,
            passwd: base.passwd,
            read_only,
        };
        let bytes: &'static [u8] = to_vec(&request).leak();
        prop_assert_eq!(decode_prefix(bytes), Ok((request, &b""[..])));
    }

    #[test]
    fn envelopes_take_any_bytes(
        ops in vec(multi_op(), 0..4),
        results in vec(multi_result(), 0..4),
        at in any::<Index>(),
        with in odd_byte(),
        noise in vec(odd_byte(), 0..96),
    ) {
        total::<MultiRequest<'_>>(mutate(to_vec(&MultiRequest { ops }), at, with, None));
        total::<MultiResponse<'_>>(mutate(to_vec(&MultiResponse { results }), at, with, None));
        let noise: &'static [u8] = noise.leak();
        total::<MultiRequest<'_>>(noise);
        total::<MultiResponse<'_>>(noise);
        total::<ConnectRequest<'_>>(noise);
    }
}

#[test]
fn text_outside_the_basic_plane_is_written_as_java_does_and_read_as_java_does() {
    let bytes: &'static [u8] = to_vec(&PathRequest {
        path: Some("/😀".into()),
    })
    .leak();
    assert_eq!(bytes, b"\0\0\0\x07/\xED\xA0\xBD\xED\xB8\x80");
    let expected = PathRequest {
        path: Some("/\u{FFFD}\u{FFFD}".into()),
    };
    assert_eq!(from_slice(bytes), Ok(expected.clone()));
    assert_eq!(decode_prefix(bytes), Ok((expected, &b""[..])));
}

#[test]
fn plain_text_and_data_are_borrowed() {
    let bytes: &'static [u8] = to_vec(&SetDataRequest {
        path: Some("/a".into()),
        data: Some(b"x"),
        version: 0,
    })
    .leak();
    let read: SetDataRequest<'_> = from_slice(bytes).unwrap();
    assert!(matches!(read.path, Some(std::borrow::Cow::Borrowed("/a"))));
    let inside = bytes.as_ptr_range();
    assert!(inside.contains(&read.data.unwrap().as_ptr()));
}

#[test]
fn strings_over_the_limit_are_refused() {
    let bytes: &'static [u8] = to_vec(&PathRequest {
        path: Some("/abc".into()),
    })
    .leak();
    assert!(menagerie_wire::jute::from_prefix_within::<PathRequest<'_>>(bytes, 4).is_ok());
    let error = menagerie_wire::jute::from_prefix_within::<PathRequest<'_>>(bytes, 3).unwrap_err();
    assert_eq!(error.kind, menagerie_wire::jute::DecodeErrorKind::Length(4));
}

#[test]
fn a_multi_is_refused_for_its_flags_before_its_acls() {
    use menagerie_wire::jute::DecodeErrorKind::{Null, UnknownType};
    let acl = || Some(Vec::new());
    let cases = [
        (0, acl(), None),
        (4, acl(), None),
        (0, None, Some(Null)),
        (6, None, Some(Null)),
        (5, acl(), Some(UnknownType(5))),
        (7, None, Some(UnknownType(7))),
        (-1, acl(), Some(UnknownType(-1))),
    ];
    for (flags, acl, refused) in cases {
        let (path, data) = (Some("/a".into()), None);
        let request = CreateRequest {
            path,
            data,
            acl,
            flags,
        };
        let ops = vec![MultiOp::Create(op_code::CREATE, request)];
        let bytes = to_vec(&MultiRequest { ops });
        let error = decode_prefix::<MultiRequest<'_>>(&bytes).err();
        assert_eq!(error.map(|error| error.kind), refused, "{flags}");
    }
}
