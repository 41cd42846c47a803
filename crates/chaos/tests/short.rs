//! The short form of each scenario against the real binary: enough kills, damage and bad frames to notice that
//! something broke, in well under a minute. `cargo xtask chaos` runs the long form.

use chaos::report::Verdict;
use chaos::scenario::checker::{Fault, Until, run_case};
use chaos::scenario::kills::kill_often;
use chaos::scenario::workload::Load;
use chaos::scenario::{Plan, Scenario};

const PLAN: Plan = Plan {
    quick: true,
    seed: 7,
    minutes: None,
};

/// Fails with every verdict that is not as it must be.
fn check(verdicts: &[Verdict]) {
    assert!(!verdicts.is_empty(), "the scenario has no case");
    let failed: Vec<String> = verdicts
        .iter()
        .filter(|verdict| !verdict.passed)
        .map(|verdict| format!("{}: {}", verdict.case, verdict.detail))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn nothing_acknowledged_is_lost_when_the_broker_is_killed() {
    let load = Load {
        librdkafka_producers: 1,
        members: 1,
        ..Load::default()
    };
    kill_often(PLAN.seed, 4, load).unwrap();
}

#[test]
fn transactions_and_groups_hold_when_the_broker_is_killed() {
    run_case(PLAN.seed, Fault::Kill, Until::Faults(3)).unwrap();
}

#[test]
fn groups_take_up_new_partitions() {
    run_case(PLAN.seed, Fault::Growth, Until::Faults(2)).unwrap();
}

#[test]
fn damaged_files_are_never_served_as_less() {
    check(&Scenario::Corruption.run(&PLAN));
}

#[test]
fn bad_frames_get_an_answer_or_an_end() {
    check(&Scenario::Frames.run(&PLAN));
}
