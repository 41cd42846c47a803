//! TxnOffsetCommit (key 28, KIP-98, KIP-447): a group's positions, committed with a transaction.

use std::sync::Arc;

use base::PartitionIndex;
use coordinator::Response;
use security::{Operation, ResourceType};
use storage::{VerificationGuard, VerificationRequest};
use wire::ErrorCode;
use wire::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic;
use wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use wire::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use super::offset_commit::readable_topic;
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::CONSUMER_OFFSETS;
use crate::transactions::may_write;
use crate::transactions::verify::{Producer, SupportedOperation, verify};

/// Answers per partition, once the offsets are durable; they count when the transaction is committed. From version
/// 5 this adds the group to the transaction, before that it must have been added.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    mut request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let group_id = request.group_id.clone();
    let topics = std::mem::take(&mut request.topics);
    if let Err(error) = check(&server, &context, &request) {
        return respond(&topics, error);
    }
    let mut refused = Vec::new();
    let mut accepted = Vec::with_capacity(topics.len());
    for topic in topics {
        sort_out(&server, &context, topic, &mut accepted, &mut refused);
    }
    if accepted.is_empty() {
        return TxnOffsetCommitResponse {
            topics: refused,
            ..TxnOffsetCommitResponse::default()
        };
    }
    request.topics = accepted.clone();
    let committed = match verify_group(&server, &context, &request).await {
        Err(error) => respond(&accepted, error),
        Ok(guard) => {
            let run = move |shard: &mut coordinator::Shard, token| {
                shard.txn_offset_commit(token, request, guard.to_raw())
            };
            match server.groups().request(&group_id, run).await {
                Ok(Response::TxnOffsetCommit(committed)) => committed,
                Ok(_) => respond(&accepted, ErrorCode::UnknownServerError),
                Err(error) => respond(&accepted, error),
            }
        }
    };
    merge(refused, committed)
}

fn check(
    server: &Server,
    context: &RequestContext,
    request: &TxnOffsetCommitRequest,
) -> Result<(), ErrorCode> {
    if !may_write(server, context, &request.transactional_id) {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    let group_id = &request.group_id;
    if !server.allows(context, Operation::Read, ResourceType::Group, group_id) {
        return Err(ErrorCode::GroupAuthorizationFailed);
    }
    if group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    Ok(())
}

/// Makes sure that the transaction knows of the group's partition of `__consumer_offsets`.
async fn verify_group(
    server: &Arc<Server>,
    context: &RequestContext,
    request: &TxnOffsetCommitRequest,
) -> Result<VerificationGuard, ErrorCode> {
    let index = server
        .groups()
        .partition_of(&request.group_id)
        .and_then(|index| i32::try_from(index).ok())
        .ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let partition = server
        .topics()
        .get(CONSUMER_OFFSETS)
        .and_then(|topic| topic.partition(PartitionIndex(index)))
        .ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let operation = SupportedOperation::of_txn_offset_commit(context.api_version);
    let guard = partition.log.begin_verification(&VerificationRequest {
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
        base_sequence: 0,
        supports_epoch_bump: operation.supports_epoch_bump(),
    });
    let Some(guard) = guard else {
        return Ok(VerificationGuard::NONE);
    };
    let is_verified = server.settings().transactions.partition_verification_enable;
    if !is_verified && !operation.supports_epoch_bump() {
        return Ok(guard);
    }
    let producer = Producer {
        transactional_id: request.transactional_id.clone(),
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
    };
    let partitions = [(CONSUMER_OFFSETS.into(), index)];
    let codes = verify(server, &producer, operation, &partitions).await;
    match codes.first() {
        Some(ErrorCode::None) => Ok(guard),
        Some(code) => {
            if *code == ErrorCode::InvalidProducerIdMapping {
                partition.log.drop_verification(request.producer_id);
            }
            Err(*code)
        }
        None => Err(ErrorCode::UnknownServerError),
    }
}

/// Puts a topic's partitions either with those to commit or with those that are refused.
fn sort_out(
    server: &Server,
    context: &RequestContext,
    mut topic: TxnOffsetCommitRequestTopic,
    accepted: &mut Vec<TxnOffsetCommitRequestTopic>,
    refused: &mut Vec<TxnOffsetCommitResponseTopic>,
) {
    let by_id = context.api_version >= 6;
    let place = (&mut topic.name, &mut topic.topic_id);
    let known = match readable_topic(server, context, by_id, place) {
        Ok(known) => known,
        Err(code) => {
            refused.push(refuse(&topic, code));
            return;
        }
    };
    let (exist, missing): (Vec<_>, Vec<_>) = std::mem::take(&mut topic.partitions)
        .into_iter()
        .partition(|partition| {
            let index = PartitionIndex(partition.partition_index);
            known.partition(index).is_some()
        });
    for (partitions, exists) in [(missing, false), (exist, true)] {
        if partitions.is_empty() {
            continue;
        }
        let part = TxnOffsetCommitRequestTopic {
            partitions,
            ..topic.clone()
        };
        if exists {
            accepted.push(part);
        } else {
            refused.push(refuse(&part, ErrorCode::UnknownTopicOrPartition));
        }
    }
}

fn refuse(topic: &TxnOffsetCommitRequestTopic, code: ErrorCode) -> TxnOffsetCommitResponseTopic {
    let partitions = topic.partitions.iter();
    TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: partitions
            .map(|partition| TxnOffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: code.code(),
            })
            .collect(),
    }
}

fn respond(topics: &[TxnOffsetCommitRequestTopic], code: ErrorCode) -> TxnOffsetCommitResponse {
    TxnOffsetCommitResponse {
        topics: topics.iter().map(|topic| refuse(topic, code)).collect(),
        ..TxnOffsetCommitResponse::default()
    }
}

/// Puts the partitions of a topic that were committed beside those that were refused.
fn merge(
    refused: Vec<TxnOffsetCommitResponseTopic>,
    mut response: TxnOffsetCommitResponse,
) -> TxnOffsetCommitResponse {
    for topic in refused {
        let same = |known: &&mut TxnOffsetCommitResponseTopic| {
            known.name == topic.name && known.topic_id == topic.topic_id
        };
        match response.topics.iter_mut().find(same) {
            Some(known) => known.partitions.extend(topic.partitions),
            None => response.topics.push(topic),
        }
    }
    response
}
