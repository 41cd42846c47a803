//! Definitions of tags and of business metadata: making, changing, deleting and listing them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::CatalogError;
use super::model::{AttributeDef, Definition, DefinitionKind, EntityType};
use super::records::{Key, Record};
use super::state::{CatalogState, Draft};
use super::{Catalog, Outcomes, check_name, values};
use crate::error::RegistryError;
use crate::service::Planned;

/// How many definitions of tags, and how many of business metadata, there may be, as in Confluent's catalog.
const DEFINITIONS_MAX: usize = 1_000;

/// How many attributes a definition has at most, and how many entries each of its lists.
const ENTRIES_MAX: usize = 100;

/// Characters of each text of a definition.
const TEXT_CHARS_MAX: usize = 8_192;

/// How many definitions above each other there may be.
const LEVELS_MAX: usize = 32;

/// The option of an attribute of business metadata that says what it is for, as JSON.
const APPLICABLE: &str = "applicableEntityTypes";

/// A definition as a request has it.
#[derive(Debug, Clone, Default)]
#[allow(
    missing_docs,
    reason = "the names are those of the API, which says what they mean"
)]
pub struct NewDefinition {
    pub name: String,
    pub description: Option<String>,
    pub type_version: Option<String>,
    pub service_type: Option<String>,
    pub options: BTreeMap<String, String>,
    pub attribute_defs: Vec<AttributeDef>,
    pub super_types: Vec<String>,
    pub entity_types: Vec<String>,
    pub color: Option<String>,
}

/// A definition with what follows from others.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownDefinition {
    /// What it is of.
    pub kind: DefinitionKind,
    /// The definition.
    pub definition: Definition,
    /// Tag definitions that have it as a super type.
    pub sub_types: Vec<String>,
}

impl Catalog {
    /// The definitions of a kind whose name starts with `prefix`, by name.
    #[must_use]
    pub fn definitions(&self, kind: DefinitionKind, prefix: &str) -> Vec<ShownDefinition> {
        let state = self.state();
        let fitting = state.definitions(kind);
        fitting
            .filter(|definition| definition.name.starts_with(prefix))
            .map(|definition| shown(&state, kind, definition))
            .collect()
    }

    /// A definition.
    ///
    /// # Errors
    /// 4040001.
    pub fn definition(
        &self,
        kind: DefinitionKind,
        name: &str,
    ) -> Result<ShownDefinition, CatalogError> {
        let state = self.state();
        let found = state.definition(kind, name).ok_or_else(|| unknown(name))?;
        Ok(shown(&state, kind, found))
    }

    /// Makes definitions.
    ///
    /// # Errors
    /// When nothing could be written. Of one item: 4090001, and whatever is wrong with it.
    pub async fn create_definitions(
        self: &Arc<Self>,
        kind: DefinitionKind,
        items: Vec<NewDefinition>,
    ) -> Result<Outcomes<ShownDefinition>, RegistryError> {
        let made = self.change_each("Create definitions", items, move |draft, new| {
            check(draft, kind, &new)?;
            let is_taken = [DefinitionKind::Tag, DefinitionKind::BusinessMetadata]
                .into_iter()
                .any(|kind| draft.definition(kind, &new.name).is_some());
            if is_taken || EntityType::of(&new.name).is_some() || new.name == EntityType::ROOT {
                return Err(CatalogError::DefinitionExists { name: new.name });
            }
            if draft.definition_count(kind) >= DEFINITIONS_MAX {
                let message = format!("A maximum of {DEFINITIONS_MAX} definitions already exist");
                return Err(CatalogError::bad_request(message));
            }
            let name = new.name.clone();
            draft.put_definition(kind, definition(new, 1, None));
            Ok(name)
        });
        let made = made.await?;
        Ok(self.shown_outcomes(kind, made))
    }

    /// Changes definitions. Attributes may be added, those that users need not set; nothing that entities may have is taken away.
    ///
    /// # Errors
    /// When nothing could be written. Of one item: 4040001, and whatever is wrong with it.
    pub async fn update_definitions(
        self: &Arc<Self>,
        kind: DefinitionKind,
        items: Vec<NewDefinition>,
    ) -> Result<Outcomes<ShownDefinition>, RegistryError> {
        let made = self.change_each("Update definitions", items, move |draft, new| {
            check(draft, kind, &new)?;
            let old = draft
                .definition(kind, &new.name)
                .ok_or_else(|| unknown(&new.name))?;
            check_update(old, &new)?;
            let created = old.create_time.unwrap_or(old.update_time);
            let name = new.name.clone();
            let changed = definition(new, old.version.saturating_add(1), Some(created));
            let is_same = *old
                == Definition {
                    version: old.version,
                    create_time: old.create_time,
                    update_time: old.update_time,
                    ..changed.clone()
                };
            if !is_same {
                draft.put_definition(kind, changed);
            }
            Ok(name)
        });
        let made = made.await?;
        Ok(self.shown_outcomes(kind, made))
    }

    /// Deletes a definition that nothing uses.
    ///
    /// # Errors
    /// 4040001, 4090002.
    pub async fn delete_definition(
        self: &Arc<Self>,
        kind: DefinitionKind,
        name: &str,
    ) -> Result<(), RegistryError> {
        let (catalog, name) = (Arc::clone(self), name.to_owned());
        let plan = move || std::future::ready(plan_delete(&catalog.state(), kind, name));
        self.turns.make("Delete definition", plan).await
    }

    fn shown_outcomes(
        &self,
        kind: DefinitionKind,
        made: Outcomes<String>,
    ) -> Outcomes<ShownDefinition> {
        let made = made.into_iter();
        made.map(|name| self.definition(kind, &name?)).collect()
    }
}

fn plan_delete(
    state: &CatalogState,
    kind: DefinitionKind,
    name: String,
) -> Result<Planned<(), Record>, RegistryError> {
    if state.definition(kind, &name).is_none() {
        return Err(unknown(&name).into());
    }
    let in_use = match kind {
        DefinitionKind::Tag => {
            !sub_types(state, &name).is_empty()
                || state
                    .overlays()
                    .any(|(_, overlay)| overlay.tags.contains_key(&name))
        }
        DefinitionKind::BusinessMetadata => state
            .overlays()
            .any(|(_, overlay)| overlay.business_metadata.contains_key(&name)),
    };
    if in_use {
        return Err(CatalogError::DefinitionInUse { name }.into());
    }
    Ok(Planned {
        answer: (),
        records: vec![Record::tombstone(Key::Definition(kind, name))],
    })
}

fn unknown(name: &str) -> CatalogError {
    CatalogError::DefinitionNotFound {
        name: name.to_owned(),
    }
}

fn shown(state: &CatalogState, kind: DefinitionKind, definition: &Definition) -> ShownDefinition {
    let sub_types = match kind {
        DefinitionKind::Tag => sub_types(state, &definition.name),
        DefinitionKind::BusinessMetadata => Vec::new(),
    };
    ShownDefinition {
        kind,
        definition: definition.clone(),
        sub_types,
    }
}

fn sub_types(state: &CatalogState, name: &str) -> Vec<String> {
    let tags = state.definitions(DefinitionKind::Tag);
    let below = tags.filter(|tag| tag.super_types.iter().any(|above| above == name));
    below.map(|tag| tag.name.clone()).collect()
}

/// A tag and all tags below it.
pub(super) fn with_sub_types(state: &CatalogState, name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        if !found.contains(&name) {
            open.extend(sub_types(state, &name));
            found.insert(name);
        }
    }
    found
}

fn definition(new: NewDefinition, version: i32, create_time: Option<i64>) -> Definition {
    Definition {
        name: new.name,
        description: new.description,
        type_version: new.type_version.unwrap_or_else(|| "1.0".to_owned()),
        service_type: new.service_type,
        options: new.options,
        attribute_defs: new.attribute_defs,
        super_types: new.super_types,
        entity_types: new.entity_types,
        color: new.color,
        version,
        create_time,
        update_time: 0,
    }
}

/// A definition and those above it, itself first.
pub(super) fn lineage<'d>(
    draft: &'d Draft<'_>,
    super_types: &[String],
) -> Result<Vec<&'d Definition>, CatalogError> {
    let mut found: Vec<&Definition> = Vec::new();
    let mut open: Vec<(&str, usize)> = super_types.iter().map(|name| (name.as_str(), 1)).collect();
    let mut found_names = BTreeSet::new();
    while let Some((name, level)) = open.pop() {
        let above = draft.definition(DefinitionKind::Tag, name);
        let above = above.ok_or_else(|| unknown(name))?;
        if level > LEVELS_MAX {
            let message = format!("more than {LEVELS_MAX} supertypes above each other");
            return Err(CatalogError::bad_request(message));
        }
        if found_names.insert(above.name.as_str()) {
            open.extend(
                above
                    .super_types
                    .iter()
                    .map(|name| (name.as_str(), level + 1)),
            );
            found.push(above);
        }
    }
    Ok(found)
}

/// Whether a definition is for a type of entities, by its own list.
fn allows(entity_types: &[String], entity_type: &str) -> bool {
    entity_types.is_empty()
        || entity_types
            .iter()
            .any(|allowed| allowed == EntityType::ROOT || allowed == entity_type)
}

/// Whether a tag is for a type of entities, by its own list and those above it.
pub(super) fn is_for(lineage: &[&Definition], entity_type: EntityType) -> bool {
    let mut all = lineage.iter();
    all.all(|definition| allows(&definition.entity_types, entity_type.name()))
}

fn check(draft: &Draft<'_>, kind: DefinitionKind, new: &NewDefinition) -> Result<(), CatalogError> {
    check_name(&new.name, kind.category())?;
    check_sizes(new)?;
    for name in &new.entity_types {
        if name != EntityType::ROOT && EntityType::of(name).is_none() {
            return Err(CatalogError::InvalidEntityTypes {
                name: new.name.clone(),
                entity_type: name.clone(),
            });
        }
    }
    let mut names = BTreeSet::new();
    for attribute in &new.attribute_defs {
        check_name(&attribute.name, "ATTRIBUTE")?;
        values::check_type(&new.name, attribute)?;
        if !names.insert(attribute.name.as_str()) {
            let message = format!("{}.{} is defined twice", new.name, attribute.name);
            return Err(CatalogError::bad_request(message));
        }
        if kind == DefinitionKind::BusinessMetadata {
            applicable(attribute).map_err(|entity_type| CatalogError::InvalidEntityTypes {
                name: format!("{}.{}", new.name, attribute.name),
                entity_type,
            })?;
        }
    }
    check_super_types(draft, new, &names)
}

fn check_super_types(
    draft: &Draft<'_>,
    new: &NewDefinition,
    own: &BTreeSet<&str>,
) -> Result<(), CatalogError> {
    if new.super_types.contains(&new.name) {
        return Err(CatalogError::CircularReference {
            name: new.name.clone(),
            super_type: new.name.clone(),
        });
    }
    for above in lineage(draft, &new.super_types)? {
        if above.name == new.name {
            return Err(CatalogError::CircularReference {
                name: new.name.clone(),
                super_type: new.super_types.first().cloned().unwrap_or_default(),
            });
        }
        let is_subset = new
            .entity_types
            .iter()
            .all(|name| allows(&above.entity_types, name));
        if !is_subset {
            return Err(CatalogError::NotSubset {
                name: new.name.clone(),
            });
        }
        let twice = above.attribute_defs.iter();
        if let Some(twice) = twice
            .map(|def| def.name.as_str())
            .find(|name| own.contains(name))
        {
            let message = format!("{}.{twice} is an attribute of {} too", new.name, above.name);
            return Err(CatalogError::bad_request(message));
        }
    }
    Ok(())
}

fn check_sizes(new: &NewDefinition) -> Result<(), CatalogError> {
    let of_attributes = new.attribute_defs.iter();
    let lists = [
        new.options.len(),
        new.attribute_defs.len(),
        new.super_types.len(),
        new.entity_types.len(),
    ];
    let lists = lists
        .into_iter()
        .chain(of_attributes.clone().map(|def| def.options.len()));
    if lists.max().unwrap_or_default() > ENTRIES_MAX {
        let message = format!(
            "a list of the definition {} has more than {ENTRIES_MAX} entries",
            new.name
        );
        return Err(CatalogError::bad_request(message));
    }
    let pairs = new
        .options
        .iter()
        .chain(of_attributes.clone().flat_map(|def| &def.options));
    let pairs = pairs.flat_map(|(name, value)| [name, value]);
    let own = [
        &new.description,
        &new.type_version,
        &new.service_type,
        &new.color,
    ];
    let of_each = of_attributes.flat_map(|def| {
        [
            &def.description,
            &def.default_value,
            &def.index_type,
            &def.display_name,
        ]
    });
    let texts = own.into_iter().chain(of_each).flatten().chain(pairs);
    let texts = texts.chain(&new.super_types).chain(&new.entity_types);
    if texts
        .map(|text| text.chars().count())
        .max()
        .unwrap_or_default()
        > TEXT_CHARS_MAX
    {
        let message = format!(
            "a text of the definition {} is longer than {TEXT_CHARS_MAX} characters",
            new.name
        );
        return Err(CatalogError::bad_request(message));
    }
    Ok(())
}

/// The types that an attribute of business metadata is for; none: all.
///
/// # Errors
/// What is no type, or no list of them.
pub(super) fn applicable(attribute: &AttributeDef) -> Result<Vec<EntityType>, String> {
    let Some(text) = attribute.options.get(APPLICABLE) else {
        return Ok(Vec::new());
    };
    let names: Vec<String> = serde_json::from_str(text).map_err(|_| text.clone())?;
    if names.iter().any(|name| name == EntityType::ROOT) {
        return Ok(Vec::new());
    }
    let names = names.into_iter();
    names
        .map(|name| EntityType::of(&name).ok_or(name))
        .collect()
}

fn check_update(old: &Definition, new: &NewDefinition) -> Result<(), CatalogError> {
    let name = || new.name.clone();
    for attribute in &old.attribute_defs {
        let changed = new
            .attribute_defs
            .iter()
            .find(|def| def.name == attribute.name);
        let Some(changed) = changed else {
            return Err(CatalogError::AttributeRemoval {
                name: name(),
                attribute: attribute.name.clone(),
            });
        };
        let is_stricter = attribute.is_optional && !changed.is_optional;
        let is_other = changed.type_name != attribute.type_name
            || changed.cardinality != attribute.cardinality;
        if is_other || is_stricter {
            return Err(CatalogError::AttributeUpdate {
                name: name(),
                attribute: attribute.name.clone(),
            });
        }
    }
    let added = new.attribute_defs.iter();
    let mut added = added.filter(|def| !old.attribute_defs.iter().any(|old| old.name == def.name));
    if let Some(mandatory) = added.find(|def| !def.is_optional && def.default_value.is_none()) {
        return Err(CatalogError::MandatoryAdded {
            name: name(),
            attribute: mandatory.name.clone(),
        });
    }
    if old
        .super_types
        .iter()
        .any(|above| !new.super_types.contains(above))
    {
        return Err(CatalogError::SuperTypeRemoval);
    }
    let had = |entity_type: EntityType| allows(&old.entity_types, entity_type.name());
    let has = |entity_type: EntityType| allows(&new.entity_types, entity_type.name());
    if EntityType::ALL
        .into_iter()
        .any(|each| had(each) && !has(each))
    {
        return Err(CatalogError::EntityTypeRemoval { name: name() });
    }
    Ok(())
}
