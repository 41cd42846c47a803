//! Replays the fuzz targets on real inputs and on a few thousand mutations of them, always the same ones.

#![allow(
    clippy::unwrap_used,
    reason = "a seed that cannot be made fails the test"
)]

mod support;
#[path = "../fuzz/targets.rs"]
mod targets;

use support::Rng;
use support::fuzz_seeds::seeds;

const MUTATIONS: usize = 600;
fn mutate(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[rng.below(seeds.len())].clone();
    for _ in 0..1 + rng.below(4) {
        if input.is_empty() {
            input = rng.bytes(40);
            continue;
        }
        let at = rng.below(input.len());
        match rng.below(6) {
            0 => input[at] = rng.next() as u8,
            1 => input[at] ^= 1 << rng.below(8),
            2 => input[at] = rng.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            3 => input.truncate(at),
            4 => {
                let other = &seeds[rng.below(seeds.len())];
                input.truncate(at);
                input.extend(&other[rng.below(other.len() + 1)..]);
            }
            _ => {
                let piece = rng.bytes(8);
                input.splice(at..at, piece);
            }
        }
    }
    input
}

#[test]
fn every_target_survives_its_seeds_and_their_mutations() {
    for (name, target) in targets::TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in &seeds {
            target(seed);
        }
        let mut rng = Rng::new(11);
        for _ in 0..MUTATIONS {
            target(&mutate(&mut rng, &seeds));
        }
    }
}
