//! Acknowledgements as ShareFetch and ShareAcknowledge bring them (`KafkaApis.handleAcknowledgements`).

use std::sync::Arc;

use base::{PartitionIndex, TopicId};
use coordinator::share_partition::{AcknowledgeError, Acknowledgement};
use security::{Operation, ResourceType};
use wire::ErrorCode;

use super::leader::{Outcome, group_settings, limits, of_code};
use super::sessions::{SessionKey, TopicIdPartition};
use crate::request::RequestContext;
use crate::server::Server;

/// The acknowledgement type that renews a lock (KIP-1222).
const RENEW: i8 = 4;
/// The last type there was before.
const REJECT: i8 = 3;
/// The length of a UUID as text.
const MEMBER_ID_MAX: usize = 36;

/// What a member says of one partition.
#[derive(Debug)]
pub(crate) struct PartitionAcknowledgements {
    pub(crate) partition: TopicIdPartition,
    pub(crate) acknowledgements: Vec<Acknowledgement>,
}

/// Acknowledgements that were taken, or not.
#[derive(Debug)]
pub(crate) struct Acknowledging {
    outcomes: Vec<(TopicIdPartition, Result<Option<Outcome>, AcknowledgeError>)>,
}

/// Who asks, if the request says so properly and may.
///
/// # Errors
/// UNSUPPORTED_VERSION while share groups are off, INVALID_REQUEST, GROUP_AUTHORIZATION_FAILED.
pub(crate) fn identify(
    server: &Server,
    context: &RequestContext,
    group_id: Option<String>,
    member_id: Option<String>,
) -> Result<SessionKey, AcknowledgeError> {
    if !super::is_enabled(server) {
        return Err(of_code(ErrorCode::UnsupportedVersion));
    }
    let Some(group_id) = group_id else {
        return Err(of_code(ErrorCode::InvalidRequest));
    };
    if !server.allows(context, Operation::Read, ResourceType::Group, &group_id) {
        return Err(of_code(ErrorCode::GroupAuthorizationFailed));
    }
    match member_id {
        Some(member_id) if !member_id.is_empty() && member_id.len() <= MEMBER_ID_MAX => {
            Ok(SessionKey {
                group_id: Arc::from(group_id),
                member_id: Arc::from(member_id),
            })
        }
        _ => Err(of_code(ErrorCode::InvalidRequest)),
    }
}

/// The message of an error on the wire.
pub(crate) fn message(error: &AcknowledgeError) -> Option<String> {
    (!error.message.is_empty()).then(|| error.message.clone())
}

/// Takes acknowledgements, in order. Their changes are on their way when this returns.
pub(crate) fn begin(
    server: &Arc<Server>,
    context: &RequestContext,
    key: &SessionKey,
    is_renewal: bool,
    partitions: Vec<PartitionAcknowledgements>,
) -> Acknowledging {
    let limits = limits(&group_settings(server, &key.group_id));
    let take = |asked: &PartitionAcknowledgements| {
        let (topic_id, index) = asked.partition;
        let topic = server.topics().get_by_id(TopicId(topic_id));
        let topic = topic.ok_or_else(|| of_code(ErrorCode::UnknownTopicId))?;
        check(&asked.acknowledgements, context.api_version, is_renewal)?;
        if !server.allows(context, Operation::Read, ResourceType::Topic, &topic.name) {
            return Err(of_code(ErrorCode::TopicAuthorizationFailed));
        }
        if topic.partition(PartitionIndex(index)).is_none() {
            return Err(of_code(ErrorCode::UnknownTopicOrPartition));
        }
        if asked.acknowledgements.is_empty() {
            return Ok(None);
        }
        server
            .share_groups()
            .get(&key.group_id, asked.partition)
            .ok_or_else(|| of_code(ErrorCode::UnknownTopicOrPartition))?
            .acknowledge(server, &key.member_id, &asked.acknowledgements, &limits)
    };
    let outcomes = partitions
        .iter()
        .map(|asked| (asked.partition, take(asked)));
    Acknowledging {
        outcomes: outcomes.collect(),
    }
}

impl Acknowledging {
    /// Waits until all is durable, or known to have failed.
    ///
    /// # Cancel safety
    /// Cancel safe: what was begun is done all the same.
    pub(crate) async fn finish(self) -> Vec<(TopicIdPartition, Option<AcknowledgeError>)> {
        let mut finished = Vec::with_capacity(self.outcomes.len());
        for (partition, outcome) in self.outcomes {
            let error = match outcome {
                Err(error) => Some(error),
                Ok(None) => None,
                Ok(Some(outcome)) => match outcome.await {
                    Ok(result) => result.err(),
                    Err(_) => Some(of_code(ErrorCode::UnknownServerError)),
                },
            };
            finished.push((partition, error));
        }
        finished
    }
}

/// What needs no state to be seen wrong (`KafkaApis.validateAcknowledgementBatches`).
fn check(
    acknowledgements: &[Acknowledgement],
    version: i16,
    is_renewal: bool,
) -> Result<(), AcknowledgeError> {
    let type_max = if version >= 2 { RENEW } else { REJECT };
    let mut before = -1;
    for acknowledgement in acknowledgements {
        let Acknowledgement {
            first_offset,
            last_offset,
            types,
        } = acknowledgement;
        let offsets = last_offset.saturating_sub(*first_offset);
        let each = i64::try_from(types.len()).unwrap_or(i64::MAX) - 1;
        let wrong = *first_offset < 0
            || first_offset > last_offset
            || *last_offset == i64::MAX
            || *first_offset < before
            || types.is_empty()
            || (types.len() > 1 && offsets != each)
            || types.iter().any(|kind| !(0..=type_max).contains(kind))
            || (types.contains(&RENEW) && !is_renewal);
        if wrong {
            return Err(of_code(ErrorCode::InvalidRequest));
        }
        before = *last_offset;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_checked_as_kafka_does() {
        let one = |first_offset, last_offset, types: &[i8]| Acknowledgement {
            first_offset,
            last_offset,
            types: types.to_vec(),
        };
        let valid = |acknowledgements: &[Acknowledgement], version, renewal| {
            check(acknowledgements, version, renewal).is_ok()
        };
        assert!(valid(&[one(0, 4, &[1]), one(5, 6, &[0, 3])], 1, false));
        for wrong in [
            one(5, 4, &[1]),
            one(0, 4, &[]),
            one(0, 4, &[1, 1]),
            one(0, 4, &[-1]),
            one(0, 4, &[5]),
            one(0, 4, &[4]),
            one(-1, 4, &[1]),
        ] {
            assert!(!valid(&[wrong], 2, false));
        }
        assert!(!valid(&[one(3, 4, &[1]), one(0, 2, &[1])], 2, false));
        assert!(valid(&[one(0, 4, &[4])], 2, true));
        assert!(!valid(&[one(0, 4, &[4])], 1, true));
    }
}
