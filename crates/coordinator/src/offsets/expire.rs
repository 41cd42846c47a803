//! The expiry of offsets (KIP-211) and the deletion of groups that nothing is left of.
//!
//! A group without members keeps its offsets for `offsets.retention.minutes` from the moment it became
//! empty; a stable consumer group loses those of topics it is not subscribed to, and a simple group all of
//! them, that long after their commit; a group of the consumer or the streams protocol loses those of topics it is not
//! subscribed to that long after their commit, and goes itself when it has neither members nor offsets. A commit that named its own retention time (versions 2 to 4) expires
//! by that alone. Source: `ClassicGroup.offsetExpirationCondition`, `ConsumerGroup.offsetExpirationCondition`, `OffsetExpirationConditionImpl`,
//! `GroupCoordinatorShard.cleanupGroupMetadata`.

use std::sync::Arc;

use super::OffsetEntry;
use crate::group::{ClassicGroup, GroupState};
use crate::shard::Shard;
use crate::shard::effect::Change;
use crate::shard::groups::Group;
use crate::timer::TimerKey;

/// From when an offset's retention counts.
#[derive(Clone, Copy, Debug)]
enum Expiry {
    /// Nothing of the group expires now.
    Never,
    /// From its commit.
    SinceCommit,
    /// From this wall-clock time.
    Since(i64),
}

impl Shard {
    /// The periodic sweep: tombstones for expired offsets, and for empty groups without offsets.
    pub(crate) fn expire_offsets(&mut self) {
        let mut changes = Vec::new();
        let ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for id in ids {
            if self.expire_group_offsets(&id, &mut changes) {
                self.mark_deleting(&id, &mut changes);
            }
        }
        self.append_in_batches(changes);
        let period = self.core.config.offsets_retention_check_interval;
        self.core.schedule(TimerKey::Expiration, period);
    }

    /// Adds the group's expired offsets to `changes`; whether the group is to go with them.
    fn expire_group_offsets(&self, id: &Arc<str>, changes: &mut Vec<Change>) -> bool {
        let Some(group) = self.any_group(id) else {
            return false;
        };
        // What is on its way to the log is decided by the next sweep.
        if self.staged_changes(id).next().is_some() || self.has_writes(id) {
            return false;
        }
        // So is what a transaction is about to commit.
        if self.offsets.open.has_offsets(id) {
            return false;
        }
        let now_ms = self.core.now_ms();
        let retention_ms =
            i64::try_from(self.core.config.offsets_retention.as_millis()).unwrap_or(i64::MAX);
        let expiry = match group {
            Group::Classic(group) => group.expiry(),
            Group::Consumer(_) | Group::Streams(_) => Expiry::SinceCommit,
            // It has no offsets of its own, and goes when it is told to.
            Group::Share(_) => return false,
        };
        let mut all_expired = true;
        for (topic, partitions) in self.offsets.of_group(id).into_iter().flatten() {
            let subscribed = group.is_subscribed_to(topic);
            for (partition, entry) in partitions {
                if subscribed || !is_expired(expiry, entry, now_ms, retention_ms) {
                    all_expired = false;
                    continue;
                }
                changes.push(Change::RemoveOffset {
                    group: id.clone(),
                    topic: topic.clone(),
                    partition: *partition,
                });
            }
        }
        all_expired && group.is_empty()
    }
}

impl ClassicGroup {
    fn expiry(&self) -> Expiry {
        if self.protocol_type.is_none() {
            return Expiry::SinceCommit;
        }
        match self.state {
            // Records of Kafka before 2.1 do not say since when the group is empty.
            GroupState::Empty => self
                .state_timestamp_ms
                .map_or(Expiry::SinceCommit, Expiry::Since),
            GroupState::Stable if self.uses_consumer_protocol() && self.knows_subscriptions() => {
                Expiry::SinceCommit
            }
            _ => Expiry::Never,
        }
    }
}

fn is_expired(expiry: Expiry, entry: &OffsetEntry, now_ms: i64, retention_ms: i64) -> bool {
    let since_ms = match expiry {
        Expiry::Never => return false,
        Expiry::SinceCommit => entry.commit_timestamp_ms,
        Expiry::Since(since_ms) => since_ms,
    };
    match entry.expire_timestamp_ms {
        Some(expire_ms) => now_ms >= expire_ms,
        None => now_ms.saturating_sub(since_ms) >= retention_ms,
    }
}
