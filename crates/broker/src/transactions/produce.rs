//! The transaction that a Produce belongs to: who may write, and which partitions the coordinator must know of.
//!
//! Source: `KafkaApis.handleProduceRequest`, `ReplicaManager.handleProduceAppend`.

use std::collections::HashMap;
use std::sync::Arc;

use base::{PartitionIndex, TopicId};
use storage::{AppendOrigin, VerificationGuard, VerificationRequest};
use wire::ErrorCode;
use wire::messages::ProduceRequest;
use wire::record_batch::BatchHeader;

use super::may_write;
use super::verify::{Producer, SupportedOperation, verify};
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::Topic;

/// Why a partition's records do not get into the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<String>,
}

/// What was found out about a request's transaction before its records are appended.
#[derive(Debug, Default)]
pub(crate) struct ProduceTransaction {
    /// By place of the topic in the request, and partition.
    origins: HashMap<(usize, i32), Result<AppendOrigin, Denied>>,
    /// The whole request is refused.
    denied: Option<Denied>,
}

/// A transactional batch of the request.
struct Candidate {
    place: (usize, i32),
    topic: Arc<Topic>,
    header: BatchHeader,
}

impl ProduceTransaction {
    /// Looks through the request, and asks the coordinator about partitions whose transaction begins. A request
    /// without transactional batches costs a look at each batch's attributes.
    pub(crate) async fn prepare(
        server: &Arc<Server>,
        context: &RequestContext,
        request: &ProduceRequest,
    ) -> ProduceTransaction {
        let candidates = candidates(server, context, request);
        let Some(first) = candidates.first().map(|candidate| candidate.header) else {
            return ProduceTransaction::default();
        };
        let transactional_id = match &request.transactional_id {
            Some(id) if may_write(server, context, id) => id.clone(),
            _ => {
                return ProduceTransaction::denied(Denied {
                    code: ErrorCode::TransactionalIdAuthorizationFailed,
                    message: None,
                });
            }
        };
        let of_one_producer = candidates.iter().all(|candidate| {
            let header = &candidate.header;
            (header.producer_id, header.producer_epoch) == (first.producer_id, first.producer_epoch)
        });
        if !of_one_producer {
            let message = "Transactional records contained more than one producer ID".to_owned();
            return ProduceTransaction::denied(Denied {
                code: ErrorCode::InvalidProducerIdMapping,
                message: Some(message),
            });
        }
        let operation = SupportedOperation::of_produce(context.api_version);
        let verifies = server.settings().transactions.partition_verification_enable;
        if !verifies && !operation.supports_epoch_bump() {
            return ProduceTransaction::default();
        }
        let producer = Producer {
            transactional_id,
            producer_id: first.producer_id,
            producer_epoch: first.producer_epoch,
        };
        verify_candidates(server, &producer, operation, candidates).await
    }

    /// Who appends to the partition.
    ///
    /// # Errors
    /// [`Denied`] when the records must not get into the log.
    pub(crate) fn origin(&self, topic: usize, partition: i32) -> Result<AppendOrigin, Denied> {
        if let Some(denied) = &self.denied {
            return Err(denied.clone());
        }
        let origin = self.origins.get(&(topic, partition));
        origin.cloned().unwrap_or(Ok(AppendOrigin::Client))
    }

    fn denied(denied: Denied) -> ProduceTransaction {
        ProduceTransaction {
            denied: Some(denied),
            ..ProduceTransaction::default()
        }
    }
}

/// The transactional batches of a request, where their partitions exist.
///
/// Differs: one without a producer id gets INVALID_PRODUCER_ID_MAPPING from the coordinator, which knows no such producer.
/// Kafka appends it, and no marker can ever end what it began.
fn candidates(
    server: &Server,
    context: &RequestContext,
    request: &ProduceRequest,
) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for (place, data) in request.topic_data.iter().enumerate() {
        let mut topic = None;
        for partition in &data.partition_data {
            let bytes = partition.records.as_ref().and_then(|r| r.as_bytes());
            let Some(Ok(header)) = bytes.map(|bytes| BatchHeader::parse(&bytes)) else {
                continue;
            };
            if !header.attributes.is_transactional() {
                continue;
            }
            if topic.is_none() {
                topic = if context.api_version >= 13 {
                    server.topics().get_by_id(TopicId(data.topic_id))
                } else {
                    server.topics().get(&data.name)
                };
            }
            if let Some(topic) = &topic {
                candidates.push(Candidate {
                    place: (place, partition.index),
                    topic: Arc::clone(topic),
                    header,
                });
            }
        }
    }
    candidates
}

async fn verify_candidates(
    server: &Arc<Server>,
    producer: &Producer,
    operation: SupportedOperation,
    candidates: Vec<Candidate>,
) -> ProduceTransaction {
    let mut transaction = ProduceTransaction::default();
    let mut asked = Vec::new();
    let mut partitions = Vec::new();
    for candidate in candidates {
        let index = candidate.place.1;
        let Some(partition) = candidate.topic.partition(PartitionIndex(index)) else {
            continue;
        };
        let guard = partition.log.begin_verification(&VerificationRequest {
            producer_id: candidate.header.producer_id,
            producer_epoch: candidate.header.producer_epoch,
            base_sequence: candidate.header.base_sequence,
            supports_epoch_bump: operation.supports_epoch_bump(),
        });
        let Some(guard) = guard else {
            let origin = AppendOrigin::VerifiedClient(VerificationGuard::NONE);
            transaction.origins.insert(candidate.place, Ok(origin));
            continue;
        };
        let name: Arc<str> = candidate.topic.name.as_str().into();
        partitions.push((name, index));
        asked.push((candidate.place, guard, partition.log));
    }
    if asked.is_empty() {
        return transaction;
    }
    let codes = verify(server, producer, operation, &partitions).await;
    for ((place, guard, log), code) in asked.into_iter().zip(codes) {
        if code == ErrorCode::InvalidProducerIdMapping {
            log.drop_verification(producer.producer_id);
        }
        let origin = match code {
            ErrorCode::None => Ok(AppendOrigin::VerifiedClient(guard)),
            code => Err(refuse(code, operation)),
        };
        transaction.origins.insert(place, origin);
    }
    transaction
}

/// What a client is told of a verification that failed. An error that old clients do not retry becomes one that
/// they do, without fetching metadata anew.
fn refuse(code: ErrorCode, operation: SupportedOperation) -> Denied {
    let is_for_retry = match code {
        ErrorCode::NetworkException
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => true,
        ErrorCode::ConcurrentTransactions => !operation.supports_epoch_bump(),
        _ => false,
    };
    if is_for_retry {
        return Denied {
            code: ErrorCode::NotEnoughReplicas,
            message: Some(format!(
                "Unable to verify the partition has been added to the transaction. Underlying error: {}",
                code.name()
            )),
        };
    }
    let message = (code == ErrorCode::InvalidTxnState)
        .then(|| "Partition was not added to the transaction".to_owned());
    Denied { code, message }
}
