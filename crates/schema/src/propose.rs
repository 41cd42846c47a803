//! The nearest schema to a new one that may follow those before it, for every format.
//!
//! For a change that is not compatible there is often a compatible one that says nearly the same. Avro's types are
//! mended by rules of their own (`avro::propose`). JSON Schema and Protobuf climb ([`climb`]): for each thing in the
//! way a few alterations are tried, the smallest first (what only that place needs, then its old state, then that of
//! what is around it, the old schema itself at last), and one that leaves less in the way than before is kept. So a
//! proposal is compatible because the check of compatibility says so, not because a rule of this module is right.
//!
//! **Bounds:** [`CHECKS_MAX`] comparisons, each bounded by itself.

use serde::Serialize;

use crate::compatibility::{
    CompatibilityLevel, CompatibilityPolicy, Incompatibility, READER, WRITER,
};
use crate::format::Format;
use crate::parsed::ParsedSchema;

/// How many altered schemas are compared before it is given up.
const CHECKS_MAX: usize = 1_000;

/// One thing that was altered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alteration {
    /// Where, in the new schema: `com.Order.total`, `#/properties/total`, `#/Order/3`.
    pub path: String,
    /// What was done.
    pub what: String,
    /// What it is for.
    pub why: String,
}

/// A schema that may follow, made of one that may not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compatible {
    /// The text.
    pub schema: String,
    /// What differs from the schema that was asked for.
    pub alterations: Vec<Alteration>,
}

impl ParsedSchema {
    /// The nearest schema to this one that may follow `previous`, oldest first, at that level. It has no alterations
    /// when this one may follow as it is; none if no way to mend it is known, and where the formats differ.
    ///
    /// It takes up to a thousand comparisons of the schemas.
    pub fn propose(
        &self,
        previous: &[&Self],
        level: CompatibilityLevel,
        policy: CompatibilityPolicy,
    ) -> Option<Compatible> {
        /// Those of one format, if all are.
        fn all<'p, F>(
            previous: &[&'p ParsedSchema],
            of: impl Fn(&'p ParsedSchema) -> Option<&'p F>,
        ) -> Option<Vec<&'p F>> {
            previous.iter().map(|schema| of(schema)).collect()
        }
        let previous = looked_at(previous, level);
        match self {
            Self::Avro(new) => {
                let old = all(previous, |schema| match schema {
                    Self::Avro(schema) => Some(schema),
                    _ => None,
                })?;
                new.propose(&old, level)
            }
            Self::Json(new) => {
                let old = all(previous, |schema| match schema {
                    Self::Json(schema) => Some(schema),
                    _ => None,
                })?;
                new.propose(&old, level, policy)
            }
            Self::Protobuf(new) => {
                let old = all(previous, |schema| match schema {
                    Self::Protobuf(schema) => Some(schema),
                    _ => None,
                })?;
                new.propose(&old, level)
            }
        }
    }
}

/// The versions that a level looks at.
pub(crate) fn looked_at<T>(previous: &[T], level: CompatibilityLevel) -> &[T] {
    match level {
        CompatibilityLevel::None => &[],
        level if level.is_transitive() => previous,
        _ => previous.last().map_or(&[], std::slice::from_ref),
    }
}

/// One thing in the way, and in whose.
#[derive(Debug, Clone)]
pub(crate) struct Obstacle {
    /// What.
    pub(crate) found: Incompatibility,
    /// Which of the old schemas.
    pub(crate) old: usize,
    /// The new schema reads; else the old one does.
    pub(crate) is_backward: bool,
}

impl Obstacle {
    /// The steps of its path.
    pub(crate) fn steps(&self) -> Vec<&str> {
        let path = self.found.path.trim_start_matches('#');
        path.split('/').filter(|step| !step.is_empty()).collect()
    }

    /// Why something was altered for it.
    pub(crate) fn why(&self) -> String {
        let (reader, writer) = match self.is_backward {
            true => ("new", "old"),
            false => ("old", "new"),
        };
        let sentence = match self.found.description.as_str() {
            "" => self.found.rule,
            description => description,
        };
        sentence.replace(READER, reader).replace(WRITER, writer)
    }

    /// An alteration at its place.
    pub(crate) fn altered(&self, path: &[&str], what: impl Into<String>) -> Alteration {
        Alteration {
            path: format!("#/{}", path.join("/")),
            what: what.into(),
            why: self.why(),
        }
    }
}

/// What stands in the way of `new` after all of `previous`; none if that cannot be said within bounds.
pub(crate) fn obstacles<F: Format>(
    new: &F,
    previous: &[&F],
    level: CompatibilityLevel,
    policy: CompatibilityPolicy,
) -> Option<Vec<Obstacle>> {
    let mut obstacles = Vec::new();
    for (index, old) in previous.iter().enumerate() {
        for (is_asked, is_backward) in [(level.is_backward(), true), (level.is_forward(), false)] {
            if !is_asked {
                continue;
            }
            let (reader, writer) = if is_backward {
                (new, *old)
            } else {
                (*old, new)
            };
            let found = reader.reading(writer, policy).ok()?;
            obstacles.extend(found.into_iter().map(|found| Obstacle {
                found,
                old: index,
                is_backward,
            }));
        }
    }
    Some(obstacles)
}

/// Altered schemas, those that should be tried first at the front.
pub(crate) type Candidates<S> = Vec<(S, Alteration)>;

/// Alters a schema until nothing is in the way any more, each time by the first alteration that leaves less.
pub(crate) fn climb<S>(
    start: S,
    in_the_way: impl Fn(&S) -> Option<Vec<Obstacle>>,
    altered: impl Fn(&S, &Obstacle) -> Candidates<S>,
) -> Option<(S, Vec<Alteration>)> {
    let mut schema = start;
    let mut alterations = Vec::new();
    let mut obstacles = in_the_way(&schema)?;
    let mut checks = 0;
    'next: while !obstacles.is_empty() {
        for obstacle in &obstacles {
            for (candidate, alteration) in altered(&schema, obstacle) {
                checks += 1;
                if checks > CHECKS_MAX {
                    return None;
                }
                let Some(left) = in_the_way(&candidate) else {
                    continue;
                };
                if left.len() < obstacles.len() {
                    (schema, obstacles) = (candidate, left);
                    alterations.push(alteration);
                    continue 'next;
                }
            }
        }
        return None;
    }
    Some((schema, alterations))
}
