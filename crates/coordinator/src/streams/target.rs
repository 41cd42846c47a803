//! The target assignment: what each member shall have at the group's epoch. Source: Kafka's
//! `TargetAssignmentBuilder`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::assignor::{self, MemberSpec, Spec, SubtopologySpec};
use super::configured::ConfiguredTopology;
use super::group::StreamsGroup;
use super::member::Member;
use super::records::StreamsRecord;
use super::tasks::Tasks;
use crate::cluster::StreamsSettings;

/// What an assignment is computed from.
pub(super) struct Target<'a> {
    pub(super) group: &'a StreamsGroup,
    pub(super) topology: &'a ConfiguredTopology,
    /// The member as it will be, when the assignment is made with its heartbeat.
    pub(super) updated: Option<&'a Member>,
    pub(super) settings: &'a StreamsSettings,
    pub(super) epoch: i32,
    pub(super) now_ms: i64,
}

impl Target<'_> {
    /// The records of what changes, and what `updated` shall have. Nobody gets anything before all topics are there.
    pub(super) fn compute(&self) -> (Vec<StreamsRecord>, Arc<Tasks>) {
        let spec = self.spec();
        let mut assignment = match self.topology.is_ready() {
            true => assignor::assign(&spec),
            false => BTreeMap::new(),
        };
        let mut records = Vec::new();
        let mut own = Arc::default();
        for id in spec.members.keys() {
            let new = Arc::new(assignment.remove(id).unwrap_or_default());
            if self.updated.is_some_and(|updated| updated.id == *id) {
                own = Arc::clone(&new);
            }
            if self.group.target.get(id) != Some(&new) {
                records.push(StreamsRecord::Target(id.clone(), Some(new)));
            }
        }
        records.push(StreamsRecord::TargetEpoch(Some((self.epoch, self.now_ms))));
        tracing::info!(
            group_id = %self.group.id, epoch = self.epoch, members = spec.members.len(),
            changed = records.len() - 1, "computed a target assignment of tasks"
        );
        (records, own)
    }

    fn spec(&self) -> Spec {
        let instance = self
            .updated
            .and_then(|updated| updated.metadata.instance_id.as_deref());
        // The member whose place the updated one takes.
        let replaced = instance
            .and_then(|instance| self.group.static_member(instance))
            .map(|member| &member.id);
        let mut members = BTreeMap::new();
        for member in self.group.members.values() {
            if Some(&member.id) != replaced {
                let assigned = self.group.target.get(&member.id).cloned();
                members.insert(member.id.clone(), self.spec_of(member, assigned));
            }
        }
        if let Some(updated) = self.updated {
            let assigned = self.group.target_of(&updated.id, instance);
            members.insert(updated.id.clone(), self.spec_of(updated, Some(assigned)));
        }
        let subtopologies = self.topology.subtopologies.iter().flatten();
        Spec {
            members,
            subtopologies: subtopologies
                .map(|(id, subtopology)| {
                    let spec = SubtopologySpec {
                        tasks: subtopology.tasks,
                        stateful: !subtopology.changelog_topics.is_empty(),
                    };
                    (id.clone(), spec)
                })
                .collect(),
            standby_replicas: self.settings.standby_replicas,
            rack_aware_tags: Arc::clone(&self.settings.rack_aware_tags),
        }
    }

    fn spec_of(&self, member: &Member, assigned: Option<Arc<Tasks>>) -> MemberSpec {
        let offsets = self.group.task_offsets.get(&member.id);
        MemberSpec {
            process_id: member.metadata.process_id.clone(),
            assigned: assigned.unwrap_or_default(),
            offsets: offsets.cloned().unwrap_or_default(),
            client_tags: member.metadata.client_tags.clone(),
        }
    }
}
