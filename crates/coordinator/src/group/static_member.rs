//! The restart of a static member (KIP-345): same `group.instance.id`, new member id.
//!
//! In state Stable the member gets its place and assignment back without a rebalance, unless the group's
//! protocol would change. The new id is written to the log first (KAFKA-10284), or a coordinator that loads
//! the group would fence the member that is alive.
//!
//! Source: Kafka's `updateStaticMemberThenRebalanceOrCompleteJoin`.

use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::JoinGroupResponse;

use super::GroupState;
use super::classic::ClassicGroup;
use super::join::{Join, one};
use crate::record;
use crate::shard::core::Core;
use crate::shard::effect::{Effect, StaticMember};

impl ClassicGroup {
    /// Puts `new_id` in the place of `old_id`, whose waiting requests are fenced.
    pub(super) fn replace_static_member(
        &mut self,
        core: &mut Core,
        join: Join<'_>,
        old_id: &Arc<str>,
        new_id: Arc<str>,
    ) {
        let Some(old) = self.members.get(old_id) else {
            return;
        };
        let reason = format!(
            "static member {new_id} takes the place of {old_id}; client reason: {}",
            join.reason()
        );
        let undo = StaticMember {
            group: self.id.clone(),
            incarnation: self.lifecycle.incarnation,
            instance_id: old.instance_id.clone().unwrap_or_default(),
            old_id: old_id.clone(),
            new_id: new_id.clone(),
            old_protocols: old.protocols.clone(),
            old_rebalance_timeout_ms: old.rebalance_timeout_ms,
            old_session_timeout_ms: old.session_timeout_ms,
            old_leader: self.leader.clone(),
            waiting: join.waiting,
            inherited: Vec::new(),
        };
        self.change_member_id(core, old_id, new_id.clone());
        let request = join.request;
        self.update_member(
            core,
            &new_id,
            request.protocols,
            (request.rebalance_timeout_ms, request.session_timeout_ms),
            Some(join.waiting),
        );
        match self.state {
            GroupState::Stable if self.select_protocol() == self.protocol_name => {
                let value = self.to_record(|member| member.assignment.clone());
                let records = one(record::group_metadata(&self.id, &value));
                core.append(Effect::StaticMember(Box::new(undo)), None, records);
            }
            // In the sync phase the leader may be assigning partitions to the old id by now (KAFKA-9801).
            GroupState::Stable | GroupState::CompletingRebalance => {
                self.prepare_rebalance(core, &reason);
            }
            GroupState::PreparingRebalance | GroupState::Empty | GroupState::Dead => {
                self.maybe_complete_join(core);
            }
        }
    }

    /// The new id is durable: the member goes on with its assignment, which SyncGroup gives it.
    pub(crate) fn static_member_durable(&mut self, core: &mut Core, change: &StaticMember) {
        let member = self.members.get(&change.new_id);
        let waits = member.is_some_and(|member| member.awaiting_join == Some(change.waiting));
        // A rebalance that began meanwhile answers the member itself.
        if !waits || self.state != GroupState::Stable {
            return;
        }
        self.take_awaiting_join_of(&change.new_id);
        let mut response = self.join_response(&change.new_id);
        if change.waiting.version >= 9 {
            // KIP-814: the leader learns its members but must not assign anew.
            if self.is_leader(&change.new_id) {
                response.skip_assignment = true;
                response.members = self.members_for_leader();
            }
        } else {
            // Older leaders would assign anew, so they are told of the leader they were.
            response.leader = change
                .old_leader
                .as_deref()
                .map(str::to_owned)
                .unwrap_or_default();
        }
        core.reply_join(change.waiting, response);
    }

    /// The new id is not in the log, and no record on its way has it: the old one comes back.
    pub(crate) fn revert_static_member(&mut self, core: &mut Core, change: &StaticMember) {
        // A rebalance that began meanwhile writes the new id with its own generation.
        let current = self.static_members.get(&change.instance_id) == Some(&change.new_id);
        if self.state != GroupState::Stable || !current {
            return;
        }
        self.update_member(
            core,
            &change.new_id,
            change.old_protocols.clone(),
            (
                change.old_rebalance_timeout_ms,
                change.old_session_timeout_ms,
            ),
            None,
        );
        self.change_member_id(core, &change.new_id, change.old_id.clone());
    }

    /// Answers the member's JoinGroup with `error`, if it still waits.
    pub(crate) fn fail_static_member(
        &mut self,
        core: &mut Core,
        change: &StaticMember,
        error: ErrorCode,
    ) {
        let member = self.members.get(&change.new_id);
        if member.is_some_and(|member| member.awaiting_join == Some(change.waiting)) {
            self.take_awaiting_join_of(&change.new_id);
            let leader = change
                .old_leader
                .as_deref()
                .map(str::to_owned)
                .unwrap_or_default();
            let response = JoinGroupResponse {
                error_code: error.code(),
                leader,
                ..self.join_response("")
            };
            core.reply_join(change.waiting, response);
        }
    }

    /// Moves a static member to another id. What waited under the old one gets FENCED_INSTANCE_ID.
    fn change_member_id(&mut self, core: &mut Core, old_id: &Arc<str>, new_id: Arc<str>) {
        let Some(mut member) = self.members.remove(old_id) else {
            return;
        };
        if let Some(waiting) = self.take_awaiting_join(&mut member) {
            core.reply_join_error(waiting, old_id, ErrorCode::FencedInstanceId);
        }
        if let Some(waiting) = member.awaiting_sync.take() {
            core.reply_sync_error(waiting, ErrorCode::FencedInstanceId);
        }
        core.cancel_session(&self.id, old_id);
        core.schedule_session(&self.id, &new_id, member.session_timeout());
        if self.is_leader(old_id) {
            self.leader = Some(new_id.clone());
        }
        if let Some(instance_id) = &member.instance_id {
            self.static_members
                .insert(instance_id.clone(), new_id.clone());
        }
        // Kafka leaves the old id here, and the timer of the sync phase then rebalances for a member that
        // does not exist. Differs: the new id inherits the duty to sync.
        if self.pending_sync.remove(old_id) {
            self.pending_sync.insert(new_id.clone());
        }
        member.id = new_id.clone();
        member.is_new = false;
        self.members.insert(new_id, member);
    }
}
