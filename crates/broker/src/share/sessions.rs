//! Share sessions (KIP-932): which partitions each member of a share group fetches, so that a request names only what
//! changed (`ShareSessionCache`, `SharePartitionManager.newContext`).
//!
//! Unlike a fetch session a share session is needed: without one there is nothing to fetch or acknowledge. A member has one,
//! named by its group and itself, and it ends with its connection.
//!
//! **Invariant:** at most `group.share.max.share.sessions` sessions. A full cache takes no new one.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::Uuid;
use wire::ErrorCode;

/// The epoch of a request that opens a session.
pub(crate) const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that closes one.
pub(crate) const FINAL_EPOCH: i32 = -1;

/// A member of a share group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey {
    pub(crate) group_id: Arc<str>,
    pub(crate) member_id: Arc<str>,
}

/// A partition as requests name it.
pub(crate) type TopicIdPartition = (Uuid, i32);

#[derive(Debug)]
struct Session {
    /// Told apart from a later session of the same member.
    id: u64,
    epoch: i32,
    partitions: BTreeSet<TopicIdPartition>,
}

#[derive(Debug, Default)]
struct Sessions {
    by_member: HashMap<SessionKey, Session>,
    last_id: u64,
}

/// All share sessions of the broker.
#[derive(Debug, Default)]
pub(crate) struct ShareSessions {
    sessions: Mutex<Sessions>,
}

/// A session that is no more.
#[derive(Debug)]
pub(crate) struct Closed {
    /// What it fetched.
    pub(crate) partitions: BTreeSet<TopicIdPartition>,
    /// Whether its group has no other.
    pub(crate) group_is_empty: bool,
}

impl ShareSessions {
    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a member's session in place of its last one. Returns the session's id.
    ///
    /// # Errors
    /// SHARE_SESSION_LIMIT_REACHED.
    pub(crate) fn open(
        &self,
        key: SessionKey,
        partitions: BTreeSet<TopicIdPartition>,
        sessions_max: usize,
    ) -> Result<u64, ErrorCode> {
        let mut sessions = self.lock();
        sessions.by_member.remove(&key);
        if sessions.by_member.len() >= sessions_max {
            return Err(ErrorCode::ShareSessionLimitReached);
        }
        sessions.last_id += 1;
        let session = Session {
            id: sessions.last_id,
            epoch: next_epoch(INITIAL_EPOCH),
            partitions,
        };
        let id = session.id;
        sessions.by_member.insert(key, session);
        Ok(id)
    }

    /// Goes on with a session. Returns all it fetches now.
    ///
    /// # Errors
    /// SHARE_SESSION_NOT_FOUND, INVALID_SHARE_SESSION_EPOCH.
    pub(crate) fn update(
        &self,
        key: &SessionKey,
        epoch: i32,
        added: BTreeSet<TopicIdPartition>,
        forgotten: &BTreeSet<TopicIdPartition>,
    ) -> Result<Vec<TopicIdPartition>, ErrorCode> {
        let mut sessions = self.lock();
        let session = next(&mut sessions, key, epoch)?;
        session.partitions.extend(added);
        session
            .partitions
            .retain(|partition| !forgotten.contains(partition));
        Ok(session.partitions.iter().copied().collect())
    }

    /// Counts a ShareAcknowledge, which may not open a session (`acknowledgeSessionUpdate`).
    ///
    /// # Errors
    /// As [`ShareSessions::update`].
    pub(crate) fn acknowledged(&self, key: &SessionKey, epoch: i32) -> Result<(), ErrorCode> {
        if epoch == INITIAL_EPOCH {
            return Err(ErrorCode::InvalidShareSessionEpoch);
        }
        if epoch == FINAL_EPOCH {
            return self.find(key);
        }
        next(&mut self.lock(), key, epoch).map(|_| ())
    }

    /// Whether the member has a session.
    ///
    /// # Errors
    /// SHARE_SESSION_NOT_FOUND.
    pub(crate) fn find(&self, key: &SessionKey) -> Result<(), ErrorCode> {
        let known = self.lock().by_member.contains_key(key);
        known.then_some(()).ok_or(ErrorCode::ShareSessionNotFound)
    }

    /// Closes a member's session; with an id only if it is that one.
    pub(crate) fn close(&self, key: &SessionKey, id: Option<u64>) -> Option<Closed> {
        let mut sessions = self.lock();
        let session = sessions.by_member.get(key)?;
        if id.is_some_and(|id| id != session.id) {
            return None;
        }
        let session = sessions.by_member.remove(key)?;
        let mut keys = sessions.by_member.keys();
        Some(Closed {
            partitions: session.partitions,
            group_is_empty: !keys.any(|other| other.group_id == key.group_id),
        })
    }
}

fn next<'a>(
    sessions: &'a mut Sessions,
    key: &SessionKey,
    epoch: i32,
) -> Result<&'a mut Session, ErrorCode> {
    let session = sessions
        .by_member
        .get_mut(key)
        .ok_or(ErrorCode::ShareSessionNotFound)?;
    if session.epoch != epoch {
        return Err(ErrorCode::InvalidShareSessionEpoch);
    }
    session.epoch = next_epoch(epoch);
    Ok(session)
}

/// Goes from the largest epoch to 1 (`ShareRequestMetadata.nextEpoch`).
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(group_id: &str, member_id: &str) -> SessionKey {
        SessionKey {
            group_id: Arc::from(group_id),
            member_id: Arc::from(member_id),
        }
    }

    fn set(partitions: &[i32]) -> BTreeSet<TopicIdPartition> {
        let partitions = partitions.iter();
        partitions.map(|index| (Uuid::default(), *index)).collect()
    }

    #[test]
    fn a_session_counts_its_requests_and_changes_its_partitions() {
        let sessions = ShareSessions::default();
        let a = key("g", "a");
        assert_eq!(
            sessions.update(&a, 1, set(&[]), &set(&[])),
            Err(ErrorCode::ShareSessionNotFound)
        );
        sessions.open(a.clone(), set(&[1, 2]), 10).unwrap();
        let now = sessions.update(&a, 1, set(&[3]), &set(&[1])).unwrap();
        let indexes: Vec<i32> = now.iter().map(|(_, index)| *index).collect();
        assert_eq!(indexes, [2, 3]);
        assert_eq!(
            sessions.update(&a, 1, set(&[]), &set(&[])),
            Err(ErrorCode::InvalidShareSessionEpoch)
        );
        assert_eq!(sessions.acknowledged(&a, 2), Ok(()));
        assert_eq!(
            sessions.acknowledged(&a, 0),
            Err(ErrorCode::InvalidShareSessionEpoch)
        );
        assert_eq!(sessions.acknowledged(&a, FINAL_EPOCH), Ok(()));
        assert_eq!(next_epoch(i32::MAX), 1);
    }

    #[test]
    fn a_full_cache_takes_no_more_but_a_member_may_start_over() {
        let sessions = ShareSessions::default();
        let first = sessions.open(key("g", "a"), set(&[1]), 1).unwrap();
        assert_eq!(
            sessions.open(key("g", "b"), set(&[1]), 1),
            Err(ErrorCode::ShareSessionLimitReached)
        );
        let second = sessions.open(key("g", "a"), set(&[1]), 1).unwrap();
        assert!(sessions.close(&key("g", "a"), Some(first)).is_none());
        let closed = sessions.close(&key("g", "a"), Some(second)).unwrap();
        assert!(closed.group_is_empty);
        assert_eq!(closed.partitions, set(&[1]));
    }

    #[test]
    fn the_last_session_of_a_group_is_known() {
        let sessions = ShareSessions::default();
        for (group, member) in [("g", "a"), ("g", "b"), ("h", "a")] {
            sessions.open(key(group, member), set(&[1]), 10).unwrap();
        }
        assert!(!sessions.close(&key("g", "a"), None).unwrap().group_is_empty);
        assert!(sessions.close(&key("g", "b"), None).unwrap().group_is_empty);
        assert!(sessions.close(&key("g", "b"), None).is_none());
    }
}
