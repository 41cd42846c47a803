//! Streams groups of KIP-1071: the broker assigns the tasks of a Kafka Streams application to its instances.
//!
//! Words used here, all Kafka's. An application has a *topology*: *subtopologies* that read *source topics* and
//! *repartition source topics*, write *repartition sink topics*, and keep state in *changelog topics*. A *task* is
//! one partition of a subtopology: *active* where it is processed, *standby* where its state is kept up to date,
//! *warmup* where its state is on the way. A *process* is one instance; its threads are the *members*. As in consumer
//! groups ([`crate::consumer`]), the group has an *epoch* that grows with each change, a *target assignment* is made
//! for an epoch, and each heartbeat *reconciles* one member with it.
//!
//! ```text
//! heartbeat ─▶ member ─▶ topology ─▶ partitions of internal topics ─▶ group epoch ─▶ target ─▶ reconcile ─▶ records
//!                                               │
//!                                               └▶ topics that the broker has to create first
//! ```
//!
//! The topology is in the log; what follows from it and from the topics there are ([`configured`]) is not, and is
//! computed again when topics change. Until every topic is there with the partitions it has to have, the group is
//! NotReady: its members get no tasks and are told what is wrong.
//!
//! Records are written by [`crate::consumer::write`], as those of consumer groups: applied at once, answered for when
//! durable, taken back when they fail. The request to shut the application down, the epoch of the endpoints and the
//! task offsets that members report are not in the log, as in Kafka: they are told again, or asked for again.
//! What is assigned depends on offsets that were reported, so that a shard which has just loaded may assign otherwise;
//! what was assigned is in the log.
//!
//! Not here, as in Apache Kafka: topologies cannot be changed in a live group; source topics cannot be patterns, which
//! `GroupCoordinatorService` of 4.3.1 refuses with the same words; and no warmup task is ever assigned, since
//! `StickyTaskAssignor`, the only assignor, has none to give, so that `num.warmup.replicas` decides nothing.

pub(crate) mod assignor;
mod configured;
mod describe;
mod endpoints;
mod group;
mod heartbeat;
mod internal_topics;
mod leave;
mod member;
mod offsets;
mod plan;
mod reconcile;
pub(crate) mod records;
mod target;
mod tasks;
mod timers;
mod topology;
mod validate;
mod write;

pub(crate) use group::StreamsGroup;
pub use internal_topics::InternalTopic;

use wire::messages::StreamsGroupHeartbeatResponse;

/// The answer to a StreamsGroupHeartbeat, and what has to be there before the group gets its tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamsHeartbeat {
    /// The answer; the broker adds to its MISSING_INTERNAL_TOPICS status what comes of creating the topics.
    pub response: StreamsGroupHeartbeatResponse,
    /// Internal topics that do not exist, for the broker to create.
    pub missing_topics: Vec<InternalTopic>,
}
