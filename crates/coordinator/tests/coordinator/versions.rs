//! Every answer can be encoded in every version of its API: no field is set that a version cannot say.

use coordinator::{Response, from_grouped_fetch, to_grouped_fetch};
use wire::messages::delete_groups_response::DeletableGroupResult;
use wire::messages::{
    DeleteGroupsResponse, DescribeGroupsResponse, HeartbeatRequest, LeaveGroupRequest,
    ListGroupsRequest, ListGroupsResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use wire::{Message, Writer};

use crate::harness::{Bench, commit, context, join, sync};

fn encodes<T: Message>(message: &T, version: i16) {
    let mut writer = Writer::with_capacity(256);
    if let Err(error) = message.encode(&mut writer, version) {
        panic!("{} version {version}: {error}", T::NAME);
    }
}

#[test]
fn join_sync_heartbeat_and_leave() {
    for version in 0..=9 {
        let mut bench = Bench::new();
        let members = bench.stable_group("g", &["a"]);
        let mut requests = vec![
            join("").version(version),
            join("g").version(version).member("stranger"),
            join("g").version(version).protocols(&["other"]),
            join("new").version(version),
            join("g").version(version).member(&members[0].id),
        ];
        if version >= 5 {
            bench.stable_group_of("s", vec![join("s").version(version).instance("i")]);
            requests.push(join("s").version(version).instance("i"));
        }
        for request in requests {
            let token = bench.send_join(request);
            bench.advance(3_000);
            encodes(&bench.joined(token), version);
        }
    }
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a"]);
    for (version, member) in (0..=5).flat_map(|v| [(v, &*members[0].id), (v, "stranger")]) {
        encodes(&bench.sync_now(sync("g", 1, member)), version);
        let token = bench.token();
        let request = HeartbeatRequest {
            group_id: "g".into(),
            ..HeartbeatRequest::default()
        };
        let actions = bench.shard.heartbeat(token, &request);
        bench.run(actions);
        let Response::Heartbeat(response) = bench.response(token) else {
            panic!("Heartbeat")
        };
        encodes(&response, version.min(4));
        for group in ["", "g", "unknown"] {
            let token = bench.token();
            let request = LeaveGroupRequest {
                group_id: group.into(),
                member_id: "stranger".into(),
                ..LeaveGroupRequest::default()
            };
            let actions = bench.shard.leave_group(token, &context(version), request);
            bench.run(actions);
            encodes(&bench.left(token), version);
        }
    }
}

#[test]
fn offsets_and_administration() {
    let mut bench = Bench::new();
    bench.stable_group("g", &["a"]);
    for version in 2..=10 {
        for group in ["g", "simple"] {
            let token = bench.send_commit(version, commit(group, "", -1, "t", 1));
            let Response::OffsetCommit(response) = bench.response(token) else {
                panic!("commit")
            };
            encodes(&response, version);
        }
    }
    for version in 1..=10 {
        let request = OffsetFetchRequest {
            group_id: "simple".into(),
            ..Default::default()
        };
        let token = bench.token();
        let actions = bench
            .shard
            .offset_fetch(token, to_grouped_fetch(&request), true);
        bench.run(actions);
        let Response::OffsetFetch(group) = bench.response(token) else {
            panic!("fetch")
        };
        let response = if version < 8 {
            from_grouped_fetch(version, &request, group)
        } else {
            OffsetFetchResponse {
                groups: vec![group],
                ..OffsetFetchResponse::default()
            }
        };
        encodes(&response, version);
    }
    for version in 0..=6 {
        let groups = ["g".to_owned(), "unknown".to_owned()];
        let groups = bench.shard.describe_groups(&context(version), &groups);
        encodes(
            &DescribeGroupsResponse {
                groups,
                ..Default::default()
            },
            version,
        );
        let groups = bench
            .shard
            .list_groups(&ListGroupsRequest::default())
            .expect("it serves");
        encodes(
            &ListGroupsResponse {
                groups,
                ..Default::default()
            },
            version.min(5),
        );
    }
    let token = bench.token();
    let actions = bench
        .shard
        .delete_groups(token, &["g".to_owned(), "unknown".to_owned()]);
    bench.run(actions);
    let Response::DeleteGroups(results) = bench.response(token) else {
        panic!("delete")
    };
    let texts: Vec<_> = results
        .iter()
        .map(|r: &DeletableGroupResult| &r.error_message)
        .collect();
    assert!(texts.iter().all(|text| text.is_some()), "{texts:?}");
    for version in 0..=3 {
        encodes(
            &DeleteGroupsResponse {
                results: results.clone(),
                ..Default::default()
            },
            version,
        );
    }
}
