//! Static members: they leave to come back, and another takes the place only of one that left.

use super::{beat, enter, error};
use crate::harness::Bench;
use wire::ErrorCode;

fn two() -> Bench {
    let mut bench = Bench::new();
    bench.topic("t", 2);
    assert_eq!(
        bench.beat(&enter("g", "a", &["t"]).instance("i")),
        "2 t[0, 1]"
    );
    bench.advance(1_000);
    assert_eq!(bench.beat(&enter("g", "b", &["t"]).instance("j")), "3");
    assert_eq!(bench.beat(&beat("g", "a", 2).instance("i")), "2 t[0]");
    assert_eq!(
        bench.beat_owning(beat("g", "a", 2).instance("i"), &[("t", &[0])]),
        "3 -"
    );
    assert_eq!(bench.beat(&beat("g", "b", 3).instance("j")), "3 t[1]");
    bench.advance(1_000);
    bench
}

#[test]
fn a_static_member_comes_back_to_what_it_had() {
    let mut bench = two();
    assert_eq!(bench.beat(&beat("g", "a", -2).instance("i")), "-2 -");
    assert_eq!(
        bench.consumer_state("g"),
        "Reconciling 3/3; a@-2 t[0]; b@3 t[1]"
    );
    // Nothing is assigned anew while it is away.
    assert_eq!(bench.beat(&beat("g", "b", 3).instance("j")), "3 -");
    assert_eq!(
        bench.beat(&enter("g", "a2", &["t"]).instance("i")),
        "3 t[0]"
    );
    assert_eq!(bench.consumer_state("g"), "Stable 3/3; a2@3 t[0]; b@3 t[1]");
    let token = bench.send_beat(&beat("g", "a", 3).instance("i"));
    let response = bench.beaten(token);
    assert_eq!(
        error(&response),
        (
            ErrorCode::FencedInstanceId,
            "Static member a with instance id i was fenced by member a2.".into()
        )
    );
    let loaded = bench.reload();
    assert_eq!(bench.described("g"), loaded.described("g"));
}

#[test]
fn it_comes_back_within_its_session_or_loses_its_place() {
    let mut bench = two();
    assert_eq!(bench.beat(&beat("g", "a", -2).instance("i")), "-2 -");
    bench.advance(30_000);
    assert_eq!(bench.beat(&beat("g", "b", 3).instance("j")), "3 -");
    // The session began with a's last heartbeat, a second before.
    bench.advance(13_999);
    assert_eq!(bench.beat(&beat("g", "b", 3).instance("j")), "3 -");
    bench.advance(1);
    assert_eq!(bench.beat(&beat("g", "b", 3).instance("j")), "4 t[0, 1]");
}

#[test]
fn nobody_takes_a_place_that_is_not_free() {
    let mut bench = two();
    let token = bench.send_beat(&enter("g", "a2", &["t"]).instance("i"));
    let response = bench.beaten(token);
    assert_eq!(
        error(&response),
        (
            ErrorCode::UnreleasedInstanceId,
            "Static member a2 with instance id i cannot join the group because the instance id is owned by a \
             member."
                .into()
        )
    );
    let token = bench.send_beat(&beat("g", "a2", 3).instance("i"));
    assert_eq!(error(&bench.beaten(token)).0, ErrorCode::FencedInstanceId);
    let token = bench.send_beat(&beat("g", "a", 3).instance("k"));
    let response = bench.beaten(token);
    assert_eq!(
        error(&response),
        (
            ErrorCode::UnknownMemberId,
            "Instance id k is unknown.".into()
        )
    );
    assert_eq!(
        bench.beat(&beat("g", "a2", -2).instance("i")),
        "FENCED_INSTANCE_ID"
    );
}

#[test]
fn a_static_member_can_leave_for_good() {
    let mut bench = two();
    assert_eq!(bench.beat(&beat("g", "a", -1).instance("i")), "-1 -");
    assert_eq!(bench.beat(&beat("g", "b", 3).instance("j")), "4 t[0, 1]");
}

#[test]
fn a_new_life_may_want_other_topics() {
    let mut bench = two();
    bench.topic("u", 1);
    assert_eq!(bench.beat(&beat("g", "a", -2).instance("i")), "-2 -");
    assert_eq!(
        bench.beat(&enter("g", "a2", &["u"]).instance("i")),
        "4 u[0]"
    );
    assert_eq!(bench.beat(&beat("g", "b", 3).instance("j")), "4 t[0, 1]");
    let loaded = bench.reload();
    assert_eq!(bench.described("g"), loaded.described("g"));
}

#[test]
fn an_append_that_fails_gives_the_place_back() {
    let mut bench = two();
    bench.beat(&beat("g", "a", -2).instance("i"));
    let before = bench.described("g");
    bench.auto_commit = false;
    let token = bench.send_beat(&enter("g", "a2", &["t"]).instance("i"));
    bench.fail_next(coordinator::AppendError::NotLeader);
    assert_eq!(error(&bench.beaten(token)).0, ErrorCode::NotCoordinator);
    assert_eq!(bench.described("g"), before);
    bench.auto_commit = true;
    assert_eq!(
        bench.beat(&enter("g", "a3", &["t"]).instance("i")),
        "3 t[0]"
    );
}
