//! Members that leave or are fenced. Source: Kafka's `GroupMetadataManager` (`streamsGroupLeave`,
//! `streamsGroupFenceMember`).

use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::{StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse};

use super::StreamsHeartbeat;
use super::member::{CurrentAssignment, Member};
use super::records::{GroupMetadata, StreamsRecord};
use super::tasks::OwnedTasks;
use crate::action::{Response, Token};
use crate::consumer::Failure;
use crate::consumer::heartbeat::{check_holder, unknown_instance, unknown_member};
use crate::consumer::member::STATIC_LEAVE_EPOCH;
use crate::consumer::write::LogRecord;
use crate::shard::Shard;

impl Shard {
    /// A heartbeat with epoch -1 or -2.
    pub(super) fn leave_streams_group(
        &mut self,
        token: Token,
        request: &StreamsGroupHeartbeatRequest,
    ) -> Result<(), Failure> {
        let id: Arc<str> = request.group_id.as_str().into();
        let member = self.leaving_streams_member(request)?;
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

    fn leaving_streams_member(
        &self,
        request: &StreamsGroupHeartbeatRequest,
    ) -> Result<Arc<Member>, Failure> {
        let group_id = &request.group_id;
        let not_found = |message| Failure::new(ErrorCode::GroupIdNotFound, message);
        let Some(group) = self.streams(group_id) else {
            return Err(not_found(match self.any_group(group_id) {
                Some(_) => format!("Group {group_id} is not a streams group."),
                None => format!("Group {group_id} not found."),
            }));
        };
        let member_id = request.member_id.as_str();
        let Some(instance_id) = request.instance_id.as_deref() else {
            let member = group.members.get(member_id);
            return member
                .cloned()
                .ok_or_else(|| unknown_member(group_id, member_id));
        };
        let member = group
            .static_member(instance_id)
            .ok_or_else(|| unknown_instance(instance_id))?;
        check_holder(&member.id, member_id, instance_id)?;
        Ok(Arc::clone(member))
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
        let records = [
            StreamsRecord::Current(member.id.clone(), None),
            StreamsRecord::Target(member.id.clone(), None),
            StreamsRecord::Member(member.id.clone(), None),
            StreamsRecord::Group(Some(metadata)),
        ];
        let records = records.into_iter().map(LogRecord::Streams).collect();
        self.write(id, records, reply);
        if let Some((group, core)) = self.streams_mut(id) {
            group.cancel_member_timers(core, &member.id);
        }
    }
}
