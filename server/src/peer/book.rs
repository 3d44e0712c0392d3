//! Owns who is where: the members' addresses of the configuration in force and of the one that is
//! on its way, and this server's own. Must not connect or listen.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use menagerie_core::ids::Sid;
use menagerie_core::quorum::Configs;
use menagerie_wire::text::cfg::{Client, Members, ServerAddress, ServerSpec};

#[derive(Debug)]
struct Pages {
    committed: Members,
    next: Option<Members>,
    mine: ServerSpec,
}

/// The addresses.
#[derive(Debug)]
pub(super) struct AddressBook {
    me: Sid,
    pages: RwLock<Pages>,
}

impl AddressBook {
    /// Those of `members`, among which server `me` is.
    pub(super) fn new(me: Sid, members: &Members) -> Self {
        let nowhere = ServerSpec {
            addresses: Vec::new(),
            role: menagerie_wire::text::cfg::Role::Participant,
            client: None,
        };
        let mine = members.servers.get(&me.0).cloned().unwrap_or(nowhere);
        let pages = Pages {
            committed: members.clone(),
            next: None,
            mine,
        };
        Self {
            me,
            pages: RwLock::new(pages),
        }
    }

    fn pages(&self) -> RwLockReadGuard<'_, Pages> {
        self.pages.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what has changed; where clients come from now on, if that has. A server that is no
    /// member any more keeps its addresses. Source: `QuorumPeer.setQuorumVerifier`.
    pub(super) fn update(&self, configs: &Configs) -> Option<Client> {
        let mut pages = self.pages.write().unwrap_or_else(PoisonError::into_inner);
        pages.committed = configs.committed.members().clone();
        pages.next = configs.next().map(|next| next.members().clone());
        let mine = pages.committed.servers.get(&self.me.0).cloned()?;
        let before = std::mem::replace(&mut pages.mine, mine);
        let client = pages.mine.client.clone();
        client.filter(|client| before.client.as_ref() != Some(client))
    }

    /// A server's addresses, those in force first.
    pub(super) fn of(&self, sid: Sid) -> Vec<ServerAddress> {
        let pages = self.pages();
        let mut found: Vec<ServerAddress> = Vec::new();
        for members in [Some(&pages.committed), pages.next.as_ref()]
            .into_iter()
            .flatten()
        {
            let spec = members.servers.get(&sid.0);
            for address in spec.into_iter().flat_map(|spec| &spec.addresses) {
                if !found.contains(address) {
                    found.push(address.clone());
                }
            }
        }
        found
    }

    /// This server's addresses.
    pub(super) fn mine(&self) -> Vec<ServerAddress> {
        self.pages().mine.addresses.clone()
    }

    /// Where this server listens for votes.
    pub(super) fn my_election_ports(&self) -> Vec<(String, u16)> {
        let mine = self.mine().into_iter();
        mine.map(|a| (a.host, a.election_port)).collect()
    }

    /// The servers of the configuration in force.
    pub(super) fn members(&self) -> Members {
        self.pages().committed.clone()
    }

    /// How many servers there are.
    pub(super) fn len(&self) -> usize {
        self.pages().committed.servers.len()
    }
}
