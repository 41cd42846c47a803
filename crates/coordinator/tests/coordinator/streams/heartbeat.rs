//! Heartbeats of streams groups: joining, tasks moving between members, timeouts, and what is refused.

use std::time::Duration;

use coordinator::{AppendError, StreamsSettings};
use wire::messages::streams_group_heartbeat_request::Endpoint;
use wire::messages::{ListGroupsRequest, StreamsGroupHeartbeatRequest};

use super::{
    beat, details, enter, internal, owning, prompt, reads, stateless, topology, word_count,
};
use crate::harness::{Bench, code, join};

#[test]
fn the_first_assignment_waits_for_members() {
    let mut bench = Bench::new();
    bench.topic("t", 4);
    let answer = bench.answered_streams(&enter("a", &stateless()));
    assert_eq!(super::show(&answer), "1  ASSIGNMENT_DELAYED");
    assert_eq!(
        details(&answer),
        ["Assignment delayed due to the configured initial rebalance delay."]
    );
    assert_eq!(
        bench.streams(&enter("b", &stateless())),
        "1  ASSIGNMENT_DELAYED"
    );
    assert_eq!(bench.streams_state(), "Assigning 3/1; a@1 ; b@1 ");
    bench.advance(2_999);
    assert_eq!(bench.streams(&beat("a", 1)), "1 - ASSIGNMENT_DELAYED");
    bench.advance(1);
    assert_eq!(bench.streams(&beat("a", 1)), "3 0[0, 2]");
    assert_eq!(bench.streams(&beat("b", 1)), "3 0[1, 3]");
    assert_eq!(
        bench.streams_state(),
        "Stable 3/3; a@3 0[0, 2]; b@3 0[1, 3]"
    );
    assert_eq!(
        bench.reload().described_streams(),
        bench.described_streams()
    );
}

#[test]
fn the_answer_says_how_often_to_call() {
    let mut bench = prompt();
    bench.topic("t", 1);
    let response = bench.answered_streams(&enter("a", &stateless())).response;
    assert_eq!(response.member_id, "a");
    assert_eq!(response.heartbeat_interval_ms, 5_000);
    assert_eq!(response.task_offset_interval_ms, 60_000);
    assert_eq!(response.acceptable_recovery_lag, 10_000);
    assert_eq!(response.acceptable_recovery_lag_legacy, 10_000);
    assert!(!response.topology_description_required);
    assert_eq!(response.warmup_tasks, Some(Vec::new()));
}

#[test]
fn a_task_moves_once_its_owner_has_let_go() {
    let mut bench = prompt();
    bench.streams_pair();
    let listed = bench
        .shard
        .list_groups(&ListGroupsRequest::default())
        .unwrap();
    assert_eq!(
        (
            listed[0].group_type.as_str(),
            listed[0].protocol_type.as_str()
        ),
        ("streams", "streams")
    );
    // b leaves: its tasks are free at once.
    assert_eq!(bench.streams(&beat("b", -1)), "-1 -");
    assert_eq!(bench.streams(&beat("a", 3)), "4 0[0, 1, 2, 3]");
    assert_eq!(bench.streams(&beat("a", -1)), "-1 -");
    assert_eq!(bench.streams_state(), "Empty 5/4");
    assert_eq!(bench.streams(&beat("a", 4)), "UNKNOWN_MEMBER_ID");
}

#[test]
fn assignments_have_an_interval() {
    let mut bench = prompt();
    bench.topic("t", 2);
    assert_eq!(bench.streams(&enter("a", &stateless())), "2 0[0, 1]");
    assert_eq!(
        bench.streams(&enter("b", &stateless())),
        "2  ASSIGNMENT_DELAYED"
    );
    bench.advance(1_000);
    assert_eq!(bench.streams(&beat("b", 2)), "3 -");
    assert_eq!(bench.streams(&beat("a", 2)), "2 0[0]");
}

#[test]
fn a_member_that_does_not_give_up_its_tasks_is_fenced() {
    let mut bench = prompt();
    bench.topic("t", 2);
    assert_eq!(bench.streams(&enter("a", &stateless())), "2 0[0, 1]");
    bench.advance(1_000);
    assert_eq!(bench.streams(&enter("b", &stateless())), "3");
    assert_eq!(bench.streams(&beat("a", 2)), "2 0[0]");
    for _ in 0..6 {
        bench.advance(9_999);
        assert_eq!(
            bench.streams(&owning("a", 2, (&[("0", &[0, 1])], &[]))),
            "2 -"
        );
        assert_eq!(bench.streams(&beat("b", 3)), "3 -");
    }
    bench.advance(10);
    assert_eq!(bench.streams(&beat("a", 2)), "UNKNOWN_MEMBER_ID");
    assert_eq!(bench.streams(&beat("b", 3)), "4 0[0, 1]");
}

#[test]
fn a_silent_member_is_fenced_after_its_session_timeout() {
    let mut bench = prompt();
    bench.streams_pair();
    bench.advance(43_000);
    assert_eq!(bench.streams(&beat("a", 3)), "3 -");
    bench.advance(1_000);
    assert_eq!(bench.streams(&beat("b", 3)), "UNKNOWN_MEMBER_ID");
    assert_eq!(bench.streams(&beat("a", 3)), "4 0[0, 1, 2, 3]");
    // A loaded shard gives everyone a full session.
    let mut loaded = bench.reload();
    loaded.advance(44_999);
    assert_eq!(loaded.streams(&beat("a", 4)), "4 -");
}

#[test]
fn epochs_are_checked() {
    let mut bench = prompt();
    bench.streams_pair();
    assert_eq!(bench.streams(&beat("a", 4)), "FENCED_MEMBER_EPOCH");
    // The answer with epoch 3 was lost: what the member has fits.
    let kept = owning("a", 2, (&[("0", &[0, 1])], &[]));
    assert_eq!(bench.streams(&kept), "3 -");
    let more = owning("a", 2, (&[("0", &[0, 1, 2])], &[]));
    assert_eq!(bench.streams(&more), "FENCED_MEMBER_EPOCH");
    assert_eq!(bench.streams(&beat("a", 2)), "FENCED_MEMBER_EPOCH");
    assert_eq!(bench.streams(&beat("x", 3)), "UNKNOWN_MEMBER_ID");
    // A member that was fenced comes back from nothing.
    assert_eq!(bench.streams(&enter("a", &stateless())), "3 0[0, 1]");
}

#[test]
fn standby_tasks_follow_the_groups_config() {
    let mut bench = prompt();
    bench.topic("t", 2);
    bench.topic("r", 2);
    bench.topic("c", 2);
    assert_eq!(
        bench.streams(&enter("a", &word_count())),
        "2 0[0, 1] 1[0, 1]"
    );
    bench.advance(1_000);
    assert_eq!(bench.streams(&enter("b", &word_count())), "3");
    assert_eq!(bench.streams(&beat("a", 2)), "2 0[0] 1[0]");
    let kept = owning("a", 2, (&[("0", &[0]), ("1", &[0])], &[]));
    assert_eq!(bench.streams(&kept), "3 -");
    assert_eq!(bench.streams(&beat("b", 3)), "3 0[1] 1[1]");
    let settings = StreamsSettings {
        standby_replicas: 1,
        initial_rebalance_delay: Duration::ZERO,
        ..bench.config.streams.settings.clone()
    };
    bench.cluster.configure_streams("g", settings);
    bench.advance(1_000);
    assert_eq!(bench.streams(&beat("a", 3)), "4 0[0] 1[0] + 1[1]");
    assert_eq!(bench.streams(&beat("b", 3)), "4 0[1] 1[1] + 1[0]");
    // a goes: b's copy becomes the active task, once it is given up as a copy.
    assert_eq!(bench.streams(&beat("a", -1)), "-1 -");
    bench.advance(1_000);
    assert_eq!(bench.streams(&beat("b", 4)), "4 0[1] 1[1]");
    let given = owning("b", 4, (&[("0", &[1]), ("1", &[1])], &[]));
    assert_eq!(bench.streams(&given), "5 0[0, 1] 1[1]");
    let has = owning("b", 5, (&[("0", &[0, 1]), ("1", &[1])], &[]));
    assert_eq!(bench.streams(&has), "5 0[0, 1] 1[0, 1]");
    assert_eq!(bench.streams_state(), "Stable 5/5; b@5 0[0, 1] 1[0, 1]");
    assert_eq!(
        bench.reload().described_streams(),
        bench.described_streams()
    );
}

#[test]
fn a_shutdown_is_told_to_all_until_the_group_is_empty() {
    let mut bench = prompt();
    bench.streams_pair();
    let mut asks = beat("a", 3);
    asks.shutdown_application = true;
    let answer = bench.answered_streams(&asks);
    assert_eq!(
        details(&answer),
        [
            "Streams group member a encountered a fatal error and requested a shutdown for the entire application."
        ]
    );
    assert_eq!(bench.streams(&beat("b", 3)), "3 - SHUTDOWN_APPLICATION");
    bench.streams(&beat("a", -1));
    assert_eq!(
        bench.streams(&beat("b", 3)),
        "4 0[0, 1, 2, 3] SHUTDOWN_APPLICATION"
    );
    bench.streams(&beat("b", -1));
    bench.advance(1_000);
    assert_eq!(bench.streams(&enter("c", &stateless())), "6 0[0, 1, 2, 3]");
}

#[test]
fn endpoints_are_told_when_they_change() {
    let mut bench = prompt();
    bench.topic("t", 2);
    bench.topic("r", 2);
    bench.topic("c", 2);
    let with_endpoint = |mut request: StreamsGroupHeartbeatRequest, port| {
        request.user_endpoint = Some(Endpoint {
            host: "h".into(),
            port,
        });
        request
    };
    let first = bench.answered_streams(&with_endpoint(enter("a", &word_count()), 1));
    // The group came to be with this heartbeat.
    assert_eq!(first.response.endpoint_information_epoch, 0);
    bench.advance(1_000);
    let second = bench.answered_streams(&with_endpoint(enter("b", &word_count()), 2));
    assert_eq!(second.response.endpoint_information_epoch, 1);
    let told = second.response.partitions_by_user_endpoint.unwrap();
    let told: Vec<String> = told
        .iter()
        .map(|endpoint| {
            let topics: Vec<String> = endpoint
                .active_partitions
                .iter()
                .map(|topic| format!("{}{:?}", topic.topic, topic.partitions))
                .collect();
            format!("{}: {}", endpoint.user_endpoint.port, topics.join(" "))
        })
        .collect();
    assert_eq!(told, ["1: t[0, 1] r[0, 1]", "2: "]);
    let mut knows = beat("b", 3);
    knows.endpoint_information_epoch = 1;
    let third = bench.answered_streams(&knows);
    assert_eq!(third.response.partitions_by_user_endpoint, None);
}

#[test]
fn reported_offsets_are_described() {
    use wire::messages::streams_group_heartbeat_request::TaskOffset;
    let mut bench = prompt();
    bench.streams_pair();
    let mut request = beat("a", 3);
    request.task_offsets = Some(vec![TaskOffset {
        subtopology_id: "0".into(),
        partition: 1,
        offset: 42,
    }]);
    request.task_end_offsets = Some(Vec::new());
    assert_eq!(bench.streams(&request), "3 -");
    let described = bench.described_streams();
    let offsets = &described.members[0].task_offsets;
    assert_eq!((offsets[0].partition, offsets[0].offset), (1, 42));
}

#[test]
fn kinds_of_groups_do_not_mix() {
    let mut bench = prompt();
    bench.streams_pair();
    let refused = bench.join_now(join("g"));
    assert_eq!(
        code(refused.error_code).name(),
        "INCONSISTENT_GROUP_PROTOCOL"
    );
    let consumer = crate::consumer::enter("g", "x", &["t"]);
    assert_eq!(bench.beat(&consumer), "GROUP_ID_NOT_FOUND");
    assert_eq!(bench.shard.describe_consumer_group("g").error_code, 69);
    bench.beat(&crate::consumer::enter("k", "x", &["t"]));
    let mut other = enter("y", &stateless());
    other.group_id = "k".into();
    assert_eq!(bench.streams(&other), "GROUP_ID_NOT_FOUND");
    assert_eq!(
        bench
            .shard
            .describe_streams_group("k", false)
            .error_message
            .unwrap(),
        "Group k is not a streams group."
    );
    let mut unknown = beat("y", 3);
    unknown.group_id = "nope".into();
    let answer = bench.answered_streams(&unknown).response;
    assert_eq!(
        answer.error_message.unwrap(),
        "Streams group nope not found."
    );
}

#[test]
fn an_empty_group_becomes_one_of_the_other_kind() {
    let mut bench = prompt();
    bench.streams_pair();
    bench.streams(&beat("a", -1));
    bench.streams(&beat("b", -1));
    let members = bench.stable_group("g", &["one"]);
    assert_eq!(bench.state("g"), "Stable 1");
    assert_eq!(bench.reload().state("g"), "Stable 1");
    assert_eq!(
        bench.streams(&enter("a", &stateless())),
        "GROUP_ID_NOT_FOUND"
    );
    let leave = bench.send_leave("g", &[(&members[0].id, None)]);
    bench.left(leave);
    bench.advance(1_000);
    assert_eq!(bench.streams(&enter("a", &stateless())), "2 0[0, 1, 2, 3]");
    assert_eq!(
        bench.reload().described_streams(),
        bench.described_streams()
    );
}

#[test]
fn a_full_group_takes_no_more() {
    let mut bench = prompt();
    bench.config.streams.max_size = 1;
    bench = bench.reload();
    bench.topic("t", 1);
    bench.streams(&enter("a", &stateless()));
    assert_eq!(
        bench.streams(&enter("b", &stateless())),
        "GROUP_MAX_SIZE_REACHED"
    );
    assert_eq!(bench.streams(&enter("a", &stateless())), "2 0[0]");
}

/// What makes a good request a bad one.
type Change<'a> = &'a dyn Fn(&mut StreamsGroupHeartbeatRequest);

#[test]
fn what_makes_no_sense_is_refused() {
    let mut bench = prompt();
    bench.topic("t", 2);
    let mut refused = |change: Change<'_>| {
        let mut request = enter("a", &stateless());
        change(&mut request);
        let response = bench.answered_streams(&request).response;
        let message = response.error_message.unwrap_or_default();
        format!("{}: {message}", code(response.error_code).name())
    };
    let cases: [(Change<'_>, &str); 12] = [
        (
            &|r| r.member_id = " ".into(),
            "INVALID_REQUEST: MemberId can't be empty.",
        ),
        (
            &|r| r.group_id = String::new(),
            "INVALID_REQUEST: GroupId can't be empty.",
        ),
        (
            &|r| r.rebalance_timeout_ms = -1,
            "INVALID_REQUEST: RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            &|r| r.standby_tasks = None,
            "INVALID_REQUEST: StandbyTasks must be empty when (re-)joining.",
        ),
        (
            &|r| r.topology = None,
            "INVALID_REQUEST: Topology must be non-null when (re-)joining.",
        ),
        (
            &|r| r.member_epoch = 1,
            "INVALID_REQUEST: Topology can only be provided when (re-)joining.",
        ),
        (
            &|r| r.member_epoch = -3,
            "INVALID_REQUEST: MemberEpoch is -3, but must be greater than or equal to -2.",
        ),
        (
            &|r| r.member_epoch = -2,
            "INVALID_REQUEST: InstanceId can't be null.",
        ),
        (
            &|r| {
                let topology = r.topology.as_mut().unwrap();
                topology.subtopologies[0].source_topic_regex = vec!["t.*".into()];
            },
            "INVALID_REQUEST: Regular expressions for source topics are not supported yet.",
        ),
        (
            &|r| {
                let topology = r.topology.as_mut().unwrap();
                topology.subtopologies[0].state_changelog_topics = vec![internal("c", 2)];
            },
            "STREAMS_INVALID_TOPOLOGY: Changelog topic c must have an undefined partition count, but it is set to 2.",
        ),
        (
            &|r| r.topology = Some(topology(vec![reads("0", &["t"]), reads("0", &["t"])])),
            "STREAMS_INVALID_TOPOLOGY: Subtopology 0 is there twice.",
        ),
        (
            &|r| r.topology = Some(topology(vec![reads("0", &[])])),
            "STREAMS_INVALID_TOPOLOGY: No source topics found for subtopology 0",
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(refused(change), expected);
    }
    assert_eq!(bench.streams(&enter("a", &stateless())), "2 0[0, 1]");
    let unknown = owning("a", 2, (&[("9", &[0])], &[]));
    assert_eq!(bench.streams(&unknown), "INVALID_REQUEST");
    let beyond = owning("a", 2, (&[("0", &[2])], &[]));
    assert_eq!(bench.streams(&beyond), "INVALID_REQUEST");
    let mut half = owning("a", 2, (&[], &[]));
    half.warmup_tasks = None;
    assert_eq!(bench.streams(&half), "INVALID_REQUEST");
}

#[test]
fn topologies_do_not_change() {
    let mut bench = prompt();
    bench.topic("t", 2);
    let mut newer = stateless();
    newer.epoch = 1;
    assert_eq!(bench.streams(&enter("a", &newer)), "2 0[0, 1]");
    let other = topology(vec![reads("0", &["u"])]);
    let mut same_epoch = other.clone();
    same_epoch.epoch = 1;
    assert_eq!(bench.streams(&enter("b", &same_epoch)), "INVALID_REQUEST");
    // A member of an older version may join; it is told that others are ahead.
    bench.advance(1_000);
    let answer = bench.answered_streams(&enter("b", &other));
    assert_eq!(super::show(&answer), "3  STALE_TOPOLOGY");
    assert_eq!(
        details(&answer),
        ["The member's topology epoch 0 is behind the group's topology epoch 1."]
    );
}

#[test]
fn what_is_not_written_did_not_happen() {
    let mut bench = prompt();
    bench.topic("t", 2);
    bench.auto_commit = false;
    let first = bench.send_streams(&enter("a", &stateless()));
    assert!(bench.is_waiting(first));
    bench.fail_next(AppendError::TooLarge);
    assert_eq!(
        super::show(&bench.streams_answer(first)),
        "UNKNOWN_SERVER_ERROR"
    );
    assert_eq!(bench.streams_state(), "GROUP_ID_NOT_FOUND");
    bench.auto_commit = true;
    assert_eq!(bench.streams(&enter("a", &stateless())), "2 0[0, 1]");
    // Topics grow, and the record that says so is lost: the next heartbeat looks again.
    bench.topic("t", 3);
    bench.auto_commit = false;
    bench.advance(1_000);
    let lost = bench.send_streams(&beat("a", 2));
    bench.fail_next(AppendError::NotLeader);
    assert_eq!(super::show(&bench.streams_answer(lost)), "NOT_COORDINATOR");
    bench.auto_commit = true;
    assert_eq!(bench.streams(&beat("a", 2)), "3 0[0, 1, 2]");
    assert_eq!(
        bench.reload().described_streams(),
        bench.described_streams()
    );
}
