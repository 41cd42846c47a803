//! Who may commit and fetch offsets of a streams group. Source: Kafka's `StreamsGroup.validateOffsetCommit`,
//! `validateOffsetFetch` and `createAssignmentEpochValidator` (KIP-1251), 4.3.

use std::cmp::Ordering;

use wire::ErrorCode;

use super::group::StreamsGroup;
use super::member::Member;
use super::tasks::assignment_epoch;
use crate::consumer::Committer;

/// The version of OffsetCommit from which on it carries a member epoch.
const MEMBER_EPOCH_VERSION: i16 = 9;

impl StreamsGroup {
    /// Whether the committer may commit offsets of `partitions`, topic names with indexes.
    ///
    /// A commit from outside is taken while the group is empty. A member commits at its own epoch; at an earlier one
    /// it may still commit for the tasks it has had all the while since.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID; STALE_MEMBER_EPOCH; UNSUPPORTED_VERSION for a version that has no member epoch.
    pub(crate) fn validate_commit<'t>(
        &self,
        committer: Committer<'_>,
        partitions: impl Iterator<Item = (&'t str, i32)>,
    ) -> Result<(), ErrorCode> {
        let Committer {
            member_id,
            instance_id,
            epoch,
            version,
        } = committer;
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        // A transactional producer need not say for whom it commits.
        if version.is_none() && epoch == -1 && member_id.is_empty() && instance_id.is_none() {
            return Ok(());
        }
        let member = self
            .members
            .get(member_id)
            .ok_or(ErrorCode::UnknownMemberId)?;
        if version.is_some_and(|version| version < MEMBER_EPOCH_VERSION) {
            return Err(ErrorCode::UnsupportedVersion);
        }
        let accepted = match epoch.cmp(&member.current.epoch) {
            Ordering::Equal => true,
            Ordering::Greater => false,
            Ordering::Less => partitions.into_iter().all(|(topic, partition)| {
                let assigned = self.assigned_at(member, topic, partition);
                assigned.is_some_and(|assigned| epoch >= assigned)
            }),
        };
        if accepted {
            Ok(())
        } else {
            Err(ErrorCode::StaleMemberEpoch)
        }
    }

    /// The epoch at which the member got the active task that reads this partition.
    fn assigned_at(&self, member: &Member, topic: &str, partition: i32) -> Option<i32> {
        let subtopology = self.topology.as_ref()?.reader(topic)?;
        let current = &member.current;
        assignment_epoch(&current.assigned.active, subtopology, partition)
            .or_else(|| assignment_epoch(&current.revoking.active, subtopology, partition))
    }

    /// Whether a fetch that names a member may read the group's offsets. `in_flight` says that the group has changes
    /// that are not durable: a member need not know of those yet, so its epoch before them is good.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID; STALE_MEMBER_EPOCH.
    pub(crate) fn validate_fetch(
        &self,
        member_id: Option<&str>,
        epoch: i32,
        in_flight: bool,
    ) -> Result<(), ErrorCode> {
        if member_id.is_none() && epoch < 0 {
            return Ok(());
        }
        let member = member_id.and_then(|id| self.members.get(id));
        let current = &member.ok_or(ErrorCode::UnknownMemberId)?.current;
        if epoch == current.epoch || (in_flight && epoch == current.previous_epoch) {
            Ok(())
        } else {
            Err(ErrorCode::StaleMemberEpoch)
        }
    }
}
