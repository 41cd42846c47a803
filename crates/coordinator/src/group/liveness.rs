//! Heartbeat, LeaveGroup and session timeouts: who is still there.
//!
//! Source: Kafka's `GroupMetadataManager` (`classicGroupHeartbeat`, `classicGroupLeave`,
//! `expireClassicGroupMemberHeartbeat`).

use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::leave_group_request::MemberIdentity;
use wire::messages::leave_group_response::MemberResponse;
use wire::messages::{HeartbeatRequest, HeartbeatResponse, LeaveGroupRequest, LeaveGroupResponse};

use super::GroupState;
use super::classic::ClassicGroup;
use crate::action::{Action, RequestContext, Response, Token};
use crate::shard::Shard;
use crate::shard::core::Core;

impl Shard {
    /// Heartbeat, versions 0 to 4.
    #[must_use]
    pub fn heartbeat(&mut self, token: Token, request: &HeartbeatRequest) -> Vec<Action> {
        let error_code = match self.check_heartbeat(request) {
            Ok(()) => ErrorCode::None.code(),
            Err(error) => error.code(),
        };
        let response = HeartbeatResponse {
            error_code,
            ..HeartbeatResponse::default()
        };
        self.core.reply(token, Response::Heartbeat(response));
        self.finish()
    }

    fn check_heartbeat(&mut self, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        match self.unavailable() {
            // Sessions start anew once the group is loaded; an error would only make members rejoin.
            Some(ErrorCode::CoordinatorLoadInProgress) => return Ok(()),
            Some(error) => return Err(error),
            None => {}
        }
        if self.consumer(&request.group_id).is_some() {
            return self.heartbeat_consumer_group(request);
        }
        let (group, core) = self
            .group_mut(&request.group_id)
            .ok_or(ErrorCode::UnknownMemberId)?;
        group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        group.extend_session(core, &request.member_id);
        match group.state {
            GroupState::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
            GroupState::Empty | GroupState::Dead => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// LeaveGroup, versions 0 to 5. When the last member leaves, the reply waits for the record that says
    /// so.
    #[must_use]
    pub fn leave_group(
        &mut self,
        token: Token,
        context: &RequestContext,
        request: LeaveGroupRequest,
    ) -> Vec<Action> {
        let error = if request.group_id.is_empty() {
            Some(ErrorCode::InvalidGroupId)
        } else {
            self.unavailable()
        };
        if let Some(error) = error {
            let error_code = error.code();
            let response = LeaveGroupResponse {
                error_code,
                ..LeaveGroupResponse::default()
            };
            self.core.reply(token, Response::LeaveGroup(response));
        } else {
            self.leave(token, context.version, request);
        }
        self.finish()
    }

    fn leave(&mut self, token: Token, version: i16, request: LeaveGroupRequest) {
        // Versions before 3 name one member at the top level (`LeaveGroupRequest.normalizedData`).
        let leaving = if version < 3 {
            vec![MemberIdentity {
                member_id: request.member_id,
                ..MemberIdentity::default()
            }]
        } else {
            request.members
        };
        if self.consumer(&request.group_id).is_some() {
            let id: Arc<str> = request.group_id.into();
            let respond = |results| leave_response(version, results);
            self.leave_consumer_group_members(&id, leaving, respond, token);
            return;
        }
        let Some((group, core)) = self.group_mut(&request.group_id) else {
            let unknown = |member: MemberIdentity| left(member, ErrorCode::UnknownMemberId);
            let response = leave_response(version, leaving.into_iter().map(unknown).collect());
            self.core.reply(token, response);
            return;
        };
        let results: Vec<MemberResponse> = leaving
            .into_iter()
            .map(|member| {
                let error = group.leave(core, &member).err().unwrap_or(ErrorCode::None);
                left(member, error)
            })
            .collect();
        let anyone_left = results
            .iter()
            .any(|member| member.error_code == ErrorCode::None.code());
        let reply = (token, leave_response(version, results));
        match group.state {
            GroupState::Stable | GroupState::CompletingRebalance if anyone_left => {
                group.prepare_rebalance_for(core, "members left", Some(reply));
            }
            GroupState::PreparingRebalance if anyone_left => {
                group.maybe_complete_join_for(core, Some(reply));
            }
            _ => core.reply(reply.0, reply.1),
        }
    }
}

impl ClassicGroup {
    /// Removes a member that leaves. An empty member id with an instance id is an administrator's removal
    /// of whoever holds that instance id now (KIP-345).
    fn leave(&mut self, core: &mut Core, member: &MemberIdentity) -> Result<(), ErrorCode> {
        let instance_id = member.group_instance_id.as_deref();
        let member_id = if member.member_id.is_empty() {
            let current = instance_id.and_then(|id| self.static_members.get(id));
            current.cloned().ok_or(ErrorCode::UnknownMemberId)?
        } else if self.pending_join.contains(member.member_id.as_str()) {
            member.member_id.as_str().into()
        } else {
            self.validate_member(&member.member_id, instance_id)?;
            member.member_id.as_str().into()
        };
        let reason = member.reason.as_deref().unwrap_or("not provided");
        tracing::info!(group_id = %self.id, %member_id, reason, "member left group");
        self.remove(core, &member_id);
        Ok(())
    }

    /// Moves the deadline of a member's session.
    pub(crate) fn extend_session(&self, core: &mut Core, member_id: &str) {
        if let Some(member) = self.members.get(member_id) {
            core.schedule_session(&self.id, &member.id, member.session_timeout());
        }
    }

    /// The session timer of a member or pending member fired.
    pub(crate) fn expire_session(&mut self, core: &mut Core, member_id: &str) {
        let pending = self.pending_join.contains(member_id);
        let silent = self
            .members
            .get(member_id)
            .is_some_and(|member| !member.has_satisfied_heartbeat());
        if !pending && !silent {
            return;
        }
        tracing::info!(group_id = %self.id, member_id, "removing member on session timeout");
        self.remove(core, member_id);
        match self.state {
            GroupState::PreparingRebalance if self.has_all_joined() => {
                self.complete_join(core, None);
            }
            GroupState::Stable | GroupState::CompletingRebalance if silent => {
                self.prepare_rebalance(core, "a member's session timed out");
            }
            _ => {}
        }
    }
}

fn left(member: MemberIdentity, error: ErrorCode) -> MemberResponse {
    MemberResponse {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        error_code: error.code(),
    }
}

/// Versions before 3 have one error at the top level, the only member's.
fn leave_response(version: i16, members: Vec<MemberResponse>) -> Response {
    Response::LeaveGroup(if version < 3 {
        let error_code = members.first().map_or(0, |member| member.error_code);
        LeaveGroupResponse {
            error_code,
            ..LeaveGroupResponse::default()
        }
    } else {
        LeaveGroupResponse {
            members,
            ..LeaveGroupResponse::default()
        }
    })
}
