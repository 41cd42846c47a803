//! A group of any protocol: all groups of a shard are in one map, by id.

use std::sync::Arc;

use wire::{EncodeError, ErrorCode};

use super::core::Core;
use super::write::LogRecord;
use crate::action::CoordinatorRecord;
use crate::cluster::ClusterView;
use crate::consumer::{self, ConsumerGroup};
use crate::group::ClassicGroup;
use crate::share_group::{self, ShareGroup};
use crate::streams::{self, StreamsGroup};

/// Where a group of any protocol is between its first record and its tombstone.
#[derive(Clone, Debug)]
pub(crate) struct Lifecycle {
    /// Tells the group from an earlier or later one of the same id.
    pub(crate) incarnation: u64,
    /// The log holds the group; of a classic one, or a record of it is behind the durable watermark.
    pub(crate) durable: bool,
    /// Its tombstones are on the way to the log: to requests it does not exist.
    pub(crate) deleting: bool,
}

impl Lifecycle {
    /// That of a group which no record tells of yet.
    pub(crate) fn new(incarnation: u64) -> Lifecycle {
        Lifecycle {
            incarnation,
            durable: false,
            deleting: false,
        }
    }
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) enum Group {
    /// Of the classic protocol; also a group that only has offsets.
    Classic(Box<ClassicGroup>),
    /// Of the consumer protocol (KIP-848), maybe with members that still use the classic one.
    Consumer(Box<ConsumerGroup>),
    /// Of the streams protocol (KIP-1071).
    Streams(Box<StreamsGroup>),
    /// A share group (KIP-932).
    Share(Box<ShareGroup>),
}

impl Group {
    pub(crate) fn id(&self) -> &Arc<str> {
        match self {
            Group::Classic(group) => &group.id,
            Group::Consumer(group) => &group.id,
            Group::Streams(group) => &group.id,
            Group::Share(group) => &group.id,
        }
    }

    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        match self {
            Group::Classic(group) => &group.lifecycle,
            Group::Consumer(group) => &group.lifecycle,
            Group::Streams(group) => &group.lifecycle,
            Group::Share(group) => &group.lifecycle,
        }
    }

    pub(crate) fn lifecycle_mut(&mut self) -> &mut Lifecycle {
        match self {
            Group::Classic(group) => &mut group.lifecycle,
            Group::Consumer(group) => &mut group.lifecycle,
            Group::Streams(group) => &mut group.lifecycle,
            Group::Share(group) => &mut group.lifecycle,
        }
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.lifecycle().durable
    }

    pub(crate) fn set_durable(&mut self) {
        self.lifecycle_mut().durable = true;
    }

    pub(crate) fn is_deleting(&self) -> bool {
        self.lifecycle().deleting
    }

    /// Whether the group has no members and expects none.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Group::Classic(group) => group.is_empty(),
            Group::Consumer(group) => group.members.is_empty(),
            Group::Streams(group) => group.members.is_empty(),
            Group::Share(group) => group.members.is_empty(),
        }
    }

    /// Whether members are subscribed to `topic`.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Group::Classic(group) => group.is_subscribed_to(topic),
            Group::Consumer(group) => group.is_subscribed_to(topic),
            Group::Streams(group) => group.is_subscribed_to(topic),
            Group::Share(group) => group.is_subscribed_to(topic),
        }
    }

    pub(crate) fn as_classic(&self) -> Option<&ClassicGroup> {
        match self {
            Group::Classic(group) => Some(group),
            Group::Consumer(_) | Group::Streams(_) | Group::Share(_) => None,
        }
    }

    pub(crate) fn as_classic_mut(&mut self) -> Option<&mut ClassicGroup> {
        match self {
            Group::Classic(group) => Some(group),
            Group::Consumer(_) | Group::Streams(_) | Group::Share(_) => None,
        }
    }

    pub(crate) fn as_consumer(&self) -> Option<&ConsumerGroup> {
        match self {
            Group::Consumer(group) => Some(group),
            Group::Classic(_) | Group::Streams(_) | Group::Share(_) => None,
        }
    }

    pub(crate) fn as_consumer_mut(&mut self) -> Option<&mut ConsumerGroup> {
        match self {
            Group::Consumer(group) => Some(group),
            Group::Classic(_) | Group::Streams(_) | Group::Share(_) => None,
        }
    }

    pub(crate) fn as_streams(&self) -> Option<&StreamsGroup> {
        match self {
            Group::Streams(group) => Some(group),
            Group::Classic(_) | Group::Consumer(_) | Group::Share(_) => None,
        }
    }

    pub(crate) fn as_streams_mut(&mut self) -> Option<&mut StreamsGroup> {
        match self {
            Group::Streams(group) => Some(group),
            Group::Classic(_) | Group::Consumer(_) | Group::Share(_) => None,
        }
    }

    pub(crate) fn as_share(&self) -> Option<&ShareGroup> {
        match self {
            Group::Share(group) => Some(group),
            Group::Classic(_) | Group::Consumer(_) | Group::Streams(_) => None,
        }
    }

    pub(crate) fn as_share_mut(&mut self) -> Option<&mut ShareGroup> {
        match self {
            Group::Share(group) => Some(group),
            Group::Classic(_) | Group::Consumer(_) | Group::Streams(_) => None,
        }
    }

    /// A group of the protocol of `record`, without members, that no record tells of yet; none for the classic protocol.
    pub(super) fn of_protocol(record: &LogRecord, id: Arc<str>, incarnation: u64) -> Option<Group> {
        Some(match record {
            LogRecord::Classic(_) => return None,
            LogRecord::Consumer(_) => {
                Group::Consumer(Box::new(ConsumerGroup::new(id, incarnation)))
            }
            LogRecord::Streams(_) => Group::Streams(Box::new(StreamsGroup::new(id, incarnation))),
            LogRecord::Share(_) => Group::Share(Box::new(ShareGroup::new(id, incarnation))),
        })
    }

    /// Whether `record` is one of such a group.
    pub(super) fn is_of_protocol(&self, record: &LogRecord) -> bool {
        matches!(
            (self, record),
            (Group::Classic(_), LogRecord::Classic(_))
                | (Group::Consumer(_), LogRecord::Consumer(_))
                | (Group::Streams(_), LogRecord::Streams(_))
                | (Group::Share(_), LogRecord::Share(_))
        )
    }

    /// Applies a record of the group's protocol, and returns the one that would take it back; none, and nothing done, for
    /// any other.
    pub(super) fn apply(&mut self, record: LogRecord) -> Option<LogRecord> {
        Some(match (self, record) {
            (Group::Consumer(group), LogRecord::Consumer(change)) => {
                LogRecord::Consumer(group.apply(change))
            }
            (Group::Streams(group), LogRecord::Streams(change)) => {
                LogRecord::Streams(group.apply(change))
            }
            (Group::Share(group), LogRecord::Share(change)) => {
                LogRecord::Share(group.apply(change))
            }
            _ => return None,
        })
    }

    /// Applies what takes a record back. What a group knows of topics and states may have been written down only there.
    pub(super) fn take_back(&mut self, record: LogRecord) {
        if self.apply(record).is_none() {
            return;
        }
        match self {
            Group::Classic(_) | Group::Consumer(_) => {}
            Group::Streams(group) => group.refresh_due = true,
            Group::Share(group) => {
                group.refresh_due = true;
                group.initializing_since_ms = 0;
            }
        }
    }

    /// Gives every member a full session from now, of what `cluster` or else the shard's config says.
    pub(crate) fn start_sessions(&mut self, core: &mut Core, cluster: &dyn ClusterView) {
        match self {
            Group::Classic(group) => group.start_sessions(core),
            Group::Consumer(group) => {
                let settings = cluster.consumer_settings(&group.id);
                let settings = settings.unwrap_or_else(|| core.config.consumer.settings());
                group.start_sessions(core, settings.session_timeout);
            }
            Group::Streams(group) => {
                let settings = cluster.streams_settings(&group.id);
                let settings = settings.unwrap_or_else(|| core.config.streams.settings.clone());
                group.start_sessions(core, settings.session_timeout);
            }
            Group::Share(group) => {
                let settings = cluster.share_settings(&group.id);
                let settings = settings.unwrap_or(core.config.share.settings);
                group.start_sessions(core, settings.session_timeout);
            }
        }
    }

    /// The tombstones of a group of a protocol with several records a group; none for a classic group.
    ///
    /// # Errors
    /// When an id does not encode.
    pub(crate) fn encode_tombstones(&self) -> Result<Vec<CoordinatorRecord>, EncodeError> {
        match self {
            Group::Classic(_) => Ok(Vec::new()),
            Group::Consumer(group) => group
                .tombstones(None)
                .iter()
                .map(|tombstone| consumer::records::encode(&group.id, tombstone))
                .collect(),
            Group::Streams(group) => group
                .tombstones()
                .iter()
                .map(|tombstone| streams::records::encode(&group.id, tombstone))
                .collect(),
            Group::Share(group) => group
                .tombstones()
                .iter()
                .map(|tombstone| share_group::records::encode(&group.id, tombstone))
                .collect(),
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
            Group::Streams(group) => group.cancel_timers(core),
            Group::Share(group) => group.cancel_timers(core),
        }
    }
}
