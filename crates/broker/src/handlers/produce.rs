//! Produce (key 0): records into partitions; answered when they are durable.
//!
//! Two stages, so that storage latency never becomes the latency of taking requests: [`begin`] validates and
//! enqueues in the order of the requests, [`Pending::finish`] waits for the journal. `acks=1` and `acks=all`
//! wait for the same watermark, `acks=0` for nothing.

use std::sync::Arc;
use std::time::Duration;

use base::{ErrorChain, PartitionIndex, TopicId};
use bytes::Bytes;
use security::{Operation, ResourceType};
use storage::{AppendBatch, AppendOrigin, Appended, Lsn, WhenToWrite};
use wire::ErrorCode;
use wire::messages::produce_request::PartitionProduceData;
use wire::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use wire::messages::{ProduceRequest, ProduceResponse};
use wire::record_batch::BatchHeader;
use wire::record_validate::{ValidatedBatch, ValidationError, ValidationRules, validate_produce};

use crate::errors;
use crate::record_validator;
use crate::request::RequestContext;
use crate::server::Server;
use crate::settings::validation_rules;
use crate::topics::{Partition, Topic, is_internal};
use crate::transactions::produce::{Denied, ProduceTransaction};

/// Kafka's own name for tools that may write to internal topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT_ID: &str = "__admin_client";
/// A compressed batch above this size is checked off the runtime's threads.
const INLINE_DECOMPRESSION_MAX_BYTES: usize = 4 * 1024;

/// How a produce ends.
pub(crate) enum Outcome {
    /// With a response.
    Answer(ProduceResponse),
    /// `acks=0`: with none.
    Silent,
    /// `acks=0` and an error: the connection is closed, which is all the client can be told.
    Failed(String),
}

/// A produce whose records are enqueued.
pub(crate) struct Pending {
    server: Arc<Server>,
    acks: i16,
    timeout: Duration,
    response: ProduceResponse,
    /// Topic and partition places in the response, with what each waits for.
    waiting: Vec<(usize, usize, Lsn)>,
}

/// Validates and enqueues every partition of the request, in order. Waits only while the journal's queue is
/// full, and for the transaction coordinator where a transaction begins in a partition.
///
/// # Cancel safety
/// Not cancel safe: some partitions may be enqueued and others not.
pub(crate) async fn begin(
    server: &Arc<Server>,
    context: &RequestContext,
    request: ProduceRequest,
) -> Pending {
    let mut pending = Pending {
        server: Arc::clone(server),
        acks: request.acks,
        timeout: Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)),
        response: ProduceResponse::default(),
        waiting: Vec::new(),
    };
    let topics: Vec<Result<Arc<Topic>, Refusal>> = request
        .topic_data
        .iter()
        .map(|data| {
            let topic = find_topic(server, context, &data.name, TopicId(data.topic_id))?;
            check_request(context, &topic, request.acks)?;
            Ok(topic)
        })
        .collect();
    // Both may wait for others, so both come before anything is queued.
    let transaction = ProduceTransaction::prepare(server, context, &request).await;
    let mut refusals = record_validator::judge(server, &topics, &request).await;
    let queued = server.storage().queue_writes();
    for (topic_place, (data, topic)) in request.topic_data.into_iter().zip(topics).enumerate() {
        let mut responses = Vec::with_capacity(data.partition_data.len());
        for (place, partition) in data.partition_data.into_iter().enumerate() {
            let index = partition.index;
            let origin = transaction.origin(topic_place, index);
            let appended = match (&topic, origin) {
                (Ok(topic), Ok(origin)) => {
                    let refused = refusals.remove(&(topic_place, place));
                    let how = (request.acks, origin, refused);
                    append(server, context, topic, how, partition).await
                }
                (Err(refusal), _) => Err(refusal.clone()),
                (_, Err(denied)) => Err(denied.into()),
            };
            responses.push(match appended {
                Ok(appended) => {
                    let answer_place = pending.response.responses.len();
                    pending.waiting.push((answer_place, place, appended.lsn));
                    PartitionProduceResponse {
                        index,
                        base_offset: appended.base_offset.0,
                        log_append_time_ms: appended.log_append_time_ms,
                        log_start_offset: appended.log_start_offset.0,
                        ..PartitionProduceResponse::default()
                    }
                }
                Err(refusal) => refusal.into_response(index),
            });
        }
        if responses.is_empty() {
            continue;
        }
        pending.response.responses.push(TopicProduceResponse {
            name: data.name,
            topic_id: data.topic_id,
            partition_responses: responses,
        });
    }
    // May write what was queued on this thread: a small write on an idle journal, for which handing it to another thread
    // and being woken by it costs more than the write. Only one thread can be in it, so at most one worker ever is.
    drop(queued);
    pending
}

/// Why a partition's records were not taken. A message is for what the code does not say, as in Kafka: which records were
/// refused, and why a transaction could not be verified.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    code: ErrorCode,
    message: Option<String>,
    record_errors: Vec<BatchIndexAndErrorMessage>,
    log_start_offset: i64,
}

impl Refusal {
    fn new(code: ErrorCode) -> Refusal {
        Refusal {
            code,
            message: None,
            record_errors: Vec::new(),
            log_start_offset: -1,
        }
    }

    /// With the partition's `error_message`.
    pub(crate) fn with_message(code: ErrorCode, message: &str) -> Refusal {
        Refusal {
            message: Some(message.to_owned()),
            ..Refusal::new(code)
        }
    }

    pub(crate) fn code(&self) -> ErrorCode {
        self.code
    }

    /// What the log itself refused is answered with where it starts (`ReplicaManager.appendToLocalLog`).
    fn by_log(self, partition: &Partition) -> Refusal {
        Refusal {
            log_start_offset: partition.log.log_start_offset().0,
            ..self
        }
    }

    fn into_response(self, index: i32) -> PartitionProduceResponse {
        PartitionProduceResponse {
            index,
            error_code: self.code.code(),
            base_offset: -1,
            log_start_offset: self.log_start_offset,
            error_message: self.message,
            record_errors: self.record_errors,
            ..PartitionProduceResponse::default()
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Refusal {
        Refusal {
            message: denied.message,
            ..Refusal::new(denied.code)
        }
    }
}

impl From<ValidationError> for Refusal {
    fn from(error: ValidationError) -> Refusal {
        Refusal {
            message: error.error_message(),
            record_errors: error
                .record_errors()
                .iter()
                .map(|record| BatchIndexAndErrorMessage {
                    batch_index: record.batch_index,
                    batch_index_error_message: Some(record.message.clone()),
                })
                .collect(),
            ..Refusal::new(error.error_code())
        }
    }
}

fn find_topic(
    server: &Server,
    context: &RequestContext,
    name: &str,
    id: TopicId,
) -> Result<Arc<Topic>, Refusal> {
    let by_id = context.api_version >= 13;
    let found = if by_id {
        server.topics().get_by_id(id)
    } else {
        server.topics().get(name)
    };
    let name = found.as_ref().map_or(name, |topic| &topic.name);
    if !name.is_empty() && !server.allows(context, Operation::Write, ResourceType::Topic, name) {
        return Err(Refusal::new(ErrorCode::TopicAuthorizationFailed));
    }
    let unknown = if by_id {
        ErrorCode::UnknownTopicId
    } else {
        ErrorCode::UnknownTopicOrPartition
    };
    found.ok_or_else(|| Refusal::new(unknown))
}

fn check_request(context: &RequestContext, topic: &Topic, acks: i16) -> Result<(), Refusal> {
    if !(-1..=1).contains(&acks) {
        return Err(Refusal::new(ErrorCode::InvalidRequiredAcks));
    }
    if is_internal(&topic.name) && context.client_id != ADMIN_CLIENT_ID {
        return Err(Refusal::new(ErrorCode::InvalidTopicException));
    }
    Ok(())
}

async fn append(
    server: &Server,
    context: &RequestContext,
    topic: &Topic,
    (acks, origin, refused): (i16, AppendOrigin, Option<Refusal>),
    data: PartitionProduceData,
) -> Result<Appended, Refusal> {
    let partition = topic
        .partition(PartitionIndex(data.index))
        .ok_or_else(|| Refusal::new(ErrorCode::UnknownTopicOrPartition))?;
    if !partition.is_online() {
        return Err(Refusal::new(ErrorCode::KafkaStorageError));
    }
    let settings = topic.settings();
    // The one replica is the whole ISR.
    if acks == -1 && settings.min_insync_replicas > 1 {
        return Err(Refusal::new(ErrorCode::NotEnoughReplicas).by_log(&partition));
    }
    let bytes = data
        .records
        .and_then(|records| records.as_bytes())
        .unwrap_or_default();
    let rules = ValidationRules {
        produce_version: context.api_version,
        ..validation_rules(
            &settings,
            &topic.name,
            partition.index,
            server.clock().now_ms(),
        )
    };
    let batch = validate(bytes, rules).await.map_err(|error| {
        let by_log = error.is_by_log();
        let refusal = Refusal::from(error);
        if by_log {
            refusal.by_log(&partition)
        } else {
            refusal
        }
    })?;
    // What its schema has against a batch counts once nothing else does, as with Kafka's record interceptors.
    if let Some(refused) = refused {
        return Err(refused.by_log(&partition));
    }
    let to_append = AppendBatch {
        bytes: batch.bytes,
        header: batch.header,
        leader_epoch: partition.leader_epoch,
        origin,
        write: WhenToWrite::Later,
    };
    server
        .append_batch(&partition, to_append)
        .await
        .map_err(|error| {
            let code = errors::of_append(&error);
            if code == ErrorCode::KafkaStorageError {
                tracing::warn!(topic = topic.name, partition = data.index,
                error = %ErrorChain(&error), "append failed");
                return Refusal::new(code);
            }
            tracing::debug!(topic = topic.name, partition = data.index,
            error = %ErrorChain(&error), "append refused");
            match code {
                ErrorCode::RecordListTooLarge => Refusal::new(code),
                _ => Refusal::new(code).by_log(&partition),
            }
        })
}

async fn validate(
    bytes: Bytes,
    rules: ValidationRules<'_>,
) -> Result<ValidatedBatch, ValidationError> {
    let decompresses = bytes.len() > INLINE_DECOMPRESSION_MAX_BYTES
        && BatchHeader::parse(&bytes).is_ok_and(|header| header.attributes.0 & 0x07 != 0);
    if decompresses {
        return tokio::task::block_in_place(|| validate_produce(&bytes, &rules));
    }
    validate_produce(&bytes, &rules)
}

impl Pending {
    /// Waits until the records are durable; with `acks=all` for `timeout_ms` at most, which with `acks=1` means nothing in
    /// Kafka either.
    ///
    /// A timeout says nothing of the records, which may well become durable later: REQUEST_TIMED_OUT is
    /// retriable, and an idempotent producer's retry is then found to be a duplicate.
    pub(crate) async fn finish(mut self) -> Outcome {
        if self.acks == 0 {
            return self.without_answer();
        }
        let last = self
            .waiting
            .iter()
            .map(|(_, _, lsn)| *lsn)
            .max()
            .unwrap_or_default();
        let durable = self.server.storage().wait_durable(last);
        let waited = match self.acks {
            1 => Ok(durable.await),
            _ => tokio::time::timeout(self.timeout, durable).await,
        };
        let failure = match waited {
            Ok(Ok(())) => None,
            // Differs: Kafka says no more than the code; whoever reads this wants to know what the disk said.
            Ok(Err(error)) => Some(Refusal {
                message: Some(ErrorChain(&error).to_string()),
                ..Refusal::new(errors::of_storage(&error))
            }),
            Err(_) => Some(Refusal::new(ErrorCode::RequestTimedOut)),
        };
        if let Some(refusal) = failure {
            for (topic, partition, _) in self.waiting.iter().filter(|(_, _, lsn)| *lsn > Lsn::ZERO)
            {
                let response = self
                    .response
                    .responses
                    .get_mut(*topic)
                    .and_then(|topic| topic.partition_responses.get_mut(*partition));
                if let Some(response) = response {
                    *response = refusal.clone().into_response(response.index);
                }
            }
        }
        Outcome::Answer(self.response)
    }

    fn without_answer(&self) -> Outcome {
        let failed = self
            .response
            .responses
            .iter()
            .flat_map(|topic| {
                topic
                    .partition_responses
                    .iter()
                    .map(move |part| (topic, part))
            })
            .find(|(_, partition)| partition.error_code != 0);
        match failed {
            None => Outcome::Silent,
            Some((topic, partition)) => Outcome::Failed(format!(
                "produce with acks=0 to {}-{} failed with error {}",
                topic.name, partition.index, partition.error_code
            )),
        }
    }
}
