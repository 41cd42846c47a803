//! AddPartitionsToTxn (key 24, KIP-98, KIP-890): partitions that a transaction will write to.
//!
//! Versions 0 to 3 come from producers, for one transaction. Versions 4 and 5 come from brokers, for many, and only
//! ask whether the partitions belong to the transaction when `verify_only` is set.

use std::sync::Arc;

use base::PartitionIndex;
use coordinator::transaction::{AddPartitions, ClientVersion, PartitionsMode, TopicPartition};
use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use wire::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::transactions::{add_partitions, fenced_since, may_write};

/// One transaction of a request.
struct Transaction {
    transactional_id: String,
    producer_id: i64,
    producer_epoch: i16,
    mode: PartitionsMode,
    topics: Vec<AddPartitionsToTxnTopic>,
}

/// Answers per partition. One that cannot be added fails all of its transaction: the others get
/// OPERATION_NOT_ATTEMPTED.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    if context.api_version < 4 {
        let transaction = Transaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            mode: PartitionsMode::Add(ClientVersion::Classic),
            topics: request.v3_and_below_topics,
        };
        return AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: add(&server, &context, transaction).await,
            ..AddPartitionsToTxnResponse::default()
        };
    }
    let (operation, cluster) = (Operation::ClusterAction, ResourceType::Cluster);
    if !server.allows(&context, operation, cluster, CLUSTER_NAME) {
        return AddPartitionsToTxnResponse {
            error_code: ErrorCode::ClusterAuthorizationFailed.code(),
            ..AddPartitionsToTxnResponse::default()
        };
    }
    let mut results = Vec::with_capacity(request.transactions.len());
    for transaction in request.transactions {
        let transactional_id = transaction.transactional_id.clone();
        let transaction = Transaction {
            transactional_id: transaction.transactional_id,
            producer_id: transaction.producer_id,
            producer_epoch: transaction.producer_epoch,
            mode: if transaction.verify_only {
                PartitionsMode::Verify
            } else {
                PartitionsMode::Add(ClientVersion::V2)
            },
            topics: transaction.topics,
        };
        results.push(AddPartitionsToTxnResult {
            transactional_id,
            topic_results: add(&server, &context, transaction).await,
        });
    }
    AddPartitionsToTxnResponse {
        results_by_transaction: results,
        ..AddPartitionsToTxnResponse::default()
    }
}

async fn add(
    server: &Arc<Server>,
    context: &RequestContext,
    transaction: Transaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topics = &transaction.topics;
    if context.api_version < 4 && !may_write(server, context, &transaction.transactional_id) {
        return respond(topics, |_, _| ErrorCode::TransactionalIdAuthorizationFailed);
    }
    let judge = |topic: &str, partition: i32| judge(server, context, topic, partition);
    let partitions: Vec<TopicPartition> = topics
        .iter()
        .flat_map(|topic| {
            let name: Arc<str> = topic.name.as_str().into();
            let indexes = topic.partitions.iter();
            indexes.map(move |partition| (Arc::clone(&name), *partition))
        })
        .collect();
    let is_refused = partitions
        .iter()
        .any(|(topic, partition)| judge(topic, *partition).is_error());
    if is_refused {
        return respond(topics, |topic, partition| match judge(topic, partition) {
            ErrorCode::None => ErrorCode::OperationNotAttempted,
            error => error,
        });
    }
    let request = AddPartitions {
        transactional_id: transaction.transactional_id,
        producer_id: transaction.producer_id,
        producer_epoch: transaction.producer_epoch,
        mode: transaction.mode,
        partitions,
    };
    let mut codes = add_partitions(server, request).await.into_iter();
    respond(&transaction.topics, |_, _| {
        let code = codes.next().unwrap_or(ErrorCode::UnknownServerError);
        fenced_since(context.api_version, 2, code)
    })
}

/// What speaks against a partition.
fn judge(server: &Server, context: &RequestContext, topic: &str, partition: i32) -> ErrorCode {
    // Brokers ask for partitions that they have checked themselves.
    let is_client = context.api_version < 4;
    if is_client && !server.allows(context, Operation::Write, ResourceType::Topic, topic) {
        return ErrorCode::TopicAuthorizationFailed;
    }
    let found = server
        .topics()
        .get(topic)
        .and_then(|topic| topic.partition(PartitionIndex(partition)));
    match found {
        Some(_) => ErrorCode::None,
        None => ErrorCode::UnknownTopicOrPartition,
    }
}

/// One result for each partition of the request, asked for in the order of the request.
fn respond(
    topics: &[AddPartitionsToTxnTopic],
    mut code_of: impl FnMut(&str, i32) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let mut results = Vec::with_capacity(topics.len());
    for topic in topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            partitions.push(AddPartitionsToTxnPartitionResult {
                partition_index: *partition,
                partition_error_code: code_of(&topic.name, *partition).code(),
            });
        }
        results.push(AddPartitionsToTxnTopicResult {
            name: topic.name.clone(),
            results_by_partition: partitions,
        });
    }
    results
}
