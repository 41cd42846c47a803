//! A deterministic simulation of one broker: the same seed gives the same trace, byte for byte.
//!
//! What is **real**: the crate `storage` whole (partition logs, producer states, the journal's format, group commit, ring
//! and scan, segments, checkpoints, compaction, retention, tiered storage, recovery), opened without threads ([`storage::Duty`]); the crate `coordinator` whole
//! (groups of every protocol, transactions, the share coordinator and the share partitions of a leader), driven through [`coordinator::StateMachine`]; the
//! judge of the crate `chaos`.
//!
//! What is **modelled**: the disk under the storage's files ([`disk`]: what was not synced may be lost at a power loss,
//! block by block, and the last write may be torn), the network and its delays ([`core`]), the clients ([`clients`]),
//! and the broker's rim that carries requests to logs and machines ([`broker`]); the real rim is asynchronous and is
//! tested by the chaos lane. Topics, and the counter of producer ids, are kept by the simulation: the crate `metastore`
//! is not part of it.
//!
//! **Invariants:** one thread; one seeded generator for every choice; no clock but the virtual one; nothing iterates in
//! the order of a hash. A planted fault ([`plant`]) changes the modelled rim or the modelled disk, never the real code.

pub mod broker;
pub mod clients;
pub mod core;
pub mod disk;
pub mod plant;
mod remote;
pub mod report;
pub mod run;

pub use plant::Plant;
pub use run::{Finding, Outcome, Schedule, run};
