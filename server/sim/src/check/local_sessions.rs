//! Owns local sessions: what only one member knows is nowhere the ensemble's too, and owns nothing.

use menagerie_core::ids::{SessionId, Sid};
use menagerie_core::sessions::Sessions;
use menagerie_core::tree::Tree;

use super::Violation;

/// A member's sessions and its tree, when all that is committed has been applied.
///
/// # Errors
/// When a session is both, or one that the ensemble does not know has an ephemeral node.
pub fn check(sid: Sid, sessions: &Sessions, tree: &Tree) -> Result<(), Violation> {
    let Some(local) = sessions.local() else {
        return Ok(());
    };
    let mut local = local.all().into_iter();
    if let Some((both, _)) = local.find(|(id, _)| sessions.global().contains(*id)) {
        return Err(format!(
            "local sessions: server {sid} has {both} as its own and as the ensemble's"
        ));
    }
    let mut owners = tree.ephemeral_owners();
    match owners.find(|owner| !sessions.global().contains(SessionId(*owner))) {
        None => Ok(()),
        Some(owner) => Err(format!(
            "local sessions: server {sid} does not know session {owner:#x}, which has a node"
        )),
    }
}
