//! SyncGroup. Source: Kafka's `GroupMetadataManager.classicGroupSync`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use wire::ErrorCode;
use wire::messages::{SyncGroupRequest, SyncGroupResponse};

use super::GroupState;
use super::classic::ClassicGroup;
use super::join::one;
use crate::action::{Action, RequestContext, Response, Token};
use crate::record;
use crate::shard::Shard;
use crate::shard::core::{Core, Waiting};
use crate::shard::effect::{Assignment, Effect};

impl Shard {
    /// SyncGroup, versions 0 to 5. In the sync phase the reply waits for the leader's assignment and for
    /// its record.
    #[must_use]
    pub fn sync_group(
        &mut self,
        token: Token,
        context: &RequestContext,
        request: SyncGroupRequest,
    ) -> Vec<Action> {
        let waiting = Waiting {
            token,
            version: context.version,
        };
        if let Err(error) = self.sync(waiting, request) {
            self.core.reply_sync_error(waiting, error);
        }
        self.finish()
    }

    fn sync(&mut self, waiting: Waiting, request: SyncGroupRequest) -> Result<(), ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        if let Some(error) = self.unavailable() {
            return Err(error);
        }
        if self.consumer(&request.group_id).is_some() {
            return self.sync_consumer_group(waiting, &request);
        }
        let (group, core) = self
            .group_mut(&request.group_id)
            .ok_or(ErrorCode::UnknownMemberId)?;
        group.check_sync(&request)?;
        match group.state {
            GroupState::Empty | GroupState::Dead => Err(ErrorCode::UnknownMemberId),
            GroupState::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            GroupState::CompletingRebalance => {
                group.await_assignment(core, waiting, request);
                Ok(())
            }
            GroupState::Stable => {
                group.reply_assignment(core, waiting, &request.member_id);
                Ok(())
            }
        }
    }
}

impl ClassicGroup {
    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        self.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        // Version 5 names both; what is absent on either side is not compared.
        let differs =
            |requested: &Option<String>, current: &Option<String>| match (requested, current) {
                (Some(requested), Some(current)) => requested != current,
                _ => false,
            };
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol_name)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn await_assignment(&mut self, core: &mut Core, waiting: Waiting, request: SyncGroupRequest) {
        self.has_synced(core, &request.member_id);
        let Some(member) = self.members.get_mut(request.member_id.as_str()) else {
            return;
        };
        if let Some(superseded) = member.awaiting_sync.replace(waiting) {
            // Differs: Kafka never answers a SyncGroup that a newer one supersedes.
            core.reply_sync_error(superseded, ErrorCode::RebalanceInProgress);
        }
        // Differs: Kafka writes the assignment of a leader that syncs twice twice, and keeps the first.
        if self.is_leader(&request.member_id) && !self.assignment_pending {
            self.append_assignment(core, request);
        }
    }

    fn append_assignment(&mut self, core: &mut Core, request: SyncGroupRequest) {
        let mut given: BTreeMap<String, Bytes> = request
            .assignments
            .into_iter()
            .map(|assignment| (assignment.member_id, assignment.assignment))
            .collect();
        // A member the leader forgot gets the empty assignment.
        let by_member: BTreeMap<Arc<str>, Bytes> = self
            .members
            .keys()
            .map(|id| (id.clone(), given.remove(&**id).unwrap_or_default()))
            .collect();
        let value = self.to_record(|member| by_member.get(&member.id).cloned().unwrap_or_default());
        let effect = Effect::Assignment(Assignment {
            group: self.id.clone(),
            incarnation: self.lifecycle.incarnation,
            generation: self.generation,
            leader: request.member_id.into(),
            by_member,
        });
        self.assignment_pending = true;
        core.append(effect, None, one(record::group_metadata(&self.id, &value)));
    }

    fn reply_assignment(&mut self, core: &mut Core, waiting: Waiting, member_id: &str) {
        self.has_synced(core, member_id);
        let assignment = self
            .members
            .get(member_id)
            .map(|member| member.assignment.clone());
        let response = SyncGroupResponse {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: assignment.unwrap_or_default(),
            ..SyncGroupResponse::default()
        };
        core.reply(waiting.token, Response::SyncGroup(response));
    }

    /// The assignment is durable: the generation is stable, unless the group has moved on.
    pub(crate) fn assignment_durable(&mut self, core: &mut Core, assignment: &Assignment) {
        if !self.awaits(assignment) {
            return;
        }
        self.assignment_pending = false;
        for member in self.members.values_mut() {
            member.assignment = assignment
                .by_member
                .get(&member.id)
                .cloned()
                .unwrap_or_default();
        }
        self.propagate_assignment(core, ErrorCode::None);
        self.transition(core, GroupState::Stable);
    }

    /// The assignment is not in the log: members join again.
    pub(crate) fn assignment_failed(
        &mut self,
        core: &mut Core,
        assignment: &Assignment,
        error: ErrorCode,
    ) {
        if !self.awaits(assignment) {
            return;
        }
        self.reset_assignment(core, error);
        let reason = format!(
            "{error} while storing the assignment of {}",
            assignment.leader
        );
        self.rebalance_or_complete_join(core, &reason);
    }

    fn awaits(&self, assignment: &Assignment) -> bool {
        self.state == GroupState::CompletingRebalance && self.generation == assignment.generation
    }

    fn has_synced(&mut self, core: &mut Core, member_id: &str) {
        self.pending_sync.remove(member_id);
        if self.pending_sync.is_empty() {
            core.timers.cancel(&self.sync_key());
        }
    }
}
