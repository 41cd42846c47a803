//! One member of a streams group, a thread of an instance. Source: Kafka's `StreamsGroupMember`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::tasks::OwnedTasks;
use crate::consumer::member::{JOIN_EPOCH, MemberState};
use crate::member;

/// Where an instance answers interactive queries: `application.server`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserEndpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Who a member is: the StreamsGroupMemberMetadata record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberMetadata {
    pub(crate) instance_id: Option<Arc<str>>,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    /// -1 until the member has said it.
    pub(crate) rebalance_timeout_ms: i32,
    /// The epoch of the topology the member runs.
    pub(crate) topology_epoch: i32,
    /// Tells instances apart: members with the same one share their state directory.
    pub(crate) process_id: Arc<str>,
    pub(crate) user_endpoint: Option<UserEndpoint>,
    pub(crate) client_tags: BTreeMap<String, String>,
}

impl Default for MemberMetadata {
    fn default() -> MemberMetadata {
        MemberMetadata {
            instance_id: None,
            rack_id: None,
            client_id: String::new(),
            client_host: String::new(),
            rebalance_timeout_ms: -1,
            topology_epoch: -1,
            process_id: "".into(),
            user_endpoint: None,
            client_tags: BTreeMap::new(),
        }
    }
}

impl MemberMetadata {
    /// Whether `other` can take this one's place without anyone getting other tasks: the assignment depends on
    /// nothing else of a member.
    pub(crate) fn is_assigned_like(&self, other: &MemberMetadata) -> bool {
        self.topology_epoch == other.topology_epoch
            && self.rack_id == other.rack_id
            && self.client_tags == other.client_tags
            && self.process_id == other.process_id
    }
}

/// What a member has: the StreamsGroupCurrentMemberAssignment record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CurrentAssignment {
    /// `UnrevokedPartitions` stands for Kafka's UNREVOKED_TASKS, `UnreleasedPartitions` for UNRELEASED_TASKS; the
    /// numbers are the same.
    pub(crate) state: MemberState,
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    pub(crate) assigned: OwnedTasks,
    /// What the member has to give up before it gets on.
    pub(crate) revoking: OwnedTasks,
}

impl Default for CurrentAssignment {
    fn default() -> CurrentAssignment {
        CurrentAssignment {
            state: MemberState::Stable,
            epoch: JOIN_EPOCH,
            previous_epoch: 0,
            assigned: OwnedTasks::default(),
            revoking: OwnedTasks::default(),
        }
    }
}

/// A member.
pub(crate) type Member = member::Member<MemberMetadata, CurrentAssignment>;

impl Member {
    pub(crate) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.epoch == epoch
    }

    pub(crate) fn rebalance_timeout(&self) -> Duration {
        crate::group::millis(self.metadata.rebalance_timeout_ms)
    }
}
