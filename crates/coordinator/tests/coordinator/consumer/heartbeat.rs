//! Members that come, go and are late: epochs, reconciliation, timeouts, and what is refused.

use std::time::Duration;

use coordinator::{AppendError, ConsumerSettings, GroupConfig};
use wire::ErrorCode;

use super::{beat, enter, error};
use crate::harness::Bench;

#[test]
fn a_partition_goes_on_when_its_owner_has_let_go() {
    let mut bench = Bench::new();
    bench.topic("t", 4);
    // The first epoch is 1, and a subscription is a change.
    assert_eq!(bench.beat(&enter("g", "a", &["t"])), "2 t[0, 1, 2, 3]");
    assert_eq!(bench.beat(&beat("g", "a", 2)), "2 -");
    bench.advance(1_000);
    // b is at the new epoch at once, and gets what is free: nothing.
    assert_eq!(bench.beat(&enter("g", "b", &["t"])), "3");
    assert_eq!(
        bench.consumer_state("g"),
        "Reconciling 3/3; a@2 t[0, 1, 2, 3] -> t[0, 1]; b@3  -> t[2, 3]"
    );
    assert_eq!(bench.beat(&beat("g", "b", 3)), "3 -");
    // a stays at its epoch while it revokes.
    assert_eq!(bench.beat(&beat("g", "a", 2)), "2 t[0, 1]");
    assert_eq!(bench.beat(&beat("g", "a", 2)), "2 -");
    let all: &[i32] = &[0, 1, 2, 3];
    assert_eq!(bench.beat_owning(beat("g", "a", 2), &[("t", all)]), "2 -");
    assert_eq!(bench.beat(&beat("g", "b", 3)), "3 -");
    assert_eq!(
        bench.beat_owning(beat("g", "a", 2), &[("t", &[0, 1])]),
        "3 -"
    );
    assert_eq!(bench.beat(&beat("g", "b", 3)), "3 t[2, 3]");
    assert_eq!(
        bench.consumer_state("g"),
        "Stable 3/3; a@3 t[0, 1]; b@3 t[2, 3]"
    );
}

#[test]
fn who_leaves_makes_room() {
    let mut bench = Bench::new();
    bench.pair();
    assert_eq!(bench.beat(&beat("g", "a", -1)), "-1 -");
    assert_eq!(bench.consumer_state("g"), "Assigning 4/3; b@3 t[2, 3]");
    assert_eq!(bench.beat(&beat("g", "b", 3)), "4 t[0, 1, 2, 3]");
    assert_eq!(bench.beat(&beat("g", "b", -1)), "-1 -");
    assert_eq!(bench.consumer_state("g"), "Empty 5/4");
    assert_eq!(bench.beat(&beat("g", "b", 4)), "UNKNOWN_MEMBER_ID");
}

#[test]
fn a_member_is_fenced_when_its_session_ends() {
    let mut bench = Bench::new();
    bench.pair();
    bench.advance(40_000);
    assert_eq!(bench.beat(&beat("g", "b", 3)), "3 -");
    bench.advance(5_000);
    assert_eq!(bench.beat(&beat("g", "a", 3)), "UNKNOWN_MEMBER_ID");
    assert_eq!(bench.beat(&beat("g", "b", 3)), "4 t[0, 1, 2, 3]");
    // A fenced member comes back with its id and epoch 0.
    assert_eq!(bench.beat(&enter("g", "a", &["t"])), "4");
}

#[test]
fn a_group_has_its_own_timeouts() {
    let mut bench = Bench::new();
    let settings = ConsumerSettings {
        session_timeout: Duration::from_secs(10),
        heartbeat_interval: Duration::from_millis(1_500),
        assignment_interval: Duration::ZERO,
    };
    bench.cluster.configure("g", settings);
    let token = bench.send_beat(&enter("g", "a", &["t"]));
    assert_eq!(bench.beaten(token).heartbeat_interval_ms, 1_500);
    bench.advance(9_999);
    assert_eq!(bench.beat(&beat("g", "a", 2)), "2 -");
    bench.advance(10_000);
    assert_eq!(bench.beat(&beat("g", "a", 2)), "UNKNOWN_MEMBER_ID");
}

#[test]
fn who_does_not_revoke_in_time_is_fenced() {
    let mut bench = Bench::new();
    bench.topic("t", 2);
    let slow = enter("g", "a", &["t"]).with(|request| request.rebalance_timeout_ms = 30_000);
    assert_eq!(bench.beat(&slow), "2 t[0, 1]");
    bench.advance(1_000);
    assert_eq!(bench.beat(&enter("g", "b", &["t"])), "3");
    assert_eq!(bench.beat(&beat("g", "a", 2)), "2 t[0]");
    bench.advance(29_999);
    // Heartbeats do not extend it.
    assert_eq!(bench.beat(&beat("g", "a", 2)), "2 -");
    assert_eq!(bench.beat(&beat("g", "b", 3)), "3 -");
    bench.advance(1);
    assert_eq!(bench.beat(&beat("g", "a", 2)), "UNKNOWN_MEMBER_ID");
    assert_eq!(bench.beat(&beat("g", "b", 3)), "4 t[0, 1]");
}

#[test]
fn a_loaded_member_that_revokes_has_its_full_timeout() {
    let mut bench = Bench::new();
    bench.topic("t", 2);
    let slow = enter("g", "a", &["t"]).with(|request| request.rebalance_timeout_ms = 30_000);
    bench.beat(&slow);
    bench.advance(1_000);
    bench.beat(&enter("g", "b", &["t"]));
    assert_eq!(bench.beat(&beat("g", "a", 2)), "2 t[0]");
    let mut bench = bench.reload();
    bench.advance(29_999);
    assert_eq!(bench.beat(&beat("g", "a", 2)), "2 -");
    bench.advance(1);
    assert_eq!(bench.beat(&beat("g", "a", 2)), "UNKNOWN_MEMBER_ID");
}

#[test]
fn the_epoch_before_is_good_while_what_is_owned_fits() {
    let mut bench = Bench::new();
    bench.pair();
    // a is at 3 since its last step and was at 2 before.
    assert_eq!(bench.beat(&beat("g", "a", 2)), "FENCED_MEMBER_EPOCH");
    assert_eq!(bench.beat_owning(beat("g", "a", 2), &[("t", &[0])]), "3 -");
    assert_eq!(
        bench.beat_owning(beat("g", "a", 2), &[("t", &[2])]),
        "FENCED_MEMBER_EPOCH"
    );
    assert_eq!(
        bench.beat_owning(beat("g", "a", 1), &[("t", &[0])]),
        "FENCED_MEMBER_EPOCH"
    );
    let token = bench.send_beat(&beat("g", "a", 4));
    let response = bench.beaten(token);
    assert_eq!(
        error(&response),
        (
            ErrorCode::FencedMemberEpoch,
            "The consumer group member has a greater member epoch (4) than the one known by the group \
             coordinator (3). The member must abandon all its partitions and rejoin."
                .into()
        )
    );
}

#[test]
fn a_full_request_is_told_the_assignment_again() {
    let mut bench = Bench::new();
    bench.pair();
    let full = beat("g", "a", 3)
        .topics(&["t"])
        .with(|request| request.rebalance_timeout_ms = 60_000);
    assert_eq!(bench.beat_owning(full, &[("t", &[0, 1])]), "3 t[0, 1]");
}

#[test]
fn a_topic_that_is_not_wanted_any_more_goes_at_once() {
    let mut bench = Bench::new();
    bench.topic("t", 1);
    bench.topic("u", 1);
    assert_eq!(bench.beat(&enter("g", "a", &["t", "u"])), "2 t[0] u[0]");
    bench.advance(500);
    // The next assignment is still held back.
    let all: &[(&str, &[i32])] = &[("t", &[0]), ("u", &[0])];
    assert_eq!(
        bench.beat_owning(beat("g", "a", 2).topics(&["t"]), all),
        "2 t[0]"
    );
    assert_eq!(bench.beat_owning(beat("g", "a", 2), &[("t", &[0])]), "2 -");
    bench.advance(500);
    assert_eq!(bench.beat_owning(beat("g", "a", 2), &[("t", &[0])]), "3 -");
}

#[test]
fn assignments_keep_their_distance() {
    let mut bench = Bench::new();
    bench.topic("t", 2);
    assert_eq!(bench.beat(&enter("g", "a", &["t"])), "2 t[0, 1]");
    bench.advance(999);
    assert_eq!(bench.beat(&enter("g", "b", &["t"])), "2");
    assert_eq!(bench.beat(&beat("g", "a", 2)), "2 -");
    assert_eq!(
        bench.consumer_state("g"),
        "Assigning 3/2; a@2 t[0, 1]; b@2 "
    );
    bench.advance(1);
    assert_eq!(bench.beat(&beat("g", "a", 2)), "2 t[0]");
}

#[test]
fn topics_that_change_are_assigned_anew() {
    let mut bench = Bench::new();
    assert_eq!(bench.beat(&enter("g", "a", &["t"])), "2");
    bench.advance(1_000);
    bench.topic("t", 1);
    assert_eq!(bench.beat(&beat("g", "a", 2)), "3 t[0]");
    bench.advance(1_000);
    bench.topic("other", 1);
    assert_eq!(bench.beat(&beat("g", "a", 3)), "3 -");
    bench.topic("t", 3);
    assert_eq!(bench.beat(&beat("g", "a", 3)), "4 t[0, 1, 2]");
    bench.advance(1_000);
    let (id, all) = (bench.cluster.id("t"), vec![0, 1, 2]);
    bench.delete_topic("t");
    let owning = |owned: Vec<i32>| {
        beat("g", "a", 4).with(|request| {
            let owned = wire::messages::consumer_group_heartbeat_request::TopicPartitions {
                topic_id: id,
                partitions: owned,
            };
            request.topic_partitions = Some(vec![owned]);
        })
    };
    assert_eq!(bench.beat(&owning(all)), "4");
    assert_eq!(bench.beat(&owning(Vec::new())), "5 -");
    // A new topic of the same name is another topic.
    bench.advance(1_000);
    bench.topic("t", 1);
    assert_eq!(bench.beat(&beat("g", "a", 5)), "6 t[0]");
}

#[test]
fn a_loaded_group_looks_at_its_topics() {
    let mut bench = Bench::new();
    bench.topic("t", 1);
    assert_eq!(bench.beat(&enter("g", "a", &["t"])), "2 t[0]");
    bench.advance(1_000);
    let mut loaded = bench.reload();
    assert_eq!(loaded.beat(&beat("g", "a", 2)), "2 -");
    let mut loaded = bench.reload();
    // Nobody tells the shard: it was not there when the topic grew.
    loaded.topic("t", 2);
    let mut loaded = loaded.reload();
    assert_eq!(loaded.beat(&beat("g", "a", 2)), "3 t[0, 1]");
}

#[test]
fn members_choose_the_assignor() {
    let mut bench = Bench::new();
    bench.topic("t", 3);
    bench.topic("u", 3);
    bench.beat(&enter("g", "a", &["t", "u"]).assignor("range"));
    bench.advance(1_000);
    bench.beat(&enter("g", "b", &["t", "u"]).assignor("range"));
    assert_eq!(bench.described("g").assignor_name, "range");
    let targets = bench.described("g").members;
    let sizes = targets.iter().map(|member| {
        let topics = &member.target_assignment.topic_partitions;
        topics
            .iter()
            .map(|topic| topic.partitions.len())
            .collect::<Vec<_>>()
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [[2, 2], [1, 1]]);
}

#[test]
fn a_group_has_a_greatest_size() {
    let mut config = GroupConfig::default();
    config.consumer.max_size = 1;
    let mut bench = Bench::with(config);
    assert_eq!(bench.beat(&enter("g", "a", &["t"])), "2");
    let token = bench.send_beat(&enter("g", "b", &["t"]));
    let response = bench.beaten(token);
    assert_eq!(
        error(&response),
        (
            ErrorCode::GroupMaxSizeReached,
            "The consumer group has reached its maximum capacity of 1 members.".into()
        )
    );
    assert_eq!(bench.beat(&enter("g", "a", &["t"])), "2");
}

#[test]
fn version_0_gives_the_member_its_id() {
    let mut bench = Bench::new();
    let mut first = enter("g", "", &["t"]);
    first.version = 0;
    let token = bench.send_beat(&first);
    let member = bench.beaten(token).member_id.unwrap();
    assert_eq!(member.len(), 22, "{member}");
    assert_eq!(bench.beat(&beat("g", &member, 2)), "2 -");
}

#[test]
fn what_is_not_valid_is_refused_in_kafkas_words_and_changes_nothing() {
    let mut bench = Bench::new();
    let join = || enter("g", "a", &["t"]);
    let invalid = ErrorCode::InvalidRequest;
    let cases = [
        (beat("g", " ", 0), invalid, "MemberId can't be empty."),
        (enter(" ", "a", &["t"]), invalid, "GroupId can't be empty."),
        (join().instance(""), invalid, "InstanceId can't be empty."),
        (
            join().with(|request| request.rack_id = Some("\t".into())),
            invalid,
            "RackId can't be empty.",
        ),
        (
            join().with(|request| request.rebalance_timeout_ms = -1),
            invalid,
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            join().with(|request| request.topic_partitions = None),
            invalid,
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            join().with(|request| request.subscribed_topic_names = None),
            invalid,
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
        (beat("g", "a", -2), invalid, "InstanceId can't be null."),
        (beat("g", "a", -3), invalid, "MemberEpoch is invalid."),
        (
            join().assignor("sticky"),
            ErrorCode::UnsupportedAssignor,
            "ServerAssignor sticky is not supported. Supported assignors: uniform, range.",
        ),
        (
            beat("g", "a", 1),
            ErrorCode::GroupIdNotFound,
            "Consumer group g not found.",
        ),
        (
            beat("g", "a", -1),
            ErrorCode::GroupIdNotFound,
            "Group g not found.",
        ),
    ];
    for (request, expected, message) in cases {
        let token = bench.send_beat(&request);
        let response = bench.beaten(token);
        assert_eq!(error(&response), (expected, message.into()));
    }
    assert!(bench.log.is_empty());
    assert_eq!(bench.consumer_state("g"), "GROUP_ID_NOT_FOUND");
}

#[test]
fn answers_wait_for_what_they_tell_of() {
    let mut bench = Bench::new();
    bench.topic("t", 1);
    bench.auto_commit = false;
    let join = bench.send_beat(&enter("g", "a", &["t"]));
    let steady = bench.send_beat(&beat("g", "a", 2));
    assert!(bench.is_waiting(join) && bench.is_waiting(steady));
    assert_eq!(bench.consumer_state("g"), "GROUP_ID_NOT_FOUND");
    bench.commit_next();
    assert_eq!(bench.beaten(join).member_epoch, 2);
    assert_eq!(bench.beaten(steady).member_epoch, 2);
    assert_eq!(bench.consumer_state("g"), "Stable 2/2; a@2 t[0]");
}

#[test]
fn an_append_that_fails_is_taken_back_and_later_ones_stay() {
    let mut bench = Bench::new();
    bench.pair();
    bench.auto_commit = false;
    let before = bench.consumer_state("g");
    let leave = bench.send_beat(&beat("g", "a", -1));
    let follow = bench.send_beat(&beat("g", "b", 3));
    bench.fail_next(AppendError::NotLeader);
    assert_eq!(error(&bench.beaten(leave)).0, ErrorCode::NotCoordinator);
    bench.fail_next(AppendError::NotLeader);
    assert_eq!(error(&bench.beaten(follow)).0, ErrorCode::NotCoordinator);
    assert_eq!(bench.consumer_state("g"), before);
    // The first fails and the second does not: b is what the log says.
    bench.send_beat(&beat("g", "a", -1));
    let other = beat("g", "b", 3).with(|request| request.rack_id = Some("r".into()));
    bench.send_beat(&other);
    bench.fail_next(AppendError::TooLarge);
    while !bench.in_flight.is_empty() {
        bench.commit_next();
    }
    let loaded = bench.reload();
    assert_eq!(bench.described("g"), loaded.described("g"));
    assert_eq!(bench.described("g").members.len(), 2);
    // a's session goes on.
    bench.auto_commit = true;
    bench.advance(45_000);
    assert_eq!(bench.beat(&beat("g", "a", 3)), "UNKNOWN_MEMBER_ID");
}

#[test]
fn an_overdue_append_is_answered_and_kept() {
    let mut bench = Bench::new();
    bench.topic("t", 1);
    bench.auto_commit = false;
    let join = bench.send_beat(&enter("g", "a", &["t"]));
    bench.advance(5_000);
    let response = bench.beaten(join);
    assert_eq!(error(&response).0, ErrorCode::CoordinatorNotAvailable);
    bench.commit_next();
    assert_eq!(bench.consumer_state("g"), "Stable 2/2; a@2 t[0]");
}
