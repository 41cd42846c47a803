//! The deadlines of a consumer group's members.
//!
//! A member has to heartbeat within its session timeout, and to give up what it is asked for within its rebalance
//! timeout; a classic member has to join again and to sync within that instead. Who does not is fenced: taken out
//! of the group, told so by its next request. Source: Kafka's `GroupMetadataManager.scheduleConsumerGroup*Timeout`.

use std::sync::Arc;
use std::time::Duration;

use super::group::ConsumerGroup;
use super::member::{Member, MemberState};
use crate::revocation::{Asked, RebalanceTimer};
use crate::shard::Shard;
use crate::shard::core::Core;
use crate::timer::MemberTimer;

impl ConsumerGroup {
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
            let timeout = member.classic_session_timeout().unwrap_or(session_timeout);
            core.schedule_session(&self.id, &member.id, timeout);
            let revokes = member.current.state == MemberState::UnrevokedPartitions;
            if revokes && !member.uses_classic_protocol() {
                self.set_rebalance_timer(core, &member, RebalanceTimer::Set);
            }
        }
    }

    /// Drops the group's deadlines.
    pub(crate) fn cancel_timers(&self, core: &mut Core) {
        for member in self.members.keys() {
            core.cancel_member_timers(&self.id, member);
        }
    }
}

impl Shard {
    /// A member was silent for its session timeout.
    pub(crate) fn expire_consumer_session(&mut self, group: &Arc<str>, member: &Arc<str>) {
        self.fence_silent(group, member, "its session timed out");
    }

    /// A member did not do in time what it was asked for.
    pub(crate) fn expire_member_timer(
        &mut self,
        group: &Arc<str>,
        member: &Arc<str>,
        timer: MemberTimer,
    ) {
        let reason = match timer {
            MemberTimer::Rebalance => {
                let Some((state, _)) = self.consumer_mut(group) else {
                    return;
                };
                let epoch = state.members.get(member).map(|member| member.current.epoch);
                if !state.revocations.expire(member, epoch) {
                    return;
                }
                "it did not give up its partitions in time"
            }
            MemberTimer::Join => "it did not join again in time",
            MemberTimer::Sync => "it did not sync in time",
        };
        self.fence_silent(group, member, reason);
    }

    fn fence_silent(&mut self, group: &Arc<str>, member: &Arc<str>, reason: &str) {
        let found = self
            .consumer(group)
            .and_then(|group| group.members.get(member));
        if let Some(member) = found.cloned() {
            tracing::info!(group_id = %group, member_id = %member.id, reason, "fencing member");
            self.fence_members(group, &[member], None);
        }
    }

    /// Gives the members of a group that was put back full timeouts.
    pub(crate) fn restart_timers(&mut self, id: &Arc<str>) {
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        group.start_sessions(&mut self.core, &*self.cluster);
        if let Some(classic) = group.as_classic_mut()
            && !classic.is_empty()
        {
            // Its members were told to join again when it became a consumer group.
            classic.prepare_rebalance(
                &mut self.core,
                "the change of the group's protocol was not stored",
            );
        }
    }
}
