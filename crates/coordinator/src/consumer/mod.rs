//! Consumer groups of the KIP-848 protocol: the broker assigns, and members follow at their own pace.
//!
//! Words used here, all Kafka's. A group has an *epoch* that grows with each change of who wants what. An
//! [`assignor`] makes a *target assignment* for an epoch: what each member shall have. A member is at a *member
//! epoch* with a *current assignment*: what it has. Each heartbeat *reconciles* one member: it takes it one step
//! from its current assignment towards the target ([`reconcile`]).
//!
//! ```text
//! heartbeat ─▶ member and subscription (plan) ─▶ group epoch ─▶ target assignment ─▶ reconcile ─▶ records
//! ```
//!
//! Everything a group is follows from its records ([`records`]): a handler collects records, [`write`] applies
//! them and appends them, and the answer waits until they are durable. What is in the way of that (an append that
//! fails) is taken back record by record. So live state and replayed state are the same by construction.
//!
//! `heartbeat` and `leave` are the protocol's own requests, `classic` serves JoinGroup, SyncGroup, Heartbeat and
//! LeaveGroup to members that still use the classic protocol, `migrate` turns a live group of one protocol into
//! one of the other, `describe` and `offsets` are what other requests ask of a group.

pub(crate) mod assignment;
pub(crate) mod assignor;
mod classic;
mod describe;
mod embedded;
pub(crate) mod group;
pub(crate) mod heartbeat;
pub(crate) mod leave;
pub(crate) mod member;
pub(crate) mod metadata_hash;
mod migrate;
pub(crate) mod offsets;
pub(crate) mod plan;
mod reconcile;
pub(crate) mod records;
mod regex;
mod steady;
mod target;
mod timers;
pub(crate) mod write;

pub(crate) use group::ConsumerGroup;
pub use heartbeat::MaySee;
pub(crate) use offsets::Committer;

use wire::ErrorCode;

/// Why a request is refused: the code, and the words Kafka has for it where the response has room for some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: Some(message.into()),
        }
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Failure {
        Failure {
            code,
            message: None,
        }
    }
}
