//! Owns the AdHash digest: a number per node whose sum identifies the whole tree.
//! Source: `DigestCalculator`, `AdHash`, version 2.

use crc32fast::Hasher;
use menagerie_wire::data::StatPersisted;

/// Whether a path is left out of the digest: everything below `/zookeeper/`.
#[must_use]
pub fn excluded(path: &str) -> bool {
    path.starts_with("/zookeeper/")
}

/// CRC-32 of the path and the data, the part of a digest that stats do not change.
#[must_use]
pub fn prefix_crc(path: &str, data: Option<&[u8]>) -> u32 {
    let mut hasher = Hasher::new();
    // The root's two names are one here.
    if path != "/" {
        hasher.update(path.as_bytes());
    }
    if let Some(data) = data {
        hasher.update(data);
    }
    hasher.finalize()
}

/// The digest of a node. The stat's fields come in another order than in snapshots.
#[must_use]
pub fn node_digest(prefix_crc: u32, stat: &StatPersisted) -> u64 {
    let mut bytes = [0; 60];
    bytes[0..8].copy_from_slice(&stat.czxid.to_be_bytes());
    bytes[8..16].copy_from_slice(&stat.mzxid.to_be_bytes());
    bytes[16..24].copy_from_slice(&stat.pzxid.to_be_bytes());
    bytes[24..32].copy_from_slice(&stat.ctime.to_be_bytes());
    bytes[32..40].copy_from_slice(&stat.mtime.to_be_bytes());
    bytes[40..44].copy_from_slice(&stat.version.to_be_bytes());
    bytes[44..48].copy_from_slice(&stat.cversion.to_be_bytes());
    bytes[48..52].copy_from_slice(&stat.aversion.to_be_bytes());
    bytes[52..60].copy_from_slice(&stat.ephemeral_owner.to_be_bytes());
    let mut hasher = Hasher::new_with_initial(prefix_crc);
    hasher.update(&bytes);
    u64::from(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_equal_those_of_a_fresh_apache_server() {
        let fresh = StatPersisted::default();
        assert_eq!(node_digest(prefix_crc("", Some(b"")), &fresh), 0x0412_8908);
        assert_eq!(
            node_digest(prefix_crc("/zookeeper", Some(b"")), &fresh),
            0x4db4_4d58
        );
    }
}
