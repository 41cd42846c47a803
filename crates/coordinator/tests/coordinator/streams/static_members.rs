//! Static members of streams groups (KAFKA-20169): they come back to their tasks without a rebalance.

use super::{beat, enter, prompt, stateless};

fn of(
    mut request: wire::messages::StreamsGroupHeartbeatRequest,
    instance: &str,
) -> wire::messages::StreamsGroupHeartbeatRequest {
    request.instance_id = Some(instance.into());
    request
}

#[test]
fn a_static_member_comes_back_to_its_tasks() {
    let mut bench = prompt();
    bench.topic("t", 2);
    assert_eq!(
        bench.streams(&of(enter("a", &stateless()), "i")),
        "2 0[0, 1]"
    );
    let mut twin = of(enter("b", &stateless()), "i");
    twin.process_id = Some("p-a".into());
    assert_eq!(bench.streams(&twin), "UNRELEASED_INSTANCE_ID");
    assert_eq!(bench.streams(&of(beat("a", -2), "i")), "-2 -");
    assert_eq!(bench.streams(&twin), "2 0[0, 1]");
    assert_eq!(bench.streams_state(), "Stable 2/2; b@2 0[0, 1]");
    assert_eq!(bench.streams(&of(beat("a", 2), "i")), "FENCED_INSTANCE_ID");
    assert_eq!(
        bench.reload().described_streams(),
        bench.described_streams()
    );
    // Another process has other state: the group is assigned anew.
    assert_eq!(bench.streams(&of(beat("b", -2), "i")), "-2 -");
    bench.advance(1_000);
    assert_eq!(
        bench.streams(&of(enter("c", &stateless()), "i")),
        "3 0[0, 1]"
    );
    assert_eq!(bench.streams(&of(beat("c", -1), "i")), "-1 -");
    assert_eq!(bench.streams(&of(beat("c", 3), "i")), "UNKNOWN_MEMBER_ID");
}

#[test]
fn a_static_member_that_stays_away_is_fenced() {
    let mut bench = prompt();
    bench.topic("t", 1);
    assert_eq!(bench.streams(&of(enter("a", &stateless()), "i")), "2 0[0]");
    assert_eq!(bench.streams(&of(beat("a", -2), "i")), "-2 -");
    bench.advance(45_000);
    assert_eq!(bench.streams_state(), "Empty 3/2");
}
