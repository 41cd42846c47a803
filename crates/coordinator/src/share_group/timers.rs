//! The deadlines of a share group: a member has to heartbeat within its session timeout, or it is taken out.
//! Source: Kafka's `GroupMetadataManager.scheduleShareGroupSessionTimeout`.

use std::sync::Arc;
use std::time::Duration;

use super::group::ShareGroup;
use crate::shard::Shard;
use crate::shard::core::Core;

impl ShareGroup {
    /// Gives every member a full session from now.
    pub(crate) fn start_sessions(&self, core: &mut Core, session_timeout: Duration) {
        for member in self.members.keys() {
            core.schedule_session(&self.id, member, session_timeout);
        }
    }

    /// Drops the group's deadlines.
    pub(crate) fn cancel_timers(&self, core: &mut Core) {
        for member in self.members.keys() {
            core.cancel_session(&self.id, member);
        }
    }
}

impl Shard {
    /// A member was silent for its session timeout.
    pub(crate) fn expire_share_session(&mut self, group: &Arc<str>, member: &Arc<str>) {
        let found = self.share_group(group);
        if let Some(member) = found.and_then(|group| group.members.get(member)).cloned() {
            let reason = "its session timed out";
            tracing::info!(group_id = %group, member_id = %member.id, reason, "fencing share member");
            self.fence_share_member(group, &member, None);
        }
    }
}
