//! JoinGroup. Source: Kafka's `GroupMetadataManager.classicGroupJoin`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wire::messages::JoinGroupRequest;
use wire::messages::JoinGroupResponse;
use wire::{EncodeError, ErrorCode};

use super::classic::ClassicGroup;
use super::member::Member;
use super::{GroupState, new_member_id};
use crate::action::{Action, CoordinatorRecord, RequestContext, Token};
use crate::record;
use crate::shard::Shard;
use crate::shard::core::{Core, Waiting};
use crate::shard::effect::Effect;
use crate::shard::groups::Group;
use crate::timer::TimerKey;

/// How long a first JoinGroup may wait: its client has no member id to heartbeat with, so a client that
/// went away is noticed only by this (`CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`).
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// A JoinGroup with what its handlers need beside it.
pub(super) struct Join<'a> {
    pub(super) context: &'a RequestContext,
    pub(super) request: JoinGroupRequest,
    pub(super) waiting: Waiting,
}

impl Join<'_> {
    /// What the client gave as reason (version 8), for the log.
    pub(super) fn reason(&self) -> &str {
        match self.request.reason.as_deref() {
            Some(reason) if !reason.is_empty() => reason,
            _ => "not provided",
        }
    }
}

impl Shard {
    /// JoinGroup, versions 0 to 9. The reply waits for the rebalance, minutes if need be.
    #[must_use]
    pub fn join_group(
        &mut self,
        token: Token,
        context: &RequestContext,
        mut request: JoinGroupRequest,
    ) -> Vec<Action> {
        let waiting = Waiting {
            token,
            version: context.version,
        };
        if context.version < 1 {
            // Version 0 knows one timeout for both (`JoinGroupRequest.maybeOverrideRebalanceTimeout`).
            request.rebalance_timeout_ms = request.session_timeout_ms;
        }
        match self.check_join(&request) {
            Ok(()) => self.join(Join {
                context,
                request,
                waiting,
            }),
            Err(error) => self
                .core
                .reply_join_error(waiting, &request.member_id, error),
        }
        self.finish()
    }

    fn check_join(&self, request: &JoinGroupRequest) -> Result<(), ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let allowed = u64::try_from(request.session_timeout_ms).is_ok_and(|timeout_ms| {
            let config = &self.core.config;
            (config.min_session_timeout..=config.max_session_timeout)
                .contains(&Duration::from_millis(timeout_ms))
        });
        if !allowed {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        self.unavailable().map_or(Ok(()), Err)
    }

    fn join(&mut self, join: Join<'_>) {
        let group_id = join.request.group_id.clone();
        if self
            .consumer(&group_id)
            .is_some_and(|group| !group.members.is_empty())
        {
            self.join_consumer_group(join.waiting, join.context, &join.request);
            return;
        }
        if self
            .streams(&group_id)
            .is_some_and(|group| !group.members.is_empty())
        {
            let error = ErrorCode::InconsistentGroupProtocol;
            self.core.reply_join_error(join.waiting, "", error);
            return;
        }
        if self.share_group(&group_id).is_some() {
            let error = ErrorCode::InconsistentGroupProtocol;
            self.core.reply_join_error(join.waiting, "", error);
            return;
        }
        let is_new_group = self.group(&group_id).is_none();
        if is_new_group && !join.request.member_id.is_empty() {
            let (waiting, member_id) = (join.waiting, &join.request.member_id);
            self.core
                .reply_join_error(waiting, member_id, ErrorCode::UnknownMemberId);
            return;
        }
        let replaced = is_new_group.then(|| self.create_group(&group_id)).flatten();
        let Some((group, core)) = self.group_mut(&group_id) else {
            return;
        };
        group.join(core, join);
        if is_new_group {
            group.append_first_record(core, replaced);
        }
    }

    /// Makes a group, in place of one that is being deleted, or of an empty one of another protocol, which is returned.
    fn create_group(&mut self, group_id: &str) -> Option<Box<Group>> {
        let id: Arc<str> = group_id.into();
        let incarnation = self.core.incarnation();
        let group = ClassicGroup::new(id.clone(), incarnation, self.core.now_ms());
        let group = Group::Classic(Box::new(group));
        let mut before = self.groups.insert(id, group)?;
        before.retire(&mut self.core, ErrorCode::UnknownMemberId);
        let replaced = before.as_classic().is_none() && !before.is_deleting();
        replaced.then(|| Box::new(before))
    }
}

impl ClassicGroup {
    fn join(&mut self, core: &mut Core, join: Join<'_>) {
        let request = &join.request;
        if !self.accepts(core, &request.member_id) {
            self.remove(core, &request.member_id);
            core.reply_join_error(join.waiting, "", ErrorCode::GroupMaxSizeReached);
        } else if !self.supports(&request.protocol_type, &request.protocols) {
            let error = ErrorCode::InconsistentGroupProtocol;
            core.reply_join_error(join.waiting, &request.member_id, error);
        } else if request.member_id.is_empty() {
            self.join_new(core, join);
        } else {
            self.join_existing(core, join);
        }
    }

    /// Whether `group.max.size` has room. While the group prepares a rebalance those that wait count, not
    /// the members, so that a group over the limit keeps the first that come back.
    fn accepts(&self, core: &Core, member_id: &str) -> bool {
        let max_size = core.config.max_size;
        let member = self.members.get(member_id);
        match self.state {
            GroupState::Empty | GroupState::Dead => true,
            GroupState::PreparingRebalance => {
                member.is_some_and(|member| member.awaiting_join.is_some())
                    || self.awaiting_join < max_size
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                member.is_some() || self.members.len() < max_size
            }
        }
    }

    fn join_new(&mut self, core: &mut Core, join: Join<'_>) {
        let request = &join.request;
        if let Some(instance_id) = &request.group_instance_id {
            let new_id: Arc<str> = new_member_id(instance_id, &mut *core.ids).into();
            match self.static_members.get(instance_id).cloned() {
                Some(old_id) => self.replace_static_member(core, join, &old_id, new_id),
                None => self.add_member(core, join, new_id),
            }
            return;
        }
        let new_id: Arc<str> = new_member_id(&join.context.client_id, &mut *core.ids).into();
        if join.context.version < 4 {
            self.add_member(core, join, new_id);
            return;
        }
        // KIP-394: the client must come again with this id, so that a lost answer leaves a pending id
        // behind, not a member that the rebalance waits for.
        core.schedule(
            TimerKey::session(&self.id, &new_id),
            super::member::millis(request.session_timeout_ms),
        );
        core.reply_join_error(join.waiting, &new_id, ErrorCode::MemberIdRequired);
        self.pending_join.insert(new_id);
    }

    fn join_existing(&mut self, core: &mut Core, join: Join<'_>) {
        let request = &join.request;
        let member_id = request.member_id.as_str();
        let instance_id = request.group_instance_id.as_deref();
        if instance_id.is_none() && self.pending_join.contains(member_id) {
            let member_id = member_id.into();
            self.add_member(core, join, member_id);
            return;
        }
        if let Err(error) = self.validate_member(member_id, instance_id) {
            core.reply_join_error(join.waiting, member_id, error);
            return;
        }
        let unchanged = self
            .members
            .get(member_id)
            .is_some_and(|member| member.matches(&request.protocols));
        match self.state {
            GroupState::PreparingRebalance => self.rejoin(core, join),
            // The answer to its first JoinGroup was lost, most likely.
            GroupState::CompletingRebalance if unchanged => {
                self.reply_current(core, join.waiting, member_id);
            }
            // A leader that joins again wants a new assignment: topics may have changed.
            GroupState::Stable if unchanged && !self.is_leader(member_id) => {
                self.reply_current(core, join.waiting, member_id);
            }
            GroupState::CompletingRebalance | GroupState::Stable => self.rejoin(core, join),
            GroupState::Empty | GroupState::Dead => {
                core.reply_join_error(join.waiting, member_id, ErrorCode::UnknownMemberId);
            }
        }
    }

    fn add_member(&mut self, core: &mut Core, join: Join<'_>, member_id: Arc<str>) {
        let reason = format!("new member {member_id}; client reason: {}", join.reason());
        let request = join.request;
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type);
        }
        if self.state == GroupState::PreparingRebalance && self.previous_state == GroupState::Empty
        {
            self.new_member_added = true;
        }
        core.schedule_session(&self.id, &member_id, NEW_MEMBER_JOIN_TIMEOUT);
        self.insert(Member {
            id: member_id,
            instance_id: request.group_instance_id,
            client_id: join.context.client_id.clone(),
            client_host: join.context.client_host.clone(),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: request.protocols,
            assignment: Bytes::new(),
            awaiting_join: Some(join.waiting),
            awaiting_sync: None,
            is_new: true,
        });
        self.rebalance_or_complete_join(core, &reason);
    }

    fn rejoin(&mut self, core: &mut Core, join: Join<'_>) {
        let reason = format!(
            "member {} joins again in {}; client reason: {}",
            join.request.member_id,
            self.state.name(),
            join.reason()
        );
        let request = join.request;
        self.update_member(
            core,
            &request.member_id,
            request.protocols,
            (request.rebalance_timeout_ms, request.session_timeout_ms),
            Some(join.waiting),
        );
        self.rebalance_or_complete_join(core, &reason);
    }

    /// Answers with the current generation; the leader also gets its members.
    pub(super) fn reply_current(&self, core: &mut Core, waiting: Waiting, member_id: &str) {
        let with_members = self.state == GroupState::CompletingRebalance;
        let members = if with_members && self.is_leader(member_id) {
            self.members_for_leader()
        } else {
            Vec::new()
        };
        let response = JoinGroupResponse {
            members,
            ..self.join_response(member_id)
        };
        core.reply_join(waiting, response);
    }

    /// The generation as any member gets it.
    pub(super) fn join_response(&self, member_id: &str) -> JoinGroupResponse {
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader_id(),
            member_id: member_id.to_owned(),
            ..JoinGroupResponse::default()
        }
    }

    /// Writes the record by which a new group exists in the log, whatever became of the join that made it.
    fn append_first_record(&self, core: &mut Core, replaced: Option<Box<Group>>) {
        let value = wire::coordinator_records::GroupMetadataValue {
            protocol_type: String::new(),
            generation: 0,
            protocol: None,
            leader: None,
            current_state_timestamp: self.state_timestamp_ms.unwrap_or(-1),
            members: Vec::new(),
        };
        let tombstones = replaced.as_ref().map(|group| group.encode_tombstones());
        let records = tombstones.transpose().and_then(|tombstones| {
            let mut records = tombstones.unwrap_or_default();
            records.push(record::group_metadata(&self.id, &value)?);
            Ok(records)
        });
        let effect = Effect::NewGroup {
            group: self.id.clone(),
            incarnation: self.lifecycle.incarnation,
            replaced,
        };
        core.append(effect, None, records);
    }

    /// Gives every member a full session from now.
    pub(crate) fn start_sessions(&self, core: &mut Core) {
        for member in self.members.values() {
            core.schedule_session(&self.id, &member.id, member.session_timeout());
        }
    }

    /// The timer of the join phase.
    pub(super) fn join_key(&self) -> TimerKey {
        TimerKey::Join(self.id.clone())
    }
}

/// A batch of one record.
pub(super) fn one(
    record: Result<CoordinatorRecord, EncodeError>,
) -> Result<Vec<CoordinatorRecord>, EncodeError> {
    record.map(|record| vec![record])
}
