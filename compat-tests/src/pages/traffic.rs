//! Owns work whose traffic is told by the first component of paths, and the comparison of what is
//! told of it. Must not compare anything else.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use menagerie_wire::client::{PathRequest, PathWatchRequest, SetDataRequest};
use menagerie_wire::multi::{MultiOp, MultiRequest};
use menagerie_wire::op::{ErrorCode, op_code};

use super::Side;
use crate::populate::{create_request, version_request};
use crate::raw::Raw;
use crate::server::four_letter;

/// Sends a request that must be answered so.
fn expect<T: serde::Serialize>(raw: &mut Raw, op: i32, body: &T, code: ErrorCode) -> Result<()> {
    let (header, _) = raw.call(op, body)?;
    let got = ErrorCode(header.err);
    ensure!(
        got == code,
        "operation {op}: {} instead of {}",
        got.name(),
        code.name()
    );
    Ok(())
}

fn read_request(path: &str) -> PathWatchRequest<'_> {
    let path = Some(path.into());
    PathWatchRequest { path, watch: false }
}

/// Reads of every kind below two roots, and writes beyond a quota below a third.
pub(super) fn work(address: SocketAddr) -> Result<()> {
    let (mut raw, _) = Raw::session(address, 30_000)?;
    let ok = ErrorCode::Ok;
    for (path, data) in [
        ("/traffic", &b"12345"[..]),
        ("/traffic/größe", b"data"),
        ("/traffic/with \"quotes\" \\", b""),
    ] {
        let request = create_request(path, Some(data), 0);
        expect(&mut raw, op_code::CREATE, &request, ok)?;
    }
    for op in [
        op_code::GET_DATA,
        op_code::EXISTS,
        op_code::GET_CHILDREN,
        op_code::GET_CHILDREN2,
    ] {
        for path in ["/", "/traffic/größe", "/w/sequence", "/w/null"] {
            expect(&mut raw, op, &read_request(path), ok)?;
        }
        let missing = read_request("/traffic/none");
        expect(&mut raw, op, &missing, ErrorCode::NoNode)?;
    }
    let path = Some("/traffic".into());
    expect(&mut raw, op_code::GET_ACL, &PathRequest { path }, ok)?;
    let ops = vec![
        MultiOp::GetData(read_request("/traffic")),
        MultiOp::GetChildren(read_request("/w/sequence")),
        MultiOp::GetData(read_request("/traffic/none")),
    ];
    expect(&mut raw, op_code::MULTI_READ, &MultiRequest { ops }, ok)?;
    let gone = version_request("/traffic/größe", -1);
    expect(&mut raw, op_code::DELETE, &gone, ok)?;
    quota(&mut raw)?;
    raw.close_session()
}

fn quota(raw: &mut Raw) -> Result<()> {
    let ok = ErrorCode::Ok;
    let limits = b"count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=3";
    for (path, data) in [
        ("/full", &b""[..]),
        ("/zookeeper/quota/full", b""),
        ("/zookeeper/quota/full/zookeeper_limits", limits),
        ("/zookeeper/quota/full/zookeeper_stats", b"count=0,bytes=0"),
        ("/full/a", b"1234"),
        ("/full/b", b""),
    ] {
        expect(
            raw,
            op_code::CREATE,
            &create_request(path, Some(data), 0),
            ok,
        )?;
    }
    let more = create_request("/full/c", None, 0);
    expect(raw, op_code::CREATE, &more, ErrorCode::QuotaExceeded)?;
    let larger = SetDataRequest {
        path: Some("/full/a".into()),
        data: Some(b"12345678901"),
        version: -1,
    };
    expect(raw, op_code::SET_DATA, &larger, ErrorCode::QuotaExceeded)?;
    let ops = vec![MultiOp::Create(
        op_code::CREATE,
        create_request("/full/d", None, 0),
    )];
    expect(raw, op_code::MULTI, &MultiRequest { ops }, ok)
}

/// `mntr` has the same figures of it.
pub(super) fn compare(apache: &Side, ours: &Side) -> Result<String> {
    let told = |side: &Side| -> Result<BTreeMap<String, String>> {
        let text = four_letter(side.server.address(), "mntr")?;
        let pairs = text.lines().filter_map(|line| line.split_once('\t'));
        let pairs = pairs.filter(|(key, _)| key.ends_with("_per_namespace"));
        Ok(pairs
            .map(|(key, value)| (key.into(), value.into()))
            .collect())
    };
    same(&told(apache)?, &told(ours)?)
}

/// Compares what is told by key.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    apache: &BTreeMap<String, T>,
    ours: &BTreeMap<String, T>,
) -> Result<String> {
    let keys = apache.keys().chain(ours.keys());
    let different = keys.filter(|key| apache.get(*key) != ours.get(*key));
    let different: Vec<_> = different
        .map(|key| {
            format!(
                "{key}: {:?} instead of {:?}",
                ours.get(key),
                apache.get(key)
            )
        })
        .collect();
    ensure!(different.is_empty(), "{}", different.join("\n"));
    for what in ["write", "read", "quota_exceeded_error", "quota_count_limit"] {
        let what = format!("{what}_per_namespace");
        let any = apache.keys().any(|key| key.contains(&what));
        ensure!(any, "nothing is told of {what}");
    }
    Ok(format!("{} figures by namespace", apache.len()))
}
