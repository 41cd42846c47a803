//! Share groups in a shard: finding and making them, and what their records do to it.

use super::group::ShareGroup;
use crate::cluster::ShareSettings;
use crate::consumer::Failure;
use crate::shard::Shard;
use crate::shard::core::Core;
use crate::shard::groups::Group;

impl Shard {
    /// The share group, unless it does not exist or its deletion is on its way to the log.
    pub(crate) fn share_group(&self, group_id: &str) -> Option<&ShareGroup> {
        self.any_group(group_id)?.as_share()
    }

    /// As [`Shard::share_group`], with what its handlers need.
    pub(crate) fn share_group_mut(
        &mut self,
        group_id: &str,
    ) -> Option<(&mut ShareGroup, &mut Core)> {
        let group = self.groups.get_mut(group_id)?.as_share_mut()?;
        (!group.lifecycle.deleting).then_some((group, &mut self.core))
    }

    /// As [`Shard::share_group`], with Kafka's words when there is none; `what` begins those of a group that does
    /// not exist.
    pub(super) fn find_share_group(
        &self,
        group_id: &str,
        what: &str,
    ) -> Result<&ShareGroup, Failure> {
        self.find_group(group_id, ("share", what), Group::as_share)
    }

    /// What is in force for a share group.
    pub(crate) fn share_settings(&self, group_id: &str) -> ShareSettings {
        self.cluster
            .share_settings(group_id)
            .unwrap_or(self.core.config.share.settings)
    }
}
