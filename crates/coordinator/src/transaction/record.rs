//! The records of `__transaction_state`, as Apache Kafka 4.4 writes them at transaction version 2.
//!
//! ```text
//! key:   i16 = 0 │ transactional id             value: i16 = 1 │ value fields; none for a tombstone
//! ```
//! Values of version 0, of brokers before transaction version 1, are read. Source: `TransactionLog`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use wire::coordinator_records::transaction_log_value::PartitionsSchema;
use wire::coordinator_records::{TransactionLogKey, TransactionLogValue};
use wire::{EncodeError, Reader};

use super::metadata::{ClientVersion, Metadata, NONE, TransactionState};
use crate::action::CoordinatorRecord;
use crate::record::{ReplayError, decode_key, decode_value, prefixed};

const KEY_VERSION: i16 = 0;
const VALUE_VERSION: i16 = 1;

/// A record that was read.
pub(super) enum Decoded {
    /// What is known of a transactional id; nothing for a tombstone.
    Transaction(Arc<str>, Option<Metadata>),
    /// A record type that does not exist yet.
    Unknown(i16),
}

/// The record of a transactional id; a tombstone without metadata.
pub(super) fn encode(
    transactional_id: &str,
    metadata: Option<&Metadata>,
) -> Result<CoordinatorRecord, EncodeError> {
    let key = TransactionLogKey {
        transactional_id: transactional_id.to_owned(),
    };
    let value = metadata
        .map(|metadata| prefixed(VALUE_VERSION, &to_value(metadata), VALUE_VERSION))
        .transpose()?;
    Ok(CoordinatorRecord {
        key: prefixed(TransactionLogKey::RECORD_TYPE, &key, KEY_VERSION)?,
        value,
    })
}

/// Reads a record of the log.
pub(super) fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Decoded, ReplayError> {
    let mut reader = Reader::new(key.clone());
    let record_type = reader.i16().map_err(|_| ReplayError::NoType(key.len()))?;
    if record_type != TransactionLogKey::RECORD_TYPE {
        return Ok(Decoded::Unknown(record_type));
    }
    let key: TransactionLogKey = decode_key(record_type, &mut reader)?;
    let value: Option<TransactionLogValue> = decode_value(record_type, value)?;
    let id: Arc<str> = key.transactional_id.into();
    let metadata = value.map(|value| from_value(&id, value)).transpose()?;
    Ok(Decoded::Transaction(id, metadata))
}

fn to_value(metadata: &Metadata) -> TransactionLogValue {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in &metadata.partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    let topics = topics
        .into_iter()
        .map(|(topic, partition_ids)| PartitionsSchema {
            topic: topic.to_owned(),
            partition_ids,
        });
    let partitions = (metadata.state != TransactionState::Empty).then(|| topics.collect());
    TransactionLogValue {
        producer_id: metadata.producer_id,
        previous_producer_id: metadata.previous_producer_id,
        next_producer_id: metadata.next_producer_id,
        producer_epoch: metadata.producer_epoch,
        // Of two-phase commit (KIP-939), which is not in a release.
        next_producer_epoch: NONE,
        transaction_timeout_ms: metadata.timeout_ms,
        transaction_status: metadata.state.id(),
        transaction_partitions: partitions,
        transaction_last_update_timestamp_ms: metadata.updated_ms,
        transaction_start_timestamp_ms: metadata.started_ms,
        client_transaction_version: metadata.client_version.level(),
    }
}

fn from_value(id: &str, value: TransactionLogValue) -> Result<Metadata, ReplayError> {
    let status = value.transaction_status;
    let state =
        TransactionState::from_id(status).ok_or_else(|| ReplayError::UnknownTransactionStatus {
            transactional_id: id.to_owned(),
            status,
        })?;
    let topics = value.transaction_partitions.unwrap_or_default();
    let partitions = topics.into_iter().flat_map(|topic| {
        let name: Arc<str> = topic.topic.into();
        let indexes = topic.partition_ids.into_iter();
        indexes.map(move |partition| (Arc::clone(&name), partition))
    });
    Ok(Metadata {
        producer_id: value.producer_id,
        previous_producer_id: value.previous_producer_id,
        next_producer_id: value.next_producer_id,
        producer_epoch: value.producer_epoch,
        last_producer_epoch: NONE,
        timeout_ms: value.transaction_timeout_ms,
        state,
        partitions: partitions.collect(),
        started_ms: value.transaction_start_timestamp_ms,
        updated_ms: value.transaction_last_update_timestamp_ms,
        client_version: ClientVersion::from_level(value.client_transaction_version),
    })
}
