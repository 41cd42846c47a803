//! The topology of an application: the StreamsGroupTopology record. Source: Kafka's `StreamsTopology`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wire::ErrorCode;
use wire::coordinator_records::streams_group_topology_value as value;
use wire::coordinator_records::streams_group_topology_value::{Subtopology, TopicInfo};
use wire::messages::streams_group_heartbeat_request as request;

use crate::consumer::Failure;

/// A topology, its subtopologies by their ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Topology {
    pub(crate) epoch: i32,
    pub(crate) subtopologies: BTreeMap<Arc<str>, Subtopology>,
    /// Which subtopology reads a topic.
    readers: BTreeMap<String, Arc<str>>,
}

impl Topology {
    pub(crate) fn new(epoch: i32, subtopologies: Vec<Subtopology>) -> Topology {
        let mut readers = BTreeMap::new();
        let mut by_id: BTreeMap<Arc<str>, Subtopology> = BTreeMap::new();
        for subtopology in subtopologies {
            let id: Arc<str> = subtopology.subtopology_id.as_str().into();
            for topic in inputs(&subtopology) {
                readers.insert(topic.to_owned(), id.clone());
            }
            by_id.insert(id, subtopology);
        }
        Topology {
            epoch,
            subtopologies: by_id,
            readers,
        }
    }

    /// The topology that a member runs.
    ///
    /// # Errors
    /// STREAMS_INVALID_TOPOLOGY for one that no application can have: two subtopologies of one id, a subtopology that
    /// reads nothing, a topic that a copartition group names and the subtopology does not, a negative epoch or number
    /// of partitions. Differs: Kafka answers most of these UNKNOWN_SERVER_ERROR.
    pub(crate) fn from_request(topology: &request::Topology) -> Result<Topology, Failure> {
        let invalid = |message: String| Failure::new(ErrorCode::StreamsInvalidTopology, message);
        if topology.epoch < 0 {
            return Err(invalid("Topology epoch must be non-negative.".to_owned()));
        }
        let subtopologies: Vec<Subtopology> =
            topology.subtopologies.iter().map(to_subtopology).collect();
        let mut ids = BTreeSet::new();
        for subtopology in &subtopologies {
            let id = &subtopology.subtopology_id;
            if !ids.insert(id) {
                return Err(invalid(format!("Subtopology {id} is there twice.")));
            }
            if inputs(subtopology).next().is_none() {
                return Err(invalid(format!(
                    "No source topics found for subtopology {id}"
                )));
            }
            if let Some(topic) = internal_topics(subtopology).find(|topic| topic.partitions < 0) {
                return Err(invalid(format!(
                    "Topic {} has {} partitions.",
                    topic.name, topic.partitions
                )));
            }
            if !has_known_copartitions(subtopology) {
                return Err(invalid(format!(
                    "A copartition group of subtopology {id} names a topic that the subtopology does not read."
                )));
            }
        }
        Ok(Topology::new(topology.epoch, subtopologies))
    }

    /// The record's value.
    pub(crate) fn to_value(&self) -> value::StreamsGroupTopologyValue {
        value::StreamsGroupTopologyValue {
            epoch: self.epoch,
            subtopologies: self.subtopologies.values().cloned().collect(),
        }
    }

    /// The topics the application cannot do without: sources, repartition and changelog topics.
    pub(crate) fn required_topics(&self) -> BTreeSet<&str> {
        let subtopologies = self.subtopologies.values();
        subtopologies
            .flat_map(|subtopology| {
                let changelogs = subtopology.state_changelog_topics.iter();
                inputs(subtopology).chain(changelogs.map(|topic| topic.name.as_str()))
            })
            .collect()
    }

    /// Whether `topic` is one of [`Topology::required_topics`].
    pub(crate) fn requires(&self, topic: &str) -> bool {
        let mut subtopologies = self.subtopologies.values();
        self.reads(topic)
            || subtopologies.any(|subtopology| {
                let mut changelogs = subtopology.state_changelog_topics.iter();
                changelogs.any(|changelog| changelog.name == topic)
            })
    }

    /// Whether a subtopology reads `topic`.
    pub(crate) fn reads(&self, topic: &str) -> bool {
        self.readers.contains_key(topic)
    }

    /// The subtopology that reads `topic`.
    pub(crate) fn reader(&self, topic: &str) -> Option<&Arc<str>> {
        self.readers.get(topic)
    }
}

/// The topics a subtopology reads.
pub(crate) fn inputs(subtopology: &Subtopology) -> impl Iterator<Item = &str> {
    let sources = subtopology.source_topics.iter().map(String::as_str);
    let repartitions = subtopology.repartition_source_topics.iter();
    sources.chain(repartitions.map(|topic| topic.name.as_str()))
}

fn internal_topics(subtopology: &Subtopology) -> impl Iterator<Item = &TopicInfo> {
    let repartitions = subtopology.repartition_source_topics.iter();
    repartitions.chain(&subtopology.state_changelog_topics)
}

/// The topics of each copartition group; a topic that the subtopology does not have is left out.
pub(crate) fn copartition_groups(
    subtopology: &Subtopology,
) -> impl Iterator<Item = BTreeSet<&str>> {
    subtopology.copartition_groups.iter().map(|group| {
        let sources = group.source_topics.iter();
        let sources = sources.filter_map(|index| at(&subtopology.source_topics, *index));
        let repartitions = group.repartition_source_topics.iter();
        let repartitions =
            repartitions.filter_map(|index| at(&subtopology.repartition_source_topics, *index));
        sources
            .map(String::as_str)
            .chain(repartitions.map(|topic| topic.name.as_str()))
            .collect()
    })
}

fn has_known_copartitions(subtopology: &Subtopology) -> bool {
    subtopology.copartition_groups.iter().all(|group| {
        let mut sources = group.source_topics.iter();
        let mut repartitions = group.repartition_source_topics.iter();
        sources.all(|index| at(&subtopology.source_topics, *index).is_some())
            && repartitions
                .all(|index| at(&subtopology.repartition_source_topics, *index).is_some())
    })
}

fn at<T>(list: &[T], index: i16) -> Option<&T> {
    list.get(usize::try_from(index).ok()?)
}

fn to_subtopology(subtopology: &request::Subtopology) -> Subtopology {
    let topics = |topics: &[request::TopicInfo]| topics.iter().map(to_topic).collect();
    let groups = subtopology.copartition_groups.iter();
    Subtopology {
        subtopology_id: subtopology.subtopology_id.clone(),
        source_topics: subtopology.source_topics.clone(),
        source_topic_regex: subtopology.source_topic_regex.clone(),
        state_changelog_topics: topics(&subtopology.state_changelog_topics),
        repartition_sink_topics: subtopology.repartition_sink_topics.clone(),
        repartition_source_topics: topics(&subtopology.repartition_source_topics),
        copartition_groups: groups
            .map(|group| value::CopartitionGroup {
                source_topics: group.source_topics.clone(),
                source_topic_regex: group.source_topic_regex.clone(),
                repartition_source_topics: group.repartition_source_topics.clone(),
            })
            .collect(),
    }
}

fn to_topic(topic: &request::TopicInfo) -> TopicInfo {
    let configs = topic.topic_configs.iter().map(|config| value::TopicConfig {
        key: config.key.clone(),
        value: config.value.clone(),
    });
    TopicInfo {
        name: topic.name.clone(),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        topic_configs: configs.collect(),
    }
}
