//! The heartbeat that changes nothing, as nearly every one does.
//!
//! A plan ([`super::plan`]) copies the member with all it wants and has, to find out that it is as it was. Here that is
//! found out by looking, for the requests of which it can be.
//!
//! **Invariant:** the answer is the one a plan gives, and only where a plan has nothing to write, to resolve or to time. Every
//! build with debug assertions makes the plan too.

use std::sync::Arc;

use wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::group::ConsumerGroup;
use super::member::{JOIN_EPOCH, Member};
use crate::action::{RequestContext, Response, Token};
use crate::shard::Shard;

impl Shard {
    /// Answers the heartbeat of a member that has what it shall have, says nothing new, and is in a group in which nothing is
    /// to be done. False when this is not one; nothing was done then.
    pub(super) fn steady_beat(
        &mut self,
        token: Token,
        context: &RequestContext,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> bool {
        let group = self.consumer(&request.group_id);
        let steady = group.and_then(|group| Some((group, steady_member(group, context, request)?)));
        let Some((group, member)) = steady else {
            return false;
        };
        let settings = self.consumer_settings(&group.id);
        let interval_ms = settings.heartbeat_interval.as_millis();
        let response = ConsumerGroupHeartbeatResponse {
            member_id: Some(member.id.to_string()),
            member_epoch: member.current.epoch,
            heartbeat_interval_ms: i32::try_from(interval_ms).unwrap_or(i32::MAX),
            ..ConsumerGroupHeartbeatResponse::default()
        };
        debug_assert!(self.is_planned(group, &member.id, (context, request), &response));
        let (id, member_id) = (Arc::clone(&group.id), Arc::clone(&member.id));
        self.core
            .schedule_session(&id, &member_id, settings.session_timeout);
        // It may tell of what is still on its way to the log.
        let reply = (token, Response::ConsumerGroupHeartbeat(response));
        self.write(&id, Vec::new(), Some(reply));
        true
    }

    /// Whether a plan has this answer and nothing else.
    fn is_planned(
        &self,
        group: &ConsumerGroup,
        member_id: &Arc<str>,
        (context, request): (&RequestContext, &ConsumerGroupHeartbeatRequest),
        response: &ConsumerGroupHeartbeatResponse,
    ) -> bool {
        let planned = self.plan_beat(group, member_id, context, request);
        planned.is_ok_and(|beat| beat.is_only(response))
    }
}

/// The member that sends the heartbeat, if that is a steady one.
fn steady_member<'a>(
    group: &'a ConsumerGroup,
    context: &RequestContext,
    request: &ConsumerGroupHeartbeatRequest,
) -> Option<&'a Member> {
    // What a regular expression matches may have to be looked at again, from time to time.
    let nothing_due = group.epoch <= group.assignment_epoch
        && !group.refresh_due
        && group.regex_members().is_empty();
    let member = group.members.get(request.member_id.as_str())?;
    let has_all = request.member_epoch > JOIN_EPOCH
        && request.member_epoch == member.current.epoch
        && member.is_reconciled_to(group.assignment_epoch);
    let steady = nothing_due && has_all && says_nothing_new(group, member, context, request);
    steady.then_some(&**member)
}

/// Whether all that the request tells about its member is known. One that names topics is not looked into: with all else that
/// a first request has, it asks for the assignment too.
fn says_nothing_new(
    group: &ConsumerGroup,
    member: &Member,
    context: &RequestContext,
    request: &ConsumerGroupHeartbeatRequest,
) -> bool {
    let known = &member.metadata;
    let same =
        |said: &Option<String>, known: Option<&str>| said.is_none() || said.as_deref() == known;
    let holds_instance = |instance_id: &String| {
        let holder = group.static_members.get(instance_id.as_str());
        holder == Some(&member.id)
    };
    request.subscribed_topic_names.is_none()
        && request.subscribed_topic_regex.is_none()
        && request.instance_id.as_ref().is_none_or(holds_instance)
        && same(&request.instance_id, known.instance_id.as_deref())
        && same(&request.rack_id, known.rack_id.as_deref())
        && same(&request.server_assignor, known.assignor.as_deref())
        && [-1, known.rebalance_timeout_ms].contains(&request.rebalance_timeout_ms)
        && context.client_id == known.client_id
        && context.client_host == known.client_host
        && !member.uses_classic_protocol()
}
