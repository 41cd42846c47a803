//! Content models: what an object or an array says of properties or items that it does not name.
//!
//! A model is open, when anything further is allowed; closed, when nothing is; partially open, when what is further has
//! to satisfy a schema. Objects and arrays share the meaning, and each has its own names for the changes.

use super::scalar::LimitNames;
use super::{At, Comparison, Found};
use crate::error::SchemaError;
use crate::json::change::ChangeKind;
use crate::json::model::{ArrayRules, Model, ObjectRules, Rest, SchemaId};

/// Rules with a content model.
pub(super) trait Content {
    /// `additionalProperties`, `additionalItems`.
    fn additional(&self) -> Rest;
    /// `unevaluatedProperties`, `unevaluatedItems`.
    fn unevaluated(&self) -> Option<SchemaId>;
}

impl Content for ObjectRules {
    fn additional(&self) -> Rest {
        self.additional
    }

    fn unevaluated(&self) -> Option<SchemaId> {
        self.unevaluated
    }
}

impl Content for ArrayRules {
    fn additional(&self) -> Rest {
        self.additional
    }

    fn unevaluated(&self) -> Option<SchemaId> {
        self.unevaluated
    }
}

/// An object or an array schema, on one side of a comparison.
pub(super) struct Side<'a, R> {
    /// Its model.
    pub(super) model: &'a Model,
    /// Which of the two that is.
    pub(super) side: usize,
    /// What it demands.
    pub(super) rules: &'a R,
}

impl<R> Clone for Side<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Side<'_, R> {}

impl<R> Side<'_, R> {
    pub(super) fn at(self, id: SchemaId) -> At {
        At {
            side: self.side,
            id,
        }
    }
}

impl<R: Content> Side<'_, R> {
    /// Whether anything may follow that no rule names.
    pub(super) fn is_rest_open(self) -> bool {
        match self.rules.additional() {
            Rest::Allowed => true,
            Rest::Unsaid => self
                .rules
                .unevaluated()
                .is_none_or(|id| self.model.is_empty(id)),
            Rest::Forbidden | Rest::Schema(_) => false,
        }
    }

    /// The schema of what follows, of which only a partially open model speaks.
    pub(super) fn of_rest(self) -> Option<SchemaId> {
        match self.rules.additional() {
            Rest::Schema(id) => Some(id),
            Rest::Unsaid => self
                .rules
                .unevaluated()
                .filter(|&id| !self.model.is_false(id) && !self.model.is_empty(id)),
            Rest::Allowed | Rest::Forbidden => None,
        }
    }
}

/// What a model says of something it does not name.
#[derive(Clone, Copy)]
pub(super) enum Further {
    /// It may be anything.
    Open,
    /// It has to satisfy a schema.
    Partly(At),
    /// It may not be.
    Closed,
}

/// The names of the ways in which something can be removed.
pub(super) struct RemovalNames {
    pub(super) open: ChangeKind,
    pub(super) is_covered: ChangeKind,
    pub(super) not_covered: ChangeKind,
    /// It allowed nothing, so nothing is lost.
    pub(super) with_false: ChangeKind,
    pub(super) closed: ChangeKind,
}

impl Comparison<'_> {
    /// A property or an item that the update names no more; `further` is what the update says of it.
    pub(super) fn removed<R>(
        &mut self,
        found: &mut Found,
        path: &str,
        (original, old): (Side<'_, R>, SchemaId),
        further: Further,
        names: &RemovalNames,
    ) -> Result<(), SchemaError> {
        let kind = match further {
            Further::Open => names.open,
            Further::Partly(further) => {
                let changes = self.pair(found, original.at(old), further)?;
                self.take(found, path, &changes)?;
                if self.is_compatible(&changes) {
                    names.is_covered
                } else {
                    names.not_covered
                }
            }
            Further::Closed if original.model.is_false(old) => names.with_false,
            Further::Closed => names.closed,
        };
        self.add(found, path, kind);
        Ok(())
    }

    /// `additionalProperties` and `additionalItems`. The names stand for: allowed at last, allowed no more, allowed more
    /// freely (`increased`), allowed less freely (`decreased`).
    pub(super) fn additional<R: Content>(
        &mut self,
        found: &mut Found,
        path: &str,
        original: Side<'_, R>,
        update: Side<'_, R>,
        names: &LimitNames,
    ) -> Result<(), SchemaError> {
        let (old, new) = (original.rules.additional(), update.rules.additional());
        let kind = match (old == Rest::Forbidden, new == Rest::Forbidden) {
            (true, false) => names.added,
            (false, true) => names.removed,
            _ => match (old.schema(), new.schema()) {
                (None, Some(_)) => names.decreased,
                (Some(_), None) => names.increased,
                (Some(old), Some(new)) => {
                    return self.child(found, path, original.at(old), update.at(new));
                }
                (None, None) => return Ok(()),
            },
        };
        self.add(found, path, kind);
        Ok(())
    }

    /// `unevaluatedProperties` and `unevaluatedItems`, with names as for [`Comparison::additional`].
    pub(super) fn unevaluated<R: Content>(
        &mut self,
        found: &mut Found,
        path: &str,
        original: Side<'_, R>,
        update: Side<'_, R>,
        names: &LimitNames,
    ) -> Result<(), SchemaError> {
        let (old, new) = (original.rules.unevaluated(), update.rules.unevaluated());
        let is_false =
            |side: Side<'_, R>, id: Option<SchemaId>| id.is_some_and(|id| side.model.is_false(id));
        let is_empty =
            |side: Side<'_, R>, id: Option<SchemaId>| id.is_some_and(|id| side.model.is_empty(id));
        let (old_is_false, new_is_false) = (is_false(original, old), is_false(update, new));
        let (old_is_empty, new_is_empty) = (is_empty(original, old), is_empty(update, new));
        let kind = match (old, new) {
            (None, None) => return Ok(()),
            _ if old_is_false && !new_is_false => names.added,
            _ if !old_is_false && new_is_false => names.removed,
            // `true` says what holds anyway. Differs: Confluent's registry calls it narrowed.
            (None, Some(_)) if new_is_empty => return Ok(()),
            (Some(_), None) if old_is_empty => return Ok(()),
            (None, Some(_)) => names.decreased,
            (Some(_), None) => names.increased,
            _ if old_is_empty && !new_is_empty => names.decreased,
            _ if !old_is_empty && new_is_empty => names.increased,
            (Some(old), Some(new)) => {
                return self.child(found, path, original.at(old), update.at(new));
            }
        };
        self.add(found, path, kind);
        Ok(())
    }
}
