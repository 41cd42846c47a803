//! OffsetCommit, OffsetFetch, OffsetDelete, the deletion of topics, expiry.

use base::{TopicId, Uuid};
use coordinator::{AppendError, Response, from_grouped_fetch, to_grouped_fetch};
use wire::ErrorCode;
use wire::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use wire::messages::offset_fetch_request::OffsetFetchRequestTopic;
use wire::messages::{OffsetDeleteRequest, OffsetFetchRequest};

use crate::harness::{Bench, code, commit, follower, join, leader};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// The period of the sweep.
const SWEEP_MS: u64 = 600_000;

#[test]
fn commits_are_checked() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a"]);
    let id = members[0].id.clone();
    for (version, group, member, generation, error) in [
        (9, "g", id.as_str(), 1, ErrorCode::None),
        (9, "g", &id, 0, ErrorCode::IllegalGeneration),
        (9, "g", "stranger", 1, ErrorCode::UnknownMemberId),
        (9, "g", "", -1, ErrorCode::UnknownMemberId),
        (9, "g", &id, -1, ErrorCode::IllegalGeneration),
        (9, "unknown", "m", 1, ErrorCode::GroupIdNotFound),
        (8, "unknown", "m", 1, ErrorCode::IllegalGeneration),
        (8, "simple", "", -1, ErrorCode::None),
        (8, "simple", "", -1, ErrorCode::None),
        (8, "simple", "m", 1, ErrorCode::UnknownMemberId),
        (8, "", "", -1, ErrorCode::None),
    ] {
        let errors = bench.commit_now(version, commit(group, member, generation, "t", 7));
        assert_eq!(errors, [error], "v{version} {group} {member} {generation}");
    }
    assert_eq!(bench.fetch_all(""), "t-0=7 \"m\"");
    assert_eq!(bench.state("simple"), "Empty 0");
}

#[test]
fn commits_during_a_rebalance_are_taken_until_the_new_generation_is_known() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a", "b"]);
    let (lead, other) = (leader(&members).id.clone(), follower(&members).id.clone());
    let token = bench.send_join(join("g").member(&lead));
    assert_eq!(bench.state("g"), "PreparingRebalance 2");
    assert_eq!(
        bench.commit_now(9, commit("g", &other, 1, "t", 1)),
        [ErrorCode::None]
    );
    let rejoin = bench.send_join(join("g").member(&other));
    assert_eq!(bench.joined(token).generation_id, 2);
    bench.joined(rejoin);
    assert_eq!(
        bench.commit_now(9, commit("g", &other, 1, "t", 2)),
        [ErrorCode::IllegalGeneration]
    );
    assert_eq!(
        bench.commit_now(9, commit("g", &other, 2, "t", 2)),
        [ErrorCode::RebalanceInProgress]
    );
    assert_eq!(bench.fetch_all("g"), "t-0=1 \"m\"");
}

#[test]
fn a_commit_is_a_heartbeat() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a"]);
    for offset in 0..3 {
        bench.advance(9_000);
        let errors = bench.commit_now(9, commit("g", &members[0].id, 1, "t", offset));
        assert_eq!(errors, [ErrorCode::None]);
    }
    assert_eq!(bench.heartbeat("g", &members[0].id, 1), ErrorCode::None);
}

#[test]
fn metadata_is_limited_in_utf16_units_per_partition() {
    let mut bench = Bench::new();
    for (metadata, error) in [
        (None, ErrorCode::None),
        (Some("a".repeat(4_096)), ErrorCode::None),
        (Some("é".repeat(4_096)), ErrorCode::None),
        (
            Some("\u{1F600}".repeat(2_049)),
            ErrorCode::OffsetMetadataTooLarge,
        ),
        (Some("a".repeat(4_097)), ErrorCode::OffsetMetadataTooLarge),
    ] {
        let mut request = commit("g", "", -1, "good", 1);
        let mut bad = commit("g", "", -1, "t", 1).topics.remove(0);
        bad.partitions[0].committed_metadata = metadata;
        request.topics.push(bad);
        assert_eq!(bench.commit_now(9, request), [ErrorCode::None, error]);
    }
    let mut only_bad = commit("other", "", -1, "t", 1);
    only_bad.topics[0].partitions[0].committed_metadata = Some("a".repeat(4_097));
    assert_eq!(
        bench.commit_now(9, only_bad),
        [ErrorCode::OffsetMetadataTooLarge]
    );
    assert!(
        bench
            .fetch_all("g")
            .starts_with("good-0=1 \"m\", t-0=1 \"é")
    );
}

#[test]
fn offsets_are_visible_when_durable_and_not_before() {
    let mut bench = Bench::new();
    bench.commit_now(9, commit("g", "", -1, "t", 1));
    bench.auto_commit = false;
    let second = bench.send_commit(9, commit("g", "", -1, "t", 2));
    let third = bench.send_commit(9, commit("g", "", -1, "t", 3));
    assert_eq!(bench.fetch_all("g"), "t-0=1 \"m\"");
    let stable = bench.send_fetch("g", Some(&[("t", 0)]), true);
    let elsewhere = bench.send_fetch("h", Some(&[("t", 0)]), true);
    assert_eq!(
        bench.fetched(elsewhere),
        "t-0=-1 \"\"",
        "only its own group is waited for"
    );
    bench.commit_next();
    assert_eq!(bench.commit_errors(second), [ErrorCode::None]);
    assert!(bench.is_waiting(third) && bench.is_waiting(stable));
    assert_eq!(bench.fetch_all("g"), "t-0=2 \"m\"");
    bench.commit_next();
    assert_eq!(bench.commit_errors(third), [ErrorCode::None]);
    assert_eq!(bench.fetched(stable), "t-0=3 \"m\"");
}

#[test]
fn a_failed_commit_leaves_the_offset_as_it_was() {
    for (error, answer) in [
        (AppendError::TimedOut, ErrorCode::CoordinatorNotAvailable),
        (AppendError::NotLeader, ErrorCode::NotCoordinator),
        (AppendError::Storage, ErrorCode::NotCoordinator),
        (AppendError::TooLarge, ErrorCode::UnknownServerError),
        (AppendError::Unknown, ErrorCode::UnknownServerError),
    ] {
        let mut bench = Bench::new();
        bench.auto_commit = false;
        let token = bench.send_commit(9, commit("g", "", -1, "t", 1));
        let stable = bench.send_fetch("g", Some(&[("t", 0)]), true);
        bench.fail_next(error);
        assert_eq!(bench.commit_errors(token), [answer]);
        assert_eq!(bench.fetched(stable), "t-0=-1 \"\"");
        assert_eq!(bench.state("g"), "Dead 0");
    }
}

#[test]
fn an_overdue_commit_is_answered_and_still_takes_effect() {
    let mut bench = Bench::new();
    bench.auto_commit = false;
    let token = bench.send_commit(9, commit("g", "", -1, "t", 1));
    let stable = bench.send_fetch("g", Some(&[("t", 0)]), true);
    bench.advance(5_000);
    assert_eq!(
        bench.commit_errors(token),
        [ErrorCode::CoordinatorNotAvailable]
    );
    assert_eq!(bench.fetched(stable), "NOT_COORDINATOR");
    assert_eq!(bench.fetch_all("g"), "");
    bench.commit_next();
    assert_eq!(bench.fetch_all("g"), "t-0=1 \"m\"");
}

#[test]
fn fetching_what_was_never_committed_is_no_error() {
    let mut bench = Bench::new();
    bench.commit_now(9, commit("g", "", -1, "t", 1));
    for (group, topic, expected) in [
        ("unknown", "t", "t-0=-1 \"\""),
        ("g", "u", "u-0=-1 \"\""),
        ("g", "t", "t-0=1 \"m\""),
    ] {
        let token = bench.send_fetch(group, Some(&[(topic, 0)]), true);
        assert_eq!(bench.fetched(token), expected);
    }
    assert_eq!(bench.fetch_all("unknown"), "");
}

#[test]
fn offsets_of_an_earlier_topic_of_the_same_name_do_not_count() {
    let mut bench = Bench::new();
    let (old, new) = (Uuid([1; 16]), Uuid([2; 16]));
    let mut request = commit("g", "", -1, "t", 1);
    request.topics[0].topic_id = old;
    bench.commit_now(10, request);
    for (id, expected) in [(old, 1), (new, -1), (Uuid::ZERO, 1)] {
        let token = bench.token();
        let mut request = to_grouped_fetch(&OffsetFetchRequest {
            group_id: "g".into(),
            topics: Some(vec![OffsetFetchRequestTopic {
                name: "t".into(),
                partition_indexes: vec![0],
            }]),
            ..OffsetFetchRequest::default()
        });
        request.topics.as_mut().unwrap()[0].topic_id = id;
        let actions = bench.shard.offset_fetch(token, request, false);
        bench.run(actions);
        let Response::OffsetFetch(group) = bench.response(token) else {
            panic!("OffsetFetch")
        };
        assert_eq!(group.topics[0].partitions[0].committed_offset, expected);
    }
    let actions = bench.shard.topics_deleted(&[("t".into(), TopicId(new))]);
    bench.run(actions);
    assert_eq!(bench.fetch_all("g"), "t-0=1 \"m\"");
    let actions = bench.shard.topics_deleted(&[("t".into(), TopicId(old))]);
    bench.run(actions);
    assert_eq!(bench.fetch_all("g"), "");
    assert_eq!(bench.reload().fetch_all("g"), "");
}

#[test]
fn a_topic_deletion_also_removes_what_is_on_its_way() {
    let mut bench = Bench::new();
    bench.auto_commit = false;
    bench.send_commit(9, commit("g", "", -1, "t", 1));
    let actions = bench
        .shard
        .topics_deleted(&[("t".into(), TopicId(Uuid([1; 16])))]);
    bench.run(actions);
    bench.commit_next();
    assert_eq!(bench.fetch_all("g"), "t-0=1 \"m\"");
    bench.commit_next();
    assert_eq!(bench.fetch_all("g"), "");
}

#[test]
fn versions_before_8_fetch_one_group() {
    let mut bench = Bench::new();
    bench.commit_now(9, commit("g", "", -1, "t", 1));
    let request = OffsetFetchRequest {
        group_id: "g".into(),
        topics: Some(vec![OffsetFetchRequestTopic {
            name: "t".into(),
            partition_indexes: vec![0, 1],
        }]),
        ..OffsetFetchRequest::default()
    };
    let token = bench.token();
    let actions = bench
        .shard
        .offset_fetch(token, to_grouped_fetch(&request), false);
    bench.run(actions);
    let Response::OffsetFetch(group) = bench.response(token) else {
        panic!("OffsetFetch")
    };
    let response = from_grouped_fetch(7, &request, group);
    let offsets: Vec<_> = response.topics[0]
        .partitions
        .iter()
        .map(|part| part.committed_offset)
        .collect();
    assert_eq!((response.error_code, offsets), (0, vec![1, -1]));

    let unloaded = bench.shard.unload();
    bench.run(unloaded);
    for (version, top, partition) in [(1, 16, Some(16)), (2, 16, None)] {
        let token = bench.token();
        let actions = bench
            .shard
            .offset_fetch(token, to_grouped_fetch(&request), false);
        bench.run(actions);
        let Response::OffsetFetch(group) = bench.response(token) else {
            panic!("OffsetFetch")
        };
        let response = from_grouped_fetch(version, &request, group);
        assert_eq!(response.error_code, top);
        let first = response
            .topics
            .first()
            .map(|topic| topic.partitions[0].error_code);
        assert_eq!(first, partition);
    }
}

fn delete(bench: &mut Bench, group: &str, topic: &str) -> (ErrorCode, Option<ErrorCode>) {
    let token = bench.token();
    let request = OffsetDeleteRequest {
        group_id: group.into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: topic.into(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
        }],
    };
    let actions = bench.shard.offset_delete(token, request);
    bench.run(actions);
    let Response::OffsetDelete(response) = bench.response(token) else {
        panic!("OffsetDelete")
    };
    let first = response
        .topics
        .first()
        .map(|topic| code(topic.partitions[0].error_code));
    (code(response.error_code), first)
}

#[test]
fn offsets_are_deleted_unless_the_group_is_subscribed() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a"]);
    let id = &members[0].id;
    for topic in ["t", "old"] {
        bench.commit_now(9, commit("g", id, 1, topic, 1));
    }
    let connect = join("c").version(3).protocol_type("connect");
    bench.stable_group_of("c", vec![connect]);
    use ErrorCode::{GroupIdNotFound, GroupSubscribedToTopic, InvalidGroupId, NonEmptyGroup};
    for (group, topic, expected) in [
        ("", "t", (InvalidGroupId, None)),
        ("unknown", "t", (GroupIdNotFound, None)),
        ("c", "t", (NonEmptyGroup, None)),
        ("g", "t", (ErrorCode::None, Some(GroupSubscribedToTopic))),
        ("g", "old", (ErrorCode::None, Some(ErrorCode::None))),
        ("g", "never", (ErrorCode::None, Some(ErrorCode::None))),
    ] {
        assert_eq!(
            delete(&mut bench, group, topic),
            expected,
            "{group} {topic}"
        );
    }
    assert_eq!(bench.fetch_all("g"), "t-0=1 \"m\"");
    assert_eq!(bench.reload().fetch_all("g"), "t-0=1 \"m\"");
    // What a loaded group is subscribed to comes from its record.
    let mut loaded = bench.reload();
    assert_eq!(
        delete(&mut loaded, "g", "t").1,
        Some(GroupSubscribedToTopic)
    );
}

#[test]
fn an_unreadable_subscription_counts_as_subscribed_to_all() {
    let mut bench = Bench::new();
    let mut request = join("g").version(3);
    request.request.protocols[0].metadata = vec![0].into();
    bench.stable_group_of("g", vec![request]);
    let expected = (ErrorCode::None, Some(ErrorCode::GroupSubscribedToTopic));
    assert_eq!(delete(&mut bench, "g", "anything"), expected);
}

#[test]
fn an_empty_group_keeps_its_offsets_for_the_retention_and_goes_with_them() {
    let mut bench = Bench::new();
    let long = join("g").version(3).session_ms(1_800_000);
    let members = bench.stable_group_of("g", vec![long]);
    bench.commit_now(9, commit("g", &members[0].id, 1, "t", 1));
    // Members keep the offsets of their topics, however old the commit is.
    for _ in 0..8 * DAY_MS / 1_200_000 {
        bench.advance(1_200_000);
        assert_eq!(bench.heartbeat("g", &members[0].id, 1), ErrorCode::None);
    }
    assert_eq!(bench.fetch_all("g"), "t-0=1 \"m\"");
    bench.send_leave("g", &[(&members[0].id, None)]);
    bench.advance(7 * DAY_MS - 1);
    assert_eq!(bench.fetch_all("g"), "t-0=1 \"m\"");
    bench.advance(SWEEP_MS);
    assert_eq!(bench.fetch_all("g"), "");
    assert_eq!(bench.state("g"), "Dead 0");
    assert_eq!(bench.reload().state("g"), "Dead 0");
}

#[test]
fn a_stable_group_loses_offsets_of_topics_it_left() {
    let mut bench = Bench::new();
    let long = join("g").version(3).session_ms(1_800_000);
    let members = bench.stable_group_of("g", vec![long]);
    for topic in ["t", "left"] {
        bench.commit_now(9, commit("g", &members[0].id, 1, topic, 1));
    }
    for _ in 0..7 * 24 * 3 {
        bench.advance(1_200_000);
        assert_eq!(bench.heartbeat("g", &members[0].id, 1), ErrorCode::None);
    }
    bench.advance(SWEEP_MS);
    assert_eq!(bench.fetch_all("g"), "t-0=1 \"m\"");
}

#[test]
fn offsets_of_a_simple_group_expire_each_by_its_commit() {
    let mut bench = Bench::new();
    bench.commit_now(9, commit("g", "", -1, "early", 1));
    bench.advance(DAY_MS);
    bench.commit_now(9, commit("g", "", -1, "late", 1));
    let mut short = commit("g", "", -1, "short", 1);
    short.retention_time_ms = 1_000;
    bench.commit_now(4, short);
    bench.advance(SWEEP_MS);
    assert_eq!(bench.fetch_all("g"), "early-0=1 \"m\", late-0=1 \"m\"");
    bench.advance(6 * DAY_MS);
    assert_eq!(bench.fetch_all("g"), "late-0=1 \"m\"");
    bench.advance(DAY_MS);
    assert_eq!(bench.state("g"), "Dead 0");
}

#[test]
fn the_sweep_leaves_groups_alone_that_have_commits_in_flight() {
    let mut bench = Bench::new();
    bench.commit_now(9, commit("g", "", -1, "t", 1));
    bench
        .clock
        .advance(std::time::Duration::from_millis(8 * DAY_MS));
    bench.auto_commit = false;
    bench.send_commit(9, commit("g", "", -1, "t", 2));
    let actions = bench.shard.tick();
    bench.run(actions);
    assert_eq!(bench.in_flight.len(), 1);
    bench.commit_next();
    assert_eq!(bench.fetch_all("g"), "t-0=2 \"m\"");
}

#[test]
fn an_empty_group_without_offsets_goes_with_the_next_sweep() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a"]);
    bench.send_leave("g", &[(&members[0].id, None)]);
    bench.advance(SWEEP_MS);
    assert_eq!(bench.state("g"), "Dead 0");
}
