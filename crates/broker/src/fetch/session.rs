//! Incremental fetch sessions (KIP-227): the broker remembers which partitions a consumer fetches, so that a
//! request names only what changed and a response only what moved.
//!
//! A session is lent to one request at a time ([`Lent`]); a second request for it in the meantime gets
//! INVALID_FETCH_SESSION_EPOCH, which makes a client start over. A session whose request was dropped on the
//! way (its connection closed) is gone.
//!
//! **Invariant:** at most `max.incremental.fetch.session.cache.slots` sessions. A full cache first gives up a
//! session unused for two minutes (`FetchSessionCache.tryEvict`); without one, the new client simply gets no
//! session and sends full requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Timestamp, Uuid};
use wire::ErrorCode;

/// The session id of a request or response without a session.
pub(crate) const NO_SESSION: i32 = 0;
/// The epoch of a request that opens a session.
pub(crate) const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants none, or closes the one it names.
pub(crate) const FINAL_EPOCH: i32 = -1;

/// `min.incremental.fetch.session.eviction.ms`, which Kafka fixes at two minutes.
const EVICTABLE_AFTER: Duration = Duration::from_secs(120);

/// A partition as a request names it: by topic id from version 13, by name before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PartitionKey {
    /// The topic's name; empty when the request used an id.
    pub(crate) topic: Arc<str>,
    /// The topic's id; zero when the request used a name.
    pub(crate) topic_id: Uuid,
    /// The index.
    pub(crate) partition: i32,
}

/// A partition of a fetch, with what the client was last told of it.
#[derive(Clone, Debug)]
pub(crate) struct FetchedPartition {
    /// Which one.
    pub(crate) key: PartitionKey,
    /// The next offset the client wants.
    pub(crate) fetch_offset: i64,
    /// The leader epoch the client believes in; -1 for none.
    pub(crate) current_leader_epoch: i32,
    /// The epoch of the last record the client has; -1 for none.
    pub(crate) last_fetched_epoch: i32,
    /// At most this many bytes, unless the first batch alone is larger.
    pub(crate) max_bytes: i32,
    /// The high watermark in the last response; -1 before the first.
    pub(crate) told_high_watermark: i64,
    /// The log start offset in the last response; -1 before the first.
    pub(crate) told_log_start_offset: i64,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    uses_topic_ids: bool,
    last_used: Timestamp,
    /// `None` while a request holds them.
    partitions: Option<Vec<FetchedPartition>>,
}

#[derive(Debug)]
struct Sessions {
    by_id: HashMap<i32, Session>,
    slots: usize,
}

/// All sessions of the broker.
#[derive(Debug)]
pub(crate) struct SessionCache {
    sessions: Mutex<Sessions>,
}

/// What a request asks of the cache.
#[derive(Debug)]
pub(crate) struct SessionRequest {
    /// The session, or [`NO_SESSION`].
    pub(crate) id: i32,
    /// The epoch of the request.
    pub(crate) epoch: i32,
    /// Whether topics are named by id.
    pub(crate) uses_topic_ids: bool,
    /// The partitions named.
    pub(crate) partitions: Vec<FetchedPartition>,
    /// The partitions to leave out from now on.
    pub(crate) forgotten: Vec<PartitionKey>,
}

/// How a fetch is to be answered.
#[derive(Debug)]
pub(crate) enum FetchContext {
    /// All partitions, no session.
    Sessionless(Vec<FetchedPartition>),
    /// All partitions, and a session to open.
    Full(Vec<FetchedPartition>),
    /// What changed in the session.
    Incremental(Lent),
}

/// A session's partitions, on loan to one request.
#[derive(Debug)]
pub(crate) struct Lent {
    cache: Arc<SessionCache>,
    /// The session.
    pub(crate) id: i32,
    /// Its partitions in the order in which they are read.
    pub(crate) partitions: Vec<FetchedPartition>,
    returned: bool,
}

impl Lent {
    /// Gives the partitions back; those in `moved` (by place, ascending) go to the end, so that the next
    /// fetch begins with partitions that got nothing.
    pub(crate) fn give_back(mut self, moved: &[usize]) {
        let mut partitions = std::mem::take(&mut self.partitions);
        if !moved.is_empty() {
            let mut kept = Vec::with_capacity(partitions.len());
            let mut last = Vec::with_capacity(moved.len());
            let mut moved = moved.iter().copied().peekable();
            for (place, partition) in partitions.into_iter().enumerate() {
                if moved.next_if_eq(&place).is_some() {
                    last.push(partition);
                } else {
                    kept.push(partition);
                }
            }
            kept.append(&mut last);
            partitions = kept;
        }
        self.returned = true;
        if let Some(session) = self.cache.lock().by_id.get_mut(&self.id) {
            session.partitions = Some(partitions);
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.returned {
            self.cache.lock().by_id.remove(&self.id);
        }
    }
}

impl SessionCache {
    /// A cache of so many sessions.
    pub(crate) fn new(slots: usize) -> SessionCache {
        SessionCache {
            sessions: Mutex::new(Sessions {
                by_id: HashMap::new(),
                slots,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes a session that its client was never told of.
    pub(crate) fn close(&self, id: i32) {
        self.lock().by_id.remove(&id);
    }

    /// How many sessions are open.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().by_id.len()
    }

    /// Decides how a request is answered (`FetchManager.newContext`).
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH or FETCH_SESSION_TOPIC_ID_ERROR.
    pub(crate) fn begin(
        self: &Arc<Self>,
        request: SessionRequest,
        now: Timestamp,
    ) -> Result<FetchContext, ErrorCode> {
        let mut sessions = self.lock();
        if request.epoch == FINAL_EPOCH || request.epoch == INITIAL_EPOCH {
            sessions.by_id.remove(&request.id);
            return Ok(if request.epoch == FINAL_EPOCH {
                FetchContext::Sessionless(request.partitions)
            } else {
                FetchContext::Full(request.partitions)
            });
        }
        let session = sessions
            .by_id
            .get_mut(&request.id)
            .ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != request.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_topic_ids != request.uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        let mut partitions = session
            .partitions
            .take()
            .ok_or(ErrorCode::InvalidFetchSessionEpoch)?;
        update(&mut partitions, request.partitions, &request.forgotten);
        if partitions.is_empty() {
            sessions.by_id.remove(&request.id);
            return Ok(FetchContext::Sessionless(partitions));
        }
        session.epoch = next_epoch(session.epoch);
        session.last_used = now;
        Ok(FetchContext::Incremental(Lent {
            cache: Arc::clone(self),
            id: request.id,
            partitions,
            returned: false,
        }))
    }

    /// Opens a session over the partitions of a full fetch. Returns its id, or [`NO_SESSION`] when the cache
    /// is full. `random` makes the id, which must be hard to guess by accident.
    ///
    /// Differs: Kafka opens a session of no partitions too, which nobody has a use for.
    pub(crate) fn open(
        &self,
        partitions: Vec<FetchedPartition>,
        uses_topic_ids: bool,
        now: Timestamp,
        mut random: impl FnMut() -> i32,
    ) -> i32 {
        let mut sessions = self.lock();
        if partitions.is_empty() || !sessions.make_room(now) {
            return NO_SESSION;
        }
        let id = loop {
            let id = random() & i32::MAX;
            if id != NO_SESSION && !sessions.by_id.contains_key(&id) {
                break id;
            }
        };
        let session = Session {
            epoch: next_epoch(INITIAL_EPOCH),
            uses_topic_ids,
            last_used: now,
            partitions: Some(partitions),
        };
        sessions.by_id.insert(id, session);
        id
    }
}

impl Sessions {
    fn make_room(&mut self, now: Timestamp) -> bool {
        if self.by_id.len() < self.slots {
            return true;
        }
        let idle = self
            .by_id
            .iter()
            .min_by_key(|(_, session)| session.last_used)
            .filter(|(_, session)| now.since(session.last_used) > EVICTABLE_AFTER)
            .map(|(id, _)| *id);
        idle.is_some_and(|id| self.by_id.remove(&id).is_some())
    }
}

/// Epochs run from 1 to the largest `i32`, then from 1 again (`FetchMetadata.nextEpoch`).
fn next_epoch(epoch: i32) -> i32 {
    if epoch < 0 {
        FINAL_EPOCH
    } else {
        epoch.checked_add(1).unwrap_or(1)
    }
}

fn update(
    partitions: &mut Vec<FetchedPartition>,
    named: Vec<FetchedPartition>,
    forgotten: &[PartitionKey],
) {
    if !named.is_empty() {
        let mut places: HashMap<PartitionKey, usize> = partitions
            .iter()
            .enumerate()
            .map(|(place, partition)| (partition.key.clone(), place))
            .collect();
        for new in named {
            match places
                .get(&new.key)
                .and_then(|place| partitions.get_mut(*place))
            {
                Some(known) => {
                    known.fetch_offset = new.fetch_offset;
                    known.current_leader_epoch = new.current_leader_epoch;
                    known.last_fetched_epoch = new.last_fetched_epoch;
                    known.max_bytes = new.max_bytes;
                }
                None => {
                    places.insert(new.key.clone(), partitions.len());
                    partitions.push(new);
                }
            }
        }
    }
    if !forgotten.is_empty() {
        partitions.retain(|partition| !forgotten.contains(&partition.key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32) -> FetchedPartition {
        FetchedPartition {
            key: PartitionKey {
                topic: Arc::from("t"),
                topic_id: Uuid::ZERO,
                partition: index,
            },
            fetch_offset: 0,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
            max_bytes: 100,
            told_high_watermark: -1,
            told_log_start_offset: -1,
        }
    }

    fn request(id: i32, epoch: i32, indexes: &[i32]) -> SessionRequest {
        SessionRequest {
            id,
            epoch,
            uses_topic_ids: false,
            partitions: indexes.iter().map(|index| partition(*index)).collect(),
            forgotten: Vec::new(),
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp(Duration::from_secs(seconds))
    }

    fn open(cache: &Arc<SessionCache>, indexes: &[i32], seconds: u64) -> i32 {
        let mut next = indexes.first().copied().unwrap_or_default() * 100;
        let partitions = indexes.iter().map(|index| partition(*index)).collect();
        cache.open(partitions, false, at(seconds), || {
            next += 1;
            next
        })
    }

    fn indexes(lent: &Lent) -> Vec<i32> {
        lent.partitions
            .iter()
            .map(|partition| partition.key.partition)
            .collect()
    }

    #[test]
    fn a_session_remembers_adds_forgets_and_rotates() {
        let cache = Arc::new(SessionCache::new(10));
        let id = open(&cache, &[1, 2, 3], 0);
        let FetchContext::Incremental(lent) = cache.begin(request(id, 1, &[4]), at(1)).unwrap()
        else {
            panic!("not incremental")
        };
        assert_eq!(indexes(&lent), [1, 2, 3, 4]);
        lent.give_back(&[0, 2]);
        let mut forgetting = request(id, 2, &[]);
        forgetting.forgotten = vec![partition(4).key];
        let FetchContext::Incremental(lent) = cache.begin(forgetting, at(1)).unwrap() else {
            panic!("not incremental")
        };
        assert_eq!(indexes(&lent), [2, 1, 3]);
    }

    #[test]
    fn errors_are_kafkas() {
        let cache = Arc::new(SessionCache::new(10));
        let id = open(&cache, &[1], 0);
        let error = |request| cache.begin(request, at(0)).unwrap_err();
        assert_eq!(
            error(request(id + 1, 1, &[])),
            ErrorCode::FetchSessionIdNotFound
        );
        assert_eq!(
            error(request(id, 2, &[])),
            ErrorCode::InvalidFetchSessionEpoch
        );
        let by_id = SessionRequest {
            uses_topic_ids: true,
            ..request(id, 1, &[])
        };
        assert_eq!(error(by_id), ErrorCode::FetchSessionTopicIdError);
        let lent = cache.begin(request(id, 1, &[]), at(0)).unwrap();
        assert_eq!(
            error(request(id, 2, &[])),
            ErrorCode::InvalidFetchSessionEpoch
        );
        drop(lent);
        assert_eq!(
            error(request(id, 2, &[])),
            ErrorCode::FetchSessionIdNotFound
        );
    }

    #[test]
    fn a_full_cache_gives_up_only_idle_sessions() {
        let cache = Arc::new(SessionCache::new(1));
        let first = open(&cache, &[1], 0);
        assert_eq!(open(&cache, &[2], 120), NO_SESSION);
        let second = open(&cache, &[2], 121);
        assert_ne!(second, NO_SESSION);
        assert!(cache.begin(request(first, 1, &[]), at(121)).is_err());
        assert!(matches!(
            cache.begin(request(second, FINAL_EPOCH, &[]), at(122)),
            Ok(FetchContext::Sessionless(_))
        ));
        assert_eq!(cache.len(), 0);
    }
}
