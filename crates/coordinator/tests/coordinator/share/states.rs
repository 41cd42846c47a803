//! The states of share partitions: initialized, reset, deleted, gone.

use base::{Offset, TopicId, Uuid};
use coordinator::share_group::{AlteredShareOffsets, DeletedShareOffsets};
use coordinator::{Response, Shard, Token};
use wire::ErrorCode;
use wire::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};

use super::{beat, enter};
use crate::harness::{Bench, code};

fn alter(
    bench: &mut Bench,
    group: &str,
    topic: &str,
    offsets: &[(i32, i64)],
) -> AlteredShareOffsets {
    let partition =
        |(partition_index, start_offset): &(i32, i64)| AlterShareGroupOffsetsRequestPartition {
            partition_index: *partition_index,
            start_offset: *start_offset,
        };
    let topics = [AlterShareGroupOffsetsRequestTopic {
        topic_name: topic.into(),
        partitions: offsets.iter().map(partition).collect(),
    }];
    let token = bench.token();
    let actions = bench.shard.alter_share_group_offsets(token, group, &topics);
    bench.run(actions);
    match bench.response(token) {
        Response::AlterShareGroupOffsets(altered) => *altered,
        other => panic!("{other:?}"),
    }
}

fn deletion(
    bench: &mut Bench,
    run: impl FnOnce(&mut Shard, Token) -> Vec<coordinator::Action>,
) -> DeletedShareOffsets {
    let token = bench.token();
    let actions = run(&mut bench.shard, token);
    bench.run(actions);
    match bench.response(token) {
        Response::DeleteShareGroupOffsets(deleted) => *deleted,
        other => panic!("{other:?}"),
    }
}

fn error(error: &Option<(ErrorCode, Option<String>)>) -> (ErrorCode, &str) {
    let (code, message) = error.as_ref().expect("it fails");
    (*code, message.as_deref().unwrap_or_default())
}

#[test]
fn an_initialization_that_failed_is_asked_for_again() {
    let mut bench = Bench::new();
    bench.topic("t", 2);
    let token = bench.send_share(&enter("g", "a", &["t"]));
    let heartbeat = bench.share_beaten(token);
    let states = heartbeat.initialize.unwrap();
    assert_eq!(states.state_epoch, 2);
    // While it lasts nobody asks again.
    assert_eq!(bench.share_beat(&beat("g", "a", 2)), "2 -");
    let failed = bench.token();
    let partitions = states.partitions();
    let actions = bench
        .shard
        .share_states_not_initialized(failed, "g", &partitions);
    bench.run(actions);
    assert_eq!(bench.share_beat(&beat("g", "a", 2)), "2 - +t[0, 1]");
}

#[test]
fn an_initialization_without_outcome_is_asked_for_again_in_time() {
    let mut bench = Bench::new();
    bench.topic("t", 1);
    bench.send_share(&enter("g", "a", &["t"]));
    bench.advance(29_000);
    assert_eq!(bench.share_beat(&beat("g", "a", 2)), "2 -");
    // A shard that has loaded the group does not know since when.
    let mut loaded = bench.reload();
    assert_eq!(loaded.share_beat(&beat("g", "a", 2)), "2 - +t[0]");
    bench.advance(1_000);
    assert_eq!(bench.share_beat(&beat("g", "a", 2)), "2 - +t[0]");
}

#[test]
fn offsets_of_a_group_without_members_are_reset() {
    let mut bench = Bench::new();
    bench.topic("t", 1);
    let altered = alter(&mut bench, "g", "t", &[(0, 42), (7, 1)]);
    let id = bench.cluster.id("t");
    assert_eq!(altered.error, None);
    let offsets = &altered.initialize.start_offsets;
    assert_eq!(offsets[&id].iter().next(), Some((&0, &Offset(42))));
    let codes = altered.topics[0].partitions.iter();
    let codes: Vec<ErrorCode> = codes.map(|partition| code(partition.error_code)).collect();
    assert_eq!(codes, [ErrorCode::None, ErrorCode::UnknownTopicOrPartition]);
    bench.share_initialized("g", &altered.initialize.partitions());
    assert_eq!(bench.share_state("g"), "Empty 1/1");
    assert_eq!(bench.initialized("g").len(), 1);
    bench.share_beat(&enter("g", "a", &["t"]));
    let altered = alter(&mut bench, "g", "t", &[(0, 0)]);
    let refused = (ErrorCode::NonEmptyGroup, "The group is not empty.");
    assert_eq!(error(&altered.error), refused);
    let unknown = alter(&mut bench, "h", "nope", &[(0, 0)]);
    assert!(unknown.initialize.start_offsets.is_empty());
    assert_eq!(bench.share_state("h"), "GROUP_ID_NOT_FOUND");
}

#[test]
fn offsets_are_deleted_topic_by_topic() {
    let mut bench = Bench::new();
    for topic in ["t", "u", "v"] {
        bench.topic(topic, 2);
    }
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let missing = names(&["t"]);
    let none = deletion(&mut bench, |shard, token| {
        shard.delete_share_group_offsets(token, "g", &missing)
    });
    assert_eq!(error(&none.error).0, ErrorCode::GroupIdNotFound);
    bench.share_beat(&enter("g", "a", &["t", "u"]));
    let busy = deletion(&mut bench, |shard, token| {
        shard.delete_share_group_offsets(token, "g", &missing)
    });
    assert_eq!(error(&busy.error).0, ErrorCode::NonEmptyGroup);
    bench.share_beat(&beat("g", "a", -1));
    let wanted = names(&["t", "v", "w"]);
    let begun = deletion(&mut bench, |shard, token| {
        shard.delete_share_group_offsets(token, "g", &wanted)
    });
    let t = bench.cluster.id("t");
    assert_eq!(begun.delete, [(t, [0, 1].into())].into());
    let refused: Vec<&str> = begun
        .refused
        .iter()
        .map(|topic| topic.topic_name.as_str())
        .collect();
    assert_eq!(refused, ["v", "w"]);
    // The one whose deletion got no answer can be deleted again.
    let again = deletion(&mut bench, |shard, token| {
        shard.delete_share_group_offsets(token, "g", &names(&["t"]))
    });
    assert_eq!(again.delete.len(), 1);
    let token = bench.token();
    let actions = bench.shard.share_offsets_deleted(token, "g", &[t]);
    bench.run(actions);
    let gone = deletion(&mut bench, |shard, token| {
        shard.delete_share_group_offsets(token, "g", &names(&["t"]))
    });
    assert_eq!(gone.refused.len(), 1);
    assert_eq!(bench.initialized("g").len(), 1);
}

#[test]
fn a_group_goes_after_its_states() {
    let mut bench = Bench::new();
    bench.topic("t", 2);
    bench.share_beat(&enter("g", "a", &["t"]));
    let states = |bench: &mut Bench| {
        deletion(bench, |shard, token| {
            shard.delete_share_group_states(token, "g")
        })
    };
    let busy = states(&mut bench);
    assert_eq!(error(&busy.error).0, ErrorCode::NonEmptyGroup);
    bench.share_beat(&beat("g", "a", -1));
    let doomed = states(&mut bench);
    assert_eq!(doomed.delete[&bench.cluster.id("t")], [0, 1].into());
    let token = bench.token();
    let actions = bench.shard.delete_groups(token, &["g".to_owned()]);
    bench.run(actions);
    assert_eq!(bench.share_state("g"), "GROUP_ID_NOT_FOUND");
    assert_eq!(bench.reload().share_state("g"), "GROUP_ID_NOT_FOUND");
    assert_eq!(states(&mut bench), DeletedShareOffsets::default());
}

#[test]
fn states_of_deleted_topics_are_forgotten() {
    let mut bench = Bench::new();
    bench.topic("t", 1);
    bench.topic("u", 1);
    bench.share_beat(&enter("g", "a", &["t", "u"]));
    let id: Uuid = bench.cluster.id("t");
    bench.delete_topic("t");
    let actions = bench.shard.topics_deleted(&[("t".into(), TopicId(id))]);
    bench.run(actions);
    let left = bench.initialized("g");
    assert_eq!(left.keys().collect::<Vec<_>>(), [&bench.cluster.id("u")]);
    assert_eq!(bench.reload().initialized("g"), left);
}
