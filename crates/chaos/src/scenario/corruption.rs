//! Damaged files: what was acknowledged is served, or the partition is offline and says so, or the broker does
//! not start and says why. Never silently less.
//!
//! One broker makes an image of its data directory as a power loss leaves it: half of the records are in synced
//! segments, the other half in the journal only. Each case damages one file of one kind in a copy of it, starts a
//! broker there and reads everything. Kinds are found by their file name extension, so that
//! a kind added later is damaged too.

mod damage;
mod image;
mod outcome;

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tempfile::TempDir;

use crate::report::Verdict;
use crate::scenario::Plan;
use damage::Damage;
use image::Image;

/// Every kind of damage to every kind of file, then torn writes.
#[must_use]
pub fn run(plan: &Plan) -> Vec<Verdict> {
    let image = match Image::make() {
        Ok(image) => image,
        Err(error) => return vec![Verdict::of("make an image to damage", Err(error))],
    };
    let mut random = SmallRng::seed_from_u64(plan.seed);
    let mut verdicts = vec![
        Verdict::of(
            "nothing damaged, after kill -9",
            intact(&image, image.copy_killed()),
        ),
        Verdict::of(
            "nothing damaged, after a power loss",
            intact(&image, image.copy()),
        ),
    ];
    for (kind, files) in image.kinds() {
        for damage in Damage::all(plan.quick) {
            let result = one(&image, &files, *damage, &mut random);
            let Some(result) = result.transpose() else {
                continue;
            };
            verdicts.push(Verdict::of(format!("{kind}: {damage}"), result));
        }
    }
    let cuts = plan.size(24, 4);
    for cut in 1..=cuts {
        let name = format!("the last journal write torn after {cut}/{} of it", cuts + 1);
        verdicts.push(Verdict::of(name, torn(&image, cut, cuts + 1)));
    }
    verdicts
}

fn intact(image: &Image, copy: Result<TempDir>) -> Result<String> {
    outcome::judge(image, &copy?, outcome::Allowed::Served)
}

/// Damages one file of a kind; `None` when none of them can be damaged that way, such as an empty one.
fn one(
    image: &Image,
    files: &[std::path::PathBuf],
    damage: Damage,
    random: &mut SmallRng,
) -> Result<Option<String>> {
    let copy = image.copy()?;
    for file in files {
        let path = copy.path().join("data").join(file);
        let done = damage.apply(&path, image.changed(file), random);
        let Some(what) = done.with_context(|| format!("could not damage {}", path.display()))?
        else {
            continue;
        };
        let text = outcome::judge(image, &copy, outcome::Allowed::OrOffline)
            .with_context(|| format!("{}: {what}", file.display()))?;
        return Ok(Some(format!("{} ({what}): {text}", file.display())));
    }
    Ok(None)
}

/// A write that was never acknowledged and is there in part must cost nothing else.
fn torn(image: &Image, numerator: u64, denominator: u64) -> Result<String> {
    let copy = image.copy()?;
    let what = image.tear(&copy, numerator, denominator)?;
    let text = outcome::judge(image, &copy, outcome::Allowed::Served)?;
    Ok(format!("{what}: {text}"))
}
