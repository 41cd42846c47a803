//! Where each fuzz target starts from: golden and random batches, compressed streams, message bodies.

use wire::record_batch::Compression;
use wire::{API_SPECS, compression};

use super::{Rng, random_batch, unhex};

const BATCHES: &str = include_str!("../golden/batches.txt");

/// Inputs once found to break a target or worth starting from: a target's name and the input in hex.
const REGRESSIONS: &str = include_str!("../golden/fuzz_seeds.txt");

fn batch_seeds() -> Vec<Vec<u8>> {
    let mut rng = Rng::new(7);
    let golden = BATCHES.lines().filter(|line| !line.starts_with('#'));
    let mut seeds: Vec<Vec<u8>> = golden
        .map(|line| unhex(line.split('\t').nth(1).unwrap()))
        .collect();
    seeds.extend((0..20).map(|_| random_batch(&mut rng, 1_700_000_000_000).to_vec()));
    seeds
}

/// The inputs that `target` starts from.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
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
            let codec = super::CODECS
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
