//! Arrays (`ArraySchemaDiff`): one schema for all items, or a tuple with a content model like that of an object.

use super::scalar::{LimitNames, limit};
use super::{At, Comparison, Found};
use crate::error::SchemaError;
use crate::json::change::ChangeKind;
use crate::json::model::{ArrayRules, Model, Rest, SchemaId};

/// An array schema.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    /// Its model.
    pub(super) model: &'a Model,
    /// Which of the two that is.
    pub(super) side: usize,
    /// What it demands.
    pub(super) rules: &'a ArrayRules,
}

impl Side<'_> {
    fn at(self, id: SchemaId) -> At {
        At {
            side: self.side,
            id,
        }
    }

    fn is_open(self) -> bool {
        match self.rules.additional {
            Rest::Allowed => true,
            Rest::Unsaid => self
                .rules
                .unevaluated
                .is_none_or(|id| self.model.is_empty(id)),
            Rest::Forbidden | Rest::Schema(_) => false,
        }
    }

    /// The schema of an item of which only a partially open model speaks.
    fn of_further(self) -> Option<SchemaId> {
        match self.rules.additional {
            Rest::Schema(id) => Some(id),
            Rest::Unsaid => self
                .rules
                .unevaluated
                .filter(|&id| !self.model.is_false(id) && !self.model.is_empty(id)),
            Rest::Allowed | Rest::Forbidden => None,
        }
    }
}

impl Comparison<'_> {
    /// The changes from one array schema to another.
    pub(super) fn arrays(
        &mut self,
        found: &mut Found,
        original: Side<'_>,
        update: Side<'_>,
    ) -> Result<(), SchemaError> {
        let (old, new) = (original.rules, update.rules);
        self.maybe(
            found,
            "items",
            old.items.map(|id| original.at(id)),
            new.items.map(|id| update.at(id)),
        )?;
        self.tuples(found, original, update)?;
        self.additional_items(found, original, update)?;
        self.unevaluated(
            found,
            "unevaluatedItems",
            old.unevaluated.map(|id| (original.model, original.at(id))),
            new.unevaluated.map(|id| (update.model, update.at(id))),
            &limit!(UnevaluatedItemsAdded UnevaluatedItemsRemoved UnevaluatedItemsExtended UnevaluatedItemsNarrowed),
        )?;
        self.limit(
            found,
            "maxItems",
            (old.max_items, new.max_items),
            &limit!(MaxItemsAdded MaxItemsRemoved MaxItemsIncreased MaxItemsDecreased),
        );
        self.limit(
            found,
            "minItems",
            (old.min_items, new.min_items),
            &limit!(MinItemsAdded MinItemsRemoved MinItemsIncreased MinItemsDecreased),
        );
        match (old.is_unique, new.is_unique) {
            (true, false) => self.add(found, "uniqueItems", ChangeKind::UniqueItemsRemoved),
            (false, true) => self.add(found, "uniqueItems", ChangeKind::UniqueItemsAdded),
            _ => {}
        }
        self.limit(
            found,
            "maxContains",
            (old.max_contains, new.max_contains),
            &limit!(MaxContainsAdded MaxContainsRemoved MaxContainsIncreased MaxContainsDecreased),
        );
        self.limit(
            found,
            "minContains",
            (old.min_contains, new.min_contains),
            &limit!(MinContainsAdded MinContainsRemoved MinContainsIncreased MinContainsDecreased),
        );
        Ok(())
    }

    fn tuples(
        &mut self,
        found: &mut Found,
        original: Side<'_>,
        update: Side<'_>,
    ) -> Result<(), SchemaError> {
        let (old, new) = (&original.rules.tuple, &update.rules.tuple);
        for index in 0..old.len().max(new.len()) {
            let path = format!("items/{index}");
            match (old.get(index), new.get(index)) {
                (Some(&old), Some(&new)) => {
                    self.child(found, &path, original.at(old), update.at(new))?
                }
                (Some(&old), None) => self.item_removed(found, &path, original, old, update)?,
                (None, Some(&new)) => self.item_added(found, &path, original, update, new)?,
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn item_removed(
        &mut self,
        found: &mut Found,
        path: &str,
        original: Side<'_>,
        old: SchemaId,
        update: Side<'_>,
    ) -> Result<(), SchemaError> {
        let kind = if update.is_open() {
            ChangeKind::ItemRemovedFromOpenContentModel
        } else if let Some(further) = update.of_further() {
            let changes = self.pair(found, original.at(old), update.at(further))?;
            self.take(found, path, &changes)?;
            if self.is_compatible(&changes) {
                ChangeKind::ItemRemovedIsCoveredByPartiallyOpenContentModel
            } else {
                ChangeKind::ItemRemovedNotCoveredByPartiallyOpenContentModel
            }
        } else if original.model.is_false(old) {
            ChangeKind::ItemWithFalseRemovedFromClosedContentModel
        } else {
            ChangeKind::ItemRemovedFromClosedContentModel
        };
        self.add(found, path, kind);
        Ok(())
    }

    fn item_added(
        &mut self,
        found: &mut Found,
        path: &str,
        original: Side<'_>,
        update: Side<'_>,
        new: SchemaId,
    ) -> Result<(), SchemaError> {
        let kind = if original.is_open() {
            if update.model.is_empty(new) {
                ChangeKind::ItemWithEmptySchemaAddedToOpenContentModel
            } else {
                ChangeKind::ItemAddedToOpenContentModel
            }
        } else if let Some(further) = original.of_further() {
            let changes = self.pair(found, original.at(further), update.at(new))?;
            self.take(found, path, &changes)?;
            if self.is_compatible(&changes) {
                ChangeKind::ItemAddedIsCoveredByPartiallyOpenContentModel
            } else {
                ChangeKind::ItemAddedNotCoveredByPartiallyOpenContentModel
            }
        } else {
            ChangeKind::ItemAddedToClosedContentModel
        };
        self.add(found, path, kind);
        Ok(())
    }

    fn additional_items(
        &mut self,
        found: &mut Found,
        original: Side<'_>,
        update: Side<'_>,
    ) -> Result<(), SchemaError> {
        let path = "additionalItems";
        let (old, new) = (original.rules.additional, update.rules.additional);
        match (old == Rest::Forbidden, new == Rest::Forbidden) {
            (true, false) => self.add(found, path, ChangeKind::AdditionalItemsAdded),
            (false, true) => self.add(found, path, ChangeKind::AdditionalItemsRemoved),
            _ => match (old.schema(), new.schema()) {
                (None, Some(_)) => self.add(found, path, ChangeKind::AdditionalItemsNarrowed),
                (Some(_), None) => self.add(found, path, ChangeKind::AdditionalItemsExtended),
                (Some(old), Some(new)) => {
                    self.child(found, path, original.at(old), update.at(new))?
                }
                (None, None) => {}
            },
        }
        Ok(())
    }

    /// `unevaluatedProperties` and `unevaluatedItems`. The names stand for: allowed at last, allowed no more, allowed
    /// more freely (`increased`), allowed less freely (`decreased`).
    pub(super) fn unevaluated(
        &mut self,
        found: &mut Found,
        path: &str,
        old: Option<(&Model, At)>,
        new: Option<(&Model, At)>,
        names: &LimitNames,
    ) -> Result<(), SchemaError> {
        let is_false =
            |side: Option<(&Model, At)>| side.is_some_and(|(model, at)| model.is_false(at.id));
        let is_empty =
            |side: Option<(&Model, At)>| side.is_some_and(|(model, at)| model.is_empty(at.id));
        let kind = match (old, new) {
            (None, None) => return Ok(()),
            _ if is_false(old) && !is_false(new) => names.added,
            _ if !is_false(old) && is_false(new) => names.removed,
            // `true` says what holds anyway. Differs: Confluent's registry calls it narrowed.
            (None, Some(_)) if is_empty(new) => return Ok(()),
            (Some(_), None) if is_empty(old) => return Ok(()),
            (None, Some(_)) => names.decreased,
            (Some(_), None) => names.increased,
            _ if is_empty(old) && !is_empty(new) => names.decreased,
            _ if !is_empty(old) && is_empty(new) => names.increased,
            (Some((_, old)), Some((_, new))) => return self.child(found, path, old, new),
        };
        self.add(found, path, kind);
        Ok(())
    }
}
