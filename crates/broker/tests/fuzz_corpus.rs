//! Replays the fuzz targets on their seeds and on a few thousand mutations of them, always the same ones.

#[path = "../fuzz/targets.rs"]
mod targets;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const MUTATIONS: usize = 3_000;

fn mutate(random: &mut SmallRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(1..5) {
        if input.is_empty() {
            input = random.random::<[u8; 16]>().to_vec();
        }
        let at = random.random_range(0..input.len());
        match random.random_range(0..5) {
            0 => input[at] = random.random(),
            1 => input[at] ^= 1 << random.random_range(0..8),
            2 => input.truncate(at),
            3 => {
                let other = &seeds[random.random_range(0..seeds.len())];
                input.truncate(at);
                input.extend(&other[random.random_range(0..other.len())..]);
            }
            _ => {
                let piece: [u8; 6] = random.random();
                input.splice(at..at, piece);
            }
        }
    }
    input
}

#[test]
fn pushes_of_telemetry_survive_their_seeds_and_their_mutations() {
    let seeds = targets::telemetry_seeds();
    for seed in &seeds {
        targets::telemetry_push(seed);
    }
    let mut random = SmallRng::seed_from_u64(714);
    for _ in 0..MUTATIONS {
        targets::telemetry_push(&mutate(&mut random, &seeds));
    }
}
