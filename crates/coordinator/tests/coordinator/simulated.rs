//! What the simulations of groups have in common: how the log answers, and how a run goes. Each has its own members and
//! checks.

use std::hash::Hasher;

use coordinator::AppendError;
use rand::Rng;
use rand::rngs::StdRng;

use crate::harness::Bench;

/// Members, a shard and its log.
pub(crate) trait Simulated {
    /// The shard and the source of all chance.
    fn parts(&mut self) -> (&mut Bench, &mut StdRng);

    /// Whether something may go wrong.
    fn has_faults(&self) -> bool;

    /// One thing happens.
    fn step(&mut self);

    /// The members take the answers that are there.
    fn receive(&mut self);

    /// Compares the shard with one that loads the log.
    fn check_replay(&mut self);

    /// No request waits for an answer.
    fn check_answered(&self);

    /// Without faults, all comes to rest as it should.
    fn converge(&mut self);

    /// The log answers some of what is in flight.
    fn run_log(&mut self) {
        let faults = self.has_faults();
        loop {
            let (bench, rng) = self.parts();
            if bench.in_flight.is_empty() || (faults && !rng.random_bool(0.8)) {
                break;
            }
            let fails = faults && rng.random_bool(0.04);
            if fails {
                let errors = [
                    AppendError::TimedOut,
                    AppendError::NotLeader,
                    AppendError::TooLarge,
                ];
                let error = errors[rng.random_range(0..errors.len())];
                bench.fail_next(error);
            } else {
                bench.commit_next();
            }
            self.receive();
            let (_, rng) = self.parts();
            if fails || rng.random_bool(0.1) {
                self.check_replay();
            }
        }
        let (_, rng) = self.parts();
        if faults && rng.random_bool(0.004) {
            self.change_leader();
        }
    }

    /// What is in flight is lost; another shard loads the log.
    fn change_leader(&mut self) {
        self.unload();
        let (bench, _) = self.parts();
        *bench = bench.reload();
    }

    /// The shard ends: whoever waits is told.
    fn unload(&mut self) {
        let (bench, _) = self.parts();
        let actions = bench.shard.unload();
        bench.run(actions);
        self.receive();
        self.check_answered();
    }

    /// A whole run; returns the trace of all actions.
    fn run(&mut self, steps: usize) -> u64 {
        for _ in 0..steps {
            self.step();
        }
        self.converge();
        self.unload();
        let (bench, _) = self.parts();
        bench.trace.finish()
    }
}

/// Runs `simulate` with eight seeds; each must see more than `least` assignments, or the simulation idles.
pub(crate) fn explore(least: usize, simulate: fn(u64) -> (u64, usize)) {
    for seed in 0..8 {
        let outcome = std::panic::catch_unwind(|| simulate(seed));
        let Ok((_, assigned)) = outcome else {
            panic!("seed {seed} failed")
        };
        assert!(
            assigned > least,
            "seed {seed}: only {assigned} assignments: the simulation idles"
        );
    }
}
