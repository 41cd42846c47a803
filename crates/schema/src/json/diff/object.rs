//! Objects (`ObjectSchemaDiff`).
//!
//! What may become of a property depends on the content model ([`super::content`]), to which patterns of names belong.

use std::collections::BTreeSet;

use super::content::{Further, RemovalNames};
use super::scalar::limit;
use super::{Comparison, Found, content};
use crate::error::SchemaError;
use crate::json::change::ChangeKind;
use crate::json::model::{ObjectRules, SchemaId};

/// An object schema.
type Side<'a> = content::Side<'a, ObjectRules>;

const REMOVAL: RemovalNames = RemovalNames {
    open: ChangeKind::PropertyRemovedFromOpenContentModel,
    is_covered: ChangeKind::PropertyRemovedIsCoveredByPartiallyOpenContentModel,
    not_covered: ChangeKind::PropertyRemovedNotCoveredByPartiallyOpenContentModel,
    with_false: ChangeKind::PropertyWithFalseRemovedFromClosedContentModel,
    closed: ChangeKind::PropertyRemovedFromClosedContentModel,
};

impl Side<'_> {
    /// What it says of a property that it does not name.
    fn further(self, name: &str) -> Further {
        let patterns = &self.rules.patterns;
        if patterns.is_empty() && self.is_rest_open() {
            return Further::Open;
        }
        let by_pattern = patterns.iter().find(|(pattern, _)| {
            pattern
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(name))
        });
        by_pattern
            .map(|(_, id)| *id)
            .or_else(|| self.of_rest())
            .map_or(Further::Closed, |id| Further::Partly(self.at(id)))
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
        self.additional(
            found,
            "additionalProperties",
            original,
            update,
            &limit!(AdditionalPropertiesAdded AdditionalPropertiesRemoved AdditionalPropertiesExtended AdditionalPropertiesNarrowed),
        )?;
        self.unevaluated(
            found,
            "unevaluatedProperties",
            original,
            update,
            &limit!(UnevaluatedPropertiesAdded UnevaluatedPropertiesRemoved UnevaluatedPropertiesExtended UnevaluatedPropertiesNarrowed),
        )?;
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
                    let further = update.further(name);
                    self.removed(found, &path, (original, old), further, &REMOVAL)?;
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
        match original.further(name) {
            Further::Open => {
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
            Further::Partly(further) => {
                let changes = self.pair(found, further, update.at(new))?;
                self.take(found, path, &changes)?;
                let kind = if self.is_compatible(&changes) {
                    ChangeKind::PropertyAddedIsCoveredByPartiallyOpenContentModel
                } else {
                    ChangeKind::PropertyAddedNotCoveredByPartiallyOpenContentModel
                };
                self.add(found, path, kind);
            }
            Further::Closed => {}
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
}
