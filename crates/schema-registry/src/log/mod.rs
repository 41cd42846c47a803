//! A topic that holds a state: one partition, compacted. There is one for schemas and one for keys.
//!
//! What its records make is a [`Replay`]; reading and writing are the same for each. Every instance reads it from its
//! first record on, in a thread of its own ([`reader`]), and applies what it reads to the state. One instance writes,
//! the leader ([`writer`]). The state has no other source, not even for the leader's own writes: a write is answered
//! once it was read back.
//!
//! **Who writes.** An election says who should ([`crate::election`]); that alone would not do, because who lost an
//! election may not know it yet. So the leader writes as a transactional producer whose `transactional.id` is that of
//! group and topic: opening it fences every producer opened before, and ends what that left open. A *session* is one
//! such producer. It begins with a record that changes nothing ([`Replay::opening`]), read back before anything is
//! planned; whatever any earlier leader wrote is before that record, and whoever writes after it has fenced the
//! session. So what a plan sees is all there is: no id is given twice, whoever was killed or cut off when.
//!
//! Differs: Confluent's leader writes with a plain producer, and a leader that was cut off may write once more after
//! its successor. Its registries read this topic all the same: a transaction's control records are not shown to a
//! consumer, and the records of the few transactions that are aborted were never acknowledged.

pub mod memory;
pub mod reader;
pub mod replay;
pub mod topic;
pub mod writer;

pub use memory::MemoryLog;
pub use reader::Reader;
pub use replay::{Encoded, Replay, Spellings};
pub use writer::{KafkaLog, Writer};
