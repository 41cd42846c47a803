//! Appending what a coordinator asks for to its partition, and markers to any partition.

use base::ErrorChain;
use bytes::Bytes;
use coordinator::{AppendError, CoordinatorRecord, TransactionMarker, TransactionalProducer};
use storage::{AppendBatch, AppendOrigin, Appended, Lsn, VerificationGuard, WhenToWrite};
use wire::control_record::EndTxnMarker;
use wire::record_batch::BatchHeader;
use wire::record_data::{BatchOptions, RecordBatchBuilder};

use crate::server::Server;
use crate::topics::Partition;

/// One batch that is ready to be appended.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Bytes,
    header: BatchHeader,
    origin: AppendOrigin,
}

/// Why a batch was not appended.
#[derive(Debug)]
pub(super) enum Refused {
    /// There is no room for these bytes in the journal's queue now; wait for [`storage::Storage::append_room`].
    NoRoom(usize),
    /// It will not be appended.
    Failed(AppendError),
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Refused {
        Refused::Failed(error)
    }
}

/// Records as one batch.
pub(super) fn of_records(
    server: &Server,
    partition: &Partition,
    records: &[CoordinatorRecord],
) -> Result<Batch, AppendError> {
    let bytes = build(server, partition, BatchOptions::default(), records)?;
    Batch::new(bytes, AppendOrigin::Coordinator)
}

/// Records as one batch of a producer's transaction.
pub(super) fn of_transaction(
    server: &Server,
    partition: &Partition,
    producer: TransactionalProducer,
    records: &[CoordinatorRecord],
) -> Result<Batch, AppendError> {
    let options = BatchOptions {
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        transactional: true,
        ..BatchOptions::default()
    };
    let bytes = build(server, partition, options, records)?;
    let guard = VerificationGuard::from_raw(producer.verification);
    Batch::new(bytes, AppendOrigin::VerifiedCoordinator(guard))
}

/// The control batch that ends a producer's transaction.
pub(super) fn of_marker(server: &Server, marker: TransactionMarker) -> Result<Batch, AppendError> {
    let end = EndTxnMarker {
        committed: marker.committed,
        coordinator_epoch: marker.coordinator_epoch,
    };
    let now_ms = server.clock().now_ms();
    let bytes = end
        .to_batch(marker.producer_id, marker.producer_epoch, now_ms)
        .map_err(|_| AppendError::Unknown)?;
    let origin = if marker.is_strict {
        AppendOrigin::Marker2
    } else {
        AppendOrigin::Coordinator
    };
    Batch::new(bytes, origin)
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
    let batch = of_marker(server, marker)?;
    loop {
        match batch.append(server, partition, WhenToWrite::AtOnce) {
            Ok(appended) => return Ok(appended.lsn),
            Err(Refused::NoRoom(bytes)) => await_room(server, partition, bytes).await?,
            Err(Refused::Failed(error)) => return Err(error),
        }
    }
}

/// Waits until a batch of this size may be appended.
///
/// # Errors
/// [`AppendError::Storage`]: there will be no room.
///
/// # Cancel safety
/// Cancel safe.
pub(super) async fn await_room(
    server: &Server,
    partition: &Partition,
    bytes: usize,
) -> Result<(), AppendError> {
    let room = server.storage().append_room(bytes).await;
    room.map_err(|error| failed(partition, &error))
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

impl Batch {
    fn new(bytes: Bytes, origin: AppendOrigin) -> Result<Batch, AppendError> {
        let header = BatchHeader::parse(&bytes).map_err(|_| AppendError::Unknown)?;
        Ok(Batch {
            bytes,
            header,
            origin,
        })
    }

    /// Appends the batch, if there is room for it now.
    pub(super) fn append(
        &self,
        server: &Server,
        partition: &Partition,
        write: WhenToWrite,
    ) -> Result<Appended, Refused> {
        let batch = AppendBatch {
            bytes: self.bytes.clone(),
            header: self.header,
            leader_epoch: partition.leader_epoch,
            origin: self.origin,
            write,
        };
        let appended = partition.log.append(batch, server.clock().now_ms());
        appended.map_err(|error| match error {
            storage::AppendError::Backpressure => Refused::NoRoom(self.bytes.len()),
            storage::AppendError::TooLarge { .. } => AppendError::TooLarge.into(),
            storage::AppendError::InvalidTxnState { .. } => AppendError::InvalidTxnState.into(),
            storage::AppendError::InvalidProducerEpoch { .. } => {
                AppendError::InvalidProducerEpoch.into()
            }
            storage::AppendError::CoordinatorFenced { .. } => AppendError::CoordinatorFenced.into(),
            error => failed(partition, &error).into(),
        })
    }
}

fn failed(partition: &Partition, error: &(dyn std::error::Error + 'static)) -> AppendError {
    tracing::warn!(topic = partition.log.topic(), partition = partition.index.0,
        error = %ErrorChain(error), "cannot append coordinator records");
    AppendError::Storage
}
