//! Kafka's coordinators as sans-I/O state machines: groups here, transactions in [`transaction`], the state of share
//! partitions in [`share_state`]; [`share_partition`] delivers their records. What they have in common is [`StateMachine`].
//!
//! A [`Shard`] is the coordinator of one partition of `__consumer_offsets`: every group whose id hashes to
//! that partition ([`partition_for`]), with its members and its committed offsets. It does no I/O. The
//! broker calls one method per request and gets [`Action`]s back: answers to send, and records to append to
//! the partition. It reports each append with [`Shard::committed`] or [`Shard::failed`], and calls
//! [`Shard::tick`] when [`Shard::next_deadline`] has come.
//!
//! ```text
//!              requests, committed / failed, tick
//!   broker  ────────────────────────────────────────▶  Shard { groups, offsets, commits, timers }
//!           ◀────────────────────────────────────────
//!              Reply { token, .. }, Append { commit, records }
//! ```
//!
//! Lifecycle: `Shard::new` (loading: requests get COORDINATOR_LOAD_IN_PROGRESS) → [`Shard::replay`] each
//! record of the partition, oldest first → [`Shard::loaded`] (serving) → [`Shard::unload`] (everything that
//! waits gets NOT_COORDINATOR).
//!
//! The semantics are those of Apache Kafka 4.3's `GroupMetadataManager`, `ClassicGroup`, `ConsumerGroup` and
//! `OffsetMetadataManager` for the classic protocol (`group`), the consumer protocol of KIP-848 (`consumer`) and the
//! streams protocol of KIP-1071 (`streams`), and share groups of KIP-932 ([`share_group`]). Places that differ on purpose say
//! "Differs:".
//!
//! # Invariants
//!
//! - **State is a function of the log.** What a shard knows of a group in state Stable or Empty, and every
//!   offset it serves, is what [`Shard::replay`] rebuilds from the committed records.
//! - **Reserve is not publish.** A committed offset is visible to OffsetFetch only once its record is
//!   durable; a SyncGroup answer with an assignment is released only once the assignment is.
//! - **Every request gets exactly one reply**, also when a newer request supersedes it, its group is
//!   deleted, its append fails, or the shard is unloaded.
//! - **Deterministic.** Time comes from the [`base::Clock`], randomness from [`MemberIds`]; collections
//!   that are walked over are in key order. The same calls give the same actions.
//!
//! # Memory
//!
//! A shard holds one entry per group, member, pending member id and committed offset, and one per append in
//! flight: roughly 300 bytes per group, 400 bytes plus its subscription and assignment per member, and 100
//! bytes plus topic name and metadata per offset. `group.max.size` bounds members per group; session
//! timeouts bound pending member ids; `offsets.retention.minutes` bounds what idle groups keep.

mod action;
mod cluster;
mod config;
mod consumer;
mod group;
mod machine;
mod member;
mod offsets;
mod partition;
mod partition_lists;
mod record;
mod revocation;
mod shard;
pub mod share_group;
pub mod share_partition;
pub mod share_state;
mod streams;
mod timer;
pub mod transaction;

pub use action::{
    Action, AppendError, CommitId, CoordinatorRecord, RequestContext, Response, Token,
    TransactionMarker, TransactionalProducer,
};
pub use cluster::{ClusterView, ConsumerSettings, ShareSettings, StreamsSettings, TopicMetadata};
pub use config::{
    ConsumerGroupConfig, GroupConfig, MigrationPolicy, ShareGroupConfig, StreamsGroupConfig,
};
pub use consumer::MaySee;
pub use consumer::assignor::Assignor;
pub use group::{GroupState, MemberIds};
pub use machine::{Actions, StateMachine};
pub use offsets::{from_grouped_fetch, to_grouped_fetch};
pub use partition::partition_for;
pub use record::ReplayError;
pub use shard::{Replayed, Shard};
pub use streams::{InternalTopic, StreamsHeartbeat};
