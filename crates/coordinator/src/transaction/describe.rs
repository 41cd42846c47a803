//! DescribeTransactions and ListTransactions (KIP-664). Source:
//! `TransactionCoordinator.handleDescribeTransactions`, `TransactionStateManager.listTransactionStates`.

use std::collections::BTreeMap;

use wire::ErrorCode;
use wire::messages::describe_transactions_response::{
    TopicData, TransactionState as DescribedTransaction,
};
use wire::messages::list_transactions_response::TransactionState as ListedTransaction;

use super::TransactionCoordinator;
use super::metadata::TransactionState;

/// Which transactional ids to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Only those in one of these states; empty for any.
    pub states: Vec<TransactionState>,
    /// Only those of one of these producers; empty for any.
    pub producer_ids: Vec<i64>,
    /// Only those whose transaction began more than so many milliseconds ago; negative for any.
    pub duration_ms: i64,
}

impl TransactionCoordinator {
    /// DescribeTransactions, version 0, of one transactional id.
    ///
    /// The error inside is INVALID_REQUEST for an empty one, TRANSACTIONAL_ID_NOT_FOUND for one not known.
    #[must_use]
    pub fn describe(&self, transactional_id: &str) -> DescribedTransaction {
        let failed = |error: ErrorCode| DescribedTransaction {
            error_code: error.code(),
            transactional_id: transactional_id.to_owned(),
            ..DescribedTransaction::default()
        };
        if transactional_id.is_empty() {
            return failed(ErrorCode::InvalidRequest);
        }
        if let Some(error) = self.unavailable() {
            return failed(error);
        }
        let known = self
            .transactions
            .get(transactional_id)
            .filter(|transaction| !transaction.metadata.is_new());
        let Some(transaction) = known else {
            return failed(ErrorCode::TransactionalIdNotFound);
        };
        let metadata = &transaction.metadata;
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in &metadata.partitions {
            topics.entry(topic).or_default().push(*partition);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| TopicData {
            topic: topic.to_owned(),
            partitions,
        });
        DescribedTransaction {
            error_code: ErrorCode::None.code(),
            transactional_id: transactional_id.to_owned(),
            transaction_state: metadata.state.name().to_owned(),
            transaction_timeout_ms: metadata.timeout_ms,
            transaction_start_time_ms: metadata.started_ms,
            producer_id: metadata.producer_id,
            producer_epoch: metadata.producer_epoch,
            topics: topics.collect(),
        }
    }

    /// ListTransactions, versions 0 to 2, but for the pattern, which the broker applies.
    ///
    /// # Errors
    /// COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR.
    pub fn list(&self, filter: &ListFilter) -> Result<Vec<ListedTransaction>, ErrorCode> {
        if let Some(error) = self.unavailable() {
            return Err(error);
        }
        let now_ms = self.clock.now_ms();
        let listed = self.transactions.iter().filter(|(_, transaction)| {
            let metadata = &transaction.metadata;
            let age_ms = now_ms.saturating_sub(metadata.started_ms);
            !metadata.is_new()
                && (filter.states.is_empty() || filter.states.contains(&metadata.state))
                && (filter.producer_ids.is_empty()
                    || filter.producer_ids.contains(&metadata.producer_id))
                && (filter.duration_ms < 0 || age_ms > filter.duration_ms)
        });
        let listed = listed.map(|(id, transaction)| ListedTransaction {
            transactional_id: id.to_string(),
            producer_id: transaction.metadata.producer_id,
            transaction_state: transaction.metadata.state.name().to_owned(),
        });
        Ok(listed.collect())
    }
}
