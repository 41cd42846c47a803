//! The nearest schema to a new one that may follow those before it.
//!
//! For a change that is not compatible there is often a compatible one that says nearly the same: a field that was
//! removed is kept, one that was added gets a default, a type that was narrowed stays wide. [`AvroSchema::propose`]
//! walks over the new and the old schema together, mends what stands in the way, tells what it did and why, and
//! asks the check of compatibility itself whether the result passes. Only the new schema can be changed.
//!
//! **Bounds:** a pair of types is mended once; depth by [`crate::limits::DEPTH_MAX`]; a few rounds for a list of versions.

use super::AvroSchema;
use crate::compatibility::{CompatibilityLevel, CompatibilityPolicy};
use crate::format::{Format, ParseOptions};
use crate::propose::{Compatible, looked_at};

mod mend;

use mend::mend;

/// How often the list of versions is gone through: to mend one may break another.
const ROUNDS_MAX: usize = 3;

impl AvroSchema {
    /// The nearest schema to this one that may follow `previous`, oldest first, at that level. It has no alterations
    /// when this one may follow as it is; none if no way to mend it is known.
    pub fn propose(&self, previous: &[&Self], level: CompatibilityLevel) -> Option<Compatible> {
        let mut schema = self.clone();
        let mut alterations = Vec::new();
        let looked_at = looked_at(previous, level);
        for _ in 0..ROUNDS_MAX {
            if looked_at.iter().all(|old| may_follow(&schema, old, level)) {
                return Some(Compatible {
                    schema: schema.canonical(),
                    alterations,
                });
            }
            for old in looked_at.iter().rev() {
                if !may_follow(&schema, old, level) {
                    mend(&mut schema.model, &old.model, level, &mut alterations);
                }
            }
            // A new union or field may have made the types differ from what the text says.
            schema = Self::parse(
                &schema.formatted("resolved").ok()?,
                &[],
                ParseOptions::default(),
            )
            .ok()?;
        }
        None
    }
}

fn may_follow(new: &AvroSchema, old: &AvroSchema, level: CompatibilityLevel) -> bool {
    let reads = |reader: &AvroSchema, writer: &AvroSchema| {
        let found = reader.reading(writer, CompatibilityPolicy::Strict);
        found.is_ok_and(|found| found.is_empty())
    };
    (!level.is_backward() || reads(new, old)) && (!level.is_forward() || reads(old, new))
}

#[cfg(test)]
mod tests;
