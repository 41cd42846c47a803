//! Metadata: what topics there are, how they are configured, who leads what.
//!
//! Two layers:
//! - [`MetaStore`] is a small ordered map with revisions, compare-and-swap transactions, watches and leases; its
//!   meaning is etcd's (v3 API), so that a cluster's engine can be etcd itself. [`EmbeddedStore`] keeps it in
//!   one local file, [`MemoryStore`] in memory for tests. [`conformance`] is the contract as a test suite; each
//!   engine runs it.
//! - [`Metadata`] knows the resources: topics with their partitions, configurations, producer id blocks, feature
//!   levels. It turns each change into one transaction and keeps a [`MetadataImage`] of everything in memory,
//!   which is all that requests ever read.
//!
//! **Invariants:** a transaction that was reported as succeeded is durable and is never lost silently: a damaged
//! file is refused with an error that names it and says what to do, never repaired by dropping what it held. A
//! value read back is exactly the value written, or an error. Nothing here panics on bytes from the disk.
//!
//! Everything blocks. Callers on an asynchronous runtime use its pool of blocking threads. This crate knows
//! neither Kafka's requests nor its error codes.

pub mod conformance;
mod engine;
mod error;
mod image;
mod metadata;
pub mod quota;
pub mod resource;
mod store;

pub use engine::{EmbeddedStore, MemoryStore};
pub use error::{ErrorKind, MetaStoreError};
pub use image::{MetadataImage, TopicImage};
pub use metadata::{ConfigResource, CreateError, Metadata, MetadataError, NewTopic, QuotaChange};
pub use store::{
    Compare, Event, EventKind, KeyValue, Lease, LeaseId, MetaStore, Op, Range, Revision,
    TxnOutcome, Watch, limits,
};
