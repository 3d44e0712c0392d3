//! Owns the session table: time-outs, expiry buckets, passwords, ids. May use `ids`. Must not know
//! connections or the tree.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use menagerie_wire::op::ErrorCode;

use crate::ids::{SessionId, Sid};

/// Milliseconds on a clock that only goes forward.
pub type MonoMs = i64;

#[derive(Debug, Clone, Copy)]
struct Session {
    timeout_ms: i32,
    bucket: MonoMs,
    closing: bool,
    /// The member whose client has it, once it has acted or asked for it.
    owner: Option<Sid>,
}

/// The sessions that this server tracks.
#[derive(Debug)]
pub struct SessionTracker {
    tick_ms: i64,
    sessions: HashMap<SessionId, Session, FixedState>,
    buckets: BTreeMap<MonoMs, HashSet<SessionId, FixedState>>,
    next_id: i64,
}

impl SessionTracker {
    /// A tracker for server `server_id` (1 standalone) whose buckets are `tick_ms` apart.
    /// `clock_ms`, a clock that a restart does not set back, keeps new ids apart from old ones.
    /// Source: `SessionTrackerImpl.initializeNextSessionId`.
    #[must_use]
    pub fn new(tick_ms: i64, server_id: i64, clock_ms: i64) -> Self {
        let clock = (((clock_ms as u64) << 24) >> 8) as i64;
        let next_id = clock | (server_id << 56);
        let next_id = if next_id == i64::MIN {
            next_id + 1
        } else {
            next_id
        };
        Self {
            tick_ms: tick_ms.max(1),
            sessions: HashMap::with_hasher(FixedState::default()),
            buckets: BTreeMap::new(),
            next_id,
        }
    }

    /// An id that no session had.
    pub const fn next_id(&mut self) -> SessionId {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        SessionId(id)
    }

    /// Makes sure that ids handed out differ from `used` ones, found in the log.
    pub const fn reserve_above(&mut self, used: SessionId) {
        if self.next_id >> 56 == used.0 >> 56 && self.next_id <= used.0 {
            self.next_id = used.0.wrapping_add(1);
        }
    }

    /// The end of the bucket in which `at` falls. Source: `ExpiryQueue.roundToNextInterval`.
    const fn bucket_of(&self, at: MonoMs) -> MonoMs {
        (at / self.tick_ms + 1) * self.tick_ms
    }

    /// Starts to track a session, or renews it.
    pub fn track(&mut self, id: SessionId, timeout_ms: i32, now: MonoMs) {
        let bucket = self.bucket_of(now + i64::from(timeout_ms));
        let session = Session {
            timeout_ms,
            bucket,
            closing: false,
            owner: None,
        };
        if let Some(old) = self.sessions.insert(id, session) {
            self.leave(old.bucket, id);
        }
        self.buckets.entry(bucket).or_default().insert(id);
    }

    fn leave(&mut self, bucket: MonoMs, id: SessionId) {
        if let Some(ids) = self.buckets.get_mut(&bucket) {
            ids.remove(&id);
            if ids.is_empty() {
                self.buckets.remove(&bucket);
            }
        }
    }

    /// Notes a sign of life at `at`. False when there is no such open session.
    pub fn touch(&mut self, id: SessionId, at: MonoMs) -> bool {
        let Some(session) = self.sessions.get(&id).copied() else {
            return false;
        };
        if session.closing {
            return false;
        }
        let bucket = self.bucket_of(at + i64::from(session.timeout_ms));
        if bucket > session.bucket {
            self.leave(session.bucket, id);
            self.buckets.entry(bucket).or_default().insert(id);
            if let Some(session) = self.sessions.get_mut(&id) {
                session.bucket = bucket;
            }
        }
        true
    }

    /// Whether the session may act. Source: `SessionTrackerImpl.checkSession`.
    ///
    /// # Errors
    /// `UNKNOWNSESSION`, or `SESSIONEXPIRED` when it is closing.
    pub fn check(&self, id: SessionId) -> Result<(), ErrorCode> {
        match self.sessions.get(&id) {
            None => Err(ErrorCode::UnknownSession),
            Some(session) if session.closing => Err(ErrorCode::SessionExpired),
            Some(_) => Ok(()),
        }
    }

    /// The session's time-out, while it is open.
    #[must_use]
    pub fn timeout_ms(&self, id: SessionId) -> Option<i32> {
        self.sessions
            .get(&id)
            .filter(|session| !session.closing)
            .map(|session| session.timeout_ms)
    }

    /// Marks a session whose close is on its way.
    pub fn set_closing(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.closing = true;
        }
    }

    /// Forgets a session.
    pub fn remove(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.remove(&id) {
            self.leave(session.bucket, id);
        }
    }

    /// Sessions whose bucket is due unless they are touched now.
    pub fn due(&self, now: MonoMs) -> impl Iterator<Item = SessionId> + '_ {
        self.buckets
            .range(..=now)
            .flat_map(|(_, ids)| ids.iter().copied())
    }

    /// Takes the sessions whose time is up and marks them closing.
    pub fn take_expired(&mut self, now: MonoMs) -> Vec<SessionId> {
        let mut expired = Vec::new();
        while let Some(entry) = self.buckets.first_entry() {
            if *entry.key() > now {
                break;
            }
            expired.extend(entry.remove());
        }
        expired.sort_unstable();
        expired.retain(|id| {
            self.sessions
                .get(id)
                .is_some_and(|session| !session.closing)
        });
        for &id in &expired {
            self.set_closing(id);
        }
        expired
    }

    /// When the next bucket is due.
    #[must_use]
    pub fn next_expiry(&self) -> Option<MonoMs> {
        self.buckets.keys().next().copied()
    }

    /// Makes a member the owner of a session: its client has come there.
    /// Source: `SessionTrackerImpl.setOwner`.
    pub fn set_owner(&mut self, id: SessionId, owner: Sid) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.owner = Some(owner);
        }
    }

    /// Whether a client of `owner` may act for the session; the first who does becomes its owner.
    /// Source: `SessionTrackerImpl.checkSession`.
    ///
    /// # Errors
    /// `SESSIONMOVED` when the client has gone to another member meanwhile.
    pub fn claim(&mut self, id: SessionId, owner: Sid) -> Result<(), ErrorCode> {
        let session = self.sessions.get_mut(&id);
        match session.map(|session| *session.owner.get_or_insert(owner)) {
            Some(other) if other != owner => Err(ErrorCode::SessionMoved),
            _ => Ok(()),
        }
    }

    /// Forgets every session.
    pub fn clear(&mut self) {
        self.sessions.clear();
        self.buckets.clear();
    }

    /// No session is closing or owned any more.
    pub fn reopen_all(&mut self) {
        for session in self.sessions.values_mut() {
            (session.closing, session.owner) = (false, None);
        }
    }

    /// Gives every session that is not closing its whole time-out from `now` on, as after a start.
    pub fn renew_all(&mut self, now: MonoMs) {
        let all: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, s)| !s.closing)
            .map(|(id, s)| (*id, s.timeout_ms))
            .collect();
        for (id, timeout_ms) in all {
            self.track(id, timeout_ms, now);
        }
    }

    /// Sessions with their time-outs, sorted by id.
    #[must_use]
    pub fn all(&self) -> Vec<(SessionId, i32)> {
        let mut all: Vec<_> = self
            .sessions
            .iter()
            .map(|(id, s)| (*id, s.timeout_ms))
            .collect();
        all.sort_unstable();
        all
    }

    /// Buckets in order, with their sessions, sorted.
    #[must_use]
    pub fn buckets(&self) -> Vec<(MonoMs, Vec<SessionId>)> {
        let sorted = |ids: &HashSet<SessionId, FixedState>| {
            let mut ids: Vec<_> = ids.iter().copied().collect();
            ids.sort_unstable();
            ids
        };
        self.buckets
            .iter()
            .map(|(at, ids)| (*at, sorted(ids)))
            .collect()
    }

    /// Whether the session is known, closing or not.
    #[must_use]
    pub fn contains(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// Sessions tracked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

/// A session's password: 16 bytes of Java's generator, seeded with the id. Any server of an
/// ensemble can compute it. Source: `ZooKeeperServer.generatePasswd`, `java.util.Random.nextBytes`.
#[must_use]
pub fn password(session: SessionId) -> [u8; 16] {
    const SUPER_SECRET: i64 = 0xB341_5C00;
    const MULTIPLIER: i64 = 0x5_DEEC_E66D;
    const MASK: i64 = (1 << 48) - 1;
    let mut seed = ((session.0 ^ SUPER_SECRET) ^ MULTIPLIER) & MASK;
    let mut bytes = [0; 16];
    for chunk in bytes.chunks_exact_mut(4) {
        seed = seed.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        chunk.copy_from_slice(&((seed >> 16) as u32).to_le_bytes());
    }
    bytes
}

/// Whether `given` is the session's password. Takes the same time whatever differs.
#[must_use]
pub fn password_matches(session: SessionId, given: Option<&[u8]>) -> bool {
    let expected = password(session);
    let given = given.unwrap_or_default();
    session.0 != 0
        && given.len() == expected.len()
        && given
            .iter()
            .zip(expected)
            .fold(0, |differs, (a, b)| differs | (a ^ b))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn passwords_are_those_of_java() {
        assert_eq!(
            hex(&password(SessionId(0x0100_001f_44fd_0000))),
            "59817948723a933e5f1a4b500bdde1f0"
        );
        assert_eq!(
            hex(&password(SessionId(0x1000_0000_0000_0000))),
            "f22acd4a97e69d6d20a49bb638eadb38"
        );
        assert!(!password_matches(
            SessionId(0),
            Some(&password(SessionId(0)))
        ));
    }

    #[test]
    fn a_touched_session_outlives_an_untouched_one() {
        let mut tracker = SessionTracker::new(1000, 1, 0);
        let (a, b) = (tracker.next_id(), tracker.next_id());
        tracker.track(a, 4000, 0);
        tracker.track(b, 4000, 0);
        assert!(tracker.touch(b, 3000));
        assert_eq!(tracker.take_expired(4999), vec![]);
        assert_eq!(tracker.take_expired(5000), vec![a]);
        assert_eq!(tracker.check(a), Err(ErrorCode::SessionExpired));
        assert!(!tracker.touch(a, 5000));
        assert_eq!(tracker.take_expired(8000), vec![b]);
    }

    #[test]
    fn a_session_acts_where_its_client_is() {
        let mut tracker = SessionTracker::new(1000, 1, 0);
        let id = tracker.next_id();
        assert_eq!(tracker.claim(id, Sid(1)), Ok(()));
        tracker.track(id, 4000, 0);
        assert_eq!(tracker.claim(id, Sid(2)), Ok(()));
        assert_eq!(tracker.claim(id, Sid(1)), Err(ErrorCode::SessionMoved));
        tracker.set_owner(id, Sid(1));
        assert_eq!(tracker.claim(id, Sid(1)), Ok(()));
        assert_eq!(tracker.claim(id, Sid(2)), Err(ErrorCode::SessionMoved));
        tracker.reopen_all();
        assert_eq!(tracker.claim(id, Sid(2)), Ok(()));
    }

    #[test]
    fn ids_start_above_those_in_the_log() {
        let mut tracker = SessionTracker::new(1000, 1, 5);
        tracker.reserve_above(SessionId((1 << 56) | 0xFFFF_FFFF));
        assert_eq!(tracker.next_id(), SessionId((1 << 56) | 0x1_0000_0000));
    }
}
