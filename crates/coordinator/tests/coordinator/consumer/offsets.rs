//! Offsets of consumer groups: who may commit and fetch, deletion, expiry.

use wire::ErrorCode;
use wire::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use wire::messages::{ListGroupsRequest, OffsetDeleteRequest};

use super::{beat, enter};
use crate::harness::{Bench, code, commit};
use coordinator::Response;

fn commit_of(
    bench: &Bench,
    member: &str,
    epoch: i32,
    partition: i32,
) -> wire::messages::OffsetCommitRequest {
    let mut request = commit("g", member, epoch, "t", 7);
    request.topics[0].topic_id = bench.cluster.id("t");
    request.topics[0].partitions[0].partition_index = partition;
    request
}

#[test]
fn a_member_commits_at_its_epoch_and_what_it_has_kept_at_earlier_ones() {
    let mut bench = Bench::new();
    bench.pair();
    let mut commit = |member: &str, epoch: i32, partition: i32, version: i16| {
        let request = commit_of(&bench, member, epoch, partition);
        bench.commit_now(version, request)[0]
    };
    assert_eq!(commit("a", 3, 0, 9), ErrorCode::None);
    assert_eq!(commit("a", 4, 0, 9), ErrorCode::StaleMemberEpoch);
    // a has had 0 since epoch 2, and has given 2 away.
    assert_eq!(commit("a", 2, 0, 9), ErrorCode::None);
    assert_eq!(commit("a", 1, 0, 9), ErrorCode::StaleMemberEpoch);
    assert_eq!(commit("a", 2, 2, 9), ErrorCode::StaleMemberEpoch);
    // b has had 2 since epoch 3.
    assert_eq!(commit("b", 3, 2, 9), ErrorCode::None);
    assert_eq!(commit("b", 2, 2, 9), ErrorCode::StaleMemberEpoch);
    assert_eq!(commit("x", 3, 0, 9), ErrorCode::UnknownMemberId);
    assert_eq!(commit("", -1, 0, 9), ErrorCode::UnknownMemberId);
    assert_eq!(commit("a", 3, 0, 8), ErrorCode::UnsupportedVersion);
}

#[test]
fn an_empty_group_takes_commits_from_outside() {
    let mut bench = Bench::new();
    bench.topic("t", 1);
    bench.beat(&enter("g", "a", &["t"]));
    bench.beat(&beat("g", "a", -1));
    let request = commit_of(&bench, "", -1, 0);
    assert_eq!(bench.commit_now(9, request), [ErrorCode::None]);
    assert_eq!(bench.fetch_all("g"), "t-0=7 \"m\"");
}

#[test]
fn a_fetch_that_names_a_member_needs_its_epoch() {
    let mut bench = Bench::new();
    bench.pair();
    let mut fetch = |member: Option<&str>, epoch: i32| {
        let token = bench.token();
        let request = OffsetFetchRequestGroup {
            group_id: "g".into(),
            member_id: member.map(Into::into),
            member_epoch: epoch,
            ..OffsetFetchRequestGroup::default()
        };
        let actions = bench.shard.offset_fetch(token, request, false);
        bench.run(actions);
        match bench.response(token) {
            Response::OffsetFetch(group) => code(group.error_code),
            other => panic!("not an OffsetFetch response: {other:?}"),
        }
    };
    assert_eq!(fetch(None, -1), ErrorCode::None);
    assert_eq!(fetch(Some("a"), 3), ErrorCode::None);
    assert_eq!(fetch(Some("a"), 2), ErrorCode::StaleMemberEpoch);
    assert_eq!(fetch(Some("x"), 3), ErrorCode::UnknownMemberId);
    assert_eq!(fetch(Some(""), -1), ErrorCode::UnknownMemberId);
}

fn delete_of(bench: &mut Bench, topic: &str) -> ErrorCode {
    let token = bench.token();
    let request = OffsetDeleteRequest {
        group_id: "g".into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: topic.into(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
        }],
    };
    let actions = bench.shard.offset_delete(token, request);
    bench.run(actions);
    match bench.response(token) {
        Response::OffsetDelete(response) => {
            assert_eq!(response.error_code, 0);
            code(response.topics[0].partitions[0].error_code)
        }
        other => panic!("not an OffsetDelete response: {other:?}"),
    }
}

#[test]
fn offsets_of_subscribed_topics_stay() {
    let mut bench = Bench::new();
    bench.pair();
    let request = commit_of(&bench, "a", 3, 0);
    bench.commit_now(9, request);
    assert_eq!(
        delete_of(&mut bench, "t"),
        ErrorCode::GroupSubscribedToTopic
    );
    assert_eq!(delete_of(&mut bench, "other"), ErrorCode::None);
    assert_eq!(bench.fetch_all("g"), "t-0=7 \"m\"");
}

fn delete_group(bench: &mut Bench) -> ErrorCode {
    let token = bench.token();
    let actions = bench.shard.delete_groups(token, &["g".to_owned()]);
    bench.run(actions);
    match bench.response(token) {
        Response::DeleteGroups(results) => code(results[0].error_code),
        other => panic!("not a DeleteGroups response: {other:?}"),
    }
}

#[test]
fn an_empty_group_can_be_deleted_and_made_again() {
    let mut bench = Bench::new();
    bench.pair();
    assert_eq!(delete_group(&mut bench), ErrorCode::NonEmptyGroup);
    let request = commit_of(&bench, "a", 3, 0);
    bench.commit_now(9, request);
    bench.beat(&beat("g", "a", -1));
    bench.beat(&beat("g", "b", -1));
    bench.auto_commit = false;
    let token = bench.token();
    let actions = bench.shard.delete_groups(token, &["g".to_owned()]);
    bench.run(actions);
    // While the tombstones are on their way there is no such group, and a new one can begin.
    let join = bench.send_beat(&enter("g", "c", &["t"]));
    bench.commit_next();
    assert!(bench.is_waiting(join));
    bench.commit_next();
    assert_eq!(bench.beaten(join).member_epoch, 2);
    assert_eq!(bench.consumer_state("g"), "Stable 2/2; c@2 t[0, 1, 2, 3]");
    assert_eq!(bench.fetch_all("g"), "");
    let loaded = bench.reload();
    assert_eq!(bench.described("g"), loaded.described("g"));
}

#[test]
fn a_deletion_that_fails_leaves_the_group() {
    let mut bench = Bench::new();
    bench.beat(&enter("g", "a", &["t"]));
    bench.beat(&beat("g", "a", -1));
    bench.auto_commit = false;
    let token = bench.token();
    let actions = bench.shard.delete_groups(token, &["g".to_owned()]);
    bench.run(actions);
    bench.fail_next(coordinator::AppendError::NotLeader);
    assert_eq!(bench.consumer_state("g"), "Empty 3/2");
}

#[test]
fn idle_groups_go_with_their_offsets() {
    let mut bench = Bench::new();
    bench.topic("t", 1);
    bench.topic("u", 1);
    bench.beat(&enter("g", "a", &["t"]));
    for topic in ["t", "u"] {
        let mut request = commit("g", "a", 2, topic, 7);
        request.topics[0].topic_id = bench.cluster.id(topic);
        assert_eq!(bench.commit_now(9, request), [ErrorCode::None]);
    }
    let week = 7 * 24 * 60 * 60 * 1_000;
    let beat_for = |bench: &mut Bench, ms: u64| {
        for _ in 0..ms / 40_000 {
            bench.advance(40_000);
            bench.beat(&beat("g", "a", 2));
        }
    };
    beat_for(&mut bench, week + 1_200_000);
    // u is not subscribed to.
    assert_eq!(bench.fetch_all("g"), "t-0=7 \"m\"");
    bench.beat(&beat("g", "a", -1));
    bench.advance(1_200_000);
    assert_eq!(bench.fetch_all("g"), "");
    assert_eq!(bench.consumer_state("g"), "GROUP_ID_NOT_FOUND");
    let listed = bench.shard.list_groups(&ListGroupsRequest::default());
    assert_eq!(listed.unwrap(), []);
    let loaded = bench.reload();
    assert_eq!(loaded.consumer_state("g"), "GROUP_ID_NOT_FOUND");
}

#[test]
fn groups_are_listed_by_type_and_state() {
    let mut bench = Bench::new();
    bench.pair();
    bench.stable_group("classic", &["m"]);
    let list = |bench: &Bench, states: &[&str], types: &[&str]| {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let request = ListGroupsRequest {
            states_filter: own(states),
            types_filter: own(types),
        };
        let groups = bench.shard.list_groups(&request).unwrap();
        let shown = groups.iter().map(|group| {
            format!(
                "{} {} {}",
                group.group_id, group.group_type, group.group_state
            )
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(
        list(&bench, &[], &[]),
        "classic classic Stable, g consumer Stable"
    );
    assert_eq!(list(&bench, &[], &["consumer"]), "g consumer Stable");
    assert_eq!(list(&bench, &["assigning"], &[]), "");
    // DescribeGroups knows classic groups only.
    let described = bench
        .shard
        .describe_groups(&crate::harness::context(6), &["g".to_owned()])
        .remove(0);
    assert_eq!(code(described.error_code), ErrorCode::GroupIdNotFound);
    assert_eq!(
        described.error_message.as_deref(),
        Some("Group g is not a classic group.")
    );
    assert_eq!(bench.consumer_state("classic"), "GROUP_ID_NOT_FOUND");
}
