//! Subscriptions by regular expression.

use super::{beat, enter, error};
use crate::harness::Bench;
use wire::ErrorCode;

#[test]
fn what_a_pattern_matches_comes_with_the_next_heartbeat() {
    let mut bench = Bench::new();
    bench.topic("foo", 1);
    bench.topic("foobar", 1);
    bench.topic("bar", 1);
    assert_eq!(bench.beat(&enter("g", "a", &[]).regex("foo.*")), "1");
    assert_eq!(bench.beat(&beat("g", "a", 1)), "2 foo[0] foobar[0]");
    let described = bench.described("g");
    let regex = described.members[0].subscribed_topic_regex.as_deref();
    assert_eq!(regex, Some("foo.*"));
    assert_eq!(described.group_state, "Stable");
    // New topics are found, not more often than every ten seconds.
    bench.advance(5_000);
    bench.topic("foo2", 1);
    assert_eq!(bench.beat(&beat("g", "a", 2)), "2 -");
    assert_eq!(bench.beat(&beat("g", "a", 2)), "2 -");
    bench.advance(5_001);
    assert_eq!(bench.beat(&beat("g", "a", 2)), "2 -");
    assert_eq!(bench.beat(&beat("g", "a", 2)), "3 foo2[0] foo[0] foobar[0]");
    let loaded = bench.reload();
    assert_eq!(bench.described("g"), loaded.described("g"));
}

#[test]
fn only_what_the_requester_may_see_is_matched() {
    let mut bench = Bench::new();
    bench.topic("foo", 1);
    bench.topic("foo-secret", 1);
    let join = enter("g", "a", &[]).regex("foo.*");
    bench.send_beat_seeing(&join, &|topic| topic != "foo-secret");
    bench.advance(1_000);
    assert_eq!(bench.beat(&beat("g", "a", 1)), "2 foo[0]");
}

#[test]
fn a_pattern_that_is_none_is_refused() {
    let mut bench = Bench::new();
    let token = bench.send_beat(&enter("g", "a", &[]).regex("foo["));
    let response = bench.beaten(token);
    assert_eq!(
        error(&response),
        (
            ErrorCode::InvalidRegularExpression,
            "SubscribedTopicRegex `foo[` is not a valid regular expression: missing closing ]."
                .into()
        )
    );
    assert!(bench.log.is_empty());
}

#[test]
fn a_second_member_with_the_same_pattern_needs_no_matching() {
    let mut bench = Bench::new();
    bench.topic("foo", 2);
    bench.beat(&enter("g", "a", &[]).regex("fo+"));
    bench.advance(1_000);
    assert_eq!(bench.beat(&beat("g", "a", 1)), "2 foo[0, 1]");
    bench.advance(1_000);
    assert_eq!(bench.beat(&enter("g", "b", &[]).regex("fo+")), "3");
    assert_eq!(bench.beat(&beat("g", "a", 2)), "2 foo[0]");
}

#[test]
fn the_last_member_takes_its_pattern_along() {
    let mut bench = Bench::new();
    bench.topic("foo", 1);
    bench.topic("bar", 1);
    bench.beat(&enter("g", "a", &[]).regex("fo+"));
    bench.beat(&enter("g", "b", &["bar"]));
    bench.advance(1_000);
    bench.beat(&beat("g", "a", 1));
    bench.advance(1_000);
    // From a pattern to names: the pattern's topics go.
    let owned = bench.owned(&[("foo", &[0])]);
    let names = beat("g", "a", 3).topics(&["bar"]).with(|request| {
        request.subscribed_topic_regex = Some(String::new());
        request.topic_partitions = owned;
    });
    let answer = bench.beat(&names);
    assert!(!answer.contains("foo"), "{answer}");
    let regexes = bench
        .log
        .iter()
        .filter(|record| record.key.starts_with(&[0, 16]));
    let values: Vec<bool> = regexes.map(|record| record.value.is_some()).collect();
    assert_eq!(values.last(), Some(&false));
    let loaded = bench.reload();
    assert_eq!(bench.described("g"), loaded.described("g"));
}
