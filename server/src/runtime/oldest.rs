//! Owns what is told of a sync that takes long: the oldest write that waits for it. May decode log
//! entries. Must not keep whole ones.

use menagerie_wire::client::PathRequest;
use menagerie_wire::jute::decode_prefix;
use menagerie_wire::op::op_code;
use menagerie_wire::txn::TxnHeader;

/// Bytes kept of an entry: its header and the beginning of its record.
const KEPT: usize = 512;

/// The first entry since the last sync.
#[derive(Debug, Default)]
pub(super) struct Oldest(Vec<u8>);

impl Oldest {
    /// Notes an entry, unless there is an older one.
    pub(super) fn note(&mut self, entry: &[u8]) {
        if self.0.is_empty() {
            self.0.extend_from_slice(&entry[..entry.len().min(KEPT)]);
        }
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Its session, its zxid and its path, as far as it has them.
    pub(super) fn told(&self) -> Option<(i64, i64, String)> {
        let (header, record) = decode_prefix::<TxnHeader>(&self.0).ok()?;
        let has_path = matches!(
            header.op,
            op_code::CREATE
                | op_code::CREATE2
                | op_code::CREATE_CONTAINER
                | op_code::CREATE_TTL
                | op_code::DELETE
                | op_code::DELETE_CONTAINER
                | op_code::SET_DATA
                | op_code::SET_ACL
        );
        let path = decode_prefix::<PathRequest<'_>>(record)
            .ok()
            .filter(|_| has_path)
            .and_then(|(record, _)| record.path)
            .map(|path| path.escape_debug().to_string());
        Some((header.client_id, header.zxid, path.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use menagerie_wire::jute;

    #[test]
    fn the_first_since_the_last_sync_is_told() {
        let entry = |zxid: i64, path: &str| {
            let mut bytes = jute::to_vec(&TxnHeader {
                client_id: 0x77,
                cxid: 1,
                zxid,
                time: 3,
                op: op_code::SET_DATA,
            });
            let path = Some(path.into());
            jute::append(&mut bytes, &PathRequest { path });
            bytes.resize(bytes.len() + 100_000, b'x');
            bytes
        };
        let mut oldest = Oldest::default();
        assert_eq!(oldest.told(), None);
        oldest.note(&entry(5, "/a\nb"));
        oldest.note(&entry(6, "/c"));
        assert_eq!(oldest.told(), Some((0x77, 5, "/a\\nb".to_owned())));
        oldest.forget();
        oldest.note(&entry(7, &"/long".repeat(1000)));
        assert_eq!(oldest.told(), Some((0x77, 7, String::new())));
    }
}
