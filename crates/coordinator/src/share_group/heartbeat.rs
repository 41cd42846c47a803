//! ShareGroupHeartbeat (key 76): a member joins, says what it wants, learns what it shall have, and leaves.
//!
//! Source: Kafka's `GroupCoordinatorService.throwIfShareGroupHeartbeatRequestIsInvalid` and
//! `GroupMetadataManager.shareGroupHeartbeat`, 4.3.

use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::share_group_heartbeat_response::{Assignment, TopicPartitions};
use wire::messages::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};

use super::ShareStates;
use super::group::ShareGroup;
use super::member::{Member, MemberMetadata};
use super::plan::Plan;
use super::records::ShareRecord;
use crate::action::{Action, RequestContext, Response, Token};
use crate::consumer::Failure;
use crate::consumer::assignment::Partitions;
use crate::consumer::heartbeat::unknown_member;
use crate::consumer::member::{JOIN_EPOCH, LEAVE_EPOCH};
use crate::consumer::metadata_hash;
use crate::partition_lists::to_list;
use crate::shard::Shard;
use crate::shard::write::LogRecord;

/// The answer to a heartbeat, and what the broker has to have initialized after it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShareHeartbeat {
    /// The answer.
    pub response: ShareGroupHeartbeatResponse,
    /// States to initialize; [`Shard::share_states_initialized`] or [`Shard::share_states_not_initialized`]
    /// reports on it.
    pub initialize: Option<ShareStates>,
}

impl Shard {
    /// ShareGroupHeartbeat, version 1. The reply waits for the records it writes, and for those of the group that
    /// are on their way.
    ///
    /// The broker has checked that the requester may read the group and see the topics it names.
    #[must_use]
    pub fn share_group_heartbeat(
        &mut self,
        token: Token,
        context: &RequestContext,
        request: &ShareGroupHeartbeatRequest,
    ) -> Vec<Action> {
        let handled = match (check(request), self.unavailable()) {
            (Err(failure), _) => Err(failure),
            (Ok(()), Some(error)) => Err(error.into()),
            (Ok(()), None) if request.member_epoch == LEAVE_EPOCH => {
                self.leave_share_group(token, request)
            }
            (Ok(()), None) => self.share_beat(token, context, request),
        };
        if let Err(failure) = handled {
            let response = ShareGroupHeartbeatResponse {
                error_code: failure.code.code(),
                error_message: failure.message,
                ..ShareGroupHeartbeatResponse::default()
            };
            self.core.reply(token, answer(response, None));
        }
        self.finish()
    }

    fn share_beat(
        &mut self,
        token: Token,
        context: &RequestContext,
        request: &ShareGroupHeartbeatRequest,
    ) -> Result<(), Failure> {
        let id: Arc<str> = request.group_id.as_str().into();
        let member_id: Arc<str> = request.member_id.as_str().into();
        let joining = request.member_epoch == JOIN_EPOCH;
        let made = match self.find_share_group(&id, "Share group") {
            Ok(_) => None,
            Err(_) if joining && self.any_group(&id).is_none() => {
                Some(ShareGroup::new(id.clone(), self.core.incarnation()))
            }
            Err(failure) => return Err(failure),
        };
        let group = made.as_ref().or_else(|| self.share_group(&id));
        let group = group.ok_or(ErrorCode::UnknownServerError)?;
        check_room(group, &member_id, self.core.config.share.max_size)?;
        let old = find_member(group, &member_id, request.member_epoch)?;
        let mut updated = Member::known(&member_id, old);
        updated.metadata = updated_metadata(&updated.metadata, context, request);
        let mut plan = Plan {
            group,
            cluster: &*self.cluster,
            settings: self.share_settings(&id),
            now_ms: self.core.now_ms(),
            records: Vec::new(),
            epoch: group.epoch,
            refreshed: false,
        };
        let bumped = plan.update(old, &updated);
        let (target_epoch, target) = plan.target(&updated);
        plan.reconcile(&mut updated, (target_epoch, &target), bumped);
        let retry_interval = self.core.config.share.initialize_retry_interval;
        let initialize = plan.initialize(old, &updated, retry_interval);
        let had = old.map(|old| &old.current.assigned);
        let is_full = joining || request.subscribed_topic_names.is_some();
        let assignment = (is_full || had != Some(&updated.current.assigned))
            .then(|| to_assignment(&updated.current.assigned));
        let (settings, refreshed) = (plan.settings, plan.refreshed);
        let records = plan.records.into_iter().map(LogRecord::Share).collect();
        let interval_ms = settings.heartbeat_interval.as_millis();
        let response = ShareGroupHeartbeatResponse {
            member_id: Some(member_id.to_string()),
            member_epoch: updated.current.epoch,
            heartbeat_interval_ms: i32::try_from(interval_ms).unwrap_or(i32::MAX),
            assignment,
            ..ShareGroupHeartbeatResponse::default()
        };
        let asks = initialize.is_some();
        self.write(&id, records, Some((token, answer(response, initialize))));
        if let Some((group, core)) = self.share_group_mut(&id) {
            group.refresh_due &= !refreshed;
            if asks {
                group.initializing_since_ms = core.now_ms();
            }
            core.schedule_session(&group.id, &member_id, settings.session_timeout);
        }
        Ok(())
    }

    fn leave_share_group(
        &mut self,
        token: Token,
        request: &ShareGroupHeartbeatRequest,
    ) -> Result<(), Failure> {
        let group = self.find_share_group(&request.group_id, "Group")?;
        let member = group.members.get(request.member_id.as_str());
        let member = member.ok_or_else(|| unknown_member(&request.group_id, &request.member_id))?;
        let (id, member) = (group.id.clone(), Arc::clone(member));
        tracing::info!(group_id = %id, member_id = %member.id, "member left the share group");
        let response = ShareGroupHeartbeatResponse {
            member_id: Some(member.id.to_string()),
            member_epoch: LEAVE_EPOCH,
            ..ShareGroupHeartbeatResponse::default()
        };
        self.fence_share_member(&id, &member, Some((token, answer(response, None))));
        Ok(())
    }

    /// Takes a member out of its group.
    pub(super) fn fence_share_member(
        &mut self,
        id: &Arc<str>,
        member: &Member,
        reply: Option<(Token, Response)>,
    ) {
        let Some(group) = self.share_group(id) else {
            return;
        };
        let topics = group.topics_after(Some(member), None);
        let hash = metadata_hash::of_topics(&*self.cluster, topics.iter().map(String::as_str));
        let epoch = group.epoch.saturating_add(1);
        let removed = ShareRecord::of_removed_member(&member.id).into_iter();
        let records = removed.chain([ShareRecord::Group(Some((epoch, hash)))]);
        let records = records.map(LogRecord::Share).collect();
        self.write(id, records, reply);
        self.core.cancel_session(id, &member.id);
    }
}

fn check(request: &ShareGroupHeartbeatRequest) -> Result<(), Failure> {
    let require = |holds: bool, message: &str| match holds {
        true => Ok(()),
        false => Err(Failure::new(ErrorCode::InvalidRequest, message)),
    };
    let is_text = |text: &str| !text.trim().is_empty();
    require(is_text(&request.member_id), "MemberId can't be empty.")?;
    require(is_text(&request.group_id), "GroupId can't be empty.")?;
    require(
        request.rack_id.as_deref().is_none_or(is_text),
        "RackId can't be empty.",
    )?;
    if request.member_epoch == JOIN_EPOCH {
        let names = request.subscribed_topic_names.as_ref();
        return require(
            names.is_some_and(|names| !names.is_empty()),
            "SubscribedTopicNames must be set in first request.",
        );
    }
    require(
        request.member_epoch >= LEAVE_EPOCH,
        "MemberEpoch is invalid.",
    )
}

/// The member that sends the heartbeat as it is now; none when it is new.
fn find_member<'a>(
    group: &'a ShareGroup,
    member_id: &str,
    epoch: i32,
) -> Result<Option<&'a Member>, Failure> {
    match group.members.get(member_id) {
        Some(member) => check_epoch(member, epoch).map(|()| Some(&**member)),
        None if epoch == JOIN_EPOCH => Ok(None),
        None => Err(unknown_member(&group.id, member_id)),
    }
}

fn check_room(group: &ShareGroup, member_id: &str, max_size: usize) -> Result<(), Failure> {
    if group.members.len() < max_size || group.members.contains_key(member_id) {
        return Ok(());
    }
    Err(Failure::new(
        ErrorCode::GroupMaxSizeReached,
        format!("The share group has reached its maximum capacity of {max_size} members."),
    ))
}

/// Checks the epoch a member believes to be at. The previous one is good: the answer with the new one was lost.
fn check_epoch(member: &Member, received: i32) -> Result<(), Failure> {
    let (known, previous) = (member.current.epoch, member.current.previous_epoch);
    let fenced = |message| Err(Failure::new(ErrorCode::FencedMemberEpoch, message));
    if received == JOIN_EPOCH || received == known || received == previous {
        return Ok(());
    }
    if received > known {
        return fenced(format!(
            "The share group member has a greater member epoch ({received}) than the one known by the group \
             coordinator ({known}). The member must abandon all its partitions and rejoin."
        ));
    }
    fenced(format!(
        "The share group member has a smaller member epoch ({received}) than the one known by the group \
         coordinator ({known}), and it does not match the previous member epoch ({previous}). The member must \
         abandon all its partitions and rejoin."
    ))
}

/// What a heartbeat leaves out stays as it is.
fn updated_metadata(
    old: &MemberMetadata,
    context: &RequestContext,
    request: &ShareGroupHeartbeatRequest,
) -> MemberMetadata {
    let names = request.subscribed_topic_names.as_ref();
    MemberMetadata {
        rack_id: request.rack_id.clone().or_else(|| old.rack_id.clone()),
        client_id: context.client_id.clone(),
        client_host: context.client_host.clone(),
        topic_names: names.map_or_else(
            || old.topic_names.clone(),
            |names| names.iter().cloned().collect(),
        ),
    }
}

fn to_assignment(assigned: &Partitions) -> Assignment {
    Assignment {
        topic_partitions: to_list(assigned, |id, partitions| TopicPartitions {
            topic_id: *id,
            partitions,
        }),
    }
}

fn answer(response: ShareGroupHeartbeatResponse, initialize: Option<ShareStates>) -> Response {
    Response::ShareGroupHeartbeat(Box::new(ShareHeartbeat {
        response,
        initialize,
    }))
}
