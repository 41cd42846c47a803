//! OffsetFetch. Source: Kafka's `OffsetMetadataManager.fetchOffsets`, `fetchAllOffsets`.

use base::Uuid;
use wire::ErrorCode;
use wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use wire::messages::{OffsetFetchRequest, OffsetFetchResponse};

use super::{OffsetEntry, StableFetch};
use crate::action::{Action, CommitId, Response, Token};
use crate::shard::Shard;
use crate::shard::groups::Group;

/// "Nothing is committed" (`OffsetFetchResponse.INVALID_OFFSET`).
const INVALID_OFFSET: i64 = -1;

impl Shard {
    /// One group of OffsetFetch, versions 1 to 10; null `topics` ask for everything the group committed.
    ///
    /// A group or partition without a commit is no error: its offset is -1 and its metadata empty. With
    /// `require_stable` the answer waits until no commit of the group is in flight, and a partition that an open
    /// transaction commits gets UNSTABLE_OFFSET_COMMIT (KIP-447). The broker has set each
    /// topic's `name`, and `topic_id` for version 10; it splits a request by group and, before version 8,
    /// converts with [`to_grouped_fetch`] and [`from_grouped_fetch`].
    #[must_use]
    pub fn offset_fetch(
        &mut self,
        token: Token,
        request: OffsetFetchRequestGroup,
        require_stable: bool,
    ) -> Vec<Action> {
        let refused = self
            .unavailable()
            .or_else(|| self.check_fetch(&request).err());
        if let Some(error) = refused {
            self.core
                .reply(token, Response::fetch_error(&request.group_id, error));
        } else {
            let group_id = request.group_id.clone();
            self.fetch(
                StableFetch {
                    token,
                    group_id,
                    request,
                },
                require_stable,
            );
        }
        self.finish()
    }

    /// A consumer or streams group answers its own members and whoever names none.
    fn check_fetch(&self, request: &OffsetFetchRequestGroup) -> Result<(), ErrorCode> {
        let group_id = &request.group_id;
        let member_id = request.member_id.as_deref();
        let in_flight = self.has_writes(group_id);
        match self.any_group(group_id) {
            Some(Group::Consumer(group)) => {
                group.validate_fetch(member_id, request.member_epoch, in_flight)
            }
            Some(Group::Streams(group)) => {
                group.validate_fetch(member_id, request.member_epoch, in_flight)
            }
            // A share group has no offsets here.
            Some(Group::Classic(_) | Group::Share(_)) | None => Ok(()),
        }
    }

    fn fetch(&mut self, fetch: StableFetch, require_stable: bool) {
        let newest = self.offsets.staged_of(&fetch.group_id).next_back();
        if let Some(commit) = newest.filter(|_| require_stable) {
            self.offsets.await_stable(commit, fetch);
            return;
        }
        let topics = match &fetch.request.topics {
            Some(topics) => topics
                .iter()
                .map(|topic| self.fetch_topic(&fetch, topic, require_stable))
                .collect(),
            None => self.fetch_all(&fetch.group_id, require_stable),
        };
        let response = OffsetFetchResponseGroup {
            group_id: fetch.group_id,
            topics,
            ..OffsetFetchResponseGroup::default()
        };
        self.core
            .reply(fetch.token, Response::OffsetFetch(response));
    }

    /// Goes on with the fetches that waited for `commit`.
    pub(crate) fn run_stable_fetches(&mut self, commit: CommitId) {
        for fetch in self.offsets.take_stable_fetches(commit) {
            self.fetch(fetch, true);
        }
    }

    fn fetch_topic(
        &self,
        fetch: &StableFetch,
        topic: &OffsetFetchRequestTopics,
        require_stable: bool,
    ) -> OffsetFetchResponseTopics {
        let committed = self
            .offsets
            .of_group(&fetch.group_id)
            .and_then(|topics| topics.get(&topic.name));
        let partitions = topic.partition_indexes.iter().map(|index| {
            if require_stable && self.is_unstable(&fetch.group_id, &topic.name, *index) {
                return unstable(*index);
            }
            let entry = committed.and_then(|partitions| partitions.get(index));
            partition(
                *index,
                entry.filter(|entry| same_topic(entry.topic_id, topic.topic_id)),
            )
        });
        OffsetFetchResponseTopics {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
        }
    }

    fn is_unstable(&self, group_id: &str, topic: &str, partition: i32) -> bool {
        self.offsets.open.has_offset(group_id, topic, partition)
    }

    fn fetch_all(&self, group_id: &str, require_stable: bool) -> Vec<OffsetFetchResponseTopics> {
        let topics = self.offsets.of_group(group_id).into_iter().flatten();
        topics
            .map(|(name, partitions)| OffsetFetchResponseTopics {
                name: name.clone(),
                topic_id: Uuid::ZERO,
                partitions: partitions
                    .iter()
                    .map(|(index, entry)| {
                        if require_stable && self.is_unstable(group_id, name, *index) {
                            return unstable(*index);
                        }
                        partition(*index, Some(entry))
                    })
                    .collect(),
            })
            .collect()
    }
}

/// An offset of an earlier topic of the same name does not count; an id that is not known matches any.
fn same_topic(committed: Uuid, requested: Uuid) -> bool {
    committed.is_zero() || requested.is_zero() || committed == requested
}

fn partition(partition_index: i32, entry: Option<&OffsetEntry>) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: entry.map_or(INVALID_OFFSET, |entry| entry.offset),
        committed_leader_epoch: entry.map_or(-1, |entry| entry.leader_epoch),
        metadata: Some(
            entry
                .map(|entry| entry.metadata.clone())
                .unwrap_or_default(),
        ),
        error_code: ErrorCode::None.code(),
    }
}

/// A transaction that commits this partition's offset is open: the client asks again.
fn unstable(partition_index: i32) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        error_code: ErrorCode::UnstableOffsetCommit.code(),
        ..partition(partition_index, None)
    }
}

/// The one group of a request of version 1 to 7.
#[must_use]
pub fn to_grouped_fetch(request: &OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let topics = request.topics.as_ref().map(|topics| {
        let topics = topics.iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name.clone(),
            topic_id: Uuid::ZERO,
            partition_indexes: topic.partition_indexes.clone(),
        });
        topics.collect()
    });
    OffsetFetchRequestGroup {
        group_id: request.group_id.clone(),
        topics,
        ..OffsetFetchRequestGroup::default()
    }
}

/// The response of version 1 to 7 for the group that [`to_grouped_fetch`] made of `request`.
///
/// Version 1 has no error at the top level: there each partition asked for carries it.
#[must_use]
pub fn from_grouped_fetch(
    version: i16,
    request: &OffsetFetchRequest,
    group: OffsetFetchResponseGroup,
) -> OffsetFetchResponse {
    let failed = group.error_code != ErrorCode::None.code();
    let topics = if failed && version < 2 {
        let failed_partition = |index: &i32| OffsetFetchResponsePartition {
            partition_index: *index,
            committed_offset: INVALID_OFFSET,
            metadata: Some(String::new()),
            error_code: group.error_code,
            ..OffsetFetchResponsePartition::default()
        };
        let topics = request
            .topics
            .iter()
            .flatten()
            .map(|topic| OffsetFetchResponseTopic {
                name: topic.name.clone(),
                partitions: topic
                    .partition_indexes
                    .iter()
                    .map(failed_partition)
                    .collect(),
            });
        topics.collect()
    } else {
        group.topics.into_iter().map(to_single_topic).collect()
    };
    OffsetFetchResponse {
        topics,
        error_code: group.error_code,
        ..OffsetFetchResponse::default()
    }
}

fn to_single_topic(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partitions = topic
        .partitions
        .into_iter()
        .map(|part| OffsetFetchResponsePartition {
            partition_index: part.partition_index,
            committed_offset: part.committed_offset,
            committed_leader_epoch: part.committed_leader_epoch,
            metadata: part.metadata,
            error_code: part.error_code,
        });
    OffsetFetchResponseTopic {
        name: topic.name,
        partitions: partitions.collect(),
    }
}
