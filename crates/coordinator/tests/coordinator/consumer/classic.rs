//! Members of a consumer group that use the classic protocol.

use wire::ErrorCode;

use super::{beat, enter};
use crate::harness::{Bench, Join, code, join, sync};

/// A consumer group with a modern member `m` and a classic one, whose id is returned; both have half of `t`.
fn mixed() -> (Bench, String) {
    let mut bench = Bench::new();
    bench.topic("t", 4);
    assert_eq!(bench.beat(&enter("g", "m", &["t"])), "2 t[0, 1, 2, 3]");
    bench.advance(1_000);
    let first = bench.join_now(join("g"));
    assert_eq!(code(first.error_code), ErrorCode::MemberIdRequired);
    let member = first.member_id;
    let joined = bench.join_now(join("g").member(&member));
    assert_eq!(code(joined.error_code), ErrorCode::None);
    assert_eq!((joined.generation_id, joined.leader.as_str()), (3, ""));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    let synced = bench.sync_now(sync("g", 3, &member));
    assert_eq!(assigned(&synced.assignment), "");
    assert_eq!(bench.beat(&beat("g", "m", 2)), "2 t[0, 1]");
    (bench, member)
}

/// The partitions of an assignment of the embedded consumer protocol.
pub(super) fn assigned(bytes: &bytes::Bytes) -> String {
    use wire::{Message, Reader};
    let mut reader = Reader::new(bytes.clone());
    let version = reader.i16().unwrap();
    assert_eq!(version, 1, "the version of the subscription");
    let assignment =
        wire::messages::ConsumerProtocolAssignment::decode(&mut reader, version).unwrap();
    let topics = assignment.assigned_partitions.iter();
    let topics: Vec<String> = topics
        .map(|topic| format!("{}{:?}", topic.topic, topic.partitions))
        .collect();
    topics.join(" ")
}

#[test]
fn a_classic_member_is_told_to_join_when_there_is_more_for_it() {
    let (mut bench, member) = mixed();
    // The modern one still has everything.
    assert_eq!(bench.heartbeat("g", &member, 3), ErrorCode::None);
    assert_eq!(
        bench.beat_owning(beat("g", "m", 2), &[("t", &[0, 1])]),
        "3 -"
    );
    assert_eq!(
        bench.heartbeat("g", &member, 3),
        ErrorCode::RebalanceInProgress
    );
    let joined = bench.join_now(join("g").member(&member));
    assert_eq!(
        (code(joined.error_code), joined.generation_id),
        (ErrorCode::None, 3)
    );
    let synced = bench.sync_now(sync("g", 3, &member));
    assert_eq!(assigned(&synced.assignment), "t[2, 3]");
    assert_eq!(bench.heartbeat("g", &member, 3), ErrorCode::None);
    let types: Vec<i8> = {
        let described = bench.described("g");
        assert_eq!(described.group_state, "Stable");
        described
            .members
            .iter()
            .map(|member| member.member_type)
            .collect()
    };
    assert_eq!(types.iter().filter(|kind| **kind == 0).count(), 1);
    let loaded = bench.reload();
    assert_eq!(bench.described("g"), loaded.described("g"));
}

fn settled() -> (Bench, String) {
    let (mut bench, member) = mixed();
    bench.beat_owning(beat("g", "m", 2), &[("t", &[0, 1])]);
    bench.join_now(join("g").member(&member));
    bench.sync_now(sync("g", 3, &member));
    bench.advance(1_000);
    (bench, member)
}

#[test]
fn a_classic_member_revokes_by_joining() {
    let (mut bench, member) = settled();
    assert_eq!(bench.beat(&enter("g", "n", &["t"])), "4");
    assert_eq!(
        bench.heartbeat("g", &member, 3),
        ErrorCode::RebalanceInProgress
    );
    let synced = bench.sync_now(sync("g", 3, &member));
    assert_eq!(code(synced.error_code), ErrorCode::RebalanceInProgress);
    // Eager members own nothing while they join: the next step is theirs at once.
    let joined = bench.join_now(join("g").member(&member));
    assert_eq!(
        (code(joined.error_code), joined.generation_id),
        (ErrorCode::None, 4)
    );
    let synced = bench.sync_now(sync("g", 4, &member));
    let got = assigned(&synced.assignment);
    assert!(got.starts_with("t["), "{got}");
}

#[test]
fn a_classic_member_that_does_not_join_again_or_sync_is_fenced() {
    let (mut bench, member) = settled();
    bench.beat(&enter("g", "n", &["t"]));
    for _ in 0..12 {
        let answer = bench.heartbeat("g", &member, 3);
        assert_eq!(answer, ErrorCode::RebalanceInProgress);
        bench.beat(&beat("g", "m", 3));
        bench.beat(&beat("g", "n", 4));
        bench.advance(5_000);
    }
    assert_eq!(bench.heartbeat("g", &member, 3), ErrorCode::UnknownMemberId);

    let (mut bench, member) = settled();
    bench.join_now(join("g").member(&member).topics(&["u"]).rebalance_ms(5_000));
    bench.advance(5_000);
    assert_eq!(bench.heartbeat("g", &member, 3), ErrorCode::UnknownMemberId);
}

#[test]
fn a_classic_member_has_the_session_it_asked_for() {
    let (mut bench, member) = settled();
    assert_eq!(bench.heartbeat("g", &member, 3), ErrorCode::None);
    bench.advance(9_999);
    assert_eq!(bench.heartbeat("g", &member, 3), ErrorCode::None);
    bench.advance(10_000);
    assert_eq!(bench.heartbeat("g", &member, 3), ErrorCode::UnknownMemberId);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (mut bench, member) = settled();
    let refused = |bench: &mut Bench, join: Join| code(bench.join_now(join).error_code);
    let other = join("g").protocol_type("connect");
    assert_eq!(
        refused(&mut bench, other),
        ErrorCode::InconsistentGroupProtocol
    );
    let other = join("g").protocols(&["sticky"]);
    assert_eq!(
        refused(&mut bench, other),
        ErrorCode::InconsistentGroupProtocol
    );
    assert_eq!(
        bench.heartbeat("g", &member, 2),
        ErrorCode::IllegalGeneration
    );
    assert_eq!(bench.heartbeat("g", "m", 3), ErrorCode::UnknownMemberId);
    assert_eq!(bench.heartbeat("g", "x", 3), ErrorCode::UnknownMemberId);
    let answer = bench.sync_now(sync("g", 2, &member));
    assert_eq!(code(answer.error_code), ErrorCode::IllegalGeneration);
    let mut other = sync("g", 3, &member);
    other.request.protocol_name = Some("sticky".into());
    let answer = bench.sync_now(other);
    assert_eq!(
        code(answer.error_code),
        ErrorCode::InconsistentGroupProtocol
    );
    // Its commits carry a generation.
    let commit = crate::harness::commit("g", &member, 2, "t", 1);
    assert_eq!(bench.commit_now(8, commit), [ErrorCode::IllegalGeneration]);
    let commit = crate::harness::commit("g", &member, 3, "t", 1);
    assert_eq!(bench.commit_now(8, commit), [ErrorCode::None]);
}

#[test]
fn members_of_either_protocol_can_be_removed() {
    let (mut bench, member) = settled();
    let token = bench.send_leave("g", &[(&member, None), ("x", None)]);
    let left = bench.left(token);
    let errors: Vec<ErrorCode> = left
        .members
        .iter()
        .map(|member| code(member.error_code))
        .collect();
    assert_eq!(errors, [ErrorCode::None, ErrorCode::UnknownMemberId]);
    assert_eq!(bench.beat(&beat("g", "m", 3)), "4 t[0, 1, 2, 3]");
    let token = bench.send_leave("g", &[("m", None)]);
    assert_eq!(bench.left(token).members[0].error_code, 0);
    assert!(bench.consumer_state("g").starts_with("Empty"));
}
