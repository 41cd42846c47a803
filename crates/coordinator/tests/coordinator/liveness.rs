//! Heartbeat, LeaveGroup, session timeouts.

use coordinator::Response;
use wire::ErrorCode;
use wire::messages::LeaveGroupRequest;

use crate::harness::{Bench, code, context, follower, join, leader};

#[test]
fn heartbeats_are_checked() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a"]);
    let id = members[0].id.clone();
    for (group, member, instance, generation, error) in [
        ("", id.as_str(), None, 1, ErrorCode::InvalidGroupId),
        ("other", &id, None, 1, ErrorCode::UnknownMemberId),
        ("g", "stranger", None, 1, ErrorCode::UnknownMemberId),
        ("g", &id, Some("nobody"), 1, ErrorCode::UnknownMemberId),
        ("g", &id, None, 0, ErrorCode::IllegalGeneration),
        ("g", &id, None, 1, ErrorCode::None),
    ] {
        assert_eq!(
            bench.heartbeat_as(group, member, instance, generation),
            error
        );
    }
}

#[test]
fn a_silent_member_is_removed_and_the_others_rebalance() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a", "b"]);
    let (alive, silent) = (&members[0], &members[1]);
    bench.advance(9_999);
    assert_eq!(bench.heartbeat("g", &alive.id, 1), ErrorCode::None);
    bench.advance(1);
    assert_eq!(
        bench.heartbeat("g", &silent.id, 1),
        ErrorCode::UnknownMemberId
    );
    assert_eq!(
        bench.heartbeat("g", &alive.id, 1),
        ErrorCode::RebalanceInProgress
    );
    let rejoined = bench.join_now(join("g").member(&alive.id));
    assert_eq!((rejoined.generation_id, rejoined.members.len()), (2, 1));
}

#[test]
fn wall_clock_jumps_expire_nobody() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a"]);
    for wall_ms in [0, i64::MAX / 2] {
        bench.clock.set_wall_ms(wall_ms);
        bench.advance(1_000);
        assert_eq!(bench.heartbeat("g", &members[0].id, 1), ErrorCode::None);
    }
}

#[test]
fn members_that_wait_in_join_or_sync_do_not_expire() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a", "b", "c"]);
    let mut tokens: Vec<_> = members[..2]
        .iter()
        .map(|m| bench.send_join(join("g").member(&m.id).topics(&["u"])))
        .collect();
    // Longer than their sessions; the third member keeps the join phase open.
    for _ in 0..5 {
        bench.advance(9_000);
        assert_eq!(
            bench.heartbeat("g", &members[2].id, 1),
            ErrorCode::RebalanceInProgress
        );
        assert!(tokens.iter().all(|token| bench.is_waiting(*token)));
    }
    tokens.push(bench.send_join(join("g").member(&members[2].id)));
    let joined: Vec<_> = tokens
        .into_iter()
        .map(|token| bench.joined(token))
        .collect();
    let leader = joined
        .iter()
        .position(|member| member.leader == member.member_id)
        .unwrap();
    let follower = &joined[(leader + 1) % 3];
    let waiting = bench.send_sync(crate::harness::sync("g", 2, &follower.member_id));
    for _ in 0..3 {
        bench.advance(9_000);
        for other in [leader, (leader + 2) % 3] {
            assert_eq!(
                bench.heartbeat("g", &joined[other].member_id, 2),
                ErrorCode::None
            );
        }
    }
    assert!(bench.is_waiting(waiting));
}

#[test]
fn a_first_join_whose_client_is_gone_expires_after_five_minutes() {
    let mut bench = Bench::new();
    let members = bench.stable_group_of("g", vec![join("g").version(3).rebalance_ms(900_000)]);
    let newcomer = bench.send_join(join("g").version(3).rebalance_ms(900_000));
    for _ in 0..59 {
        bench.advance(5_000);
        bench.heartbeat("g", &members[0].id, 1);
    }
    assert!(bench.is_waiting(newcomer));
    bench.advance(5_000);
    assert_eq!(
        code(bench.joined(newcomer).error_code),
        ErrorCode::UnknownMemberId
    );
}

#[test]
fn the_last_member_leaves_an_empty_group_that_the_log_knows() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a"]);
    bench.auto_commit = false;
    let token = bench.send_leave("g", &[(&members[0].id, None)]);
    assert!(bench.is_waiting(token), "the answer waits for the record");
    bench.commit_next();
    assert_eq!(
        code(bench.left(token).members[0].error_code),
        ErrorCode::None
    );
    assert_eq!(bench.state("g"), "Empty 0");
    assert_eq!(bench.reload().state("g"), "Empty 0");
    assert_eq!(
        bench.heartbeat("g", &members[0].id, 1),
        ErrorCode::UnknownMemberId
    );
    // The generation goes on counting.
    let token = bench.send_join(join("g").version(3));
    bench.advance(3_000);
    assert_eq!(bench.joined(token).generation_id, 3);
}

#[test]
fn leaving_is_checked_per_member() {
    let mut bench = Bench::new();
    let joins = vec![
        join("g").version(9).instance("i1"),
        join("g").version(9).instance("i2"),
        join("g").version(3),
    ];
    let members = bench.stable_group_of("g", joins);
    let pending = bench.join_now(join("g")).member_id;
    let (first, dynamic) = (members[0].id.clone(), members[2].id.clone());
    let token = bench.send_leave(
        "g",
        &[
            ("stranger", None),
            (&first, Some("i2")),
            ("", Some("nobody")),
            ("", None),
            ("", Some("i2")),
            (&first, Some("i1")),
            (&pending, None),
        ],
    );
    let errors: Vec<_> = bench
        .left(token)
        .members
        .iter()
        .map(|member| code(member.error_code))
        .collect();
    use ErrorCode::{FencedInstanceId, None as Ok, UnknownMemberId as Unknown};
    assert_eq!(
        errors,
        [Unknown, FencedInstanceId, Unknown, Unknown, Ok, Ok, Ok]
    );
    assert_eq!(bench.state("g"), "PreparingRebalance 1");
    let rejoined = bench.join_now(join("g").member(&dynamic));
    assert_eq!(rejoined.generation_id, 2);

    let token = bench.send_leave("unknown group", &[("m", None)]);
    let response = bench.left(token);
    assert_eq!((response.error_code, response.members.len()), (0, 1));
    assert_eq!(code(response.members[0].error_code), Unknown);
    let token = bench.send_leave("", &[("m", None)]);
    assert_eq!(
        code(bench.left(token).error_code),
        ErrorCode::InvalidGroupId
    );
}

#[test]
fn versions_before_3_leave_one_member_and_have_one_error() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a"]);
    for (group, member, error) in [
        ("g", "stranger", ErrorCode::UnknownMemberId),
        ("unknown group", "m", ErrorCode::UnknownMemberId),
        ("g", members[0].id.as_str(), ErrorCode::None),
    ] {
        let token = bench.token();
        let request = LeaveGroupRequest {
            group_id: group.into(),
            member_id: member.into(),
            ..LeaveGroupRequest::default()
        };
        let actions = bench.shard.leave_group(token, &context(2), request);
        bench.run(actions);
        let Response::LeaveGroup(response) = bench.response(token) else {
            panic!("LeaveGroup")
        };
        assert_eq!(
            (code(response.error_code), response.members.len()),
            (error, 0)
        );
    }
    assert_eq!(bench.state("g"), "Empty 0");
}

#[test]
fn a_leave_ends_a_join_phase_that_waited_for_that_member_only() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a", "b"]);
    let waiting = bench.send_join(join("g").member(&leader(&members).id));
    bench.send_leave("g", &[(&follower(&members).id, None)]);
    assert_eq!(bench.joined(waiting).generation_id, 2);
}

#[test]
fn a_member_whose_join_waits_and_that_is_removed_is_answered() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a", "b"]);
    let waiting = bench.send_join(join("g").member(&leader(&members).id));
    bench.send_leave("g", &[(&leader(&members).id, None)]);
    let answer = bench.joined(waiting);
    assert_eq!(
        (code(answer.error_code), answer.member_id.as_str()),
        (ErrorCode::UnknownMemberId, "")
    );
}

#[test]
fn loaded_members_get_a_full_session() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a"]);
    bench.advance(9_000);
    let mut loaded = bench.reload();
    loaded.advance(9_999);
    assert_eq!(loaded.heartbeat("g", &members[0].id, 1), ErrorCode::None);
    loaded.advance(10_000);
    assert_eq!(loaded.state("g"), "Empty 0");
}
