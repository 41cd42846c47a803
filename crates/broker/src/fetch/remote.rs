//! The part of a fetch that comes from the remote store (`DelayedRemoteFetch`, KIP-405).
//!
//! A partition whose offset lies below the local log start is read on a blocking thread, all such partitions of a fetch at the same
//! time, for `remote.fetch.max.wait.ms` at most. What has not come by then is not in this response; the reading goes on, and the next
//! fetch of the same offset finds it.
//!
//! Differs: a store that cannot be read is KAFKA_STORAGE_ERROR, which clients try again; Apache Kafka answers UNKNOWN_SERVER_ERROR.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Offset;
use storage::{ReadError, ReadLimit};
use wire::ErrorCode;

use super::read::{PartitionRead, Pass, Resolved, of_read};
use super::session::FetchedPartition;
use crate::errors;

/// What of a partition is to be read remotely.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RemotePart {
    /// At most.
    pub(crate) max_bytes: usize,
    /// Whether the first batch is wanted even if it is larger.
    pub(crate) at_least_one: bool,
}

/// Reads what a pass left to the remote store.
///
/// # Cancel safety
/// Cancel safe: reads that have begun end by themselves, at the deadline.
pub(crate) async fn complete(
    pass: &mut Pass,
    wanted: &[FetchedPartition],
    resolved: &[Resolved],
    limit: ReadLimit,
    max_wait: Duration,
) {
    let deadline = Instant::now() + max_wait;
    let mut reads = Vec::new();
    for (place, ((read, wanted), resolved)) in
        pass.partitions.iter().zip(wanted).zip(resolved).enumerate()
    {
        let (Some(part), Ok(partition)) = (read.remote, resolved) else {
            continue;
        };
        let log = Arc::clone(&partition.log);
        let offset = Offset(wanted.fetch_offset);
        let reading = tokio::task::spawn_blocking(move || {
            let RemotePart {
                max_bytes,
                at_least_one,
            } = part;
            log.read_remote(offset, max_bytes, limit, at_least_one, Some(deadline))
        });
        reads.push((place, reading));
    }
    for (place, reading) in reads {
        let read = match reading.await {
            Ok(Ok(read)) => of_read(read, None),
            Ok(Err(ReadError::RemotePending)) => continue,
            Ok(Err(error)) => PartitionRead::failed(errors::of_read(&error)),
            Err(_) => PartitionRead::failed(ErrorCode::UnknownServerError),
        };
        pass.bytes += read.records.len();
        pass.urgent |= read.error.is_error();
        if let Some(slot) = pass.partitions.get_mut(place) {
            *slot = read;
        }
    }
}
