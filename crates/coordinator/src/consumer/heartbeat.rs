//! ConsumerGroupHeartbeat (key 68): a member joins, says what it wants and has, and learns what it shall have.
//!
//! Source: Kafka's `GroupCoordinatorService.throwIfConsumerGroupHeartbeatRequestIsInvalid` and
//! `GroupMetadataManager.consumerGroupHeartbeat`, 4.3.

use std::collections::BTreeSet;
use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::consumer_group_heartbeat_request::TopicPartitions as OwnedPartitions;
use wire::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::Failure;
use super::assignment::{Owned, is_subset};
use super::assignor::Assignor;
use super::group::ConsumerGroup;
use super::member::{JOIN_EPOCH, LEAVE_EPOCH, Member, MemberMetadata, STATIC_LEAVE_EPOCH};
use super::plan::{Plan, RegexChange};
use super::write::Source;
use crate::action::{Action, RequestContext, Response, Token};
use crate::revocation::RebalanceTimer;
use crate::shard::Shard;
use crate::shard::write::LogRecord;

/// From this version on the client makes its member id up itself.
const CLIENT_MAKES_MEMBER_ID_VERSION: i16 = 1;

/// Whether the requester may see a topic: asked about each that a regular expression matches.
pub type MaySee<'a> = &'a dyn Fn(&str) -> bool;

/// What a heartbeat does, before any of it is done.
pub(super) struct Beat {
    records: Vec<LogRecord>,
    response: ConsumerGroupHeartbeatResponse,
    member: Member,
    timer: RebalanceTimer,
    refreshed: bool,
    resolve: bool,
}

impl Beat {
    /// Whether this is an answer and nothing else.
    pub(super) fn is_only(&self, response: &ConsumerGroupHeartbeatResponse) -> bool {
        let does_nothing = self.records.is_empty() && !self.refreshed && !self.resolve;
        does_nothing && self.timer == RebalanceTimer::Keep && self.response == *response
    }
}

impl Shard {
    /// ConsumerGroupHeartbeat, versions 0 and 1. The reply waits for the records it writes, and for those of
    /// the group that are on their way.
    ///
    /// The broker has checked that the requester may read the group and see the topics it names; `may_see` is
    /// asked about topics that a regular expression matches.
    #[must_use]
    pub fn consumer_group_heartbeat(
        &mut self,
        token: Token,
        context: &RequestContext,
        request: &ConsumerGroupHeartbeatRequest,
        may_see: MaySee<'_>,
    ) -> Vec<Action> {
        let handled = match (
            self.check_heartbeat_request(context.version, request),
            self.unavailable(),
        ) {
            (Err(failure), _) => Err(failure),
            (Ok(()), Some(error)) => Err(error.into()),
            (Ok(()), None) if request.member_epoch < JOIN_EPOCH => {
                self.leave_consumer_group(token, request)
            }
            (Ok(()), None) => self.beat(token, context, request, may_see),
        };
        if let Err(failure) = handled {
            let response = ConsumerGroupHeartbeatResponse {
                error_code: failure.code.code(),
                error_message: failure.message,
                ..ConsumerGroupHeartbeatResponse::default()
            };
            self.core
                .reply(token, Response::ConsumerGroupHeartbeat(response));
        }
        self.finish()
    }

    fn check_heartbeat_request(
        &self,
        version: i16,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<(), Failure> {
        let require = |holds: bool, message: &str| match holds {
            true => Ok(()),
            false => Err(Failure::new(ErrorCode::InvalidRequest, message)),
        };
        // A text that is there must not be blank.
        let text = |value: Option<&str>| value.is_none_or(|value| !value.trim().is_empty());
        let epoch = request.member_epoch;
        let names_member =
            version >= CLIENT_MAKES_MEMBER_ID_VERSION || epoch > JOIN_EPOCH || epoch == LEAVE_EPOCH;
        if names_member {
            require(text(Some(&request.member_id)), "MemberId can't be empty.")?;
        }
        require(text(Some(&request.group_id)), "GroupId can't be empty.")?;
        require(
            text(request.instance_id.as_deref()),
            "InstanceId can't be empty.",
        )?;
        require(text(request.rack_id.as_deref()), "RackId can't be empty.")?;
        if epoch == JOIN_EPOCH {
            require(
                request.rebalance_timeout_ms != -1,
                "RebalanceTimeoutMs must be provided in first request.",
            )?;
            require(
                request.topic_partitions.as_ref().is_some_and(Vec::is_empty),
                "TopicPartitions must be empty when (re-)joining.",
            )?;
            require(
                request.subscribed_topic_names.is_some()
                    || request.subscribed_topic_regex.is_some(),
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
            )?;
        } else if epoch == STATIC_LEAVE_EPOCH {
            require(request.instance_id.is_some(), "InstanceId can't be null.")?;
        } else {
            require(epoch > STATIC_LEAVE_EPOCH, "MemberEpoch is invalid.")?;
        }
        self.check_assignor(request.server_assignor.as_deref())
    }

    fn check_assignor(&self, name: Option<&str>) -> Result<(), Failure> {
        let offered = &self.core.config.consumer.assignors;
        let Some(name) =
            name.filter(|name| !offered.iter().any(|assignor| assignor.name() == *name))
        else {
            return Ok(());
        };
        let names: Vec<&str> = offered
            .iter()
            .map(|assignor: &Assignor| assignor.name())
            .collect();
        Err(Failure::new(
            ErrorCode::UnsupportedAssignor,
            format!(
                "ServerAssignor {name} is not supported. Supported assignors: {}.",
                names.join(", ")
            ),
        ))
    }

    fn beat(
        &mut self,
        token: Token,
        context: &RequestContext,
        request: &ConsumerGroupHeartbeatRequest,
        may_see: MaySee<'_>,
    ) -> Result<(), Failure> {
        if self.steady_beat(token, context, request) {
            return Ok(());
        }
        let joining = request.member_epoch == JOIN_EPOCH;
        let member_id: Arc<str> = if request.member_id.is_empty() {
            base::Uuid::from_random(self.core.ids.next_random())
                .to_string()
                .into()
        } else {
            request.member_id.as_str().into()
        };
        let source = self.consumer_source(&request.group_id, joining)?;
        let mut beat = {
            let group = source.group(self).ok_or(ErrorCode::UnknownServerError)?;
            self.plan_beat(group, &member_id, context, request)?
        };
        let id: Arc<str> = request.group_id.as_str().into();
        let timeout = self.consumer_settings(&id).session_timeout;
        let upgraded = self.end_classic_group(&source, &id);
        let mut records = source.records();
        records.append(&mut beat.records);
        let reply = (token, Response::ConsumerGroupHeartbeat(beat.response));
        self.write(&id, records, Some(reply));
        let Some((group, core)) = self.consumer_mut(&id) else {
            return Ok(());
        };
        group.refresh_due &= !beat.refreshed;
        if upgraded {
            group.start_sessions(core, timeout);
        }
        core.schedule_session(&group.id, &member_id, timeout);
        group.set_rebalance_timer(core, &beat.member, beat.timer);
        if beat.resolve {
            self.resolve_regexes(&id, may_see);
        }
        Ok(())
    }

    pub(super) fn plan_beat(
        &self,
        group: &ConsumerGroup,
        member_id: &Arc<str>,
        context: &RequestContext,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<Beat, Failure> {
        let mut plan = Plan::new(group, &*self.cluster, &self.core.config, self.core.now_ms());
        plan.check_room(member_id)?;
        let (old, is_new) = find_member(&mut plan, member_id, request)?;
        let mut updated = old.with_metadata(updated_metadata(&old.metadata, context, request));
        let names_changed = plan.update_member(&old, &updated, is_new);
        let regex = plan.update_regex(&old, &updated)?;
        plan.update_epoch(
            names_changed || regex == RegexChange::Resolved,
            &old,
            &updated,
        );
        let (target_epoch, target) = plan.target(&old, &updated);
        let changed = names_changed || regex != RegexChange::None;
        let reported = request.topic_partitions.as_deref();
        plan.reconcile(&mut updated, (target_epoch, &target), changed, reported)?;
        let interval_ms = plan.settings.heartbeat_interval.as_millis();
        let mut response = ConsumerGroupHeartbeatResponse {
            member_id: Some(member_id.to_string()),
            member_epoch: updated.current.epoch,
            heartbeat_interval_ms: i32::try_from(interval_ms).unwrap_or(i32::MAX),
            ..ConsumerGroupHeartbeatResponse::default()
        };
        if is_full(request) || old.current.assigned != updated.current.assigned {
            response.assignment = Some(to_assignment(&updated.current.assigned));
        }
        Ok(Beat {
            records: plan.records.into_iter().map(LogRecord::Consumer).collect(),
            response,
            member: updated,
            timer: plan.timer,
            refreshed: plan.refreshed,
            resolve: plan.resolve,
        })
    }

    /// The group a request of the consumer protocol is for: one that is there, or, when a member joins, one
    /// that is made or taken over from the classic protocol.
    fn consumer_source(&mut self, group_id: &str, joining: bool) -> Result<Source, Failure> {
        let not_found = |message: String| Failure::new(ErrorCode::GroupIdNotFound, message);
        if self.consumer(group_id).is_some() {
            return Ok(Source::Existing(group_id.into()));
        }
        let Some(classic) = self.group(group_id) else {
            if self.any_group(group_id).is_some() {
                return Err(not_found(format!(
                    "Group {group_id} is not a consumer group."
                )));
            }
            if !joining {
                return Err(not_found(format!("Consumer group {group_id} not found.")));
            }
            return Ok(self.new_consumer_source(group_id, false));
        };
        if !joining {
            return Err(not_found(format!(
                "Group {group_id} is not a consumer group."
            )));
        }
        if classic.is_empty() {
            return Ok(self.new_consumer_source(group_id, true));
        }
        self.upgrade_source(group_id)
    }

    /// Tells what waits in a classic group that becomes a consumer group to join again; whether there was one.
    fn end_classic_group(&mut self, source: &Source, id: &str) -> bool {
        let made = matches!(source, Source::Made { .. });
        let Some((classic, core)) = self.group_mut(id).filter(|_| made) else {
            return false;
        };
        classic.fail_waiting(core, ErrorCode::RebalanceInProgress);
        classic.cancel_timers(core);
        true
    }

    fn new_consumer_source(&mut self, group_id: &str, replaces_classic: bool) -> Source {
        let incarnation = self.core.incarnation();
        Source::Made {
            group: Box::new(ConsumerGroup::new(group_id.into(), incarnation)),
            records: replaces_classic
                .then_some(LogRecord::Classic(None))
                .into_iter()
                .collect(),
        }
    }
}

/// The member that sends the heartbeat as it is now, or as it starts; and whether it is new.
fn find_member(
    plan: &mut Plan<'_>,
    member_id: &Arc<str>,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<(Arc<Member>, bool), Failure> {
    let joining = request.member_epoch == JOIN_EPOCH;
    let known =
        |member: &Arc<Member>| check_epoch(member, request).map(|()| (Arc::clone(member), false));
    let new = || Ok((Arc::new(Member::new(member_id.clone())), true));
    let Some(instance_id) = request.instance_id.as_deref() else {
        return match plan.group.members.get(member_id) {
            Some(member) => known(member),
            None if joining => new(),
            None => Err(unknown_member(&plan.group.id, member_id)),
        };
    };
    let holder = plan.group.static_member(instance_id).cloned();
    match holder {
        Some(holder) if !joining => {
            check_holder(&holder.id, member_id, instance_id)?;
            known(&holder)
        }
        None if !joining => Err(unknown_instance(instance_id)),
        None => match plan.group.members.get(member_id) {
            Some(member) => Ok((Arc::clone(member), false)),
            None => new(),
        },
        Some(holder) => {
            // A member of the consumer protocol has to say that it leaves before another takes its place.
            if !holder.uses_classic_protocol() && holder.current.epoch != STATIC_LEAVE_EPOCH {
                return Err(Failure::new(
                    ErrorCode::UnreleasedInstanceId,
                    format!(
                        "Static member {member_id} with instance id {instance_id} cannot join the group \
                         because the instance id is owned by {} member.",
                        holder.id
                    ),
                ));
            }
            let member = copy_of(&holder, member_id);
            plan.replace_static_member(&holder, &member);
            Ok((Arc::new(member), false))
        }
    }
}

/// The static member under its new id, at the start.
pub(super) fn copy_of(holder: &Member, member_id: &Arc<str>) -> Member {
    let mut member = holder.clone();
    member.id = member_id.clone();
    member.current.epoch = JOIN_EPOCH;
    member.current.previous_epoch = JOIN_EPOCH;
    member
}

/// Checks the epoch a member believes to be at. The previous one is good when what the member has fits what it
/// has got since: the answer with the new one was lost, most likely.
fn check_epoch(member: &Member, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Failure> {
    let (received, known) = (request.member_epoch, member.current.epoch);
    let fenced = |which: &str| {
        Failure::new(
            ErrorCode::FencedMemberEpoch,
            format!(
                "The consumer group member has a {which} member epoch ({received}) than the one known by the \
                 group coordinator ({known}). The member must abandon all its partitions and rejoin."
            ),
        )
    };
    if received == JOIN_EPOCH || received == known {
        return Ok(());
    }
    if received > known {
        return Err(fenced("greater"));
    }
    let owned: Option<&[OwnedPartitions]> = request.topic_partitions.as_deref();
    if received == member.current.previous_epoch && is_subset(owned, &member.current.assigned) {
        Ok(())
    } else {
        Err(fenced("smaller"))
    }
}

/// Checks that `holder`, who has the instance id, is the member that names itself.
pub(crate) fn check_holder(
    holder: &str,
    member_id: &str,
    instance_id: &str,
) -> Result<(), Failure> {
    if holder == member_id {
        return Ok(());
    }
    Err(Failure::new(
        ErrorCode::FencedInstanceId,
        format!(
            "Static member {member_id} with instance id {instance_id} was fenced by member {holder}."
        ),
    ))
}

pub(crate) fn unknown_member(group_id: &str, member_id: &str) -> Failure {
    Failure::new(
        ErrorCode::UnknownMemberId,
        format!("Member {member_id} is not a member of group {group_id}."),
    )
}

pub(crate) fn unknown_instance(instance_id: &str) -> Failure {
    Failure::new(
        ErrorCode::UnknownMemberId,
        format!("Instance id {instance_id} is unknown."),
    )
}

/// What a request leaves out stays as it was.
fn updated_metadata(
    old: &MemberMetadata,
    context: &RequestContext,
    request: &ConsumerGroupHeartbeatRequest,
) -> MemberMetadata {
    let mut new = MemberMetadata {
        client_id: context.client_id.clone(),
        client_host: context.client_host.clone(),
        classic: None,
        ..old.clone()
    };
    if let Some(instance_id) = &request.instance_id {
        new.instance_id = Some(instance_id.as_str().into());
    }
    if let Some(rack_id) = &request.rack_id {
        new.rack_id = Some(rack_id.clone());
    }
    if request.rebalance_timeout_ms != -1 {
        new.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    if let Some(assignor) = &request.server_assignor {
        new.assignor = Some(assignor.clone());
    }
    if let Some(names) = &request.subscribed_topic_names {
        new.topic_names = names.iter().cloned().collect::<BTreeSet<String>>();
    }
    if let Some(regex) = &request.subscribed_topic_regex {
        new.topic_regex = regex.as_str().into();
    }
    new
}

/// Whether the request has everything a first one has: its member may not know what it was assigned.
fn is_full(request: &ConsumerGroupHeartbeatRequest) -> bool {
    let subscribes =
        request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some();
    request.member_epoch == JOIN_EPOCH
        || (request.rebalance_timeout_ms != -1 && subscribes && request.topic_partitions.is_some())
}

fn to_assignment(owned: &Owned) -> Assignment {
    let topics = owned.iter().map(|(topic_id, partitions)| TopicPartitions {
        topic_id: *topic_id,
        partitions: partitions.keys().copied().collect(),
    });
    Assignment {
        topic_partitions: topics.collect(),
    }
}
