//! Appending what a coordinator asks for to its partition, and markers to any partition.

use base::ErrorChain;
use bytes::Bytes;
use coordinator::{AppendError, CoordinatorRecord, TransactionMarker, TransactionalProducer};
use storage::{AppendOrigin, Appended, Lsn, VerificationGuard};
use wire::control_record::EndTxnMarker;
use wire::record_batch::BatchHeader;
use wire::record_data::{BatchOptions, RecordBatchBuilder};

use crate::server::Server;
use crate::topics::Partition;

/// Appends records as one batch.
pub(super) async fn records(
    server: &Server,
    partition: &Partition,
    records: &[CoordinatorRecord],
) -> Result<Appended, AppendError> {
    let batch = build(server, partition, BatchOptions::default(), records)?;
    append(server, partition, &batch, AppendOrigin::Coordinator).await
}

/// Appends records as one batch of a producer's transaction.
pub(super) async fn in_transaction(
    server: &Server,
    partition: &Partition,
    producer: TransactionalProducer,
    records: &[CoordinatorRecord],
) -> Result<Appended, AppendError> {
    let options = BatchOptions {
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        transactional: true,
        ..BatchOptions::default()
    };
    let batch = build(server, partition, options, records)?;
    let guard = VerificationGuard::from_raw(producer.verification);
    let origin = AppendOrigin::VerifiedCoordinator(guard);
    append(server, partition, &batch, origin).await
}

/// Appends the control batch that ends a producer's transaction in a partition. Durable with the LSN returned.
///
/// # Errors
/// [`AppendError`]; the marker is not in the log then.
pub(crate) async fn marker(
    server: &Server,
    partition: &Partition,
    marker: TransactionMarker,
) -> Result<Lsn, AppendError> {
    let end = EndTxnMarker {
        committed: marker.committed,
        coordinator_epoch: marker.coordinator_epoch,
    };
    let now_ms = server.clock().now_ms();
    let batch = end
        .to_batch(marker.producer_id, marker.producer_epoch, now_ms)
        .map_err(|_| AppendError::Unknown)?;
    let origin = if marker.is_strict {
        AppendOrigin::Marker2
    } else {
        AppendOrigin::Coordinator
    };
    let appended = append(server, partition, &batch, origin).await?;
    Ok(appended.lsn)
}

/// One batch of the records, no larger than the topic takes (`CoordinatorRuntime`: `max.message.bytes` bounds what a
/// coordinator writes as it bounds what a client does).
fn build(
    server: &Server,
    partition: &Partition,
    options: BatchOptions,
    records: &[CoordinatorRecord],
) -> Result<Bytes, AppendError> {
    let now_ms = server.clock().now_ms();
    let mut builder = RecordBatchBuilder::new(options);
    for record in records {
        builder
            .append(now_ms, Some(&record.key), record.value.as_deref(), &[])
            .map_err(|_| AppendError::TooLarge)?;
    }
    let batch = builder.finish().map_err(|_| AppendError::TooLarge)?;
    let topic = server.topics().get(partition.log.topic());
    let limit_bytes = topic.map_or(i32::MAX, |topic| topic.settings().max_message_bytes);
    if usize::try_from(limit_bytes).is_ok_and(|limit_bytes| batch.len() > limit_bytes) {
        return Err(AppendError::TooLarge);
    }
    Ok(batch)
}

async fn append(
    server: &Server,
    partition: &Partition,
    batch: &Bytes,
    origin: AppendOrigin,
) -> Result<Appended, AppendError> {
    let header = BatchHeader::parse(batch).map_err(|_| AppendError::Unknown)?;
    match server.append(partition, batch, header, origin).await {
        Ok(appended) => Ok(appended),
        Err(storage::AppendError::TooLarge { .. }) => Err(AppendError::TooLarge),
        Err(storage::AppendError::InvalidTxnState { .. }) => Err(AppendError::InvalidTxnState),
        Err(storage::AppendError::InvalidProducerEpoch { .. }) => {
            Err(AppendError::InvalidProducerEpoch)
        }
        Err(storage::AppendError::CoordinatorFenced { .. }) => Err(AppendError::CoordinatorFenced),
        Err(error) => {
            tracing::warn!(topic = partition.log.topic(), partition = partition.index.0,
                error = %ErrorChain(&error), "cannot append coordinator records");
            Err(AppendError::Storage)
        }
    }
}
