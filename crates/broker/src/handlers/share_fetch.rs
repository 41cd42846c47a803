//! ShareFetch (key 78): records for a member of a share group, which are its until it acknowledges them or their lock
//! runs out (KIP-932, KIP-1206, KIP-1222).
//!
//! A request does three things in this order: it opens, goes on with or closes the member's share session; it takes the
//! acknowledgements that come along; and it fetches, waiting for `min_bytes` up to `max_wait_ms`.
//!
//! Differs: the response of a client over its fetch quota goes out with its records, and the client is held back after
//! it; Kafka sends an empty one and leaves the records that were acquired to their locks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base::{PartitionIndex, TopicId};
use coordinator::share_partition::{AcknowledgeError, Acknowledgement, AcquireMode};
use security::{Operation, ResourceType};
use storage::ReadLimit;
use wire::messages::share_fetch_response::{
    AcquiredRecords, PartitionData, ShareFetchableTopicResponse,
};
use wire::messages::{ShareFetchRequest, ShareFetchResponse};
use wire::{ErrorCode, Records};

use crate::config::ShareGroupSettings;
use crate::request::RequestContext;
use crate::server::Server;
use crate::share::acknowledging::{self, Acknowledging, PartitionAcknowledgements, message};
use crate::share::leader::{group_settings, limits, of_code};
use crate::share::read::{Answers, ShareRead};
use crate::share::sessions::{FINAL_EPOCH, INITIAL_EPOCH, SessionKey, TopicIdPartition};

const RECORD_LIMIT: i8 = 1;

/// Fetches for a member.
///
/// # Cancel safety
/// Cancel safe: what was acknowledged is written all the same, and nothing is acquired unless it is returned.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    mut request: ShareFetchRequest,
) -> ShareFetchResponse {
    let (group_id, member_id) = (request.group_id.take(), request.member_id.take());
    let key = match acknowledging::identify(&server, &context, group_id, member_id) {
        Ok(key) => key,
        Err(error) => return failed(&error),
    };
    let is_renewal = request.is_renew_ack;
    if is_renewal && fetches(&request) {
        return failed(&of_code(ErrorCode::InvalidRequest));
    }
    let epoch = request.share_session_epoch;
    let acknowledged = acknowledgements(&mut request);
    let partitions = match session(&server, &context, &key, &request, !acknowledged.is_empty()) {
        Ok(partitions) => partitions,
        Err(error) => {
            if error.code == ErrorCode::ShareSessionLimitReached {
                // A client that gets nothing should not ask again at once.
                tokio::time::sleep(milliseconds(request.max_wait_ms)).await;
            }
            return failed(&error);
        }
    };
    let acknowledging = acknowledging::begin(&server, &context, &key, is_renewal, acknowledged);
    let settings = group_settings(&server, &key.group_id);
    // The time of a fetch would be missing from the lock that was just renewed.
    let answers = if is_renewal || epoch == FINAL_EPOCH {
        Vec::new()
    } else {
        fetch(&server, &context, &key, &request, &settings, partitions).await
    };
    let response = respond(answers, acknowledging, &settings).await;
    if epoch == FINAL_EPOCH {
        // Its records are on their way back when this returns.
        server.share_groups().close(&server, &key, None);
    }
    throttled(&server, &context, response)
}

/// Whether the request asks for records, which one that renews must not (KIP-1222).
fn fetches(request: &ShareFetchRequest) -> bool {
    [
        request.max_bytes,
        request.min_bytes,
        request.max_records,
        request.max_wait_ms,
    ] != [0; 4]
}

/// The acknowledgements that come along, by partition.
fn acknowledgements(request: &mut ShareFetchRequest) -> Vec<PartitionAcknowledgements> {
    let mut asked = Vec::new();
    for topic in &mut request.topics {
        for partition in &mut topic.partitions {
            let batches = std::mem::take(&mut partition.acknowledgement_batches);
            if batches.is_empty() {
                continue;
            }
            asked.push(PartitionAcknowledgements {
                partition: (topic.topic_id, partition.partition_index),
                acknowledgements: batches
                    .into_iter()
                    .map(|batch| Acknowledgement {
                        first_offset: batch.first_offset,
                        last_offset: batch.last_offset,
                        types: batch.acknowledge_types,
                    })
                    .collect(),
            });
        }
    }
    asked
}

/// Opens the member's session or goes on with it. Returns what is to be fetched, beginning with another partition each
/// time (`PartitionRotateStrategy.ROUND_ROBIN`).
fn session(
    server: &Server,
    context: &RequestContext,
    key: &SessionKey,
    request: &ShareFetchRequest,
    acknowledges: bool,
) -> Result<Vec<TopicIdPartition>, AcknowledgeError> {
    let sessions = server.share_groups().sessions();
    let epoch = request.share_session_epoch;
    let named: BTreeSet<TopicIdPartition> = request
        .topics
        .iter()
        .flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|partition| (topic.topic_id, partition.partition_index))
        })
        .collect();
    if epoch == FINAL_EPOCH {
        sessions.find(key).map_err(of_code)?;
        return Ok(Vec::new());
    }
    let mut partitions: Vec<TopicIdPartition> = if epoch == INITIAL_EPOCH {
        if acknowledges {
            return Err(of_code(ErrorCode::InvalidRequest));
        }
        let sessions_max = server.settings().share.max_share_sessions;
        let id = sessions
            .open(key.clone(), named.clone(), sessions_max)
            .map_err(of_code)?;
        context.connection.set_share_session(key.clone(), id);
        named.into_iter().collect()
    } else {
        let forgotten = request
            .forgotten_topics_data
            .iter()
            .flat_map(|topic| {
                topic
                    .partitions
                    .iter()
                    .map(|index| (topic.topic_id, *index))
            })
            .collect();
        sessions
            .update(key, epoch, named, &forgotten)
            .map_err(of_code)?
    };
    let count = partitions.len().max(1);
    partitions.rotate_left(usize::try_from(epoch).unwrap_or(0) % count);
    Ok(partitions)
}

async fn fetch(
    server: &Arc<Server>,
    context: &RequestContext,
    key: &SessionKey,
    request: &ShareFetchRequest,
    settings: &ShareGroupSettings,
    partitions: Vec<TopicIdPartition>,
) -> Answers {
    let mut answers = Vec::new();
    let mut allowed = Vec::with_capacity(partitions.len());
    for partition in partitions {
        match check(server, context, partition) {
            Ok(()) => allowed.push(partition),
            Err(code) => answers.push((partition, Err(of_code(code)))),
        }
    }
    if allowed.is_empty() {
        return answers;
    }
    let bytes_max = usize::try_from(request.max_bytes)
        .unwrap_or(0)
        .min(server.settings().fetch_max_bytes)
        .min(server.quotas().fetch_bytes_max(context));
    let read = ShareRead {
        group_id: Arc::clone(&key.group_id),
        member_id: Arc::clone(&key.member_id),
        mode: if request.share_acquire_mode == RECORD_LIMIT {
            AcquireMode::RecordLimit
        } else {
            AcquireMode::BatchOptimized
        },
        batch_size: i64::from(request.batch_size),
        records_max: i64::from(request.max_records),
        bytes_min: usize::try_from(request.min_bytes)
            .unwrap_or(0)
            .min(bytes_max),
        bytes_max,
        wait_max: milliseconds(request.max_wait_ms),
        limits: limits(settings),
        up_to: if settings.read_committed {
            ReadLimit::LastStableOffset
        } else {
            ReadLimit::HighWatermark
        },
        remote_wait_max: server.settings().remote_log.fetch_max_wait,
    };
    answers.extend(read.run(server, &allowed).await);
    answers
}

fn check(
    server: &Server,
    context: &RequestContext,
    (topic_id, index): TopicIdPartition,
) -> Result<(), ErrorCode> {
    let topic = server
        .topics()
        .get_by_id(TopicId(topic_id))
        .ok_or(ErrorCode::UnknownTopicId)?;
    if !server.allows(context, Operation::Read, ResourceType::Topic, &topic.name) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    topic
        .partition(PartitionIndex(index))
        .map(|_| ())
        .ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// Puts what was fetched and what became of the acknowledgements together, by partition.
async fn respond(
    answers: Answers,
    acknowledging: Acknowledging,
    settings: &ShareGroupSettings,
) -> ShareFetchResponse {
    let mut by_partition: BTreeMap<TopicIdPartition, PartitionData> = BTreeMap::new();
    let mut of = |(topic_id, partition_index): TopicIdPartition,
                  set: &mut dyn FnMut(&mut PartitionData)| {
        let data = by_partition
            .entry((topic_id, partition_index))
            .or_insert_with(|| PartitionData {
                partition_index,
                records: Records::empty(),
                ..PartitionData::default()
            });
        set(data);
    };
    for (partition, answer) in answers {
        match answer {
            Ok(acquired) => of(partition, &mut |data| {
                data.records = acquired.records.clone();
                let acquired = acquired.acquired.iter();
                data.acquired_records = acquired
                    .map(|records| AcquiredRecords {
                        first_offset: records.first_offset.0,
                        last_offset: records.last_offset.0,
                        delivery_count: records.delivery_count,
                    })
                    .collect();
            }),
            Err(error) => of(partition, &mut |data| {
                data.error_code = error.code.code();
                data.error_message = message(&error);
            }),
        }
    }
    for (partition, error) in acknowledging.finish().await {
        of(partition, &mut |data| {
            if let Some(error) = &error {
                data.acknowledge_error_code = error.code.code();
                data.acknowledge_error_message = message(error);
            }
        });
    }
    let mut responses: Vec<ShareFetchableTopicResponse> = Vec::new();
    for ((topic_id, _), data) in by_partition {
        match responses.last_mut() {
            Some(topic) if topic.topic_id == topic_id => topic.partitions.push(data),
            _ => responses.push(ShareFetchableTopicResponse {
                topic_id,
                partitions: vec![data],
            }),
        }
    }
    let lock_duration = settings.record_lock_duration.as_millis();
    ShareFetchResponse {
        acquisition_lock_timeout_ms: i32::try_from(lock_duration).unwrap_or(i32::MAX),
        responses,
        ..ShareFetchResponse::default()
    }
}

fn throttled(
    server: &Server,
    context: &RequestContext,
    mut response: ShareFetchResponse,
) -> ShareFetchResponse {
    if server.quotas().limits_fetch() {
        let partitions = response
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions);
        let bytes = partitions.map(|partition| partition.records.len()).sum();
        response.throttle_time_ms = server.quotas().share_fetched(context, bytes);
    }
    response
}

fn milliseconds(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// As in Kafka, the code says it all.
fn failed(error: &AcknowledgeError) -> ShareFetchResponse {
    ShareFetchResponse {
        error_code: error.code.code(),
        ..ShareFetchResponse::default()
    }
}
