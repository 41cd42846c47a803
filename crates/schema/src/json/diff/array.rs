//! Arrays (`ArraySchemaDiff`): one schema for all items, or a tuple with a content model like that of an object.

use super::content::{Further, RemovalNames};
use super::scalar::limit;
use super::{Comparison, Found, content};
use crate::error::SchemaError;
use crate::json::change::ChangeKind;
use crate::json::model::{ArrayRules, SchemaId};

/// An array schema.
type Side<'a> = content::Side<'a, ArrayRules>;

const REMOVAL: RemovalNames = RemovalNames {
    open: ChangeKind::ItemRemovedFromOpenContentModel,
    is_covered: ChangeKind::ItemRemovedIsCoveredByPartiallyOpenContentModel,
    not_covered: ChangeKind::ItemRemovedNotCoveredByPartiallyOpenContentModel,
    with_false: ChangeKind::ItemWithFalseRemovedFromClosedContentModel,
    closed: ChangeKind::ItemRemovedFromClosedContentModel,
};

impl Side<'_> {
    /// What it says of an item behind its tuple.
    fn further(self) -> Further {
        if self.is_rest_open() {
            return Further::Open;
        }
        self.of_rest()
            .map_or(Further::Closed, |id| Further::Partly(self.at(id)))
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
        self.additional(
            found,
            "additionalItems",
            original,
            update,
            &limit!(AdditionalItemsAdded AdditionalItemsRemoved AdditionalItemsExtended AdditionalItemsNarrowed),
        )?;
        self.unevaluated(
            found,
            "unevaluatedItems",
            original,
            update,
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
                (Some(&old), None) => {
                    self.removed(found, &path, (original, old), update.further(), &REMOVAL)?
                }
                (None, Some(&new)) => self.item_added(found, &path, original, update, new)?,
                (None, None) => {}
            }
        }
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
        let kind = match original.further() {
            Further::Open if update.model.is_empty(new) => {
                ChangeKind::ItemWithEmptySchemaAddedToOpenContentModel
            }
            Further::Open => ChangeKind::ItemAddedToOpenContentModel,
            Further::Partly(further) => {
                let changes = self.pair(found, further, update.at(new))?;
                self.take(found, path, &changes)?;
                if self.is_compatible(&changes) {
                    ChangeKind::ItemAddedIsCoveredByPartiallyOpenContentModel
                } else {
                    ChangeKind::ItemAddedNotCoveredByPartiallyOpenContentModel
                }
            }
            Further::Closed => ChangeKind::ItemAddedToClosedContentModel,
        };
        self.add(found, path, kind);
        Ok(())
    }
}
