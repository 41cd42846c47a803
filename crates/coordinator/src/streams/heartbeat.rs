//! StreamsGroupHeartbeat (key 88): a member joins with its topology, says what tasks it has, and learns which it
//! shall have and what is in the way.
//!
//! Source: Kafka's `GroupMetadataManager.streamsGroupHeartbeat`, 4.3; static members and task offsets as in 4.4.

use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::StreamsGroupHeartbeatRequest;
use wire::messages::StreamsGroupHeartbeatResponse;
use wire::messages::streams_group_heartbeat_request::TaskOffset;
use wire::messages::streams_group_heartbeat_response::TaskIds;

use super::StreamsHeartbeat;
use super::configured::ConfiguredTopology;
use super::endpoints::partitions_by_endpoint;
use super::group::{StreamsGroup, TaskOffsets};
use super::internal_topics::Status;
use super::member::{Member, MemberMetadata, UserEndpoint};
use super::plan::Plan;
use super::tasks::{OwnedTasks, TaskSet, Tasks, without_epochs};
use super::validate;
use super::write::StreamsSource;
use crate::action::{Action, RequestContext, Response, Token};
use crate::consumer::Failure;
use crate::consumer::heartbeat::{check_holder, unknown_instance, unknown_member};
use crate::consumer::member::{JOIN_EPOCH, STATIC_LEAVE_EPOCH};
use crate::partition_lists::to_list;
use crate::revocation::RebalanceTimer;
use crate::shard::Shard;
use crate::shard::write::LogRecord;

/// What a heartbeat does, before any of it is done.
struct Beat {
    records: Vec<LogRecord>,
    answer: StreamsHeartbeat,
    member: Member,
    topology: Arc<ConfiguredTopology>,
    endpoint_epoch: i32,
    timer: RebalanceTimer,
}

impl Shard {
    /// StreamsGroupHeartbeat, versions 0 and 1. The reply waits for the records it writes, and for those of the group
    /// that are on their way.
    ///
    /// The broker has checked that the requester may read the group and see the topics of its topology, and creates
    /// the topics that the answer says are missing.
    #[must_use]
    pub fn streams_group_heartbeat(
        &mut self,
        token: Token,
        context: &RequestContext,
        request: &StreamsGroupHeartbeatRequest,
    ) -> Vec<Action> {
        let handled = match (validate::check(request), self.unavailable()) {
            (Err(failure), _) => Err(failure),
            (Ok(()), Some(error)) => Err(error.into()),
            (Ok(()), None) if request.member_epoch < JOIN_EPOCH => {
                self.leave_streams_group(token, request)
            }
            (Ok(()), None) => self.beat_streams(token, context, request),
        };
        if let Err(failure) = handled {
            let response = StreamsGroupHeartbeatResponse {
                error_code: failure.code.code(),
                error_message: failure.message,
                ..StreamsGroupHeartbeatResponse::default()
            };
            let answer = StreamsHeartbeat {
                response,
                missing_topics: Vec::new(),
            };
            self.core
                .reply(token, Response::StreamsGroupHeartbeat(Box::new(answer)));
        }
        self.finish()
    }

    fn beat_streams(
        &mut self,
        token: Token,
        context: &RequestContext,
        request: &StreamsGroupHeartbeatRequest,
    ) -> Result<(), Failure> {
        let id: Arc<str> = request.group_id.as_str().into();
        let source = self.streams_source(&id, request.member_epoch == JOIN_EPOCH)?;
        let settings = self.streams_settings(&id);
        let existed = matches!(source, StreamsSource::Existing(_));
        let (beat, starts_delay) = {
            let group = source.group(self).ok_or(ErrorCode::UnknownServerError)?;
            let delay_key = group.initial_rebalance_key();
            let starts_delay =
                group.members.is_empty() && !settings.initial_rebalance_delay.is_zero();
            let delayed = starts_delay || self.core.timers.contains(&delay_key);
            let now_ms = self.core.now_ms();
            let plan = Plan::new(group, &*self.cluster, settings.clone(), now_ms, delayed);
            self.check_streams_room(group, request)?;
            let beat = plan_beat(plan, existed, context, request)?;
            let starts_delay = starts_delay && !self.core.timers.contains(&delay_key);
            (beat, starts_delay.then_some(delay_key))
        };
        let mut records = source.records();
        records.extend(beat.records);
        let answer = Response::StreamsGroupHeartbeat(Box::new(beat.answer));
        self.write(&id, records, Some((token, answer)));
        let Some((group, core)) = self.streams_mut(&id) else {
            return Ok(());
        };
        group.configured = Some(beat.topology);
        group.refresh_due = false;
        if existed {
            group.endpoint_epoch = beat.endpoint_epoch;
            if request.shutdown_application {
                group.request_shutdown(&beat.member.id);
            }
        }
        group.keep_offsets(&beat.member.id, request);
        core.schedule_session(&group.id, &beat.member.id, settings.session_timeout);
        group.set_rebalance_timer(core, &beat.member, beat.timer);
        if let Some(key) = starts_delay {
            core.schedule(key, settings.initial_rebalance_delay);
        }
        Ok(())
    }

    /// Refuses a member the group has no room for.
    ///
    /// Differs: Kafka 4.3.1 refuses members of a full group that come back, too.
    fn check_streams_room(
        &self,
        group: &StreamsGroup,
        request: &StreamsGroupHeartbeatRequest,
    ) -> Result<(), Failure> {
        if request.member_epoch != JOIN_EPOCH {
            return Ok(());
        }
        let max_size = self.core.config.streams.max_size;
        let instance = request.instance_id.as_deref();
        let known = group.members.contains_key(request.member_id.as_str())
            || instance.is_some_and(|instance| group.static_member(instance).is_some());
        if group.members.len() < max_size || known {
            return Ok(());
        }
        Err(Failure::new(
            ErrorCode::GroupMaxSizeReached,
            format!("The streams group has reached its maximum capacity of {max_size} members."),
        ))
    }
}

impl StreamsGroup {
    /// The first that asks is the one that is named to all.
    pub(super) fn request_shutdown(&mut self, member: &Arc<str>) {
        if self.shutdown_requested_by.is_none() {
            tracing::info!(group_id = %self.id, member_id = %member, "shutdown of a streams application requested");
            self.shutdown_requested_by = Some(member.clone());
        }
    }

    /// Remembers how far the member's copies of state are, if it says so.
    fn keep_offsets(&mut self, member: &Arc<str>, request: &StreamsGroupHeartbeatRequest) {
        if request.task_offsets.is_none() && request.task_end_offsets.is_none() {
            return;
        }
        let old = self.task_offsets.get(member).cloned().unwrap_or_default();
        let mut offsets = (*old).clone();
        let by_task = |offsets: &[TaskOffset]| {
            let offsets = offsets.iter();
            let by_task = offsets.map(|offset| {
                let task = (offset.subtopology_id.as_str().into(), offset.partition);
                (task, offset.offset)
            });
            by_task.collect()
        };
        if let Some(reported) = &request.task_offsets {
            offsets.positions = by_task(reported);
        }
        if let Some(reported) = &request.task_end_offsets {
            offsets.ends = by_task(reported);
        }
        self.task_offsets
            .insert(member.clone(), Arc::<TaskOffsets>::new(offsets));
    }
}

fn plan_beat(
    mut plan: Plan<'_>,
    existed: bool,
    context: &RequestContext,
    request: &StreamsGroupHeartbeatRequest,
) -> Result<Beat, Failure> {
    let reported = Tasks::reported(
        request.active_tasks.as_deref(),
        request.standby_tasks.as_deref(),
        request.warmup_tasks.as_deref(),
    );
    let (old, is_new) = find_member(&mut plan, request, reported.as_ref())?;
    let mut updated = old.with_metadata(updated_metadata(&old.metadata, context, request));
    let changed = plan.update_member(&old, &updated, is_new);
    let topology = plan.update_topology(request.topology.as_ref())?;
    plan.check_staleness(&updated);
    let (topology, hash, topics_changed) = plan.configure(&topology)?;
    Plan::check_tasks(&topology, reported.as_ref())?;
    plan.update_epoch(changed || topics_changed, hash, &topology);
    let (target_epoch, target) = plan.target(&updated, &topology);
    plan.reconcile(&mut updated, (target_epoch, &target), reported.as_ref())?;
    let response = respond(&plan, request, &old, &updated);
    let beat = finish(plan, existed, request, updated, topology, response);
    Ok(beat)
}

/// Adds to the answer what goes with the group: endpoints, topics, and what is wrong.
fn finish(
    mut plan: Plan<'_>,
    existed: bool,
    request: &StreamsGroupHeartbeatRequest,
    updated: Member,
    topology: Arc<ConfiguredTopology>,
    mut response: StreamsGroupHeartbeatResponse,
) -> Beat {
    let group = plan.group;
    let mut endpoint_epoch = group.endpoint_epoch;
    if response.active_tasks.is_some() && updated.metadata.user_endpoint.is_some() {
        endpoint_epoch = endpoint_epoch.wrapping_add(1);
    }
    if endpoint_epoch != request.endpoint_information_epoch {
        let endpoints = partitions_by_endpoint(group, &updated, &topology, plan.cluster);
        response.partitions_by_user_endpoint = Some(endpoints);
    }
    if existed {
        response.endpoint_information_epoch = endpoint_epoch;
    }
    if let Some(problem) = &topology.problem {
        plan.tell(problem.status, problem.detail.clone());
    }
    let asks = request.shutdown_application && existed;
    let shutdown = group.shutdown_requested_by.clone();
    if let Some(member) = shutdown.or_else(|| asks.then(|| updated.id.clone())) {
        plan.tell(
            Status::ShutdownApplication,
            format!(
                "Streams group member {member} encountered a fatal error and requested a shutdown for the entire \
                 application."
            ),
        );
    }
    response.status = Some(plan.status);
    Beat {
        records: plan.records.into_iter().map(LogRecord::Streams).collect(),
        answer: StreamsHeartbeat {
            response,
            missing_topics: topology.missing_topics.clone(),
        },
        member: updated,
        topology,
        endpoint_epoch,
        timer: plan.timer,
    }
}

fn respond(
    plan: &Plan<'_>,
    request: &StreamsGroupHeartbeatRequest,
    old: &Member,
    updated: &Member,
) -> StreamsGroupHeartbeatResponse {
    let settings = &plan.settings;
    let ms =
        |duration: std::time::Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
    let lag = settings.acceptable_recovery_lag;
    let mut response = StreamsGroupHeartbeatResponse {
        member_id: updated.id.to_string(),
        member_epoch: updated.current.epoch,
        heartbeat_interval_ms: ms(settings.heartbeat_interval),
        task_offset_interval_ms: ms(settings.task_offset_interval),
        acceptable_recovery_lag: lag,
        acceptable_recovery_lag_legacy: i32::try_from(lag).unwrap_or(i32::MAX),
        ..StreamsGroupHeartbeatResponse::default()
    };
    let assigned = &updated.current.assigned;
    if request.member_epoch == JOIN_EPOCH || old.current.assigned != *assigned {
        let OwnedTasks {
            active,
            standby,
            warmup,
        } = assigned;
        response.active_tasks = Some(to_response(&without_epochs(active)));
        response.standby_tasks = Some(to_response(standby));
        response.warmup_tasks = Some(to_response(warmup));
    }
    response
}

/// The member that sends the heartbeat as it is now, or as it starts; and whether it is new.
fn find_member(
    plan: &mut Plan<'_>,
    request: &StreamsGroupHeartbeatRequest,
    reported: Option<&Tasks>,
) -> Result<(Arc<Member>, bool), Failure> {
    let group = plan.group;
    let member_id = request.member_id.as_str();
    let joining = request.member_epoch == JOIN_EPOCH;
    let known = |member: &Arc<Member>| {
        check_epoch(member, request.member_epoch, reported).map(|()| (Arc::clone(member), false))
    };
    let new = || Ok((Arc::new(Member::new(member_id.into())), true));
    let Some(instance_id) = request.instance_id.as_deref() else {
        return match group.members.get(member_id) {
            Some(member) => known(member),
            None if joining => new(),
            None => Err(unknown_member(&group.id, member_id)),
        };
    };
    match group.static_member(instance_id) {
        Some(holder) if !joining => {
            check_holder(&holder.id, member_id, instance_id)?;
            known(holder)
        }
        None if !joining => Err(unknown_instance(instance_id)),
        None => match group.members.get(member_id) {
            Some(member) => Ok((Arc::clone(member), false)),
            None => new(),
        },
        // The same life of the instance comes back after it was fenced.
        Some(holder) if *holder.id == *member_id => Ok((Arc::clone(holder), false)),
        Some(holder) => {
            // A member has to say that it leaves before another takes its place.
            if holder.current.epoch != STATIC_LEAVE_EPOCH {
                return Err(Failure::new(
                    ErrorCode::UnreleasedInstanceId,
                    format!(
                        "Static member {member_id} with instance id {instance_id} cannot join the group because \
                         the instance id is owned by {} member.",
                        holder.id
                    ),
                ));
            }
            let mut member = (**holder).clone();
            member.id = member_id.into();
            member.current.epoch = JOIN_EPOCH;
            member.current.previous_epoch = JOIN_EPOCH;
            plan.replace_static_member(holder, &member);
            Ok((Arc::new(member), false))
        }
    }
}

/// Checks the epoch a member believes to be at. The previous one is good when what the member has fits what it has got
/// since: the answer with the new one was lost, most likely.
fn check_epoch(member: &Member, received: i32, reported: Option<&Tasks>) -> Result<(), Failure> {
    let known = member.current.epoch;
    let fenced = |which: &str| {
        Failure::new(
            ErrorCode::FencedMemberEpoch,
            format!(
                "The streams group member has a {which} member epoch ({received}) than the one known by the group \
                 coordinator ({known}). The member must abandon all its partitions and rejoin."
            ),
        )
    };
    if received == JOIN_EPOCH || received == known {
        return Ok(());
    }
    if received > known {
        return Err(fenced("greater"));
    }
    let fits = reported.is_some_and(|reported| reported.is_within(&member.current.assigned));
    if received == member.current.previous_epoch && fits {
        Ok(())
    } else {
        Err(fenced("smaller"))
    }
}

/// What a request leaves out stays as it was.
fn updated_metadata(
    old: &MemberMetadata,
    context: &RequestContext,
    request: &StreamsGroupHeartbeatRequest,
) -> MemberMetadata {
    let mut new = MemberMetadata {
        client_id: context.client_id.clone(),
        client_host: context.client_host.clone(),
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
    if let Some(topology) = &request.topology {
        new.topology_epoch = topology.epoch;
    }
    if let Some(process_id) = &request.process_id {
        new.process_id = process_id.as_str().into();
    }
    if let Some(endpoint) = &request.user_endpoint {
        new.user_endpoint = Some(UserEndpoint {
            host: endpoint.host.clone(),
            port: endpoint.port,
        });
    }
    if let Some(tags) = &request.client_tags {
        let tags = tags.iter();
        new.client_tags = tags
            .map(|tag| (tag.key.clone(), tag.value.clone()))
            .collect();
    }
    new
}

fn to_response(tasks: &TaskSet) -> Vec<TaskIds> {
    to_list(tasks, |subtopology, partitions| TaskIds {
        subtopology_id: subtopology.to_string(),
        partitions,
    })
}
