//! The vocabulary every other crate shares: newtypes, clocks, errors.
//!
//! Two bare integers of one type never meet in a signature of this workspace; the newtypes of
//! [`ids`] keep an offset from being taken for an epoch. [`clock`] puts time behind a trait, so that
//! state machines run under a simulated one.
//!
//! **Invariant:** this crate does no I/O and knows nothing of Kafka's requests.

pub mod clock;
pub mod config;
pub mod error;
pub mod ids;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use error::ErrorChain;
pub use ids::{
    LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId, Uuid,
};
