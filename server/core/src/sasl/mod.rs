//! Owns the SASL mechanism DIGEST-MD5 (RFC 2831) as ZooKeeper uses it, both ends of the exchange,
//! and what is pure about GSSAPI (RFC 4752): the choice of a layer, the users' names. May use `md5`.
//! Must not draw nonces, know connections, read files or open tickets: nonces, passwords and
//! principals come in, tokens and names come out.

mod client;
mod directives;
pub mod kerberos;
pub mod layers;
mod response;
mod server;
#[cfg(test)]
mod tests;

pub use client::DigestClient;
pub use server::{DigestServer, Step};

/// Bytes of randomness behind a nonce. Source: `DigestMD5Base.RAW_NONCE_SIZE`.
pub const NONCE_BYTES: usize = 30;

/// Whom a client authenticates to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// The protocol, the first half of the digest-uri.
    pub protocol: &'static str,
    /// The server's name, the second half, and the realm.
    pub server: &'static str,
}

/// What clients of ZooKeeper authenticate to. Source: `ZooKeeperSaslServer.createSaslServer`.
pub const CLIENTS: Service = Service {
    protocol: "zookeeper",
    server: "zk-sasl-md5",
};

/// What servers authenticate to among themselves. Source: `QuorumAuth`.
pub const QUORUM: Service = Service {
    protocol: "zookeeper-quorum",
    server: "zk-quorum-sasl-md5",
};

impl Service {
    fn uri(&self) -> String {
        format!("{}/{}", self.protocol, self.server)
    }
}

/// Why an exchange ends without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// A token longer than ZooKeeper takes.
    #[error("a token of more than 4096 bytes")]
    TooLong,
    /// A token that is no list of directives.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// A directive that has to be there and is not.
    #[error("the token has no {0}")]
    Missing(&'static str),
    /// A directive with a value that is not the one agreed on.
    #[error("the token's {0} is not the one expected")]
    Mismatch(&'static str),
    /// Nobody has that name.
    #[error("no such user")]
    NoUser,
    /// The password is another.
    #[error("wrong password")]
    WrongPassword,
    /// The exchange has ended already.
    #[error("a token behind the end of the exchange")]
    Over,
    /// The name is empty. Java's server trips over it, so that the connection ends without an answer.
    #[error("the token's username is empty")]
    NoName,
    /// A directive that should be a number and is none. Java's server trips over it, so that the
    /// connection ends without an answer.
    #[error("the token's {0} is no number")]
    NoNumber(&'static str),
}
