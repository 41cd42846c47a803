//! Which APIs this broker speaks, and what ApiVersions says about it.
//!
//! The ranges are exactly those of Apache Kafka 4.4, since clients infer features from ranges (design, D5):
//! the minima that librdkafka's point tests need, and Produce from 0 although only 3 and later are accepted
//! (KAFKA-18659). An API that is not finished is left out, never answered with a stub.

use metastore::resource::FeaturesResource;
use wire::messages::ApiVersionsResponse;
use wire::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use wire::{API_SPECS, ApiKey, ApiSpec, ErrorCode};

use crate::features::FEATURES;

/// The APIs that are answered, in the order of their keys.
const SUPPORTED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::EndTxn,
    ApiKey::WriteTxnMarkers,
    ApiKey::TxnOffsetCommit,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::AlterReplicaLogDirs,
    ApiKey::DescribeLogDirs,
    ApiKey::CreatePartitions,
    ApiKey::CreateDelegationToken,
    ApiKey::RenewDelegationToken,
    ApiKey::ExpireDelegationToken,
    ApiKey::DescribeDelegationToken,
    ApiKey::DeleteGroups,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::OffsetDelete,
    ApiKey::DescribeClientQuotas,
    ApiKey::AlterClientQuotas,
    ApiKey::DescribeUserScramCredentials,
    ApiKey::DescribeQuorum,
    ApiKey::UpdateFeatures,
    ApiKey::DescribeCluster,
    ApiKey::DescribeProducers,
    ApiKey::DescribeTransactions,
    ApiKey::ListTransactions,
    ApiKey::UnregisterBroker,
    ApiKey::ConsumerGroupHeartbeat,
    ApiKey::ConsumerGroupDescribe,
    ApiKey::ShareFetch,
    ApiKey::ShareAcknowledge,
    ApiKey::GetTelemetrySubscriptions,
    ApiKey::PushTelemetry,
    ApiKey::ListConfigResources,
    ApiKey::DescribeTopicPartitions,
    ApiKey::ShareGroupHeartbeat,
    ApiKey::ShareGroupDescribe,
    ApiKey::InitializeShareGroupState,
    ApiKey::ReadShareGroupState,
    ApiKey::WriteShareGroupState,
    ApiKey::DeleteShareGroupState,
    ApiKey::ReadShareGroupStateSummary,
    ApiKey::DescribeShareGroupOffsets,
    ApiKey::AlterShareGroupOffsets,
    ApiKey::DeleteShareGroupOffsets,
    ApiKey::StreamsGroupHeartbeat,
    ApiKey::StreamsGroupDescribe,
    ApiKey::StreamsGroupTopologyDescriptionUpdate,
];

/// Whether a request of this API and version is taken.
pub(crate) fn supports(spec: &ApiSpec, version: i16) -> bool {
    SUPPORTED.contains(&spec.key) && (spec.min_version..=newest(spec)).contains(&version)
}

fn newest(spec: &ApiSpec) -> i16 {
    spec.max_version - i16::from(spec.latest_version_unstable)
}

fn advertised() -> Vec<ApiVersion> {
    API_SPECS
        .iter()
        .filter(|spec| SUPPORTED.contains(&spec.key))
        .map(|spec| ApiVersion {
            api_key: spec.key as i16,
            min_version: if spec.key == ApiKey::Produce {
                0
            } else {
                spec.min_version
            },
            max_version: newest(spec),
        })
        .collect()
}

/// The answer to ApiVersions in a version from 0 to 5, with these finalized features.
pub(crate) fn response(version: i16, finalized: &FeaturesResource) -> ApiVersionsResponse {
    let supported_features = FEATURES
        .iter()
        // Older clients take a lowest level of 0 for an error (KAFKA-17011).
        .filter(|feature| version >= 4 || (version == 3 && feature.min_level > 0))
        .map(|feature| SupportedFeatureKey {
            name: feature.name.to_owned(),
            min_version: feature.min_level,
            max_version: feature.max_level,
        })
        .collect();
    ApiVersionsResponse {
        api_keys: advertised(),
        supported_features,
        finalized_features_epoch: finalized.epoch,
        finalized_features: finalized
            .levels
            .iter()
            .map(|(name, level)| FinalizedFeatureKey {
                name: name.clone(),
                max_version_level: *level,
                min_version_level: *level,
            })
            .collect(),
        ..ApiVersionsResponse::default()
    }
}

/// The answer to ApiVersions in a version nobody here knows: error 35 in version 0, with the range of
/// ApiVersions itself, from which the client picks one (KIP-511).
pub(crate) fn unsupported_version_response() -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: advertised()
            .into_iter()
            .filter(|api| api.api_key == ApiKey::ApiVersions as i16)
            .collect(),
        ..ApiVersionsResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_clients_test_for() {
        let range = |key: ApiKey| {
            let api = advertised()
                .into_iter()
                .find(|api| api.api_key == key as i16)
                .unwrap();
            (api.min_version, api.max_version)
        };
        assert_eq!(range(ApiKey::Produce), (0, 13));
        assert_eq!(range(ApiKey::Fetch), (4, 18));
        assert_eq!(range(ApiKey::InitProducerId), (0, 5));
        assert_eq!(range(ApiKey::OffsetFetch), (1, 10));
        assert_eq!(range(ApiKey::ApiVersions), (0, 5));
        let produce = &API_SPECS[0];
        assert!(!supports(produce, 2) && supports(produce, 3));
    }
}
