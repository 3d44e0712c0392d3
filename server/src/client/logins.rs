//! Owns how a client says who it is while its session lasts. Must not know other requests.

use std::sync::atomic::Ordering::Relaxed;

use menagerie_core::acl;
use menagerie_core::processor::reply;
use menagerie_wire::client::{AuthPacket, ReplyHeader, RequestHeader, SaslToken};
use menagerie_wire::jute::{self, decode_all};
use menagerie_wire::op::ErrorCode;

use super::conn::{Connection, End};
use crate::sasl::{Outcome, Turn};

impl Connection {
    /// Source: `ZooKeeperServer.processPacket`, branch auth.
    pub(super) fn authenticate(&mut self, header: RequestHeader, body: &[u8]) -> Result<(), End> {
        let packet: AuthPacket<'_> = decode_all(body).map_err(End::Header)?;
        let scheme = packet.scheme.as_deref().unwrap_or_default();
        let remote = self.conn.remote.ip();
        // Whoever has shown a certificate has been this from the beginning.
        let known = self
            .auth
            .iter()
            .any(|id| scheme == "x509" && *id.scheme == *scheme);
        let authenticated = if known {
            Ok(Vec::new())
        } else {
            acl::authenticate(&self.shared.auth, scheme, packet.auth, remote)
        };
        match authenticated {
            Ok(ids) => {
                self.conn.add_auth(ids);
                self.auth = self.conn.auth();
                self.conn.outbox.push(|out| {
                    reply::header_only(&mut out.bytes, header.xid, 0, ErrorCode::Ok);
                    out.packets += 1;
                });
            }
            Err(_) => {
                self.shared.stats.auth_failed.fetch_add(1, Relaxed);
                tracing::warn!(remote = %self.conn.remote, scheme, "authentication failed");
                self.refuse(header.xid, 0, ErrorCode::AuthFailed);
            }
        }
        Ok(())
    }

    /// A token that is null is too much for ZooKeeper, which closes the connection.
    /// Source: `ZooKeeperServer.processSasl`.
    pub(super) fn sasl(&mut self, header: RequestHeader, body: &[u8]) -> Result<(), End> {
        let request: SaslToken<'_> = decode_all(body).map_err(End::Header)?;
        let token = request.token.ok_or(End::Closed)?;
        let (config, auth) = (&self.shared.config, &self.shared.auth);
        match self.sasl.step(config, auth, token) {
            Turn::Now(outcome) => self.answer_sasl(header.xid, outcome),
            Turn::Later(pending) => {
                self.sasl_pending = Some((pending, header.xid));
                Ok(())
            }
        }
    }

    pub(super) fn answer_sasl(&mut self, xid: i32, outcome: Outcome) -> Result<(), End> {
        let (err, token) = match outcome {
            Outcome::Reply(token, ids) => {
                if !ids.is_empty() {
                    self.conn.add_auth(ids);
                    self.auth = self.conn.auth();
                }
                (ErrorCode::Ok, token)
            }
            Outcome::Refuse(code, error) => {
                tracing::warn!(remote = %self.conn.remote, %error, "SASL failed; closing");
                self.deaf = true;
                (code, None)
            }
            Outcome::Close(error) => {
                tracing::warn!(remote = %self.conn.remote, %error, "SASL failed; closing at once");
                return Err(End::Closed);
            }
        };
        let (zxid, err) = (0, err.0);
        self.conn.outbox.push(|out| {
            reply::frame(&mut out.bytes, |bytes| {
                jute::append(bytes, &ReplyHeader { xid, zxid, err });
                let token = token.as_deref();
                jute::append(bytes, &SaslToken { token });
            });
            out.packets += 1;
            out.close |= self.deaf;
        });
        Ok(())
    }
}
