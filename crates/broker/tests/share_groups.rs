//! Share groups of KIP-932 over sockets: members, and where the group is, for administrators.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use support::{Client, Running, produce, until};
use wire::ErrorCode;
use wire::messages::alter_share_group_offsets_request as alter;
use wire::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
use wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use wire::messages::share_group_describe_response::DescribedGroup;
use wire::messages::update_features_request::FeatureUpdateKey;
use wire::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, DeleteGroupsRequest,
    DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse,
    DescribeShareGroupOffsetsRequest, FindCoordinatorRequest, ListGroupsRequest,
    ShareGroupDescribeRequest, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse,
    UpdateFeaturesRequest,
};

const LIMIT: Duration = Duration::from_secs(30);

fn start(directory: &std::path::Path) -> (Running, Client) {
    let broker = Running::start(directory, &[("group.share.assignment.interval.ms", "0")]);
    let mut client = broker.connect("c");
    // Makes the topic of the groups.
    let find = FindCoordinatorRequest {
        coordinator_keys: vec!["g".to_owned()],
        ..FindCoordinatorRequest::default()
    };
    let found = client.call(6, &find).coordinators.remove(0);
    assert_eq!(found.error_code, 0, "{found:?}");
    (broker, client)
}

fn beat(member: &str, epoch: i32, topics: Option<&[&str]>) -> ShareGroupHeartbeatRequest {
    ShareGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: member.to_owned(),
        member_epoch: epoch,
        subscribed_topic_names: topics
            .map(|topics| topics.iter().map(|topic| (*topic).to_owned()).collect()),
        ..ShareGroupHeartbeatRequest::default()
    }
}

fn any<T>(_: &T) -> bool {
    true
}

fn send(client: &mut Client, request: &ShareGroupHeartbeatRequest) -> ShareGroupHeartbeatResponse {
    until(|| client.call(1, request), |answer| answer.error_code, any)
}

/// A member that comes and heartbeats until it has this many partitions.
fn join(client: &mut Client, member: &str, topics: &[&str], partitions: usize) -> i32 {
    let mut epoch = send(client, &beat(member, 0, Some(topics))).member_epoch;
    let deadline = Instant::now() + LIMIT;
    loop {
        let answer = send(client, &beat(member, epoch, Some(topics)));
        assert_eq!(answer.error_code, 0, "{answer:?}");
        epoch = answer.member_epoch;
        let assignment = answer.assignment.unwrap_or_default();
        let assigned = assignment.topic_partitions.iter();
        if assigned.map(|topic| topic.partitions.len()).sum::<usize>() == partitions {
            return epoch;
        }
        assert!(Instant::now() < deadline, "{member} does not get its part");
        std::thread::yield_now();
    }
}

fn describe(client: &mut Client) -> DescribedGroup {
    let request = ShareGroupDescribeRequest {
        group_ids: vec!["g".to_owned()],
        include_authorized_operations: true,
    };
    let ask = || client.call(1, &request).groups.remove(0);
    until(ask, |group| group.error_code, any)
}

/// `topic-partition=start lag`, one each, of everything that is initialized.
fn offsets(client: &mut Client) -> Vec<String> {
    let request = DescribeShareGroupOffsetsRequest {
        groups: vec![DescribeShareGroupOffsetsRequestGroup {
            group_id: "g".to_owned(),
            topics: None,
        }],
    };
    let ask = || client.call(1, &request).groups.remove(0);
    let group = until(ask, |group| group.error_code, any);
    let partitions = group.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| {
            let (index, start, lag) = (
                partition.partition_index,
                partition.start_offset,
                partition.lag,
            );
            format!("{}-{index}={start} {lag}", topic.topic_name)
        })
    });
    let mut partitions: Vec<String> = partitions.collect();
    partitions.sort();
    partitions
}

fn alter_offset(client: &mut Client, topic: &str, offset: i64) -> AlterShareGroupOffsetsResponse {
    let request = AlterShareGroupOffsetsRequest {
        group_id: "g".to_owned(),
        topics: vec![alter::AlterShareGroupOffsetsRequestTopic {
            topic_name: topic.to_owned(),
            partitions: vec![alter::AlterShareGroupOffsetsRequestPartition {
                partition_index: 0,
                start_offset: offset,
            }],
        }],
    };
    until(|| client.call(0, &request), |answer| answer.error_code, any)
}

fn delete_offsets(client: &mut Client, topic: &str) -> DeleteShareGroupOffsetsResponse {
    let request = DeleteShareGroupOffsetsRequest {
        group_id: "g".to_owned(),
        topics: vec![DeleteShareGroupOffsetsRequestTopic {
            topic_name: topic.to_owned(),
        }],
    };
    until(|| client.call(0, &request), |answer| answer.error_code, any)
}

fn delete_group(client: &mut Client) -> ErrorCode {
    let request = DeleteGroupsRequest {
        groups_names: vec!["g".to_owned()],
    };
    let answer = client.call(2, &request).results.remove(0);
    ErrorCode::from_code(answer.error_code).unwrap()
}

#[test]
fn members_share_partitions_and_the_group_outlives_the_broker() {
    let directory = tempfile::tempdir().unwrap();
    let (broker, mut client) = start(directory.path());
    client.create_topic("t", 2);
    join(&mut client, "a", &["t"], 2);
    let epoch = join(&mut client, "b", &["t"], 1);
    let group = describe(&mut client);
    assert_eq!(
        (group.group_state.as_str(), group.members.len()),
        ("Stable", 2)
    );
    assert_eq!(group.assignor_name, "simple");
    assert_eq!(delete_group(&mut client), ErrorCode::NonEmptyGroup);
    broker.stop();

    let (broker, mut client) = start(directory.path());
    let group = describe(&mut client);
    assert_eq!(
        (group.group_state.as_str(), group.members.len()),
        ("Stable", 2)
    );
    let answer = send(&mut client, &beat("b", epoch, None));
    assert_eq!(answer.error_code, 0, "{answer:?}");
    for member in ["a", "b"] {
        let left = send(&mut client, &beat(member, -1, None));
        assert_eq!((left.error_code, left.member_epoch), (0, -1));
    }
    let list = ListGroupsRequest {
        types_filter: vec!["share".to_owned()],
        ..ListGroupsRequest::default()
    };
    let ask = || client.call(5, &list);
    let listed = until(ask, |answer| answer.error_code, any).groups;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].group_state, "Empty");
    assert_eq!(delete_group(&mut client), ErrorCode::None);
    assert_eq!(delete_group(&mut client), ErrorCode::GroupIdNotFound);
    assert_eq!(offsets(&mut client), Vec::<String>::new());
    broker.stop();
}

#[test]
fn administrators_move_and_delete_where_a_group_is() {
    let directory = tempfile::tempdir().unwrap();
    let (broker, mut client) = start(directory.path());
    client.create_topic("t", 1);
    for _ in 0..3 {
        client.call(9, &produce("t", 10, 1));
    }
    let altered = alter_offset(&mut client, "t", 1);
    assert_eq!(
        altered.responses[0].partitions[0].error_code, 0,
        "{altered:?}"
    );
    // From a start that was set on nothing is done with yet (KIP-1226).
    assert_eq!(offsets(&mut client), ["t-0=1 2"]);
    let unknown = alter_offset(&mut client, "nope", 1);
    let error = unknown.responses[0].partitions[0].error_code;
    assert_eq!(error, ErrorCode::UnknownTopicOrPartition.code());
    join(&mut client, "a", &["t"], 1);
    let busy = ErrorCode::NonEmptyGroup.code();
    let refused = alter_offset(&mut client, "t", 0);
    assert_eq!(refused.error_code, busy);
    assert_eq!(
        refused.error_message.as_deref(),
        Some("The group is not empty.")
    );
    assert_eq!(delete_offsets(&mut client, "t").error_code, busy);
    send(&mut client, &beat("a", -1, None));
    let deleted = delete_offsets(&mut client, "t");
    assert_eq!(
        (deleted.error_code, deleted.responses[0].error_code),
        (0, 0)
    );
    assert_eq!(offsets(&mut client), Vec::<String>::new());
    let again = delete_offsets(&mut client, "t");
    let error = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(again.responses[0].error_code, error);
    broker.stop();
}

#[test]
fn share_groups_can_be_switched_off() {
    let directory = tempfile::tempdir().unwrap();
    let (broker, mut client) = start(directory.path());
    let update = UpdateFeaturesRequest {
        timeout_ms: 10_000,
        feature_updates: vec![FeatureUpdateKey {
            feature: "share.version".to_owned(),
            max_version_level: 0,
            upgrade_type: 2,
            ..FeatureUpdateKey::default()
        }],
        ..UpdateFeaturesRequest::default()
    };
    assert_eq!(client.call(1, &update).error_code, 0);
    let unsupported = ErrorCode::UnsupportedVersion.code();
    let answer = client.call(1, &beat("a", 0, Some(&["t"])));
    assert_eq!(answer.error_code, unsupported);
    assert_eq!(describe(&mut client).error_code, unsupported);
    assert_eq!(alter_offset(&mut client, "t", 0).error_code, unsupported);
    assert_eq!(delete_offsets(&mut client, "t").error_code, unsupported);
    broker.stop();
}
