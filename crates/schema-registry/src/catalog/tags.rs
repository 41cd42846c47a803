//! Tags of entities: setting, changing, removing.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::definitions::{is_for, lineage};
use super::error::CatalogError;
use super::model::{AttributeDef, Definition, DefinitionKind, EntityType, Tag, TimeBoundary};
use super::state::Draft;
use super::{Catalog, Entity, Outcomes, put, values};
use crate::error::RegistryError;

/// How many periods a tag has at most.
const PERIODS_MAX: usize = 100;

/// A tag of an entity, as a request has it.
#[derive(Debug, Clone, Default)]
pub struct NewTag {
    /// Which tag.
    pub name: String,
    /// The entity's type.
    pub entity_type: String,
    /// Its `qualifiedName`.
    pub entity_name: String,
    /// Values of the tag's attributes.
    pub attributes: Map<String, Value>,
    /// Kept as it is.
    pub propagate: bool,
    /// When it holds.
    pub validity_periods: Vec<TimeBoundary>,
    /// Kept as it is.
    pub remove_propagations_on_entity_delete: bool,
}

/// A tag that an entity has.
#[derive(Debug, Clone)]
pub struct FoundTag {
    /// Which tag.
    pub name: String,
    /// What is said of it.
    pub tag: Tag,
    /// The entity.
    pub entity: Entity,
}

/// Whether an item may meet what is there, or has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// It has to be new.
    Create,
    /// It has to be there.
    Update,
}

impl Catalog {
    /// Sets tags on entities, or changes those that are set.
    ///
    /// # Errors
    /// When nothing could be written, or no broker says which topics there are. Of one item: 4000020 and 4040009 for its entity, 4000070
    /// for a tag without a definition, 4000085 for one that is not for such entities, 4000027 and 4000109 when it is there or is not,
    /// 4000035, 4000040 and 4000043 for its attributes.
    pub async fn set_tags(
        self: &Arc<Self>,
        intent: Intent,
        items: Vec<NewTag>,
    ) -> Result<Outcomes<FoundTag>, RegistryError> {
        let name = |item: &NewTag| (item.entity_type.clone(), item.entity_name.clone());
        let items = self.with_entities(items, name).await?;
        self.change_each("Set tags", items, move |draft, (new, entity)| {
            set(draft, intent, new, entity?)
        })
        .await
    }

    /// Removes a tag that was set on an entity, whether that is still there or not.
    ///
    /// # Errors
    /// 4000020, 4040009, 4040008; 4000108 for a tag that stands in the schema.
    pub async fn delete_tag(
        self: &Arc<Self>,
        type_name: &str,
        qualified: &str,
        name: &str,
    ) -> Result<(), RegistryError> {
        let (entity, id) = self.entity_or_id(type_name, qualified).await?;
        let name = name.to_owned();
        self.change("Delete tag", move |draft| {
            let mut overlay = draft.overlay(&id);
            if overlay.tags.remove(&name).is_some() {
                draft.put_overlay(&id, overlay);
                return Ok(());
            }
            let is_in_schema = entity?
                .schema_tags()
                .is_some_and(|tags| tags.contains(&name));
            Err(match is_in_schema {
                true => CatalogError::InSchema { name },
                false => CatalogError::TagNotFound { name },
            }
            .into())
        })
        .await
    }
}

fn set(
    draft: &mut Draft<'_>,
    intent: Intent,
    new: NewTag,
    entity: Entity,
) -> Result<FoundTag, CatalogError> {
    let id = &entity.id.clone();
    let mut overlay = draft.overlay(id);
    let attributes = {
        let lineage = defined(draft, &new.name)?;
        check_type(&lineage, &new.name, &entity)?;
        let all: Vec<&AttributeDef> = lineage
            .iter()
            .flat_map(|each| &each.attribute_defs)
            .collect();
        let old = overlay.tags.get(&new.name);
        match (intent, old) {
            (Intent::Create, Some(_)) => {
                return Err(CatalogError::AlreadyTagged {
                    guid: id.guid(),
                    name: new.name,
                });
            }
            (Intent::Update, None) => return Err(CatalogError::NotTagged { name: new.name }),
            (Intent::Create, None) => values::check_values(&new.name, &all, &new.attributes)?,
            (Intent::Update, Some(old)) => {
                // What an update does not speak of stays (`AtlasClassification` of an update).
                let mut attributes = old.attributes.clone();
                attributes.extend(new.attributes.clone());
                values::check_values(&new.name, &all, &attributes)?
            }
        }
    };
    check_periods(&new.validity_periods)?;
    let tag = Tag {
        attributes,
        propagate: new.propagate,
        validity_periods: new.validity_periods,
        remove_propagations_on_entity_delete: new.remove_propagations_on_entity_delete,
    };
    overlay.tags.insert(new.name.clone(), tag.clone());
    put(draft, id, overlay)?;
    Ok(FoundTag {
        name: new.name,
        tag,
        entity,
    })
}

/// The definition of a tag and those above it.
fn defined<'d>(draft: &'d Draft<'_>, name: &str) -> Result<Vec<&'d Definition>, CatalogError> {
    let own = draft.definition(DefinitionKind::Tag, name);
    let own = own.ok_or_else(|| CatalogError::UnknownTag {
        name: name.to_owned(),
    })?;
    let mut all = vec![own];
    all.extend(lineage(draft, &own.super_types)?);
    Ok(all)
}

fn check_type(lineage: &[&Definition], name: &str, entity: &Entity) -> Result<(), CatalogError> {
    let entity_type: EntityType = entity.id.entity_type;
    if is_for(lineage, entity_type) {
        return Ok(());
    }
    Err(CatalogError::NotForEntityType {
        guid: entity.id.guid(),
        entity_type: entity_type.name().to_owned(),
        name: name.to_owned(),
    })
}

/// Times are as Atlas has them: `2026/01/31 12:00:00`.
fn check_periods(periods: &[TimeBoundary]) -> Result<(), CatalogError> {
    if periods.len() > PERIODS_MAX {
        let message = format!("a tag has {PERIODS_MAX} validity periods at most");
        return Err(CatalogError::bad_request(message));
    }
    for period in periods {
        for time in [&period.start_time, &period.end_time].into_iter().flatten() {
            if !is_time(time) {
                let message = format!("Invalid time {:.40}: expected yyyy/MM/dd HH:mm:ss", time);
                return Err(CatalogError::bad_request(message));
            }
        }
        if let (Some(start), Some(end)) = (&period.start_time, &period.end_time)
            && start >= end
        {
            let message =
                format!("Invalid dateRange: startTime {start} must be before endTime {end}");
            return Err(CatalogError::bad_request(message));
        }
        if period
            .time_zone
            .as_ref()
            .is_some_and(|zone| zone.len() > 64)
        {
            return Err(CatalogError::bad_request("Invalid timezone"));
        }
    }
    Ok(())
}

fn is_time(text: &str) -> bool {
    values::has_form(text, "dddd/dd/dd dd:dd:dd")
}
