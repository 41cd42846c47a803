//! A group of either protocol: all groups of a shard are in one map, by id.

use std::sync::Arc;

use wire::ErrorCode;

use super::core::Core;
use crate::consumer::ConsumerGroup;
use crate::group::ClassicGroup;

/// A group.
#[derive(Clone, Debug)]
pub(crate) enum Group {
    /// Of the classic protocol; also a group that only has offsets.
    Classic(Box<ClassicGroup>),
    /// Of the consumer protocol (KIP-848), maybe with members that still use the classic one.
    Consumer(Box<ConsumerGroup>),
}

impl Group {
    pub(crate) fn id(&self) -> &Arc<str> {
        match self {
            Group::Classic(group) => &group.id,
            Group::Consumer(group) => &group.id,
        }
    }

    /// Tells this group from an earlier or later one of the same id.
    pub(crate) fn incarnation(&self) -> u64 {
        match self {
            Group::Classic(group) => group.incarnation,
            Group::Consumer(group) => group.incarnation,
        }
    }

    /// Whether the log holds the group.
    pub(crate) fn is_durable(&self) -> bool {
        match self {
            Group::Classic(group) => group.durable,
            Group::Consumer(group) => group.durable,
        }
    }

    pub(crate) fn set_durable(&mut self) {
        match self {
            Group::Classic(group) => group.durable = true,
            Group::Consumer(group) => group.durable = true,
        }
    }

    /// Whether the group's tombstone is on its way to the log: to requests it does not exist.
    pub(crate) fn is_deleting(&self) -> bool {
        match self {
            Group::Classic(group) => group.deleting,
            Group::Consumer(group) => group.deleting,
        }
    }

    pub(crate) fn set_deleting(&mut self, deleting: bool) {
        match self {
            Group::Classic(group) => group.deleting = deleting,
            Group::Consumer(group) => group.deleting = deleting,
        }
    }

    /// Whether the group has no members and expects none.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Group::Classic(group) => group.is_empty(),
            Group::Consumer(group) => group.members.is_empty(),
        }
    }

    /// Whether members are subscribed to `topic`.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Group::Classic(group) => group.is_subscribed_to(topic),
            Group::Consumer(group) => group.is_subscribed_to(topic),
        }
    }

    pub(crate) fn as_classic(&self) -> Option<&ClassicGroup> {
        match self {
            Group::Classic(group) => Some(group),
            Group::Consumer(_) => None,
        }
    }

    pub(crate) fn as_classic_mut(&mut self) -> Option<&mut ClassicGroup> {
        match self {
            Group::Classic(group) => Some(group),
            Group::Consumer(_) => None,
        }
    }

    pub(crate) fn as_consumer(&self) -> Option<&ConsumerGroup> {
        match self {
            Group::Consumer(group) => Some(group),
            Group::Classic(_) => None,
        }
    }

    pub(crate) fn as_consumer_mut(&mut self) -> Option<&mut ConsumerGroup> {
        match self {
            Group::Consumer(group) => Some(group),
            Group::Classic(_) => None,
        }
    }

    /// Gives every member a full session from now.
    pub(crate) fn start_sessions(
        &mut self,
        core: &mut Core,
        consumer_session: std::time::Duration,
    ) {
        match self {
            Group::Classic(group) => group.start_sessions(core),
            Group::Consumer(group) => group.start_sessions(core, consumer_session),
        }
    }

    /// Ends the group's part in the shard: what waits gets `error`, and its deadlines go.
    pub(crate) fn retire(&mut self, core: &mut Core, error: ErrorCode) {
        match self {
            Group::Classic(group) => {
                group.fail_waiting(core, error);
                group.cancel_timers(core);
            }
            Group::Consumer(group) => group.cancel_timers(core),
        }
    }
}
