//! The deadlines of a streams group.
//!
//! A member has to heartbeat within its session timeout, and to give up what it is asked for within its rebalance
//! timeout; who does not is fenced. The first assignment of an empty group waits a while for more members. Source:
//! Kafka's `GroupMetadataManager.scheduleStreamsGroup*Timeout`, `computeDelayedTargetAssignment`.

use std::sync::Arc;
use std::time::Duration;

use super::configured::ConfiguredTopology;
use super::group::StreamsGroup;
use super::member::Member;
use super::target::Target;
use crate::consumer::member::MemberState;
use crate::revocation::{Asked, RebalanceTimer};
use crate::shard::Shard;
use crate::shard::core::Core;
use crate::shard::write::LogRecord;
use crate::timer::TimerKey;

impl StreamsGroup {
    pub(super) fn initial_rebalance_key(&self) -> TimerKey {
        TimerKey::InitialRebalance(self.id.clone())
    }

    pub(super) fn set_rebalance_timer(
        &mut self,
        core: &mut Core,
        member: &Member,
        timer: RebalanceTimer,
    ) {
        let asked = Asked {
            group: &self.id,
            member: &member.id,
            epoch: member.current.epoch,
            rebalance_timeout: member.rebalance_timeout(),
        };
        self.revocations.set(core, &asked, timer);
    }

    /// Gives every member a full session from now, and one that has to revoke its full rebalance timeout.
    pub(crate) fn start_sessions(&mut self, core: &mut Core, session_timeout: Duration) {
        let members: Vec<Arc<Member>> = self.members.values().cloned().collect();
        for member in members {
            core.schedule_session(&self.id, &member.id, session_timeout);
            if member.current.state == MemberState::UnrevokedPartitions {
                self.set_rebalance_timer(core, &member, RebalanceTimer::Set);
            }
        }
    }

    /// Drops the group's deadlines.
    pub(crate) fn cancel_timers(&self, core: &mut Core) {
        core.timers.cancel(&self.initial_rebalance_key());
        for member in self.members.keys() {
            core.cancel_member_timers(&self.id, member);
        }
    }
}

impl Shard {
    /// A member was silent for its session timeout.
    pub(crate) fn expire_streams_session(&mut self, group: &Arc<str>, member: &Arc<str>) {
        self.fence_silent_streams(group, member, "its session timed out");
    }

    /// A member did not give up its tasks in time.
    pub(crate) fn expire_streams_rebalance(&mut self, group: &Arc<str>, member: &Arc<str>) {
        let Some((state, _)) = self.streams_mut(group) else {
            return;
        };
        let epoch = state.members.get(member).map(|member| member.current.epoch);
        if state.revocations.expire(member, epoch) {
            self.fence_silent_streams(group, member, "it did not give up its tasks in time");
        }
    }

    fn fence_silent_streams(&mut self, group: &Arc<str>, member: &Arc<str>, reason: &str) {
        let found = self
            .streams(group)
            .and_then(|group| group.members.get(member));
        if let Some(member) = found.cloned() {
            tracing::info!(group_id = %group, member_id = %member.id, reason, "fencing streams member");
            self.fence_streams_member(group, &member, None);
        }
    }

    /// The group has waited long enough for its first members.
    pub(crate) fn end_initial_rebalance_delay(&mut self, id: &Arc<str>) {
        let Some(group) = self.streams(id) else {
            return;
        };
        let Some(topology) = group.topology.as_ref() else {
            return;
        };
        if group.members.is_empty() || group.metadata.epoch <= group.assignment_epoch {
            return;
        }
        let configured = match &group.configured {
            Some(configured) => Arc::clone(configured),
            None => match ConfiguredTopology::new(topology, &*self.cluster) {
                Ok(configured) => Arc::new(configured),
                // The next heartbeat is told what is wrong.
                Err(_) => return,
            },
        };
        let settings = self.streams_settings(id);
        let target = Target {
            group,
            topology: &configured,
            updated: None,
            settings: &settings,
            epoch: group.metadata.epoch,
            now_ms: self.core.now_ms(),
        };
        let (records, _) = target.compute();
        let records = records.into_iter().map(LogRecord::Streams).collect();
        self.write(id, records, None);
    }
}
