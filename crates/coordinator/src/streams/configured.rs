//! A topology and the topics there are, taken together: how many tasks there are, and which topics are in the way.
//! Source: Kafka's `InternalTopicManager` and `ConfiguredTopology`, 4.3.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wire::coordinator_records::streams_group_topology_value::{Subtopology, TopicInfo};

use super::internal_topics::{
    InternalTopic, PartitionCounts, Status, TopicProblem, Undecided, incorrectly_partitioned,
};
use super::topology::Topology;
use crate::cluster::ClusterView;
use crate::consumer::Failure;

/// How many topics a status names before it counts the rest.
const NAMED_TOPICS_MAX: usize = 3;

/// A subtopology with its tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConfiguredSubtopology {
    /// At least 1.
    pub(super) tasks: i32,
    pub(super) source_topics: BTreeSet<String>,
    pub(super) repartition_source_topics: BTreeMap<String, InternalTopic>,
    pub(super) repartition_sink_topics: BTreeSet<String>,
    pub(super) changelog_topics: BTreeMap<String, InternalTopic>,
}

impl ConfiguredSubtopology {
    /// Every topic it reads.
    pub(super) fn inputs(&self) -> BTreeSet<&str> {
        let sources = self.source_topics.iter();
        let inputs = sources.chain(self.repartition_source_topics.keys());
        inputs.map(String::as_str).collect()
    }
}

/// A topology with the tasks it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConfiguredTopology {
    pub(super) epoch: i32,
    /// None when the topics there are do not allow any tasks.
    pub(super) subtopologies: Option<BTreeMap<Arc<str>, ConfiguredSubtopology>>,
    /// Internal topics to create.
    pub(super) missing_topics: Vec<InternalTopic>,
    /// What keeps the group from getting its tasks.
    pub(super) problem: Option<TopicProblem>,
}

impl ConfiguredTopology {
    /// Looks at the topics there are.
    ///
    /// # Errors
    /// STREAMS_INVALID_TOPOLOGY when no topics could make the topology work.
    pub(super) fn new(
        topology: &Topology,
        cluster: &dyn ClusterView,
    ) -> Result<ConfiguredTopology, Failure> {
        match configure(topology, cluster) {
            Ok((subtopologies, missing_topics)) => {
                let names = missing_topics.iter().map(|topic| topic.name.as_str());
                let problem = (!missing_topics.is_empty()).then(|| TopicProblem {
                    status: Status::MissingInternalTopics,
                    detail: format!("Internal topics are missing: {}", summary(names)),
                });
                Ok(ConfiguredTopology {
                    epoch: topology.epoch,
                    subtopologies: Some(subtopologies),
                    missing_topics,
                    problem,
                })
            }
            Err(Undecided::Topics(problem)) => Ok(ConfiguredTopology {
                epoch: topology.epoch,
                subtopologies: None,
                missing_topics: Vec::new(),
                problem: Some(problem),
            }),
            Err(Undecided::Invalid(failure)) => Err(failure),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.problem.is_none()
    }
}

type Configured = (
    BTreeMap<Arc<str>, ConfiguredSubtopology>,
    Vec<InternalTopic>,
);

fn configure(topology: &Topology, cluster: &dyn ClusterView) -> Result<Configured, Undecided> {
    let sources = topology.subtopologies.values();
    let missing: BTreeSet<&str> = sources
        .flat_map(|subtopology| &subtopology.source_topics)
        .map(String::as_str)
        .filter(|topic| cluster.topic(topic).is_none())
        .collect();
    if !missing.is_empty() {
        let topics = summary(missing.into_iter());
        return Err(Undecided::Topics(TopicProblem {
            status: Status::MissingSourceTopics,
            detail: format!("Source topics {topics} are missing."),
        }));
    }
    let counts = PartitionCounts::decide(topology, cluster)?;
    let mut subtopologies = BTreeMap::new();
    for (id, subtopology) in &topology.subtopologies {
        subtopologies.insert(id.clone(), subtopology_of(subtopology, &counts)?);
    }
    let missing = missing_topics(&subtopologies, cluster)?;
    Ok((subtopologies, missing))
}

fn subtopology_of(
    subtopology: &Subtopology,
    counts: &PartitionCounts<'_>,
) -> Result<ConfiguredSubtopology, Undecided> {
    let internal = |topics: &[TopicInfo]| {
        let topics = topics.iter().map(|topic| internal_topic(topic, counts));
        topics.map(|topic| (topic.name.clone(), topic)).collect()
    };
    Ok(ConfiguredSubtopology {
        tasks: counts.tasks(subtopology)?,
        source_topics: subtopology.source_topics.iter().cloned().collect(),
        repartition_source_topics: internal(&subtopology.repartition_source_topics),
        repartition_sink_topics: subtopology
            .repartition_sink_topics
            .iter()
            .cloned()
            .collect(),
        changelog_topics: internal(&subtopology.state_changelog_topics),
    })
}

fn internal_topic(topic: &TopicInfo, counts: &PartitionCounts<'_>) -> InternalTopic {
    let partitions = match topic.partitions {
        0 => counts.decided(&topic.name).unwrap_or(0),
        fixed => fixed,
    };
    let configs = topic.topic_configs.iter();
    InternalTopic {
        name: topic.name.clone(),
        partitions,
        replication_factor: (topic.replication_factor != 0).then_some(topic.replication_factor),
        configs: configs
            .map(|config| (config.key.clone(), config.value.clone()))
            .collect(),
    }
}

fn missing_topics(
    subtopologies: &BTreeMap<Arc<str>, ConfiguredSubtopology>,
    cluster: &dyn ClusterView,
) -> Result<Vec<InternalTopic>, TopicProblem> {
    let internal: BTreeMap<&String, &InternalTopic> = subtopologies
        .values()
        .flat_map(|subtopology| {
            let repartitions = subtopology.repartition_source_topics.iter();
            repartitions.chain(&subtopology.changelog_topics)
        })
        .collect();
    let mut missing = Vec::new();
    for (name, expected) in internal {
        let Some(found) = cluster.topic(name) else {
            missing.push(expected.clone());
            continue;
        };
        if found.partitions != expected.partitions {
            return Err(incorrectly_partitioned(format!(
                "Existing topic {name} has different number of partitions: expected {}, found {}",
                expected.partitions, found.partitions
            )));
        }
    }
    Ok(missing)
}

fn summary<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    let named: Vec<&str> = names.iter().copied().take(NAMED_TOPICS_MAX).collect();
    let named = named.join(", ");
    match names.len().checked_sub(NAMED_TOPICS_MAX) {
        Some(rest) if rest > 0 => format!("{named} and {rest} additional topics"),
        _ => named,
    }
}
