//! Members that leave or are fenced. Source: Kafka's `GroupMetadataManager` (`streamsGroupLeave`,
//! `streamsGroupFenceMember`).

use std::sync::Arc;

use wire::messages::{StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse};

use super::StreamsHeartbeat;
use super::member::{CurrentAssignment, Member};
use super::records::{GroupMetadata, StreamsRecord};
use super::tasks::OwnedTasks;
use crate::action::{Response, Token};
use crate::consumer::Failure;
use crate::consumer::leave::leaving_member;
use crate::consumer::member::STATIC_LEAVE_EPOCH;
use crate::shard::Shard;
use crate::shard::groups::Group;
use crate::shard::write::LogRecord;

impl Shard {
    /// A heartbeat with epoch -1 or -2.
    pub(super) fn leave_streams_group(
        &mut self,
        token: Token,
        request: &StreamsGroupHeartbeatRequest,
    ) -> Result<(), Failure> {
        let id: Arc<str> = request.group_id.as_str().into();
        let group = self.find_group(&id, ("streams", "Group"), Group::as_streams)?;
        let sender = (request.member_id.as_str(), request.instance_id.as_deref());
        let member = leaving_member(&id, sender, &group.members, &group.static_members)?;
        let response = StreamsGroupHeartbeatResponse {
            member_id: request.member_id.clone(),
            member_epoch: request.member_epoch,
            status: Some(Vec::new()),
            ..StreamsGroupHeartbeatResponse::default()
        };
        let answer = StreamsHeartbeat {
            response,
            missing_topics: Vec::new(),
        };
        let reply = Some((token, Response::StreamsGroupHeartbeat(Box::new(answer))));
        tracing::info!(
            group_id = %id, member_id = %member.id, epoch = request.member_epoch,
            "member leaves streams group"
        );
        if request.shutdown_application
            && let Some((group, _)) = self.streams_mut(&id)
        {
            group.request_shutdown(&member.id);
        }
        if request.member_epoch != STATIC_LEAVE_EPOCH {
            self.fence_streams_member(&id, &member, reply);
            return Ok(());
        }
        // It comes back within its session timeout, or its session ends; until then it keeps what it has.
        let mut current = CurrentAssignment {
            epoch: STATIC_LEAVE_EPOCH,
            revoking: OwnedTasks::default(),
            ..member.current.clone()
        };
        // A commit that its next life has not made is one of its last life (KIP-1251).
        for partitions in current.assigned.active.values_mut() {
            partitions.values_mut().for_each(|epoch| *epoch = 0);
        }
        let record = StreamsRecord::Current(member.id.clone(), Some(current));
        self.write(&id, vec![LogRecord::Streams(record)], reply);
        Ok(())
    }

    /// Takes a member out of the group.
    pub(super) fn fence_streams_member(
        &mut self,
        id: &Arc<str>,
        member: &Member,
        reply: Option<(Token, Response)>,
    ) {
        let Some(group) = self.streams(id) else {
            return;
        };
        let metadata = GroupMetadata {
            epoch: group.metadata.epoch.saturating_add(1),
            ..group.metadata.clone()
        };
        let removed = StreamsRecord::of_removed_member(&member.id).into_iter();
        let records = removed.chain([StreamsRecord::Group(Some(metadata))]);
        let records = records.map(LogRecord::Streams).collect();
        self.write(id, records, reply);
        if let Some((group, core)) = self.streams_mut(id) {
            core.cancel_member_timers(&group.id, &member.id);
        }
    }
}
