//! Owns what a command can fail with, in zkCli's words. Must not print.
//! Source: `CliWrapperException.getMessage` (its texts are what scripts look for).

use std::fmt;

use menagerie_wire::op::ErrorCode;

use crate::client::ClientError;

/// Why a command did not work.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server refused, or was not there.
    Zk(ClientError),
    /// Anything else.
    Text(String),
    /// Something was printed before the error itself.
    After(String, Box<Self>),
    /// There is no such command.
    NotFound(String),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Zk(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zk(error) => f.write_str(&zk_text(error)),
            Self::Text(text) => f.write_str(text),
            Self::After(before, then) => write!(f, "{before}\n{then}"),
            Self::NotFound(name) => write!(f, "Command not found: Command not found {name}"),
        }
    }
}

impl Failure {
    /// The exit code of the shell when this was its last command.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::After(_, then) => then.exit_code(),
            Self::NotFound(_) => 127,
            _ => 1,
        }
    }
}

fn zk_text(error: &ClientError) -> String {
    let path = error.path.as_deref().unwrap_or("null");
    let about = match error.code {
        ErrorCode::NoNode => "Node does not exist: ",
        ErrorCode::NoChildrenForEphemerals => "Ephemerals cannot have children: ",
        ErrorCode::NodeExists => "Node already exists: ",
        ErrorCode::NotEmpty => "Node not empty: ",
        ErrorCode::NotReadOnly => "Not a read-only call: ",
        ErrorCode::InvalidAcl => "Acl is not valid : ",
        ErrorCode::NoAuth => "Insufficient permission : ",
        ErrorCode::BadArguments => "Arguments are not valid : ",
        ErrorCode::BadVersion => "version No is not valid : ",
        ErrorCode::QuotaExceeded => "Quota has exceeded : ",
        ErrorCode::ReconfigInProgress => {
            return "Another reconfiguration is in progress -- concurrent reconfigs not supported \
                    (yet)"
                .to_owned();
        }
        ErrorCode::NewConfigNoQuorum => {
            return "No quorum of new config is connected and up-to-date with the leader of last \
                    commmitted config - try invoking reconfiguration after new servers are \
                    connected and synced"
                .to_owned();
        }
        _ => return error.to_string(),
    };
    format!("{about}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_worded_as_in_zkcli() {
        let at = |code| Failure::from(ClientError::on(code, "/p")).to_string();
        assert_eq!(at(ErrorCode::NoNode), "Node does not exist: /p");
        assert_eq!(at(ErrorCode::NodeExists), "Node already exists: /p");
        assert_eq!(at(ErrorCode::NotEmpty), "Node not empty: /p");
        assert_eq!(at(ErrorCode::BadVersion), "version No is not valid : /p");
        assert_eq!(at(ErrorCode::NoAuth), "Insufficient permission : /p");
        assert_eq!(
            at(ErrorCode::ConnectionLoss),
            "KeeperErrorCode = ConnectionLoss for /p"
        );
        let acl = Failure::from(ClientError::new(ErrorCode::InvalidAcl));
        assert_eq!(acl.to_string(), "Acl is not valid : null");
        assert_eq!(Failure::NotFound("x".to_owned()).exit_code(), 127);
    }
}
