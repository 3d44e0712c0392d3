//! Owns the envelope of multi and multiRead: a sequence of headers and records up to an end mark.
//! May use `client`. Source: `MultiOperationRecord`, `MultiResponse`, `Op.Create.getOpcode`.

use serde::ser::{Serialize, SerializeTuple as _, Serializer};

use crate::client::{
    Create2Response, CreateRequest, CreateTtlRequest, ErrorResponse, GetChildrenResponse,
    GetDataResponse, MultiHeader, PathResponse, PathVersionRequest, PathWatchRequest,
    SetDataRequest, StatResponse,
};
use crate::data::Stat;
use crate::jute::{Decode, DecodeErrorKind, JuteResult};
use crate::op::op_code;

/// One operation of a multi or multiRead, with the header's operation code where it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MultiOp<'a> {
    /// create, create2 or createContainer, by code.
    Create(i32, CreateRequest<'a>),
    /// createTTL.
    CreateTtl(CreateTtlRequest<'a>),
    /// delete.
    Delete(PathVersionRequest<'a>),
    /// setData.
    SetData(SetDataRequest<'a>),
    /// check.
    Check(PathVersionRequest<'a>),
    /// getChildren.
    GetChildren(PathWatchRequest<'a>),
    /// getData.
    GetData(PathWatchRequest<'a>),
}

impl MultiOp<'_> {
    /// The code in the operation's header.
    #[must_use]
    pub const fn op(&self) -> i32 {
        match self {
            Self::Create(op, _) => *op,
            Self::CreateTtl(_) => op_code::CREATE_TTL,
            Self::Delete(_) => op_code::DELETE,
            Self::SetData(_) => op_code::SET_DATA,
            Self::Check(_) => op_code::CHECK,
            Self::GetChildren(_) => op_code::GET_CHILDREN,
            Self::GetData(_) => op_code::GET_DATA,
        }
    }

    /// Whether this belongs to a multiRead.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(self, Self::GetChildren(_) | Self::GetData(_))
    }
}

/// The body of multi and multiRead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiRequest<'a> {
    /// The operations in order; all reads or all writes.
    pub ops: Vec<MultiOp<'a>>,
}

impl<'a> Decode<'a> for MultiRequest<'a> {
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self> {
        let mut ops: Vec<MultiOp<'a>> = Vec::new();
        let mut rest = input;
        loop {
            let (after_header, header) = MultiHeader::decode(rest)?;
            if header.done {
                return Ok((after_header, Self { ops }));
            }
            let (next, op) = decode_op(header.op, after_header)?;
            if ops
                .first()
                .is_some_and(|first| first.is_read() != op.is_read())
            {
                return crate::jute::fail(DecodeErrorKind::MixedMulti, next.len());
            }
            ops.push(op);
            rest = next;
        }
    }
}

fn decode_op(op: i32, input: &[u8]) -> JuteResult<'_, MultiOp<'_>> {
    match op {
        op_code::CREATE | op_code::CREATE2 | op_code::CREATE_CONTAINER => {
            let (rest, request) = CreateRequest::decode(input)?;
            // ZooKeeper judges flags and ACL while it decodes, before anything that is wrong
            // further on; modes with a TTL need the other request.
            // Source: `MultiOperationRecord.deserialize`, `CreateOptions`.
            if !(0..=6).contains(&request.flags) {
                return crate::jute::fail(DecodeErrorKind::UnknownType(request.flags), rest.len());
            }
            if request.acl.is_none() {
                return crate::jute::fail(DecodeErrorKind::Null, rest.len());
            }
            if request.flags >= 5 {
                return crate::jute::fail(DecodeErrorKind::UnknownType(request.flags), rest.len());
            }
            Ok((rest, MultiOp::Create(op, request)))
        }
        op_code::CREATE_TTL => {
            let (rest, request) = CreateTtlRequest::decode(input)?;
            Ok((rest, MultiOp::CreateTtl(request)))
        }
        op_code::DELETE => {
            let (rest, request) = PathVersionRequest::decode(input)?;
            Ok((rest, MultiOp::Delete(request)))
        }
        op_code::SET_DATA => {
            let (rest, request) = SetDataRequest::decode(input)?;
            Ok((rest, MultiOp::SetData(request)))
        }
        op_code::CHECK => {
            let (rest, request) = PathVersionRequest::decode(input)?;
            Ok((rest, MultiOp::Check(request)))
        }
        op_code::GET_CHILDREN => {
            let (rest, request) = PathWatchRequest::decode(input)?;
            Ok((rest, MultiOp::GetChildren(request)))
        }
        op_code::GET_DATA => {
            let (rest, request) = PathWatchRequest::decode(input)?;
            Ok((rest, MultiOp::GetData(request)))
        }
        _ => crate::jute::fail(DecodeErrorKind::UnknownType(op), input.len()),
    }
}

const END: MultiHeader = MultiHeader {
    op: -1,
    done: true,
    err: -1,
};

impl Serialize for MultiRequest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.ops.len() * 2 + 1)?;
        for op in &self.ops {
            tuple.serialize_element(&MultiHeader {
                op: op.op(),
                done: false,
                err: -1,
            })?;
            match op {
                MultiOp::Create(_, request) => tuple.serialize_element(request)?,
                MultiOp::CreateTtl(request) => tuple.serialize_element(request)?,
                MultiOp::Delete(request) | MultiOp::Check(request) => {
                    tuple.serialize_element(request)?;
                }
                MultiOp::SetData(request) => tuple.serialize_element(request)?,
                MultiOp::GetChildren(request) | MultiOp::GetData(request) => {
                    tuple.serialize_element(request)?;
                }
            }
        }
        tuple.serialize_element(&END)?;
        tuple.end()
    }
}

/// One result of a multi or multiRead.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MultiResult<'a> {
    /// create.
    Create(PathResponse<'a>),
    /// create2, createContainer, createTTL.
    Create2(Create2Response<'a>),
    /// delete.
    Delete,
    /// setData.
    SetData(Stat),
    /// check.
    Check,
    /// getChildren.
    GetChildren(GetChildrenResponse<'a>),
    /// getData.
    GetData(GetDataResponse<'a>),
    /// An error code; 0 for operations before the one that failed.
    Error(i32),
}

/// The body of the reply to multi and multiRead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiResponse<'a> {
    /// One result per operation.
    pub results: Vec<MultiResult<'a>>,
}

impl Serialize for MultiResponse<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.results.len() * 2 + 1)?;
        for result in &self.results {
            let (op, err) = match result {
                MultiResult::Create(_) => (op_code::CREATE, 0),
                MultiResult::Create2(_) => (op_code::CREATE2, 0),
                MultiResult::Delete => (op_code::DELETE, 0),
                MultiResult::SetData(_) => (op_code::SET_DATA, 0),
                MultiResult::Check => (op_code::CHECK, 0),
                MultiResult::GetChildren(_) => (op_code::GET_CHILDREN, 0),
                MultiResult::GetData(_) => (op_code::GET_DATA, 0),
                MultiResult::Error(err) => (op_code::ERROR, *err),
            };
            tuple.serialize_element(&MultiHeader {
                op,
                done: false,
                err,
            })?;
            match result {
                MultiResult::Create(body) => tuple.serialize_element(body)?,
                MultiResult::Create2(body) => tuple.serialize_element(body)?,
                MultiResult::Delete | MultiResult::Check => {}
                MultiResult::SetData(stat) => tuple.serialize_element(stat)?,
                MultiResult::GetChildren(body) => tuple.serialize_element(body)?,
                MultiResult::GetData(body) => tuple.serialize_element(body)?,
                MultiResult::Error(err) => tuple.serialize_element(&ErrorResponse { err: *err })?,
            }
        }
        tuple.serialize_element(&END)?;
        tuple.end()
    }
}

impl<'a> Decode<'a> for MultiResponse<'a> {
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self> {
        let mut results = Vec::new();
        let mut rest = input;
        loop {
            let (after_header, header) = MultiHeader::decode(rest)?;
            if header.done {
                return Ok((after_header, Self { results }));
            }
            let (next, result) = decode_result(header.op, after_header)?;
            results.push(result);
            rest = next;
        }
    }
}

fn decode_result(op: i32, input: &[u8]) -> JuteResult<'_, MultiResult<'_>> {
    match op {
        op_code::CREATE => {
            PathResponse::decode(input).map(|(rest, body)| (rest, MultiResult::Create(body)))
        }
        op_code::CREATE2 => {
            Create2Response::decode(input).map(|(rest, body)| (rest, MultiResult::Create2(body)))
        }
        op_code::DELETE => Ok((input, MultiResult::Delete)),
        op_code::SET_DATA => {
            StatResponse::decode(input).map(|(rest, body)| (rest, MultiResult::SetData(body.stat)))
        }
        op_code::CHECK => Ok((input, MultiResult::Check)),
        op_code::GET_CHILDREN => GetChildrenResponse::decode(input)
            .map(|(rest, body)| (rest, MultiResult::GetChildren(body))),
        op_code::GET_DATA => {
            GetDataResponse::decode(input).map(|(rest, body)| (rest, MultiResult::GetData(body)))
        }
        op_code::ERROR => {
            ErrorResponse::decode(input).map(|(rest, body)| (rest, MultiResult::Error(body.err)))
        }
        _ => crate::jute::fail(DecodeErrorKind::UnknownType(op), input.len()),
    }
}
