//! How far a group is behind: its committed offsets against the ends of the partitions.

use std::collections::BTreeMap;

use wire::messages::OffsetFetchRequest;
use wire::messages::offset_fetch_request::OffsetFetchRequestGroup;

use super::groups::group_subject;
use super::{Admin, Destination, GroupDescription, GroupMember, OffsetSpec, TopicPartition, check};
use crate::error::ClientError;

/// The newest OffsetFetch whose answer names topics; version 10 has their ids instead (KIP-848).
const OFFSET_FETCH_BY_NAME: i16 = 9;

/// A group with its lag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLag {
    /// The group.
    pub group: GroupDescription,
    /// One entry for each partition that has a committed offset or an owner, by topic and partition.
    pub partitions: Vec<PartitionLag>,
}

/// A group's lag on one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLag {
    /// The partition.
    pub partition: TopicPartition,
    /// The committed offset: of the next record the group reads. `None` when it never committed.
    pub current_offset: Option<i64>,
    /// The high watermark. `None` when the topic is gone.
    pub log_end_offset: Option<i64>,
    /// The member that has the partition.
    pub member: Option<GroupMember>,
}

impl PartitionLag {
    /// Records the group has not read yet; `None` when it never committed or the topic is gone.
    #[must_use]
    pub fn lag(&self) -> Option<i64> {
        Some(
            self.log_end_offset?
                .saturating_sub(self.current_offset?)
                .max(0),
        )
    }
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Of the next record to be read.
    pub offset: i64,
    /// What the one who committed it said of it.
    pub metadata: String,
}

impl Admin {
    /// The offsets `group` has committed.
    ///
    /// # Errors
    /// [`ClientError`]. A group nobody knows has committed nothing: the answer is empty.
    pub async fn committed_offsets(
        &self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
        let committed = self.committed(group).await?;
        Ok(committed
            .into_iter()
            .map(|(partition, committed)| (partition, committed.offset))
            .collect())
    }

    /// The same, with what was said of them.
    ///
    /// # Errors
    /// As [`Admin::committed_offsets`].
    pub async fn committed(
        &self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, ClientError> {
        let request = OffsetFetchRequest {
            groups: vec![OffsetFetchRequestGroup {
                group_id: group.to_owned(),
                topics: None,
                ..OffsetFetchRequestGroup::default()
            }],
            ..OffsetFetchRequest::default()
        };
        let destination = Destination::Coordinator(group);
        self.call(destination, OFFSET_FETCH_BY_NAME, &request, |response| {
            let mut committed = BTreeMap::new();
            for fetched in response.groups {
                check(
                    "OffsetFetch",
                    || group_subject(group),
                    fetched.error_code,
                    None,
                )?;
                for topic in fetched.topics {
                    for partition in &topic.partitions {
                        let subject = || format!("{} in {}", topic.name, group_subject(group));
                        check("OffsetFetch", subject, partition.error_code, None)?;
                        let key = TopicPartition {
                            topic: topic.name.clone(),
                            partition: partition.partition_index,
                        };
                        let found = CommittedOffset {
                            offset: partition.committed_offset,
                            metadata: partition.metadata.clone().unwrap_or_default(),
                        };
                        committed.insert(key, found);
                    }
                }
            }
            committed.retain(|_, found: &mut CommittedOffset| found.offset >= 0);
            Ok(committed)
        })
        .await
    }

    /// The group's lag on every partition it has a committed offset or a member for.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND` when there is no such group.
    pub async fn group_lag(&self, group: &str) -> Result<GroupLag, ClientError> {
        let description = self.describe_group(group).await?;
        let committed = self.committed_offsets(group).await?;
        let mut owners: BTreeMap<TopicPartition, Option<GroupMember>> = committed
            .keys()
            .map(|partition| (partition.clone(), None))
            .collect();
        for member in &description.members {
            for partition in &member.assignment {
                owners.insert(partition.clone(), Some(member.clone()));
            }
        }
        let ends = self.ends_of(owners.keys().cloned().collect()).await?;
        let partitions = owners.into_iter().map(|(partition, member)| PartitionLag {
            current_offset: committed.get(&partition).copied(),
            log_end_offset: ends.get(&partition).copied(),
            partition,
            member,
        });
        Ok(GroupLag {
            group: description,
            partitions: partitions.collect(),
        })
    }

    /// The ends of the partitions that still exist: a group outlives the topics it read.
    async fn ends_of(
        &self,
        mut partitions: Vec<TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let existing: BTreeMap<String, usize> = self
            .list_topics()
            .await?
            .into_iter()
            .map(|topic| (topic.name, topic.partitions.len()))
            .collect();
        partitions.retain(|part| {
            let count = existing.get(&part.topic).copied().unwrap_or(0);
            usize::try_from(part.partition).is_ok_and(|index| index < count)
        });
        let ends = self.list_offsets(&partitions, OffsetSpec::Latest).await?;
        Ok(ends
            .into_iter()
            .filter_map(|(partition, end)| Some((partition, end.offset?)))
            .collect())
    }
}
