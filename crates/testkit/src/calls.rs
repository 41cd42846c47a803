//! The requests every lane needs, each as one function over a [`Connection`].
//!
//! Versions are fixed, not negotiated: the newest that names topics instead of naming their ids, so that a
//! request can be built before the topic's id is known. Both Apache Kafka 4.3 and Affluent have them.
//!
//! An error code of the broker is data here ([`ErrorCode`]), since the lanes provoke errors on purpose;
//! `Err` means that the conversation itself failed.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use wire::messages::delete_topics_request::DeleteTopicState;
use wire::messages::fetch_request::{FetchPartition, FetchTopic};
use wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use wire::messages::metadata_request::MetadataRequestTopic;
use wire::messages::metadata_response::MetadataResponseTopic;
use wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use wire::messages::{
    CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, FetchRequest,
    FindCoordinatorRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest,
    ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, ProduceRequest,
    ProduceResponse,
};
use wire::record_batch::verify_crc;
use wire::record_data::{BatchOptions, Record, RecordBatchBuilder, batches, records};
use wire::{ErrorCode, Records};

use crate::connection::Connection;

/// The version of Produce that is sent.
pub const PRODUCE_VERSION: i16 = 12;
/// The version of Fetch that is sent.
pub const FETCH_VERSION: i16 = 12;
const LIST_OFFSETS_VERSION: i16 = 9;
const TIMEOUT_MS: i32 = 30_000;
/// More than any batch in the lanes decompresses to.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// `timestamp` of ListOffsets: the log start offset.
pub const EARLIEST: i64 = -2;
/// `timestamp` of ListOffsets: the first offset that is not in the remote store alone.
pub const EARLIEST_LOCAL: i64 = -4;
/// `timestamp` of ListOffsets: the high watermark.
pub const LATEST: i64 = -1;

/// A partition of a topic by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Partition<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The index.
    pub index: i32,
}

impl fmt::Display for Partition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

/// The error code with this number; one that Kafka does not know is an error of the conversation.
///
/// # Errors
/// When Kafka 4.4 has no such code.
pub fn error_code(code: i16) -> Result<ErrorCode> {
    ErrorCode::from_code(code)
        .with_context(|| format!("the broker answered the unknown error code {code}"))
}

/// Creates a topic with the configs given; the broker must accept.
///
/// # Errors
/// The broker's, with its message.
pub fn create_topic(
    connection: &mut Connection,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> Result<()> {
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig {
                name: (*name).to_owned(),
                value: Some((*value).to_owned()),
            })
            .collect(),
        ..Default::default()
    };
    create_topics(connection, vec![topic])
}

/// Creates topics in one request; the broker must accept all.
///
/// # Errors
/// The first the broker answers, with its message.
pub fn create_topics(connection: &mut Connection, topics: Vec<CreatableTopic>) -> Result<()> {
    let expected = topics.len();
    let request = CreateTopicsRequest {
        topics,
        timeout_ms: TIMEOUT_MS,
        validate_only: false,
    };
    let answer = connection.call(7, &request)?;
    ensure!(
        answer.topics.len() == expected,
        "{} topics answered of {expected}",
        answer.topics.len()
    );
    for topic in answer.topics {
        let error = error_code(topic.error_code)?;
        if error != ErrorCode::None {
            let message = topic.error_message.unwrap_or_default();
            bail!(
                "topic '{}' was not created: {} {message}",
                topic.name,
                error.name()
            );
        }
    }
    Ok(())
}

/// Sets one config of a resource, whose type is Kafka's number for it (`ConfigResource.Type`); returns the error
/// and its message.
///
/// # Errors
/// When the conversation fails.
pub fn set_config(
    connection: &mut Connection,
    (resource_type, resource_name): (i8, &str),
    (name, value): (&str, &str),
) -> Result<(ErrorCode, String)> {
    let resource = AlterConfigsResource {
        resource_type,
        resource_name: resource_name.to_owned(),
        configs: vec![AlterableConfig {
            name: name.to_owned(),
            config_operation: 0,
            value: Some(value.to_owned()),
        }],
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![resource],
        validate_only: false,
    };
    let answer = connection.call(1, &request)?;
    let altered = answer
        .responses
        .into_iter()
        .next()
        .context("IncrementalAlterConfigs answered no resource")?;
    let message = altered.error_message.unwrap_or_default();
    Ok((error_code(altered.error_code)?, message))
}

/// Deletes a topic.
///
/// # Errors
/// When the conversation fails.
pub fn delete_topic(connection: &mut Connection, name: &str) -> Result<ErrorCode> {
    let topic = DeleteTopicState {
        name: Some(name.to_owned()),
        ..Default::default()
    };
    let request = DeleteTopicsRequest {
        topics: vec![topic],
        timeout_ms: TIMEOUT_MS,
        ..Default::default()
    };
    let answer = connection.call(6, &request)?;
    error_code(
        answer
            .responses
            .first()
            .context("DeleteTopics answered no topic")?
            .error_code,
    )
}

/// Moves the log start offset; returns the error and the new low watermark.
///
/// # Errors
/// When the conversation fails.
pub fn delete_records(
    connection: &mut Connection,
    partition: Partition<'_>,
    offset: i64,
) -> Result<(ErrorCode, i64)> {
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: partition.topic.to_owned(),
            partitions: vec![DeleteRecordsPartition {
                partition_index: partition.index,
                offset,
            }],
        }],
        timeout_ms: TIMEOUT_MS,
    };
    let answer = connection.call(2, &request)?;
    let topic = answer
        .topics
        .first()
        .context("DeleteRecords answered no topic")?;
    let found = topic
        .partitions
        .first()
        .context("DeleteRecords answered no partition")?;
    Ok((error_code(found.error_code)?, found.low_watermark))
}

/// What Metadata says of one topic.
///
/// # Errors
/// When the conversation fails.
pub fn describe_topic(connection: &mut Connection, name: &str) -> Result<MetadataResponseTopic> {
    let topic = MetadataRequestTopic {
        name: Some(name.to_owned()),
        ..Default::default()
    };
    let request = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let answer = connection.call(12, &request)?;
    answer
        .topics
        .into_iter()
        .next()
        .context("Metadata answered no topic")
}

/// A producer id and epoch for an idempotent producer.
///
/// # Errors
/// When the broker gives none.
pub fn init_producer_id(connection: &mut Connection) -> Result<(i64, i16)> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        ..Default::default()
    };
    let answer = connection.call(4, &request)?;
    let error = error_code(answer.error_code)?;
    ensure!(
        error == ErrorCode::None,
        "InitProducerId answered {}",
        error.name()
    );
    Ok((answer.producer_id, answer.producer_epoch))
}

/// A batch of records with the values given and no keys.
///
/// # Errors
/// When there are none.
pub fn batch_of(options: BatchOptions, timestamp_ms: i64, values: &[&[u8]]) -> Result<Bytes> {
    let mut builder = RecordBatchBuilder::new(options);
    for value in values {
        builder.append(timestamp_ms, None, Some(value), &[])?;
    }
    Ok(builder.finish()?)
}

/// A Produce request with `acks=all` and one batch a partition.
#[must_use]
pub fn produce_request(topic: &str, data: Vec<(i32, Bytes)>) -> ProduceRequest {
    let partition_data = data
        .into_iter()
        .map(|(index, batch)| PartitionProduceData {
            index,
            records: Some(Records::from(batch)),
        })
        .collect();
    ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: TIMEOUT_MS,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data,
            ..Default::default()
        }],
    }
}

/// What Produce answered for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    /// The partition.
    pub partition: i32,
    /// The error.
    pub error: ErrorCode,
    /// The offset of the batch's first record.
    pub base_offset: i64,
    /// What the broker said about the error.
    pub message: String,
}

/// The partitions of a Produce answer.
///
/// # Errors
/// When it holds an unknown error code.
pub fn produced(answer: ProduceResponse) -> Result<Vec<Produced>> {
    let partitions = answer
        .responses
        .into_iter()
        .flat_map(|topic| topic.partition_responses);
    partitions
        .map(|found| {
            Ok(Produced {
                partition: found.index,
                error: error_code(found.error_code)?,
                base_offset: found.base_offset,
                message: found.error_message.unwrap_or_default(),
            })
        })
        .collect()
}

/// Sends one batch to one partition with `acks=all` and waits for the answer.
///
/// # Errors
/// When the conversation fails.
pub fn produce(
    connection: &mut Connection,
    partition: Partition<'_>,
    batch: Bytes,
) -> Result<Produced> {
    let request = produce_request(partition.topic, vec![(partition.index, batch)]);
    let answer = connection.call(PRODUCE_VERSION, &request)?;
    produced(answer)?
        .into_iter()
        .next()
        .context("Produce answered no partition")
}

/// What Fetch answered for one partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The error.
    pub error: ErrorCode,
    /// The first offset that is not yet visible.
    pub high_watermark: i64,
    /// The first offset that is left.
    pub log_start_offset: i64,
    /// Whole batches, and perhaps a part of one more.
    pub records: Bytes,
}

/// How much a Fetch may wait and return.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimit {
    /// How long the broker waits for the first byte.
    pub wait_ms: i32,
    /// Bytes at most, but never less than one batch.
    pub bytes: i32,
}

impl Default for FetchLimit {
    fn default() -> FetchLimit {
        FetchLimit {
            wait_ms: 500,
            bytes: 8 << 20,
        }
    }
}

/// A Fetch of one partition, without a session.
#[must_use]
pub fn fetch_request(partition: Partition<'_>, offset: i64, limit: FetchLimit) -> FetchRequest {
    FetchRequest {
        replica_id: -1,
        max_wait_ms: limit.wait_ms,
        min_bytes: 1,
        max_bytes: limit.bytes,
        session_id: 0,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: partition.topic.to_owned(),
            partitions: vec![FetchPartition {
                partition: partition.index,
                fetch_offset: offset,
                partition_max_bytes: limit.bytes,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Fetches from one partition.
///
/// # Errors
/// When the conversation fails.
pub fn fetch(
    connection: &mut Connection,
    partition: Partition<'_>,
    offset: i64,
    limit: FetchLimit,
) -> Result<Fetched> {
    let answer = connection.call(FETCH_VERSION, &fetch_request(partition, offset, limit))?;
    let top = error_code(answer.error_code)?;
    if top != ErrorCode::None {
        bail!("Fetch of {partition} answered {}", top.name());
    }
    let topic = answer
        .responses
        .into_iter()
        .next()
        .context("Fetch answered no topic")?;
    let found = topic
        .partitions
        .into_iter()
        .next()
        .context("Fetch answered no partition")?;
    Ok(Fetched {
        error: error_code(found.error_code)?,
        high_watermark: found.high_watermark,
        log_start_offset: found.log_start_offset,
        records: found
            .records
            .and_then(|records| records.to_bytes())
            .unwrap_or_default(),
    })
}

/// Why a partition could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadStop {
    /// It was: every record up to the high watermark.
    Complete,
    /// The broker answered an error.
    Error(ErrorCode),
    /// A batch came whose CRC or form is wrong: every Kafka client refuses it.
    BadBatch(String),
    /// The broker has nothing at an offset below its own high watermark.
    Stuck,
}

/// The records of a partition and how far they go.
#[derive(Clone, Debug)]
pub struct ReadPartition {
    /// The records in the order they were fetched.
    pub records: Vec<Record>,
    /// The log start offset of the first answer.
    pub log_start_offset: i64,
    /// The high watermark of the last answer.
    pub high_watermark: i64,
    /// How it ended.
    pub stop: ReadStop,
}

/// Reads a partition from `offset` to its high watermark, checking the CRC of each batch.
///
/// # Errors
/// When the conversation fails.
pub fn read_partition(
    connection: &mut Connection,
    partition: Partition<'_>,
    offset: i64,
) -> Result<ReadPartition> {
    let limit = FetchLimit {
        wait_ms: 1,
        ..FetchLimit::default()
    };
    let mut read = ReadPartition {
        records: Vec::new(),
        log_start_offset: -1,
        high_watermark: -1,
        stop: ReadStop::Complete,
    };
    let mut next = offset;
    loop {
        let fetched = fetch(connection, partition, next, limit)?;
        if fetched.error != ErrorCode::None {
            read.stop = ReadStop::Error(fetched.error);
            return Ok(read);
        }
        if read.log_start_offset < 0 {
            read.log_start_offset = fetched.log_start_offset;
        }
        read.high_watermark = fetched.high_watermark;
        let before = next;
        if let Err(error) = take_records(&fetched.records, &mut next, &mut read.records) {
            read.stop = ReadStop::BadBatch(format!("{error:#}"));
            return Ok(read);
        }
        if next >= fetched.high_watermark {
            return Ok(read);
        }
        if next == before {
            read.stop = ReadStop::Stuck;
            return Ok(read);
        }
    }
}

/// Appends the records at and above `next` and moves `next` behind the last whole batch.
fn take_records(bytes: &Bytes, next: &mut i64, into: &mut Vec<Record>) -> Result<()> {
    for batch in batches(bytes) {
        let (header, batch) = batch?;
        verify_crc(&batch)?;
        for record in records(&batch, BATCH_BYTES_MAX)? {
            let record = record?;
            if record.offset >= *next {
                into.push(record);
            }
        }
        *next = (*next).max(header.last_offset() + 1);
    }
    Ok(())
}

/// The offset at a timestamp, [`EARLIEST`], [`EARLIEST_LOCAL`] or [`LATEST`].
///
/// # Errors
/// When the conversation fails.
pub fn list_offset(
    connection: &mut Connection,
    partition: Partition<'_>,
    timestamp: i64,
) -> Result<(ErrorCode, i64)> {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: partition.topic.to_owned(),
            partitions: vec![ListOffsetsPartition {
                partition_index: partition.index,
                timestamp,
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    let answer = connection.call(LIST_OFFSETS_VERSION, &request)?;
    let topic = answer
        .topics
        .first()
        .context("ListOffsets answered no topic")?;
    let found = topic
        .partitions
        .first()
        .context("ListOffsets answered no partition")?;
    Ok((error_code(found.error_code)?, found.offset))
}

/// Asks for the coordinator of a group.
///
/// # Errors
/// When the conversation fails.
pub fn find_coordinator(connection: &mut Connection, group: &str) -> Result<ErrorCode> {
    find_coordinator_of(connection, 0, group)
}

/// Asks for the coordinator of a transactional id.
///
/// # Errors
/// When the conversation fails.
pub fn find_transaction_coordinator(
    connection: &mut Connection,
    transactional_id: &str,
) -> Result<ErrorCode> {
    find_coordinator_of(connection, 1, transactional_id)
}

fn find_coordinator_of(connection: &mut Connection, key_type: i8, key: &str) -> Result<ErrorCode> {
    let request = FindCoordinatorRequest {
        key_type,
        coordinator_keys: vec![key.to_owned()],
        ..Default::default()
    };
    let answer = connection.call(4, &request)?;
    error_code(
        answer
            .coordinators
            .first()
            .context("FindCoordinator answered nothing")?
            .error_code,
    )
}

/// Commits an offset for a group without members, as a consumer with assigned partitions does.
///
/// # Errors
/// When the conversation fails.
pub fn commit_offset(
    connection: &mut Connection,
    group: &str,
    partition: Partition<'_>,
    offset: i64,
) -> Result<ErrorCode> {
    let request = OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: partition.topic.to_owned(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: partition.index,
                committed_offset: offset,
                committed_metadata: Some(String::new()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = connection.call(9, &request)?;
    let topic = answer
        .topics
        .first()
        .context("OffsetCommit answered no topic")?;
    error_code(
        topic
            .partitions
            .first()
            .context("OffsetCommit answered no partition")?
            .error_code,
    )
}

/// The offset a group has committed, -1 for none.
///
/// # Errors
/// When the conversation fails.
pub fn committed_offset(
    connection: &mut Connection,
    group: &str,
    partition: Partition<'_>,
) -> Result<(ErrorCode, i64)> {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group.to_owned(),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: partition.topic.to_owned(),
                partition_indexes: vec![partition.index],
                ..Default::default()
            }]),
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = connection.call(9, &request)?;
    let group = answer
        .groups
        .first()
        .context("OffsetFetch answered no group")?;
    let error = error_code(group.error_code)?;
    if error != ErrorCode::None {
        return Ok((error, -1));
    }
    let topic = group
        .topics
        .first()
        .context("OffsetFetch answered no topic")?;
    let found = topic
        .partitions
        .first()
        .context("OffsetFetch answered no partition")?;
    Ok((error_code(found.error_code)?, found.committed_offset))
}
