//! SyncGroup: validation, the assignment and its record, members that never sync.

use wire::ErrorCode;

use crate::harness::{Bench, Sync, code, follower, join, leader, sync};

#[test]
fn bad_requests_are_refused() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a", "b"]);
    let id = &members[0].id;
    let named = |protocol_type: &str, protocol_name: &str| {
        let mut sync = sync("g", 1, id);
        sync.request.protocol_type = Some(protocol_type.into());
        sync.request.protocol_name = Some(protocol_name.into());
        sync
    };
    let cases: Vec<(Sync, ErrorCode)> = vec![
        (sync("", 1, id), ErrorCode::InvalidGroupId),
        (sync("other", 1, id), ErrorCode::UnknownMemberId),
        (sync("g", 1, "stranger"), ErrorCode::UnknownMemberId),
        (
            sync("g", 1, id).instance("nobody"),
            ErrorCode::UnknownMemberId,
        ),
        (sync("g", 0, id), ErrorCode::IllegalGeneration),
        (sync("g", 2, id), ErrorCode::IllegalGeneration),
        (
            named("connect", "range"),
            ErrorCode::InconsistentGroupProtocol,
        ),
        (
            named("consumer", "sticky"),
            ErrorCode::InconsistentGroupProtocol,
        ),
        (named("consumer", "range"), ErrorCode::None),
        (sync("g", 1, id), ErrorCode::None),
    ];
    for (request, error) in cases {
        let response = bench.sync_now(request);
        assert_eq!(code(response.error_code), error);
        assert_eq!(response.assignment.is_empty(), error.is_error());
        assert_eq!(response.protocol_name.is_none(), error.is_error());
    }
}

#[test]
fn assignments_are_given_out_when_their_record_is_durable() {
    let mut bench = Bench::new();
    let tokens = [
        bench.send_join(join("g").version(3)),
        bench.send_join(join("g").version(3)),
    ];
    bench.advance(6_000);
    let joined = tokens.map(|token| bench.joined(token));
    let (leader, follower) = match &joined {
        [a, b] if a.leader == a.member_id => (a, b),
        [a, b] => (b, a),
    };
    bench.auto_commit = false;
    let assignment = [(follower.member_id.clone(), "theirs".to_owned())];
    let followed = bench.send_sync(sync("g", 1, &follower.member_id));
    let led = bench.send_sync(sync("g", 1, &leader.member_id).assign(&assignment));
    assert!(bench.is_waiting(followed) && bench.is_waiting(led));
    assert_eq!(bench.state("g"), "CompletingRebalance 2");
    bench.commit_next();
    assert_eq!(bench.synced(followed).assignment, "theirs");
    // A member the leader forgot gets an empty assignment, and no error.
    let led = bench.synced(led);
    assert_eq!(
        (code(led.error_code), led.assignment.len()),
        (ErrorCode::None, 0)
    );
    assert_eq!(bench.state("g"), "Stable 2");
    let late = bench.sync_now(sync("g", 1, &follower.member_id));
    assert_eq!(late.assignment, "theirs");
}

#[test]
fn a_leader_that_syncs_twice_writes_one_record_and_both_are_answered() {
    let mut bench = Bench::new();
    let token = bench.send_join(join("g").version(3));
    bench.advance(6_000);
    let member = bench.joined(token).member_id;
    bench.auto_commit = false;
    let assign = |what: &str| sync("g", 1, &member).assign(&[(member.clone(), what.to_owned())]);
    let first = bench.send_sync(assign("one"));
    let second = bench.send_sync(assign("two"));
    assert_eq!(
        code(bench.synced(first).error_code),
        ErrorCode::RebalanceInProgress
    );
    assert_eq!(bench.in_flight.len(), 1);
    bench.commit_next();
    assert_eq!(bench.synced(second).assignment, "one");
}

#[test]
fn a_rebalance_sends_members_that_wait_for_an_assignment_back_to_join() {
    let mut bench = Bench::new();
    let tokens = [
        bench.send_join(join("g").version(3)),
        bench.send_join(join("g").version(3)),
    ];
    bench.advance(6_000);
    let joined = tokens.map(|token| bench.joined(token));
    let follower = joined
        .iter()
        .find(|member| member.leader != member.member_id)
        .unwrap();
    let waiting = bench.send_sync(sync("g", 1, &follower.member_id));
    bench.send_join(join("g").version(3));
    assert_eq!(
        code(bench.synced(waiting).error_code),
        ErrorCode::RebalanceInProgress
    );
    let refused = bench.sync_now(sync("g", 1, &follower.member_id));
    assert_eq!(code(refused.error_code), ErrorCode::RebalanceInProgress);
}

#[test]
fn an_assignment_that_comes_after_a_rebalance_began_changes_nothing() {
    let mut bench = Bench::new();
    let token = bench.send_join(join("g").version(3));
    bench.advance(6_000);
    let member = bench.joined(token).member_id;
    bench.auto_commit = false;
    let assignment = [(member.clone(), "old".to_owned())];
    let synced = bench.send_sync(sync("g", 1, &member).assign(&assignment));
    bench.send_join(join("g").version(3));
    assert_eq!(
        code(bench.synced(synced).error_code),
        ErrorCode::RebalanceInProgress
    );
    bench.commit_next();
    assert_eq!(bench.state("g"), "PreparingRebalance 2");
}

#[test]
fn members_that_never_sync_are_removed_after_the_rebalance_timeout() {
    let mut bench = Bench::new();
    let tokens = [
        bench.send_join(join("g").version(3)),
        bench.send_join(join("g").version(3)),
    ];
    bench.advance(6_000);
    let joined = tokens.map(|token| bench.joined(token));
    let leads = |index: usize| joined[index].leader == joined[index].member_id;
    let (leader, silent) = if leads(0) {
        (&joined[0], &joined[1])
    } else {
        (&joined[1], &joined[0])
    };
    let led = bench.sync_now(sync("g", 1, &leader.member_id).assign(&[]));
    assert_eq!(code(led.error_code), ErrorCode::None);
    assert_eq!(bench.state("g"), "Stable 2");
    // Both stay alive by heartbeats; that alone does not save the one that never asked for partitions.
    for _ in 0..11 {
        bench.advance(5_000);
        for member in &joined {
            assert_eq!(bench.heartbeat("g", &member.member_id, 1), ErrorCode::None);
        }
    }
    bench.advance(5_000);
    assert_eq!(
        bench.heartbeat("g", &silent.member_id, 1),
        ErrorCode::UnknownMemberId
    );
    assert_eq!(
        bench.heartbeat("g", &leader.member_id, 1),
        ErrorCode::RebalanceInProgress
    );
}

#[test]
fn a_member_that_leaves_while_it_waits_for_its_assignment_is_answered() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a", "b"]);
    let rejoin = bench.send_join(join("g").member(&leader(&members).id));
    let other = bench.send_join(join("g").member(&follower(&members).id));
    let joined = bench.joined(rejoin);
    bench.joined(other);
    let id = if joined.leader == joined.member_id {
        &follower(&members).id
    } else {
        &joined.member_id
    };
    let waiting = bench.send_sync(sync("g", 2, id));
    bench.send_leave("g", &[(id, None)]);
    assert_eq!(
        code(bench.synced(waiting).error_code),
        ErrorCode::UnknownMemberId
    );
}
