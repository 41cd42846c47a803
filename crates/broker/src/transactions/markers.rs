//! Writing the markers that end a transaction.
//!
//! Every partition is on this broker, so a marker is an append. In a partition of `__consumer_offsets` the group
//! coordinator makes it, so that the transaction's offsets become visible in the order of the log.
//!
//! Source: `TransactionMarkerChannelManager`, `TransactionMarkerRequestCompletionHandler`.

use std::sync::Arc;
use std::time::Duration;

use base::{ErrorChain, PartitionIndex};
use coordinator::transaction::{TopicPartition, TransactionCoordinator, WriteMarkers};
use coordinator::{Response, TransactionMarker};
use futures::future::join_all;
use wire::ErrorCode;

use crate::coordination::{Handle, append};
use crate::server::Server;
use crate::topics::CONSUMER_OFFSETS;

/// How long to wait before partitions that could not take their marker are asked again, at first and at most: a
/// coordinator that loads is soon done, a partition that is offline stays so for long.
const RETRY_DELAY: Duration = Duration::from_millis(100);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(10);

/// Writes the markers of a transaction until every partition has its own, then tells the coordinator.
///
/// Ends without telling when the coordinator has ended or the storage has failed: the coordinator takes the
/// transaction up again after the next start.
pub(super) async fn write(
    server: Arc<Server>,
    coordinator: Handle<TransactionCoordinator>,
    markers: WriteMarkers,
) {
    let marker = markers.marker;
    let mut left = markers.partitions.clone();
    let mut delay = RETRY_DELAY;
    loop {
        let written = left.iter().map(|partition| {
            let server = &server;
            async move {
                let written = write_one(server, &partition.0, partition.1, marker).await;
                (partition, written)
            }
        });
        let retried: Vec<TopicPartition> = join_all(written)
            .await
            .into_iter()
            .filter(|(partition, written)| !is_settled(&markers, partition, *written))
            .map(|(partition, _)| partition.clone())
            .collect();
        if retried.is_empty() {
            break;
        }
        left = retried;
        if tokio::time::timeout(delay, coordinator.closed())
            .await
            .is_ok()
        {
            return;
        }
        delay = (delay * 2).min(RETRY_DELAY_MAX);
    }
    let told = coordinator.tell(move |machine| machine.markers_written(&markers));
    if told.await.is_err() {
        tracing::debug!("transaction coordinator ended before its markers were written");
    }
}

/// Whether a partition needs no further attempt.
///
/// Differs: Kafka stops to send the markers of a transaction when a partition has seen a later epoch, since
/// another coordinator has taken over. Here there is no other: the partition has no record of the transaction
/// left to be ended.
fn is_settled(
    markers: &WriteMarkers,
    partition: &TopicPartition,
    written: Result<(), ErrorCode>,
) -> bool {
    match written {
        Ok(()) | Err(ErrorCode::UnknownTopicOrPartition) => true,
        Err(
            error @ (ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced),
        ) => {
            tracing::warn!(transactional_id = &*markers.transactional_id, topic = &*partition.0,
                partition = partition.1, %error, "partition refuses a marker for good");
            true
        }
        Err(error) => {
            tracing::debug!(transactional_id = &*markers.transactional_id, topic = &*partition.0,
                partition = partition.1, %error, "marker is written later");
            false
        }
    }
}

/// Writes one marker and waits until it is durable.
///
/// # Errors
/// Kafka's code: UNKNOWN_TOPIC_OR_PARTITION, INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED,
/// KAFKA_STORAGE_ERROR, or a coordinator's for a partition of `__consumer_offsets`.
pub(crate) async fn write_one(
    server: &Arc<Server>,
    topic: &str,
    index: i32,
    marker: TransactionMarker,
) -> Result<(), ErrorCode> {
    let partition = server
        .topics()
        .get(topic)
        .and_then(|topic| topic.partition(PartitionIndex(index)))
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if topic == CONSUMER_OFFSETS {
        let index = usize::try_from(index).map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
        let group = server.groups().at(index)?;
        let ended = group.request(move |shard, token| shard.end_transaction(token, marker));
        return match ended.await? {
            Response::MarkerWritten(ErrorCode::None) => Ok(()),
            Response::MarkerWritten(error) => Err(error),
            _ => Err(ErrorCode::UnknownServerError),
        };
    }
    let lsn = append::marker(server, &partition, marker)
        .await
        .map_err(|error| match error {
            coordinator::AppendError::InvalidProducerEpoch => ErrorCode::InvalidProducerEpoch,
            coordinator::AppendError::CoordinatorFenced => ErrorCode::TransactionCoordinatorFenced,
            _ => ErrorCode::KafkaStorageError,
        })?;
    server.storage().wait_durable(lsn).await.map_err(|error| {
        tracing::warn!(topic, index, error = %ErrorChain(&error), "marker is not durable");
        ErrorCode::KafkaStorageError
    })
}
