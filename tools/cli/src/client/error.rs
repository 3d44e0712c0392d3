//! Owns what can go wrong with a request, in the words of ZooKeeper's Java client.

use std::fmt;

use menagerie_wire::op::ErrorCode;

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientError {
    /// Why.
    pub(crate) code: ErrorCode,
    /// On which node, as the user wrote it.
    pub(crate) path: Option<String>,
}

impl ClientError {
    /// An error on `path`.
    pub(crate) fn on(code: ErrorCode, path: &str) -> Self {
        Self {
            code,
            path: Some(path.to_owned()),
        }
    }

    /// An error that is not about one node.
    pub(crate) const fn new(code: ErrorCode) -> Self {
        Self { code, path: None }
    }
}

/// Source: `KeeperException.getMessage`.
impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeeperErrorCode = {}", code_text(self.code))?;
        match self.path.as_deref() {
            None | Some("") => Ok(()),
            Some(path) => write!(f, " for {path}"),
        }
    }
}

impl std::error::Error for ClientError {}

/// The code in words. Source: `KeeperException.getCodeMessage`.
fn code_text(code: ErrorCode) -> String {
    let text = match code {
        ErrorCode::Ok => "ok",
        ErrorCode::SystemError => "SystemError",
        ErrorCode::RuntimeInconsistency => "RuntimeInconsistency",
        ErrorCode::DataInconsistency => "DataInconsistency",
        ErrorCode::ConnectionLoss => "ConnectionLoss",
        ErrorCode::MarshallingError => "MarshallingError",
        ErrorCode::Unimplemented => "Unimplemented",
        ErrorCode::OperationTimeout => "OperationTimeout",
        ErrorCode::BadArguments => "BadArguments",
        ErrorCode::NewConfigNoQuorum => "NewConfigNoQuorum",
        ErrorCode::ReconfigInProgress => "ReconfigInProgress",
        ErrorCode::NoNode => "NoNode",
        ErrorCode::NoAuth => "NoAuth",
        ErrorCode::BadVersion => "BadVersion",
        ErrorCode::NoChildrenForEphemerals => "NoChildrenForEphemerals",
        ErrorCode::NodeExists => "NodeExists",
        ErrorCode::NotEmpty => "Directory not empty",
        ErrorCode::SessionExpired => "Session expired",
        ErrorCode::InvalidCallback => "Invalid callback",
        ErrorCode::InvalidAcl => "InvalidACL",
        ErrorCode::AuthFailed => "AuthFailed",
        ErrorCode::SessionMoved => "Session moved",
        ErrorCode::NotReadOnly => "Not a read-only call",
        ErrorCode::EphemeralOnLocalSession => "Ephemeral node on local session",
        ErrorCode::NoWatcher => "No such watcher",
        ErrorCode::ReconfigDisabled => "Reconfig is disabled",
        ErrorCode::SessionClosedRequireSaslAuth => {
            "Session closed because client failed to authenticate"
        }
        ErrorCode::QuotaExceeded => "Quota has exceeded",
        ErrorCode::ThrottledOp => "Op throttled due to high load",
        other => return format!("Unknown error {}", other.name()),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_java_client() {
        let at = |code| ClientError::on(code, "/p").to_string();
        assert_eq!(at(ErrorCode::NoNode), "KeeperErrorCode = NoNode for /p");
        assert_eq!(
            at(ErrorCode::NotEmpty),
            "KeeperErrorCode = Directory not empty for /p"
        );
        assert_eq!(
            at(ErrorCode::RequestTimeout),
            "KeeperErrorCode = Unknown error REQUESTTIMEOUT for /p"
        );
        let pathless = ClientError::new(ErrorCode::ReconfigDisabled);
        assert_eq!(
            pathless.to_string(),
            "KeeperErrorCode = Reconfig is disabled"
        );
    }
}
