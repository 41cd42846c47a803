//! Share groups in a shard: finding and making them, and what their records do to it.

use std::sync::Arc;

use wire::ErrorCode;

use super::group::ShareGroup;
use super::records::ShareRecord;
use crate::cluster::ShareSettings;
use crate::consumer::Failure;
use crate::consumer::write::Undo;
use crate::group::ClassicGroup;
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
        (!group.deleting).then_some((group, &mut self.core))
    }

    /// As [`Shard::share_group`], with Kafka's words when there is none; `what` begins those of a group that does
    /// not exist.
    pub(super) fn find_share_group(
        &self,
        group_id: &str,
        what: &str,
    ) -> Result<&ShareGroup, Failure> {
        let not_found = |message| Failure::new(ErrorCode::GroupIdNotFound, message);
        match self.any_group(group_id) {
            Some(Group::Share(group)) => Ok(group),
            Some(_) => Err(not_found(format!("Group {group_id} is not a share group."))),
            None => Err(not_found(format!("{what} {group_id} not found."))),
        }
    }

    /// What is in force for a share group.
    pub(crate) fn share_settings(&self, group_id: &str) -> ShareSettings {
        self.cluster
            .share_settings(group_id)
            .unwrap_or(self.core.config.share.settings)
    }

    /// Applies a record of a share group. The first makes the group, in place of one that only has offsets; the
    /// tombstones of a group that is not there, or is another kind by now, do nothing.
    pub(crate) fn apply_share(&mut self, id: &Arc<str>, change: ShareRecord) -> Option<Undo> {
        let exists = self.share_group(id).is_some();
        if change == ShareRecord::Group(None) {
            return exists.then(|| Undo::Group(self.groups.remove(id)));
        }
        if exists {
            let group = self.groups.get_mut(id)?.as_share_mut()?;
            return Some(Undo::Share(group.apply(change)));
        }
        let replaceable = self.groups.get(id).is_none_or(|group| {
            group.is_deleting() || group.as_classic().is_some_and(ClassicGroup::is_simple)
        });
        if !replaceable || change.is_tombstone() {
            return None;
        }
        let mut group = ShareGroup::new(id.clone(), self.core.incarnation());
        group.apply(change);
        let group = Group::Share(Box::new(group));
        Some(Undo::Group(self.groups.insert(id.clone(), group)))
    }
}
