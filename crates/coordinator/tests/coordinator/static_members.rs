//! Static members (KIP-345, KIP-814): restart without a rebalance, fencing, removal.

use coordinator::AppendError;
use wire::ErrorCode;

use crate::harness::{Bench, Join, Membership, code, commit, join, leader, sync};

fn static_join(instance: &str) -> Join {
    join("g").instance(instance)
}

fn pair(bench: &mut Bench) -> Vec<Membership> {
    bench.stable_group_of("g", vec![static_join("i0"), static_join("i1")])
}

/// The index and instance id of the leader, then of the follower.
fn roles(members: &[Membership]) -> [(usize, &'static str); 2] {
    if members[0].is_leader {
        [(0, "i0"), (1, "i1")]
    } else {
        [(1, "i1"), (0, "i0")]
    }
}

#[test]
fn static_members_join_in_one_step_with_their_instance_id_as_prefix() {
    let mut bench = Bench::new();
    let members = pair(&mut bench);
    assert!(members[0].id.starts_with("i0-"), "{}", members[0].id);
}

#[test]
fn a_restarted_follower_gets_its_assignment_back_without_a_rebalance() {
    let mut bench = Bench::new();
    let members = pair(&mut bench);
    let [_, (index, instance)] = roles(&members);
    let records = bench.log.len();
    let restarted = bench.join_now(static_join(instance));
    assert_eq!(code(restarted.error_code), ErrorCode::None);
    assert_ne!(restarted.member_id, members[index].id);
    assert_eq!(
        (restarted.generation_id, restarted.skip_assignment),
        (1, false)
    );
    assert_eq!(restarted.leader, leader(&members).id);
    assert_eq!(
        bench.log.len(),
        records + 1,
        "the new member id is persisted"
    );
    let synced = bench.sync_now(sync("g", 1, &restarted.member_id).instance(instance));
    assert_eq!(synced.assignment, format!("a-{index}").as_bytes());
    assert_eq!(bench.state("g"), "Stable 2");

    // The old member is fenced, here and in a coordinator that loads the group.
    for mut bench in [bench.reload(), bench] {
        let old = &members[index].id;
        let fenced = ErrorCode::FencedInstanceId;
        assert_eq!(bench.heartbeat_as("g", old, Some(instance), 1), fenced);
        assert_eq!(bench.heartbeat("g", old, 1), ErrorCode::UnknownMemberId);
        let synced = bench.sync_now(sync("g", 1, old).instance(instance));
        assert_eq!(code(synced.error_code), fenced);
        let joined = bench.join_now(static_join(instance).member(old));
        assert_eq!(code(joined.error_code), fenced);
        let mut request = commit("g", old, 1, "t", 5);
        request.group_instance_id = Some(instance.into());
        assert_eq!(bench.commit_now(9, request), [fenced]);
        let new = &restarted.member_id;
        assert_eq!(
            bench.heartbeat_as("g", new, Some(instance), 1),
            ErrorCode::None
        );
    }
}

#[test]
fn a_restarted_leader_learns_its_members_but_does_not_assign() {
    for (version, skips) in [(9, true), (8, false), (5, false)] {
        let mut bench = Bench::new();
        let members = pair(&mut bench);
        let [(index, instance), _] = roles(&members);
        let restarted = bench.join_now(static_join(instance).version(version));
        assert_eq!(code(restarted.error_code), ErrorCode::None);
        assert_eq!(restarted.skip_assignment, skips);
        assert_eq!(restarted.members.len(), if skips { 2 } else { 0 });
        // Before version 9 it is told of the leader it was, so that it does not lead.
        let leader = if skips {
            &restarted.member_id
        } else {
            &members[index].id
        };
        assert_eq!(&restarted.leader, leader);
        let synced = bench.sync_now(sync("g", 1, &restarted.member_id).instance(instance));
        assert_eq!(synced.assignment, format!("a-{index}").as_bytes());
        assert_eq!(bench.state("g"), "Stable 2");
    }
}

#[test]
fn a_restart_that_changes_the_protocol_rebalances() {
    let mut bench = Bench::new();
    let both = |instance: &str| static_join(instance).protocols(&["range", "sticky"]);
    let members = bench.stable_group_of("g", vec![both("i0"), both("i1")]);
    let [_, (_, instance)] = roles(&members);
    let same = bench.join_now(both(instance));
    assert_eq!(same.generation_id, 1);
    let token = bench.send_join(static_join(instance).protocols(&["sticky"]));
    assert!(bench.is_waiting(token));
    assert_eq!(bench.state("g"), "PreparingRebalance 2");
}

#[test]
fn a_restart_in_the_sync_phase_rebalances() {
    let mut bench = Bench::new();
    let members = pair(&mut bench);
    let tokens = [
        bench.send_join(static_join("i0").member(&members[0].id).topics(&["u"])),
        bench.send_join(static_join("i1").member(&members[1].id).topics(&["u"])),
    ];
    let joined = tokens.map(|token| bench.joined(token));
    assert_eq!(bench.state("g"), "CompletingRebalance 2");
    let (leader, follower) = if joined[0].leader == joined[0].member_id {
        (0, 1)
    } else {
        (1, 0)
    };
    let instances = ["i0", "i1"];
    let waits = sync("g", 2, &joined[follower].member_id).instance(instances[follower]);
    let waiting = bench.send_sync(waits);
    let restarted = bench.send_join(static_join(instances[leader]));
    assert!(bench.is_waiting(restarted));
    assert_eq!(bench.state("g"), "PreparingRebalance 2");
    assert_eq!(
        code(bench.synced(waiting).error_code),
        ErrorCode::RebalanceInProgress
    );
}

#[test]
fn a_restart_in_the_join_phase_fences_the_join_that_waits() {
    let mut bench = Bench::new();
    let members = pair(&mut bench);
    let old = bench.send_join(static_join("i0").member(&members[0].id).topics(&["u"]));
    let new = bench.send_join(static_join("i0"));
    let fenced = bench.joined(old);
    assert_eq!(code(fenced.error_code), ErrorCode::FencedInstanceId);
    assert_eq!(fenced.member_id, members[0].id);
    let other = bench.send_join(static_join("i1").member(&members[1].id));
    assert_eq!(bench.joined(new).generation_id, 2);
    assert_eq!(bench.joined(other).generation_id, 2);
}

#[test]
fn static_members_that_do_not_rejoin_stay_until_their_session_ends() {
    let mut bench = Bench::new();
    let long = |instance: &str| static_join(instance).session_ms(200_000);
    let members = bench.stable_group_of("g", vec![long("i0"), long("i1")]);
    let token = bench.send_join(long("i0").member(&members[0].id).topics(&["u"]));
    bench.advance(60_000);
    let joined = bench.joined(token);
    assert_eq!(
        (joined.generation_id, joined.leader.as_str()),
        (2, members[0].id.as_str())
    );
    assert_eq!(joined.members.len(), 2, "the silent member keeps its place");
}

#[test]
fn the_new_id_is_taken_back_when_it_cannot_be_persisted() {
    let mut bench = Bench::new();
    let members = pair(&mut bench);
    bench.auto_commit = false;
    let token = bench.send_join(static_join("i0").session_ms(20_000));
    assert!(bench.is_waiting(token), "the answer waits for the record");
    bench.fail_next(AppendError::NotLeader);
    let failed = bench.joined(token);
    assert_eq!(
        (code(failed.error_code), failed.member_id.as_str()),
        (ErrorCode::NotCoordinator, "")
    );
    let old = &members[0].id;
    assert_eq!(bench.heartbeat_as("g", old, Some("i0"), 1), ErrorCode::None);
    assert_eq!(bench.state("g"), "Stable 2");
}

#[test]
fn a_rebalance_that_begins_while_the_new_id_is_persisted_takes_the_member_along() {
    let mut bench = Bench::new();
    let members = pair(&mut bench);
    bench.auto_commit = false;
    let restarted = bench.send_join(static_join("i0"));
    let other = bench.send_join(static_join("i1").member(&members[1].id).topics(&["u"]));
    assert_eq!(bench.joined(other).generation_id, 2);
    let joined = bench.joined(restarted);
    assert_eq!(
        (code(joined.error_code), joined.generation_id),
        (ErrorCode::None, 2)
    );
    bench.commit_next();
    assert_eq!(bench.state("g"), "CompletingRebalance 2");
}

#[test]
fn ids_whose_records_fail_one_after_the_other_are_all_taken_back() {
    // Each record holds the whole group, so the second also carries what the first was to persist.
    for second_fails in [true, false] {
        let mut bench = Bench::new();
        let members = pair(&mut bench);
        bench.auto_commit = false;
        let tokens = [static_join("i0"), static_join("i1"), static_join("i0")]
            .map(|join| bench.send_join(join));
        bench.fail_next(AppendError::Storage);
        bench.fail_next(AppendError::Storage);
        if second_fails {
            bench.fail_next(AppendError::Storage);
        } else {
            bench.commit_next();
        }
        let joined = tokens.map(|token| bench.joined(token));
        let errors = joined.each_ref().map(|joined| code(joined.error_code));
        let last = if second_fails {
            ErrorCode::NotCoordinator
        } else {
            ErrorCode::None
        };
        assert_eq!(
            errors,
            [ErrorCode::FencedInstanceId, ErrorCode::NotCoordinator, last]
        );
        let old_is_back = if second_fails {
            ErrorCode::None
        } else {
            ErrorCode::FencedInstanceId
        };
        for mut bench in [bench.reload(), bench] {
            for (instance, member) in ["i0", "i1"].into_iter().zip(&members) {
                let error = bench.heartbeat_as("g", &member.id, Some(instance), 1);
                assert_eq!(error, old_is_back);
            }
        }
    }
}
