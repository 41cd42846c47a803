//! ListTransactions (key 66, KIP-664): transactional ids, filtered by state, producer, age (KIP-994) and pattern
//! (KIP-1152).

use std::sync::Arc;

use coordinator::transaction::{ListFilter, TransactionState};
use regex::Regex;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{ListTransactionsRequest, ListTransactionsResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// States of Kafka's coordinator that no transactional id is in for longer than a request.
const TRANSIENT_STATES: [&str; 2] = ["Dead", "PrepareEpochFence"];
/// The most memory a client's pattern may take once compiled, in bytes.
const PATTERN_MAX_BYTES: usize = 1 << 20;

/// Answers with the transactional ids that the requester may describe.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    let failed = |error: ErrorCode| ListTransactionsResponse {
        error_code: error.code(),
        ..ListTransactionsResponse::default()
    };
    let pattern = match compile(request.transactional_id_pattern.as_deref()) {
        Ok(pattern) => pattern,
        Err(error) => return failed(error),
    };
    let filters_states = !request.state_filters.is_empty();
    let mut states = Vec::new();
    let mut unknown_state_filters = Vec::new();
    for name in request.state_filters {
        match TransactionState::ALL.into_iter().find(|s| s.name() == name) {
            Some(state) => states.push(state),
            None if TRANSIENT_STATES.contains(&name.as_str()) => {}
            None => unknown_state_filters.push(name),
        }
    }
    if states.is_empty() && filters_states {
        // Nothing is in any of the states.
        return ListTransactionsResponse {
            unknown_state_filters,
            ..ListTransactionsResponse::default()
        };
    }
    let filter = ListFilter {
        states,
        producer_ids: request.producer_id_filters,
        duration_ms: request.duration_filter,
    };
    let listed = server
        .transactions()
        .query_all(move |machine| machine.list(&filter))
        .await;
    let listed = listed.and_then(|shards| shards.into_iter().collect::<Result<Vec<_>, _>>());
    let shards = match listed {
        Ok(shards) => shards,
        Err(error) => return failed(error),
    };
    let transaction_states = shards
        .into_iter()
        .flatten()
        .filter(|transaction| {
            let id = transaction.transactional_id.as_str();
            let (operation, resource) = (Operation::Describe, ResourceType::TransactionalId);
            pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
                && server.allows(&context, operation, resource, id)
        })
        .collect();
    ListTransactionsResponse {
        unknown_state_filters,
        transaction_states,
        ..ListTransactionsResponse::default()
    }
}

/// The pattern, which must match a whole transactional id; no pattern when it is empty.
///
/// # Errors
/// INVALID_REGULAR_EXPRESSION.
fn compile(pattern: Option<&str>) -> Result<Option<Regex>, ErrorCode> {
    let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) else {
        return Ok(None);
    };
    regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(PATTERN_MAX_BYTES)
        .build()
        .map(Some)
        .map_err(|_| ErrorCode::InvalidRegularExpression)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_id() {
        let pattern = compile(Some("a|b.*")).unwrap().unwrap();
        assert!(pattern.is_match("a") && pattern.is_match("bcd"));
        assert!(!pattern.is_match("ab") && !pattern.is_match("xb"));
        assert!(compile(None).unwrap().is_none() && compile(Some("")).unwrap().is_none());
        for bad in ["(", "(?:a){1000}{1000}{1000}"] {
            let refused = compile(Some(bad)).unwrap_err();
            assert_eq!(refused, ErrorCode::InvalidRegularExpression, "{bad}");
        }
    }
}
