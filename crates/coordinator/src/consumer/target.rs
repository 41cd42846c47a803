//! The target assignment: what each member shall have at the group's epoch. Source: Kafka's
//! `TargetAssignmentBuilder`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Uuid;

use super::assignment::Partitions;
use super::assignor::{Assignor, MemberSpec, Spec};
use super::group::ConsumerGroup;
use super::member::Member;
use super::reconcile::subscribed_ids;
use super::records::ConsumerRecord;
use crate::cluster::ClusterView;

/// What an assignment is computed from.
pub(super) struct Target<'a> {
    pub(super) group: &'a ConsumerGroup,
    pub(super) cluster: &'a dyn ClusterView,
    /// The member as it will be.
    pub(super) updated: &'a Member,
    pub(super) assignor: Assignor,
    pub(super) epoch: i32,
    pub(super) now_ms: i64,
}

impl Target<'_> {
    /// The records of what changes, and what `updated` shall have.
    pub(super) fn compute(&self) -> (Vec<ConsumerRecord>, Arc<Partitions>) {
        let spec = self.spec();
        let mut assignment = self.assignor.assign(&spec);
        let mut records = Vec::new();
        let mut own = Arc::default();
        for id in spec.members.keys() {
            let new = Arc::new(assignment.remove(id).unwrap_or_default());
            if *id == self.updated.id {
                own = Arc::clone(&new);
            }
            if self.group.target.get(id) != Some(&new) {
                records.push(ConsumerRecord::Target(id.clone(), Some(new)));
            }
        }
        records.push(ConsumerRecord::TargetEpoch(Some((self.epoch, self.now_ms))));
        tracing::info!(
            group_id = %self.group.id, epoch = self.epoch, assignor = self.assignor.name(),
            members = spec.members.len(), changed = records.len() - 1,
            "computed a target assignment"
        );
        (records, own)
    }

    fn spec(&self) -> Spec {
        let instance = self.updated.metadata.instance_id.as_deref();
        // The member whose place the updated one takes.
        let replaced = instance
            .and_then(|instance| self.group.static_members.get(instance))
            .filter(|id| **id != self.updated.id);
        let mut wishes = Wishes::default();
        let mut members = BTreeMap::new();
        for member in self.group.members.values() {
            if Some(&member.id) != replaced && member.id != self.updated.id {
                let assigned = self.group.target.get(&member.id).cloned();
                let spec = self.member_spec(&mut wishes, member, assigned);
                members.insert(member.id.clone(), spec);
            }
        }
        let assigned = self.group.target_of(&self.updated.id, instance);
        let spec = self.member_spec(&mut wishes, self.updated, Some(assigned));
        members.insert(self.updated.id.clone(), spec);
        let mut sets = members.values().map(|member: &MemberSpec| &member.topics);
        let first = sets.next();
        let homogeneous = sets.all(|topics| Some(topics) == first);
        Spec {
            members,
            topics: wishes.partition_counts,
            homogeneous,
        }
    }

    fn member_spec(
        &self,
        wishes: &mut Wishes,
        member: &Member,
        assigned: Option<Arc<Partitions>>,
    ) -> MemberSpec {
        MemberSpec {
            instance_id: member.metadata.instance_id.clone(),
            topics: wishes.of(self.group, self.cluster, member),
            assigned: assigned.unwrap_or_default(),
        }
    }
}

/// Topic names and a regular expression.
type Subscription = (BTreeSet<String>, Arc<str>);

/// The topic ids of each subscription seen so far: most members of a group have the same.
#[derive(Default)]
struct Wishes {
    by_subscription: BTreeMap<Subscription, Arc<BTreeSet<Uuid>>>,
    partition_counts: BTreeMap<Uuid, i32>,
}

impl Wishes {
    fn of(
        &mut self,
        group: &ConsumerGroup,
        cluster: &dyn ClusterView,
        member: &Member,
    ) -> Arc<BTreeSet<Uuid>> {
        let metadata = &member.metadata;
        let subscription = (metadata.topic_names.clone(), metadata.topic_regex.clone());
        if let Some(known) = self.by_subscription.get(&subscription) {
            return Arc::clone(known);
        }
        let mut ids = subscribed_ids(group, cluster, member);
        // A topic that goes away in between is nobody's.
        ids.retain(|id| match cluster.topic_by_id(*id) {
            Some(topic) => {
                self.partition_counts.insert(*id, topic.partitions);
                true
            }
            None => false,
        });
        let ids = Arc::new(ids);
        self.by_subscription.insert(subscription, Arc::clone(&ids));
        ids
    }
}
