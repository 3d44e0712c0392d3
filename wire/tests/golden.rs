//! Bytes that Apache ZooKeeper's own serialisers wrote (`golden/Records.java`): both decoders find
//! the fields that ZooKeeper finds, and writing them again gives the same bytes.
#![allow(clippy::unwrap_used)]

use std::fmt::{self, Debug};

use menagerie_wire::client::*;
use menagerie_wire::data::{Acl, Id, Stat, StatPersisted};
use menagerie_wire::jute::{Decode, decode_prefix, from_prefix, to_vec};
use menagerie_wire::quorum::{LearnerInfo, QuorumPacket};
use menagerie_wire::txn::*;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// JSON without the names, which differ between Java and Rust; their order is the schema's.
#[derive(Debug, PartialEq)]
enum Tree {
    Null,
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<Self>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Number(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Number(value.try_into().unwrap()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Tree::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Tree, A::Error> {
                let mut list = Vec::new();
                while let Some((_, value)) = fields.next_entry::<String, Tree>()? {
                    list.push(value);
                }
                Ok(Tree::List(list))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

fn tree(json: &str) -> Tree {
    serde_json::from_str(json).unwrap()
}

/// One line of the file.
struct Case<'a> {
    name: &'a str,
    kind: &'a str,
    bytes: &'static [u8],
    fields: Tree,
}

impl Case<'_> {
    fn check<T>(&self)
    where
        T: Decode<'static> + Deserialize<'static> + Serialize + PartialEq + Debug,
    {
        let (record, rest) = decode_prefix::<T>(self.bytes).unwrap();
        assert_eq!(rest, b"", "{} {}", self.name, self.kind);
        assert_eq!(from_prefix::<T>(self.bytes).unwrap(), (record, rest));
        self.check_value(&decode_prefix::<T>(self.bytes).unwrap().0, tree);
    }

    fn check_value<T: Serialize>(&self, record: &T, shape: fn(&str) -> Tree) {
        let found = shape(&serde_json::to_string(record).unwrap());
        assert_eq!(found, self.fields, "{} {}", self.name, self.kind);
        // What ZooKeeper writes outside the basic plane, ZooKeeper itself reads as U+FFFD.
        if self.kind != "supplementary" {
            assert_eq!(to_vec(record), self.bytes, "{} {}", self.name, self.kind);
        }
    }

    /// The optional byte at the end is outside the other fields there.
    fn check_connect_request(&self) {
        let (request, rest) = decode_prefix::<ConnectRequest<'_>>(self.bytes).unwrap();
        assert_eq!(rest, b"");
        self.check_value(&request, |json| match tree(json) {
            Tree::List(mut parts) => {
                let read_only = parts.pop().unwrap();
                let Some(Tree::List(mut fields)) = parts.pop() else {
                    panic!("{json}")
                };
                fields.push(read_only);
                Tree::List(fields)
            }
            other => panic!("{other:?}"),
        });
    }

    /// The server appends the read-only byte by itself.
    fn check_connect_response(self) {
        let (&read_only, bytes) = self.bytes.split_last().unwrap();
        let Tree::List(mut fields) = self.fields else {
            panic!("{}", self.kind)
        };
        assert_eq!(fields.pop(), Some(Tree::Bool(read_only == 1)));
        let fields = Tree::List(fields);
        Case {
            bytes,
            fields,
            ..self
        }
        .check::<ConnectResponse<'_>>();
    }
}

fn check(case: Case<'_>) {
    match case.name {
        "Id" => case.check::<Id<'_>>(),
        "ACL" => case.check::<Acl<'_>>(),
        "Stat" => case.check::<Stat>(),
        "StatPersisted" => case.check::<StatPersisted>(),
        "ClientInfo" => case.check::<ClientInfo<'_>>(),
        "ConnectRequest" => case.check_connect_request(),
        "ConnectResponse" => case.check_connect_response(),
        "RequestHeader" => case.check::<RequestHeader>(),
        "ReplyHeader" => case.check::<ReplyHeader>(),
        "MultiHeader" => case.check::<MultiHeader>(),
        "ErrorResponse" => case.check::<ErrorResponse>(),
        "WatcherEvent" => case.check::<WatcherEvent<'_>>(),
        "AuthPacket" => case.check::<AuthPacket<'_>>(),
        "SetWatches" => case.check::<SetWatches<'_>>(),
        "SetWatches2" => case.check::<SetWatches2<'_>>(),
        "CreateRequest" => case.check::<CreateRequest<'_>>(),
        "CreateTTLRequest" => case.check::<CreateTtlRequest<'_>>(),
        "DeleteRequest" | "CheckVersionRequest" => case.check::<PathVersionRequest<'_>>(),
        "ExistsRequest" | "GetDataRequest" | "GetChildrenRequest" | "GetChildren2Request" => {
            case.check::<PathWatchRequest<'_>>();
        }
        "SetDataRequest" => case.check::<SetDataRequest<'_>>(),
        "SetACLRequest" => case.check::<SetAclRequest<'_>>(),
        "GetACLRequest"
        | "SyncRequest"
        | "GetEphemeralsRequest"
        | "GetAllChildrenNumberRequest" => case.check::<PathRequest<'_>>(),
        "ReconfigRequest" => case.check::<ReconfigRequest<'_>>(),
        "CheckWatchesRequest" | "RemoveWatchesRequest" => case.check::<PathTypeRequest<'_>>(),
        "AddWatchRequest" => case.check::<AddWatchRequest<'_>>(),
        "GetSASLRequest" | "SetSASLResponse" => case.check::<SaslToken<'_>>(),
        "CreateResponse" | "SyncResponse" => case.check::<PathResponse<'_>>(),
        "Create2Response" => case.check::<Create2Response<'_>>(),
        "ExistsResponse" | "SetDataResponse" | "SetACLResponse" => case.check::<StatResponse>(),
        "GetDataResponse" => case.check::<GetDataResponse<'_>>(),
        "GetACLResponse" => case.check::<GetAclResponse<'_>>(),
        "GetChildrenResponse" => case.check::<GetChildrenResponse<'_>>(),
        "GetChildren2Response" => case.check::<GetChildren2Response<'_>>(),
        "GetEphemeralsResponse" => case.check::<GetEphemeralsResponse<'_>>(),
        "GetAllChildrenNumberResponse" => case.check::<GetAllChildrenNumberResponse>(),
        "WhoAmIResponse" => case.check::<WhoAmIResponse<'_>>(),
        _ => check_txn(&case),
    }
}

fn check_txn(case: &Case<'_>) {
    match case.name {
        "TxnHeader" => case.check::<TxnHeader>(),
        "TxnDigest" => case.check::<TxnDigest>(),
        "CreateTxn" => case.check::<CreateTxn<'_>>(),
        "CreateTxnV0" => case.check::<CreateTxnV0<'_>>(),
        "CreateTTLTxn" => case.check::<CreateTtlTxn<'_>>(),
        "CreateContainerTxn" => case.check::<CreateContainerTxn<'_>>(),
        "DeleteTxn" => case.check::<DeleteTxn<'_>>(),
        "SetDataTxn" => case.check::<SetDataTxn<'_>>(),
        "SetACLTxn" => case.check::<SetAclTxn<'_>>(),
        "CheckVersionTxn" => case.check::<CheckVersionTxn<'_>>(),
        "CreateSessionTxn" => case.check::<CreateSessionTxn>(),
        "CloseSessionTxn" => case.check::<CloseSessionTxn<'_>>(),
        "ErrorTxn" => case.check::<ErrorTxn>(),
        "Txn" => case.check::<SubTxn<'_>>(),
        "MultiTxn" => case.check::<MultiTxn<'_>>(),
        "FileHeader" => case.check::<FileHeader>(),
        "QuorumPacket" => case.check::<QuorumPacket<'_>>(),
        "LearnerInfo" => case.check::<LearnerInfo>(),
        other => panic!("a record without a test: {other}"),
    }
}

fn hex(text: &str) -> &'static [u8] {
    assert_eq!(text.len() % 2, 0, "{text}");
    let bytes: Vec<u8> = (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect();
    bytes.leak()
}

#[test]
fn records_are_zookeepers() {
    let golden = include_str!("golden/records.tsv");
    let mut count = 0;
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [name, kind, bytes, fields] = columns[..] else {
            panic!("{line}")
        };
        check(Case {
            name,
            kind,
            bytes: hex(bytes),
            fields: tree(fields),
        });
        count += 1;
    }
    assert!(count >= 390, "{count}");
}
