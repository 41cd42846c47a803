//! Consumer groups of KIP-848 over sockets: the protocol end to end, and a group that outlives its broker.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use base::Uuid;
use support::{Client, Running, until};
use wire::ErrorCode;
use wire::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use wire::messages::consumer_group_describe_response::DescribedGroup;
use wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use wire::messages::create_partitions_request::CreatePartitionsTopic;
use wire::messages::metadata_request::MetadataRequestTopic;
use wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use wire::messages::{
    AlterConfigsRequest, ApiVersionsRequest, ConsumerGroupDescribeRequest,
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, CreatePartitionsRequest,
    DeleteGroupsRequest, DeleteTopicsRequest, FindCoordinatorRequest, ListGroupsRequest,
    MetadataRequest, OffsetCommitRequest, OffsetFetchRequest,
};

const LIMIT: Duration = Duration::from_secs(30);

/// A heartbeat that says nothing new.
fn steady(member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: member.to_owned(),
        member_epoch: epoch,
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

fn joining(member: &str, topics: &[&str]) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(topics.iter().map(|topic| (*topic).to_owned()).collect()),
        topic_partitions: Some(Vec::new()),
        ..steady(member, 0)
    }
}

/// Sends a heartbeat, again while the coordinator is not there yet.
fn beat(
    client: &mut Client,
    request: &ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    until(
        || client.call(1, request),
        |answer| answer.error_code,
        |_| true,
    )
}

/// The partitions a heartbeat assigns, none when it says nothing of them.
fn assigned(response: &ConsumerGroupHeartbeatResponse) -> Option<Vec<(Uuid, Vec<i32>)>> {
    assert_eq!(response.error_code, 0, "{response:?}");
    let assignment = response.assignment.as_ref()?;
    let topics = assignment.topic_partitions.iter();
    Some(
        topics
            .map(|topic| (topic.topic_id, topic.partitions.clone()))
            .collect(),
    )
}

/// Heartbeats until something is assigned; the epoch and what it is.
fn next_assignment(client: &mut Client, member: &str, epoch: i32) -> (i32, Vec<(Uuid, Vec<i32>)>) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let response = beat(client, &steady(member, epoch));
        if let Some(assigned) = assigned(&response) {
            return (response.member_epoch, assigned);
        }
        assert!(Instant::now() < deadline, "nothing is assigned to {member}");
        std::thread::yield_now();
    }
}

fn find_coordinator(client: &mut Client) {
    let request = FindCoordinatorRequest {
        coordinator_keys: vec!["g".to_owned()],
        ..FindCoordinatorRequest::default()
    };
    let found = client.call(4, &request);
    assert_eq!(found.coordinators[0].error_code, 0);
}

fn topic_id(client: &mut Client, topic: &str) -> Uuid {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(topic.to_owned()),
            ..MetadataRequestTopic::default()
        }]),
        ..MetadataRequest::default()
    };
    client.call(12, &request).topics[0].topic_id
}

fn describe(client: &mut Client) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec!["g".to_owned()],
        include_authorized_operations: true,
    };
    client.call(1, &request).groups.remove(0)
}

#[test]
fn a_group_is_assigned_its_topics_and_outlives_its_broker() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[]);
    let mut client = running.connect("c");
    client.create_topic("t", 4);
    find_coordinator(&mut client);
    let id = topic_id(&mut client, "t");
    let first = beat(&mut client, &joining("a", &["t"]));
    assert_eq!(
        (first.member_epoch, first.heartbeat_interval_ms),
        (2, 5_000)
    );
    assert_eq!(assigned(&first), Some(vec![(id, vec![0, 1, 2, 3])]));

    // A second member gets its half once the first has let go.
    let second = beat(&mut client, &joining("b", &["t"]));
    let (epoch, kept) = next_assignment(&mut client, "a", 2);
    assert_eq!((epoch, &kept), (2, &vec![(id, vec![0, 1])]));
    let release = ConsumerGroupHeartbeatRequest {
        topic_partitions: Some(vec![TopicPartitions {
            topic_id: id,
            partitions: vec![0, 1],
        }]),
        ..steady("a", 2)
    };
    assert_eq!(beat(&mut client, &release).member_epoch, 3);
    let (epoch, got) = next_assignment(&mut client, "b", second.member_epoch);
    assert_eq!((epoch, got), (3, vec![(id, vec![2, 3])]));

    let described = describe(&mut client);
    assert_eq!(described.group_state, "Stable");
    assert_eq!((described.group_epoch, described.assignment_epoch), (3, 3));
    assert_eq!(described.authorized_operations, 3400);
    assert_eq!(described.members[0].client_host, "/127.0.0.1");
    let listed = client.call(5, &ListGroupsRequest::default());
    assert_eq!(listed.groups[0].group_type, "consumer");
    drop(client);
    running.stop();

    let running = Running::start(directory.path(), &[]);
    let mut client = running.connect("c");
    let steady_after = beat(&mut client, &steady("b", 3));
    assert_eq!((steady_after.error_code, steady_after.member_epoch), (0, 3));
    let again = describe(&mut client);
    assert_eq!(again, described);
    running.stop();
}

fn commit(member: &str, epoch: i32, offset: i64) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: "g".to_owned(),
        generation_id_or_member_epoch: epoch,
        member_id: member.to_owned(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![OffsetCommitRequestPartition {
                committed_offset: offset,
                ..OffsetCommitRequestPartition::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

fn committed(client: &mut Client) -> i64 {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: "g".to_owned(),
            member_epoch: -1,
            topics: Some(vec![OffsetFetchRequestTopics {
                name: "t".to_owned(),
                partition_indexes: vec![0],
                ..OffsetFetchRequestTopics::default()
            }]),
            ..OffsetFetchRequestGroup::default()
        }],
        ..OffsetFetchRequest::default()
    };
    let answer = client.call(8, &request);
    answer.groups[0].topics[0].partitions[0].committed_offset
}

/// Requests of many connections meet in one coordinator: some run where they were read, some queue behind them.
#[test]
fn members_that_all_talk_at_once_are_each_answered_in_turn() {
    const MEMBERS: usize = 8;
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[]);
    let mut client = running.connect("c");
    client.create_topic("t", 1);
    find_coordinator(&mut client);
    let threads: Vec<_> = (0..MEMBERS)
        .map(|index| {
            let mut client = running.connect("c");
            std::thread::spawn(move || {
                let member = format!("m{index}");
                let mut epoch = beat(&mut client, &joining(&member, &["t"])).member_epoch;
                let begun = Instant::now();
                for round in 0..300_i64 {
                    let answer = beat(&mut client, &steady(&member, epoch));
                    assert_eq!(answer.error_code, 0, "{answer:?}");
                    assert!(answer.member_epoch >= epoch);
                    epoch = answer.member_epoch;
                    // An epoch that is not the member's is seen wherever the heartbeat runs.
                    let wrong = beat(&mut client, &steady(&member, epoch + 1_000));
                    assert_eq!(wrong.error_code, ErrorCode::FencedMemberEpoch as i16);
                    if round % 10 == i64::try_from(index).unwrap() {
                        let answer = client.call(9, &commit(&member, epoch, round));
                        let error = answer.topics[0].partitions[0].error_code;
                        assert_eq!(error, 0, "{answer:?}");
                        // What is acknowledged is there, or what somebody committed after it.
                        assert!(committed(&mut client) >= 0);
                    }
                    assert!(begun.elapsed() < LIMIT);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    // Who is alone and committed last finds its own.
    let epoch = next_epoch(&mut client, "m0");
    for offset in [1_000, 1_001, 1_002] {
        let answer = client.call(9, &commit("m0", epoch, offset));
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
        assert_eq!(committed(&mut client), offset);
    }
    // The next heartbeat knows of a change that another connection has made.
    let before = describe(&mut client).group_epoch;
    let mut other = running.connect("c");
    assert_eq!(beat(&mut other, &joining("late", &["t"])).error_code, 0);
    let answer = beat(&mut client, &steady("m0", epoch));
    assert_eq!((answer.error_code, answer.member_epoch), (0, before + 1));
    running.stop();
}

/// Heartbeats with what the member is told until that is the group's epoch.
fn next_epoch(client: &mut Client, member: &str) -> i32 {
    let known = describe(client);
    let found = known.members.iter().find(|one| one.member_id == member);
    let mut epoch = found.unwrap().member_epoch;
    let begun = Instant::now();
    while epoch < known.group_epoch {
        epoch = beat(client, &steady(member, epoch)).member_epoch;
        assert!(begun.elapsed() < LIMIT);
    }
    epoch
}

#[test]
fn topics_that_grow_and_go_reach_the_group() {
    let directory = tempfile::tempdir().unwrap();
    let no_wait = [("group.consumer.assignment.interval.ms", "0")];
    let running = Running::start(directory.path(), &no_wait);
    let mut client = running.connect("c");
    find_coordinator(&mut client);
    let first = beat(&mut client, &joining("a", &["t"]));
    assert_eq!(assigned(&first), Some(Vec::new()));
    client.create_topic("t", 1);
    let id = topic_id(&mut client, "t");
    assert_eq!(
        next_assignment(&mut client, "a", 2),
        (3, vec![(id, vec![0])])
    );
    let grow = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: "t".to_owned(),
            count: 3,
            assignments: None,
        }],
        timeout_ms: 10_000,
        ..CreatePartitionsRequest::default()
    };
    assert_eq!(client.call(3, &grow).results[0].error_code, 0);
    assert_eq!(
        next_assignment(&mut client, "a", 3),
        (4, vec![(id, vec![0, 1, 2])])
    );
    let delete = DeleteTopicsRequest {
        topic_names: vec!["t".to_owned()],
        timeout_ms: 10_000,
        ..DeleteTopicsRequest::default()
    };
    assert_eq!(client.call(5, &delete).responses[0].error_code, 0);
    assert_eq!(next_assignment(&mut client, "a", 4).1, Vec::new());
    running.stop();
}

#[test]
fn a_pattern_is_matched_and_a_group_has_its_own_timeouts() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[]);
    let mut client = running.connect("c");
    client.create_topic("match-1", 1);
    client.create_topic("other", 1);
    find_coordinator(&mut client);
    let set = AlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: 32,
            resource_name: "g".to_owned(),
            configs: vec![AlterableConfig {
                name: "consumer.heartbeat.interval.ms".to_owned(),
                value: Some("7000".to_owned()),
            }],
        }],
        validate_only: false,
    };
    assert_eq!(client.call(2, &set).responses[0].error_code, 0);
    let pattern = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some("match-.*".to_owned()),
        ..joining("a", &[])
    };
    let first = beat(&mut client, &pattern);
    assert_eq!(
        (first.member_epoch, first.heartbeat_interval_ms),
        (1, 7_000)
    );
    let id = topic_id(&mut client, "match-1");
    assert_eq!(
        next_assignment(&mut client, "a", 1),
        (2, vec![(id, vec![0])])
    );
    let leave = beat(&mut client, &steady("a", -1));
    assert_eq!((leave.error_code, leave.member_epoch), (0, -1));
    let delete = DeleteGroupsRequest {
        groups_names: vec!["g".to_owned()],
    };
    assert_eq!(client.call(2, &delete).results[0].error_code, 0);
    let gone = describe(&mut client);
    assert_eq!(gone.error_code, ErrorCode::GroupIdNotFound.code());
    assert_eq!(gone.error_message.as_deref(), Some("Group g not found."));
    running.stop();
}

#[test]
fn the_protocol_can_be_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let classic = [("group.coordinator.rebalance.protocols", "classic")];
    let running = Running::start(directory.path(), &classic);
    let mut client = running.connect("c");
    find_coordinator(&mut client);
    let refused = client.call(1, &joining("a", &["t"]));
    assert_eq!(refused.error_code, ErrorCode::UnsupportedVersion.code());
    assert_eq!(
        describe(&mut client).error_code,
        ErrorCode::UnsupportedVersion.code()
    );
    let versions = client.call(
        4,
        &ApiVersionsRequest {
            client_software_name: "test".to_owned(),
            client_software_version: "1".to_owned(),
            ..ApiVersionsRequest::default()
        },
    );
    let supported = versions.supported_features.iter();
    let supported: Vec<&str> = supported.map(|feature| feature.name.as_str()).collect();
    assert!(supported.contains(&"group.version"), "{supported:?}");
    running.stop();
}
