//! The share partitions this broker leads, and the sessions of those who read them.
//!
//! A share partition is loaded when the first session of its group fetches it, and forgotten when its group has no session
//! any more (`SharePartitionCache`, `ShareGroupListener.onGroupEmpty`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{PartitionIndex, TopicId, Uuid};
use coordinator::share_state::ShareKey;
use tokio_util::sync::CancellationToken;
use wire::ErrorCode;

use super::leader::{Outcome, ShareLeader, group_settings, limits};
use super::sessions::{SessionKey, ShareSessions, TopicIdPartition};
use crate::server::Server;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct ShareGroups {
    leaders: Mutex<HashMap<ShareKey, Arc<ShareLeader>>>,
    sessions: ShareSessions,
    stopping: CancellationToken,
}

impl ShareGroups {
    /// The sessions.
    pub(crate) fn sessions(&self) -> &ShareSessions {
        &self.sessions
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ShareKey, Arc<ShareLeader>>> {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing waits for locks any more.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }

    /// The share partition if it is loaded, or being so.
    pub(crate) fn get(
        &self,
        group_id: &Arc<str>,
        (topic_id, partition): TopicIdPartition,
    ) -> Option<Arc<ShareLeader>> {
        self.lock()
            .get(&share_key(group_id, topic_id, partition))
            .cloned()
    }

    /// The share partition, which is loaded if need be.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR.
    pub(crate) fn get_or_load(
        &self,
        server: &Arc<Server>,
        group_id: &Arc<str>,
        (topic_id, partition): TopicIdPartition,
    ) -> Result<Arc<ShareLeader>, ErrorCode> {
        let topic = server
            .topics()
            .get_by_id(TopicId(topic_id))
            .ok_or(ErrorCode::UnknownTopicId)?;
        let found = topic
            .partition(PartitionIndex(partition))
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if !found.is_online() {
            return Err(ErrorCode::KafkaStorageError);
        }
        let key = share_key(group_id, topic_id, partition);
        let mut leaders = self.lock();
        if let Some(leader) = leaders.get(&key)
            && leader.reuse()
        {
            return Ok(Arc::clone(leader));
        }
        let stopping = self.stopping.clone();
        let leader = ShareLeader::start(server, key.clone(), found, stopping);
        leaders.insert(key, Arc::clone(&leader));
        Ok(leader)
    }

    /// Forgets a share partition that is of no use any more.
    pub(super) fn forget(&self, leader: &Arc<ShareLeader>) {
        let mut leaders = self.lock();
        if leaders
            .get(leader.key())
            .is_some_and(|known| Arc::ptr_eq(known, leader))
        {
            leaders.remove(leader.key());
        }
    }

    /// Forgets a share partition unless it can still be used.
    pub(super) fn forget_ended(&self, leader: &Arc<ShareLeader>) {
        if leader.has_ended() {
            self.forget(leader);
        }
    }

    /// Closes a member's session, with an id only that one, and takes back what the member has. Returns the outcomes of
    /// the writes; none without a session.
    pub(crate) fn close(
        &self,
        server: &Arc<Server>,
        key: &SessionKey,
        id: Option<u64>,
    ) -> Option<Vec<Outcome>> {
        let closed = self.sessions.close(key, id)?;
        let limits = limits(&group_settings(server, &key.group_id));
        let released = closed
            .partitions
            .iter()
            .filter_map(|partition| self.get(&key.group_id, *partition))
            .filter_map(|leader| leader.release(server, &key.member_id, &limits))
            .collect();
        if closed.group_is_empty {
            self.lock()
                .retain(|known, leader| known.group_id != key.group_id || !leader.retire());
        }
        Some(released)
    }
}

fn share_key(group_id: &Arc<str>, topic_id: Uuid, partition: i32) -> ShareKey {
    ShareKey {
        group_id: Arc::clone(group_id),
        topic_id,
        partition: PartitionIndex(partition),
    }
}
