//! Random requests, failures, pruning and crashes: what is live is what a replay of the log gives, and what was
//! acknowledged stays.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Offset;
use coordinator::share_state::{
    Response, ShareCoordinator, ShareKey, ShareStateConfig, WriteState,
};
use coordinator::{Action, Token};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::bench::{Bench, TOPICS, batch, key};

fn keys() -> Vec<ShareKey> {
    let mut keys = Vec::new();
    for group in ["a", "b"] {
        for topic in TOPICS {
            keys.extend([key(group, topic, 0), key(group, topic, 1)]);
        }
    }
    keys
}

/// What a machine in which nothing is in flight says of every share partition.
fn outlines(machine: &mut ShareCoordinator) -> Vec<Response> {
    let mut outlines = Vec::new();
    for key in keys() {
        for actions in [
            machine.read(Token(u64::MAX), &key, -1),
            machine.summary(Token(u64::MAX), &key),
        ] {
            let [Action::Reply { response, .. }] = actions.as_slice() else {
                panic!("not answered at once: {actions:?}")
            };
            outlines.push(response.clone());
        }
    }
    outlines
}

fn random_write(rng: &mut SmallRng, state_epoch: i32) -> WriteState {
    let mut batches = Vec::new();
    for _ in 0..rng.random_range(0..4) {
        let first = rng.random_range(0..60);
        let last = first + rng.random_range(0..12);
        let delivery_state = [0, 2, 4][rng.random_range(0..3)];
        batches.push(batch(first, last, delivery_state, rng.random_range(1..6)));
    }
    WriteState {
        state_epoch,
        leader_epoch: rng.random_range(-1..4),
        start_offset: Offset(rng.random_range(-1..40)),
        delivery_complete_count: rng.random_range(-1..10),
        batches,
    }
}

fn step(rng: &mut SmallRng, bench: &mut Bench) {
    let keys = keys();
    let key = &keys[rng.random_range(0..keys.len())];
    let epoch = rng.random_range(-1..6);
    match rng.random_range(0..12) {
        0 | 1 => {
            let start = Offset(rng.random_range(-1..40));
            bench.send(|machine, token| machine.initialize(token, key, epoch, start));
        }
        2..=6 => {
            let write = random_write(rng, epoch);
            bench.send(|machine, token| machine.write(token, key, &write));
        }
        7 => {
            bench.send(|machine, token| machine.read(token, key, epoch));
        }
        8 => {
            bench.send(|machine, token| machine.summary(token, key));
        }
        9 if rng.random_bool(0.3) => {
            bench.send(|machine, token| machine.delete(token, key));
        }
        10 if rng.random_bool(0.1) => {
            let actions = bench.machine.topics_deleted(&[key.topic_id]);
            bench.take(actions);
        }
        11 => bench.advance(rng.random_range(0..4_000)),
        _ => {}
    }
    while !bench.in_flight.is_empty() && rng.random_bool(0.4) {
        if rng.random_bool(0.15) {
            bench.fail_last();
        } else {
            bench.commit_next();
        }
    }
}

fn run(seed: u64) -> (Vec<Response>, BTreeMap<Token, Response>) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut bench = Bench::new(ShareStateConfig {
        updates_per_snapshot: rng.random_range(0..6),
        prune_interval: Duration::from_millis(rng.random_range(500..20_000)),
        cold_snapshot_interval: Duration::from_millis(rng.random_range(500..20_000)),
    });
    for _ in 0..400 {
        step(&mut rng, &mut bench);
        if rng.random_bool(0.02) {
            bench.crash();
        }
        if rng.random_bool(0.05) {
            bench.settle();
            let replayed = outlines(&mut bench.replayed());
            assert_eq!(outlines(&mut bench.machine), replayed, "seed {seed}");
        }
    }
    bench.settle();
    (outlines(&mut bench.machine), bench.answers)
}

#[test]
fn live_is_what_a_replay_gives() {
    for seed in 0..200 {
        run(seed);
    }
}

#[test]
fn the_same_seed_makes_the_same_run() {
    assert_eq!(run(7), run(7));
}
