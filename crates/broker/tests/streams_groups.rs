//! Streams groups of KIP-1071 over sockets: internal topics, tasks, and a group that outlives its broker.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use support::{Client, Running, until};
use wire::ErrorCode;
use wire::messages::describe_configs_request::DescribeConfigsResource;
use wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use wire::messages::metadata_request::MetadataRequestTopic;
use wire::messages::streams_group_describe_response::DescribedGroup;
use wire::messages::streams_group_heartbeat_request::{
    KeyValue, Subtopology, TaskIds, TopicInfo, Topology,
};
use wire::messages::update_features_request::FeatureUpdateKey;
use wire::messages::{
    ApiVersionsRequest, DeleteGroupsRequest, DescribeConfigsRequest, FindCoordinatorRequest,
    IncrementalAlterConfigsRequest, ListGroupsRequest, MetadataRequest,
    StreamsGroupDescribeRequest, StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse,
    StreamsGroupTopologyDescriptionUpdateRequest, UpdateFeaturesRequest,
};

const LIMIT: Duration = Duration::from_secs(30);

/// The resource type of a topic, and of a group, in configs.
const TOPIC: i8 = 2;
const GROUP: i8 = 32;

/// Groups do not wait for more members than a test has.
const PROMPT: (&str, &str) = ("group.streams.initial.rebalance.delay.ms", "0");

fn steady(member: &str, epoch: i32) -> StreamsGroupHeartbeatRequest {
    StreamsGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: member.to_owned(),
        member_epoch: epoch,
        ..StreamsGroupHeartbeatRequest::default()
    }
}

fn internal(name: &str, replication_factor: i16, configs: &[(&str, &str)]) -> TopicInfo {
    let configs = configs.iter().map(|(key, value)| KeyValue {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    });
    TopicInfo {
        name: name.to_owned(),
        partitions: 0,
        replication_factor,
        topic_configs: configs.collect(),
    }
}

/// Subtopology `0` reads `t` and writes the repartition topic, from which `1` counts.
fn word_count(replication_factor: i16) -> Topology {
    let repartition = internal(
        "g-repartition",
        replication_factor,
        &[("cleanup.policy", "delete"), ("retention.ms", "-1")],
    );
    let changelog = internal(
        "g-changelog",
        replication_factor,
        &[("cleanup.policy", "compact")],
    );
    Topology {
        epoch: 0,
        subtopologies: vec![
            Subtopology {
                subtopology_id: "0".to_owned(),
                source_topics: vec!["t".to_owned()],
                repartition_sink_topics: vec!["g-repartition".to_owned()],
                ..Subtopology::default()
            },
            Subtopology {
                subtopology_id: "1".to_owned(),
                repartition_source_topics: vec![repartition],
                state_changelog_topics: vec![changelog],
                ..Subtopology::default()
            },
        ],
    }
}

fn joining(member: &str, topology: Topology) -> StreamsGroupHeartbeatRequest {
    StreamsGroupHeartbeatRequest {
        rebalance_timeout_ms: 60_000,
        topology: Some(topology),
        active_tasks: Some(Vec::new()),
        standby_tasks: Some(Vec::new()),
        warmup_tasks: Some(Vec::new()),
        process_id: Some(format!("process-{member}")),
        ..steady(member, 0)
    }
}

/// Sends a heartbeat, again while the coordinator is not there yet.
fn beat(
    client: &mut Client,
    request: &StreamsGroupHeartbeatRequest,
) -> StreamsGroupHeartbeatResponse {
    until(
        || client.call(1, request),
        |answer| answer.error_code,
        |_| true,
    )
}

/// The active tasks of an answer: `0[0, 1] 1[0]`; none when it says nothing of them.
fn active(response: &StreamsGroupHeartbeatResponse) -> Option<String> {
    assert_eq!(response.error_code, 0, "{response:?}");
    let tasks = response.active_tasks.as_ref()?.iter();
    let tasks: Vec<String> = tasks
        .map(|task| format!("{}{:?}", task.subtopology_id, task.partitions))
        .collect();
    Some(tasks.join(" "))
}

/// Heartbeats until the member has these active tasks; its epoch then.
fn beat_until(client: &mut Client, member: &str, mut epoch: i32, tasks: &str) -> i32 {
    let deadline = Instant::now() + LIMIT;
    loop {
        let response = beat(client, &steady(member, epoch));
        let assigned = active(&response);
        epoch = response.member_epoch;
        if assigned.as_deref() == Some(tasks) {
            return epoch;
        }
        assert!(
            Instant::now() < deadline,
            "{member} does not get {tasks}: {response:?}"
        );
        std::thread::yield_now();
    }
}

fn status(response: &StreamsGroupHeartbeatResponse) -> Vec<(i8, &str)> {
    let status = response.status.iter().flatten();
    status
        .map(|status| (status.status_code, status.status_detail.as_str()))
        .collect()
}

fn find_coordinator(client: &mut Client) {
    let request = FindCoordinatorRequest {
        coordinator_keys: vec!["g".to_owned()],
        ..FindCoordinatorRequest::default()
    };
    assert_eq!(client.call(4, &request).coordinators[0].error_code, 0);
}

fn describe(client: &mut Client) -> DescribedGroup {
    let request = StreamsGroupDescribeRequest {
        group_ids: vec!["g".to_owned()],
        include_authorized_operations: true,
        include_topology_description: true,
    };
    client.call(1, &request).groups.remove(0)
}

fn partitions(client: &mut Client, topic: &str) -> usize {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(topic.to_owned()),
            ..MetadataRequestTopic::default()
        }]),
        ..MetadataRequest::default()
    };
    client.call(12, &request).topics[0].partitions.len()
}

fn topic_config(client: &mut Client, topic: &str, key: &str) -> Option<String> {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: TOPIC,
            resource_name: topic.to_owned(),
            configuration_keys: Some(vec![key.to_owned()]),
        }],
        ..DescribeConfigsRequest::default()
    };
    client.call(4, &request).results[0].configs[0].value.clone()
}

fn set_standby_replicas(client: &mut Client, replicas: &str) {
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: GROUP,
            resource_name: "g".to_owned(),
            configs: vec![AlterableConfig {
                name: "streams.num.standby.replicas".to_owned(),
                config_operation: 0,
                value: Some(replicas.to_owned()),
            }],
        }],
        validate_only: false,
    };
    let response = client.call(1, &request);
    assert_eq!(response.responses[0].error_code, 0, "{response:?}");
}

#[test]
fn an_application_gets_its_topics_and_tasks_and_outlives_the_broker() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[PROMPT]);
    let mut client = running.connect("app");
    client.create_topic("t", 2);
    find_coordinator(&mut client);

    // The first heartbeat finds that topics are missing, and has them created.
    let first = beat(&mut client, &joining("a", word_count(-1)));
    assert_eq!(
        status(&first),
        [(3, "Internal topics are missing: g-changelog, g-repartition")]
    );
    assert_eq!(active(&first).unwrap(), "");
    assert_eq!(partitions(&mut client, "g-repartition"), 2);
    assert_eq!(partitions(&mut client, "g-changelog"), 2);
    let policy = topic_config(&mut client, "g-changelog", "cleanup.policy");
    assert_eq!(policy.as_deref(), Some("compact"));
    let epoch = beat_until(&mut client, "a", first.member_epoch, "0[0, 1] 1[0, 1]");
    let described = describe(&mut client);
    assert_eq!(described.group_state, "Stable");
    assert_eq!(described.assignor_name.as_deref(), Some("sticky"));
    assert_eq!(described.topology_description_status, 1);
    assert_ne!(described.authorized_operations, i32::MIN);
    let topology = described.topology.unwrap().subtopologies.unwrap();
    assert_eq!(topology[1].state_changelog_topics[0].partitions, 2);
    assert_eq!(described.members[0].process_id, "process-a");

    // The group is there after a restart, with its member.
    running.stop();
    let running = Running::start(directory.path(), &[PROMPT]);
    let mut client = running.connect("app");
    find_coordinator(&mut client);
    let back = beat(&mut client, &steady("a", epoch));
    assert_eq!((back.member_epoch, active(&back)), (epoch, None));

    // A second instance gets its half once the first has let go, and then the copies of the first's state.
    set_standby_replicas(&mut client, "1");
    let second = beat(&mut client, &joining("b", word_count(-1)));
    beat_until(&mut client, "a", epoch, "0[0] 1[0]");
    let mut kept = steady("a", epoch);
    let task = |id: &str| TaskIds {
        subtopology_id: id.to_owned(),
        partitions: vec![0],
    };
    kept.active_tasks = Some(vec![task("0"), task("1")]);
    kept.standby_tasks = Some(Vec::new());
    kept.warmup_tasks = Some(Vec::new());
    let moved = beat(&mut client, &kept);
    assert!(moved.member_epoch > epoch, "{moved:?}");
    beat_until(&mut client, "b", second.member_epoch, "0[1] 1[1]");
    let standby = &describe(&mut client).members[1].assignment.standby_tasks;
    assert_eq!(
        (
            standby[0].subtopology_id.as_str(),
            &standby[0].partitions[..]
        ),
        ("1", &[0][..])
    );

    // Lists tell what kind it is; it can be deleted once everyone has left.
    let listed = client.call(5, &ListGroupsRequest::default()).groups;
    assert_eq!(listed[0].group_type, "streams");
    let delete = DeleteGroupsRequest {
        groups_names: vec!["g".to_owned()],
    };
    let refused = client.call(2, &delete).results[0].error_code;
    assert_eq!(refused, ErrorCode::NonEmptyGroup.code());
    for member in ["a", "b"] {
        assert_eq!(beat(&mut client, &steady(member, -1)).error_code, 0);
    }
    assert_eq!(client.call(2, &delete).results[0].error_code, 0);
    assert_eq!(
        describe(&mut client).error_code,
        ErrorCode::GroupIdNotFound.code()
    );
    running.stop();
}

#[test]
fn topics_that_cannot_be_created_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[PROMPT]);
    let mut client = running.connect("app");
    client.create_topic("t", 2);
    find_coordinator(&mut client);
    let response = beat(&mut client, &joining("a", word_count(3)));
    let told = status(&response);
    assert_eq!(told.len(), 1, "{told:?}");
    let (code, detail) = told[0];
    assert_eq!(code, 3);
    let expected = "Internal topics are missing: g-changelog, g-repartition; Creation failed: g-changelog (Unable to \
                    replicate the partition 3 time(s)";
    assert!(detail.starts_with(expected), "{detail}");
    running.stop();
}

#[test]
fn topics_of_the_broker_and_bad_names_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[PROMPT]);
    let mut client = running.connect("app");
    find_coordinator(&mut client);
    for (topic, expected) in [
        (
            "__consumer_offsets",
            "Use of Kafka internal topics __consumer_offsets in a Kafka Streams topology is prohibited.",
        ),
        ("a b", "Topic names a b are not valid topic names."),
    ] {
        let mut topology = word_count(-1);
        topology.subtopologies[0].source_topics = vec![topic.to_owned()];
        let response = beat(&mut client, &joining("a", topology));
        assert_eq!(
            response.error_code,
            ErrorCode::StreamsInvalidTopology.code()
        );
        assert_eq!(response.error_message.as_deref(), Some(expected));
    }
    running.stop();
}

#[test]
fn the_protocol_can_be_switched_off() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[PROMPT]);
    let mut client = running.connect("app");
    client.create_topic("t", 1);
    find_coordinator(&mut client);
    let ask = ApiVersionsRequest {
        client_software_name: "test".to_owned(),
        client_software_version: "1".to_owned(),
        ..ApiVersionsRequest::default()
    };
    let versions = client.call(4, &ask);
    let finalized = versions.finalized_features.iter();
    let level = finalized
        .filter(|feature| feature.name == "streams.version")
        .map(|feature| feature.max_version_level)
        .collect::<Vec<i16>>();
    assert_eq!(level, [1]);
    let update = UpdateFeaturesRequest {
        feature_updates: vec![FeatureUpdateKey {
            feature: "streams.version".to_owned(),
            max_version_level: 0,
            upgrade_type: 2,
            ..FeatureUpdateKey::default()
        }],
        timeout_ms: 10_000,
        ..UpdateFeaturesRequest::default()
    };
    assert_eq!(client.call(1, &update).error_code, 0);
    let unsupported = ErrorCode::UnsupportedVersion.code();
    let response = client.call(1, &joining("a", word_count(-1)));
    assert_eq!(response.error_code, unsupported);
    assert_eq!(describe(&mut client).error_code, unsupported);
    running.stop();

    let classic = [
        PROMPT,
        ("group.coordinator.rebalance.protocols", "classic,consumer"),
    ];
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &classic);
    let mut client = running.connect("app");
    find_coordinator(&mut client);
    let response = client.call(1, &joining("a", word_count(-1)));
    assert_eq!(response.error_code, unsupported);
    running.stop();
}

#[test]
fn nobody_stores_descriptions_of_topologies() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[PROMPT]);
    let mut client = running.connect("app");
    let request = StreamsGroupTopologyDescriptionUpdateRequest {
        group_id: "g".to_owned(),
        member_id: "a".to_owned(),
        ..StreamsGroupTopologyDescriptionUpdateRequest::default()
    };
    let response = client.call(0, &request);
    assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
    running.stop();
}
