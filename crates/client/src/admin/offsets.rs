//! Offsets of partitions: earliest, latest, by timestamp (`ListOffsets`).

use std::collections::{BTreeMap, HashMap};

use wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use wire::messages::list_offsets_response::ListOffsetsPartitionResponse;
use wire::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::{Admin, Destination, check, metadata_of, topic_name};
use crate::error::ClientError;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition's index.
    pub partition: i32,
}

impl TopicPartition {
    fn subject(&self) -> String {
        format!("partition {}-{}", self.topic, self.partition)
    }
}

/// Which offset of a partition is asked for (`OffsetSpec` of the Java client).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The log start offset.
    Earliest,
    /// The high watermark: where the next record that is visible will be.
    Latest,
    /// The first record whose timestamp, in milliseconds, is this or later.
    Timestamp(i64),
}

impl OffsetSpec {
    fn timestamp(self) -> i64 {
        match self {
            OffsetSpec::Latest => -1,
            OffsetSpec::Earliest => -2,
            OffsetSpec::Timestamp(timestamp_ms) => timestamp_ms,
        }
    }
}

/// An offset a broker found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; `None` when no record is as late as the timestamp asked for.
    pub offset: Option<i64>,
    /// The record's timestamp in milliseconds, for [`OffsetSpec::Timestamp`].
    pub timestamp_ms: Option<i64>,
}

impl Admin {
    /// The offset of each partition that `spec` asks for. Each leader is asked once.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION` when one does not exist.
    pub async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, ListedOffset>, ClientError> {
        let mut found = BTreeMap::new();
        for (leader, partitions) in self.by_leader(partitions).await? {
            let request = request(&partitions, spec);
            let part = self
                .call(Destination::Node(leader), i16::MAX, &request, |response| {
                    read(&response)
                })
                .await?;
            found.extend(part);
        }
        Ok(found)
    }

    async fn by_leader(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<i32, Vec<TopicPartition>>, ClientError> {
        let mut topics: Vec<String> = partitions.iter().map(|part| part.topic.clone()).collect();
        topics.sort_unstable();
        topics.dedup();
        let connection = self.any_broker().await?;
        let metadata = metadata_of(&connection, Some(topics)).await?;
        let mut leaders = HashMap::new();
        for topic in &metadata.topics {
            let name = topic_name(topic);
            check(
                "Metadata",
                || format!("topic '{name}'"),
                topic.error_code,
                None,
            )?;
            for partition in &topic.partitions {
                let key = TopicPartition {
                    topic: name.clone(),
                    partition: partition.partition_index,
                };
                leaders.insert(key, (partition.leader_id, partition.error_code));
            }
        }
        let mut by_leader: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
        for partition in partitions {
            let (leader, code) =
                leaders
                    .get(partition)
                    .copied()
                    .ok_or_else(|| ClientError::Incomplete {
                        api: "Metadata",
                        address: connection.address().to_owned(),
                        subject: partition.subject(),
                    })?;
            check("Metadata", || partition.subject(), code, None)?;
            by_leader.entry(leader).or_default().push(partition.clone());
        }
        Ok(by_leader)
    }
}

fn request(partitions: &[TopicPartition], spec: OffsetSpec) -> ListOffsetsRequest {
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for partition in partitions {
        topics
            .entry(&partition.topic)
            .or_default()
            .push(ListOffsetsPartition {
                partition_index: partition.partition,
                timestamp: spec.timestamp(),
                ..ListOffsetsPartition::default()
            });
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| ListOffsetsTopic {
            name: name.to_owned(),
            partitions,
        });
    ListOffsetsRequest {
        replica_id: -1,
        topics: topics.collect(),
        ..Default::default()
    }
}

fn read(
    response: &ListOffsetsResponse,
) -> Result<Vec<(TopicPartition, ListedOffset)>, ClientError> {
    let mut found = Vec::new();
    for topic in &response.topics {
        for partition in &topic.partitions {
            let key = TopicPartition {
                topic: topic.name.clone(),
                partition: partition.partition_index,
            };
            check("ListOffsets", || key.subject(), partition.error_code, None)?;
            found.push((key, listed(partition)));
        }
    }
    Ok(found)
}

fn listed(partition: &ListOffsetsPartitionResponse) -> ListedOffset {
    ListedOffset {
        offset: Some(partition.offset).filter(|offset| *offset >= 0),
        timestamp_ms: Some(partition.timestamp).filter(|timestamp| *timestamp >= 0),
    }
}
