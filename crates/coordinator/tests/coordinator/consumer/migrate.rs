//! Live groups that change their protocol.

use coordinator::{AppendError, GroupConfig, MigrationPolicy};
use wire::ErrorCode;
use wire::messages::ConsumerProtocolAssignment;
use wire::messages::consumer_protocol_assignment::TopicPartition;
use wire::{Message, Writer};

use super::classic::assigned;
use super::{beat, enter, error};
use crate::harness::{Bench, code, join, sync};

/// An assignment of the embedded consumer protocol.
fn assign(topic: &str, partitions: &[i32]) -> bytes::Bytes {
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: vec![TopicPartition {
            topic: topic.into(),
            partitions: partitions.to_vec(),
        }],
        ..ConsumerProtocolAssignment::default()
    };
    let mut writer = Writer::default();
    writer.i16(1);
    assignment.encode(&mut writer, 1).unwrap();
    writer.into_bytes().unwrap()
}

/// A classic group with one member, at generation 1, that has all of `t`.
fn classic(bench: &mut Bench) -> String {
    bench.topic("t", 2);
    let token = bench.send_join(join("g").version(3));
    bench.advance(6_000);
    let member = bench.joined(token).member_id;
    let mut lead = sync("g", 1, &member);
    lead.request.assignments = vec![
        wire::messages::sync_group_request::SyncGroupRequestAssignment {
            member_id: member.clone(),
            assignment: assign("t", &[0, 1]),
        },
    ];
    let synced = bench.sync_now(lead);
    assert_eq!(code(synced.error_code), ErrorCode::None);
    member
}

fn with_policy(migration: MigrationPolicy) -> Bench {
    let mut config = GroupConfig::default();
    config.consumer.migration = migration;
    Bench::with(config)
}

#[test]
fn a_classic_group_becomes_a_consumer_group_and_one_again() {
    let mut bench = Bench::new();
    let member = classic(&mut bench);
    assert_eq!(bench.beat(&enter("g", "m", &["t"])), "2");
    let described = bench.described("g");
    assert_eq!(
        (described.group_state.as_str(), described.group_epoch),
        ("Reconciling", 2)
    );
    let loaded = bench.reload();
    assert_eq!(bench.described("g"), loaded.described("g"));
    // The classic member keeps what it has until it has joined again.
    assert_eq!(
        bench.heartbeat("g", &member, 1),
        ErrorCode::RebalanceInProgress
    );
    let joined = bench.join_now(join("g").member(&member));
    assert_eq!(
        (code(joined.error_code), joined.generation_id),
        (ErrorCode::None, 2)
    );
    let synced = bench.sync_now(sync("g", 2, &member));
    let kept = assigned(&synced.assignment);
    assert!(kept == "t[0]" || kept == "t[1]", "{kept}");
    assert!(bench.beat(&beat("g", "m", 2)).starts_with("2 t["));
    assert!(bench.described("g").group_state == "Stable");

    // Back: the modern member leaves.
    bench.advance(1_000);
    assert_eq!(bench.beat(&beat("g", "m", -1)), "-1 -");
    assert_eq!(bench.state("g"), "PreparingRebalance 1");
    assert_eq!(bench.consumer_state("g"), "GROUP_ID_NOT_FOUND");
    assert_eq!(
        bench.heartbeat("g", &member, 2),
        ErrorCode::RebalanceInProgress
    );
    let joined = bench.join_now(join("g").member(&member));
    assert_eq!(
        (code(joined.error_code), joined.generation_id),
        (ErrorCode::None, 3)
    );
    assert_eq!(joined.leader, member);
    let mut loaded = bench.reload();
    assert_eq!(loaded.state("g"), "Stable 1");
    assert_eq!(loaded.heartbeat("g", &member, 2), ErrorCode::None);
}

#[test]
fn members_in_a_rebalance_are_told_to_join_again() {
    let mut bench = Bench::new();
    let member = classic(&mut bench);
    // A second member makes the group prepare a rebalance; its JoinGroup waits.
    let waiting = bench.send_join(join("g").version(3));
    assert!(bench.is_waiting(waiting));
    assert_eq!(bench.beat(&enter("g", "m", &["t"])), "2");
    let joined = bench.joined(waiting);
    assert_eq!(code(joined.error_code), ErrorCode::RebalanceInProgress);
    assert_eq!(bench.described("g").members.len(), 3);
    assert_eq!(
        bench.heartbeat("g", &member, 1),
        ErrorCode::RebalanceInProgress
    );
}

#[test]
fn the_policy_decides() {
    for policy in [MigrationPolicy::Disabled, MigrationPolicy::Downgrade] {
        let mut bench = with_policy(policy);
        classic(&mut bench);
        let token = bench.send_beat(&enter("g", "m", &["t"]));
        let response = bench.beaten(token);
        assert_eq!(
            error(&response),
            (
                ErrorCode::GroupIdNotFound,
                "Cannot upgrade classic group g to consumer group because online upgrade is disabled.".into()
            )
        );
        assert_eq!(bench.state("g"), "Stable 1");
    }
    let mut bench = with_policy(MigrationPolicy::Upgrade);
    let member = classic(&mut bench);
    assert_eq!(bench.beat(&enter("g", "m", &["t"])), "2");
    bench.beat(&beat("g", "m", -1));
    assert_eq!(bench.described("g").members.len(), 1);
    assert_eq!(bench.described("g").members[0].member_id, member);
}

#[test]
fn only_groups_of_the_embedded_consumer_protocol_change() {
    let mut bench = Bench::new();
    bench.stable_group_of("g", vec![join("g").protocol_type("connect").version(3)]);
    let token = bench.send_beat(&enter("g", "m", &["t"]));
    let response = bench.beaten(token);
    assert_eq!(
        error(&response).1,
        "Cannot upgrade classic group g to consumer group because the group does not use the consumer \
         embedded protocol."
    );
    // The bytes of this group's assignments are no assignments.
    let mut bench = Bench::new();
    bench.stable_group("g", &["m"]);
    let token = bench.send_beat(&enter("g", "m", &["t"]));
    let response = bench.beaten(token);
    assert_eq!(
        error(&response).1,
        "Cannot upgrade classic group g to consumer group because the embedded consumer protocol is malformed."
    );
    assert_eq!(bench.state("g"), "Stable 1");
}

#[test]
fn an_empty_group_changes_whatever_the_policy() {
    let mut bench = with_policy(MigrationPolicy::Disabled);
    let member = classic(&mut bench);
    bench.send_leave("g", &[(&member, None)]);
    assert_eq!(bench.state("g"), "Empty 0");
    assert_eq!(bench.beat(&enter("g", "m", &["t"])), "2 t[0, 1]");
    assert_eq!(
        bench.reload().consumer_state("g"),
        "Stable 2/2; m@2 t[0, 1]"
    );
    bench.beat(&beat("g", "m", -1));
    let token = bench.send_join(join("g").version(3));
    bench.advance(6_000);
    assert_eq!(bench.joined(token).generation_id, 1);
    assert_eq!(bench.consumer_state("g"), "GROUP_ID_NOT_FOUND");
    assert_eq!(bench.reload().consumer_state("g"), "GROUP_ID_NOT_FOUND");
    assert_eq!(bench.reload().state("g"), "Empty 0");
}

#[test]
fn a_group_that_only_has_offsets_becomes_a_consumer_group() {
    let mut bench = Bench::new();
    bench.topic("t", 1);
    bench.commit_now(9, crate::harness::commit("g", "", -1, "t", 5));
    assert_eq!(bench.beat(&enter("g", "m", &["t"])), "2 t[0]");
    assert_eq!(bench.fetch_all("g"), "t-0=5 \"m\"");
    let mut loaded = bench.reload();
    assert_eq!(loaded.consumer_state("g"), "Stable 2/2; m@2 t[0]");
    assert_eq!(loaded.fetch_all("g"), "t-0=5 \"m\"");
}

#[test]
fn a_change_that_is_not_stored_is_taken_back() {
    let mut bench = Bench::new();
    let member = classic(&mut bench);
    bench.auto_commit = false;
    let token = bench.send_beat(&enter("g", "m", &["t"]));
    bench.fail_next(AppendError::TooLarge);
    assert_eq!(error(&bench.beaten(token)).0, ErrorCode::UnknownServerError);
    bench.auto_commit = true;
    assert_eq!(bench.consumer_state("g"), "GROUP_ID_NOT_FOUND");
    assert_eq!(
        bench.heartbeat("g", &member, 1),
        ErrorCode::RebalanceInProgress
    );
    let joined = bench.join_now(join("g").member(&member));
    assert_eq!(joined.generation_id, 2);

    // And the other way.
    let mut bench = Bench::new();
    classic(&mut bench);
    bench.beat(&enter("g", "m", &["t"]));
    let before = bench.described("g");
    bench.auto_commit = false;
    let token = bench.send_beat(&beat("g", "m", -1));
    bench.fail_next(AppendError::TooLarge);
    assert_eq!(error(&bench.beaten(token)).0, ErrorCode::UnknownServerError);
    assert_eq!(bench.described("g"), before);
    bench.auto_commit = true;
    assert_eq!(bench.beat(&beat("g", "m", 2)), "2 -");
}

#[test]
fn a_classic_client_takes_the_place_of_a_modern_static_member() {
    let mut bench = Bench::new();
    bench.topic("t", 2);
    assert_eq!(
        bench.beat(&enter("g", "m", &["t"]).instance("i")),
        "2 t[0, 1]"
    );
    bench.advance(1_000);
    // The only modern member is replaced: nothing but classic members is left.
    let joined = bench.join_now(join("g").instance("i"));
    assert_eq!(
        (code(joined.error_code), joined.generation_id),
        (ErrorCode::None, 2)
    );
    let member = joined.member_id;
    assert_eq!(bench.state("g"), "Stable 1");
    let synced = bench.sync_now(sync("g", 2, &member).instance("i"));
    assert_eq!(assigned(&synced.assignment), "t[0, 1]");
    assert_eq!(
        bench.beat(&beat("g", "m", 2).instance("i")),
        "GROUP_ID_NOT_FOUND"
    );
    let mut loaded = bench.reload();
    assert_eq!(loaded.state("g"), "Stable 1");
    let answer = loaded.heartbeat_as("g", &member, Some("i"), 2);
    assert_eq!(answer, ErrorCode::None);
}

#[test]
fn a_modern_client_takes_the_place_of_a_classic_static_member() {
    let mut bench = Bench::new();
    bench.topic("t", 2);
    assert_eq!(bench.beat(&enter("g", "m", &["t"])), "2 t[0, 1]");
    bench.advance(1_000);
    let joined = bench.join_now(join("g").instance("i"));
    assert_eq!(joined.generation_id, 3);
    bench.sync_now(sync("g", 3, &joined.member_id).instance("i"));
    // It need not leave first: a restart under the new protocol is how groups move on.
    assert_eq!(bench.beat(&enter("g", "n", &["t"]).instance("i")), "3");
    assert_eq!(
        bench.heartbeat_as("g", &joined.member_id, Some("i"), 3),
        ErrorCode::FencedInstanceId
    );
    let loaded = bench.reload();
    assert_eq!(bench.described("g"), loaded.described("g"));
}
