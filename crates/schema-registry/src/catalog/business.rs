//! Business metadata of entities: setting, replacing, removing.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::definitions::applicable;
use super::error::CatalogError;
use super::model::{AttributeDef, DefinitionKind};
use super::state::Draft;
use super::tags::Intent;
use super::{Catalog, Entity, Outcomes, put, values};
use crate::error::RegistryError;

/// Business metadata of an entity, as a request has it.
#[derive(Debug, Clone, Default)]
pub struct NewBusinessMetadata {
    /// Which.
    pub name: String,
    /// The entity's type.
    pub entity_type: String,
    /// Its `qualifiedName`.
    pub entity_name: String,
    /// Values of its attributes.
    pub attributes: Map<String, Value>,
}

/// Business metadata that an entity has.
#[derive(Debug, Clone)]
pub struct FoundBusinessMetadata {
    /// Which.
    pub name: String,
    /// Values of its attributes.
    pub attributes: Map<String, Value>,
    /// The entity.
    pub entity: Entity,
}

impl Catalog {
    /// Sets business metadata on entities, or puts other in the place of what is set.
    ///
    /// # Errors
    /// When nothing could be written, or no broker says which topics there are. Of one item: 4000020 and 4040009 for its entity, 4040001
    /// without a definition, 4090003 and 4040004 when it is there or is not, 4000035, 4000040 and 4000043 for its attributes.
    pub async fn set_business_metadata(
        self: &Arc<Self>,
        intent: Intent,
        items: Vec<NewBusinessMetadata>,
    ) -> Result<Outcomes<FoundBusinessMetadata>, RegistryError> {
        let name =
            |item: &NewBusinessMetadata| (item.entity_type.clone(), item.entity_name.clone());
        let items = self.with_entities(items, name).await?;
        self.change_each(
            "Set business metadata",
            items,
            move |draft, (new, entity)| set(draft, intent, new, entity?),
        )
        .await
    }

    /// Removes business metadata from an entity, whether that is still there or not.
    ///
    /// # Errors
    /// 4000020, 4040009, 4040004.
    pub async fn delete_business_metadata(
        self: &Arc<Self>,
        type_name: &str,
        qualified: &str,
        name: &str,
    ) -> Result<(), RegistryError> {
        let (entity, id) = self.entity_or_id(type_name, qualified).await?;
        let name = name.to_owned();
        self.change("Delete business metadata", move |draft| {
            let mut overlay = draft.overlay(&id);
            if overlay.business_metadata.remove(&name).is_some() {
                draft.put_overlay(&id, overlay);
                return Ok(());
            }
            entity?;
            Err(CatalogError::BusinessMetadataNotFound { name }.into())
        })
        .await
    }
}

fn set(
    draft: &mut Draft<'_>,
    intent: Intent,
    new: NewBusinessMetadata,
    entity: Entity,
) -> Result<FoundBusinessMetadata, CatalogError> {
    let mut overlay = draft.overlay(&entity.id);
    let definition = draft.definition(DefinitionKind::BusinessMetadata, &new.name);
    let definition = definition.ok_or_else(|| CatalogError::DefinitionNotFound {
        name: new.name.clone(),
    })?;
    let is_there = overlay.business_metadata.contains_key(&new.name);
    match intent {
        Intent::Create if is_there => {
            return Err(CatalogError::BusinessMetadataExists { name: new.name });
        }
        Intent::Update if !is_there => {
            return Err(CatalogError::BusinessMetadataNotFound { name: new.name });
        }
        Intent::Create | Intent::Update => {}
    }
    // An attribute that is for other entities is none of this one's.
    let for_it = |attribute: &&AttributeDef| {
        let types = applicable(attribute).unwrap_or_default();
        types.is_empty() || types.contains(&entity.id.entity_type)
    };
    let all: Vec<&AttributeDef> = definition.attribute_defs.iter().filter(for_it).collect();
    let attributes = values::check_values(&new.name, &all, &new.attributes)?;
    let metadata = &mut overlay.business_metadata;
    metadata.insert(new.name.clone(), attributes.clone());
    put(draft, &entity.id, overlay)?;
    Ok(FoundBusinessMetadata {
        name: new.name,
        attributes,
        entity,
    })
}
