//! What an append changes once its outcome is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use wire::messages::join_group_request::JoinGroupRequestProtocol;

use super::core::Waiting;
use super::groups::Group;
use super::write::Written;
use crate::offsets::OffsetEntry;

/// What happens when an append is durable or has failed.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Offsets and group deletions: applied when durable, forgotten when not.
    Changes(Vec<Change>),
    /// Offsets that a transaction commits: pending when durable, until the transaction ends.
    TxnOffsets {
        producer_id: i64,
        changes: Vec<Change>,
    },
    /// The end of a producer's transaction, which changes offsets of these groups.
    EndTxn {
        producer_id: i64,
        committed: bool,
        groups: Vec<Arc<str>>,
    },
    /// The first record of a group that JoinGroup made, so that the group exists in the log too.
    NewGroup {
        group: Arc<str>,
        incarnation: u64,
        /// The empty group of another protocol in whose place it is, whose tombstones stand before the record.
        replaced: Option<Box<Group>>,
    },
    /// A generation without members.
    EmptyGroup { group: Arc<str>, incarnation: u64 },
    /// The leader's assignment.
    Assignment(Assignment),
    /// A static member that restarted without a rebalance.
    StaticMember(Box<StaticMember>),
    /// Records of a consumer or streams group: applied when the append started, taken back when it fails.
    Written(Box<Written>),
}

/// One change of the durable state, in the order of its record.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    PutOffset {
        group: Arc<str>,
        topic: String,
        partition: i32,
        entry: OffsetEntry,
    },
    RemoveOffset {
        group: Arc<str>,
        topic: String,
        partition: i32,
    },
    DeleteGroup {
        group: Arc<str>,
        incarnation: u64,
    },
}

impl Change {
    pub(crate) fn group(&self) -> &Arc<str> {
        match self {
            Change::PutOffset { group, .. }
            | Change::RemoveOffset { group, .. }
            | Change::DeleteGroup { group, .. } => group,
        }
    }
}

/// The assignment of one generation.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) group: Arc<str>,
    pub(crate) incarnation: u64,
    pub(crate) generation: i32,
    pub(crate) leader: Arc<str>,
    pub(crate) by_member: BTreeMap<Arc<str>, Bytes>,
}

/// How to finish or take back the replacement of a static member's id.
#[derive(Debug)]
pub(crate) struct StaticMember {
    pub(crate) group: Arc<str>,
    pub(crate) incarnation: u64,
    pub(crate) instance_id: String,
    pub(crate) old_id: Arc<str>,
    pub(crate) new_id: Arc<str>,
    pub(crate) old_protocols: Vec<JoinGroupRequestProtocol>,
    pub(crate) old_rebalance_timeout_ms: i32,
    pub(crate) old_session_timeout_ms: i32,
    /// The leader before the replacement, which versions before 9 are told.
    pub(crate) old_leader: Option<Arc<str>>,
    pub(crate) waiting: Waiting,
    /// Earlier replacements in the same group whose own records failed: this record carries them, and they
    /// are taken back with it.
    pub(crate) inherited: Vec<StaticMember>,
}
