//! Clients that stop half-way, come with what is no longer true, make things up, or ask for too much.
//!
//! Each error code is Apache Kafka 4.3.1's, which was asked the same. Transactions that stop half-way and producers
//! that are made up are in `crates/affluent/tests/it/transactions.rs`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use support::{Client, Running};
use wire::ErrorCode;
use wire::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use wire::messages::join_group_request::JoinGroupRequestProtocol;
use wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use wire::messages::{
    ConsumerGroupHeartbeatRequest, DescribeGroupsRequest, EndTxnRequest, FetchRequest,
    FindCoordinatorRequest, HeartbeatRequest, InitProducerIdRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, SyncGroupRequest,
};

const LIMIT: Duration = Duration::from_secs(30);
const TOPIC: &str = "orders";

/// A broker that lets sessions be short, with a topic and its coordinators ready.
fn start(directory: &tempfile::TempDir) -> Running {
    let properties = [("group.min.session.timeout.ms", "100")];
    let running = Running::start(directory.path(), &properties);
    let mut client = running.connect("start");
    client.create_topic(TOPIC, 1);
    for key_type in [0, 1] {
        let request = FindCoordinatorRequest {
            key_type,
            coordinator_keys: vec!["ready".to_owned()],
            ..FindCoordinatorRequest::default()
        };
        await_code(
            || client.call(4, &request).coordinators[0].error_code,
            ErrorCode::None,
        );
    }
    running
}

fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap()
}

/// Asks again until the answer is as wanted, because coordinators load and groups settle.
fn await_code(mut ask: impl FnMut() -> i16, wanted: ErrorCode) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let found = error(ask());
        if found == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?}, expected {wanted:?}");
        thread::yield_now();
    }
}

/// Asks again only while the coordinator is not there; the first real answer counts.
fn answer(mut ask: impl FnMut() -> i16) -> ErrorCode {
    let deadline = Instant::now() + LIMIT;
    loop {
        let found = error(ask());
        let again = [
            ErrorCode::CoordinatorNotAvailable,
            ErrorCode::CoordinatorLoadInProgress,
            ErrorCode::NotCoordinator,
        ];
        if !again.contains(&found) || Instant::now() > deadline {
            return found;
        }
        thread::yield_now();
    }
}

fn join(group: &str, member: &str, metadata_bytes: usize) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 300_000,
        rebalance_timeout_ms: 4_000,
        member_id: member.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            metadata: Bytes::from(vec![0; metadata_bytes]),
        }],
        ..JoinGroupRequest::default()
    }
}

/// Joins as a client does: first for a member id, then with it.
fn joined(client: &mut Client, group: &str, metadata_bytes: usize) -> JoinGroupResponse {
    let mut first = None;
    let code = answer(|| {
        let response = client.call(9, &join(group, "", metadata_bytes));
        let code = response.error_code;
        first = Some(response);
        code
    });
    assert_eq!(code, ErrorCode::MemberIdRequired);
    let member = first.unwrap().member_id;
    client.call(9, &join(group, &member, metadata_bytes))
}

fn state(client: &mut Client, group: &str) -> (String, usize) {
    let request = DescribeGroupsRequest {
        groups: vec![group.to_owned()],
        ..DescribeGroupsRequest::default()
    };
    let mut response = client.call(5, &request);
    let group = response.groups.remove(0);
    (group.group_state, group.members.len())
}

fn await_state(client: &mut Client, group: &str, wanted: &str, members: usize) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let found = state(client, group);
        if found == (wanted.to_owned(), members) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the group is {found:?}, not {wanted}"
        );
        thread::yield_now();
    }
}

fn heartbeat(group: &str, member: &str, generation_id: i32) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: group.to_owned(),
        generation_id,
        member_id: member.to_owned(),
        ..HeartbeatRequest::default()
    }
}

fn sync(group: &str, member: &str, generation_id: i32, bytes: usize) -> SyncGroupRequest {
    use wire::messages::sync_group_request::SyncGroupRequestAssignment;
    SyncGroupRequest {
        group_id: group.to_owned(),
        generation_id,
        member_id: member.to_owned(),
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: member.to_owned(),
            assignment: Bytes::from(vec![0; bytes]),
        }],
        ..SyncGroupRequest::default()
    }
}

fn commit(group: &str, member: &str, epoch: i32, metadata: &str) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: epoch,
        member_id: member.to_owned(),
        topics: vec![OffsetCommitRequestTopic {
            name: TOPIC.to_owned(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: 1,
                committed_leader_epoch: -1,
                committed_metadata: Some(metadata.to_owned()),
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

fn committed(client: &mut Client, request: &OffsetCommitRequest) -> ErrorCode {
    answer(|| client.call(9, request).topics[0].partitions[0].error_code)
}

fn beat(
    group: &str,
    member: &str,
    epoch: i32,
    topics: Option<Vec<String>>,
) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: group.to_owned(),
        member_id: member.to_owned(),
        member_epoch: epoch,
        rebalance_timeout_ms: if epoch == 0 { 60_000 } else { -1 },
        topic_partitions: (epoch == 0).then(Vec::new),
        subscribed_topic_names: topics,
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

fn beaten(client: &mut Client, request: &ConsumerGroupHeartbeatRequest) -> ErrorCode {
    answer(|| client.call(1, request).error_code)
}

/// A leader that never says who gets what is gone when the rebalance timeout is over, though its session lives.
#[test]
fn a_member_that_joins_and_never_syncs_is_put_out() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(&directory);
    let mut client = running.connect("never-syncs");
    let response = joined(&mut client, "half", 10);
    assert_eq!(error(response.error_code), ErrorCode::None);
    // Its session would go on for minutes.
    await_state(&mut client, "half", "Empty", 0);
    let late = sync("half", &response.member_id, response.generation_id, 10);
    assert_eq!(
        error(client.call(5, &late).error_code),
        ErrorCode::UnknownMemberId
    );
    // The group is as good as new for the next.
    let next = joined(&mut client, "half", 10);
    assert_eq!(error(next.error_code), ErrorCode::None);
    assert_eq!(next.leader, next.member_id);
    running.stop();
}

/// A member that vanishes in the middle of a rebalance holds the others up for its rebalance timeout, no longer.
#[test]
fn a_member_that_does_not_rejoin_holds_nobody_up_for_long() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(&directory);
    let mut gone = running.connect("vanishes");
    let first = joined(&mut gone, "vanishing", 10);
    let sent = sync("vanishing", &first.member_id, first.generation_id, 10);
    assert_eq!(error(gone.call(5, &sent).error_code), ErrorCode::None);
    // The second waits in its JoinGroup until the first has joined again, which it never does.
    let mut stays = running.connect("stays");
    let second = joined(&mut stays, "vanishing", 10);
    assert_eq!(error(second.error_code), ErrorCode::None);
    assert_eq!(second.leader, second.member_id);
    assert_eq!(second.members.len(), 1, "{second:?}");
    let stale = heartbeat("vanishing", &first.member_id, first.generation_id);
    assert_eq!(
        error(gone.call(4, &stale).error_code),
        ErrorCode::UnknownMemberId
    );
    running.stop();
}

#[test]
fn what_is_no_longer_true_of_a_group_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(&directory);
    let mut client = running.connect("old");
    let response = joined(&mut client, "classic", 10);
    let (member, generation) = (response.member_id, response.generation_id);
    let synced = client.call(5, &sync("classic", &member, generation, 10));
    assert_eq!(error(synced.error_code), ErrorCode::None);
    for other in [generation - 1, generation + 1] {
        let beaten = client.call(4, &heartbeat("classic", &member, other));
        assert_eq!(error(beaten.error_code), ErrorCode::IllegalGeneration);
        let synced = client.call(5, &sync("classic", &member, other, 10));
        assert_eq!(error(synced.error_code), ErrorCode::IllegalGeneration);
        let found = committed(&mut client, &commit("classic", &member, other, ""));
        assert_eq!(found, ErrorCode::IllegalGeneration);
    }
    let found = committed(&mut client, &commit("classic", "made-up", generation, ""));
    assert_eq!(found, ErrorCode::UnknownMemberId);
    // Neither a member's nor from outside of the group, which has members.
    let found = committed(&mut client, &commit("classic", "", -1, ""));
    assert_eq!(found, ErrorCode::UnknownMemberId);
    let leave = LeaveGroupRequest {
        group_id: "classic".to_owned(),
        members: vec![wire::messages::leave_group_request::MemberIdentity {
            member_id: "made-up".to_owned(),
            ..Default::default()
        }],
        ..LeaveGroupRequest::default()
    };
    let left = client.call(5, &leave);
    assert_eq!(
        error(left.members[0].error_code),
        ErrorCode::UnknownMemberId
    );
    running.stop();
}

#[test]
fn epochs_of_the_consumer_protocol_that_are_not_the_members_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(&directory);
    let mut client = running.connect("epochs");
    let names = Some(vec![TOPIC.to_owned()]);
    let mut epoch = 0;
    let code = answer(|| {
        let response = client.call(1, &beat("modern", "m", 0, names.clone()));
        epoch = response.member_epoch;
        response.error_code
    });
    assert_eq!(code, ErrorCode::None);
    assert!(epoch > 0);
    for (member, sent, wanted) in [
        ("m", epoch + 1, ErrorCode::FencedMemberEpoch),
        ("m", epoch + 1000, ErrorCode::FencedMemberEpoch),
        ("made-up", epoch, ErrorCode::UnknownMemberId),
        ("m", -3, ErrorCode::InvalidRequest),
    ] {
        let found = beaten(&mut client, &beat("modern", member, sent, None));
        assert_eq!(found, wanted, "{member} at {sent}");
    }
    for (member, sent, wanted) in [
        ("m", epoch - 1, ErrorCode::StaleMemberEpoch),
        ("m", epoch + 1, ErrorCode::StaleMemberEpoch),
        ("made-up", epoch, ErrorCode::UnknownMemberId),
        ("m", epoch, ErrorCode::None),
    ] {
        let found = committed(&mut client, &commit("modern", member, sent, ""));
        assert_eq!(found, wanted, "a commit of {member} at {sent}");
    }
    // A classic member that knows none of the group's protocols, in a group of the other protocol.
    let mut foreign = join("modern", "", 4);
    foreign.protocol_type = "connect".to_owned();
    let found = answer(|| client.call(9, &foreign).error_code);
    assert_eq!(found, ErrorCode::InconsistentGroupProtocol);
    let found = beaten(&mut client, &beat("modern", "m", epoch, None));
    assert_eq!(found, ErrorCode::None, "the member itself is well");
    running.stop();
}

#[test]
fn producers_that_are_made_up_end_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(&directory);
    let mut client = running.connect("forger");
    let init = |id: &str, timeout: i32, producer: (i64, i16)| InitProducerIdRequest {
        transactional_id: Some(id.to_owned()),
        transaction_timeout_ms: timeout,
        producer_id: producer.0,
        producer_epoch: producer.1,
        ..InitProducerIdRequest::default()
    };
    let mut own = (0, 0);
    let code = answer(|| {
        let response = client.call(5, &init("t", 60_000, (-1, -1)));
        own = (response.producer_id, response.producer_epoch);
        response.error_code
    });
    assert_eq!(code, ErrorCode::None);
    for (timeout, producer, wanted) in [
        (0, (-1, -1), ErrorCode::InvalidTransactionTimeout),
        (i32::MAX, (-1, -1), ErrorCode::InvalidTransactionTimeout),
        (60_000, (own.0 + 7, 0), ErrorCode::ProducerFenced),
        (60_000, (own.0, own.1 + 5), ErrorCode::ProducerFenced),
        (60_000, (own.0, -1), ErrorCode::InvalidRequest),
    ] {
        let found = answer(|| client.call(5, &init("t", timeout, producer)).error_code);
        assert_eq!(found, wanted, "timeout {timeout}, producer {producer:?}");
    }
    let found = answer(|| client.call(5, &init("", 60_000, (-1, -1))).error_code);
    assert_eq!(
        found,
        ErrorCode::InvalidRequest,
        "an empty transactional id"
    );
    let end = |id: &str, producer: (i64, i16)| EndTxnRequest {
        transactional_id: id.to_owned(),
        producer_id: producer.0,
        producer_epoch: producer.1,
        committed: true,
    };
    for (id, producer, wanted) in [
        ("t", (own.0 + 7, own.1), ErrorCode::InvalidProducerIdMapping),
        ("nobody", own, ErrorCode::InvalidProducerIdMapping),
        ("t", (own.0, own.1 + 5), ErrorCode::ProducerFenced),
        ("t", own, ErrorCode::InvalidTxnState),
    ] {
        let found = answer(|| client.call(4, &end(id, producer)).error_code);
        assert_eq!(found, wanted, "EndTxn of {id} as {producer:?}");
    }
    running.stop();
}

/// What does not fit into a record is refused, and leaves the group as it was.
#[test]
fn oversized_metadata_and_subscriptions_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(&directory);
    let mut client = running.connect("large");
    // offset.metadata.max.bytes is 4096.
    let found = committed(&mut client, &commit("offsets", "", -1, &"x".repeat(4097)));
    assert_eq!(found, ErrorCode::OffsetMetadataTooLarge);
    let found = committed(&mut client, &commit("offsets", "", -1, &"x".repeat(4096)));
    assert_eq!(found, ErrorCode::None);
    // Two million bytes of assignment do not fit into the record of a group.
    let response = joined(&mut client, "classic-large", 1000);
    let (member, generation) = (response.member_id, response.generation_id);
    let synced = client.call(5, &sync("classic-large", &member, generation, 2_000_000));
    assert_eq!(error(synced.error_code), ErrorCode::UnknownServerError);
    let again = joined(&mut client, "classic-large-next", 1000);
    assert_eq!(error(again.error_code), ErrorCode::None);
    // Nor do a hundred thousand names.
    let names = (0..100_000)
        .map(|index| format!("a-topic-of-some-length-{index}"))
        .collect();
    let found = beaten(&mut client, &beat("modern-large", "m", 0, Some(names)));
    assert_eq!(found, ErrorCode::UnknownServerError);
    let found = beaten(
        &mut client,
        &beat("modern-large", "m", 0, Some(vec![TOPIC.to_owned()])),
    );
    assert_eq!(
        found,
        ErrorCode::None,
        "the group goes on with a subscription that fits"
    );
    running.stop();
}

/// This process's resident bytes.
#[test]
fn who_fetches_as_a_replica_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(&directory);
    let mut client = running.connect("replica");
    client.call(9, &support::produce(TOPIC, 10, 1));
    let mut fetched = |version, replica_id, topic: &str, current_leader_epoch| {
        let has_state = version >= 15;
        let wanted = FetchPartition {
            current_leader_epoch,
            partition_max_bytes: 1_000,
            ..FetchPartition::default()
        };
        let request = FetchRequest {
            replica_id: if has_state { -1 } else { replica_id },
            replica_state: ReplicaState {
                replica_id: if has_state { replica_id } else { -1 },
                ..ReplicaState::default()
            },
            max_bytes: 1_000,
            topics: vec![FetchTopic {
                topic: topic.to_owned(),
                topic_id: base::Uuid([7; 16]),
                partitions: vec![wanted],
            }],
            ..FetchRequest::default()
        };
        let mut response = client.call(version, &request);
        let partition = response.responses.remove(0).partitions.remove(0);
        let has_records = partition.records.is_some_and(|records| !records.is_empty());
        assert_eq!(has_records, partition.error_code == 0);
        error(partition.error_code)
    };
    for consumer in [-1, -2] {
        assert_eq!(fetched(12, consumer, TOPIC, -1), ErrorCode::None);
    }
    // The broker's own id is not one of a follower either.
    for broker in [0, 1, 5] {
        let mut of = |topic, epoch| fetched(12, broker, topic, epoch);
        assert_eq!(of(TOPIC, -1), ErrorCode::NotLeaderOrFollower);
        assert_eq!(of(TOPIC, 0), ErrorCode::UnknownLeaderEpoch);
        assert_eq!(of(TOPIC, 1), ErrorCode::UnknownLeaderEpoch);
        assert_eq!(of("none", 0), ErrorCode::UnknownTopicOrPartition);
    }
    assert_eq!(fetched(4, 5, TOPIC, -1), ErrorCode::NotLeaderOrFollower);
    assert_eq!(fetched(17, 5, "", 0), ErrorCode::UnknownTopicId);
    running.stop();
}

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1024
}

/// Calls `body` for each number from several connections.
fn spread(address: SocketAddr, count: u32, body: impl Fn(&mut Client, u32) + Sync) {
    const CONNECTIONS: u32 = 8;
    thread::scope(|scope| {
        for first in 0..CONNECTIONS {
            let body = &body;
            scope.spawn(move || {
                let mut client = Client::connect(address, &format!("many-{first}"));
                for index in (first..count).step_by(8) {
                    body(&mut client, index);
                }
            });
        }
    });
}

/// Groups cost what they hold, whoever makes them, and all that hold something are listed, before and after a restart.
///
/// `AFFLUENT_TEST_GROUPS=34000` makes three times as many, a third of each kind, and prints what one costs and how long a
/// restart takes.
#[test]
fn many_groups_cost_little() {
    /// Resident bytes a group may cost, in a build without optimization and with all that the allocator keeps.
    const GROUP_BYTES_MAX: u64 = 4 * 1024;
    /// What else may grow meanwhile: the journal's buffers, and the brokers of the tests beside this one.
    const REST_BYTES_MAX: u64 = 256 << 20;
    let count = std::env::var("AFFLUENT_TEST_GROUPS").map_or(2_000, |count| count.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let running = start(&directory);
    let before = resident_bytes();
    spread(running.address, count, |client, index| {
        let found = committed(client, &commit(&format!("offsets-{index}"), "", -1, ""));
        assert_eq!(found, ErrorCode::None);
        let request = beat(
            &format!("modern-{index}"),
            "m",
            0,
            Some(vec![TOPIC.to_owned()]),
        );
        assert_eq!(beaten(client, &request), ErrorCode::None);
        // Asks for a member id and never comes back with it.
        let mut half = join(&format!("half-{index}"), "", 100);
        half.session_timeout_ms = 1_000;
        let found = answer(|| client.call(9, &half).error_code);
        assert_eq!(found, ErrorCode::MemberIdRequired);
    });
    let grown = resident_bytes().saturating_sub(before);
    let groups = u64::from(count * 3);
    println!("{groups} groups: {grown} bytes, {} each", grown / groups);
    assert!(
        grown < REST_BYTES_MAX + groups * GROUP_BYTES_MAX,
        "{groups} groups cost {grown} bytes"
    );
    let listed = |running: &Running, prefix: &str| {
        let response = running
            .connect("lists")
            .call(5, &ListGroupsRequest::default());
        let groups = response.groups.iter();
        groups
            .filter(|group| group.group_id.starts_with(prefix))
            .count()
    };
    assert_eq!(listed(&running, "offsets-"), count as usize);
    assert_eq!(listed(&running, "modern-"), count as usize);
    running.stop();
    // A restart reads them all again.
    let begun = Instant::now();
    let running = Running::start(directory.path(), &[]);
    let all = || (listed(&running, "offsets-"), listed(&running, "modern-"));
    while all() != (count as usize, count as usize) {
        let waited = begun.elapsed();
        assert!(waited < LIMIT, "{:?} groups after {waited:?}", all());
    }
    println!("{groups} groups: back after {:?}", begun.elapsed());
    running.stop();
}
