//! Random requests, failures and crashes: what is live is what a replay of the log gives, every request has one
//! answer, no decision changes, and every decided transaction gets its markers.

use std::collections::BTreeMap;

use coordinator::Token;
use coordinator::transaction::ClientVersion::{Classic, V2};
use coordinator::transaction::PartitionsMode;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use wire::ErrorCode;

use crate::bench::{Bench, Producer, TIMEOUT_MS};

/// What the model knows of a run.
#[derive(Default)]
struct History {
    /// Outcome of each transaction by the producer and epoch of its markers.
    decided: BTreeMap<(i64, i16), bool>,
    written: BTreeMap<(i64, i16), bool>,
    /// Ends that wait for their answer: token, outcome.
    ending: Vec<(Token, bool)>,
}

impl History {
    fn note_markers(&mut self, bench: &Bench) {
        for markers in &bench.markers {
            let marker = markers.marker;
            let key = (marker.producer_id, marker.producer_epoch);
            let earlier = self.decided.insert(key, marker.committed);
            // A classic producer has many transactions under one epoch; each is decided once.
            if marker.is_strict {
                let same = earlier.is_none_or(|committed| committed == marker.committed);
                assert!(same, "the decision about {key:?} changed");
            }
        }
    }
}

fn step(rng: &mut SmallRng, bench: &mut Bench, producer: &mut Producer, history: &mut History) {
    let version = if rng.random_bool(0.5) { V2 } else { Classic };
    match rng.random_range(0..10) {
        0 => {
            let expected = rng.random_bool(0.5).then_some(*producer);
            let token = bench.send_init(expected, TIMEOUT_MS);
            if !bench.is_waiting(token)
                && let Ok(next) = bench.initialised(token)
            {
                *producer = next;
            }
        }
        1..=3 => {
            let partition = rng.random_range(0..4);
            let mode = PartitionsMode::Add(version);
            let token = bench.send_partitions(*producer, mode, &[partition]);
            if !bench.is_waiting(token) {
                bench.partitions(token);
            }
        }
        4 => {
            bench.verify(*producer, &[0, 1]);
        }
        5 | 6 => {
            let commit = rng.random_bool(0.5);
            let token = bench.send_end(*producer, version, commit);
            history.ending.push((token, commit));
        }
        7 => bench.advance(rng.random_range(0..20_000)),
        _ => {}
    }
}

fn settle_some(rng: &mut SmallRng, bench: &mut Bench, history: &mut History) {
    while rng.random_bool(0.6) {
        history.note_markers(bench);
        match rng.random_range(0..8) {
            0 if !bench.in_flight.is_empty() => bench.fail_next(),
            1..=4 if !bench.in_flight.is_empty() => bench.commit_next(),
            5.. if !bench.markers.is_empty() => {
                let marker = bench.write_next().marker;
                let key = (marker.producer_id, marker.producer_epoch);
                history.written.insert(key, marker.committed);
            }
            _ => {}
        }
        history.note_markers(bench);
    }
}

fn learn_ends(bench: &mut Bench, producer: &mut Producer, history: &mut History) {
    for (token, _) in std::mem::take(&mut history.ending) {
        if bench.is_waiting(token) {
            history.ending.push((token, false));
        } else if let Ok(next) = bench.ended(token)
            && next.epoch >= 0
        {
            *producer = next;
        }
    }
}

#[test]
fn live_state_is_what_a_replay_gives() {
    for seed in 0..400 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut bench = Bench::new();
        let mut producer = bench.init().unwrap();
        let mut history = History::default();
        bench.auto = false;
        for _ in 0..rng.random_range(10..80) {
            step(&mut rng, &mut bench, &mut producer, &mut history);
            settle_some(&mut rng, &mut bench, &mut history);
            learn_ends(&mut bench, &mut producer, &mut history);
            if rng.random_bool(0.05) {
                // Some of what was under way reached the log, in order.
                let survives = rng.random_range(0..=bench.in_flight.len());
                for (_, records) in bench.in_flight.drain(..).take(survives) {
                    bench.log.extend(records);
                }
                bench = bench.crash();
                history.ending.clear();
            }
        }
        history.note_markers(&bench);
        bench.settle();
        // Completions that failed are tried again a little later.
        bench.advance(1_000);
        bench.settle();
        let live = bench.described();
        assert!(
            !live.starts_with("Prepare"),
            "seed {seed}: {live} after everything settled"
        );
        let mut again = bench.crash();
        assert!(again.markers.is_empty(), "seed {seed}");
        assert_eq!(again.described(), live, "seed {seed}");
        // And it goes on from there.
        again.auto = true;
        let next = match again.init() {
            Err(ErrorCode::ConcurrentTransactions) => again.init(),
            other => other,
        };
        assert_eq!(again.add(next.unwrap(), V2), ErrorCode::None, "seed {seed}");
        for (key, committed) in &history.written {
            assert!(
                history.decided.contains_key(key),
                "seed {seed}: {committed}"
            );
        }
    }
}
