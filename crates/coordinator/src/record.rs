//! The records of `__consumer_offsets`, to the byte those that Apache Kafka 4.3.1 writes.
//!
//! ```text
//! key:   i16 record type │ key fields           value:  i16 version │ value fields
//! ```
//!
//! | record | type | value version |
//! |---|---|---|
//! | OffsetCommit | 1 (0 is read too) | 4; 1 when the request set a retention time |
//! | GroupMetadata | 2 | 3 |
//! | those of consumer groups, in [`crate::consumer`] | 3 to 8, 16 | 0 |
//! | those of share groups, in [`crate::share_group`] | 10 to 15 | 0 |
//! | those of streams groups, in [`crate::streams`] | 17, 19 to 23 | 0 |
//!
//! Source: `GroupCoordinatorRecordHelpers` (`GROUP_METADATA_VALUE_VERSION`, `offsetCommitValueVersion`) and
//! `CoordinatorRecordSerde`. Records of other types belong to group protocols that are not here; they are
//! reported, not decoded.

use bytes::Bytes;
use wire::coordinator_records::{
    GroupMetadataKey, GroupMetadataValue, LegacyOffsetCommitKey, OffsetCommitKey, OffsetCommitValue,
};
use wire::{DecodeError, EncodeError, Message, Reader, Writer};

use crate::action::CoordinatorRecord;
use crate::shard::write::LogRecord;
use crate::{consumer, share_group, streams};

const KEY_VERSION: i16 = 0;
const GROUP_METADATA_VALUE_VERSION: i16 = 3;
const OFFSET_COMMIT_VALUE_VERSION: i16 = 4;
const OFFSET_COMMIT_VALUE_VERSION_WITH_EXPIRY: i16 = 1;

/// A record of the log that cannot be read. The partition's state is unknown from there on.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The key is shorter than a record type.
    #[error("a coordinator record's key has {0} bytes; a record type takes 2")]
    NoType(usize),
    /// The value is shorter than a version.
    #[error(
        "a coordinator record's value of type {record_type} has {length} bytes; a version takes 2"
    )]
    NoVersion {
        /// The record type of the key.
        record_type: i16,
        /// The length of the value.
        length: usize,
    },
    /// A transaction is in a state that does not exist.
    #[error("transactional id '{transactional_id}' is in state {status}, which does not exist")]
    UnknownTransactionStatus {
        /// The transactional id.
        transactional_id: String,
        /// The state's number.
        status: i8,
    },
    /// A transaction wrote a record to a topic that has none.
    #[error("a transaction of producer {producer_id} wrote to a coordinator's topic")]
    Transactional {
        /// The producer.
        producer_id: i64,
    },
    /// The key or the value does not decode.
    #[error("a coordinator record of type {record_type} does not decode")]
    Malformed {
        /// The record type of the key.
        record_type: i16,
        /// What is wrong, and where.
        #[source]
        source: DecodeError,
    },
}

/// A record that was read.
#[derive(Clone, Debug)]
pub(crate) enum Decoded {
    Offset(OffsetCommitKey, Option<OffsetCommitValue>),
    Group(GroupMetadataKey, Option<GroupMetadataValue>),
    /// Of the consumer, streams or share group with this id.
    OfGroup(String, LogRecord),
    Unknown(i16),
}

/// An OffsetCommit record.
pub(crate) fn offset_commit(
    key: &OffsetCommitKey,
    value: &OffsetCommitValue,
) -> Result<CoordinatorRecord, EncodeError> {
    let version = if value.expire_timestamp == -1 {
        OFFSET_COMMIT_VALUE_VERSION
    } else {
        OFFSET_COMMIT_VALUE_VERSION_WITH_EXPIRY
    };
    Ok(CoordinatorRecord {
        key: prefixed(OffsetCommitKey::RECORD_TYPE, key, KEY_VERSION)?,
        value: Some(prefixed(version, value, version)?),
    })
}

/// The tombstone of an OffsetCommit record.
pub(crate) fn offset_tombstone(key: &OffsetCommitKey) -> Result<CoordinatorRecord, EncodeError> {
    let key = prefixed(OffsetCommitKey::RECORD_TYPE, key, KEY_VERSION)?;
    Ok(CoordinatorRecord { key, value: None })
}

/// A GroupMetadata record.
pub(crate) fn group_metadata(
    group: &str,
    value: &GroupMetadataValue,
) -> Result<CoordinatorRecord, EncodeError> {
    let version = GROUP_METADATA_VALUE_VERSION;
    Ok(CoordinatorRecord {
        value: Some(prefixed(version, value, version)?),
        ..group_tombstone(group)?
    })
}

/// The tombstone of a GroupMetadata record.
pub(crate) fn group_tombstone(group: &str) -> Result<CoordinatorRecord, EncodeError> {
    let key = GroupMetadataKey {
        group: group.to_owned(),
    };
    let key = prefixed(GroupMetadataKey::RECORD_TYPE, &key, KEY_VERSION)?;
    Ok(CoordinatorRecord { key, value: None })
}

/// Reads a record of the log.
pub(crate) fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Decoded, ReplayError> {
    let mut reader = Reader::new(key.clone());
    let record_type = reader.i16().map_err(|_| ReplayError::NoType(key.len()))?;
    match record_type {
        // The oldest brokers' records; the schema of the key is the same.
        LegacyOffsetCommitKey::RECORD_TYPE | OffsetCommitKey::RECORD_TYPE => Ok(Decoded::Offset(
            decode_key(record_type, &mut reader)?,
            decode_value(record_type, value)?,
        )),
        GroupMetadataKey::RECORD_TYPE => Ok(Decoded::Group(
            decode_key(record_type, &mut reader)?,
            decode_value(record_type, value)?,
        )),
        other => {
            if let Some((group, change)) = consumer::records::decode(other, &mut reader, value)? {
                return Ok(Decoded::OfGroup(group, LogRecord::Consumer(change)));
            }
            if let Some((group, change)) = share_group::records::decode(other, &mut reader, value)?
            {
                return Ok(Decoded::OfGroup(group, LogRecord::Share(change)));
            }
            let streams = streams::records::decode(other, &mut reader, value)?;
            Ok(streams.map_or(Decoded::Unknown(other), |(group, change)| {
                Decoded::OfGroup(group, LogRecord::Streams(change))
            }))
        }
    }
}

/// A record of any type; no value for a tombstone, else its version with it.
pub(crate) fn record<K: Message, V: Message>(
    record_type: i16,
    key: &K,
    value: Option<(i16, &V)>,
) -> Result<CoordinatorRecord, EncodeError> {
    let value = value.map(|(version, value)| prefixed(version, value, version));
    Ok(CoordinatorRecord {
        key: prefixed(record_type, key, KEY_VERSION)?,
        value: value.transpose()?,
    })
}

/// The version of every value in the records of [`crate::consumer`], [`crate::share_group`] and [`crate::streams`].
const GROUP_VALUE_VERSION: i16 = 0;

/// A record of a group of the newer protocols; no value for a tombstone.
pub(crate) fn group_record<K: Message, V: Message>(
    record_type: i16,
    key: &K,
    value: Option<V>,
) -> Result<CoordinatorRecord, EncodeError> {
    let value = value.as_ref().map(|value| (GROUP_VALUE_VERSION, value));
    record(record_type, key, value)
}

/// The key, from behind the record type, and the value of a record.
pub(crate) fn decode_pair<K: Message, V: Message>(
    record_type: i16,
    key: &mut Reader,
    value: Option<&Bytes>,
) -> Result<(K, Option<V>), ReplayError> {
    Ok((
        decode_key(record_type, key)?,
        decode_value(record_type, value)?,
    ))
}

pub(crate) fn decode_key<T: Message>(
    record_type: i16,
    reader: &mut Reader,
) -> Result<T, ReplayError> {
    T::decode(reader, KEY_VERSION).map_err(|source| ReplayError::Malformed {
        record_type,
        source,
    })
}

pub(crate) fn decode_value<T: Message>(
    record_type: i16,
    value: Option<&Bytes>,
) -> Result<Option<T>, ReplayError> {
    let Some(value) = value else { return Ok(None) };
    let mut reader = Reader::new(value.clone());
    let version = reader.i16().map_err(|_| ReplayError::NoVersion {
        record_type,
        length: value.len(),
    })?;
    T::decode(&mut reader, version)
        .map(Some)
        .map_err(|source| ReplayError::Malformed {
            record_type,
            source,
        })
}

pub(crate) fn prefixed<T: Message>(
    prefix: i16,
    message: &T,
    version: i16,
) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::with_capacity(64);
    writer.i16(prefix);
    message.encode(&mut writer, version)?;
    // `into_bytes` is `None` only for file regions, which no coordinator record has.
    writer.into_bytes().ok_or(EncodeError::TooLong(0))
}
