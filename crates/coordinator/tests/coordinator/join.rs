//! JoinGroup: validation, the two-step join, protocol voting, the initial delay, the size limit.

use std::time::Duration;

use coordinator::GroupConfig;
use wire::ErrorCode;

use crate::harness::{Bench, code, follower, join, leader, sync};

#[test]
fn bad_requests_are_refused() {
    for (request, error) in [
        (join(""), ErrorCode::InvalidGroupId),
        (
            join("g").session_ms(5_999),
            ErrorCode::InvalidSessionTimeout,
        ),
        (
            join("g").session_ms(1_800_001),
            ErrorCode::InvalidSessionTimeout,
        ),
        (join("g").session_ms(-1), ErrorCode::InvalidSessionTimeout),
        (join("g").member("stranger"), ErrorCode::UnknownMemberId),
        (
            join("g").protocols(&[]),
            ErrorCode::InconsistentGroupProtocol,
        ),
        (
            join("g").protocol_type(""),
            ErrorCode::InconsistentGroupProtocol,
        ),
    ] {
        let member_id = request.request.member_id.clone();
        let response = Bench::new().join_now(request);
        assert_eq!(code(response.error_code), error);
        assert_eq!(response.member_id, member_id);
        assert_eq!(response.generation_id, -1);
    }
}

#[test]
fn version_4_and_later_join_in_two_steps() {
    let mut bench = Bench::new();
    let first = bench.join_now(join("g").version(4));
    assert_eq!(code(first.error_code), ErrorCode::MemberIdRequired);
    assert!(
        first.member_id.starts_with("client-"),
        "{}",
        first.member_id
    );
    // The group exists, in the log too, but has no member yet.
    assert_eq!(bench.state("g"), "Empty 0");
    assert_eq!(bench.reload().state("g"), "Empty 0");

    let token = bench.send_join(join("g").version(4).member(&first.member_id));
    assert!(bench.is_waiting(token));
    bench.advance(3_000);
    let joined = bench.joined(token);
    assert_eq!(code(joined.error_code), ErrorCode::None);
    assert_eq!(
        (joined.generation_id, &joined.leader),
        (1, &first.member_id)
    );
    assert_eq!(joined.members.len(), 1);
    assert_eq!(joined.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
}

#[test]
fn versions_before_4_join_at_once_and_have_no_null_protocol() {
    let mut bench = Bench::new();
    let token = bench.send_join(join("g").version(3));
    bench.advance(3_000);
    assert_eq!(code(bench.joined(token).error_code), ErrorCode::None);
    let refused = bench.join_now(join("g").version(6).protocols(&["other"]));
    assert_eq!(refused.protocol_name.as_deref(), Some(""));
    let refused = bench.join_now(join("g").version(7).protocols(&["other"]));
    assert_eq!(refused.protocol_name, None);
}

#[test]
fn a_pending_member_that_never_joins_is_forgotten_after_its_session() {
    let mut bench = Bench::new();
    let first = bench.join_now(join("g"));
    bench.advance(10_000);
    let late = bench.join_now(join("g").member(&first.member_id));
    assert_eq!(code(late.error_code), ErrorCode::UnknownMemberId);
}

#[test]
fn a_rebalance_waits_for_pending_members() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a"]);
    let pending = bench.join_now(join("g"));
    let rejoin = bench.send_join(join("g").member(&members[0].id));
    assert!(
        bench.is_waiting(rejoin),
        "the pending member was not waited for"
    );
    let second = bench.send_join(join("g").member(&pending.member_id));
    assert_eq!(bench.joined(rejoin).generation_id, 2);
    assert_eq!(bench.joined(second).generation_id, 2);
}

#[test]
fn the_initial_delay_is_extended_by_each_new_member_up_to_the_rebalance_timeout() {
    let mut bench = Bench::new();
    let mut tokens = vec![bench.send_join(join("g").version(3).rebalance_ms(8_000))];
    for _ in 0..2 {
        bench.advance(2_000);
        tokens.push(bench.send_join(join("g").version(3).rebalance_ms(8_000)));
        bench.advance(1_000);
        assert!(
            tokens.iter().all(|token| bench.is_waiting(*token)),
            "the delay was not extended"
        );
    }
    // 3 s + 3 s + the 2 s that are left of the rebalance timeout, though another member came.
    bench.advance(1_000);
    tokens.push(bench.send_join(join("g").version(3).rebalance_ms(8_000)));
    bench.advance(999);
    assert!(bench.is_waiting(tokens[0]));
    bench.advance(1);
    for token in tokens {
        assert_eq!(bench.joined(token).generation_id, 1);
    }
}

#[test]
fn without_initial_delay_the_first_member_starts_at_once() {
    let config = GroupConfig {
        initial_rebalance_delay: Duration::ZERO,
        ..GroupConfig::default()
    };
    let mut bench = Bench::with(config);
    let token = bench.send_join(join("g").version(3));
    bench.advance(0);
    assert_eq!(bench.joined(token).generation_id, 1);
}

#[test]
fn the_protocol_is_the_one_most_members_prefer_among_those_all_support() {
    for (protocols, selected) in [
        (vec![vec!["a", "b"], vec!["b", "a"], vec!["b", "a"]], "b"),
        (vec![vec!["a", "b"], vec!["b"], vec!["a", "b"]], "b"),
        (vec![vec!["c", "a"], vec!["a", "c"]], "tie"),
        (vec![vec!["only"]], "only"),
    ] {
        let mut bench = Bench::new();
        let joins = protocols
            .iter()
            .map(|names| join("g").version(3).protocols(names));
        let tokens: Vec<_> = joins.map(|join| bench.send_join(join)).collect();
        bench.advance(6_000);
        let responses: Vec<_> = tokens
            .into_iter()
            .map(|token| bench.joined(token))
            .collect();
        let names: Vec<_> = responses
            .iter()
            .map(|r| r.protocol_name.clone().unwrap())
            .collect();
        assert!(
            names.iter().all(|name| *name == names[0]),
            "members disagree: {names:?}"
        );
        if selected == "tie" {
            let at = responses
                .iter()
                .position(|r| r.leader == r.member_id)
                .unwrap();
            assert_eq!(
                names[0], protocols[at][0],
                "a tie goes to the leader's preference"
            );
        } else {
            assert_eq!(names[0], selected);
        }
    }
}

#[test]
fn protocols_must_fit_those_of_the_members() {
    let mut bench = Bench::new();
    bench.stable_group_of("g", vec![join("g").version(3).protocols(&["a", "b"])]);
    for request in [
        join("g").protocols(&["c"]),
        join("g").protocols(&[]),
        join("g").protocols(&["a"]).protocol_type("connect"),
    ] {
        let response = bench.join_now(request);
        assert_eq!(
            code(response.error_code),
            ErrorCode::InconsistentGroupProtocol
        );
        assert_eq!(response.member_id, "");
    }
    let accepted = bench.join_now(join("g").protocols(&["c", "b"]));
    assert_eq!(code(accepted.error_code), ErrorCode::MemberIdRequired);
}

#[test]
fn an_empty_group_may_change_its_protocol_type() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a"]);
    let token = bench.send_leave("g", &[(&members[0].id, None)]);
    assert_eq!(
        code(bench.left(token).members[0].error_code),
        ErrorCode::None
    );
    let token = bench.send_join(join("g").version(3).protocol_type("connect"));
    bench.advance(3_000);
    assert_eq!(
        bench.joined(token).protocol_type.as_deref(),
        Some("connect")
    );
}

#[test]
fn in_stable_a_leader_that_rejoins_rebalances_and_an_unchanged_follower_does_not() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a", "b"]);
    let (leader, follower) = (leader(&members).clone(), follower(&members).clone());

    let again = bench.join_now(join("g").member(&follower.id));
    assert_eq!(
        (again.generation_id, again.leader.as_str()),
        (1, leader.id.as_str())
    );
    assert_eq!(again.members, vec![]);
    let synced = bench.sync_now(sync("g", 1, &follower.id));
    assert!(!synced.assignment.is_empty());
    assert_eq!(bench.state("g"), "Stable 2");

    let token = bench.send_join(join("g").member(&leader.id));
    assert!(bench.is_waiting(token));
    assert_eq!(bench.state("g"), "PreparingRebalance 2");
    assert_eq!(
        bench.heartbeat("g", &follower.id, 1),
        ErrorCode::RebalanceInProgress
    );
    let other = bench.send_join(join("g").member(&follower.id));
    assert_eq!(bench.joined(token).generation_id, 2);
    assert_eq!(bench.joined(other).generation_id, 2);
}

#[test]
fn a_follower_with_new_metadata_rebalances_the_group() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a", "b"]);
    let token = bench.send_join(join("g").member(&follower(&members).id).topics(&["u"]));
    assert!(bench.is_waiting(token));
    assert_eq!(bench.state("g"), "PreparingRebalance 2");
}

#[test]
fn in_the_sync_phase_an_unchanged_member_gets_the_generation_again() {
    let mut bench = Bench::new();
    let tokens = [
        bench.send_join(join("g").version(3)),
        bench.send_join(join("g").version(3)),
    ];
    bench.advance(6_000);
    let joined = tokens.map(|token| bench.joined(token));
    for member in &joined {
        let again = bench.join_now(join("g").member(&member.member_id));
        assert_eq!((again.generation_id, &again.members), (1, &member.members));
    }
    let changed = bench.send_join(join("g").member(&joined[0].member_id).topics(&["u"]));
    assert!(bench.is_waiting(changed));
    assert_eq!(
        bench.heartbeat("g", &joined[1].member_id, 1),
        ErrorCode::RebalanceInProgress
    );
}

#[test]
fn a_join_that_is_superseded_is_answered_too() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a", "b"]);
    let first = bench.send_join(join("g").member(&leader(&members).id));
    let second = bench.send_join(join("g").member(&leader(&members).id));
    assert_eq!(
        code(bench.joined(first).error_code),
        ErrorCode::RebalanceInProgress
    );
    let other = bench.send_join(join("g").member(&follower(&members).id));
    assert_eq!(bench.joined(second).generation_id, 2);
    assert_eq!(bench.joined(other).generation_id, 2);
}

#[test]
fn a_full_group_accepts_no_further_member() {
    let config = GroupConfig {
        max_size: 2,
        ..GroupConfig::default()
    };
    let mut bench = Bench::with(config);
    let members = bench.stable_group("g", &["a", "b"]);
    for version in [3, 9] {
        let refused = bench.join_now(join("g").version(version));
        assert_eq!(code(refused.error_code), ErrorCode::GroupMaxSizeReached);
        assert_eq!(refused.member_id, "");
    }
    // While it rebalances the places go to those that come first, and a member that is late loses its own.
    let one = bench.send_join(join("g").member(&leader(&members).id));
    let two = bench.send_join(join("g").version(3));
    let late = bench.join_now(join("g").member(&follower(&members).id));
    assert_eq!(code(late.error_code), ErrorCode::GroupMaxSizeReached);
    bench.advance(60_000);
    assert_eq!(bench.joined(one).generation_id, 2);
    assert_eq!(bench.joined(two).generation_id, 2);
    assert_eq!(
        bench.heartbeat("g", &follower(&members).id, 1),
        ErrorCode::UnknownMemberId
    );
}

#[test]
fn a_loaded_group_over_the_limit_rebalances() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a", "b", "c"]);
    bench.config.max_size = 2;
    let mut loaded = bench.reload();
    assert_eq!(loaded.state("g"), "PreparingRebalance 3");
    assert_eq!(
        loaded.heartbeat("g", &members[0].id, 1),
        ErrorCode::RebalanceInProgress
    );
}

#[test]
fn version_0_has_one_timeout_for_session_and_rebalance() {
    let mut bench = Bench::new();
    let members = bench.stable_group_of("g", vec![join("g").version(0).rebalance_ms(-1)]);
    let newcomer = bench.send_join(join("g").version(3));
    for _ in 0..2 {
        bench.advance(4_999);
        bench.heartbeat("g", &members[0].id, 1);
    }
    // The rebalance timeout is the longest of all members', so the newcomer's 60 s hold.
    assert!(bench.is_waiting(newcomer));

    let mut bench = Bench::new();
    let members = bench.stable_group_of("g", vec![join("g").version(0).rebalance_ms(-1)]);
    let newcomer = bench.send_join(join("g").version(0).rebalance_ms(-1));
    bench.advance(9_000);
    assert_eq!(
        bench.heartbeat("g", &members[0].id, 1),
        ErrorCode::RebalanceInProgress
    );
    bench.advance(1_000);
    assert_eq!(bench.joined(newcomer).generation_id, 2);
    assert_eq!(
        bench.heartbeat("g", &members[0].id, 1),
        ErrorCode::UnknownMemberId
    );
}

#[test]
fn a_new_leader_is_elected_when_the_old_one_does_not_rejoin() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a", "b"]);
    let token = bench.send_join(join("g").member(&follower(&members).id).topics(&["u"]));
    bench.advance(60_000);
    let joined = bench.joined(token);
    assert_eq!(
        (joined.generation_id, &joined.leader),
        (2, &follower(&members).id)
    );
    assert_eq!(joined.members.len(), 1);
}
