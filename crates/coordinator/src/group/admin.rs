//! DescribeGroups, ListGroups and DeleteGroups.
//!
//! These APIs span shards: the broker asks each shard for the groups that hash to it and joins the parts.

use std::sync::Arc;

use wire::messages::ListGroupsRequest;
use wire::messages::delete_groups_response::DeletableGroupResult;
use wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use wire::messages::list_groups_response::ListedGroup;
use wire::{EncodeError, ErrorCode};

use super::GroupState;
use super::classic::ClassicGroup;
use super::member::Member;
use crate::action::{Action, CoordinatorRecord, RequestContext, Response, Token};
use crate::record;
use crate::shard::Shard;
use crate::shard::effect::{Change, Effect};
use crate::shard::groups::Group;

/// The group type of ListGroups (KIP-848).
const CLASSIC_GROUP_TYPE: &str = "classic";

impl Shard {
    /// DescribeGroups, versions 0 to 6, for groups of this shard, in their order. `authorized_operations`
    /// is the broker's to fill.
    ///
    /// An unknown group is Dead, from version 6 with GROUP_ID_NOT_FOUND too. The empty group id is an id
    /// like any other.
    #[must_use]
    pub fn describe_groups(
        &self,
        context: &RequestContext,
        group_ids: &[String],
    ) -> Vec<DescribedGroup> {
        group_ids
            .iter()
            .map(|group_id| self.describe_group(context.version, group_id))
            .collect()
    }

    fn describe_group(&self, version: i16, group_id: &str) -> DescribedGroup {
        if let Some(error) = self.unavailable() {
            return DescribedGroup {
                group_id: group_id.to_owned(),
                error_code: error.code(),
                ..DescribedGroup::default()
            };
        }
        let durable = self.groups.get(group_id).filter(|group| group.is_durable());
        match durable.map(|group| (group, group.as_classic())) {
            Some((_, Some(group))) => group.describe(),
            other => {
                let mut dead = DescribedGroup {
                    group_id: group_id.to_owned(),
                    group_state: GroupState::Dead.name().to_owned(),
                    ..DescribedGroup::default()
                };
                if version >= 6 {
                    dead.error_code = ErrorCode::GroupIdNotFound.code();
                    dead.error_message = Some(match other {
                        Some(_) => format!("Group {group_id} is not a classic group."),
                        None => not_found(group_id),
                    });
                }
                dead
            }
        }
    }

    /// ListGroups, versions 0 to 5: the groups of this shard that pass both filters, by id. Filters ignore
    /// case; an empty one passes everything, an unknown word nothing.
    ///
    /// # Errors
    /// COORDINATOR_LOAD_IN_PROGRESS or NOT_COORDINATOR while the shard does not serve.
    pub fn list_groups(&self, request: &ListGroupsRequest) -> Result<Vec<ListedGroup>, ErrorCode> {
        if let Some(error) = self.unavailable() {
            return Err(error);
        }
        let passes = |filter: &[String], value: &str| {
            filter.is_empty()
                || filter
                    .iter()
                    .any(|wanted| wanted.eq_ignore_ascii_case(value))
        };
        let durable = self.groups.values().filter(|group| group.is_durable());
        let listed = durable.map(|group| match group {
            Group::Classic(group) => group.list(),
            Group::Consumer(group) => group.list(),
            Group::Streams(group) => group.list(),
            Group::Share(group) => group.list(),
        });
        let wanted = listed.filter(|group| {
            passes(&request.types_filter, &group.group_type)
                && passes(&request.states_filter, &group.group_state)
        });
        Ok(wanted.collect())
    }

    /// DeleteGroups, versions 0 to 3, for groups of this shard. The reply waits for the tombstones of the
    /// groups and of all their offsets; a group with members gets NON_EMPTY_GROUP, an unknown one
    /// GROUP_ID_NOT_FOUND.
    #[must_use]
    pub fn delete_groups(&mut self, token: Token, group_ids: &[String]) -> Vec<Action> {
        let mut changes = Vec::new();
        let results = group_ids
            .iter()
            .map(|group_id| match self.delete_group(group_id, &mut changes) {
                Ok(()) => delete_result(group_id, ErrorCode::None, None),
                Err((error, message)) => delete_result(group_id, error, message),
            })
            .collect();
        self.append_changes(changes, Some((token, Response::DeleteGroups(results))));
        self.finish()
    }

    fn delete_group(
        &mut self,
        group_id: &str,
        changes: &mut Vec<Change>,
    ) -> Result<(), (ErrorCode, Option<String>)> {
        if let Some(error) = self.unavailable() {
            return Err((error, None));
        }
        let not_found = || (ErrorCode::GroupIdNotFound, Some(not_found(group_id)));
        let group = self.any_group(group_id).ok_or_else(not_found)?;
        if !group.is_empty() {
            let message = format!("Group {group_id} has members or is rebalancing.");
            return Err((ErrorCode::NonEmptyGroup, Some(message)));
        }
        let id = group.id().clone();
        for (topic, partition) in self.latest_offsets(&id) {
            changes.push(Change::RemoveOffset {
                group: id.clone(),
                topic,
                partition,
            });
        }
        self.mark_deleting(&id, changes);
        Ok(())
    }

    /// Hides the group from requests and adds its deletion to `changes`.
    pub(crate) fn mark_deleting(&mut self, id: &Arc<str>, changes: &mut Vec<Change>) {
        if let Some(group) = self.groups.get_mut(id) {
            group.lifecycle_mut().deleting = true;
            let incarnation = group.lifecycle().incarnation;
            changes.push(Change::DeleteGroup {
                group: id.clone(),
                incarnation,
            });
        }
    }

    /// Appends `changes` as one batch; without changes `reply` is sent at once.
    pub(crate) fn append_changes(
        &mut self,
        changes: Vec<Change>,
        reply: Option<(Token, Response)>,
    ) {
        if changes.is_empty() {
            if let Some((token, response)) = reply {
                self.core.reply(token, response);
            }
            return;
        }
        let mut records = Vec::with_capacity(changes.len());
        let encoded = changes
            .iter()
            .try_for_each(|change| self.encode_change(change, &mut records));
        let records = encoded.map(|()| records);
        let groups: Vec<Arc<str>> = changes
            .iter()
            .map(|change| change.group().clone())
            .collect();
        let commit = self.core.append(Effect::Changes(changes), reply, records);
        self.offsets.stage(commit, groups);
    }

    fn encode_change(
        &self,
        change: &Change,
        records: &mut Vec<CoordinatorRecord>,
    ) -> Result<(), EncodeError> {
        let deleted = match change {
            Change::DeleteGroup { group, .. } => self.groups.get(group),
            Change::PutOffset { .. } | Change::RemoveOffset { .. } => None,
        };
        match deleted.map(|group| group.encode_tombstones()).transpose()? {
            Some(tombstones) if !tombstones.is_empty() => records.extend(tombstones),
            _ => records.push(change.to_record()?),
        }
        Ok(())
    }
}

impl ClassicGroup {
    fn describe(&self) -> DescribedGroup {
        let stable = self.state == GroupState::Stable;
        let protocol = self
            .protocol_name
            .clone()
            .filter(|_| stable)
            .unwrap_or_default();
        let describe = |member: &Member| DescribedGroupMember {
            member_id: member.id.to_string(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            member_metadata: if stable {
                member.metadata(&protocol)
            } else {
                Default::default()
            },
            member_assignment: member.assignment.clone(),
        };
        DescribedGroup {
            group_id: self.id.to_string(),
            group_state: self.state.name().to_owned(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            members: self.members.values().map(describe).collect(),
            protocol_data: protocol,
            ..DescribedGroup::default()
        }
    }

    fn list(&self) -> ListedGroup {
        ListedGroup {
            group_id: self.id.to_string(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            group_state: self.state.name().to_owned(),
            group_type: CLASSIC_GROUP_TYPE.to_owned(),
        }
    }
}

impl Change {
    /// The record of a change of an offset; the tombstone of a classic group.
    pub(crate) fn to_record(&self) -> Result<CoordinatorRecord, EncodeError> {
        match self {
            Change::PutOffset {
                group,
                topic,
                partition,
                entry,
            } => record::offset_commit(
                &crate::offsets::key(group, topic, *partition),
                &entry.to_value(),
            ),
            Change::RemoveOffset {
                group,
                topic,
                partition,
            } => record::offset_tombstone(&crate::offsets::key(group, topic, *partition)),
            Change::DeleteGroup { group, .. } => record::group_tombstone(group),
        }
    }
}

fn delete_result(
    group_id: &str,
    error: ErrorCode,
    message: Option<String>,
) -> DeletableGroupResult {
    DeletableGroupResult {
        group_id: group_id.to_owned(),
        error_code: error.code(),
        error_message: message,
    }
}

fn not_found(group_id: &str) -> String {
    format!("Group {group_id} not found.")
}
