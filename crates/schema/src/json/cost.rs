//! What it would cost to validate a value, before it is done.
//!
//! A schema of a few hundred bytes can make a validator look at one value 2^40 times (`allOf` of two references to an
//! `allOf` of two references, and so on), or for ever (a reference to itself). Nobody's real schema does. The number
//! of visits can be counted without making them: each pair of subschema and value is counted once.

use std::collections::HashMap;

use serde_json::Value;

use super::model::{Kind, Model, Rest, SchemaId};
use crate::error::SchemaError;

/// Visits of subschemas that one validation may take.
pub(super) const VISITS_MAX: u64 = 2_000_000;

/// How many visits deep a validation may go.
const DEPTH_MAX: usize = 5_000;

/// How a schema behaves when it is unfolded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// References lead in circles: the cost depends on the value.
    pub(super) is_recursive: bool,
    /// Subschemas when every reference is replaced by what it means, circles cut; the most that is counted is
    /// `u64::MAX`.
    pub(super) unfolded: u64,
    /// How deep it nests then.
    pub(super) depth: usize,
}

/// All subschemas of a schema.
fn children(model: &Model, id: SchemaId) -> Vec<SchemaId> {
    let rest = |rest: Rest| rest.schema();
    match &model.get(id).kind {
        Kind::Combined(_, ids) => ids.clone(),
        Kind::Not(id) | Kind::Reference(id) => vec![*id],
        Kind::Conditional(branches) => branches.iter().copied().flatten().collect(),
        Kind::Object(rules) => rules
            .properties
            .values()
            .copied()
            .chain(rules.patterns.iter().map(|(_, id)| *id))
            .chain(rules.holds_with.values().copied())
            .chain(
                [rest(rules.additional), rules.unevaluated, rules.names]
                    .into_iter()
                    .flatten(),
            )
            .collect(),
        Kind::Array(rules) => rules
            .tuple
            .iter()
            .copied()
            .chain(
                [
                    rules.items,
                    rest(rules.additional),
                    rules.unevaluated,
                    rules.contains,
                ]
                .into_iter()
                .flatten(),
            )
            .collect(),
        _ => Vec::new(),
    }
}

/// How a schema behaves when it is unfolded.
pub(super) fn shape(model: &Model) -> Shape {
    #[derive(Clone, Copy)]
    enum Mark {
        New,
        Open,
        Done(u64, usize),
    }
    let mut marks = vec![Mark::New; model.schemas.len()];
    let mut is_recursive = false;
    let mut stack = vec![(model.root, children(model, model.root), 0, 1_u64, 0_usize)];
    if let Some(mark) = marks.get_mut(model.root.0 as usize) {
        *mark = Mark::Open;
    }
    let mut last = (1, 1);
    while let Some((id, below, next, size, depth)) = stack.last_mut() {
        let Some(&child) = below.get(*next) else {
            last = (*size, *depth + 1);
            if let Some(mark) = marks.get_mut(id.0 as usize) {
                *mark = Mark::Done(last.0, last.1);
            }
            stack.pop();
            continue;
        };
        match marks.get(child.0 as usize).copied() {
            Some(Mark::Done(child_size, child_depth)) => {
                *next += 1;
                *size = size.saturating_add(child_size);
                *depth = (*depth).max(child_depth);
            }
            Some(Mark::New) => {
                if let Some(mark) = marks.get_mut(child.0 as usize) {
                    *mark = Mark::Open;
                }
                stack.push((child, children(model, child), 0, 1, 0));
            }
            _ => {
                is_recursive = true;
                *next += 1;
            }
        }
    }
    Shape {
        is_recursive,
        unfolded: last.0,
        depth: last.1,
    }
}

/// Counts the visits that validating `value` takes.
///
/// # Errors
/// [`SchemaError::TooComplex`] when there are too many, or references lead back to where they are without going into
/// the value.
pub(super) fn check(model: &Model, value: &Value) -> Result<(), SchemaError> {
    let mut count = Count {
        model,
        known: HashMap::new(),
    };
    let visits = count.visits(model.root, value, 0)?;
    if visits > VISITS_MAX {
        Err(too_many())
    } else {
        Ok(())
    }
}

/// The error of a validation that would never end, or not in any useful time.
pub(super) fn too_many() -> SchemaError {
    SchemaError::TooComplex {
        what: "visits of subschemas in one validation",
        max: usize::try_from(VISITS_MAX).unwrap_or(usize::MAX),
    }
}

struct Count<'a> {
    model: &'a Model,
    /// Visits of a pair of schema and value, which its address identifies; none while they are being counted.
    known: HashMap<(SchemaId, usize), Option<u64>>,
}

impl Count<'_> {
    fn visits(&mut self, id: SchemaId, value: &Value, depth: usize) -> Result<u64, SchemaError> {
        if depth > DEPTH_MAX || self.known.len() as u64 > VISITS_MAX {
            return Err(too_many());
        }
        let key = (id, std::ptr::from_ref(value) as usize);
        match self.known.get(&key) {
            Some(Some(visits)) => return Ok(*visits),
            Some(None) => return Err(too_many()),
            None => {}
        }
        self.known.insert(key, None);
        let mut sum = 1_u64;
        for (child, part) in self.applied(id, value) {
            sum = sum.saturating_add(self.visits(child, part, depth + 1)?);
        }
        self.known.insert(key, Some(sum));
        Ok(sum)
    }

    /// Which subschemas are applied to which parts of the value; rather too many than too few.
    fn applied<'v>(&self, id: SchemaId, value: &'v Value) -> Vec<(SchemaId, &'v Value)> {
        let here = |ids: Vec<SchemaId>| ids.into_iter().map(|id| (id, value)).collect();
        match (&self.model.get(id).kind, value) {
            (Kind::Object(rules), Value::Object(members)) => {
                let mut applied: Vec<_> =
                    rules.holds_with.values().map(|&id| (id, value)).collect();
                for (name, part) in members {
                    applied.extend(rules.properties.get(name).map(|&id| (id, part)));
                    applied.extend(rules.patterns.iter().map(|&(_, id)| (id, part)));
                    applied.extend(rules.additional.schema().map(|id| (id, part)));
                    applied.extend(rules.unevaluated.map(|id| (id, part)));
                }
                applied
            }
            (Kind::Array(rules), Value::Array(items)) => {
                let mut applied = Vec::new();
                for (index, part) in items.iter().enumerate() {
                    let further = rules.additional.schema();
                    applied.extend(
                        rules
                            .tuple
                            .get(index)
                            .copied()
                            .or(further)
                            .map(|id| (id, part)),
                    );
                    applied.extend(
                        [rules.items, rules.unevaluated, rules.contains]
                            .into_iter()
                            .flatten()
                            .map(|id| (id, part)),
                    );
                }
                applied
            }
            (Kind::Object(_) | Kind::Array(_), _) => Vec::new(),
            _ => here(children(self.model, id)),
        }
    }
}
