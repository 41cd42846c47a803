//! Replays the fuzz targets on real inputs and on a few thousand mutations of them, always the same ones.

use wire::record_batch::Compression;
use wire::{API_SPECS, compression};

mod support;
#[path = "../fuzz/targets.rs"]
mod targets;

use support::{Rng, random_batch, unhex};

const MUTATIONS: usize = 600;
const BATCHES: &str = include_str!("golden/batches.txt");

/// Inputs once found to break a target or worth starting from: a target's name and the input in hex.
const REGRESSIONS: &str = include_str!("golden/fuzz_seeds.txt");

fn batch_seeds() -> Vec<Vec<u8>> {
    let mut rng = Rng::new(7);
    let golden = BATCHES.lines().filter(|line| !line.starts_with('#'));
    let mut seeds: Vec<Vec<u8>> = golden
        .map(|line| unhex(line.split('\t').nth(1).unwrap()))
        .collect();
    seeds.extend((0..20).map(|_| random_batch(&mut rng, 1_700_000_000_000).to_vec()));
    seeds
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = REGRESSIONS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, _)| *name == target)
        .map(|(_, input)| unhex(input))
        .collect();
    let mut rng = Rng::new(3);
    match target {
        "batch_header" => seeds.extend(batch_seeds()),
        "record_iteration" | "validate_produce" => {
            for batch in batch_seeds() {
                for _ in 0..4 {
                    seeds.push([&[rng.next() as u8], batch.as_slice()].concat());
                }
            }
        }
        "frame_decode" => {
            for api in 0..API_SPECS.len() {
                for direction in 0..2 {
                    let body = rng.bytes(64);
                    let head = [api as u8, rng.next() as u8, direction];
                    seeds.push([head.as_slice(), &body].concat());
                }
            }
        }
        codec => {
            let codec = support::CODECS
                .into_iter()
                .find(|c| codec.ends_with(c.name()))
                .unwrap();
            assert_ne!(codec, Compression::None);
            for length in [0, 1, 100, 5_000, 70_000] {
                let data: Vec<u8> = (0..length).map(|_| rng.below(5) as u8).collect();
                seeds.push(compression::compress(codec, None, &data).unwrap());
            }
        }
    }
    seeds
}

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
