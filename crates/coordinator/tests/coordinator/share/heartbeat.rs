//! Members of a share group come, change, are silent and leave.

use wire::ErrorCode;
use wire::messages::ListGroupsRequest;

use super::{beat, enter, wanting};
use crate::consumer;
use crate::harness::{Bench, code, commit, join};

#[test]
fn partitions_are_assigned_once_they_are_initialized() {
    let mut bench = Bench::new();
    bench.topic("t", 2);
    assert_eq!(bench.share_beat(&enter("g", "a", &["t"])), "2 +t[0, 1]");
    assert_eq!(bench.share_state("g"), "Stable 2/2; a@2");
    // Too soon after the last assignment: KIP-1263's interval.
    assert_eq!(bench.share_beat(&beat("g", "a", 2)), "2 -");
    bench.advance(1_000);
    assert_eq!(bench.share_beat(&beat("g", "a", 2)), "3 t[0, 1]");
    assert_eq!(bench.share_beat(&beat("g", "a", 3)), "3 -");
    // A topic that grows has its new partitions initialized before they are anybody's.
    bench.topic("t", 3);
    bench.advance(1_000);
    assert_eq!(bench.share_beat(&beat("g", "a", 3)), "4 - +t[2]");
    bench.advance(1_000);
    assert_eq!(bench.share_beat(&beat("g", "a", 4)), "5 t[0, 1, 2]");
    assert_eq!(bench.share_state("g"), "Stable 5/5; a@5 t[0, 1, 2]");
}

/// A group `g` of `a` and `b`, who have topic `t` of two partitions between them, both at epoch 4.
fn pair(bench: &mut Bench) {
    bench.topic("t", 2);
    bench.share_beat(&enter("g", "a", &["t"]));
    bench.advance(1_000);
    assert_eq!(bench.share_beat(&beat("g", "a", 2)), "3 t[0, 1]");
    bench.advance(1_000);
    assert_eq!(bench.share_beat(&enter("g", "b", &["t"])), "4 t[0]");
    assert_eq!(bench.share_beat(&beat("g", "a", 3)), "4 t[1]");
    bench.advance(1_000);
}

#[test]
fn members_that_leave_or_fall_silent_give_up_their_part() {
    let mut bench = Bench::new();
    pair(&mut bench);
    assert_eq!(bench.share_beat(&beat("g", "a", -1)), "-1 -");
    assert_eq!(bench.share_beat(&beat("g", "b", 4)), "5 t[0, 1]");
    assert_eq!(bench.share_beat(&beat("g", "a", 4)), "UNKNOWN_MEMBER_ID");
    bench.advance(45_000);
    assert_eq!(bench.share_state("g"), "Empty 6/5");
    assert_eq!(bench.share_beat(&beat("g", "b", 5)), "UNKNOWN_MEMBER_ID");
}

#[test]
fn epochs_that_do_not_fit_are_fenced() {
    let mut bench = Bench::new();
    pair(&mut bench);
    assert_eq!(bench.share_beat(&beat("g", "a", 5)), "FENCED_MEMBER_EPOCH");
    // The answer with epoch 4 was lost.
    assert_eq!(bench.share_beat(&beat("g", "a", 3)), "4 -");
    assert_eq!(bench.share_beat(&beat("g", "a", 2)), "FENCED_MEMBER_EPOCH");
    assert_eq!(bench.share_beat(&beat("g", "a", -2)), "INVALID_REQUEST");
    assert_eq!(bench.share_beat(&beat("h", "a", 1)), "GROUP_ID_NOT_FOUND");
    assert_eq!(bench.share_beat(&beat("h", "a", 0)), "INVALID_REQUEST");
}

#[test]
fn a_member_may_change_what_it_wants() {
    let mut bench = Bench::new();
    pair(&mut bench);
    bench.topic("u", 1);
    let both = wanting(beat("g", "a", 4), &["t", "u"]);
    assert_eq!(bench.share_beat(&both), "5 t[1] +u[0]");
    bench.advance(1_000);
    assert_eq!(bench.share_beat(&beat("g", "a", 5)), "6 t[1] u[0]");
    let other = wanting(beat("g", "a", 6), &["u"]);
    // It stops at once, whatever the target of before says.
    assert_eq!(bench.share_beat(&other), "6 u[0]");
    bench.advance(1_000);
    assert_eq!(bench.share_beat(&beat("g", "b", 4)), "7 t[0, 1]");
}

#[test]
fn a_group_takes_no_more_members_than_it_may() {
    let config = coordinator::GroupConfig {
        share: coordinator::ShareGroupConfig {
            max_size: 1,
            ..Default::default()
        },
        ..Default::default()
    };
    let mut bench = Bench::with(config);
    bench.topic("t", 1);
    bench.share_beat(&enter("g", "a", &["t"]));
    let second = bench.share_beat(&enter("g", "b", &["t"]));
    assert_eq!(second, "GROUP_MAX_SIZE_REACHED");
    assert_eq!(bench.share_beat(&enter("g", "a", &["t"])), "2");
}

#[test]
fn a_group_is_of_one_type() {
    let mut bench = Bench::new();
    bench.topic("t", 1);
    bench.share_beat(&enter("g", "a", &["t"]));
    let consumer = consumer::enter("g", "c", &["t"]);
    assert_eq!(bench.beat(&consumer), "GROUP_ID_NOT_FOUND");
    let joined = bench.join_now(join("g"));
    assert_eq!(
        code(joined.error_code),
        ErrorCode::InconsistentGroupProtocol
    );
    let committed = bench.commit_now(9, commit("g", "", -1, "t", 5));
    assert_eq!(committed, [ErrorCode::GroupIdNotFound]);
    assert_eq!(bench.fetch_all("g"), "");
    bench.beat(&consumer::enter("h", "c", &["t"]));
    let share = bench.share_beat(&enter("h", "a", &["t"]));
    assert_eq!(share, "GROUP_ID_NOT_FOUND");
    assert_eq!(bench.share_state("h"), "GROUP_ID_NOT_FOUND");
    assert_eq!(
        bench.described("g").error_code,
        ErrorCode::GroupIdNotFound.code()
    );
    let listed = |types: &[&str]| {
        let request = ListGroupsRequest {
            types_filter: types.iter().map(|name| (*name).to_owned()).collect(),
            ..ListGroupsRequest::default()
        };
        let groups = bench.shard.list_groups(&request).unwrap();
        let shown = groups.iter().map(|group| {
            format!(
                "{} {} {} {}",
                group.group_id, group.group_type, group.protocol_type, group.group_state
            )
        });
        shown.collect::<Vec<_>>()
    };
    assert_eq!(listed(&["SHARE"]), ["g share share Stable"]);
    assert_eq!(listed(&["consumer"]).len(), 1);
}

#[test]
fn a_loaded_group_goes_on_where_it_was() {
    let mut bench = Bench::new();
    pair(&mut bench);
    let mut loaded = bench.reload();
    assert_eq!(loaded.share_state("g"), bench.share_state("g"));
    assert_eq!(loaded.initialized("g"), bench.initialized("g"));
    assert_eq!(loaded.share_beat(&beat("g", "a", 4)), "4 -");
    // Sessions begin anew.
    loaded.advance(44_000);
    assert_eq!(loaded.share_beat(&beat("g", "a", 4)), "4 -");
    loaded.advance(1_000);
    assert!(loaded.share_state("g").starts_with("Stable 5/4; a@4"));
}
