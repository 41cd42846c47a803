//! One member of a consumer group. Source: Kafka's `ConsumerGroupMember`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::assignment::Owned;
use crate::member;

/// The epoch of a member that wants to join, or to come back after it was fenced.
pub(crate) const JOIN_EPOCH: i32 = 0;
/// The epoch by which a member leaves.
pub(crate) const LEAVE_EPOCH: i32 = -1;
/// The epoch by which a static member leaves to come back.
pub(crate) const STATIC_LEAVE_EPOCH: i32 = -2;

/// How far a member is with its assignment (`MemberState`; the number is the record's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It has its assignment.
    Stable,
    /// It has to give up partitions before it gets to the next epoch.
    UnrevokedPartitions,
    /// It waits for partitions that others have to give up.
    UnreleasedPartitions,
    /// Written by a later version.
    Unknown,
}

impl MemberState {
    pub(crate) fn code(self) -> i8 {
        match self {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
            MemberState::Unknown => 127,
        }
    }

    pub(crate) fn from_code(code: i8) -> MemberState {
        match code {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            2 => MemberState::UnreleasedPartitions,
            _ => MemberState::Unknown,
        }
    }
}

/// What a member that uses the classic protocol said in JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClassicMetadata {
    pub(crate) session_timeout_ms: i32,
    /// Name and metadata, in the member's order of preference; never empty.
    pub(crate) protocols: Vec<(String, Bytes)>,
}

/// Who a member is and what it wants: the ConsumerGroupMemberMetadata record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberMetadata {
    pub(crate) instance_id: Option<Arc<str>>,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) topic_names: BTreeSet<String>,
    /// Empty for none.
    pub(crate) topic_regex: Arc<str>,
    /// -1 until the member has said it.
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) assignor: Option<String>,
    /// Set for a member that uses the classic protocol.
    pub(crate) classic: Option<ClassicMetadata>,
}

impl Default for MemberMetadata {
    fn default() -> MemberMetadata {
        MemberMetadata {
            instance_id: None,
            rack_id: None,
            client_id: String::new(),
            client_host: String::new(),
            topic_names: BTreeSet::new(),
            topic_regex: "".into(),
            rebalance_timeout_ms: -1,
            assignor: None,
            classic: None,
        }
    }
}

/// What a member has: the ConsumerGroupCurrentMemberAssignment record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CurrentAssignment {
    pub(crate) state: MemberState,
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    pub(crate) assigned: Owned,
    /// What the member has to give up before it gets on.
    pub(crate) revoking: Owned,
}

impl Default for CurrentAssignment {
    fn default() -> CurrentAssignment {
        CurrentAssignment {
            state: MemberState::Stable,
            epoch: JOIN_EPOCH,
            previous_epoch: -1,
            assigned: Owned::new(),
            revoking: Owned::new(),
        }
    }
}

impl CurrentAssignment {
    /// The same, one step on.
    pub(crate) fn advanced(&self, state: MemberState, epoch: i32) -> CurrentAssignment {
        CurrentAssignment {
            state,
            epoch,
            previous_epoch: self.epoch,
            assigned: Owned::new(),
            revoking: Owned::new(),
        }
    }
}

/// A member.
pub(crate) type Member = member::Member<MemberMetadata, CurrentAssignment>;

impl Member {
    pub(crate) fn uses_classic_protocol(&self) -> bool {
        self.metadata.classic.is_some()
    }

    pub(crate) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.epoch == epoch
    }

    pub(crate) fn rebalance_timeout(&self) -> Duration {
        crate::group::millis(self.metadata.rebalance_timeout_ms)
    }

    /// The session timeout the member asked for itself, by JoinGroup.
    pub(crate) fn classic_session_timeout(&self) -> Option<Duration> {
        let classic = self.metadata.classic.as_ref()?;
        Some(crate::group::millis(classic.session_timeout_ms))
    }

    /// Name and metadata of the protocol a classic member likes best.
    pub(crate) fn classic_protocol(&self) -> Option<&(String, Bytes)> {
        self.metadata.classic.as_ref()?.protocols.first()
    }
}
