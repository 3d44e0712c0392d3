//! What must hold for any bytes; run by the fuzz targets, and on the corpus by a test.
//!
//! Nothing panics, both decoders agree, and what was decoded can be written. Text is not kept: four
//! bytes of UTF-8 are written as six of CESU-8, and those are read as U+FFFD, as malformed text is.
//! From the second writing on the bytes are stable.
#![allow(dead_code)]

use std::fmt::Debug;

use arbitrary::Unstructured;
use bytes::BytesMut;
use menagerie_wire::client::*;
use menagerie_wire::data::{Acl, Id, Stat, StatPersisted};
use menagerie_wire::frame;
use menagerie_wire::jute::{Decode, decode_prefix, from_prefix, to_vec};
use menagerie_wire::multi::{MultiRequest, MultiResponse};
use menagerie_wire::op::op_code;
use menagerie_wire::path;
use menagerie_wire::quorum::{LearnerInfo, QuorumPacket};
use menagerie_wire::text::{cfg, fourletter, jvmflags, properties};
use menagerie_wire::txn::*;
use serde::{Deserialize, Serialize};

/// Reading and writing changes nothing any more once it was done twice.
fn stable<T>(input: &[u8])
where
    T: for<'a> Reads<'a>,
{
    let Some(first) = T::rewritten(input) else {
        return;
    };
    let second = T::rewritten(&first).expect("what was written is readable");
    let third = T::rewritten(&second).expect("what was written is readable");
    assert_eq!(second, third);
}

/// Names a record's type apart from its lifetime.
trait Reads<'a> {
    /// The bytes of the record at the front of `input`.
    fn rewritten(input: &'a [u8]) -> Option<Vec<u8>>;
}

fn rewrite<'a, T: Decode<'a> + Serialize>(input: &'a [u8]) -> Option<Vec<u8>> {
    let (value, rest) = decode_prefix::<T>(input).ok()?;
    assert!(rest.len() <= input.len());
    Some(to_vec(&value))
}

fn both<'a, T>(input: &'a [u8]) -> Option<Vec<u8>>
where
    T: Decode<'a> + Deserialize<'a> + Serialize + PartialEq + Debug,
{
    let with_nom = decode_prefix::<T>(input).map_err(|e| (e.kind, e.rest));
    let with_serde = from_prefix::<T>(input).map_err(|e| (e.kind, e.rest));
    assert_eq!(with_nom, with_serde);
    rewrite::<T>(input)
}

macro_rules! kinds {
    ($($kind:ident: $reads:ident $ty:ty;)*) => {$(
        struct $kind;

        impl<'a> Reads<'a> for $kind {
            fn rewritten(input: &'a [u8]) -> Option<Vec<u8>> {
                $reads::<$ty>(input)
            }
        }
    )*};
}

kinds! {
    Connect: rewrite ConnectRequest<'a>;
    ConnectReply: both ConnectResponse<'a>;
    Header: both RequestHeader;
    Reply: both ReplyHeader;
    Path: both PathRequest<'a>;
    Create: both CreateRequest<'a>;
    CreateTtl: both CreateTtlRequest<'a>;
    PathVersion: both PathVersionRequest<'a>;
    PathWatch: both PathWatchRequest<'a>;
    SetData: both SetDataRequest<'a>;
    SetAcl: both SetAclRequest<'a>;
    Reconfig: both ReconfigRequest<'a>;
    PathType: both PathTypeRequest<'a>;
    AddWatch: both AddWatchRequest<'a>;
    Auth: both AuthPacket<'a>;
    Watches: both SetWatches<'a>;
    Watches2: both SetWatches2<'a>;
    Sasl: both SaslToken<'a>;
    Multi: rewrite MultiRequest<'a>;
    MultiReply: rewrite MultiResponse<'a>;
    Created: both Create2Response<'a>;
    Data: both GetDataResponse<'a>;
    AclReply: both GetAclResponse<'a>;
    Children: both GetChildren2Response<'a>;
    WhoAmI: both WhoAmIResponse<'a>;
    Event: both WatcherEvent<'a>;
    IdRecord: both Id<'a>;
    AclRecord: both Acl<'a>;
    StatRecord: both Stat;
    Persisted: both StatPersisted;
    TxnHead: both TxnHeader;
    File: both FileHeader;
    Digest: both TxnDigest;
    TxnCreate: both CreateTxn<'a>;
    TxnCreateV0: both CreateTxnV0<'a>;
    TxnCreateTtl: both CreateTtlTxn<'a>;
    TxnCreateContainer: both CreateContainerTxn<'a>;
    TxnDelete: both DeleteTxn<'a>;
    TxnSetData: both SetDataTxn<'a>;
    TxnSetAcl: both SetAclTxn<'a>;
    TxnCheck: both CheckVersionTxn<'a>;
    TxnSession: both CreateSessionTxn;
    TxnClose: both CloseSessionTxn<'a>;
    TxnError: both ErrorTxn;
    TxnMulti: both MultiTxn<'a>;
    Packet: both QuorumPacket<'a>;
    Learner: both LearnerInfo;
}

/// The first frame of a connection, and its answer.
pub(crate) fn connect(data: &[u8]) {
    stable::<Connect>(data);
    stable::<ConnectReply>(data);
}

/// A request: a header, then the record that its operation code names.
pub(crate) fn requests(data: &[u8]) {
    let Ok((header, body)) = decode_prefix::<RequestHeader>(data) else {
        return;
    };
    match header.op {
        op_code::CREATE | op_code::CREATE2 | op_code::CREATE_CONTAINER => stable::<Create>(body),
        op_code::CREATE_TTL => stable::<CreateTtl>(body),
        op_code::DELETE | op_code::CHECK => stable::<PathVersion>(body),
        op_code::EXISTS | op_code::GET_DATA | op_code::GET_CHILDREN | op_code::GET_CHILDREN2 => {
            stable::<PathWatch>(body)
        }
        op_code::SET_DATA => stable::<SetData>(body),
        op_code::SET_ACL => stable::<SetAcl>(body),
        op_code::MULTI | op_code::MULTI_READ => stable::<Multi>(body),
        op_code::RECONFIG => stable::<Reconfig>(body),
        op_code::CHECK_WATCHES | op_code::REMOVE_WATCHES => stable::<PathType>(body),
        op_code::ADD_WATCH => stable::<AddWatch>(body),
        op_code::AUTH => stable::<Auth>(body),
        op_code::SET_WATCHES => stable::<Watches>(body),
        op_code::SET_WATCHES2 => stable::<Watches2>(body),
        op_code::SASL => stable::<Sasl>(body),
        _ => stable::<Path>(body),
    }
}

/// Multis without a request header, and their answers.
pub(crate) fn multi(data: &[u8]) {
    stable::<Multi>(data);
    stable::<MultiReply>(data);
}

/// An entry of the transaction log: a header, then the record that its type names, then a digest.
pub(crate) fn txns(data: &[u8]) {
    let Ok((header, body)) = decode_prefix::<TxnHeader>(data) else {
        return;
    };
    match header.op {
        op_code::CREATE | op_code::CREATE2 => {
            stable::<TxnCreate>(body);
            stable::<TxnCreateV0>(body);
        }
        op_code::CREATE_TTL => stable::<TxnCreateTtl>(body),
        op_code::CREATE_CONTAINER => stable::<TxnCreateContainer>(body),
        op_code::DELETE | op_code::DELETE_CONTAINER => stable::<TxnDelete>(body),
        op_code::SET_DATA | op_code::RECONFIG => stable::<TxnSetData>(body),
        op_code::SET_ACL => stable::<TxnSetAcl>(body),
        op_code::CHECK => stable::<TxnCheck>(body),
        op_code::CREATE_SESSION => stable::<TxnSession>(body),
        op_code::CLOSE_SESSION => stable::<TxnClose>(body),
        op_code::ERROR => stable::<TxnError>(body),
        _ => stable::<TxnMulti>(body),
    }
}

/// Any record: the first byte chooses.
pub(crate) fn records(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let all: [fn(&[u8]); 18] = [
        stable::<Reply>,
        stable::<Header>,
        stable::<Created>,
        stable::<Data>,
        stable::<AclReply>,
        stable::<Children>,
        stable::<WhoAmI>,
        stable::<Event>,
        stable::<IdRecord>,
        stable::<AclRecord>,
        stable::<StatRecord>,
        stable::<Persisted>,
        stable::<File>,
        stable::<Digest>,
        stable::<Packet>,
        stable::<Learner>,
        stable::<TxnHead>,
        stable::<MultiReply>,
    ];
    all[usize::from(choice) % all.len()](data);
}

/// The text formats.
pub(crate) fn properties(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(lines) = properties::parse(data) {
        let last = data.iter().filter(|b| matches!(b, b'\n' | b'\r')).count() + 1;
        assert!(lines.iter().all(|entry| (1..=last).contains(&entry.line)));
        if let Ok(members) = cfg::Members::from_properties(&lines) {
            let _any = members.to_string();
        }
    }
    if let Ok(spec) = cfg::ServerSpec::parse(&text) {
        let written = spec.to_string();
        let again = cfg::ServerSpec::parse(&written).map(|spec| spec.to_string());
        assert_eq!(again.as_ref(), Ok(&written));
    }
    let _any = jvmflags::parse(&text);
    if path::validate(&text).is_ok() {
        assert!(text.starts_with('/') && !text.contains("//") && !text.contains('\0'));
    }
}

/// What a connection begins with.
pub(crate) fn fourletter(data: &[u8]) {
    if let Ok((rest, command)) = fourletter::command(data) {
        assert_eq!(data[..4], command.word.to_bytes());
        assert_eq!(data.len() - rest.len(), 4 + command.word.argument_len());
    }
    let _any = frame::first_packet(&mut BytesMut::from(data), 100);
}

/// Frames that arrive in pieces are the frames that arrive at once.
pub(crate) fn frames(data: &[u8]) {
    let mut source = Unstructured::new(data);
    let Ok(max) = source.int_in_range(0..=64usize) else {
        return;
    };
    let Ok(pieces) = <Vec<u8> as arbitrary::Arbitrary<'_>>::arbitrary(&mut source) else {
        return;
    };
    let stream = source.take_rest();
    let mut at_once = BytesMut::from(stream);
    let mut arriving = BytesMut::new();
    let mut left = stream;
    let mut pieces = pieces.into_iter();
    while !left.is_empty() {
        let size = pieces
            .next()
            .map_or(left.len(), usize::from)
            .clamp(1, left.len());
        arriving.extend_from_slice(&left[..size]);
        left = &left[size..];
        loop {
            match frame::next_frame(&mut arriving, max) {
                Ok(Some(piece)) => {
                    assert_eq!(frame::next_frame(&mut at_once, max), Ok(Some(piece)));
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(frame::next_frame(&mut at_once, max), Err(error));
                    return;
                }
            }
        }
    }
    assert_eq!(frame::next_frame(&mut at_once, max), Ok(None));
    assert_eq!(arriving, at_once);
}
