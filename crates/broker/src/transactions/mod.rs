//! The transaction coordinator as a kind of coordinator: one [`coordinator::transaction::TransactionCoordinator`]
//! per partition of `__transaction_state`, the markers it asks for, and the verification of partitions that
//! transactions write to (KIP-890).

pub(crate) mod markers;
pub(crate) mod produce;
pub(crate) mod settle;
pub(crate) mod verify;

use std::sync::Arc;

use base::Clock;
use coordinator::transaction::{
    AddPartitions, Response, TransactionConfig, TransactionCoordinator, WriteMarkers,
};
use coordinator::{Actions, Token};
use security::{Operation, ResourceType};
use wire::ErrorCode;

use self::settle::ask_until_settled;
use crate::coordination::{Coordinated, Coordinators, Handle};
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::{NewTopic, Partition, TRANSACTION_STATE};

/// All partitions of the transaction coordinator.
pub(crate) type Transactions = Coordinators<TransactionCoordinator>;

impl Coordinated for TransactionCoordinator {
    const TOPIC: &'static str = TRANSACTION_STATE;
    const TASK: &'static str = "transaction coordinator";

    fn create(server: &Server, partition: &Partition) -> TransactionCoordinator {
        let settings = server.settings();
        let config = TransactionConfig {
            max_timeout: settings.transactions.max_timeout,
            abort_timed_out_interval: settings.transactions.abort_timed_out_interval,
            id_expiration: settings.transactions.id_expiration,
            remove_expired_interval: settings.transactions.remove_expired_interval,
            coordinator_epoch: partition.leader_epoch.0,
        };
        let clock: Arc<dyn Clock> = Arc::clone(server.clock());
        TransactionCoordinator::new(config, clock)
    }

    /// `__transaction_state` as Apache Kafka creates it
    /// (`TransactionStateManager.transactionStateTopicConfigs`).
    ///
    /// Differs: it has as many replicas as there are brokers, one, and asks for as many in sync; Kafka refuses to
    /// create the topic while fewer brokers run than `transaction.state.log.replication.factor` says.
    fn topic(server: &Server) -> NewTopic {
        let settings = server.settings();
        let configs = [
            ("cleanup.policy", "compact".to_owned()),
            ("compression.type", "uncompressed".to_owned()),
            ("min.insync.replicas", "1".to_owned()),
            (
                "segment.bytes",
                settings.transactions.state_log_segment_bytes.to_string(),
            ),
            ("unclean.leader.election.enable", "false".to_owned()),
        ];
        let configs = configs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Some(value)))
            .collect();
        NewTopic {
            name: TRANSACTION_STATE.to_owned(),
            partitions: Some(settings.transactions.state_log_num_partitions),
            replication_factor: Some(1),
            configs,
        }
    }

    fn perform(
        server: &Arc<Server>,
        _partition: &Partition,
        handle: Handle<TransactionCoordinator>,
        markers: WriteMarkers,
    ) {
        let writing = markers::write(Arc::clone(server), handle, markers);
        server.tasks().spawn("transaction markers", writing);
    }
}

/// Runs a request that may need a new producer id, which is allocated when it does.
///
/// # Errors
/// As [`Coordinators::request`], and COORDINATOR_LOAD_IN_PROGRESS when no producer id can be allocated.
pub(crate) async fn request_with_producer_id<R>(
    server: &Arc<Server>,
    transactional_id: &str,
    run: R,
) -> Result<Response, ErrorCode>
where
    R: Fn(&mut TransactionCoordinator, Token, Option<i64>) -> Actions<TransactionCoordinator>
        + Clone
        + Send
        + 'static,
{
    let mut producer_id = None;
    loop {
        let run = run.clone();
        let answer = server
            .transactions()
            .request(transactional_id, move |machine, token| {
                run(machine, token, producer_id)
            })
            .await?;
        if answer != Response::ProducerIdWanted || producer_id.is_some() {
            return Ok(answer);
        }
        producer_id = Some(server.producer_ids().next(server).await?.0);
    }
}

/// Adds partitions to a transaction or verifies them: a code for each, in the order of the request.
async fn ask_once(server: &Arc<Server>, request: AddPartitions) -> Vec<ErrorCode> {
    let count = request.partitions.len();
    let id = request.transactional_id.clone();
    let asked = server.transactions().request(&id, move |machine, token| {
        machine.add_partitions(token, request)
    });
    match asked.await {
        Ok(Response::Partitions(codes)) => codes,
        Ok(_) => vec![ErrorCode::UnknownServerError; count],
        Err(code) => vec![code; count],
    }
}

/// As a client's AddPartitionsToTxn and AddOffsetsToTxn ask: a code for each partition, in the order of the request. Waits
/// while the transaction before is ending ([`settle`]).
pub(crate) async fn add_partitions(server: &Arc<Server>, request: AddPartitions) -> Vec<ErrorCode> {
    let ask = || ask_once(server, request.clone());
    ask_until_settled(server, &request.transactional_id, ask, |codes| {
        codes.contains(&ErrorCode::ConcurrentTransactions)
    })
    .await
}

/// Whether the requester may use the transactional id.
pub(crate) fn may_write(server: &Server, context: &RequestContext, transactional_id: &str) -> bool {
    server.allows(
        context,
        Operation::Write,
        ResourceType::TransactionalId,
        transactional_id,
    )
}

/// PRODUCER_FENCED for clients that know it, INVALID_PRODUCER_EPOCH for those before `since`.
pub(crate) fn fenced_since(version: i16, since: i16, error: ErrorCode) -> ErrorCode {
    if version < since && error == ErrorCode::ProducerFenced {
        ErrorCode::InvalidProducerEpoch
    } else {
        error
    }
}
