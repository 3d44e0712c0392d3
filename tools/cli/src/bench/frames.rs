//! Owns requests encoded once and patched in place for every use. May use `wire`. Must not
//! allocate per request.
//!
//! Paths have fixed width, so that only digits and the xid change: the working set is
//! `<root>/k/<index / 1000, 4 digits>/<index, 10 digits>`, nodes created by a run are
//! `<root>/c/<connection, 4 digits>/<count, 10 digits>`.

use menagerie_wire::client::{
    CreateRequest, PathVersionRequest, PathWatchRequest, RequestHeader, SetDataRequest,
};
use menagerie_wire::data::{Acl, perms};
use menagerie_wire::jute::append;
use menagerie_wire::multi::{MultiOp, MultiRequest};
use menagerie_wire::op::op_code;

use crate::client::blocking::frame;

/// Nodes per directory of the working set.
pub(crate) const FAN_OUT: u64 = 1000;
/// The width of directory numbers.
pub(crate) const DIR_DIGITS: usize = 4;
/// The width of node numbers.
const NODE_DIGITS: usize = 10;
/// Digits of a template's paths before patching; no other part of a request looks like it.
const BLANK: &str = "~~~~/~~~~~~~~~~";

/// A request whose xid and paths are filled in when it is used.
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where the path digits begin, one per path.
    paths: Vec<usize>,
}

impl Template {
    fn new(op: i32, fill: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = Vec::new();
        frame(&mut bytes, |out| {
            append(out, &RequestHeader { xid: 0, op });
            fill(out);
        });
        let paths = bytes
            .windows(BLANK.len())
            .enumerate()
            .filter(|(_, window)| *window == BLANK.as_bytes())
            .map(|(at, _)| at)
            .collect();
        Self { bytes, paths }
    }

    /// setData of any version on a node of the working set.
    pub(crate) fn set_data(root: &str, data: &[u8]) -> Self {
        let path = format!("{root}/k/{BLANK}");
        Self::new(op_code::SET_DATA, |out| {
            append(
                out,
                &SetDataRequest {
                    path: Some(path.into()),
                    data: Some(data),
                    version: -1,
                },
            );
        })
    }

    /// getData without a watch on a node of the working set.
    pub(crate) fn get_data(root: &str) -> Self {
        let path = format!("{root}/k/{BLANK}");
        Self::new(op_code::GET_DATA, |out| {
            append(
                out,
                &PathWatchRequest {
                    path: Some(path.into()),
                    watch: false,
                },
            );
        })
    }

    /// create of a persistent node.
    pub(crate) fn create(root: &str, data: &[u8]) -> Self {
        let path = format!("{root}/c/{BLANK}");
        Self::new(op_code::CREATE, |out| append(out, &persistent(path, data)))
    }

    /// A multi of `count` setData on nodes of the working set.
    pub(crate) fn multi_set(root: &str, data: &[u8], count: usize) -> Self {
        let op = || {
            MultiOp::SetData(SetDataRequest {
                path: Some(format!("{root}/k/{BLANK}").into()),
                data: Some(data),
                version: -1,
            })
        };
        let ops = std::iter::repeat_with(op).take(count).collect();
        Self::new(op_code::MULTI, |out| append(out, &MultiRequest { ops }))
    }

    /// Appends the request. `node` gives the directory and node number of each path.
    #[inline]
    pub(crate) fn emit(&self, out: &mut Vec<u8>, xid: i32, mut node: impl FnMut() -> (u64, u64)) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let Some(copy) = out.get_mut(start..) else {
            return;
        };
        if let Some(field) = copy.get_mut(4..8) {
            field.copy_from_slice(&xid.to_be_bytes());
        }
        for &at in &self.paths {
            let (dir, number) = node();
            let node_at = at + DIR_DIGITS + 1;
            put_digits(copy.get_mut(at..at + DIR_DIGITS), dir);
            put_digits(copy.get_mut(node_at..node_at + NODE_DIGITS), number);
        }
    }
}

#[inline]
fn put_digits(field: Option<&mut [u8]>, mut value: u64) {
    for digit in field.into_iter().flatten().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
}

/// create of a persistent, open node.
pub(crate) fn persistent(path: String, data: &[u8]) -> CreateRequest<'_> {
    CreateRequest {
        path: Some(path.into()),
        data: Some(data),
        acl: Some(vec![Acl::new(perms::ALL, "world", "anyone")]),
        flags: 0,
    }
}

/// delete of any version.
pub(crate) fn delete(path: String) -> PathVersionRequest<'static> {
    PathVersionRequest {
        path: Some(path.into()),
        version: -1,
    }
}

/// The path of a directory of the working set.
pub(crate) fn dir_path(root: &str, dir: u64) -> String {
    format!("{root}/k/{dir:0width$}", width = DIR_DIGITS)
}

/// The path of a node of the working set.
pub(crate) fn node_path(root: &str, index: u64) -> String {
    format!(
        "{}/{index:0width$}",
        dir_path(root, index / FAN_OUT),
        width = NODE_DIGITS
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use menagerie_wire::jute::decode_prefix;

    #[test]
    fn a_patched_template_is_the_request_it_stands_for() {
        let template = Template::set_data("/r", b"xyz");
        let mut out = vec![9];
        template.emit(&mut out, 77, || (12, 12_345));
        let frame = &out[1..];
        assert_eq!(frame.len(), template.bytes.len());
        assert_eq!(
            frame[..4],
            u32::try_from(frame.len() - 4).unwrap().to_be_bytes()
        );
        let (header, body): (RequestHeader, _) = decode_prefix(&frame[4..]).unwrap();
        assert_eq!(
            header,
            RequestHeader {
                xid: 77,
                op: op_code::SET_DATA
            }
        );
        let (request, rest): (SetDataRequest<'_>, _) = decode_prefix(body).unwrap();
        assert_eq!(
            request.path.as_deref(),
            Some(node_path("/r", 12_345).as_str())
        );
        assert_eq!(request.data, Some(&b"xyz"[..]));
        assert!(rest.is_empty());
    }

    #[test]
    fn every_path_of_a_multi_is_patched() {
        let template = Template::multi_set("/r", b"", 3);
        let mut out = Vec::new();
        let mut n = 0;
        template.emit(&mut out, 1, || {
            n += 1;
            (0, n)
        });
        let (request, _): (MultiRequest<'_>, _) = decode_prefix(&out[12..]).unwrap();
        let paths: Vec<_> = request
            .ops
            .iter()
            .map(|op| match op {
                MultiOp::SetData(set) => set.path.clone().unwrap().into_owned(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            paths,
            [node_path("/r", 1), node_path("/r", 2), node_path("/r", 3)]
        );
    }
}
