//! Judging records by what the broker itself does not know: the schemas of a Schema Registry.
//!
//! A topic may ask that keys or values name a schema of its subject (`confluent.value.schema.validation`, as Confluent
//! Server has it). Whoever starts the broker gives it a [`RecordValidator`]; nothing here knows a registry. Topics that
//! do not ask cost nothing: their records are not looked at.
//!
//! A batch with a record that is refused is refused as a whole with INVALID_RECORD, and each such record is named
//! (KIP-467) in Confluent Server's words. While nobody can say anything of the records the produce is answered with
//! REQUEST_TIMED_OUT, which a client retries; nothing is appended unjudged.
//!
//! Differs: what Confluent Server answers while its registry is away is not documented.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use wire::messages::ProduceRequest;
use wire::record_data::{Record, RecordDataError, records};
use wire::record_validate::{
    DECOMPRESSED_MAX_BYTES_DEFAULT, RECORD_ERRORS_MAX, RecordError, ValidationError,
};
use wire::{ErrorCode, Records};

use crate::config::SchemaValidation;
use crate::handlers::produce::Refusal;
use crate::server::Server;
use crate::topics::Topic;

/// The class that Confluent Server names as the one that refuses.
const INTERCEPTOR: &str = "io.confluent.kafka.schemaregistry.validator.RecordSchemaValidator";
/// A batch above this size is decompressed off the runtime's threads.
const INLINE_MAX_BYTES: usize = 4 * 1024;

/// Says which records must not be appended.
pub trait RecordValidator: fmt::Debug + Send + Sync {
    /// Judges the records of one batch.
    ///
    /// # Cancel safety
    /// Has to be cancel safe: a connection that goes away drops it.
    fn validate<'a>(
        &'a self,
        topic: &'a str,
        asked: &'a SchemaValidation,
        records: &'a [Record],
    ) -> Verdict<'a>;
}

/// The records that are refused, or why nothing can be said of any.
pub type Verdict<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<RefusedRecord>, ValidatorUnavailable>> + Send + 'a>>;

/// A record that must not be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Its place in the batch, from 0.
    pub batch_index: i32,
    /// Why, for the broker's log.
    pub reason: String,
}

/// Nothing can be said of records now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValidatorUnavailable(pub String);

/// What is said against batches of a produce request, by their places in it: of the topic, and of the partition in the
/// topic. A request may name a partition twice.
pub(crate) type Refusals = BTreeMap<(usize, usize), Refusal>;

/// Judges every batch of the request whose topic asks for it. Waits for the validator.
///
/// A batch that cannot be read is refused too; that only shows if nothing else is wrong with it. Once the validator is
/// away, the rest of the request is not asked for: a producer waits for it once, and not for each of its partitions.
///
/// # Cancel safety
/// Cancel safe.
pub(crate) async fn judge(
    server: &Server,
    topics: &[Result<Arc<Topic>, Refusal>],
    request: &ProduceRequest,
) -> Refusals {
    let mut refusals = Refusals::new();
    let mut away: Option<Refusal> = None;
    for (topic_place, (topic, data)) in topics.iter().zip(&request.topic_data).enumerate() {
        let Ok(topic) = topic else {
            continue;
        };
        let settings = topic.settings();
        let Some(asked) = &settings.schema_validation else {
            continue;
        };
        for (place, partition) in data.partition_data.iter().enumerate() {
            let bytes = partition
                .records
                .as_ref()
                .and_then(Records::as_bytes)
                .unwrap_or_default();
            let judged = match &away {
                Some(refusal) => Err(refusal.clone()),
                None => judge_batch(server, topic, asked, &bytes).await,
            };
            if let Err(refusal) = judged {
                if refusal.code() == ErrorCode::RequestTimedOut {
                    away.get_or_insert_with(|| refusal.clone());
                }
                refusals.insert((topic_place, place), refusal);
            }
        }
    }
    refusals
}

async fn judge_batch(
    server: &Server,
    topic: &Topic,
    asked: &SchemaValidation,
    batch: &Bytes,
) -> Result<(), Refusal> {
    let records = read(batch).map_err(|error| {
        Refusal::with_message(
            ErrorCode::InvalidRecord,
            &base::ErrorChain(&error).to_string(),
        )
    })?;
    let verdict = match server.record_validator() {
        Some(validator) => validator.validate(&topic.name, asked, &records).await,
        None => Err(ValidatorUnavailable(
            "no Schema Registry is known; set confluent.schema.registry.url".to_owned(),
        )),
    };
    let refused = verdict.map_err(|error| {
        tracing::warn!(topic = topic.name, %error, "records cannot be validated; the producer is told to retry");
        let message = format!("The records cannot be validated now: {error}");
        Refusal::with_message(ErrorCode::RequestTimedOut, &message)
    })?;
    if refused.is_empty() {
        return Ok(());
    }
    if let Some(RefusedRecord {
        batch_index,
        reason,
    }) = refused.first()
    {
        let count = refused.len();
        tracing::debug!(
            topic = topic.name,
            count,
            batch_index,
            reason,
            "records are refused"
        );
    }
    let errors = refused.iter().take(RECORD_ERRORS_MAX).map(|refused| {
        let record = usize::try_from(refused.batch_index)
            .ok()
            .and_then(|index| records.get(index));
        RecordError {
            batch_index: refused.batch_index,
            message: format!(
                "Log record {} is rejected by the record interceptor {INTERCEPTOR}",
                record.map(shown).unwrap_or_default()
            ),
        }
    });
    Err(Refusal::from(ValidationError::Rejected {
        invalid_timestamp: false,
        total: refused.len(),
        errors: errors.collect(),
    }))
}

fn read(batch: &Bytes) -> Result<Vec<Record>, RecordDataError> {
    let read = || -> Result<Vec<Record>, RecordDataError> {
        records(batch, DECOMPRESSED_MAX_BYTES_DEFAULT)?.collect()
    };
    if batch.len() > INLINE_MAX_BYTES {
        return tokio::task::block_in_place(read);
    }
    read()
}

/// `DefaultRecord.toString`.
fn shown(record: &Record) -> String {
    let size = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    format!(
        "DefaultRecord(offset={}, timestamp={}, key={} bytes, value={} bytes)",
        record.offset,
        record.timestamp,
        size(&record.key),
        size(&record.value)
    )
}
