//! Owns the frames that go to clients: replies, events, the connect response. Must not decide
//! what is in them.

use std::borrow::Cow;

use menagerie_wire::client::{
    ConnectResponse, Create2Response, GetDataResponse, PathResponse, ReplyHeader, StatResponse,
    WatcherEvent,
};
use menagerie_wire::jute;
use menagerie_wire::multi::{MultiResponse, MultiResult};
use menagerie_wire::op::{ErrorCode, EventType, STATE_SYNC_CONNECTED, xid};

use crate::effect::{Body, Reply, SubResult};
use crate::ids::SessionId;
use crate::session::password;

/// Appends a frame whose length is known only when `fill` is done.
pub fn frame(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    // A reply is bounded by the node's data and its children, far below 2^31.
    let len = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(room) = out.get_mut(start..start + 4) {
        room.copy_from_slice(&len.to_be_bytes());
    }
}

/// Appends a reply without a body.
pub fn header_only(out: &mut Vec<u8>, xid: i32, zxid: i64, err: ErrorCode) {
    frame(out, |out| {
        jute::append(
            out,
            &ReplyHeader {
                xid,
                zxid,
                err: err.0,
            },
        )
    });
}

/// Appends the reply to a write.
pub fn reply(out: &mut Vec<u8>, reply: &Reply<'_>) {
    let header = ReplyHeader {
        xid: reply.cxid.0,
        zxid: reply.zxid.0,
        err: reply.err.0,
    };
    frame(out, |out| {
        jute::append(out, &header);
        if reply.err == ErrorCode::Ok {
            body(out, &reply.body);
        }
    });
}

fn body(out: &mut Vec<u8>, body: &Body<'_>) {
    match body {
        Body::Empty => {}
        Body::Path(path) => jute::append(
            out,
            &PathResponse {
                path: path.map(Cow::Borrowed),
            },
        ),
        Body::PathStat(path, stat) => {
            jute::append(
                out,
                &Create2Response {
                    path: Some(Cow::Borrowed(path)),
                    stat: *stat,
                },
            );
        }
        Body::Stat(stat) => jute::append(out, &StatResponse { stat: *stat }),
        Body::DataStat(data, stat) => {
            let (data, stat) = (Some(*data), *stat);
            jute::append(out, &GetDataResponse { data, stat });
        }
        Body::Multi(results) => {
            let results = results.iter().map(multi_result).collect();
            jute::append(out, &MultiResponse { results });
        }
    }
}

fn multi_result<'a>(result: &SubResult<'a>) -> MultiResult<'a> {
    match *result {
        SubResult::Create(path) => MultiResult::Create(PathResponse {
            path: Some(Cow::Borrowed(path)),
        }),
        SubResult::Create2(path, stat) => MultiResult::Create2(Create2Response {
            path: Some(Cow::Borrowed(path)),
            stat,
        }),
        SubResult::Delete => MultiResult::Delete,
        SubResult::SetData(stat) => MultiResult::SetData(stat),
        SubResult::Check => MultiResult::Check,
        SubResult::Error(code) => MultiResult::Error(code.0),
    }
}

/// Appends a watch event; catch-up events carry zxid −1.
pub fn event(out: &mut Vec<u8>, event: EventType, path: &str, zxid: i64) {
    frame(out, |out| {
        jute::append(
            out,
            &ReplyHeader {
                xid: xid::NOTIFICATION,
                zxid,
                err: 0,
            },
        );
        jute::append(
            out,
            &WatcherEvent {
                kind: event as i32,
                state: STATE_SYNC_CONNECTED,
                path: Some(Cow::Borrowed(path)),
            },
        );
    });
}

/// Appends the answer to a connect request. `session` is `None` when it is refused. The read-only
/// byte is there only for clients that sent theirs. Source: `ProtocolManager`.
pub fn connect_response(
    out: &mut Vec<u8>,
    session: Option<(SessionId, i32)>,
    read_only: Option<bool>,
) {
    let (id, time_out, passwd) = match session {
        Some((id, timeout_ms)) => (id.0, timeout_ms, password(id)),
        None => (0, 0, [0; 16]),
    };
    frame(out, |out| {
        jute::append(
            out,
            &ConnectResponse {
                protocol_version: 0,
                time_out,
                session_id: id,
                passwd: Some(&passwd),
            },
        );
        if let Some(read_only) = read_only {
            out.push(u8::from(read_only));
        }
    });
}
