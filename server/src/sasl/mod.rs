//! Owns SASL: who may log in by which password or ticket, and the exchanges with clients and between
//! servers. May use `core::sasl` for the mechanisms, `gss` for Kerberos. Must not read configuration
//! files other than JAAS files.

mod exchange;
pub(crate) mod gss;
pub(crate) mod jaas;
mod kerberos;
mod quorum;
mod users;

pub(crate) use exchange::{ClientExchange, Outcome, Pending, Turn};
pub(crate) use kerberos::Kerberos;
#[cfg(all(test, feature = "gssapi"))]
pub(crate) use kerberos::tests::write_keytab;
pub(crate) use quorum::QuorumSasl;
pub(crate) use users::{KERBEROS, KerberosLogin, Login, LoginError, read_file};
