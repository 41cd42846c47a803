//! Who may commit and fetch offsets of a consumer group. Source: Kafka's `ConsumerGroup.validateOffsetCommit`,
//! `validateOffsetFetch` and `createAssignmentEpochValidator` (KIP-1251), 4.3.

use std::cmp::Ordering;

use base::Uuid;
use wire::ErrorCode;

use super::assignment::assignment_epoch;
use super::group::ConsumerGroup;
use super::member::Member;

/// The version of OffsetCommit from which on it carries a member epoch.
const MEMBER_EPOCH_VERSION: i16 = 9;

/// Who commits, and by which request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committer<'a> {
    pub(crate) member_id: &'a str,
    pub(crate) instance_id: Option<&'a str>,
    /// The member epoch, or the generation of a classic member.
    pub(crate) epoch: i32,
    /// The version of OffsetCommit; none for TxnOffsetCommit.
    pub(crate) version: Option<i16>,
}

impl ConsumerGroup {
    /// Whether the committer may commit offsets of `partitions`, topic ids with indexes.
    ///
    /// A commit from outside is taken while the group is empty. A member commits at its own epoch; at an earlier
    /// one it may still commit what it has had all the while since: the commit was under way while the member
    /// moved on. A topic without an id, which the broker did not find, is nobody's.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID; STALE_MEMBER_EPOCH, for a classic member ILLEGAL_GENERATION; UNSUPPORTED_VERSION for
    /// a version that has no member epoch.
    pub(crate) fn validate_commit(
        &self,
        committer: Committer<'_>,
        partitions: impl Iterator<Item = (Uuid, i32)>,
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
        let too_old = version.is_some_and(|version| version < MEMBER_EPOCH_VERSION);
        if too_old && !member.uses_classic_protocol() {
            return Err(ErrorCode::UnsupportedVersion);
        }
        let accepted = match epoch.cmp(&member.current.epoch) {
            Ordering::Equal => true,
            Ordering::Greater => false,
            Ordering::Less => partitions.into_iter().all(|(topic, partition)| {
                let current = &member.current;
                let assigned = assignment_epoch(&current.assigned, topic, partition)
                    .or_else(|| assignment_epoch(&current.revoking, topic, partition));
                assigned.is_some_and(|assigned| epoch >= assigned)
            }),
        };
        if accepted {
            Ok(())
        } else {
            Err(wrong_epoch(member))
        }
    }

    /// Whether a fetch that names a member may read the group's offsets. `in_flight` says that the group has
    /// changes that are not durable: a member need not know of those yet, so its epoch before them is good.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID; STALE_MEMBER_EPOCH, for a classic member ILLEGAL_GENERATION.
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
        let member = member.ok_or(ErrorCode::UnknownMemberId)?;
        let current = &member.current;
        if epoch == current.epoch || (in_flight && epoch == current.previous_epoch) {
            Ok(())
        } else {
            Err(wrong_epoch(member))
        }
    }
}

fn wrong_epoch(member: &Member) -> ErrorCode {
    if member.uses_classic_protocol() {
        ErrorCode::IllegalGeneration
    } else {
        ErrorCode::StaleMemberEpoch
    }
}
