//! Offsets of streams groups: who may commit and fetch, deletion, expiry.

use wire::ErrorCode;
use wire::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use wire::messages::{ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest};

use super::{beat, enter, prompt, stateless};
use crate::harness::{Bench, code, commit};
use coordinator::Response;

fn commit_of(member: &str, epoch: i32, topic: &str, partition: i32) -> OffsetCommitRequest {
    let mut request = commit("g", member, epoch, topic, 7);
    request.topics[0].partitions[0].partition_index = partition;
    request
}

#[test]
fn a_member_commits_at_its_epoch_and_what_it_has_kept_at_earlier_ones() {
    let mut bench = prompt();
    bench.streams_pair();
    let mut commit = |member: &str, epoch: i32, topic: &str, partition: i32, version: i16| {
        let request = commit_of(member, epoch, topic, partition);
        bench.commit_now(version, request)[0]
    };
    assert_eq!(commit("a", 3, "t", 0, 9), ErrorCode::None);
    assert_eq!(commit("a", 4, "t", 0, 9), ErrorCode::StaleMemberEpoch);
    // a has had 0 since epoch 2, and has given 2 away.
    assert_eq!(commit("a", 2, "t", 0, 9), ErrorCode::None);
    assert_eq!(commit("a", 1, "t", 0, 9), ErrorCode::StaleMemberEpoch);
    assert_eq!(commit("a", 2, "t", 2, 9), ErrorCode::StaleMemberEpoch);
    assert_eq!(commit("a", 2, "u", 0, 9), ErrorCode::StaleMemberEpoch);
    assert_eq!(commit("b", 2, "t", 2, 9), ErrorCode::StaleMemberEpoch);
    assert_eq!(commit("x", 3, "t", 0, 9), ErrorCode::UnknownMemberId);
    assert_eq!(commit("", -1, "t", 0, 9), ErrorCode::UnknownMemberId);
    assert_eq!(commit("a", 3, "t", 0, 8), ErrorCode::UnsupportedVersion);
}

#[test]
fn a_fetch_that_names_a_member_needs_its_epoch() {
    let mut bench = prompt();
    bench.streams_pair();
    let mut fetch = |member: Option<&str>, epoch: i32| {
        let request = OffsetFetchRequestGroup {
            group_id: "g".into(),
            member_id: member.map(Into::into),
            member_epoch: epoch,
            ..OffsetFetchRequestGroup::default()
        };
        let token = bench.token();
        let actions = bench.shard.offset_fetch(token, request, false);
        bench.run(actions);
        match bench.response(token) {
            Response::OffsetFetch(response) => code(response.error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fetch(None, -1), ErrorCode::None);
    assert_eq!(fetch(Some("a"), 3), ErrorCode::None);
    assert_eq!(fetch(Some("a"), 2), ErrorCode::StaleMemberEpoch);
    assert_eq!(fetch(Some("x"), 3), ErrorCode::UnknownMemberId);
}

fn delete_offset(bench: &mut Bench, topic: &str) -> ErrorCode {
    let request = OffsetDeleteRequest {
        group_id: "g".into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: topic.into(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
        }],
    };
    let token = bench.token();
    let actions = bench.shard.offset_delete(token, request);
    bench.run(actions);
    match bench.response(token) {
        Response::OffsetDelete(response) => match response.error_code {
            0 => code(response.topics[0].partitions[0].error_code),
            error => code(error),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_group_goes_with_its_offsets() {
    let mut bench = prompt();
    bench.topic("t", 1);
    bench.streams(&enter("a", &stateless()));
    bench.commit_now(9, commit_of("a", 2, "t", 0));
    bench.commit_now(9, commit_of("a", 2, "u", 0));
    assert_eq!(
        delete_offset(&mut bench, "t"),
        ErrorCode::GroupSubscribedToTopic
    );
    assert_eq!(delete_offset(&mut bench, "u"), ErrorCode::None);
    let delete = |bench: &mut Bench| {
        let token = bench.token();
        let actions = bench.shard.delete_groups(token, &["g".to_owned()]);
        bench.run(actions);
        match bench.response(token) {
            Response::DeleteGroups(results) => code(results[0].error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(delete(&mut bench), ErrorCode::NonEmptyGroup);
    bench.streams(&beat("a", -1));
    assert_eq!(delete(&mut bench), ErrorCode::None);
    assert_eq!(bench.streams_state(), "GROUP_ID_NOT_FOUND");
    let loaded = bench.reload();
    assert!(
        loaded
            .shard
            .list_groups(&ListGroupsRequest::default())
            .unwrap()
            .is_empty()
    );
    // Compacted, nothing is left.
    let mut last = std::collections::BTreeMap::new();
    for record in &bench.log {
        last.insert(record.key.clone(), record.value.is_some());
    }
    assert!(last.values().all(|value| !value), "{last:?}");
}

#[test]
fn an_empty_group_expires_with_its_offsets() {
    let mut bench = prompt();
    bench.topic("t", 1);
    bench.streams(&enter("a", &stateless()));
    bench.commit_now(9, commit_of("a", 2, "t", 0));
    bench.streams(&beat("a", -1));
    assert_eq!(bench.fetch_all("g"), "t-0=7 \"m\"");
    bench.advance(7 * 24 * 60 * 60 * 1_000 + 600_000);
    assert_eq!(bench.streams_state(), "GROUP_ID_NOT_FOUND");
    assert_eq!(bench.fetch_all("g"), "");
}
