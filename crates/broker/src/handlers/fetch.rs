//! Fetch (key 1): records of many partitions, at once or when enough has come.
//!
//! Sessions (KIP-227) are in [`crate::fetch::session`], reading in [`crate::fetch::read`]. A fetch waits for
//! `min_bytes` up to `max_wait_ms`, woken by the partitions it reads; an error or a diverging epoch ends the
//! wait.

use std::sync::Arc;
use std::time::Duration;

use base::Uuid;
use storage::ReadLimit;
use tokio::sync::Notify;
use tokio::time::Instant;
use wire::ErrorCode;
use wire::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use wire::messages::{FetchRequest, FetchResponse};

use crate::fetch::read::{PartitionRead, Pass, Reader, Resolved, read_all, resolve, subscribe};
use crate::fetch::remote;
use crate::fetch::session::{
    FINAL_EPOCH, FetchContext, FetchedPartition, Lent, NO_SESSION, PartitionKey, SessionCache,
    SessionRequest,
};
use crate::request::RequestContext;
use crate::server::Server;

const READ_COMMITTED: i8 = 1;

/// Who fetches, and how long and how much that may take.
struct Limits {
    reader: Reader,
    up_to: ReadLimit,
    min_bytes: usize,
    max_bytes: usize,
    max_wait: Duration,
}

/// A fetch that was read. Its response either goes out, and [`Fetched::settle`] remembers in the session what the
/// client is told; or the client is over its quota, and [`Fetched::throttle`] puts the session back.
pub(crate) struct Fetched {
    response: FetchResponse,
    session: Session,
}

/// What a fetch did to its session.
enum Session {
    /// Nothing.
    Untouched,
    /// Opened it.
    Opened(Arc<SessionCache>, i32),
    /// Borrowed its partitions.
    Lent {
        lent: Lent,
        /// The places of those that got records.
        moved: Vec<usize>,
        /// What the client had been told of each: high watermark and log start offset.
        told: Vec<(i64, i64)>,
    },
}

impl Fetched {
    fn untouched(response: FetchResponse) -> Fetched {
        Fetched {
            response,
            session: Session::Untouched,
        }
    }

    /// The response to be sent.
    pub(crate) fn response(&self) -> &FetchResponse {
        &self.response
    }

    /// The response is sent.
    pub(crate) fn settle(self) {
        if let Session::Lent { lent, moved, .. } = self.session {
            lent.give_back(&moved);
        }
    }

    /// The response is not sent; returns the empty one that is (`FetchContext.getThrottledResponse`).
    pub(crate) fn throttle(self, throttle_time_ms: i32) -> FetchResponse {
        let mut session_id = NO_SESSION;
        match self.session {
            Session::Untouched => {}
            Session::Opened(cache, id) => cache.close(id),
            Session::Lent { mut lent, told, .. } => {
                session_id = lent.id;
                // A quota may have been set since the fetch began; then the client is told all anew.
                let told = told.into_iter().chain(std::iter::repeat((-1, -1)));
                for (partition, told) in lent.partitions.iter_mut().zip(told) {
                    (
                        partition.told_high_watermark,
                        partition.told_log_start_offset,
                    ) = told;
                }
                lent.give_back(&[]);
            }
        }
        FetchResponse {
            throttle_time_ms,
            session_id,
            ..FetchResponse::default()
        }
    }
}

/// Reads what a fetch asks for.
///
/// # Cancel safety
/// Cancel safe but for the session, which is closed when the request is dropped half-way.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: FetchRequest,
) -> Fetched {
    let read_committed = request.isolation_level == READ_COMMITTED;
    let max_bytes = usize::try_from(request.max_bytes)
        .unwrap_or(0)
        .min(server.settings().fetch_max_bytes)
        .min(server.quotas().fetch_bytes_max(&context));
    let limits = Limits {
        reader: reader(&request),
        up_to: if read_committed {
            ReadLimit::LastStableOffset
        } else {
            ReadLimit::HighWatermark
        },
        min_bytes: usize::try_from(request.min_bytes)
            .unwrap_or(0)
            .min(max_bytes),
        max_bytes,
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
    };
    let uses_topic_ids = context.api_version >= 13;
    let now = server.clock().monotonic();
    let begun = server
        .fetch_sessions()
        .begin(session_request(&context, request), now);
    match begun {
        Err(error) => Fetched::untouched(FetchResponse {
            error_code: error.code(),
            ..FetchResponse::default()
        }),
        Ok(FetchContext::Sessionless(wanted)) => {
            let pass = read(&server, &context, &wanted, &limits).await;
            let response = full_response(&wanted, pass, read_committed, NO_SESSION);
            Fetched::untouched(response)
        }
        Ok(FetchContext::Full(mut wanted)) => {
            let pass = read(&server, &context, &wanted, &limits).await;
            for (wanted, read) in wanted.iter_mut().zip(&pass.partitions) {
                remember(wanted, read);
            }
            let now = server.clock().monotonic();
            let id = server.fetch_sessions().open(
                wanted.clone(),
                uses_topic_ids,
                now,
                rand::random::<i32>,
            );
            Fetched {
                response: full_response(&wanted, pass, read_committed, id),
                session: Session::Opened(Arc::clone(server.fetch_sessions()), id),
            }
        }
        Ok(FetchContext::Incremental(lent)) => {
            let told = if server.quotas().limits_fetch() {
                what_was_told(&lent)
            } else {
                Vec::new()
            };
            let pass = read(&server, &context, &lent.partitions, &limits).await;
            incremental_response(lent, pass, read_committed, told)
        }
    }
}

/// Ids from 0 are brokers'; version 15 moved the id.
fn reader(request: &FetchRequest) -> Reader {
    if request.replica_id.max(request.replica_state.replica_id) >= 0 {
        Reader::Follower
    } else {
        Reader::Consumer
    }
}

fn what_was_told(lent: &Lent) -> Vec<(i64, i64)> {
    let told = |partition: &FetchedPartition| {
        (
            partition.told_high_watermark,
            partition.told_log_start_offset,
        )
    };
    lent.partitions.iter().map(told).collect()
}

/// Tells of a session's partitions only what the client has not been told.
fn incremental_response(
    mut lent: Lent,
    pass: Pass,
    read_committed: bool,
    told: Vec<(i64, i64)>,
) -> Fetched {
    let mut responses = Responses::new(read_committed);
    let mut moved = Vec::new();
    for (place, (wanted, read)) in lent.partitions.iter_mut().zip(pass.partitions).enumerate() {
        let has_records = !read.records.is_empty();
        if has_records {
            moved.push(place);
        }
        let news = has_records
            || read.error.is_error()
            || read.diverging_epoch.is_some()
            || read.high_watermark != wanted.told_high_watermark
            || read.log_start_offset != wanted.told_log_start_offset;
        remember(wanted, &read);
        if news {
            responses.push(&wanted.key, read);
        }
    }
    Fetched {
        response: FetchResponse {
            session_id: lent.id,
            responses: responses.topics,
            ..FetchResponse::default()
        },
        session: Session::Lent { lent, moved, told },
    }
}

/// What the client is about to be told. An error leaves the session's memory alone, so that the partition is
/// told again once it is over.
fn remember(wanted: &mut FetchedPartition, read: &PartitionRead) {
    if read.error.is_error() {
        wanted.told_high_watermark = -1;
        wanted.told_log_start_offset = -1;
    } else {
        wanted.told_high_watermark = read.high_watermark;
        wanted.told_log_start_offset = read.log_start_offset;
    }
}

fn session_request(context: &RequestContext, request: FetchRequest) -> SessionRequest {
    let mut partitions = Vec::new();
    for topic in request.topics {
        let name: Arc<str> = Arc::from(topic.topic.as_str());
        partitions.extend(
            topic
                .partitions
                .into_iter()
                .map(|partition| FetchedPartition {
                    key: PartitionKey {
                        topic: Arc::clone(&name),
                        topic_id: topic.topic_id,
                        partition: partition.partition,
                    },
                    fetch_offset: partition.fetch_offset,
                    current_leader_epoch: partition.current_leader_epoch,
                    last_fetched_epoch: partition.last_fetched_epoch,
                    max_bytes: partition.partition_max_bytes,
                    told_high_watermark: -1,
                    told_log_start_offset: -1,
                }),
        );
    }
    let forgotten = request
        .forgotten_topics_data
        .into_iter()
        .flat_map(|topic| {
            let name: Arc<str> = Arc::from(topic.topic.as_str());
            let topic_id: Uuid = topic.topic_id;
            topic
                .partitions
                .into_iter()
                .map(move |partition| PartitionKey {
                    topic: Arc::clone(&name),
                    topic_id,
                    partition,
                })
        })
        .collect();
    SessionRequest {
        id: request.session_id,
        // Sessions came with version 7.
        epoch: if context.api_version < 7 {
            FINAL_EPOCH
        } else {
            request.session_epoch
        },
        uses_topic_ids: context.api_version >= 13,
        partitions,
        forgotten,
    }
}

/// Reads, and waits while there is too little.
async fn read(
    server: &Server,
    context: &RequestContext,
    wanted: &[FetchedPartition],
    limits: &Limits,
) -> Pass {
    let deadline = Instant::now() + limits.max_wait;
    let resolve_all = || -> Vec<Resolved> {
        wanted
            .iter()
            .map(|partition| resolve(server, context, partition, limits.reader))
            .collect()
    };
    let mut resolved = resolve_all();
    let mut pass = read_all(wanted, &resolved, limits.max_bytes, limits.up_to);
    if pass.is_partly_remote() {
        let max_wait = server.settings().remote_log.fetch_max_wait;
        remote::complete(&mut pass, wanted, &resolved, limits.up_to, max_wait).await;
        return pass;
    }
    if is_enough(&pass, limits) || limits.max_wait.is_zero() {
        return pass;
    }
    loop {
        // Subscribed anew each time, before the reading: what comes in between is not slept through, and
        // partitions that did not wake this fetch drop the old subscription.
        let notify = Arc::new(Notify::new());
        subscribe(&resolved, &notify);
        let pass = read_all(wanted, &resolved, limits.max_bytes, limits.up_to);
        // What became remote meanwhile is for the next fetch.
        if is_enough(&pass, limits) || pass.is_partly_remote() {
            return pass;
        }
        if tokio::time::timeout_at(deadline, notify.notified())
            .await
            .is_err()
        {
            return pass;
        }
        // A topic may have been deleted while the fetch slept.
        resolved = resolve_all();
    }
}

fn is_enough(pass: &Pass, limits: &Limits) -> bool {
    pass.urgent || pass.bytes >= limits.min_bytes || pass.partitions.is_empty()
}

fn full_response(
    wanted: &[FetchedPartition],
    pass: Pass,
    read_committed: bool,
    session_id: i32,
) -> FetchResponse {
    let mut responses = Responses::new(read_committed);
    for (wanted, read) in wanted.iter().zip(pass.partitions) {
        responses.push(&wanted.key, read);
    }
    FetchResponse {
        session_id,
        responses: responses.topics,
        ..FetchResponse::default()
    }
}

/// Groups partitions by topic, in the order in which they come.
struct Responses {
    topics: Vec<FetchableTopicResponse>,
    read_committed: bool,
}

impl Responses {
    fn new(read_committed: bool) -> Responses {
        Responses {
            topics: Vec::new(),
            read_committed,
        }
    }

    fn push(&mut self, key: &PartitionKey, read: PartitionRead) {
        let same_topic = self.topics.last().is_some_and(|topic| {
            topic.topic_id == key.topic_id && topic.topic.as_str() == &*key.topic
        });
        if !same_topic {
            self.topics.push(FetchableTopicResponse {
                topic: key.topic.to_string(),
                topic_id: key.topic_id,
                partitions: Vec::new(),
            });
        }
        // What never got to the log is answered by Kafka with an empty list, which is what its message has by itself.
        let is_unread = matches!(
            read.error,
            ErrorCode::UnknownTopicOrPartition
                | ErrorCode::UnknownTopicId
                | ErrorCode::TopicAuthorizationFailed
        );
        let is_told = self.read_committed && !read.error.is_error();
        let aborted = (is_told || is_unread).then(|| {
            let transactions = read.aborted_transactions.iter();
            transactions
                .map(|aborted| AbortedTransaction {
                    producer_id: aborted.producer_id.0,
                    first_offset: aborted.first_offset.0,
                })
                .collect()
        });
        let data = PartitionData {
            partition_index: key.partition,
            error_code: read.error.code(),
            high_watermark: read.high_watermark,
            last_stable_offset: read.last_stable_offset,
            log_start_offset: read.log_start_offset,
            diverging_epoch: read.diverging_epoch.unwrap_or_default(),
            aborted_transactions: aborted,
            records: Some(read.records),
            ..PartitionData::default()
        };
        if let Some(topic) = self.topics.last_mut() {
            topic.partitions.push(data);
        }
    }
}
