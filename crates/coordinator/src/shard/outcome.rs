//! What the outcome of an append does to the state it was about.
//!
//! Source: the `appendFuture` callbacks of Kafka's `GroupMetadataManager`.

use super::Shard;
use super::core::PendingCommit;
use super::effect::{Assignment, Change, Effect, StaticMember};
use super::groups::{Group, Lifecycle};
use crate::action::{AppendError, CommitId, Response, Token};
use crate::group::ClassicGroup;

impl Shard {
    /// The append is durable: publish.
    pub(super) fn on_durable(&mut self, commit: CommitId, mut pending: PendingCommit) {
        let replies = pending.take_replies();
        match pending.effect {
            Effect::Changes(changes) => {
                self.offsets.unstage(commit, &changes);
                changes.into_iter().for_each(|change| self.apply(change));
            }
            Effect::TxnOffsets {
                producer_id,
                changes,
            } => {
                self.offsets.unstage(commit, &changes);
                self.hold_offsets(producer_id, changes);
            }
            Effect::EndTxn {
                producer_id,
                committed,
                groups,
            } => {
                self.offsets.unstage_groups(commit, &groups);
                self.end_open_transaction(producer_id, committed);
            }
            Effect::NewGroup {
                group, incarnation, ..
            }
            | Effect::EmptyGroup { group, incarnation } => {
                if let Some(group) = incarnated(self.groups.get_mut(&group), incarnation) {
                    group.lifecycle.durable = true;
                }
            }
            Effect::Assignment(assignment) => {
                let group = self.groups.get_mut(&assignment.group);
                if let Some(group) = incarnated(group, assignment.incarnation) {
                    group.lifecycle.durable = true;
                    group.assignment_durable(&mut self.core, &assignment);
                }
            }
            Effect::StaticMember(member) => {
                let group = self.groups.get_mut(&member.group);
                if let Some(group) = incarnated(group, member.incarnation) {
                    group.static_member_durable(&mut self.core, &member);
                }
            }
            Effect::Written(written) => self.written_durable(commit, &written),
        }
        for (token, response) in replies {
            self.core.reply(token, response);
        }
    }

    /// The append is not in the log: take back.
    pub(super) fn on_failed(
        &mut self,
        commit: CommitId,
        mut pending: PendingCommit,
        error: AppendError,
    ) {
        let replies: Vec<(Token, Response)> = pending.take_replies().collect();
        match &mut pending.effect {
            Effect::Changes(changes) => {
                self.offsets.unstage(commit, changes);
                for change in changes {
                    if let Change::DeleteGroup { group, incarnation } = change
                        && let Some(group) = self.groups.get_mut(group)
                        && group.lifecycle().incarnation == *incarnation
                    {
                        group.lifecycle_mut().deleting = false;
                    }
                }
            }
            Effect::TxnOffsets { changes, .. } => self.offsets.unstage(commit, changes),
            Effect::EndTxn { groups, .. } => self.offsets.unstage_groups(commit, groups),
            Effect::NewGroup {
                group: id,
                incarnation,
                replaced,
            } => {
                // A later record of the group stands for it if one is on its way.
                let current = self.groups.get(id).and_then(Group::as_classic);
                let abandoned = current.is_some_and(|group| {
                    let Lifecycle {
                        incarnation: of,
                        durable,
                        ..
                    } = group.lifecycle;
                    of == *incarnation && group.generation == 0 && !durable
                });
                if abandoned && let Some(mut group) = self.groups.remove(id) {
                    group.retire(&mut self.core, error.to_error_code());
                    if let Some(replaced) = replaced.take() {
                        self.groups.insert(id.clone(), *replaced);
                    }
                }
            }
            // Safe: an empty generation has no members that could be misled. If the shard is loaded before
            // another rebalance, the previous generation comes back and its members time out.
            Effect::EmptyGroup { .. } => {}
            Effect::Assignment(assignment) => self.revoke_assignment(assignment, error),
            Effect::StaticMember(_) | Effect::Written(_) => {}
        }
        for reply in replies {
            self.reply_failure(Some(reply), error);
        }
        match pending.effect {
            Effect::StaticMember(member) => self.revoke_static_member(commit, *member, error),
            Effect::Written(written) => self.written_failed(commit, *written),
            _ => {}
        }
    }

    /// The append is overdue: nobody waits for it any longer, but its outcome is still open, so nothing
    /// that is staged is dropped.
    pub(super) fn on_overdue(&mut self, commit: CommitId) {
        let Some(mut pending) = self.core.commits.remove(&commit) else {
            return;
        };
        let error = AppendError::TimedOut;
        match &pending.effect {
            Effect::Assignment(assignment) => {
                // The group moves on to a generation whose record will supersede this one.
                self.revoke_assignment(assignment, error);
                pending.effect = Effect::Changes(Vec::new());
            }
            Effect::StaticMember(member) => {
                // The new id stays, as it may be in the log; the member is told to try again and is then
                // replaced once more. Differs: Kafka takes the new id back here.
                let group = self.groups.get_mut(&member.group);
                if let Some(group) = incarnated(group, member.incarnation) {
                    group.fail_static_member(&mut self.core, member, error.to_error_code());
                }
            }
            Effect::Changes(_)
            | Effect::TxnOffsets { .. }
            | Effect::EndTxn { .. }
            | Effect::NewGroup { .. }
            | Effect::EmptyGroup { .. }
            | Effect::Written(_) => {}
        }
        for reply in pending.take_replies() {
            self.reply_failure(Some(reply), error);
        }
        self.core.commits.insert(commit, pending);
        for fetch in self.offsets.take_stable_fetches(commit) {
            let error = error.to_fetch_error_code();
            self.core
                .reply(fetch.token, Response::fetch_error(&fetch.group_id, error));
        }
    }

    fn revoke_assignment(&mut self, assignment: &Assignment, error: AppendError) {
        let group = self.groups.get_mut(&assignment.group);
        if let Some(group) = incarnated(group, assignment.incarnation) {
            group.assignment_failed(&mut self.core, assignment, error.to_error_code());
        }
    }

    /// Tells the member to try again, and takes its new id back unless a later record carries it.
    fn revoke_static_member(
        &mut self,
        commit: CommitId,
        mut member: StaticMember,
        error: AppendError,
    ) {
        let group = self.groups.get_mut(&member.group);
        let Some(group) = incarnated(group, member.incarnation) else {
            return;
        };
        group.fail_static_member(&mut self.core, &member, error.to_error_code());
        let later =
            self.core
                .commits
                .range_mut(commit..)
                .find_map(|(_, pending)| match &mut pending.effect {
                    Effect::StaticMember(later) if later.incarnation == member.incarnation => {
                        Some(later)
                    }
                    _ => None,
                });
        let mut inherited = std::mem::take(&mut member.inherited);
        inherited.push(member);
        match later {
            Some(later) => later.inherited.splice(0..0, inherited).for_each(drop),
            None => {
                for change in inherited.iter().rev() {
                    group.revert_static_member(&mut self.core, change);
                }
            }
        }
    }

    fn reply_failure(&mut self, reply: Option<(Token, Response)>, error: AppendError) {
        if let Some((token, response)) = reply {
            self.core
                .reply(token, response.into_error(error.to_error_code()));
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::PutOffset {
                group,
                topic,
                partition,
                entry,
            } => {
                self.put_offset(&group, topic, partition, entry);
            }
            Change::RemoveOffset {
                group,
                topic,
                partition,
            } => {
                self.offsets.remove(&group, &topic, partition);
            }
            Change::DeleteGroup { group, incarnation } => {
                if let Some(live) = self.groups.get_mut(&group)
                    && live.lifecycle().incarnation == incarnation
                {
                    live.retire(&mut self.core, wire::ErrorCode::UnknownMemberId);
                    self.groups.remove(&group);
                }
            }
        }
    }
}

/// The classic group, if it is still the one the append was made for.
fn incarnated(group: Option<&mut Group>, incarnation: u64) -> Option<&mut ClassicGroup> {
    group?
        .as_classic_mut()
        .filter(|group| group.lifecycle.incarnation == incarnation)
}
