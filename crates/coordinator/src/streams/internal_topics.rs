//! How many partitions the internal topics of an application have to have.
//!
//! A repartition topic has as many as its topology says, else as many as the largest input of the subtopology that
//! writes it; topics that are copartitioned have the same number; a changelog has one per task of its subtopology.
//! Topics that exist count as they are. Source: Kafka's `RepartitionTopics`, `CopartitionedTopicsEnforcer` and
//! `ChangelogTopics`, 4.3.

use std::collections::{BTreeMap, BTreeSet};

use wire::ErrorCode;
use wire::coordinator_records::streams_group_topology_value::Subtopology;

use super::topology::{Topology, copartition_groups, inputs};
use crate::cluster::ClusterView;
use crate::consumer::Failure;

/// A repartition or changelog topic, as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTopic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas; none for the broker's default.
    pub replication_factor: Option<i16>,
    /// Its topic configs.
    pub configs: BTreeMap<String, String>,
}

/// What is wrong with the topics of an application, as members are told (`StreamsGroupHeartbeatResponse.Status`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicProblem {
    pub(super) status: Status,
    pub(super) detail: String,
}

/// The codes of a heartbeat's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    StaleTopology,
    MissingSourceTopics,
    IncorrectlyPartitionedTopics,
    MissingInternalTopics,
    ShutdownApplication,
    AssignmentDelayed,
}

impl Status {
    pub(super) fn code(self) -> i8 {
        match self {
            Status::StaleTopology => 0,
            Status::MissingSourceTopics => 1,
            Status::IncorrectlyPartitionedTopics => 2,
            Status::MissingInternalTopics => 3,
            Status::ShutdownApplication => 4,
            Status::AssignmentDelayed => 5,
        }
    }
}

/// Why there are no partition counts.
#[derive(Debug)]
pub(super) enum Undecided {
    /// No topics could make this topology work.
    Invalid(Failure),
    /// Other topics would.
    Topics(TopicProblem),
}

impl From<TopicProblem> for Undecided {
    fn from(problem: TopicProblem) -> Undecided {
        Undecided::Topics(problem)
    }
}

fn invalid(message: impl Into<String>) -> Undecided {
    Undecided::Invalid(Failure::new(ErrorCode::StreamsInvalidTopology, message))
}

pub(super) fn incorrectly_partitioned(detail: String) -> TopicProblem {
    TopicProblem {
        status: Status::IncorrectlyPartitionedTopics,
        detail,
    }
}

/// The partition counts of an application's topics: of those that exist, and of those that shall.
pub(super) struct PartitionCounts<'a> {
    cluster: &'a dyn ClusterView,
    decided: BTreeMap<&'a str, i32>,
}

impl<'a> PartitionCounts<'a> {
    /// Decides on every internal topic. The source topics exist.
    ///
    /// # Errors
    /// STREAMS_INVALID_TOPOLOGY, or the topics that are not copartitioned.
    pub(super) fn decide(
        topology: &'a Topology,
        cluster: &'a dyn ClusterView,
    ) -> Result<PartitionCounts<'a>, Undecided> {
        let mut counts = PartitionCounts {
            cluster,
            decided: BTreeMap::new(),
        };
        counts.decided = counts.repartition_topics(topology)?;
        counts.enforce_copartitioning(topology)?;
        for subtopology in topology.subtopologies.values() {
            let tasks = counts.tasks(subtopology)?;
            let changelogs = subtopology.state_changelog_topics.iter();
            let decided = changelogs.map(|topic| (topic.name.as_str(), tasks));
            counts.decided.extend(decided);
        }
        Ok(counts)
    }

    /// How many partitions a topic has or shall have.
    fn of(&self, topic: &str) -> Option<i32> {
        let existing = self.cluster.topic(topic).map(|topic| topic.partitions);
        existing.or_else(|| self.decided.get(topic).copied())
    }

    /// How many partitions an internal topic shall have.
    pub(super) fn decided(&self, topic: &str) -> Option<i32> {
        self.decided.get(topic).copied()
    }

    /// As many tasks as the largest input has partitions.
    pub(super) fn tasks(&self, subtopology: &Subtopology) -> Result<i32, Undecided> {
        let mut tasks = None;
        for topic in inputs(subtopology) {
            let partitions = self
                .of(topic)
                .ok_or_else(|| invalid(format!("No partition count for source topic {topic}")))?;
            tasks = tasks.max(Some(partitions));
        }
        tasks.ok_or_else(|| {
            let id = &subtopology.subtopology_id;
            invalid(format!("No source topics found for subtopology {id}"))
        })
    }

    fn repartition_topics(
        &self,
        topology: &'a Topology,
    ) -> Result<BTreeMap<&'a str, i32>, Undecided> {
        let subtopologies = || topology.subtopologies.values();
        let mut counts: BTreeMap<&str, i32> = subtopologies()
            .flat_map(|subtopology| &subtopology.repartition_source_topics)
            .filter(|topic| topic.partitions != 0)
            .map(|topic| (topic.name.as_str(), topic.partitions))
            .collect();
        loop {
            let (mut open, mut progress) = (false, false);
            for subtopology in subtopologies() {
                for sink in &subtopology.repartition_sink_topics {
                    if counts.contains_key(sink.as_str()) {
                        continue;
                    }
                    match self.largest_input(&counts, subtopology) {
                        Some(partitions) => {
                            counts.insert(sink, partitions);
                            progress = true;
                        }
                        None => open = true,
                    }
                }
            }
            if !open {
                break;
            }
            if !progress {
                return Err(invalid(
                    "Failed to compute number of partitions for all repartition topics. There may be loops in \
                     the topology that cannot be resolved.",
                ));
            }
        }
        let mut sources =
            subtopologies().flat_map(|subtopology| &subtopology.repartition_source_topics);
        if sources.any(|topic| !counts.contains_key(topic.name.as_str())) {
            return Err(invalid(
                "Failed to compute number of partitions for all repartition topics, because a repartition source \
                 topic is never used as a sink topic.",
            ));
        }
        Ok(counts)
    }

    /// The most partitions of an input, of those that are known.
    fn largest_input(
        &self,
        counts: &BTreeMap<&str, i32>,
        subtopology: &Subtopology,
    ) -> Option<i32> {
        let repartitions = subtopology.repartition_source_topics.iter();
        let repartitions =
            repartitions.filter_map(|topic| counts.get(topic.name.as_str()).copied());
        let sources = subtopology.source_topics.iter();
        let sources = sources.filter_map(|topic| self.of(topic));
        repartitions.chain(sources).max()
    }

    fn enforce_copartitioning(&mut self, topology: &'a Topology) -> Result<(), Undecided> {
        let repartitions = || {
            let subtopologies = topology.subtopologies.values();
            subtopologies.flat_map(|subtopology| &subtopology.repartition_source_topics)
        };
        let names: BTreeMap<&str, bool> = repartitions()
            .map(|topic| (topic.name.as_str(), topic.partitions != 0))
            .collect();
        for subtopology in topology.subtopologies.values() {
            for group in copartition_groups(subtopology) {
                let partitions = self.copartitioned(&group, &names)?;
                for topic in group.into_iter().filter(|topic| names.contains_key(topic)) {
                    self.decided.insert(topic, partitions);
                }
            }
        }
        Ok(())
    }

    /// The number of partitions that the repartition topics of a copartition group get. `repartitions` says of each
    /// whether the topology fixes its number.
    ///
    /// Differs: Kafka 4.3.1 wants all fixed repartition topics of the whole topology to agree where a group has
    /// nothing else; here, as in the classic protocol, those of the group.
    fn copartitioned(
        &self,
        group: &BTreeSet<&str>,
        repartitions: &BTreeMap<&str, bool>,
    ) -> Result<i32, Undecided> {
        let mut counts = BTreeMap::new();
        for topic in group {
            let partitions = self.of(topic).ok_or_else(|| {
                invalid(format!(
                    "Number of partitions is not set for topic: {topic}"
                ))
            })?;
            counts.insert(*topic, partitions);
        }
        let is_fixed = |topic: &str| repartitions.get(topic).copied().unwrap_or(false);
        let others: BTreeMap<&str, i32> =
            select(&counts, |topic| !repartitions.contains_key(topic));
        let fixed: BTreeMap<&str, i32> = select(&counts, is_fixed);
        let partitions = if !others.is_empty() {
            same(&others, &others)?
        } else if !fixed.is_empty() {
            same(&fixed, &counts)?
        } else {
            counts.values().copied().max()
        };
        let partitions = partitions.unwrap_or(0);
        match fixed.iter().find(|(_, count)| **count != partitions) {
            None => Ok(partitions),
            Some((topic, count)) => Err(incorrectly_partitioned(format!(
                "Number of partitions [{count}] of repartition topic [{topic}] doesn't match number of partitions \
                 [{partitions}] of the source topic."
            ))
            .into()),
        }
    }
}

fn select<'t>(
    counts: &BTreeMap<&'t str, i32>,
    wanted: impl Fn(&str) -> bool,
) -> BTreeMap<&'t str, i32> {
    let counts = counts.iter().filter(|(topic, _)| wanted(topic));
    counts.map(|(topic, count)| (*topic, *count)).collect()
}

/// The number of partitions that all of `counts` have; `shown` are those the error names.
fn same(
    counts: &BTreeMap<&str, i32>,
    shown: &BTreeMap<&str, i32>,
) -> Result<Option<i32>, TopicProblem> {
    let first = counts.values().next().copied();
    if counts.values().all(|count| Some(*count) == first) {
        return Ok(first);
    }
    let shown: Vec<String> = shown
        .iter()
        .map(|(topic, count)| format!("{topic}={count}"))
        .collect();
    Err(incorrectly_partitioned(format!(
        "Following topics do not have the same number of partitions: [{{{}}}]",
        shown.join(", ")
    )))
}
