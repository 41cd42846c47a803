//! What goes into a coordinator beside a request, and what comes out of it.

use std::convert::Infallible;

use bytes::Bytes;
use wire::ErrorCode;
use wire::messages::delete_groups_response::DeletableGroupResult;
use wire::messages::offset_fetch_response::OffsetFetchResponseGroup;
use wire::messages::{
    ConsumerGroupHeartbeatResponse, HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse,
    OffsetCommitResponse, OffsetDeleteResponse, ShareGroupHeartbeatResponse,
    StreamsGroupHeartbeatResponse, SyncGroupResponse, TxnOffsetCommitResponse,
};

use crate::share_group::{AlteredShareOffsets, DeletedShareOffsets, ShareHeartbeat};
use crate::streams::StreamsHeartbeat;

/// The broker's name for a request; a coordinator hands it back with the reply and never looks into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// A coordinator's name for one append. Grows by one with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);

/// Who sent a request and in which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContext {
    /// The version of the request, of the range in its schema.
    pub version: i16,
    /// The `client_id` of the request header; empty for null.
    pub client_id: String,
    /// The peer's address as Java's `InetAddress.toString` prints it, such as `/127.0.0.1`.
    pub client_host: String,
}

/// One record of a coordinator's topic: the bytes of its key and value; no value for a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorRecord {
    /// Record type as an `i16`, then the key.
    pub key: Bytes,
    /// Version as an `i16`, then the value.
    pub value: Option<Bytes>,
}

/// The producer whose transaction some records belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionalProducer {
    /// Its id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// The broker's proof that the partition belongs to the transaction, handed back with the append and never
    /// looked into; 0 for none.
    pub verification: u64,
}

/// The end of a producer's transaction in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionMarker {
    /// The producer's id.
    pub producer_id: i64,
    /// The epoch that the marker carries.
    pub producer_epoch: i16,
    /// The epoch of the transaction coordinator.
    pub coordinator_epoch: i32,
    /// Whether the transaction is committed; otherwise it is aborted.
    pub committed: bool,
    /// Whether the marker's epoch must be above that of the records it ends (transaction version 2).
    pub is_strict: bool,
}

/// What the broker must do. The actions of one call are in order: appends reach the log in the order of
/// their ids. `R` is what requests are answered with, `E` what else a coordinator asks for; the defaults are
/// those of the group coordinator.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<R = Response, E = Infallible> {
    /// Answer a request. Each token is answered exactly once.
    Reply {
        /// The request's token.
        token: Token,
        /// Its answer.
        response: R,
    },
    /// Append `records` to the coordinator's partition as one batch, and report the outcome once:
    /// [`committed`](crate::StateMachine::committed) when they are durable,
    /// [`failed`](crate::StateMachine::failed) when they are certainly not in the log.
    Append {
        /// Names the append in the report.
        commit: CommitId,
        /// Never empty. The record timestamp is the append's wall-clock time.
        records: Vec<CoordinatorRecord>,
    },
    /// As `Append`, within the transaction of a producer.
    AppendTransactional {
        /// Names the append in the report.
        commit: CommitId,
        /// Whose transaction.
        producer: TransactionalProducer,
        /// Never empty.
        records: Vec<CoordinatorRecord>,
    },
    /// Append the control batch that ends a producer's transaction in the coordinator's partition.
    AppendMarker {
        /// Names the append in the report.
        commit: CommitId,
        /// What it says.
        marker: TransactionMarker,
    },
    /// Do something that only this kind of coordinator asks for.
    Effect(E),
}

/// The answer to one request. Responses are complete but for `throttle_time_ms`.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// To [`Shard::join_group`](crate::Shard::join_group).
    JoinGroup(JoinGroupResponse),
    /// To [`Shard::sync_group`](crate::Shard::sync_group).
    SyncGroup(SyncGroupResponse),
    /// To [`Shard::heartbeat`](crate::Shard::heartbeat).
    Heartbeat(HeartbeatResponse),
    /// To [`Shard::leave_group`](crate::Shard::leave_group).
    LeaveGroup(LeaveGroupResponse),
    /// To [`Shard::offset_commit`](crate::Shard::offset_commit).
    OffsetCommit(OffsetCommitResponse),
    /// To [`Shard::offset_fetch`](crate::Shard::offset_fetch): one group's part of the response.
    OffsetFetch(OffsetFetchResponseGroup),
    /// To [`Shard::offset_delete`](crate::Shard::offset_delete).
    OffsetDelete(OffsetDeleteResponse),
    /// To [`Shard::delete_groups`](crate::Shard::delete_groups): one result per group named.
    DeleteGroups(Vec<DeletableGroupResult>),
    /// To [`Shard::txn_offset_commit`](crate::Shard::txn_offset_commit).
    TxnOffsetCommit(TxnOffsetCommitResponse),
    /// To [`Shard::end_transaction`](crate::Shard::end_transaction): whether the marker is in the log.
    MarkerWritten(ErrorCode),
    /// To [`Shard::consumer_group_heartbeat`](crate::Shard::consumer_group_heartbeat).
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse),
    /// To [`Shard::streams_group_heartbeat`](crate::Shard::streams_group_heartbeat).
    StreamsGroupHeartbeat(Box<StreamsHeartbeat>),
    /// To [`Shard::share_group_heartbeat`](crate::Shard::share_group_heartbeat).
    ShareGroupHeartbeat(Box<ShareHeartbeat>),
    /// To [`Shard::alter_share_group_offsets`](crate::Shard::alter_share_group_offsets).
    AlterShareGroupOffsets(Box<AlteredShareOffsets>),
    /// To [`Shard::delete_share_group_offsets`](crate::Shard::delete_share_group_offsets) and
    /// [`Shard::delete_share_group_states`](crate::Shard::delete_share_group_states).
    DeleteShareGroupOffsets(Box<DeletedShareOffsets>),
    /// To the reports of what became of states of share partitions: whether it is written down.
    ShareStatesWritten(ErrorCode),
}

/// Why records are not in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Too few replicas, or no answer in time. Retriable.
    #[error("the append to the coordinator's partition timed out")]
    TimedOut,
    /// This broker does not lead the partition any more.
    #[error("this broker does not lead the coordinator's partition")]
    NotLeader,
    /// The disk refused.
    #[error("the append to the coordinator's partition failed in storage")]
    Storage,
    /// The batch is larger than the topic's `max.message.bytes`, or a field cannot be encoded.
    #[error("the records are too large for the coordinator's topic; raise its max.message.bytes")]
    TooLarge,
    /// The transaction has ended meanwhile, or the partition never belonged to it.
    #[error("the coordinator's partition does not belong to the transaction")]
    InvalidTxnState,
    /// The producer was fenced by a later epoch.
    #[error("the producer's epoch is older than the last one in the coordinator's partition")]
    InvalidProducerEpoch,
    /// A later transaction coordinator has written to the partition.
    #[error("the marker comes from a transaction coordinator that was replaced")]
    CoordinatorFenced,
    /// Anything else.
    #[error("the append to the coordinator's partition failed")]
    Unknown,
}

impl AppendError {
    /// The error a client gets (`CoordinatorOperationExceptionHelper.handleOperationException`).
    pub(crate) fn to_error_code(self) -> ErrorCode {
        match self {
            AppendError::TimedOut => ErrorCode::CoordinatorNotAvailable,
            AppendError::NotLeader | AppendError::Storage => ErrorCode::NotCoordinator,
            AppendError::TooLarge | AppendError::Unknown => ErrorCode::UnknownServerError,
            AppendError::InvalidTxnState => ErrorCode::InvalidTxnState,
            AppendError::InvalidProducerEpoch => ErrorCode::InvalidProducerEpoch,
            AppendError::CoordinatorFenced => ErrorCode::TransactionCoordinatorFenced,
        }
    }

    /// The error an OffsetFetch gets: consumers before 3.9 do not retry COORDINATOR_NOT_AVAILABLE here
    /// (`GroupCoordinatorService.handleOffsetFetchException`).
    pub(crate) fn to_fetch_error_code(self) -> ErrorCode {
        match self {
            AppendError::TimedOut => ErrorCode::NotCoordinator,
            other => other.to_error_code(),
        }
    }
}

impl Response {
    /// This answer turned into one that says only `error`, where the request's schema puts it.
    pub(crate) fn into_error(self, error: ErrorCode) -> Response {
        let error_code = error.code();
        match self {
            Response::JoinGroup(response) => Response::JoinGroup(JoinGroupResponse {
                error_code,
                member_id: response.member_id,
                protocol_name: response.protocol_name,
                ..JoinGroupResponse::default()
            }),
            Response::SyncGroup(_) => Response::SyncGroup(SyncGroupResponse {
                error_code,
                ..Default::default()
            }),
            Response::Heartbeat(_) => Response::Heartbeat(HeartbeatResponse {
                error_code,
                ..Default::default()
            }),
            Response::LeaveGroup(_) => Response::LeaveGroup(LeaveGroupResponse {
                error_code,
                ..Default::default()
            }),
            Response::OffsetCommit(mut response) => {
                for topic in &mut response.topics {
                    topic
                        .partitions
                        .iter_mut()
                        .for_each(|part| part.error_code = error_code);
                }
                Response::OffsetCommit(response)
            }
            Response::OffsetFetch(response) => Response::fetch_error(&response.group_id, error),
            Response::OffsetDelete(_) => Response::OffsetDelete(OffsetDeleteResponse {
                error_code,
                ..Default::default()
            }),
            Response::DeleteGroups(mut results) => {
                for result in &mut results {
                    result.error_code = error_code;
                    result.error_message = None;
                }
                Response::DeleteGroups(results)
            }
            Response::TxnOffsetCommit(mut response) => {
                let partitions = response.topics.iter_mut().flat_map(|t| &mut t.partitions);
                partitions.for_each(|part| part.error_code = error_code);
                Response::TxnOffsetCommit(response)
            }
            Response::MarkerWritten(_) => Response::MarkerWritten(error),
            Response::ConsumerGroupHeartbeat(_) => {
                Response::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse {
                    error_code,
                    ..Default::default()
                })
            }
            Response::StreamsGroupHeartbeat(_) => {
                let response = StreamsGroupHeartbeatResponse {
                    error_code,
                    ..Default::default()
                };
                Response::StreamsGroupHeartbeat(Box::new(StreamsHeartbeat {
                    response,
                    missing_topics: Vec::new(),
                }))
            }
            share @ (Response::ShareGroupHeartbeat(_)
            | Response::AlterShareGroupOffsets(_)
            | Response::DeleteShareGroupOffsets(_)
            | Response::ShareStatesWritten(_)) => share.into_share_error(error),
        }
    }

    /// As [`Response::into_error`], for answers about share groups.
    fn into_share_error(self, error: ErrorCode) -> Response {
        match self {
            Response::ShareGroupHeartbeat(_) => {
                let response = ShareGroupHeartbeatResponse {
                    error_code: error.code(),
                    ..Default::default()
                };
                Response::ShareGroupHeartbeat(Box::new(ShareHeartbeat {
                    response,
                    initialize: None,
                }))
            }
            Response::AlterShareGroupOffsets(mut answer) => {
                answer.error = Some((error, None));
                Response::AlterShareGroupOffsets(answer)
            }
            Response::DeleteShareGroupOffsets(_) => {
                Response::DeleteShareGroupOffsets(Box::new(DeletedShareOffsets {
                    error: Some((error, None)),
                    ..DeletedShareOffsets::default()
                }))
            }
            Response::ShareStatesWritten(_) => Response::ShareStatesWritten(error),
            other => other,
        }
    }

    pub(crate) fn fetch_error(group_id: &str, error: ErrorCode) -> Response {
        Response::OffsetFetch(OffsetFetchResponseGroup {
            group_id: group_id.to_owned(),
            error_code: error.code(),
            ..OffsetFetchResponseGroup::default()
        })
    }
}
