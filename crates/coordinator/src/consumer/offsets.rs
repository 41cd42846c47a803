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

/// Whether a fetch that names neither member nor epoch asks: those of an administrator are for everybody.
pub(crate) fn is_fetch_from_outside(member_id: Option<&str>, epoch: i32) -> bool {
    member_id.is_none() && epoch < 0
}

/// Whether a member at `current` that was at `previous` before may fetch at `epoch`. `in_flight` says that the group has
/// changes that are not durable: a member need not know of those yet, so its epoch before them is good.
pub(crate) fn may_fetch(epoch: i32, (current, previous): (i32, i32), in_flight: bool) -> bool {
    epoch == current || (in_flight && epoch == previous)
}

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

impl Committer<'_> {
    /// Whether nobody's membership is asked for: a commit from outside while the group is empty, and one of a
    /// transactional producer that does not say for whom.
    pub(crate) fn is_outside(&self, is_empty: bool) -> bool {
        let is_nobody = self.epoch == -1 && self.member_id.is_empty() && self.instance_id.is_none();
        (self.epoch < 0 && is_empty) || (self.version.is_none() && is_nobody)
    }

    /// Whether the request is of a version that has no member epoch.
    pub(crate) fn lacks_epoch(&self) -> bool {
        self.version
            .is_some_and(|version| version < MEMBER_EPOCH_VERSION)
    }

    /// Whether a member at the epoch `current` may commit at the committer's: its own, or an earlier one when it has had
    /// all the partitions since; `assigned` says since which epoch it has each.
    pub(crate) fn may_commit(
        &self,
        current: i32,
        mut assigned: impl Iterator<Item = Option<i32>>,
    ) -> bool {
        match self.epoch.cmp(&current) {
            Ordering::Equal => true,
            Ordering::Greater => false,
            Ordering::Less => {
                assigned.all(|assigned| assigned.is_some_and(|assigned| self.epoch >= assigned))
            }
        }
    }
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
        if committer.is_outside(self.members.is_empty()) {
            return Ok(());
        }
        let member = self
            .members
            .get(committer.member_id)
            .ok_or(ErrorCode::UnknownMemberId)?;
        if committer.lacks_epoch() && !member.uses_classic_protocol() {
            return Err(ErrorCode::UnsupportedVersion);
        }
        let current = &member.current;
        let assigned = partitions.map(|(topic, partition)| {
            assignment_epoch(&current.assigned, topic, partition)
                .or_else(|| assignment_epoch(&current.revoking, topic, partition))
        });
        if committer.may_commit(current.epoch, assigned) {
            Ok(())
        } else {
            Err(wrong_epoch(member))
        }
    }

    /// Whether a fetch that names a member may read the group's offsets; `in_flight` as in [`may_fetch`].
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID; STALE_MEMBER_EPOCH, for a classic member ILLEGAL_GENERATION.
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
        let member = member.ok_or(ErrorCode::UnknownMemberId)?;
        let current = &member.current;
        if may_fetch(epoch, (current.epoch, current.previous_epoch), in_flight) {
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
