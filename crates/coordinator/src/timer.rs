//! Deadlines of a shard: each key has at most one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Timestamp;

use crate::action::CommitId;

/// What a member of a consumer group has to do in time, besides heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MemberTimer {
    /// Give up partitions.
    Rebalance,
    /// Join again; of a member that uses the classic protocol.
    Join,
    /// Sync; of a member that uses the classic protocol.
    Sync,
}

impl MemberTimer {
    pub(crate) const ALL: [MemberTimer; 3] =
        [MemberTimer::Rebalance, MemberTimer::Join, MemberTimer::Sync];
}

/// What comes due. The order of keys breaks ties between equal deadlines, so that runs repeat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    /// The reply to an append is overdue (`offsets.commit.timeout.ms`).
    Commit(CommitId),
    /// A member or pending member was not heard of for its session timeout.
    Session { group: Arc<str>, member: Arc<str> },
    /// A member of a consumer group did not do what it was asked for.
    Member {
        group: Arc<str>,
        member: Arc<str>,
        timer: MemberTimer,
    },
    /// The join phase of a rebalance ends.
    Join(Arc<str>),
    /// Members that have not sent SyncGroup are removed.
    Sync(Arc<str>),
    /// The first assignment of a streams group has waited for members.
    InitialRebalance(Arc<str>),
    /// The sweep of expired offsets and empty groups is due.
    Expiration,
}

/// A set of deadlines, cancelled and moved in logarithmic time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_key: BTreeMap<TimerKey, Timestamp>,
    by_time: BTreeSet<(Timestamp, TimerKey)>,
}

impl Timers {
    /// Sets the deadline of `key`, in place of an earlier one.
    pub(crate) fn schedule(&mut self, key: TimerKey, at: Timestamp) {
        if let Some(old) = self.by_key.insert(key.clone(), at) {
            self.by_time.remove(&(old, key.clone()));
        }
        self.by_time.insert((at, key));
    }

    /// Drops the deadline of `key`, if it has one.
    pub(crate) fn cancel(&mut self, key: &TimerKey) {
        if let Some(at) = self.by_key.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    /// Whether `key` has a deadline.
    pub(crate) fn contains(&self, key: &TimerKey) -> bool {
        self.by_key.contains_key(key)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the earliest key whose deadline is not after `now`.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<TimerKey> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// Drops every deadline.
    pub(crate) fn clear(&mut self) {
        self.by_key.clear();
        self.by_time.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp(Duration::from_millis(ms))
    }

    #[test]
    fn a_moved_deadline_comes_due_once() {
        let mut timers = Timers::default();
        let key = TimerKey::Join("g".into());
        timers.schedule(key.clone(), at(5));
        timers.schedule(key.clone(), at(9));
        timers.schedule(TimerKey::Expiration, at(7));
        assert_eq!(timers.next(), Some(at(7)));
        assert_eq!(timers.pop_due(at(6)), None);
        assert_eq!(timers.pop_due(at(9)), Some(TimerKey::Expiration));
        assert_eq!(timers.pop_due(at(9)), Some(key.clone()));
        assert_eq!(timers.pop_due(at(9)), None);
        timers.schedule(key.clone(), at(1));
        timers.cancel(&key);
        assert_eq!(timers.next(), None);
    }
}
