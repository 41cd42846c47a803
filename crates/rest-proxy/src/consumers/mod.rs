//! Consumer instances: consumers that outlive a request, and the proxy that made them.
//!
//! An **instance** is a named consumer of a group. One proxy **owns** it: there it has a [`worker`], a thread with
//! librdkafka's consumer. Every proxy knows every instance from a compacted topic ([`log`]), in which the owner keeps the
//! instance's settings, what it reads and how far its client has come ([`record`]). A request that comes to another proxy
//! goes to the owner ([`route`]); when the owner is gone, that proxy **takes over**:
//!
//! 1. it writes itself into the topic as owner with the next *epoch*; of two that do so, the first in the topic has it;
//! 2. it asks the group which partitions the instance's member has, then joins as that member: members are static
//!    (KIP-345), so it gets the same partitions at once, without a rebalance, and the old owner, if it lives, is fenced;
//! 3. it goes on where the client was: for partitions that the member had all along, at the positions in the topic, which
//!    may be ahead of what is committed; for others, at what is committed.
//!
//! A read's records count as received with the client's next request, as the Java client counts them with the next poll.
//! So what a dead owner may have sent, or not, is given again: at least once, and nothing is lost.
//!
//! **Invariants:** an instance is worked on by the owner of its newest epoch only, and whoever finds out that it is not
//! stops. An idle instance goes away after `consumer.instance.timeout.ms`, also one whose owner died. Instances of a proxy,
//! requests that wait for one, and bytes that one has read ahead are bounded.
//!
//! **Not here:** HTTP; what a client sees is in [`crate::v2`].

mod context;
mod housekeeping;
mod instance;
mod log;
mod manager;
mod membership;
mod operations;
mod reading;
mod record;
mod route;
mod state;
mod worker;

pub(crate) use manager::{Consumers, Seat};
pub(crate) use operations::{CommitOffset, SeekTo};
pub(crate) use record::{InstanceId, Interest, Place, Settings};
pub(crate) use route::{Call, Routed};
pub(crate) use worker::Worker;
