//! One member of a share group. Source: Kafka's `ShareGroupMember`.

use std::collections::BTreeSet;

use crate::consumer::assignment::Partitions;
use crate::member;

/// Who a member is and what it wants: the ShareGroupMemberMetadata record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemberMetadata {
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) topic_names: BTreeSet<String>,
}

/// What a member has: the ShareGroupCurrentMemberAssignment record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CurrentAssignment {
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    pub(crate) assigned: Partitions,
}

impl Default for CurrentAssignment {
    /// That of a member that has just come.
    fn default() -> CurrentAssignment {
        CurrentAssignment {
            epoch: 0,
            previous_epoch: -1,
            assigned: Partitions::new(),
        }
    }
}

/// A member.
pub(crate) type Member = member::Member<MemberMetadata, CurrentAssignment>;
