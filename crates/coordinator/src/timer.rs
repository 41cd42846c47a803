//! Deadlines of a shard: each key has at most one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use base::Timestamp;

use crate::action::CommitId;

/// What a member of a consumer group has to do in time, besides heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

impl TimerKey {
    pub(crate) fn session(group: &Arc<str>, member: &Arc<str>) -> TimerKey {
        TimerKey::Session {
            group: group.clone(),
            member: member.clone(),
        }
    }

    pub(crate) fn member(group: &Arc<str>, member: &Arc<str>, timer: MemberTimer) -> TimerKey {
        TimerKey::Member {
            group: group.clone(),
            member: member.clone(),
            timer,
        }
    }
}

/// When a key is due.
#[derive(Clone, Copy, Debug)]
struct Due {
    at: Timestamp,
    /// Where the key is in the queue: at `at`, or earlier.
    queued: Timestamp,
}

/// A set of deadlines. To put one off, as each heartbeat does with its member's session, costs one look-up: the key keeps
/// its place in the queue until that comes up, and is then queued again.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    // Never walked over, so that runs repeat whatever the order of its keys is.
    by_key: HashMap<TimerKey, Due>,
    queue: BTreeSet<(Timestamp, TimerKey)>,
}

impl Timers {
    /// Sets the deadline of `key`, in place of an earlier one.
    pub(crate) fn schedule(&mut self, key: TimerKey, at: Timestamp) {
        if let Some(due) = self.by_key.get_mut(&key) {
            due.at = at;
            if at >= due.queued {
                return;
            }
            self.queue.remove(&(due.queued, key.clone()));
            due.queued = at;
        } else {
            self.by_key.insert(key.clone(), Due { at, queued: at });
        }
        self.queue.insert((at, key));
    }

    /// Drops the deadline of `key`, if it has one.
    pub(crate) fn cancel(&mut self, key: &TimerKey) {
        if let Some(due) = self.by_key.remove(key) {
            self.queue.remove(&(due.queued, key.clone()));
        }
    }

    /// Whether `key` has a deadline.
    pub(crate) fn contains(&self, key: &TimerKey) -> bool {
        self.by_key.contains_key(key)
    }

    /// When to look for what is due: at the earliest deadline, or before it if that was put off.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes the earliest key whose deadline is not after `now`.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<TimerKey> {
        while self.next()? <= now {
            let (queued, key) = self.queue.pop_first()?;
            let Some(due) = self.by_key.get_mut(&key) else {
                continue;
            };
            if due.at <= queued {
                self.by_key.remove(&key);
                return Some(key);
            }
            due.queued = due.at;
            self.queue.insert((due.at, key));
        }
        None
    }

    /// Drops every deadline.
    pub(crate) fn clear(&mut self) {
        self.by_key.clear();
        self.queue.clear();
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
        assert_eq!(timers.next(), Some(at(5)), "not before it is looked at");
        assert_eq!(timers.pop_due(at(6)), None);
        assert_eq!(timers.next(), Some(at(7)));
        assert_eq!(timers.pop_due(at(9)), Some(TimerKey::Expiration));
        assert_eq!(timers.pop_due(at(9)), Some(key.clone()));
        assert_eq!(timers.pop_due(at(9)), None);
        timers.schedule(key.clone(), at(1));
        timers.cancel(&key);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn what_was_put_off_and_called_back_comes_in_the_order_of_the_deadlines() {
        let mut timers = Timers::default();
        let key = |name: &str| TimerKey::Join(name.into());
        for (name, ms) in [
            ("a", 1),
            ("b", 2),
            ("c", 3),
            ("a", 9),
            ("b", 7),
            ("c", 8),
            ("a", 4),
        ] {
            timers.schedule(key(name), at(ms));
        }
        timers.schedule(key("b"), at(30));
        timers.cancel(&key("b"));
        timers.schedule(key("d"), at(8));
        let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(at(20))).collect();
        assert_eq!(due, [key("a"), key("c"), key("d")]);
        assert!(!timers.contains(&key("a")) && timers.next().is_none());
    }
}
