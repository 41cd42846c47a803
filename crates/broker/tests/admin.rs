//! What administrators ask a single broker: features, quorum, reassignments, directories, lists of configs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{Client, Running};
use wire::ErrorCode;
use wire::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use wire::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use wire::messages::describe_configs_request::DescribeConfigsResource;
use wire::messages::describe_quorum_request::{PartitionData, TopicData};
use wire::messages::describe_user_scram_credentials_request::UserName;
use wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use wire::messages::update_features_request::FeatureUpdateKey;
use wire::messages::{
    AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, ApiVersionsRequest,
    ApiVersionsResponse, DescribeConfigsRequest, DescribeLogDirsRequest, DescribeQuorumRequest,
    DescribeUserScramCredentialsRequest, IncrementalAlterConfigsRequest,
    ListConfigResourcesRequest, UnregisterBrokerRequest, UpdateFeaturesRequest,
    UpdateFeaturesResponse,
};

fn started() -> (tempfile::TempDir, Running) {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[("node.id", "7")]);
    (directory, running)
}

fn versions(client: &mut Client, version: i16) -> ApiVersionsResponse {
    let request = ApiVersionsRequest {
        client_software_name: "test".to_owned(),
        client_software_version: "1".to_owned(),
        ..ApiVersionsRequest::default()
    };
    client.call(version, &request)
}

fn update(
    client: &mut Client,
    version: i16,
    (feature, level, upgrade_type): (&str, i16, i8),
) -> UpdateFeaturesResponse {
    let request = UpdateFeaturesRequest {
        timeout_ms: 1_000,
        feature_updates: vec![FeatureUpdateKey {
            feature: feature.to_owned(),
            max_version_level: level,
            allow_downgrade: false,
            upgrade_type: if version == 0 { 1 } else { upgrade_type },
        }],
        validate_only: false,
    };
    client.call(version, &request)
}

#[test]
fn features_are_finalized_in_the_metadata() {
    let (directory, running) = started();
    let mut client = running.connect("admin");
    let answer = versions(&mut client, 4);
    let finalized = |answer: &ApiVersionsResponse| {
        let features = answer.finalized_features.iter();
        let levels = features.map(|f| (f.name.clone(), f.max_version_level));
        (answer.finalized_features_epoch, levels.collect::<Vec<_>>())
    };
    let (epoch, levels) = finalized(&answer);
    assert!(
        levels.contains(&("metadata.version".to_owned(), 32)),
        "{levels:?}"
    );
    assert!(
        answer
            .supported_features
            .iter()
            .any(|f| f.name == "metadata.version")
    );

    for version in 0..=2 {
        let response = update(&mut client, version, ("metadata.version", 32, 1));
        assert_eq!(response.error_code, 0, "{response:?}");
        assert_eq!(response.results.len(), usize::from(version < 2));
        let response = update(&mut client, version, ("metadata.version", 99, 1));
        assert_eq!(response.error_code, ErrorCode::InvalidUpdateVersion.code());
        assert_eq!(
            response.error_message.as_deref(),
            Some(
                "The update failed for all features since the following feature had an error: \
                 Invalid update version 99 for feature metadata.version. Local controller 7 only \
                 supports versions 7-32"
            )
        );
        assert!(response.results.is_empty());
    }
    let response = update(&mut client, 2, ("nothing.version", 1, 1));
    assert_eq!(response.error_code, ErrorCode::InvalidUpdateVersion.code());
    running.stop();

    let running = Running::start(directory.path(), &[("node.id", "7")]);
    let answer = versions(&mut running.connect("admin"), 4);
    assert_eq!(
        finalized(&answer),
        (epoch, levels),
        "kept, and nothing was changed"
    );
    running.stop();
}

#[test]
fn a_level_goes_down_and_up_again_with_a_growing_epoch() {
    let (_directory, running) = started();
    let mut client = running.connect("admin");
    let now = |client: &mut Client| {
        let answer = versions(client, 4);
        let feature = "transaction.version";
        let found = answer.finalized_features.iter().find(|f| f.name == feature);
        (
            answer.finalized_features_epoch,
            found.map_or(0, |f| f.max_version_level),
        )
    };
    let (first_epoch, level) = now(&mut client);
    assert_eq!(level, 2);
    let mut epoch = first_epoch;
    for (version, level, upgrade_type) in [(1, 1, 2), (2, 0, 3), (1, 1, 1), (0, 2, 1)] {
        let update_of = ("transaction.version", level, upgrade_type);
        let response = update(&mut client, version, update_of);
        assert_eq!(response.error_code, 0, "{response:?}");
        let (grown, reached) = now(&mut client);
        assert_eq!(reached, level);
        assert!(grown > epoch, "{grown} after {epoch}");
        epoch = grown;
    }
    let checked = UpdateFeaturesRequest {
        timeout_ms: 1_000,
        feature_updates: vec![FeatureUpdateKey {
            feature: "transaction.version".to_owned(),
            max_version_level: 1,
            upgrade_type: 2,
            ..FeatureUpdateKey::default()
        }],
        validate_only: true,
    };
    assert_eq!(client.call(2, &checked).error_code, 0);
    assert_eq!(now(&mut client), (epoch, 2), "it was only checked");
    let response = update(&mut client, 2, ("transaction.version", 1, 1));
    assert_eq!(response.error_code, ErrorCode::InvalidUpdateVersion.code());
    running.stop();
}

#[test]
fn the_quorum_is_this_node() {
    let (_directory, running) = started();
    let mut client = running.connect("admin");
    client.create_topic("t", 1);
    let ask = |topic: &str, partition: i32| DescribeQuorumRequest {
        topics: vec![TopicData {
            topic_name: topic.to_owned(),
            partitions: vec![PartitionData {
                partition_index: partition,
            }],
        }],
    };
    for version in 0..=2 {
        let response = client.call(version, &ask("__cluster_metadata", 0));
        assert_eq!(response.error_code, 0);
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.leader_id), (0, 7));
        assert_eq!(partition.current_voters.len(), 1);
        assert!(partition.observers.is_empty());
        assert!(partition.high_watermark > 0);
        assert_eq!(
            partition.current_voters[0].log_end_offset,
            partition.high_watermark
        );
        if version == 2 {
            let node = &response.nodes[0];
            assert_eq!(
                (node.node_id, node.listeners[0].port),
                (7, running.address.port())
            );
        }
        for other in [ask("t", 0), ask("__cluster_metadata", 1)] {
            let response = client.call(version, &other);
            let code = response.topics[0].partitions[0].error_code;
            assert_eq!(code, ErrorCode::UnknownTopicOrPartition.code());
        }
    }
    running.stop();
}

#[test]
fn partitions_can_only_be_where_they_are() {
    let (_directory, running) = started();
    let mut client = running.connect("admin");
    client.create_topic("t", 1);
    let mut reassign = |topic: &str, partition_index: i32, replicas: Option<Vec<i32>>| {
        let request = AlterPartitionReassignmentsRequest {
            timeout_ms: 1_000,
            topics: vec![ReassignableTopic {
                name: topic.to_owned(),
                partitions: vec![ReassignablePartition {
                    partition_index,
                    replicas,
                }],
            }],
            ..AlterPartitionReassignmentsRequest::default()
        };
        let response = client.call(1, &request);
        assert_eq!(response.error_code, 0);
        let partition = &response.responses[0].partitions[0];
        ErrorCode::from_code(partition.error_code).unwrap()
    };
    assert_eq!(reassign("t", 0, Some(vec![7])), ErrorCode::None);
    assert_eq!(
        reassign("t", 0, Some(vec![8])),
        ErrorCode::InvalidReplicaAssignment
    );
    assert_eq!(
        reassign("t", 0, Some(vec![7, 8])),
        ErrorCode::InvalidReplicaAssignment
    );
    assert_eq!(
        reassign("t", 0, Some(vec![])),
        ErrorCode::InvalidReplicaAssignment
    );
    assert_eq!(reassign("t", 0, None), ErrorCode::NoReassignmentInProgress);
    assert_eq!(reassign("t", 1, None), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(
        reassign("nowhere", 0, None),
        ErrorCode::UnknownTopicOrPartition
    );

    let all = DescribeLogDirsRequest { topics: None };
    let home = client.call(4, &all).results[0].log_dir.clone();
    let mut place = |path: &str, partition: i32| {
        let request = AlterReplicaLogDirsRequest {
            dirs: vec![AlterReplicaLogDir {
                path: path.to_owned(),
                topics: vec![AlterReplicaLogDirTopic {
                    name: "t".to_owned(),
                    partitions: vec![partition],
                }],
            }],
        };
        let response = client.call(2, &request);
        ErrorCode::from_code(response.results[0].partitions[0].error_code).unwrap()
    };
    assert_eq!(place(&home, 0), ErrorCode::None);
    assert_eq!(place(&home, 1), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(place("/elsewhere", 0), ErrorCode::LogDirNotFound);

    for (broker_id, expected) in [
        (7, ErrorCode::InvalidRequest),
        (8, ErrorCode::BrokerIdNotRegistered),
    ] {
        let response = client.call(0, &UnregisterBrokerRequest { broker_id });
        assert_eq!(response.error_code, expected.code());
    }
    running.stop();
}

#[test]
fn resources_with_configs_are_listed_by_type() {
    let (_directory, running) = started();
    let mut client = running.connect("admin");
    client.create_topic("t", 1);
    let set = |resource_type: i8, name: &str, key: &str, value: &str| AlterConfigsResource {
        resource_type,
        resource_name: name.to_owned(),
        configs: vec![AlterableConfig {
            name: key.to_owned(),
            config_operation: 0,
            value: Some(value.to_owned()),
        }],
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![
            set(32, "g", "consumer.session.timeout.ms", "50000"),
            set(16, "m", "interval.ms", "1000"),
        ],
        validate_only: false,
    };
    let response = client.call(1, &request);
    assert!(
        response.responses.iter().all(|r| r.error_code == 0),
        "{response:?}"
    );

    let mut list = |version: i16, resource_types: Vec<i8>| {
        let response = client.call(version, &ListConfigResourcesRequest { resource_types });
        let resources = response.config_resources.into_iter();
        let names: Vec<String> = resources
            .map(|resource| format!("{} {}", resource.resource_type, resource.resource_name))
            .collect();
        (response.error_code, names.join(", "))
    };
    assert_eq!(list(1, vec![]), (0, "2 t, 4 7, 8 7, 16 m, 32 g".to_owned()));
    assert_eq!(list(1, vec![32, 2, 2]), (0, "2 t, 32 g".to_owned()));
    assert_eq!(list(1, vec![3]).0, ErrorCode::UnsupportedVersion.code());
    let (code, names) = list(0, vec![]);
    assert_eq!((code, names.split(' ').next_back()), (0, Some("m")));
    running.stop();
}

/// Alters loggers of broker 7; returns code and message.
fn alter_loggers(
    client: &mut Client,
    broker: &str,
    changes: &[(&str, i8, Option<&str>)],
) -> (ErrorCode, String) {
    let configs = changes.iter().map(|(name, op, value)| AlterableConfig {
        name: (*name).to_owned(),
        config_operation: *op,
        value: value.map(str::to_owned),
    });
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: 8,
            resource_name: broker.to_owned(),
            configs: configs.collect(),
        }],
        validate_only: false,
    };
    let response = client.call(1, &request).responses.remove(0);
    (
        ErrorCode::from_code(response.error_code).unwrap(),
        response.error_message.unwrap_or_default(),
    )
}

#[test]
fn loggers_change_their_levels_at_run_time() {
    let (_directory, running) = started();
    let mut client = running.connect("admin");
    let describe = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: 8,
            resource_name: "7".to_owned(),
            configuration_keys: None,
        }],
        ..DescribeConfigsRequest::default()
    };
    let levels = |client: &mut Client| {
        let response = client.call(4, &describe);
        let rows = response.results[0].configs.iter();
        let rows = rows.map(|row| {
            assert_eq!(row.config_source, 6, "DYNAMIC_BROKER_LOGGER_CONFIG");
            format!("{}={}", row.name, row.value.as_deref().unwrap())
        });
        rows.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(levels(&mut client), "broker=INFO root=INFO");
    let changed = alter_loggers(&mut client, "7", &[("broker", 0, Some("DEBUG"))]);
    assert_eq!(changed.0, ErrorCode::None);
    assert_eq!(levels(&mut client), "broker=DEBUG root=INFO");
    let changed = alter_loggers(
        &mut client,
        "7",
        &[("broker", 1, None), ("root", 0, Some("WARN"))],
    );
    assert_eq!(changed.0, ErrorCode::None);
    assert_eq!(levels(&mut client), "broker=WARN root=WARN");

    for (broker, change, code, message) in [
        (
            "7",
            ("nobody", 0, Some("DEBUG")),
            ErrorCode::InvalidConfig,
            "Logger nobody does not exist!",
        ),
        (
            "7",
            ("broker", 0, Some("LOUD")),
            ErrorCode::InvalidConfig,
            "Cannot set the log level of broker to LOUD as it is not a supported log level. Valid log \
             levels are FATAL, ERROR, WARN, INFO, DEBUG, TRACE",
        ),
        (
            "7",
            ("root", 1, None),
            ErrorCode::InvalidRequest,
            "Removing the log level of the root logger is not allowed",
        ),
        (
            "7",
            ("broker", 2, Some("DEBUG")),
            ErrorCode::InvalidRequest,
            "APPEND operation is not allowed for the BROKER_LOGGER resource",
        ),
        (
            "8",
            ("broker", 0, Some("DEBUG")),
            ErrorCode::InvalidRequest,
            "Unexpected node id. Expected 7, but received 8",
        ),
    ] {
        let refused = alter_loggers(&mut client, broker, &[change]);
        assert_eq!(refused, (code, message.to_owned()));
    }
    assert_eq!(levels(&mut client), "broker=WARN root=WARN");
    running.stop();
}

#[test]
fn no_user_has_scram_credentials() {
    let (_directory, running) = started();
    let mut client = running.connect("admin");
    let mut ask = |users: Option<Vec<&str>>| {
        let users = users.map(|users| {
            let users = users.into_iter().map(str::to_owned);
            users.map(|name| UserName { name }).collect()
        });
        let response = client.call(0, &DescribeUserScramCredentialsRequest { users });
        assert_eq!(response.error_code, 0);
        let results = response.results.into_iter();
        results.map(|r| (r.user, r.error_code)).collect::<Vec<_>>()
    };
    assert!(ask(None).is_empty());
    let twice = ErrorCode::DuplicateResource.code();
    let unknown = ErrorCode::ResourceNotFound.code();
    assert_eq!(
        ask(Some(vec!["b", "a", "b"])),
        [("a".to_owned(), unknown), ("b".to_owned(), twice)]
    );
    running.stop();
}
