//! DescribeGroups, ListGroups, DeleteGroups.

use coordinator::{AppendError, Response, Token};
use wire::ErrorCode;
use wire::messages::ListGroupsRequest;

use crate::harness::{Bench, code, commit, context, join};

#[test]
fn groups_are_described() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a"]);
    let describe = |bench: &Bench, version: i16, group: &str| {
        bench
            .shard
            .describe_groups(&context(version), &[group.to_owned()])
            .remove(0)
    };
    let stable = describe(&bench, 6, "g");
    assert_eq!(
        (stable.error_code, stable.group_state.as_str()),
        (0, "Stable")
    );
    assert_eq!(
        (stable.protocol_type.as_str(), stable.protocol_data.as_str()),
        ("consumer", "range")
    );
    let member = &stable.members[0];
    assert_eq!(
        (&member.member_id, member.client_id.as_str()),
        (&members[0].id, "client")
    );
    assert_eq!(
        (member.client_host.as_str(), &member.member_assignment[..]),
        ("/127.0.0.1", &b"a-0"[..])
    );
    assert!(!member.member_metadata.is_empty());
    assert_eq!(stable.authorized_operations, i32::MIN);

    bench.send_join(join("g").version(3));
    let preparing = describe(&bench, 6, "g");
    assert_eq!(
        (
            preparing.group_state.as_str(),
            preparing.protocol_data.as_str()
        ),
        ("PreparingRebalance", "")
    );
    assert!(
        preparing
            .members
            .iter()
            .all(|member| member.member_metadata.is_empty())
    );

    for (version, error, message) in [
        (5, ErrorCode::None, None),
        (6, ErrorCode::GroupIdNotFound, Some("Group x not found.")),
    ] {
        let dead = describe(&bench, version, "x");
        assert_eq!(
            (code(dead.error_code), dead.group_state.as_str()),
            (error, "Dead")
        );
        assert_eq!(dead.error_message.as_deref(), message);
    }
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut bench = Bench::new();
    bench.stable_group("stable", &["a"]);
    bench.commit_now(9, commit("simple", "", -1, "t", 1));
    bench.send_join(join("joining").version(3));
    let list = |states: &[&str], types: &[&str]| {
        let request = ListGroupsRequest {
            states_filter: states.iter().map(|&state| state.into()).collect(),
            types_filter: types.iter().map(|&kind| kind.into()).collect(),
        };
        let groups = bench.shard.list_groups(&request).expect("the shard serves");
        let show = |g: &wire::messages::list_groups_response::ListedGroup| {
            format!(
                "{} {} {:?} {}",
                g.group_id, g.group_state, g.protocol_type, g.group_type
            )
        };
        groups.iter().map(show).collect::<Vec<_>>()
    };
    let joining = "joining PreparingRebalance \"consumer\" classic";
    let simple = "simple Empty \"\" classic";
    let stable = "stable Stable \"consumer\" classic";
    assert_eq!(list(&[], &[]), [joining, simple, stable]);
    assert_eq!(list(&["stable", "EMPTY"], &["classic"]), [simple, stable]);
    assert_eq!(list(&[], &["consumer"]), [""; 0]);
    assert_eq!(list(&["nonsense"], &[]), [""; 0]);
}

#[test]
fn a_group_is_listed_once_the_log_knows_it() {
    let mut bench = Bench::new();
    bench.auto_commit = false;
    bench.join_now(join("g"));
    assert_eq!(bench.state("g"), "Dead 0");
    bench.commit_next();
    assert_eq!(bench.state("g"), "Empty 0");
}

fn send_delete(bench: &mut Bench, groups: &[&str]) -> Token {
    let token = bench.token();
    let groups: Vec<String> = groups.iter().map(|&group| group.into()).collect();
    let actions = bench.shard.delete_groups(token, &groups);
    bench.run(actions);
    token
}

fn deleted(bench: &mut Bench, token: Token) -> Vec<ErrorCode> {
    let Response::DeleteGroups(results) = bench.response(token) else {
        panic!("DeleteGroups")
    };
    results
        .iter()
        .map(|result| code(result.error_code))
        .collect()
}

#[test]
fn groups_are_deleted_with_their_offsets_when_the_tombstones_are_durable() {
    let mut bench = Bench::new();
    bench.stable_group("busy", &["a"]);
    bench.commit_now(9, commit("g", "", -1, "t", 1));
    bench.auto_commit = false;
    let staged = bench.send_commit(9, commit("g", "", -1, "u", 1));
    let token = send_delete(&mut bench, &["g", "busy", "unknown"]);
    assert!(bench.is_waiting(token));
    let again = send_delete(&mut bench, &["g"]);
    assert_eq!(deleted(&mut bench, again), [ErrorCode::GroupIdNotFound]);
    assert_eq!(bench.fetch_all("g"), "t-0=1 \"m\"");
    bench.commit_next();
    bench.commit_next();
    assert_eq!(bench.commit_errors(staged), [ErrorCode::None]);
    use ErrorCode::{GroupIdNotFound, NonEmptyGroup, None as Ok};
    assert_eq!(
        deleted(&mut bench, token),
        [Ok, NonEmptyGroup, GroupIdNotFound]
    );
    assert_eq!(
        (bench.fetch_all("g"), bench.state("g")),
        (String::new(), "Dead 0".into())
    );
    let mut loaded = bench.reload();
    assert_eq!(
        (loaded.fetch_all("g"), loaded.state("g")),
        (String::new(), "Dead 0".into())
    );
    assert_eq!(loaded.state("busy"), "Stable 1");
}

#[test]
fn a_deletion_that_fails_leaves_the_group() {
    let mut bench = Bench::new();
    bench.commit_now(9, commit("g", "", -1, "t", 1));
    bench.auto_commit = false;
    let token = send_delete(&mut bench, &["g"]);
    bench.fail_next(AppendError::Storage);
    assert_eq!(deleted(&mut bench, token), [ErrorCode::NotCoordinator]);
    assert_eq!(bench.fetch_all("g"), "t-0=1 \"m\"");
    assert_eq!(bench.state("g"), "Empty 0");
    let token = send_delete(&mut bench, &["g"]);
    bench.commit_next();
    assert_eq!(deleted(&mut bench, token), [ErrorCode::None]);
}

#[test]
fn a_group_that_is_joined_while_it_is_deleted_starts_anew() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a"]);
    bench.send_leave("g", &[(&members[0].id, None)]);
    bench.commit_now(9, commit("g", "", -1, "t", 1));
    bench.auto_commit = false;
    let token = send_delete(&mut bench, &["g"]);
    let joined = bench.send_join(join("g").version(3));
    let committed = bench.send_commit(9, commit("g", "", 1, "u", 1));
    assert_eq!(bench.commit_errors(committed), [ErrorCode::UnknownMemberId]);
    bench.auto_commit = true;
    bench.run(Vec::new());
    assert_eq!(deleted(&mut bench, token), [ErrorCode::None]);
    bench.advance(3_000);
    assert_eq!(bench.joined(joined).generation_id, 1);
    assert_eq!(bench.fetch_all("g"), "");
    assert_eq!(bench.reload().state("g"), "Empty 0");
}
