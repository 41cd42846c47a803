//! Reading many partitions within one response's limit, and waiting until there is enough.

use std::sync::Arc;

use base::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use security::{CLUSTER_NAME, Operation, ResourceType};
use storage::{AbortedTxn, ReadError, ReadLimit, ReadResult};
use wire::messages::fetch_response::EpochEndOffset;
use wire::{ErrorCode, Records};

use super::remote::RemotePart;
use super::session::FetchedPartition;
use crate::errors;
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::Partition;

/// What one partition contributes to a response.
#[derive(Debug)]
pub(crate) struct PartitionRead {
    pub(crate) error: ErrorCode,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    pub(crate) log_start_offset: i64,
    pub(crate) diverging_epoch: Option<EpochEndOffset>,
    /// For readers of committed records only.
    pub(crate) aborted_transactions: Vec<AbortedTxn>,
    pub(crate) records: Records,
    /// The records are in the remote store and still have to be read.
    pub(crate) remote: Option<RemotePart>,
}

impl PartitionRead {
    pub(super) fn failed(error: ErrorCode) -> PartitionRead {
        PartitionRead {
            error,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            aborted_transactions: Vec::new(),
            records: Records::empty(),
            remote: None,
        }
    }
}

/// One reading of all partitions of a fetch.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// In the order of the fetch.
    pub(crate) partitions: Vec<PartitionRead>,
    /// Bytes of records.
    pub(crate) bytes: usize,
    /// Bytes that are left to the remote store.
    remote_bytes: usize,
    /// Something must be told at once: an error or a diverging epoch.
    pub(crate) urgent: bool,
}

impl Pass {
    /// Whether records have to be read from the remote store.
    pub(crate) fn is_partly_remote(&self) -> bool {
        self.partitions.iter().any(|read| read.remote.is_some())
    }
}

/// A partition of the fetch, found or not.
pub(crate) type Resolved = Result<Partition, ErrorCode>;

/// Who a fetch says it is for (`FetchRequest.isFromFollower`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A consumer, also one that debugs.
    Consumer,
    /// A broker that keeps a copy of the partitions.
    Follower,
}

impl Reader {
    fn may_read(self, server: &Server, context: &RequestContext, topic: &str) -> bool {
        let (operation, kind, name) = match self {
            Reader::Consumer => (Operation::Read, ResourceType::Topic, topic),
            Reader::Follower => (
                Operation::ClusterAction,
                ResourceType::Cluster,
                CLUSTER_NAME,
            ),
        };
        server.allows(context, operation, kind, name)
    }
}

/// Finds the partition a request means, and checks that it may be read.
///
/// # Errors
/// Kafka's code: TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION; to a follower, always one, as no
/// partition has any.
pub(crate) fn resolve(
    server: &Server,
    context: &RequestContext,
    wanted: &FetchedPartition,
    reader: Reader,
) -> Resolved {
    let by_id = context.api_version >= 13;
    let topic = if by_id {
        server
            .topics()
            .get_by_id(TopicId(wanted.key.topic_id))
            .ok_or(ErrorCode::UnknownTopicId)?
    } else {
        let name = &wanted.key.topic;
        if !reader.may_read(server, context, name) {
            return Err(ErrorCode::TopicAuthorizationFailed);
        }
        server
            .topics()
            .get(name)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?
    };
    if by_id && !reader.may_read(server, context, &topic.name) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let partition = topic
        .partition(PartitionIndex(wanted.key.partition))
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    match reader {
        Reader::Consumer => Ok(partition),
        Reader::Follower => Err(refuse_follower(&partition, wanted)),
    }
}

/// What a broker is told that is not a replica of the partition (`Partition.followerReplicaOrThrow`): both codes have it look
/// for the leader again.
fn refuse_follower(partition: &Partition, wanted: &FetchedPartition) -> ErrorCode {
    if let Err(error) = check_leader(partition, wanted) {
        return error;
    }
    if wanted.current_leader_epoch >= 0 {
        ErrorCode::UnknownLeaderEpoch
    } else {
        ErrorCode::NotLeaderOrFollower
    }
}

/// Whether the partition is there, and led as the reader believes.
fn check_leader(partition: &Partition, wanted: &FetchedPartition) -> Result<(), ErrorCode> {
    if !partition.is_online() {
        return Err(ErrorCode::KafkaStorageError);
    }
    partition.check_epoch(wanted.current_leader_epoch)
}

/// Reads the partitions in order, until `max_bytes` are used up. The first batch of the first partition that
/// has one is returned even if it is larger than every limit (KIP-74).
pub(crate) fn read_all(
    wanted: &[FetchedPartition],
    resolved: &[Resolved],
    max_bytes: usize,
    limit: ReadLimit,
) -> Pass {
    let mut pass = Pass {
        partitions: Vec::with_capacity(wanted.len()),
        ..Pass::default()
    };
    for (wanted, resolved) in wanted.iter().zip(resolved) {
        let taken = pass.bytes + pass.remote_bytes;
        let room = max_bytes.saturating_sub(taken);
        let room = usize::try_from(wanted.max_bytes).unwrap_or(0).min(room);
        let read = match resolved {
            Ok(partition) => read_one(partition, wanted, (room, limit), taken == 0),
            Err(error) => PartitionRead::failed(*error),
        };
        pass.bytes += read.records.len();
        pass.remote_bytes += read.remote.map_or(0, |part| part.max_bytes.max(1));
        pass.urgent |= read.error.is_error() || read.diverging_epoch.is_some();
        pass.partitions.push(read);
    }
    pass
}

fn read_one(
    partition: &Partition,
    wanted: &FetchedPartition,
    (max_bytes, limit): (usize, ReadLimit),
    at_least_one: bool,
) -> PartitionRead {
    if let Err(error) = check_leader(partition, wanted) {
        return PartitionRead::failed(error);
    }
    let diverging = match diverging_epoch(partition, wanted) {
        Ok(diverging) => diverging,
        Err(error) => return PartitionRead::failed(error),
    };
    let max_bytes = if diverging.is_some() { 0 } else { max_bytes };
    let at_least_one = at_least_one && diverging.is_none();
    let offset = Offset(wanted.fetch_offset);
    match partition.log.read(offset, max_bytes, limit, at_least_one) {
        Ok(read) => of_read(read, diverging),
        Err(ReadError::Tiered(read)) => {
            let wants_records = max_bytes > 0 || at_least_one;
            PartitionRead {
                remote: wants_records.then_some(RemotePart {
                    max_bytes,
                    at_least_one,
                }),
                ..of_read(*read, diverging)
            }
        }
        Err(error) => PartitionRead::failed(errors::of_read(&error)),
    }
}

pub(super) fn of_read(read: ReadResult, diverging_epoch: Option<EpochEndOffset>) -> PartitionRead {
    PartitionRead {
        error: ErrorCode::None,
        high_watermark: read.high_watermark.0,
        last_stable_offset: read.last_stable_offset.0,
        log_start_offset: read.log_start_offset.0,
        diverging_epoch,
        aborted_transactions: read.aborted_transactions,
        records: read.records,
        remote: None,
    }
}

/// Where the reader's log leaves ours, if it says which epoch its last record has (KIP-595).
fn diverging_epoch(
    partition: &Partition,
    wanted: &FetchedPartition,
) -> Result<Option<EpochEndOffset>, ErrorCode> {
    if wanted.last_fetched_epoch < 0 {
        return Ok(None);
    }
    let last_fetched = LeaderEpoch(wanted.last_fetched_epoch);
    let end = partition.log.end_offset_for_epoch(last_fetched);
    if end == storage::EpochEndOffset::UNDEFINED {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let diverges = end.leader_epoch < last_fetched || end.end_offset < Offset(wanted.fetch_offset);
    Ok(diverges.then_some(EpochEndOffset {
        epoch: end.leader_epoch.0,
        end_offset: end.end_offset.0,
    }))
}

/// Wakes the waiting fetch, once, when one of its partitions grows or goes away.
pub(crate) fn subscribe(resolved: &[Resolved], notify: &Arc<tokio::sync::Notify>) {
    for partition in resolved.iter().flatten() {
        partition.log.subscribe(notify);
    }
}
