//! The record of a control batch that ends a transaction (`ControlRecordType`, `EndTransactionMarker`, KIP-98).
//!
//! ```text
//! key:   version i16 = 0 │ type i16: 0 abort, 1 commit
//! value: version i16 = 0 │ coordinator_epoch i32
//! ```
//! A control batch holds one such record and takes one offset. Other types (snapshots and leader changes of a
//! Raft log) do not occur in a partition of a topic.

use bytes::Bytes;

use crate::record_data::{BatchOptions, BuildError, RecordBatchBuilder};

const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// The end of a transaction, as its control record says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Whether the transaction was committed; otherwise it was aborted.
    pub committed: bool,
    /// The epoch of the transaction coordinator that wrote the marker; -1 when the record does not say.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// Reads a control record; `None` when it is not the end of a transaction.
    #[must_use]
    pub fn decode(key: &[u8], value: Option<&Bytes>) -> Option<EndTxnMarker> {
        let record_type = i16::from_be_bytes(*key.get(2..)?.first_chunk()?);
        let committed = match record_type {
            ABORT => false,
            COMMIT => true,
            _ => return None,
        };
        let epoch = value.and_then(|value| value.get(2..)?.first_chunk().copied());
        Some(EndTxnMarker {
            committed,
            coordinator_epoch: epoch.map_or(-1, i32::from_be_bytes),
        })
    }

    /// The control batch that ends the transaction of a producer, to be appended at `timestamp_ms`.
    ///
    /// # Errors
    /// [`BuildError`], which a record this small does not meet.
    pub fn to_batch(
        self,
        producer_id: i64,
        producer_epoch: i16,
        timestamp_ms: i64,
    ) -> Result<Bytes, BuildError> {
        let mut builder = RecordBatchBuilder::new(BatchOptions {
            producer_id,
            producer_epoch,
            transactional: true,
            control: true,
            ..BatchOptions::default()
        });
        let record_type = if self.committed { COMMIT } else { ABORT };
        let mut key = [0; 4];
        key[..2].copy_from_slice(&VERSION.to_be_bytes());
        key[2..].copy_from_slice(&record_type.to_be_bytes());
        let mut value = [0; 6];
        value[..2].copy_from_slice(&VERSION.to_be_bytes());
        value[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        builder.append(timestamp_ms, Some(&key), Some(&value), &[])?;
        builder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record_data::records;

    #[test]
    fn a_marker_reads_back_from_its_batch() {
        for committed in [false, true] {
            let marker = EndTxnMarker {
                committed,
                coordinator_epoch: 7,
            };
            let batch = marker.to_batch(42, 3, 1_700_000_000_000).unwrap();
            let mut records = records(&batch, 1_024).unwrap();
            let header = *records.header();
            assert!(header.attributes.is_control() && header.attributes.is_transactional());
            assert_eq!((header.producer_id, header.producer_epoch), (42, 3));
            assert_eq!((header.base_sequence, header.record_count), (-1, 1));
            let record = records.next().unwrap().unwrap();
            let read = EndTxnMarker::decode(&record.key.unwrap(), record.value.as_ref());
            assert_eq!(read, Some(marker));
        }
    }

    #[test]
    fn other_control_records_are_no_markers() {
        assert_eq!(EndTxnMarker::decode(&[0, 0, 0, 2], None), None);
        assert_eq!(EndTxnMarker::decode(&[0, 0, 0], None), None);
        let silent = EndTxnMarker::decode(&[0, 0, 0, 1], None).unwrap();
        assert_eq!(silent.coordinator_epoch, -1);
    }
}
