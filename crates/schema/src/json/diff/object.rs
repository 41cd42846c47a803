//! Objects (`ObjectSchemaDiff`).
//!
//! What may become of a property depends on the *content model*: open, when any further property is allowed; closed,
//! when none is; partially open, when further properties have to satisfy a schema.

use std::collections::BTreeSet;

use super::scalar::limit;
use super::{At, Comparison, Found};
use crate::error::SchemaError;
use crate::json::change::ChangeKind;
use crate::json::model::{Model, ObjectRules, Rest, SchemaId};

/// An object schema.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    /// Its model.
    pub(super) model: &'a Model,
    /// Which of the two that is.
    pub(super) side: usize,
    /// What it demands.
    pub(super) rules: &'a ObjectRules,
}

impl Side<'_> {
    fn at(self, id: SchemaId) -> At {
        At {
            side: self.side,
            id,
        }
    }

    fn is_open(self) -> bool {
        self.rules.patterns.is_empty()
            && match self.rules.additional {
                Rest::Allowed => true,
                Rest::Unsaid => self
                    .rules
                    .unevaluated
                    .is_none_or(|id| self.model.is_empty(id)),
                Rest::Forbidden | Rest::Schema(_) => false,
            }
    }

    /// The schema of a property of which only a partially open model speaks.
    fn of_further(self, name: &str) -> Option<SchemaId> {
        let by_pattern = self.rules.patterns.iter().find(|(pattern, _)| {
            pattern
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(name))
        });
        if let Some((_, id)) = by_pattern {
            return Some(*id);
        }
        match self.rules.additional {
            Rest::Schema(id) => Some(id),
            Rest::Unsaid => self
                .rules
                .unevaluated
                .filter(|&id| !self.model.is_false(id) && !self.model.is_empty(id)),
            Rest::Allowed | Rest::Forbidden => None,
        }
    }

    fn has_default(self, name: &str) -> bool {
        self.rules
            .properties
            .get(name)
            .is_some_and(|&id| self.model.get(id).default.is_some())
    }
}

impl Comparison<'_> {
    /// The changes from one object schema to another.
    pub(super) fn objects(
        &mut self,
        found: &mut Found,
        original: Side<'_>,
        update: Side<'_>,
    ) -> Result<(), SchemaError> {
        self.step((original.rules.properties.len() + update.rules.properties.len()) / 8)?;
        self.required(found, original, update);
        self.properties(found, original, update)?;
        self.needed_with(found, original.rules, update.rules);
        self.holds_with(found, original, update)?;
        self.additional_properties(found, original, update)?;
        self.unevaluated_properties(found, original, update)?;
        let (old, new) = (original.rules, update.rules);
        self.limit(
            found,
            "maxProperties",
            (old.max_properties, new.max_properties),
            &limit!(MaxPropertiesAdded MaxPropertiesRemoved MaxPropertiesIncreased MaxPropertiesDecreased),
        );
        self.limit(
            found,
            "minProperties",
            (old.min_properties, new.min_properties),
            &limit!(MinPropertiesAdded MinPropertiesRemoved MinPropertiesIncreased MinPropertiesDecreased),
        );
        Ok(())
    }

    fn required(&self, found: &mut Found, original: Side<'_>, update: Side<'_>) {
        for name in original.rules.properties.keys() {
            if !update.rules.properties.contains_key(name) {
                continue;
            }
            let kind = match (
                original.rules.required.contains(name),
                update.rules.required.contains(name),
            ) {
                (true, false) => ChangeKind::RequiredAttributeRemoved,
                (false, true) if update.has_default(name) => {
                    ChangeKind::RequiredAttributeWithDefaultAdded
                }
                (false, true) => ChangeKind::RequiredAttributeAdded,
                _ => continue,
            };
            self.add(found, &format!("required/{name}"), kind);
        }
    }

    fn properties(
        &mut self,
        found: &mut Found,
        original: Side<'_>,
        update: Side<'_>,
    ) -> Result<(), SchemaError> {
        for (name, &old) in &original.rules.properties {
            match update.rules.properties.get(name) {
                Some(&new) => {
                    let changes = self.pair(found, original.at(old), update.at(new))?;
                    if !changes.is_empty() {
                        self.take(found, &format!("properties/{name}"), &changes)?;
                    }
                }
                None => {
                    let path = format!("properties/{name}");
                    self.property_removed(found, &path, name, original, old, update)?;
                }
            }
        }
        for (name, &new) in &update.rules.properties {
            if !original.rules.properties.contains_key(name) {
                let path = format!("properties/{name}");
                self.property_added(found, &path, name, original, update, new)?;
            }
        }
        Ok(())
    }

    fn property_removed(
        &mut self,
        found: &mut Found,
        path: &str,
        name: &str,
        original: Side<'_>,
        old: SchemaId,
        update: Side<'_>,
    ) -> Result<(), SchemaError> {
        let kind = if update.is_open() {
            ChangeKind::PropertyRemovedFromOpenContentModel
        } else if let Some(further) = update.of_further(name) {
            let changes = self.pair(found, original.at(old), update.at(further))?;
            self.take(found, path, &changes)?;
            if self.is_compatible(&changes) {
                ChangeKind::PropertyRemovedIsCoveredByPartiallyOpenContentModel
            } else {
                ChangeKind::PropertyRemovedNotCoveredByPartiallyOpenContentModel
            }
        } else if original.model.is_false(old) {
            ChangeKind::PropertyWithFalseRemovedFromClosedContentModel
        } else {
            ChangeKind::PropertyRemovedFromClosedContentModel
        };
        self.add(found, path, kind);
        Ok(())
    }

    fn property_added(
        &mut self,
        found: &mut Found,
        path: &str,
        name: &str,
        original: Side<'_>,
        update: Side<'_>,
        new: SchemaId,
    ) -> Result<(), SchemaError> {
        let is_required = update.rules.required.contains(name);
        if original.is_open() {
            let kind = if update.model.is_empty(new) {
                ChangeKind::PropertyWithEmptySchemaAddedToOpenContentModel
            } else if !is_required {
                ChangeKind::OptionalPropertyAddedToOpenContentModel
            } else if update.has_default(name) {
                ChangeKind::RequiredPropertyWithDefaultAddedToOpenContentModel
            } else {
                ChangeKind::RequiredPropertyAddedToOpenContentModel
            };
            self.add(found, path, kind);
            return Ok(());
        }
        if let Some(further) = original.of_further(name) {
            let changes = self.pair(found, original.at(further), update.at(new))?;
            self.take(found, path, &changes)?;
            let kind = if self.is_compatible(&changes) {
                ChangeKind::PropertyAddedIsCoveredByPartiallyOpenContentModel
            } else {
                ChangeKind::PropertyAddedNotCoveredByPartiallyOpenContentModel
            };
            self.add(found, path, kind);
        }
        let kind = if !is_required {
            ChangeKind::OptionalPropertyAddedToUnopenContentModel
        } else if update.has_default(name) {
            ChangeKind::RequiredPropertyWithDefaultAddedToUnopenContentModel
        } else {
            ChangeKind::RequiredPropertyAddedToUnopenContentModel
        };
        self.add(found, path, kind);
        Ok(())
    }

    fn needed_with(&self, found: &mut Found, old: &ObjectRules, new: &ObjectRules) {
        let names: BTreeSet<&String> = old
            .needed_with
            .keys()
            .chain(new.needed_with.keys())
            .collect();
        for name in names {
            let kind = match (old.needed_with.get(name), new.needed_with.get(name)) {
                (Some(_), None) => ChangeKind::DependencyArrayRemoved,
                (None, Some(_)) => ChangeKind::DependencyArrayAdded,
                (Some(old), Some(new)) if old == new => continue,
                (Some(old), Some(new)) if new.is_superset(old) => {
                    ChangeKind::DependencyArrayExtended
                }
                (Some(old), Some(new)) if old.is_superset(new) => {
                    ChangeKind::DependencyArrayNarrowed
                }
                (Some(_), Some(_)) => ChangeKind::DependencyArrayChanged,
                (None, None) => continue,
            };
            self.add(found, &format!("dependencies/{name}"), kind);
        }
    }

    fn holds_with(
        &mut self,
        found: &mut Found,
        original: Side<'_>,
        update: Side<'_>,
    ) -> Result<(), SchemaError> {
        let (old, new) = (&original.rules.holds_with, &update.rules.holds_with);
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let path = format!("dependencies/{name}");
            match (old.get(name), new.get(name)) {
                (Some(_), None) => self.add(found, &path, ChangeKind::DependencySchemaRemoved),
                (None, Some(_)) => self.add(found, &path, ChangeKind::DependencySchemaAdded),
                (Some(&old), Some(&new)) => {
                    self.child(found, &path, original.at(old), update.at(new))?
                }
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn additional_properties(
        &mut self,
        found: &mut Found,
        original: Side<'_>,
        update: Side<'_>,
    ) -> Result<(), SchemaError> {
        let path = "additionalProperties";
        let (old, new) = (original.rules.additional, update.rules.additional);
        match (old == Rest::Forbidden, new == Rest::Forbidden) {
            (true, false) => self.add(found, path, ChangeKind::AdditionalPropertiesAdded),
            (false, true) => self.add(found, path, ChangeKind::AdditionalPropertiesRemoved),
            _ => match (old.schema(), new.schema()) {
                (None, Some(_)) => self.add(found, path, ChangeKind::AdditionalPropertiesNarrowed),
                (Some(_), None) => self.add(found, path, ChangeKind::AdditionalPropertiesExtended),
                (Some(old), Some(new)) => {
                    self.child(found, path, original.at(old), update.at(new))?
                }
                (None, None) => {}
            },
        }
        Ok(())
    }

    fn unevaluated_properties(
        &mut self,
        found: &mut Found,
        original: Side<'_>,
        update: Side<'_>,
    ) -> Result<(), SchemaError> {
        let old = original
            .rules
            .unevaluated
            .map(|id| (original.model, original.at(id)));
        let new = update
            .rules
            .unevaluated
            .map(|id| (update.model, update.at(id)));
        self.unevaluated(
            found,
            "unevaluatedProperties",
            old,
            new,
            &limit!(UnevaluatedPropertiesAdded UnevaluatedPropertiesRemoved UnevaluatedPropertiesExtended UnevaluatedPropertiesNarrowed),
        )
    }
}
