//! Topics of an application: how many partitions internal topics get, and what is wrong with those there are.

use wire::messages::streams_group_heartbeat_request::{CopartitionGroup, Topology};

use super::{beat, details, enter, internal, prompt, reads, stateless, topology, word_count};
use crate::harness::Bench;

/// The topics the broker is asked to create: `name:partitions`.
fn missing(bench: &mut Bench, topology: &Topology) -> Result<Vec<String>, String> {
    let answer = bench.answered_streams(&enter("a", topology));
    if answer.response.error_code != 0 {
        return Err(answer.response.error_message.unwrap_or_default());
    }
    let status = details(&answer).join("; ");
    if answer.missing_topics.is_empty() && !status.is_empty() {
        return Err(status);
    }
    let topics = answer.missing_topics.iter();
    Ok(topics
        .map(|topic| format!("{}:{}", topic.name, topic.partitions))
        .collect())
}

#[test]
fn a_group_waits_for_its_topics() {
    let mut bench = prompt();
    let answer = bench.answered_streams(&enter("a", &word_count()));
    assert_eq!(super::show(&answer), "2  MISSING_SOURCE_TOPICS");
    assert_eq!(details(&answer), ["Source topics t are missing."]);
    assert_eq!(bench.streams_state(), "NotReady 2/2; a@2 ");
    bench.topic("t", 3);
    bench.advance(1_000);
    let answer = bench.answered_streams(&beat("a", 2));
    assert_eq!(super::show(&answer), "3 - MISSING_INTERNAL_TOPICS");
    assert_eq!(details(&answer), ["Internal topics are missing: c, r"]);
    let wanted: Vec<(&str, i32, Option<i16>)> = answer
        .missing_topics
        .iter()
        .map(|topic| {
            assert_eq!(topic.configs["cleanup.policy"], "compact");
            (
                topic.name.as_str(),
                topic.partitions,
                topic.replication_factor,
            )
        })
        .collect();
    assert_eq!(wanted, [("c", 3, None), ("r", 3, None)]);
    // It is told again until they are there.
    assert_eq!(
        bench.answered_streams(&beat("a", 3)).missing_topics.len(),
        2
    );
    bench.topic("c", 3);
    bench.topic("r", 3);
    bench.advance(1_000);
    assert_eq!(bench.streams(&beat("a", 3)), "4 0[0, 1, 2] 1[0, 1, 2]");
    assert_eq!(
        bench.streams_state(),
        "Stable 4/4; a@4 0[0, 1, 2] 1[0, 1, 2]"
    );
    // The source grows: the repartition topic does not fit any more, and the member gives everything up.
    bench.topic("t", 4);
    bench.advance(1_000);
    let answer = bench.answered_streams(&beat("a", 4));
    assert_eq!(
        details(&answer),
        ["Existing topic r has different number of partitions: expected 4, found 3"]
    );
    assert_eq!(super::show(&answer), "4  INCORRECTLY_PARTITIONED_TOPICS");
    assert_eq!(
        bench.reload().described_streams(),
        bench.described_streams()
    );
}

#[test]
fn partitions_flow_through_repartition_topics() {
    let mut bench = prompt();
    bench.topic("t", 5);
    let mut first = reads("0", &["t"]);
    first.repartition_sink_topics = vec!["r1".into()];
    let mut second = reads("1", &[]);
    second.repartition_source_topics = vec![internal("r1", 0)];
    second.repartition_sink_topics = vec!["r2".into()];
    let mut third = reads("2", &[]);
    third.repartition_source_topics = vec![internal("r2", 7)];
    third.state_changelog_topics = vec![internal("c", 0)];
    // In the order of the ids the last comes first.
    (first.subtopology_id, third.subtopology_id) = ("2".into(), "0".into());
    assert_eq!(
        missing(&mut bench, &topology(vec![first, second, third])),
        Ok(vec!["c:7".into(), "r1:5".into(), "r2:7".into()])
    );
}

#[test]
fn a_loop_has_no_number_of_partitions() {
    let mut bench = prompt();
    let mut one = reads("0", &[]);
    one.repartition_source_topics = vec![internal("r1", 0)];
    one.repartition_sink_topics = vec!["r2".into()];
    let mut two = reads("1", &[]);
    two.repartition_source_topics = vec![internal("r2", 0)];
    two.repartition_sink_topics = vec!["r1".into()];
    assert_eq!(
        missing(&mut bench, &topology(vec![one, two])),
        Err(
            "Failed to compute number of partitions for all repartition topics. There may be loops in the topology \
             that cannot be resolved."
                .into()
        )
    );
    let mut orphan = reads("0", &[]);
    orphan.repartition_source_topics = vec![internal("r", 0)];
    assert!(missing(&mut bench, &topology(vec![orphan])).is_err());
    assert_eq!(bench.streams_state(), "GROUP_ID_NOT_FOUND");
}

/// Subtopology `1` joins `t` with the repartition topics, of which the first two are written by `0` from `u`.
fn joined(repartitions: &[(&str, i32)], sources: &[&str]) -> Topology {
    let mut writer = reads("0", &["u"]);
    writer.repartition_sink_topics = repartitions
        .iter()
        .map(|(name, _)| (*name).into())
        .collect();
    let mut joins = reads("1", sources);
    joins.repartition_source_topics = repartitions
        .iter()
        .map(|(name, partitions)| internal(name, *partitions))
        .collect();
    joins.copartition_groups = vec![CopartitionGroup {
        source_topics: (0..sources.len())
            .map(|at| i16::try_from(at).unwrap())
            .collect(),
        repartition_source_topics: (0..repartitions.len())
            .map(|at| i16::try_from(at).unwrap())
            .collect(),
        ..CopartitionGroup::default()
    }];
    topology(vec![writer, joins])
}

#[test]
fn copartitioned_topics_have_the_same_number_of_partitions() {
    let mut bench = prompt();
    bench.topic("t", 3);
    bench.topic("v", 4);
    bench.topic("u", 6);
    let mut check = |repartitions: &[(&str, i32)], sources: &[&str]| {
        missing(&mut bench, &joined(repartitions, sources))
    };
    // What is flexible follows what is not.
    assert_eq!(check(&[("r", 0)], &["t"]), Ok(vec!["r:3".into()]));
    assert_eq!(
        check(&[("r", 0), ("s", 0)], &[]),
        Err("Topology updates are not supported yet.".into())
    );
    let fresh = |repartitions: &[(&str, i32)], sources: &[&str]| {
        let mut bench = prompt();
        bench.topic("t", 3);
        bench.topic("v", 4);
        bench.topic("u", 6);
        missing(&mut bench, &joined(repartitions, sources))
    };
    assert_eq!(
        fresh(&[("r", 0), ("s", 0)], &[]),
        Ok(vec!["r:6".into(), "s:6".into()])
    );
    assert_eq!(
        fresh(&[("r", 0), ("s", 2)], &[]),
        Ok(vec!["r:2".into(), "s:2".into()])
    );
    assert_eq!(
        fresh(&[("r", 2), ("s", 5)], &[]),
        Err("Following topics do not have the same number of partitions: [{r=2, s=5}]".into())
    );
    assert_eq!(
        fresh(&[("r", 2)], &["t"]),
        Err(
            "Number of partitions [2] of repartition topic [r] doesn't match number of partitions [3] of the source \
             topic."
                .into()
        )
    );
    assert_eq!(
        fresh(&[], &["t", "v"]),
        Err("Following topics do not have the same number of partitions: [{t=3, v=4}]".into())
    );
}

#[test]
fn a_copartition_group_names_topics_that_are_there() {
    let mut bench = prompt();
    bench.topic("t", 1);
    let mut reader = reads("0", &["t"]);
    reader.copartition_groups = vec![CopartitionGroup {
        source_topics: vec![0, 1],
        ..CopartitionGroup::default()
    }];
    let refused = missing(&mut bench, &topology(vec![reader]));
    assert!(
        refused.unwrap_err().contains("copartition group"),
        "a wrong index"
    );
}

#[test]
fn members_in_wait_share_what_comes() {
    let mut bench = prompt();
    assert_eq!(
        bench.streams(&enter("a", &stateless())),
        "2  MISSING_SOURCE_TOPICS"
    );
    bench.advance(1_000);
    assert_eq!(
        bench.streams(&enter("b", &stateless())),
        "3  MISSING_SOURCE_TOPICS"
    );
    bench.topic("t", 2);
    bench.advance(1_000);
    assert_eq!(bench.streams(&beat("a", 2)), "4 0[0]");
    assert_eq!(bench.streams(&beat("b", 3)), "4 0[1]");
    // The topic goes, and with it the tasks.
    bench.delete_topic("t");
    bench.advance(1_000);
    assert_eq!(bench.streams(&beat("a", 4)), "4  MISSING_SOURCE_TOPICS");
}
