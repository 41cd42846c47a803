//! What can happen to a file.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Result;
use rand::Rng;
use rand::rngs::SmallRng;

/// What a disk writes whole or not at all.
pub(super) const BLOCK: usize = 512;

/// One kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// A bit in the first bytes that are not zero.
    FlipHead,
    /// A bit somewhere in what is not zero.
    FlipAnywhere,
    /// A bit in the last block that is not zero.
    FlipTail,
    /// A block of zeros where there were none.
    ZeroBlock,
    /// The second half is gone.
    Truncate,
    /// Nothing is left in the file.
    Empty,
    /// The file is gone.
    Delete,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Damage::FlipHead => "a flipped bit at the head",
            Damage::FlipAnywhere => "a flipped bit anywhere",
            Damage::FlipTail => "a flipped bit in the last block",
            Damage::ZeroBlock => "a block of zeros",
            Damage::Truncate => "half of the file",
            Damage::Empty => "an empty file",
            Damage::Delete => "no file",
        })
    }
}

impl Damage {
    /// The kinds to try; a flip anywhere more than once.
    pub(super) fn all(quick: bool) -> &'static [Damage] {
        use Damage::{Delete, Empty, FlipAnywhere, FlipHead, FlipTail, Truncate, ZeroBlock};
        if quick {
            return &[FlipAnywhere, Truncate, Delete];
        }
        &[
            FlipHead,
            FlipAnywhere,
            FlipAnywhere,
            FlipAnywhere,
            FlipAnywhere,
            FlipTail,
            ZeroBlock,
            Truncate,
            Empty,
            Delete,
        ]
    }

    /// Does it to a file. Returns what was done, or `None` when the file is too empty for it.
    /// Of a file that is recycled only the `live` blocks are worth damaging; none means all of it.
    pub(super) fn apply(
        self,
        path: &Path,
        live: &[usize],
        random: &mut SmallRng,
    ) -> Result<Option<String>> {
        let bytes = fs::read(path)?;
        let blocks: Vec<usize> = bytes
            .chunks(BLOCK)
            .enumerate()
            .filter(|(_, block)| block.iter().any(|byte| *byte != 0))
            .map(|(index, _)| index * BLOCK)
            .filter(|at| live.is_empty() || live.binary_search(at).is_ok())
            .collect();
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
            return Ok(None);
        };
        match self {
            Damage::FlipHead => flip(path, &bytes, *first, 0, random),
            Damage::FlipAnywhere => {
                let block = blocks[random.random_range(0..blocks.len())];
                let within = random.random_range(0..BLOCK);
                flip(path, &bytes, block, within, random)
            }
            Damage::FlipTail => flip(path, &bytes, *last, 0, random),
            Damage::ZeroBlock => {
                let block = blocks[random.random_range(0..blocks.len())];
                let length = BLOCK.min(bytes.len() - block);
                open(path)?.write_all_at(&vec![0; length], block as u64)?;
                Ok(Some(format!("{length} zeros at {block}")))
            }
            Damage::Truncate => {
                let half = (bytes.len() / 2) as u64;
                open(path)?.set_len(half)?;
                Ok(Some(format!("cut to {half} of {} bytes", bytes.len())))
            }
            Damage::Empty => {
                open(path)?.set_len(0)?;
                Ok(Some(format!("emptied of {} bytes", bytes.len())))
            }
            Damage::Delete => {
                fs::remove_file(path)?;
                Ok(Some("deleted".to_owned()))
            }
        }
    }
}

/// Flips a bit of the first byte at or after `block + within` that is not zero, or of the block's own first such.
fn flip(
    path: &Path,
    bytes: &[u8],
    block: usize,
    within: usize,
    random: &mut SmallRng,
) -> Result<Option<String>> {
    let end = bytes.len().min(block + BLOCK);
    let used = |from: usize| (from..end).find(|at| bytes.get(*at).is_some_and(|byte| *byte != 0));
    let Some(at) = used((block + within).min(end)).or_else(|| used(block)) else {
        return Ok(None);
    };
    let bit = random.random_range(0..8);
    let changed = bytes.get(at).copied().unwrap_or_default() ^ (1 << bit);
    open(path)?.write_all_at(&[changed], at as u64)?;
    Ok(Some(format!("bit {bit} of byte {at} of {}", bytes.len())))
}

fn open(path: &Path) -> Result<File> {
    Ok(OpenOptions::new().write(true).open(path)?)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn each_damage_changes_the_file_and_an_empty_file_cannot_be_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut random = SmallRng::seed_from_u64(1);
        let mut good = vec![0u8; 4_096];
        good[1_000..1_600].fill(7);
        for damage in Damage::all(false) {
            fs::write(&path, &good).unwrap();
            assert!(
                damage.apply(&path, &[], &mut random).unwrap().is_some(),
                "{damage}"
            );
            assert_ne!(fs::read(&path).unwrap_or_default(), good, "{damage}");
        }
        fs::write(&path, vec![0u8; 4_096]).unwrap();
        assert_eq!(
            Damage::FlipHead.apply(&path, &[], &mut random).unwrap(),
            None
        );
    }
}
