//! Who may commit and fetch offsets of a streams group. Source: Kafka's `StreamsGroup.validateOffsetCommit`,
//! `validateOffsetFetch` and `createAssignmentEpochValidator` (KIP-1251), 4.3.

use wire::ErrorCode;

use super::group::StreamsGroup;
use super::member::Member;
use super::tasks::assignment_epoch;
use crate::consumer::offsets::{Committer, is_fetch_from_outside, may_fetch};

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
        if committer.is_outside(self.members.is_empty()) {
            return Ok(());
        }
        let member = self
            .members
            .get(committer.member_id)
            .ok_or(ErrorCode::UnknownMemberId)?;
        if committer.lacks_epoch() {
            return Err(ErrorCode::UnsupportedVersion);
        }
        let assigned =
            partitions.map(|(topic, partition)| self.assigned_at(member, topic, partition));
        if committer.may_commit(member.current.epoch, assigned) {
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

    /// Whether a fetch that names a member may read the group's offsets; `in_flight` as in [`may_fetch`].
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID; STALE_MEMBER_EPOCH.
    pub(crate) fn validate_fetch(
        &self,
        member_id: Option<&str>,
        epoch: i32,
        in_flight: bool,
    ) -> Result<(), ErrorCode> {
        if is_fetch_from_outside(member_id, epoch) {
            return Ok(());
        }
        let member = member_id.and_then(|id| self.members.get(id));
        let current = &member.ok_or(ErrorCode::UnknownMemberId)?.current;
        if may_fetch(epoch, (current.epoch, current.previous_epoch), in_flight) {
            Ok(())
        } else {
            Err(ErrorCode::StaleMemberEpoch)
        }
    }
}
