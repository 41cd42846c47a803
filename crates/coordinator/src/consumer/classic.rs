//! Members that use the classic protocol in a consumer group: JoinGroup, SyncGroup, Heartbeat and LeaveGroup.
//!
//! To such a member the broker looks like a leader that assigns at once: JoinGroup reconciles it as a heartbeat
//! would and answers with its member epoch as the generation, SyncGroup hands out what it was assigned, Heartbeat
//! tells it to join again when there is a next step. Source: Kafka's `GroupMetadataManager.classicGroup*ToConsumerGroup`.

use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::leave_group_request::MemberIdentity;
use wire::messages::leave_group_response::MemberResponse;
use wire::messages::{
    ConsumerProtocolSubscription, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    SyncGroupRequest, SyncGroupResponse,
};

use super::embedded;
use super::group::ConsumerGroup;
use super::heartbeat::copy_of;
use super::member::{ClassicMetadata, Member, MemberMetadata, MemberState};
use super::plan::{Plan, RegexChange};
use crate::action::{RequestContext, Response};
use crate::group::CONSUMER_PROTOCOL_TYPE;
use crate::shard::Shard;
use crate::shard::core::Waiting;
use crate::shard::write::LogRecord;
use crate::timer::{MemberTimer, TimerKey};

/// The version of JoinGroup from which on a new member gets an id first (KIP-394).
const MEMBER_ID_REQUIRED_VERSION: i16 = 4;

/// A JoinGroup with what its handlers need beside it.
struct Join<'a> {
    member_id: Arc<str>,
    /// The request came without a member id.
    is_unknown: bool,
    context: &'a RequestContext,
    request: &'a JoinGroupRequest,
    subscription: ConsumerProtocolSubscription,
}

/// What a JoinGroup does, before any of it is done.
struct Joined {
    records: Vec<LogRecord>,
    member: Member,
    refreshed: bool,
    /// Only classic members are left: the group becomes a classic one, with a rebalance if that is set.
    downgrade: Option<bool>,
}

impl Shard {
    /// JoinGroup for a consumer group that has members.
    pub(crate) fn join_consumer_group(
        &mut self,
        waiting: Waiting,
        context: &RequestContext,
        request: &JoinGroupRequest,
    ) {
        let is_unknown = request.member_id.is_empty();
        let member_id: Arc<str> = if is_unknown {
            base::Uuid::from_random(self.core.ids.next_random())
                .to_string()
                .into()
        } else {
            request.member_id.as_str().into()
        };
        let id: Arc<str> = request.group_id.as_str().into();
        let planned = self.plan_join(&id, &member_id, context, request);
        let joined = match planned {
            Ok(joined) => joined,
            Err(ErrorCode::MemberIdRequired) => {
                let error = ErrorCode::MemberIdRequired;
                self.core.reply_join_error(waiting, &member_id, error);
                return;
            }
            Err(error) => {
                self.core
                    .reply_join_error(waiting, &request.member_id, error);
                return;
            }
        };
        let response = Response::JoinGroup(JoinGroupResponse {
            generation_id: joined.member.current.epoch,
            protocol_type: Some(CONSUMER_PROTOCOL_TYPE.to_owned()),
            protocol_name: joined
                .member
                .classic_protocol()
                .map(|(name, _)| name.clone()),
            member_id: member_id.to_string(),
            ..JoinGroupResponse::default()
        });
        let reply = Some((waiting.token, response));
        if let Some(rebalance) = joined.downgrade {
            self.downgrade_replacing(&id, &joined.member, joined.records, rebalance, reply);
            return;
        }
        self.write(&id, joined.records, reply);
        if let Some((group, core)) = self.consumer_mut(&id) {
            group.refresh_due &= !joined.refreshed;
            core.timers
                .cancel(&TimerKey::member(&group.id, &member_id, MemberTimer::Join));
            let session = crate::group::millis(request.session_timeout_ms);
            core.schedule_session(&group.id, &member_id, session);
            let sync = crate::group::millis(request.rebalance_timeout_ms);
            core.schedule(
                TimerKey::member(&group.id, &member_id, MemberTimer::Sync),
                sync,
            );
        }
    }

    fn plan_join(
        &self,
        id: &Arc<str>,
        member_id: &Arc<str>,
        context: &RequestContext,
        request: &JoinGroupRequest,
    ) -> Result<Joined, ErrorCode> {
        let group = self.consumer(id).ok_or(ErrorCode::UnknownMemberId)?;
        let mut plan = Plan::new(group, &*self.cluster, &self.core.config, self.core.now_ms());
        plan.check_room(member_id).map_err(|failure| failure.code)?;
        let names = request
            .protocols
            .iter()
            .map(|protocol| protocol.name.clone());
        if !group.supports_classic(&request.protocol_type, names) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let is_unknown = request.member_id.is_empty();
        let dynamic = request.group_instance_id.is_none();
        if is_unknown && dynamic && context.version >= MEMBER_ID_REQUIRED_VERSION {
            return Err(ErrorCode::MemberIdRequired);
        }
        let first = request.protocols.first();
        let subscription = first.and_then(|protocol| embedded::subscription(&protocol.metadata));
        let join = Join {
            member_id: member_id.clone(),
            is_unknown,
            context,
            request,
            subscription: subscription.ok_or(ErrorCode::UnknownServerError)?,
        };
        let holder = request
            .group_instance_id
            .as_deref()
            .and_then(|instance| group.static_member(instance));
        let downgrades = holder.is_some_and(|holder| self.downgrades_replacing(group, holder));
        join.run(&mut plan, downgrades)
    }

    /// SyncGroup for a member of a consumer group.
    pub(crate) fn sync_consumer_group(
        &mut self,
        waiting: Waiting,
        request: &SyncGroupRequest,
    ) -> Result<(), ErrorCode> {
        let id: Arc<str> = request.group_id.as_str().into();
        let instance_id = request.group_instance_id.as_deref();
        let member = self.classic_member(&id, &request.member_id, instance_id)?;
        if member.current.epoch != request.generation_id {
            return Err(ErrorCode::IllegalGeneration);
        }
        let (name, metadata) = member
            .classic_protocol()
            .ok_or(ErrorCode::UnknownMemberId)?;
        let other_type = request.protocol_type.as_deref();
        let other_name = request.protocol_name.as_deref();
        if other_type.is_some_and(|protocol_type| protocol_type != CONSUMER_PROTOCOL_TYPE)
            || other_name.is_some_and(|protocol| protocol != name)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let Some((group, core)) = self.consumer_mut(&id) else {
            return Err(ErrorCode::UnknownMemberId);
        };
        // A member that revokes has joined already: it goes on by itself.
        let revokes = member.current.state == MemberState::UnrevokedPartitions;
        if group.epoch > member.current.epoch && !revokes {
            group.expect_join(core, &member);
            return Err(ErrorCode::RebalanceInProgress);
        }
        core.timers
            .cancel(&TimerKey::member(&group.id, &member.id, MemberTimer::Sync));
        let session = member.classic_session_timeout().unwrap_or_default();
        core.schedule_session(&group.id, &member.id, session);
        let assigned = embedded::of_owned(&member.current.assigned);
        let response = Response::SyncGroup(SyncGroupResponse {
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment: embedded::write_assignment(&*self.cluster, assigned, metadata),
            ..SyncGroupResponse::default()
        });
        self.write(&id, Vec::new(), Some((waiting.token, response)));
        Ok(())
    }

    /// Heartbeat from a member of a consumer group.
    pub(crate) fn heartbeat_consumer_group(
        &mut self,
        request: &HeartbeatRequest,
    ) -> Result<(), ErrorCode> {
        let id = request.group_id.as_str();
        let instance_id = request.group_instance_id.as_deref();
        let member = self.classic_member(id, &request.member_id, instance_id)?;
        if member.current.epoch != request.generation_id {
            return Err(ErrorCode::IllegalGeneration);
        }
        let Some((group, core)) = self.consumer_mut(id) else {
            return Err(ErrorCode::UnknownMemberId);
        };
        let session = member.classic_session_timeout().unwrap_or_default();
        core.schedule_session(&group.id, &member.id, session);
        let goes_on = match member.current.state {
            MemberState::UnrevokedPartitions => true,
            MemberState::UnreleasedPartitions => !group.waits_for_release(&member),
            MemberState::Stable | MemberState::Unknown => false,
        };
        if goes_on || member.current.epoch < group.epoch {
            group.expect_join(core, &member);
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// LeaveGroup for members of a consumer group, of either protocol: administrators remove members by it.
    pub(crate) fn leave_consumer_group_members(
        &mut self,
        id: &Arc<str>,
        leaving: Vec<MemberIdentity>,
        respond: impl FnOnce(Vec<MemberResponse>) -> Response,
        token: crate::action::Token,
    ) {
        let mut members: Vec<Arc<Member>> = Vec::new();
        let mut results = Vec::with_capacity(leaving.len());
        for identity in leaving {
            let found = self
                .consumer(id)
                .ok_or(ErrorCode::UnknownMemberId)
                .and_then(|group| leaving_member(group, &identity));
            let error = match found {
                Ok(member) => {
                    let reason = identity.reason.as_deref().unwrap_or("not provided");
                    tracing::info!(group_id = %id, member_id = %member.id, reason, "member left group");
                    if members.iter().all(|known| known.id != member.id) {
                        members.push(member);
                    }
                    ErrorCode::None
                }
                Err(error) => error,
            };
            results.push(MemberResponse {
                member_id: identity.member_id,
                group_instance_id: identity.group_instance_id,
                error_code: error.code(),
            });
        }
        self.fence_members(id, &members, Some((token, respond(results))));
    }

    fn classic_member(
        &self,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<Arc<Member>, ErrorCode> {
        let group = self.consumer(group_id).ok_or(ErrorCode::UnknownMemberId)?;
        let member = match instance_id {
            None => group.members.get(member_id),
            Some(instance_id) => group.static_member(instance_id),
        };
        let member = member.ok_or(ErrorCode::UnknownMemberId)?;
        if *member.id != *member_id {
            return Err(ErrorCode::FencedInstanceId);
        }
        if !member.uses_classic_protocol() {
            return Err(ErrorCode::UnknownMemberId);
        }
        Ok(Arc::clone(member))
    }
}

impl ConsumerGroup {
    /// The member has been told to join again: it leaves unless it does so within its rebalance timeout.
    fn expect_join(&self, core: &mut crate::shard::core::Core, member: &Member) {
        let key = TimerKey::member(&self.id, &member.id, MemberTimer::Join);
        if !core.timers.contains(&key) {
            core.schedule(key, member.rebalance_timeout());
        }
    }
}

impl Join<'_> {
    fn run(&self, plan: &mut Plan<'_>, downgrades: bool) -> Result<Joined, ErrorCode> {
        let (old, is_new) = self.find_member(plan)?;
        let mut updated = old.with_metadata(self.metadata(&old.metadata));
        let names_changed = plan.update_member(&old, &updated, is_new);
        let regex = plan
            .update_regex(&old, &updated)
            .map_err(|failure| failure.code)?;
        let changed = names_changed || regex != RegexChange::None;
        plan.update_epoch(changed, &old, &updated);
        let reported = embedded::owned_partitions(plan.cluster, &self.subscription);
        // A rebalance of the classic group follows a change anyway.
        let (target_epoch, target) = if downgrades {
            let instance = updated.metadata.instance_id.as_deref();
            let target = plan.group.target_of(&updated.id, instance);
            (plan.group.assignment_epoch, target)
        } else {
            plan.target(&old, &updated)
        };
        if !(downgrades && changed) {
            let target = (target_epoch, &*target);
            plan.reconcile(&mut updated, target, changed, Some(&reported))
                .map_err(|failure| failure.code)?;
        }
        let records = std::mem::take(&mut plan.records);
        Ok(Joined {
            records: records.into_iter().map(LogRecord::Consumer).collect(),
            member: updated,
            refreshed: plan.refreshed,
            downgrade: downgrades.then_some(changed),
        })
    }

    /// The member that joins as it is now, or as it starts; and whether it is new.
    fn find_member(&self, plan: &mut Plan<'_>) -> Result<(Arc<Member>, bool), ErrorCode> {
        let id = &self.member_id;
        let existing = || match plan.group.members.get(id) {
            Some(member) => (Arc::clone(member), false),
            None => (Arc::new(Member::new(id.clone())), true),
        };
        let Some(instance_id) = self.request.group_instance_id.as_deref() else {
            return Ok(existing());
        };
        let holder = plan.group.static_member(instance_id).cloned();
        match holder {
            None if self.is_unknown => Ok(existing()),
            None => Err(ErrorCode::UnknownMemberId),
            Some(holder) if self.is_unknown => {
                let member = copy_of(&holder, id);
                plan.replace_static_member(&holder, &member);
                Ok((Arc::new(member), false))
            }
            Some(holder) if holder.id == *id => Ok((holder, false)),
            Some(_) => Err(ErrorCode::FencedInstanceId),
        }
    }

    fn metadata(&self, old: &MemberMetadata) -> MemberMetadata {
        let request = self.request;
        let mut new = old.clone();
        if let Some(instance_id) = &request.group_instance_id {
            new.instance_id = Some(instance_id.as_str().into());
        }
        if let Some(rack_id) = self
            .subscription
            .rack_id
            .as_ref()
            .filter(|rack| !rack.is_empty())
        {
            new.rack_id = Some(rack_id.clone());
        }
        if request.rebalance_timeout_ms != -1 {
            new.rebalance_timeout_ms = request.rebalance_timeout_ms;
        }
        new.topic_names = self.subscription.topics.iter().cloned().collect();
        new.topic_regex = "".into();
        new.client_id.clone_from(&self.context.client_id);
        new.client_host.clone_from(&self.context.client_host);
        let protocols = request.protocols.iter();
        new.classic = Some(ClassicMetadata {
            session_timeout_ms: request.session_timeout_ms,
            protocols: protocols
                .map(|protocol| (protocol.name.clone(), protocol.metadata.clone()))
                .collect(),
        });
        new
    }
}

/// An empty member id with an instance id is an administrator's removal of whoever holds that instance id now.
fn leaving_member(
    group: &ConsumerGroup,
    identity: &MemberIdentity,
) -> Result<Arc<Member>, ErrorCode> {
    let member_id = identity.member_id.as_str();
    let Some(instance_id) = identity.group_instance_id.as_deref() else {
        let member = group.members.get(member_id);
        return member.cloned().ok_or(ErrorCode::UnknownMemberId);
    };
    let member = group
        .static_member(instance_id)
        .ok_or(ErrorCode::UnknownMemberId)?;
    if !member_id.is_empty() && *member.id != *member_id {
        return Err(ErrorCode::FencedInstanceId);
    }
    Ok(Arc::clone(member))
}
