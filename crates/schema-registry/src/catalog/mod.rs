//! The Stream Catalog: tags, business metadata and descriptions of schemas, their fields, and topics (Confluent's catalog v1, which is
//! one of Apache Atlas).
//!
//! A *definition* says that a tag, or business metadata (attributes that belong together), may be used, and on what. An *entity* is what
//! can be tagged: a topic, a schema, a record, a field ([`entity`]). Entities follow from the registry's state and from the cluster; only
//! what users set on them is kept, an [`Overlay`] for each entity that has one. The tags that a schema itself carries are its entities'
//! too.
//!
//! Definitions and overlays are in a topic of their own ([`records`]); [`CatalogState`] is what its records say. Operations follow the
//! shape of those on keys: a question is answered from the state, a change is planned, written and read back
//! ([`crate::service::Turns`]). A list of changes is one plan: each item counts or fails for itself, over what those before it did.
//!
//! **Invariants:** a definition that an entity uses is not deleted. No lock is held while a schema is parsed or a broker is asked.
//!
//! **Not here:** propagation of tags from entity to entity; users, so `createdBy` and `updatedBy` are not told; GraphQL.

pub mod business;
pub mod cluster;
pub mod definitions;
pub mod entity;
pub mod error;
pub mod model;
pub mod records;
pub mod search;
mod state;
pub mod tags;
mod values;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::{Semaphore, watch};

pub use business::NewBusinessMetadata;
use cluster::{Cluster, Topics};
pub use definitions::NewDefinition;
pub use entity::Entity;
use entity::{Names, Origin, Outlines};
pub use error::CatalogError;
use model::{EntityId, EntityType, Overlay};
use records::Record;
pub use state::CatalogState;
use state::Draft;
pub use tags::NewTag;

use crate::error::RegistryError;
use crate::service::{Leadership, Log, Planned, Registry, Turns};
use crate::subject;

/// How many items a list of changes has at most.
pub const ITEMS_MAX: usize = 1_000;

/// How many entities may have something set on them.
const OVERLAYS_MAX: usize = 100_000;

/// Bytes that may be set on one entity, as its record has them.
const OVERLAY_BYTES_MAX: usize = 512 * 1024;

/// Characters of the name of a definition, as Confluent's catalog has it.
const NAME_CHARS_MAX: usize = 8_192;

/// How many topics of a list are asked for one by one.
const TOPICS_ONE_BY_ONE: usize = 8;

/// What became of the items of a list, one by one.
pub type Outcomes<T> = Vec<Result<T, CatalogError>>;

/// The catalog of one instance, and the way to change it.
#[derive(Debug)]
pub struct Catalog {
    registry: Arc<Registry>,
    state: Arc<RwLock<CatalogState>>,
    turns: Turns<Record>,
    cluster: Arc<dyn Cluster>,
    names: Names,
    outlines: Outlines,
    searches: Arc<Semaphore>,
}

/// An entity with what is set on it.
#[derive(Debug, Clone)]
pub struct Found {
    /// The entity.
    pub entity: Entity,
    /// What users set.
    pub overlay: Overlay,
}

impl Catalog {
    /// A catalog that somebody keeps up to date with what `log` writes, of the schemas of `registry` and the topics of `cluster`.
    #[must_use]
    pub fn new(
        registry: Arc<Registry>,
        state: Arc<RwLock<CatalogState>>,
        log: Arc<dyn Log<Record>>,
        leadership: watch::Receiver<Leadership>,
        cluster: Arc<dyn Cluster>,
        cluster_id: &str,
    ) -> Self {
        let turns = Turns::new(log, leadership, registry.config().timeout);
        let names = Names {
            registry: Arc::from(registry.config().group_id.as_str()),
            cluster: Arc::from(cluster_id),
        };
        Self {
            registry,
            state,
            turns,
            cluster,
            names,
            outlines: Outlines::default(),
            searches: Arc::new(Semaphore::new(search::AT_ONCE_MAX)),
        }
    }

    /// The state, for a look-up.
    pub fn state(&self) -> RwLockReadGuard<'_, CatalogState> {
        // A writer that panicked left a whole record applied or not at all.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the changes that are under way. Those that begin later are not waited for.
    pub async fn finish(&self) {
        self.turns.finish().await;
    }

    /// Makes a change whose plan needs nothing but the state.
    async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        plan: impl FnOnce(&mut Draft<'_>) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let catalog = Arc::clone(self);
        let plan = move || {
            let state = catalog.state();
            let mut draft = Draft::new(&state);
            let answer = plan(&mut draft);
            std::future::ready(answer.map(|answer| Planned {
                answer,
                records: draft.into_records(),
            }))
        };
        self.turns.make(operation, plan).await
    }

    /// Changes item after item of a list; each counts or fails for itself.
    async fn change_each<I: Send + 'static, T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        items: Vec<I>,
        mut plan: impl FnMut(&mut Draft<'_>, I) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<Outcomes<T>, RegistryError> {
        self.change(operation, move |draft| {
            let items = items.into_iter();
            Ok(items.map(|item| plan(draft, item)).collect())
        })
        .await
    }

    /// An entity that is there and not soft deleted.
    ///
    /// # Errors
    /// 4000020 for a type that there is not, 4040009 for an entity that there is not, 50001 when no broker says whether a topic is there.
    pub async fn entity(
        self: &Arc<Self>,
        type_name: &str,
        qualified: &str,
    ) -> Result<Entity, RegistryError> {
        let entity_type = entity_type(type_name)?;
        let found = self.look_up(entity_type, qualified).await?;
        let found = found.filter(|entity| !entity.is_deleted);
        Ok(found.ok_or_else(|| not_found(type_name, qualified))?)
    }

    /// An entity with what is set on it.
    ///
    /// # Errors
    /// As [`Catalog::entity`].
    pub async fn found(
        self: &Arc<Self>,
        type_name: &str,
        qualified: &str,
    ) -> Result<Found, RegistryError> {
        let entity = self.entity(type_name, qualified).await?;
        Ok(self.with_overlay(entity))
    }

    fn with_overlay(&self, entity: Entity) -> Found {
        let overlay = self.state().overlay(&entity.id).cloned();
        Found {
            entity,
            overlay: overlay.unwrap_or_default(),
        }
    }

    /// A list's items with their entities, which `name` gives by type and name; what is wrong with one is its item's error.
    async fn with_entities<I>(
        self: &Arc<Self>,
        items: Vec<I>,
        name: impl Fn(&I) -> (String, String),
    ) -> Result<Vec<(I, Result<Entity, CatalogError>)>, RegistryError> {
        let is_topic = |item: &&I| name(item).0 == EntityType::Topic.name();
        if items.iter().filter(is_topic).count() > TOPICS_ONE_BY_ONE {
            // Those that follow are found in what was asked for here.
            self.all_topics().await?;
        }
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            let (type_name, qualified) = name(&item);
            let entity = match self.entity(&type_name, &qualified).await {
                Ok(entity) => Ok(entity),
                Err(RegistryError::Catalog(error)) => Err(error),
                Err(error) => return Err(error),
            };
            found.push((item, entity));
        }
        Ok(found)
    }

    /// An entity, or what is wrong with it, and the id under which something is set on it, whether it is still there or not.
    async fn entity_or_id(
        self: &Arc<Self>,
        type_name: &str,
        qualified: &str,
    ) -> Result<(Result<Entity, RegistryError>, EntityId), RegistryError> {
        let entity = self.entity(type_name, qualified).await;
        let id = match &entity {
            Ok(entity) => entity.id.clone(),
            Err(_) => id_of(type_name, qualified)?,
        };
        Ok((entity, id))
    }

    async fn look_up(
        self: &Arc<Self>,
        entity_type: EntityType,
        qualified: &str,
    ) -> Result<Option<Entity>, RegistryError> {
        match entity_type {
            EntityType::Cluster => {
                let is_ours = *self.names.cluster == *qualified;
                Ok(is_ours.then(|| self.names.cluster()))
            }
            EntityType::Topic => match self.names.topic_name(qualified) {
                Some(name) => {
                    let topic = self.cluster.topic(name).await?;
                    Ok(topic.map(|topic| self.names.topic(topic)))
                }
                None => Ok(None),
            },
            EntityType::SubjectVersion | EntityType::Schema => {
                Ok(self.in_registry(entity_type, qualified))
            }
            EntityType::Record | EntityType::Field => {
                let (catalog, qualified) = (Arc::clone(self), qualified.to_owned());
                let find = move |_: &Registry| Ok(catalog.in_registry(entity_type, &qualified));
                self.registry.aside(find).await
            }
        }
    }

    /// An entity of the registry. To find a record or a field, its schema is parsed.
    fn in_registry(&self, entity_type: EntityType, qualified: &str) -> Option<Entity> {
        let (context, rest) = self.names.in_context(qualified)?;
        if entity_type == EntityType::SubjectVersion {
            let (name, version) = rest.rsplit_once(':')?;
            let full = subject::qualify(context, name);
            let number = version
                .parse()
                .ok()
                .filter(|number: &i32| number.to_string() == version)?;
            let state = self.registry.state();
            let found = state.version(&full, number)?;
            let row = entity::Row {
                context: Arc::from(context),
                id: found.id,
                body: Arc::clone(&found.body),
                created_ms: found.timestamp_ms,
                is_deleted: found.deleted,
            };
            return Some(self.names.version(&full, number, row));
        }
        let (id, path) = match rest.split_once(':') {
            Some((id, path)) => (id, Some(path)),
            None => (rest, None),
        };
        let number = id
            .parse()
            .ok()
            .filter(|number: &i32| number.to_string() == id)?;
        let row = entity::row(&self.registry.state(), context, number)?;
        match (entity_type, path) {
            (EntityType::Schema, None) => Some(self.names.schema(row)),
            (EntityType::Record | EntityType::Field, Some(path)) => {
                let wants_field = entity_type == EntityType::Field;
                let outline = self.outlines.of(&self.registry, &row);
                let mut fitting = outline
                    .iter()
                    .filter(|entity| entity.is_field() == wants_field);
                let entity = fitting.find(|entity| entity.path() == path)?;
                Some(self.names.within(&row, entity))
            }
            _ => None,
        }
    }

    /// What an entity belongs to and what belongs to it, by the name of the relation.
    ///
    /// # Errors
    /// 50001 when the request could not be worked on.
    pub async fn related(
        self: &Arc<Self>,
        entity: &Entity,
    ) -> Result<Vec<(&'static str, Related)>, RegistryError> {
        let (catalog, entity) = (Arc::clone(self), entity.clone());
        self.registry
            .aside(move |_| Ok(catalog.relations(&entity)))
            .await
    }

    fn relations(&self, entity: &Entity) -> Vec<(&'static str, Related)> {
        let one = |entity| Related::One(Box::new(entity));
        match &entity.origin {
            Origin::Cluster | Origin::Gone => Vec::new(),
            Origin::Topic(_) => vec![("logical_cluster", one(self.names.cluster()))],
            Origin::Version { row, .. } => vec![("schema", one(self.names.schema(row.clone())))],
            Origin::Schema(row) => {
                let outline = self.outlines.of(&self.registry, row);
                let types = outline.iter().filter(|entity| !entity.is_field());
                let types = types.map(|entity| self.names.within(row, entity));
                vec![
                    ("types", Related::Many(types.take(RELATED_MAX).collect())),
                    ("subject_versions", Related::Many(self.versions_of(row))),
                ]
            }
            Origin::Within { row, entity } => {
                let outline = self.outlines.of(&self.registry, row);
                match entity.record_path() {
                    Some(record) => {
                        let record = outline
                            .iter()
                            .find(|found| !found.is_field() && found.path() == record);
                        let record = record.map(|record| one(self.names.within(row, record)));
                        record
                            .map(|record| ("record", record))
                            .into_iter()
                            .collect()
                    }
                    None => {
                        let fields = outline
                            .iter()
                            .filter(|found| found.record_path() == Some(entity.path()))
                            .map(|found| self.names.within(row, found));
                        vec![
                            ("schema", one(self.names.schema(row.clone()))),
                            ("fields", Related::Many(fields.take(RELATED_MAX).collect())),
                        ]
                    }
                }
            }
        }
    }

    fn versions_of(&self, row: &entity::Row) -> Vec<Entity> {
        let state = self.registry.state();
        let entry = state
            .index(&row.context)
            .and_then(|index| index.by_id(row.id));
        let versions = entry.into_iter().flat_map(|entry| &entry.versions);
        let live = versions.filter(|(subject, number)| {
            let version = state.version(subject, *number);
            version.is_some_and(|version| !version.deleted)
        });
        live.take(RELATED_MAX)
            .map(|(subject, number)| self.names.version(subject, *number, row.clone()))
            .collect()
    }

    /// Sets attributes of an entity; what is `None` is taken away.
    ///
    /// # Errors
    /// As [`Catalog::entity`]; 4000115 without a name, 4000035 and 4000039 for attributes that cannot be set, 4000040 for a value that is
    /// no text or too long, 4000041 when too much is set.
    pub async fn set_attributes(
        self: &Arc<Self>,
        type_name: &str,
        attributes: serde_json::Map<String, serde_json::Value>,
    ) -> Result<Found, RegistryError> {
        entity_type(type_name)?;
        let Some(qualified) = attributes
            .get("qualifiedName")
            .and_then(|name| name.as_str())
        else {
            return Err(CatalogError::MissingQualifiedName.into());
        };
        let entity = self.entity(type_name, qualified).await?;
        let changes = changed_attributes(&entity, &attributes)?;
        let id = entity.id.clone();
        self.change("Update entity", move |draft| {
            let mut overlay = draft.overlay(&id);
            let before = overlay.attributes.clone();
            for (name, value) in changes {
                match value {
                    Some(value) => overlay.attributes.insert(name, value),
                    None => overlay.attributes.remove(&name),
                };
            }
            if overlay.attributes != before {
                put(draft, &id, overlay)?;
            }
            Ok(())
        })
        .await?;
        Ok(self.with_overlay(entity))
    }

    async fn all_topics(&self) -> Result<Topics, RegistryError> {
        self.cluster.topics().await
    }
}

/// What an entity has a relation to.
#[derive(Debug, Clone)]
pub enum Related {
    /// At most one.
    One(Box<Entity>),
    /// Any number.
    Many(Vec<Entity>),
}

/// How many entities of one relation are told.
const RELATED_MAX: usize = 1_000;

/// Characters of an attribute that users set.
const ATTRIBUTE_CHARS_MAX: usize = 5_000;

fn changed_attributes(
    entity: &Entity,
    given: &serde_json::Map<String, serde_json::Value>,
) -> Result<Vec<(String, Option<String>)>, CatalogError> {
    let own = entity.attributes(None);
    let name = || entity.id.entity_type.name().to_owned();
    let mut changes = Vec::new();
    for (attribute, value) in given {
        if entity::SETTABLE.contains(&attribute.as_str()) {
            let text = match value {
                serde_json::Value::Null => None,
                serde_json::Value::String(text) if text.chars().count() <= ATTRIBUTE_CHARS_MAX => {
                    Some(text.clone())
                }
                _ => {
                    return Err(CatalogError::InvalidValue {
                        name: name(),
                        attribute: attribute.clone(),
                        type_name: "string".to_owned(),
                    });
                }
            };
            changes.push((attribute.clone(), text));
        } else if attribute != "qualifiedName" {
            // What is sent back as it was answered is no change.
            match own.get(attribute) {
                Some(found) if found == value => {}
                Some(_) => {
                    return Err(CatalogError::AttributeUpdate {
                        name: name(),
                        attribute: attribute.clone(),
                    });
                }
                None => {
                    return Err(CatalogError::UnknownAttribute {
                        name: name(),
                        attribute: attribute.clone(),
                    });
                }
            }
        }
    }
    Ok(changes)
}

/// Puts what is set on an entity, if there is room for it.
fn put(draft: &mut Draft<'_>, id: &EntityId, overlay: Overlay) -> Result<(), CatalogError> {
    let bytes = serde_json::to_vec(&overlay).map_or(usize::MAX, |bytes| bytes.len());
    if bytes > OVERLAY_BYTES_MAX {
        let message =
            format!("{bytes} bytes on one entity: at most {OVERLAY_BYTES_MAX} may be set");
        return Err(CatalogError::bad_request(message));
    }
    if draft.overlay(id).is_empty() && draft.overlay_count() >= OVERLAYS_MAX {
        let message = format!(
            "A maximum of {OVERLAYS_MAX} entities with tags, metadata or attributes already exist"
        );
        return Err(CatalogError::bad_request(message));
    }
    draft.put_overlay(id, overlay);
    Ok(())
}

fn entity_type(name: &str) -> Result<EntityType, CatalogError> {
    EntityType::of(name).ok_or_else(|| CatalogError::UnknownEntityType {
        name: name.to_owned(),
    })
}

fn not_found(type_name: &str, qualified: &str) -> CatalogError {
    CatalogError::EntityNotFound {
        entity_type: type_name.to_owned(),
        name: qualified.to_owned(),
    }
}

/// The id under which something is set on an entity that is, or was, there.
fn id_of(type_name: &str, qualified: &str) -> Result<EntityId, CatalogError> {
    Ok(EntityId {
        entity_type: entity_type(type_name)?,
        name: qualified.to_owned(),
    })
}

/// Whether a definition or an attribute may have this name.
fn check_name(name: &str, category: &'static str) -> Result<(), CatalogError> {
    let mut letters = name.chars();
    let is_first = letters
        .next()
        .is_some_and(|letter| letter.is_ascii_alphabetic());
    let are_others =
        letters.all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ' '));
    if is_first && are_others && name.len() <= NAME_CHARS_MAX {
        return Ok(());
    }
    Err(CatalogError::InvalidName {
        name: name.chars().take(100).collect(),
        category,
        max: NAME_CHARS_MAX,
    })
}

#[cfg(test)]
mod tests;
