//! Which share partitions of a group have a state: the ShareGroupStatePartitionMetadata record.

use std::collections::{BTreeMap, BTreeSet};

use base::Uuid;

use super::SharePartitions;
use crate::cluster::ClusterView;

/// Partitions of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicStates {
    pub(crate) name: String,
    pub(crate) partitions: BTreeSet<i32>,
}

/// Topics by id.
pub(crate) type ByTopic = BTreeMap<Uuid, TopicStates>;

/// What a group knows of the states of its share partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StatePartitions {
    /// Asked of the share coordinator, which has not answered yet.
    pub(crate) initializing: ByTopic,
    /// With a state. Only these are assigned.
    pub(crate) initialized: ByTopic,
    /// Topics, with their names, whose states are being deleted.
    pub(crate) deleting: BTreeMap<Uuid, String>,
}

impl StatePartitions {
    /// Has these initialized from here on, and deletes none of their topics.
    pub(crate) fn begin(&mut self, topics: &ByTopic) {
        merge(&mut self.initializing, topics);
        let initializing = &self.initializing;
        self.deleting.retain(|id, _| !initializing.contains_key(id));
    }

    /// These are initialized; those of topics that are gone meanwhile are forgotten.
    pub(crate) fn initialized(&mut self, partitions: &SharePartitions, cluster: &dyn ClusterView) {
        self.remove_initializing(partitions);
        let topics = partitions.iter().filter_map(|(id, partitions)| {
            let states = TopicStates {
                name: cluster.topic_by_id(*id)?.name.to_string(),
                partitions: partitions.clone(),
            };
            Some((*id, states))
        });
        merge(&mut self.initialized, &topics.collect());
    }

    /// These could not be initialized.
    pub(crate) fn remove_initializing(&mut self, partitions: &SharePartitions) {
        for (id, partitions) in partitions {
            if let Some(states) = self.initializing.get_mut(id) {
                states
                    .partitions
                    .retain(|index| !partitions.contains(index));
                if states.partitions.is_empty() {
                    self.initializing.remove(id);
                }
            }
        }
    }

    /// Forgets topics that are gone; whether there was one of them.
    pub(crate) fn forget(&mut self, gone: &[Uuid]) -> bool {
        let before = (
            self.initializing.len(),
            self.initialized.len(),
            self.deleting.len(),
        );
        self.initializing.retain(|id, _| !gone.contains(id));
        self.initialized.retain(|id, _| !gone.contains(id));
        self.deleting.retain(|id, _| !gone.contains(id));
        before
            != (
                self.initializing.len(),
                self.initialized.len(),
                self.deleting.len(),
            )
    }

    /// Has everything deleted: what may have a state, and what an earlier deletion left.
    pub(crate) fn delete_all(&mut self, cluster: &dyn ClusterView) -> SharePartitions {
        let mut doomed = std::mem::take(&mut self.initialized);
        merge(&mut doomed, &std::mem::take(&mut self.initializing));
        let left = std::mem::take(&mut self.deleting);
        let left = left
            .into_keys()
            .filter_map(|id| Some((id, all_partitions(cluster, id)?)));
        merge(&mut doomed, &left.collect());
        self.deleting = doomed
            .iter()
            .map(|(id, states)| (*id, states.name.clone()))
            .collect();
        strip(doomed)
    }

    /// Has the states of a topic deleted; none when it has none.
    pub(crate) fn delete_topic(
        &mut self,
        id: Uuid,
        cluster: &dyn ClusterView,
    ) -> Option<BTreeSet<i32>> {
        if let Some(states) = self.initialized.remove(&id) {
            self.deleting.insert(id, states.name);
            return Some(states.partitions);
        }
        if !self.deleting.contains_key(&id) {
            return None;
        }
        Some(all_partitions(cluster, id)?.partitions)
    }
}

fn all_partitions(cluster: &dyn ClusterView, id: Uuid) -> Option<TopicStates> {
    let topic = cluster.topic_by_id(id)?;
    Some(TopicStates {
        name: topic.name.to_string(),
        partitions: (0..topic.partitions).collect(),
    })
}

fn merge(into: &mut ByTopic, topics: &ByTopic) {
    for (id, more) in topics {
        match into.get_mut(id) {
            Some(states) => {
                states.name.clone_from(&more.name);
                states.partitions.extend(&more.partitions);
            }
            None => {
                into.insert(*id, more.clone());
            }
        }
    }
}

fn strip(topics: ByTopic) -> SharePartitions {
    topics
        .into_iter()
        .map(|(id, states)| (id, states.partitions))
        .collect()
}
