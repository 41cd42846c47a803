//! Share groups of KIP-932 in the group coordinator: who is a member, who reads which share partition, and which
//! share partitions have a state.
//!
//! A share group has epochs, a target assignment and current assignments like a group of the consumer protocol
//! ([`crate::consumer`]), but a member has nothing to give back: partitions are shared, so it is taken to its
//! target in one step. Everything a group is follows from its records ([`records`]), which are written and taken
//! back the way those of the consumer protocol are.
//!
//! A partition is assigned once its state is initialized with the share coordinator
//! ([`crate::share_state`]). The group keeps account of that ([`states`]):
//!
//! ```text
//!                heartbeat                        share_states_initialized
//!   unknown ───────────────▶ initializing ─────────────────────────────────▶ initialized ─▶ assigned
//!      ▲                          │ share_states_not_initialized                  │
//!      │                          ▼                                               ▼ offsets or group deleted
//!      └──────────────────────────┴──────────────── share_offsets_deleted ──── deleting
//! ```
//!
//! What has to be asked of the share coordinator goes out with an answer ([`ShareStates`]); the broker asks, and
//! reports. A report that never comes is made up for: an initialization that took longer than
//! `group.share.initialize.retry.interval.ms` is asked for again, and a deletion is by whoever deletes next.
//!
//! `heartbeat` is the protocol's own request, `offsets` the administrators' requests, `describe` what others ask.

pub(crate) mod assignor;
mod describe;
pub(crate) mod group;
mod heartbeat;
pub(crate) mod member;
mod offsets;
mod plan;
pub(crate) mod records;
pub(crate) mod states;
mod timers;
mod write;

pub use heartbeat::ShareHeartbeat;
pub use offsets::{AlteredShareOffsets, DeletedShareOffsets};

use std::collections::{BTreeMap, BTreeSet};

use base::{Offset, Uuid};

pub(crate) use group::ShareGroup;

/// Share partitions by topic.
pub type SharePartitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// States that the share coordinator has to initialize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareStates {
    /// The state epoch: the group's epoch.
    pub state_epoch: i32,
    /// The start offset of each share partition; -1 leaves it to the first read.
    pub start_offsets: BTreeMap<Uuid, BTreeMap<i32, Offset>>,
}

impl ShareStates {
    /// The share partitions without their offsets.
    #[must_use]
    pub fn partitions(&self) -> SharePartitions {
        self.start_offsets
            .iter()
            .map(|(topic, partitions)| (*topic, partitions.keys().copied().collect()))
            .collect()
    }
}
