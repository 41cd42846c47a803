//! Routes of the APIs of transactions.

use std::sync::Arc;

use wire::ApiKey;
use wire::Reader;
use wire::messages::*;

use super::answer;
use crate::connection::ReplyFuture;
use crate::handlers;
use crate::request::RequestContext;
use crate::server::Server;

/// Takes up a request of an API of transactions.
///
/// # Errors
/// The reason to close the connection, which is so for any other API.
pub(super) fn route_to_transactions(
    server: &Arc<Server>,
    context: RequestContext,
    reader: &mut Reader,
) -> Result<ReplyFuture, String> {
    macro_rules! to {
        ($request:ty, $handler:path) => {
            answer::<$request, _>(server, context, reader, $handler)
        };
    }
    match context.api_key {
        ApiKey::AddPartitionsToTxn => {
            to!(
                AddPartitionsToTxnRequest,
                handlers::add_partitions_to_txn::handle
            )
        }
        ApiKey::AddOffsetsToTxn => {
            to!(AddOffsetsToTxnRequest, handlers::add_offsets_to_txn::handle)
        }
        ApiKey::EndTxn => to!(EndTxnRequest, handlers::end_txn::handle),
        ApiKey::WriteTxnMarkers => to!(WriteTxnMarkersRequest, handlers::write_txn_markers::handle),
        ApiKey::TxnOffsetCommit => to!(TxnOffsetCommitRequest, handlers::txn_offset_commit::handle),
        ApiKey::DescribeTransactions => {
            to!(
                DescribeTransactionsRequest,
                handlers::describe_transactions::handle
            )
        }
        ApiKey::ListTransactions => {
            to!(ListTransactionsRequest, handlers::list_transactions::handle)
        }
        other => Err(format!("{other:?} is not supported")),
    }
}
