//! What changed from one schema to another, and whether data of the first is still valid under the second
//! (`SchemaDiff` of Confluent's schema-registry, 8.2).
//!
//! A comparison is of a *pair* of subschemas. Its differences are kept with paths relative to the pair, so that a
//! pair that is reached on many ways is compared once. A pair that is met again while it is being compared is taken
//! to be compatible; results that rest on such an assumption are kept only as long as the assumption stands: when the
//! pair turns out not to be compatible, they are forgotten ([`Memo::settle`]). That is the greatest fixpoint, so a
//! change deep in a recursive schema is found whichever way leads to it.
//!
//! **Invariants:** every comparison, every copied difference and every step of a matching counts against
//! [`COMPARISONS_MAX`]; pairs nest at most [`NESTED_MAX`] deep, for which the
//! caller has to have room on the stack unless the models have few pairs.

mod array;
mod combined;
mod content;
mod matching;
mod memo;
mod object;
mod scalar;

use std::rc::Rc;

use self::content::Side;
use self::memo::{Known, Memo};
use super::change::{Change, ChangeKind};
use super::model::{Criterion, Kind, Model, Schema, SchemaId};
use crate::compatibility::CompatibilityPolicy;
use crate::error::SchemaError;
use crate::limits::COMPARISONS_MAX;

/// A subschema of one of the two models; `not` turns the comparison around, so both may be on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct At {
    side: usize,
    id: SchemaId,
}

/// The differences of a pair, paths relative to it (`""` is the pair itself), and the lowest pair in progress that
/// they rest on.
struct Found {
    changes: Vec<Change>,
    rests_on: usize,
}

/// How many pairs may be in progress: definitions that all refer to each other are all begun before one is done.
const NESTED_MAX: usize = 10_000;

/// Nothing in progress.
const NOTHING: usize = usize::MAX;

/// The changes from `original` to `update`; with `only_incompatible`, just those that the policy does not allow.
///
/// # Errors
/// [`SchemaError::TooComplex`].
pub(super) fn compare(
    original: &Model,
    update: &Model,
    policy: CompatibilityPolicy,
    only_incompatible: bool,
) -> Result<Vec<Change>, SchemaError> {
    let mut comparison = Comparison {
        models: [original, update],
        policy,
        only_incompatible,
        memo: Memo::default(),
        steps: 0,
    };
    let mut found = Found::new();
    comparison.child(
        &mut found,
        "",
        At {
            side: 0,
            id: original.root,
        },
        At {
            side: 1,
            id: update.root,
        },
    )?;
    Ok(found
        .changes
        .into_iter()
        .map(|change| Change {
            path: format!("#/{}", change.path),
            ..change
        })
        .collect())
}

struct Comparison<'a> {
    models: [&'a Model; 2],
    policy: CompatibilityPolicy,
    only_incompatible: bool,
    memo: Memo,
    steps: usize,
}

impl Found {
    fn new() -> Self {
        Self {
            changes: Vec::new(),
            rests_on: NOTHING,
        }
    }
}

/// Whether a kind has no subschemas: comparing it again is cheaper than knowing the result.
fn is_leaf(kind: &Kind) -> bool {
    match kind {
        Kind::Empty
        | Kind::False
        | Kind::Boolean
        | Kind::Null
        | Kind::String(_)
        | Kind::Number(_)
        | Kind::Const(_)
        | Kind::MetaSchema(_) => true,
        Kind::Enum(values) => values.len() < 8,
        Kind::Object(_)
        | Kind::Array(_)
        | Kind::Combined(..)
        | Kind::Not(_)
        | Kind::Conditional(_)
        | Kind::Reference(_) => false,
    }
}

fn join(prefix: &str, path: &str) -> String {
    match (prefix.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (_, true) => prefix.to_owned(),
        _ => format!("{prefix}/{path}"),
    }
}

impl<'a> Comparison<'a> {
    fn model(&self, side: usize) -> &'a Model {
        if side == 0 {
            self.models[0]
        } else {
            self.models[1]
        }
    }

    /// One side of a comparison of objects or arrays, with its rules.
    fn side<'r, R>(&self, at: At, rules: &'r R) -> Side<'r, R>
    where
        'a: 'r,
    {
        Side {
            model: self.model(at.side),
            side: at.side,
            rules,
        }
    }

    fn schema(&self, at: At) -> &'a Schema {
        self.model(at.side).get(at.id)
    }

    fn step(&mut self, count: usize) -> Result<(), SchemaError> {
        self.steps = self.steps.saturating_add(count);
        if self.steps > COMPARISONS_MAX {
            return Err(SchemaError::TooComplex {
                what: "steps of a comparison",
                max: COMPARISONS_MAX,
            });
        }
        Ok(())
    }

    fn add(&self, found: &mut Found, path: &str, kind: ChangeKind) {
        if !self.only_incompatible || !kind.is_compatible(self.policy) {
            found.changes.push(Change {
                kind,
                path: path.to_owned(),
            });
        }
    }

    fn is_compatible(&self, changes: &[Change]) -> bool {
        changes
            .iter()
            .all(|change| change.kind.is_compatible(self.policy))
    }

    /// Takes over the changes of a pair at `path`.
    fn take(
        &mut self,
        found: &mut Found,
        path: &str,
        changes: &[Change],
    ) -> Result<(), SchemaError> {
        self.step(changes.len())?;
        for change in changes {
            let path = join(path, &change.path);
            // A long path costs what a few steps cost.
            self.step(path.len() / 64)?;
            found.changes.push(Change {
                kind: change.kind,
                path,
            });
        }
        Ok(())
    }

    /// Compares two subschemas; what is different is different here.
    fn child(
        &mut self,
        found: &mut Found,
        path: &str,
        original: At,
        update: At,
    ) -> Result<(), SchemaError> {
        let changes = self.pair(found, original, update)?;
        self.take(found, path, &changes)
    }

    /// Compares two subschemas; says what is different, and takes over only what it rests on.
    fn pair(
        &mut self,
        found: &mut Found,
        original: At,
        update: At,
    ) -> Result<Rc<Vec<Change>>, SchemaError> {
        self.step(1)?;
        let behind = |at: At| {
            let id = self.model(at.side).behind_references(at.id)?;
            Some(At { id, ..at })
        };
        let (Some(original), Some(update)) = (behind(original), behind(update)) else {
            return Ok(Rc::default());
        };
        let (old, new) = (self.schema(original), self.schema(update));
        if is_leaf(&old.kind) && is_leaf(&new.kind) {
            let mut inner = Found::new();
            self.body(&mut inner, original, update)?;
            return Ok(Rc::new(inner.changes));
        }
        let key = (original, update);
        match self.memo.known(&key) {
            Known::Result { changes, rests_on } => {
                found.rests_on = found.rests_on.min(rests_on);
                return Ok(changes);
            }
            Known::InProgress(place) => {
                found.rests_on = found.rests_on.min(place);
                return Ok(Rc::default());
            }
            Known::Nothing => {}
        }
        // What is kept takes memory, not only time.
        self.step(8)?;
        let place = self.memo.begin(key);
        if place >= NESTED_MAX {
            return Err(SchemaError::TooComplex {
                what: "pairs of schemas nested in a comparison",
                max: NESTED_MAX,
            });
        }
        let mut inner = Found::new();
        self.body(&mut inner, original, update)?;
        let is_compatible = self.is_compatible(&inner.changes);
        let changes = Rc::new(inner.changes);
        let rests_on = self
            .memo
            .settle(key, place, inner.rests_on, &changes, is_compatible);
        found.rests_on = found.rests_on.min(rests_on);
        Ok(changes)
    }

    /// Both schemas may be absent (`items`, `additionalProperties`).
    fn maybe(
        &mut self,
        found: &mut Found,
        path: &str,
        original: Option<At>,
        update: Option<At>,
    ) -> Result<(), SchemaError> {
        match (original, update) {
            (None, None) => Ok(()),
            (None, Some(_)) => {
                self.add(found, path, ChangeKind::SchemaAdded);
                Ok(())
            }
            (Some(_), None) => {
                self.add(found, path, ChangeKind::SchemaRemoved);
                Ok(())
            }
            (Some(original), Some(update)) => self.child(found, path, original, update),
        }
    }

    fn body(&mut self, found: &mut Found, original: At, update: At) -> Result<(), SchemaError> {
        if self.through_combination(found, original, update)? {
            return Ok(());
        }
        let (old, new) = (self.schema(original), self.schema(update));
        if std::mem::discriminant(&old.kind) != std::mem::discriminant(&new.kind) {
            let is_fine = matches!(old.kind, Kind::False)
                || matches!(new.kind, Kind::Empty)
                || (old.is_connect_bytes && new.is_connect_bytes);
            if !is_fine {
                self.add(found, "", ChangeKind::TypeChanged);
            }
            return Ok(());
        }
        self.annotations(found, old, new);
        self.demands(found, original, update)
    }

    /// Two schemas of the same kind.
    fn demands(&mut self, found: &mut Found, original: At, update: At) -> Result<(), SchemaError> {
        let (old, new) = (self.schema(original), self.schema(update));
        match (&old.kind, &new.kind) {
            (Kind::String(old), Kind::String(new)) => self.strings(found, old, new),
            (Kind::Number(old), Kind::Number(new)) => self.numbers(found, old, new),
            (Kind::Enum(old), Kind::Enum(new)) => self.enums(found, old, new)?,
            (Kind::Const(old), Kind::Const(new)) if old != new => {
                self.add(found, "const", ChangeKind::EnumArrayChanged);
            }
            (Kind::MetaSchema(old), Kind::MetaSchema(new)) if old != new => {
                self.add(found, "", ChangeKind::TypeChanged);
            }
            (Kind::Combined(old_criterion, old), Kind::Combined(new_criterion, new)) => {
                let original = combined::Side {
                    side: original.side,
                    criterion: *old_criterion,
                    ids: old,
                };
                let update = combined::Side {
                    side: update.side,
                    criterion: *new_criterion,
                    ids: new,
                };
                self.combinations(found, original, update)?;
            }
            (Kind::Not(old), Kind::Not(new)) => {
                let original = At {
                    id: *old,
                    ..original
                };
                let update = At { id: *new, ..update };
                self.negations(found, original, update)?;
            }
            (Kind::Object(old), Kind::Object(new)) => {
                self.objects(found, self.side(original, old), self.side(update, new))?;
            }
            (Kind::Array(old), Kind::Array(new)) => {
                self.arrays(found, self.side(original, old), self.side(update, new))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// What is forbidden is compared the other way round: forbidding less is compatible.
    fn negations(
        &mut self,
        found: &mut Found,
        original: At,
        update: At,
    ) -> Result<(), SchemaError> {
        let changes = self.pair(found, update, original)?;
        let kind = if self.is_compatible(&changes) {
            ChangeKind::NotTypeNarrowed
        } else {
            ChangeKind::NotTypeExtended
        };
        self.add(found, "not", kind);
        Ok(())
    }

    fn annotations(&self, found: &mut Found, old: &Schema, new: &Schema) {
        for (is_different, kind) in [
            (old.id != new.id, ChangeKind::IdChanged),
            (old.title != new.title, ChangeKind::TitleChanged),
            (
                old.description != new.description,
                ChangeKind::DescriptionChanged,
            ),
            (old.default != new.default, ChangeKind::DefaultChanged),
        ] {
            if is_different {
                self.add(found, "", kind);
            }
        }
    }

    /// Where only one side is combined: a single subschema stands for the combination, a sum type may take what was
    /// there alone, a product type may be left. Says whether that was the whole comparison.
    fn through_combination(
        &mut self,
        found: &mut Found,
        original: At,
        update: At,
    ) -> Result<bool, SchemaError> {
        let (old, new) = (self.schema(original), self.schema(update));
        let (side, criterion, ids, is_update) = match (&old.kind, &new.kind) {
            (Kind::Combined(..), Kind::Combined(..)) => return Ok(false),
            (_, Kind::Combined(criterion, ids)) => (update.side, *criterion, ids, true),
            (Kind::Combined(criterion, ids), _) => (original.side, *criterion, ids, false),
            _ => return Ok(false),
        };
        let extra = match (ids.len(), is_update, criterion) {
            (1, ..) => None,
            (_, true, Criterion::Any | Criterion::One) => Some(ChangeKind::SumTypeExtended),
            (_, false, Criterion::All) => Some(ChangeKind::ProductTypeNarrowed),
            _ => return Ok(false),
        };
        for &id in ids {
            let inner = At { side, id };
            let changes = if is_update {
                self.pair(found, original, inner)?
            } else {
                self.pair(found, inner, update)?
            };
            if self.is_compatible(&changes) {
                self.take(found, "", &changes)?;
                if let Some(kind) = extra {
                    self.add(found, "", kind);
                }
                return Ok(true);
            }
        }
        Ok(false)
    }
}
