//! Producer ids, handed out from blocks that the metadata store allocates.
//!
//! A block is durable before its first id leaves, so no id is ever given twice; a restart wastes the rest of
//! a block (`org.apache.kafka.coordinator.transaction.ProducerIdManager`).

use std::ops::Range;
use std::sync::Arc;

use base::{ErrorChain, ProducerId};
use tokio::sync::Mutex;
use wire::ErrorCode;

use crate::server::Server;

/// Ids in a block (`ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
const BLOCK_SIZE: u32 = 1_000;

/// The block that ids are taken from.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds {
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// The next id.
    ///
    /// # Errors
    /// COORDINATOR_LOAD_IN_PROGRESS when no block can be allocated now; clients try again.
    pub(crate) async fn next(&self, server: &Arc<Server>) -> Result<ProducerId, ErrorCode> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            let metadata = Arc::clone(server.metadata());
            let allocated =
                tokio::task::spawn_blocking(move || metadata.allocate_producer_ids(BLOCK_SIZE))
                    .await
                    .map_err(|_| ErrorCode::UnknownServerError)?;
            *block = allocated.map_err(|error| {
                tracing::warn!(error = %ErrorChain(&error), "cannot allocate producer ids");
                ErrorCode::CoordinatorLoadInProgress
            })?;
        }
        let next = block.start;
        block.start += 1;
        Ok(ProducerId(next))
    }
}
