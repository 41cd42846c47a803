//! What a shard is told of the cluster: the topics there are, and what was set on a group.
//!
//! A shard never asks a broker anything; it looks things up in a [`ClusterView`], which answers from memory. A
//! lookup shows the present. Whoever changes topics makes the change visible here first and then calls
//! [`Shard::topics_changed`](crate::Shard::topics_changed), so that a group which looked too early looks again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::Uuid;

/// A topic as groups need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Its identity.
    pub id: Uuid,
    /// Its name.
    pub name: Arc<str>,
    /// How many partitions it has.
    pub partitions: i32,
    /// The rack of the broker that holds them all; none when `broker.rack` is not set.
    pub rack: Option<Arc<str>>,
}

/// What is set on one consumer group, the broker's values where nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// `consumer.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `consumer.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `consumer.assignment.interval.ms`.
    pub assignment_interval: Duration,
}

/// What is set on one streams group, the broker's values where nothing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsSettings {
    /// `streams.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `streams.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `streams.assignment.interval.ms`.
    pub assignment_interval: Duration,
    /// `streams.initial.rebalance.delay.ms`: how long the first assignment of an empty group waits for members.
    pub initial_rebalance_delay: Duration,
    /// `streams.num.standby.replicas`: copies of a task's state besides the active task's.
    pub standby_replicas: usize,
    /// `streams.rack.aware.assignment.tags`: the client tags whose values the copies of a task shall differ in, the
    /// most important first.
    pub rack_aware_tags: Arc<[String]>,
    /// `streams.task.offset.interval.ms`: how often members are told to report the positions of their tasks.
    pub task_offset_interval: Duration,
    /// `streams.acceptable.recovery.lag`, in records.
    pub acceptable_recovery_lag: i64,
}

/// What is set on one share group, the broker's values where nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareSettings {
    /// `share.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `share.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `share.assignment.interval.ms`.
    pub assignment_interval: Duration,
}

/// The topics of the cluster and the configs of its groups.
///
/// Called while a request is handled, so an implementation answers from memory.
pub trait ClusterView: Send + Sync + fmt::Debug + 'static {
    /// The topic of this name.
    fn topic(&self, name: &str) -> Option<TopicMetadata>;

    /// The topic of this id.
    fn topic_by_id(&self, id: Uuid) -> Option<TopicMetadata>;

    /// The names of all topics, in order.
    fn topic_names(&self) -> Vec<String>;

    /// A number that grows with each change of the topics; written down beside resolved regular expressions.
    fn version(&self) -> i64;

    /// What is in force for the group; none for the values the shard was made with.
    fn consumer_settings(&self, group_id: &str) -> Option<ConsumerSettings> {
        let _ = group_id;
        None
    }

    /// What is in force for the streams group; none for the values the shard was made with.
    fn streams_settings(&self, group_id: &str) -> Option<StreamsSettings> {
        let _ = group_id;
        None
    }

    /// What is in force for the share group; none for the values the shard was made with.
    fn share_settings(&self, group_id: &str) -> Option<ShareSettings> {
        let _ = group_id;
        None
    }
}

/// A cluster without topics, for shards whose groups all use the classic protocol.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NoTopics;

impl ClusterView for NoTopics {
    fn topic(&self, _: &str) -> Option<TopicMetadata> {
        None
    }

    fn topic_by_id(&self, _: Uuid) -> Option<TopicMetadata> {
        None
    }

    fn topic_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn version(&self) -> i64 {
        0
    }
}
