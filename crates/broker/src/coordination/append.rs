//! Appending what a coordinator asks for to its partition.

use base::ErrorChain;
use coordinator::{AppendError, CoordinatorRecord};
use storage::{AppendOrigin, Lsn};
use wire::record_batch::BatchHeader;
use wire::record_data::{BatchOptions, RecordBatchBuilder};

use crate::server::Server;
use crate::topics::Partition;

/// Appends records as one batch.
pub(super) async fn records(
    server: &Server,
    partition: &Partition,
    records: &[CoordinatorRecord],
) -> Result<Lsn, AppendError> {
    let now_ms = server.clock().now_ms();
    let mut builder = RecordBatchBuilder::new(BatchOptions::default());
    for record in records {
        builder
            .append(now_ms, Some(&record.key), record.value.as_deref(), &[])
            .map_err(|_| AppendError::TooLarge)?;
    }
    let bytes = builder.finish().map_err(|_| AppendError::TooLarge)?;
    let header = BatchHeader::parse(&bytes).map_err(|_| AppendError::Unknown)?;
    let appended = server
        .append(partition, &bytes, header, AppendOrigin::Coordinator)
        .await;
    match appended {
        Ok(appended) => Ok(appended.lsn),
        Err(storage::AppendError::TooLarge { .. }) => Err(AppendError::TooLarge),
        Err(error) => {
            tracing::warn!(topic = partition.log.topic(), error = %ErrorChain(&error),
                "cannot append coordinator records");
            Err(AppendError::Storage)
        }
    }
}
