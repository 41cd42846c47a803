//! Share and streams groups in the REST Proxy, with members that speak their protocols.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::calls::{commit_offset, create_topic, find_coordinator};
use testkit::connection::Connection;
use testkit::wait::wait_for;
use wire::ErrorCode;
use wire::messages::streams_group_heartbeat_request::{Subtopology, Topology};
use wire::messages::{ShareGroupHeartbeatRequest, StreamsGroupHeartbeatRequest};

use crate::rest_proxy::{Rest, address, call};
use crate::server::Server;

const LIMIT: Duration = Duration::from_secs(60);

/// The epoch that joins, and the one that leaves.
const JOIN: i32 = 0;
const LEAVE: i32 = -1;

/// A server with a topic `orders` of two partitions and a simple consumer group `readers`; groups assign at once.
fn start() -> (Server, Rest, Connection) {
    let settings = [
        "group.share.assignment.interval.ms=0",
        "group.streams.initial.rebalance.delay.ms=0",
    ];
    let flags: Vec<&str> = settings
        .iter()
        .flat_map(|setting| ["--override", setting])
        .collect();
    let server = Server::start_with(&flags, &[]);
    let rest = Rest::of(address(&server));
    let port = server.bootstrap().rsplit(':').next().unwrap();
    let mut connection = Connection::open(port.parse().unwrap()).unwrap();
    create_topic(&mut connection, "orders", 2, &[]).unwrap();
    wait_for("the coordinator", LIMIT, || {
        let code = find_coordinator(&mut connection, "g")?;
        Ok((code == ErrorCode::None).then_some(()))
    })
    .unwrap();
    wait_for("a commit", LIMIT, || {
        let code = commit_offset(&mut connection, "readers", partition(), 1)?;
        Ok((code == ErrorCode::None).then_some(()))
    })
    .unwrap();
    (server, rest, connection)
}

fn partition() -> testkit::calls::Partition<'static> {
    testkit::calls::Partition {
        topic: "orders",
        index: 0,
    }
}

/// One heartbeat of a share consumer; how many partitions it has and its epoch, once the broker takes it.
fn share_beat(connection: &mut Connection, member: &str, epoch: i32) -> Option<(usize, i32)> {
    let request = ShareGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: member.to_owned(),
        member_epoch: epoch,
        subscribed_topic_names: (epoch == JOIN).then(|| vec!["orders".to_owned()]),
        ..ShareGroupHeartbeatRequest::default()
    };
    let answer = connection.call(1, &request).unwrap();
    let assigned = answer.assignment.unwrap_or_default().topic_partitions;
    let partitions = assigned.iter().map(|topic| topic.partitions.len()).sum();
    (answer.error_code == 0).then_some((partitions, answer.member_epoch))
}

/// A share consumer that has both partitions.
fn share(connection: &mut Connection, member: &str) {
    let mut epoch = JOIN;
    wait_for("both partitions", LIMIT, || {
        let beat = share_beat(connection, member, epoch);
        epoch = beat.map_or(epoch, |(_, epoch)| epoch);
        Ok(beat.filter(|(partitions, _)| *partitions == 2))
    })
    .unwrap();
}

#[test]
fn a_share_group_is_described_and_deleted() {
    let (_server, rest, mut connection) = start();
    assert_eq!(rest.get("/share-groups")["data"], json!([]));
    share(&mut connection, "one");
    let listed = rest.get("/share-groups");
    assert_eq!(listed["kind"], "KafkaShareGroupList");
    let group = rest.get("/share-groups/g");
    assert_eq!(listed["data"], json!([group]));
    let expected = json!({"kind": "KafkaShareGroup", "share_group_id": "g", "state": "STABLE", "consumer_count": 1, "partition_count": 2});
    assert_has(&group, &expected);
    let partitions = group["assigned_topic_partitions"].as_array().unwrap();
    let expected =
        json!({"kind": "KafkaShareGroupTopicPartition", "topic_name": "orders", "partition_id": 1});
    assert_has(&partitions[1], &expected);

    let consumers = rest.get("/share-groups/g/consumers");
    assert_eq!(consumers["kind"], "KafkaShareConsumerList");
    let consumer = rest.get("/share-groups/g/consumers/one");
    assert_eq!(consumers["data"], json!([consumer]));
    let expected =
        json!({"kind": "KafkaShareGroupConsumer", "group_id": "g", "consumer_id": "one"});
    assert_has(&consumer, &expected);
    let assignments = rest.get("/share-groups/g/consumers/one/assignments");
    assert_eq!(assignments["data"].as_array().unwrap().len(), 2);
    let expected = json!({"kind": "KafkaShareGroupConsumerAssignment", "consumer_id": "one", "topic_name": "orders", "partition_id": 0});
    assert_has(&assignments["data"][0], &expected);
    let seen = rest.follow(&format!("/v3/clusters/{}/share-groups", rest.cluster));
    for end in [
        "/assigned-topic-partitions/orders/1",
        "/consumers/one/assignments/orders/partitions/1",
        "/topics/orders/partitions/1",
        "/brokers/1",
    ] {
        assert!(seen.iter().any(|url| url.ends_with(end)), "{end}: {seen:?}");
    }

    assert_eq!(rest.refused(500, "DELETE", "/share-groups/g"), 50002);
    share_beat(&mut connection, "one", LEAVE).unwrap();
    // Its partitions are those whose state it keeps, which it may yet be about to.
    let empty = wait_for("the state of both partitions", LIMIT, || {
        let group = rest.get("/share-groups/g");
        Ok((group["partition_count"] == 2).then_some(group))
    });
    let expected =
        json!({"state": "EMPTY", "consumer_count": 0, "assigned_topic_partitions": partitions});
    assert_has(&empty.unwrap(), &expected);
    assert_eq!(rest.call("DELETE", "/share-groups/g", &Value::Null).0, 204);
    assert_eq!(rest.refused(404, "GET", "/share-groups/g"), 404);
    assert_eq!(rest.refused(404, "DELETE", "/share-groups/g"), 404);
}

#[test]
fn a_group_that_nobody_reads_for_is_behind_all_the_same() {
    let (_server, rest, _) = start();
    let record = json!({"partition_id": 0, "value": {"type": "STRING", "data": "a"}});
    for _ in 0..3 {
        assert_eq!(rest.call("POST", "/topics/orders/records", &record).0, 200);
    }
    let lags = rest.get("/consumer-groups/readers/lags");
    assert_eq!(lags["data"].as_array().unwrap().len(), 1);
    let expected = json!({"kind": "KafkaConsumerLag", "topic_name": "orders", "partition_id": 0, "current_offset": 1,
        "log_end_offset": 3, "lag": 2, "consumer_id": "", "instance_id": null, "client_id": ""});
    assert_has(&lags["data"][0], &expected);
    let one = rest.get("/consumer-groups/readers/lags/orders/partitions/0");
    assert_eq!(one, lags["data"][0]);
    let summary = rest.get("/consumer-groups/readers/lag-summary");
    let expected = json!({"max_lag": 2, "total_lag": 2, "max_lag_consumer_id": "", "max_lag_topic_name": "orders"});
    assert_has(&summary, &expected);
    rest.follow(&format!(
        "/v3/clusters/{}/consumer-groups/readers/lag-summary",
        rest.cluster
    ));
    let none = "/consumer-groups/readers/lags/orders/partitions/1";
    assert_eq!(rest.refused(404, "GET", none), 404);
    assert_eq!(rest.refused(404, "GET", "/consumer-groups/none/lags"), 404);
}

/// The application of a streams group: one subtopology that reads `orders`.
fn topology() -> Topology {
    Topology {
        epoch: 3,
        subtopologies: vec![Subtopology {
            subtopology_id: "0".to_owned(),
            source_topics: vec!["orders".to_owned()],
            ..Subtopology::default()
        }],
    }
}

/// A member of a streams group that has both tasks.
fn stream(connection: &mut Connection, member: &str) {
    let mut epoch = JOIN;
    wait_for("both tasks", LIMIT, || {
        let joins = epoch == JOIN;
        let request = StreamsGroupHeartbeatRequest {
            group_id: "g".to_owned(),
            member_id: member.to_owned(),
            member_epoch: epoch,
            rebalance_timeout_ms: if joins { 60_000 } else { -1 },
            topology: joins.then(topology),
            active_tasks: joins.then(Vec::new),
            standby_tasks: joins.then(Vec::new),
            warmup_tasks: joins.then(Vec::new),
            process_id: joins.then(|| "process-1".to_owned()),
            ..StreamsGroupHeartbeatRequest::default()
        };
        let answer = connection.call(0, &request)?;
        if answer.error_code != 0 {
            return Ok(None);
        }
        epoch = answer.member_epoch;
        let tasks = answer.active_tasks.unwrap_or_default();
        Ok(tasks
            .iter()
            .any(|task| task.partitions == [0, 1])
            .then_some(()))
    })
    .unwrap();
}

#[test]
fn a_streams_group_is_described_to_its_tasks() {
    let (server, rest, mut connection) = start();
    assert_eq!(rest.get("/streams-groups")["data"], json!([]));
    stream(&mut connection, "one");
    let group = wait_for("a stable group", LIMIT, || {
        let group = rest.get("/streams-groups/g");
        Ok((group["state"] == "STABLE").then_some(group))
    });
    let group = group.unwrap();
    let listed = rest.get("/streams-groups");
    assert_eq!(listed["kind"], "KafkaStreamsGroupList");
    assert_eq!(listed["data"], json!([group]));
    let expected = json!({"kind": "KafkaStreamsGroup", "group_id": "g", "topology_epoch": 3, "member_count": 1, "subtopology_count": 1});
    assert_has(&group, &expected);
    assert_eq!(group["group_epoch"], group["target_assignment_epoch"]);

    let part = rest.get("/streams-groups/g/subtopologies/0");
    let expected = json!({"kind": "KafkaStreamsGroupSubtopology", "subtopology_id": "0", "source_topics": ["orders"]});
    assert_has(&part, &expected);
    let parts = rest.get("/streams-groups/g/subtopologies");
    assert_eq!(parts["kind"], "KafkaStreamsGroupSubtopologyList");
    assert_eq!(parts["data"], json!([part]));
    let member = rest.get("/streams-groups/g/members/one");
    let expected = json!({"kind": "KafkaStreamsGroupMember", "member_id": "one", "process_id": "process-1", "instance_id": "",
        "member_epoch": group["group_epoch"], "topology_epoch": 3, "is_classic": false});
    assert_has(&member, &expected);
    let members = rest.get("/streams-groups/g/members");
    assert_eq!(members["kind"], "KafkaStreamsGroupMemberList");
    assert_eq!(members["data"], json!([member]));
    for which in ["assignments", "target-assignments"] {
        let path = format!("/streams-groups/g/members/one/{which}");
        let kind = json!({"kind": "KafkaStreamsGroupMemberAssignments"});
        assert_has(&rest.get(&path), &kind);
        let task = rest.get(&format!("{path}/active/subtopologies/0"));
        let expected = json!({"subtopology_id": "0", "partition_ids": [0, 1]});
        assert_has(&task, &expected);
        assert_eq!(rest.get(&format!("{path}/ACTIVE"))["data"], json!([task]));
        assert_eq!(rest.get(&format!("{path}/warmup"))["data"], json!([]));
    }
    let start = format!("/v3/clusters/{}/streams-groups", rest.cluster);
    let seen = rest.follow(&start);
    for end in [
        "/members/one/assignments/active/subtopologies/0",
        "/members/one/target-assignments/standby",
    ] {
        assert!(seen.iter().any(|url| url.ends_with(end)), "{end}: {seen:?}");
    }
    let platform = server.ready()["admin"].as_str().unwrap();
    let (status, listed) = call(platform, "GET", &format!("/kafka{start}"), "");
    assert_eq!(status, 200, "{listed}");
    assert!(
        listed.contains(&format!("http://{platform}/kafka{start}/g/members")),
        "{listed}"
    );
}

#[test]
fn what_a_group_does_not_have_is_not_found() {
    let (_server, rest, mut connection) = start();
    share(&mut connection, "one");
    for path in [
        "/share-groups/none",
        // Another kind of group.
        "/share-groups/readers",
        "/share-groups/readers/consumers",
        "/streams-groups/readers",
        "/streams-groups/g",
        "/consumer-groups/g",
        "/share-groups/g/consumers/two",
        "/share-groups/g/consumers/two/assignments",
        "/share-groups/g/consumers/one/assignments/orders/partitions/2",
        "/share-groups/g/assigned-topic-partitions/orders/2",
    ] {
        assert_eq!(rest.refused(404, "GET", path), 404, "{path}");
    }
    // Only share groups can be deleted as such.
    assert_eq!(rest.refused(404, "DELETE", "/share-groups/readers"), 404);
    assert_eq!(
        rest.get("/consumer-groups/readers")["consumer_group_id"],
        "readers"
    );
    share_beat(&mut connection, "one", LEAVE).unwrap();
    assert_eq!(rest.call("DELETE", "/share-groups/g", &Value::Null).0, 204);

    stream(&mut connection, "one");
    for path in [
        "/streams-groups/none/members",
        "/share-groups/g",
        "/streams-groups/g/subtopologies/1",
        "/streams-groups/g/members/two",
        "/streams-groups/g/members/two/assignments",
        "/streams-groups/g/members/one/assignments/passive",
        "/streams-groups/g/members/one/assignments/active/subtopologies/1",
        "/streams-groups/g/members/one/target-assignments/standby/subtopologies/0",
    ] {
        assert_eq!(rest.refused(404, "GET", path), 404, "{path}");
    }
}

/// Whether the object has these fields with these values.
#[track_caller]
fn assert_has(found: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&found[name], value, "{name} of {found}");
    }
}
