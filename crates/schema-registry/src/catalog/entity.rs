//! Entities: what there is to be tagged. They are not kept, but follow from the registry's schemas and the cluster's topics.
//!
//! | type | `qualifiedName` |
//! |---|---|
//! | `kafka_logical_cluster` | `<cluster>` |
//! | `kafka_topic` | `<registry>:<cluster>:<topic>`; `<cluster>:<topic>` is understood too |
//! | `sr_subject_version` | `<registry>:<context>:<subject>:<version>` |
//! | `sr_schema` | `<registry>:<context>:<id>` |
//! | `sr_record` | `<registry>:<context>:<id>:<record>` |
//! | `sr_field` | `<registry>:<context>:<id>:<record>.<field>` |
//!
//! `<registry>` is `schema.registry.group.id`, `<cluster>` the id of the Kafka cluster, and `<record>` the path by which tags name a type
//! of a schema ([`schema::entity`]).
//!
//! **Invariant:** a name that an entity is listed under finds it again.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use schema::entity::SchemaEntity;
use schema::{ParseOptions, SchemaType};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::cluster::Topic;
use super::model::{EntityId, EntityType, Overlay};
use crate::service::Registry;
use crate::state::{IdEntry, SchemaBody, State};
use crate::subject;

/// Attributes that users may set.
pub const SETTABLE: [&str; 3] = ["description", "owner", "ownerEmail"];

/// A schema that the registry has.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub context: Arc<str>,
    pub id: i32,
    pub body: Arc<SchemaBody>,
    /// The time of its first version, in milliseconds since 1970.
    pub created_ms: i64,
    /// No version of it is left but soft deleted ones.
    pub is_deleted: bool,
}

/// What an entity follows from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    Cluster,
    Topic(Topic),
    Version {
        row: Row,
        version: i32,
    },
    Schema(Row),
    Within {
        row: Row,
        entity: SchemaEntity,
    },
    /// Nothing any more: it was there when something was set on it.
    Gone,
}

/// An entity.
#[derive(Debug, Clone)]
pub struct Entity {
    /// What it is known by.
    pub id: EntityId,
    /// `name`.
    pub name: String,
    /// It is there as something soft deleted, or only as what was set on it.
    pub is_deleted: bool,
    tenant: Arc<str>,
    pub(super) origin: Origin,
}

impl Entity {
    /// The tags that its schema gives it.
    #[must_use]
    pub fn schema_tags(&self) -> Option<&BTreeSet<String>> {
        match &self.origin {
            Origin::Within { entity, .. } => Some(entity.tags()),
            _ => None,
        }
    }

    /// Its tags, those of its schema and those that users set.
    #[must_use]
    pub fn tag_names(&self, overlay: Option<&Overlay>) -> BTreeSet<String> {
        let of_users = overlay.into_iter().flat_map(|overlay| overlay.tags.keys());
        let of_schema = self.schema_tags().into_iter().flatten();
        of_schema.chain(of_users).cloned().collect()
    }

    /// When it came to be, in milliseconds since 1970; not known of topics.
    #[must_use]
    pub fn created_ms(&self) -> Option<i64> {
        match &self.origin {
            Origin::Version { row, .. } | Origin::Schema(row) | Origin::Within { row, .. } => {
                Some(row.created_ms)
            }
            Origin::Cluster | Origin::Topic(_) | Origin::Gone => None,
        }
    }

    /// An attribute; `<business metadata>.<attribute>` is one too.
    #[must_use]
    pub fn attribute(&self, name: &str, overlay: Option<&Overlay>) -> Option<Value> {
        if SETTABLE.contains(&name) {
            let set = overlay.and_then(|overlay| overlay.attributes.get(name));
            return set.map(|text| Value::from(text.as_str()));
        }
        if let Some((business, attribute)) = name.split_once('.') {
            let of = overlay.and_then(|overlay| overlay.business_metadata.get(business));
            return of.and_then(|values| values.get(attribute)).cloned();
        }
        match name {
            "qualifiedName" => Some(Value::from(self.id.name.as_str())),
            "name" => Some(Value::from(self.name.as_str())),
            "nameLower" => Some(Value::from(self.name.to_lowercase())),
            "tenant" => Some(Value::from(&*self.tenant)),
            "createTime" => self.created_ms().map(Value::from),
            _ => self.own_attribute(name),
        }
    }

    fn own_attribute(&self, name: &str) -> Option<Value> {
        match (&self.origin, name) {
            (Origin::Cluster, "id") => Some(Value::from(self.name.as_str())),
            (Origin::Topic(topic), "id") => Some(Value::from(topic.id.as_str())),
            (Origin::Topic(topic), "partitionsCount") => Some(Value::from(topic.partitions)),
            (Origin::Topic(topic), "replicationFactor") => {
                Some(Value::from(topic.replication_factor))
            }
            (Origin::Topic(topic), "isInternal") => Some(Value::from(topic.is_internal)),
            (Origin::Version { version, .. }, "version") => Some(Value::from(*version)),
            (Origin::Version { row, .. } | Origin::Schema(row), "id") => Some(Value::from(row.id)),
            (Origin::Schema(row), "schemaType") => Some(Value::from(row.body.schema_type.name())),
            (
                Origin::Version { row, .. } | Origin::Schema(row) | Origin::Within { row, .. },
                "context",
            ) => Some(Value::from(&*row.context)),
            (Origin::Within { row, entity }, "namespace")
                if !entity.is_field() && row.body.schema_type == SchemaType::Avro =>
            {
                entity.namespace().map(Value::from)
            }
            _ => None,
        }
    }

    /// All attributes.
    #[must_use]
    pub fn attributes(&self, overlay: Option<&Overlay>) -> Map<String, Value> {
        let names = [
            "qualifiedName",
            "name",
            "nameLower",
            "tenant",
            "createTime",
            "id",
            "version",
            "schemaType",
            "context",
            "namespace",
            "partitionsCount",
            "replicationFactor",
            "isInternal",
        ];
        let known = names.into_iter().chain(SETTABLE);
        known
            .filter_map(|name| Some((name.to_owned(), self.attribute(name, overlay)?)))
            .collect()
    }
}

/// Names of entities, and how to make them.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// `schema.registry.group.id`.
    pub registry: Arc<str>,
    /// The id of the Kafka cluster.
    pub cluster: Arc<str>,
}

impl Names {
    fn entity(
        &self,
        entity_type: EntityType,
        qualified: String,
        name: &str,
        origin: Origin,
    ) -> Entity {
        let is_deleted = match &origin {
            Origin::Version { row, .. } | Origin::Schema(row) | Origin::Within { row, .. } => {
                row.is_deleted
            }
            Origin::Cluster | Origin::Topic(_) => false,
            Origin::Gone => true,
        };
        Entity {
            id: EntityId {
                entity_type,
                name: qualified,
            },
            name: name.to_owned(),
            is_deleted,
            tenant: Arc::clone(&self.registry),
            origin,
        }
    }

    pub(super) fn cluster(&self) -> Entity {
        let name = self.cluster.to_string();
        self.entity(EntityType::Cluster, name, &self.cluster, Origin::Cluster)
    }

    pub(super) fn topic(&self, topic: Topic) -> Entity {
        let qualified = format!("{}:{}:{}", self.registry, self.cluster, topic.name);
        let name = topic.name.clone();
        self.entity(EntityType::Topic, qualified, &name, Origin::Topic(topic))
    }

    /// The name of the topic that a qualified name is of.
    pub(super) fn topic_name<'q>(&self, qualified: &'q str) -> Option<&'q str> {
        let below = self.below_registry(qualified).unwrap_or(qualified);
        below.strip_prefix(&*self.cluster)?.strip_prefix(':')
    }

    fn below_registry<'q>(&self, qualified: &'q str) -> Option<&'q str> {
        qualified.strip_prefix(&*self.registry)?.strip_prefix(':')
    }

    pub(super) fn version(&self, full_subject: &str, version: i32, row: Row) -> Entity {
        let name = subject::split(full_subject).1;
        let qualified = format!("{}:{}:{name}:{version}", self.registry, row.context);
        let origin = Origin::Version { row, version };
        self.entity(EntityType::SubjectVersion, qualified, name, origin)
    }

    pub(super) fn schema(&self, row: Row) -> Entity {
        let qualified = format!("{}:{}:{}", self.registry, row.context, row.id);
        let name = row.id.to_string();
        self.entity(EntityType::Schema, qualified, &name, Origin::Schema(row))
    }

    pub(super) fn within(&self, row: &Row, entity: &SchemaEntity) -> Entity {
        let qualified = format!(
            "{}:{}:{}:{}",
            self.registry,
            row.context,
            row.id,
            entity.path()
        );
        let entity_type = match entity.is_field() {
            false => EntityType::Record,
            true => EntityType::Field,
        };
        let origin = Origin::Within {
            row: row.clone(),
            entity: entity.clone(),
        };
        self.entity(entity_type, qualified, entity.name(), origin)
    }

    pub(super) fn gone(&self, id: &EntityId) -> Entity {
        let name = id.name.rsplit(':').next().unwrap_or_default();
        self.entity(id.entity_type, id.name.clone(), name, Origin::Gone)
    }

    /// Context and rest of the qualified name of something of the registry.
    pub(super) fn in_context<'q>(&self, qualified: &'q str) -> Option<(&'q str, &'q str)> {
        self.below_registry(qualified)?.split_once(':')
    }
}

/// The schema with an id; none where there is none.
pub(super) fn row(state: &State, context: &str, id: i32) -> Option<Row> {
    let entry = state.index(context)?.by_id(id)?;
    let IdEntry { body, versions } = entry;
    let versions = versions
        .iter()
        .filter_map(|(subject, version)| state.version(subject, *version));
    let (created_ms, is_deleted) = versions.fold((i64::MAX, true), |(first, deleted), version| {
        (first.min(version.timestamp_ms), deleted && version.deleted)
    });
    Some(Row {
        context: Arc::from(context),
        id,
        body: Arc::clone(body),
        created_ms,
        is_deleted,
    })
}

/// Every version, by subject and number, as what its entity is made of.
pub(super) fn version_rows(state: &State) -> Vec<(Arc<str>, i32, Row)> {
    let mut rows = Vec::new();
    for (subject, versions) in state.subjects_under(None) {
        let context: Arc<str> = Arc::from(subject::context_of(subject));
        for (number, version) in versions {
            let row = Row {
                context: Arc::clone(&context),
                id: version.id,
                body: Arc::clone(&version.body),
                created_ms: version.timestamp_ms,
                is_deleted: version.deleted,
            };
            rows.push((Arc::clone(subject), *number, row));
        }
    }
    rows
}

/// Every schema, by context and id: one for all versions that have it.
pub(super) fn schema_rows(versions: &[(Arc<str>, i32, Row)]) -> Vec<Row> {
    let mut sorted: Vec<Row> = versions.iter().map(|(_, _, row)| row.clone()).collect();
    sorted.sort_by(|a, b| (&a.context, a.id).cmp(&(&b.context, b.id)));
    let mut rows: Vec<Row> = Vec::with_capacity(sorted.len());
    for row in sorted {
        match rows.last_mut() {
            Some(last) if last.context == row.context && last.id == row.id => {
                last.created_ms = last.created_ms.min(row.created_ms);
                last.is_deleted &= row.is_deleted;
            }
            _ => rows.push(row),
        }
    }
    rows
}

/// How many types and fields are kept; those of further schemas are found anew each time.
const KEPT_MAX: usize = 500_000;

/// The types and fields of schemas, as they were found.
#[derive(Debug, Default)]
pub(super) struct Outlines(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    outlines: HashMap<(Arc<str>, Uuid), Arc<[SchemaEntity]>>,
    /// Types and fields of all together.
    count: usize,
}

impl Outlines {
    /// The types and fields of a schema. One that cannot be parsed, because what it refers to is gone, has none.
    pub(super) fn of(&self, registry: &Registry, row: &Row) -> Arc<[SchemaEntity]> {
        let key = (Arc::clone(&row.context), row.body.guid);
        if let Some(found) = self.kept().outlines.get(&key) {
            return Arc::clone(found);
        }
        let body = &row.body;
        // Not from the cache of parsed schemas: a search would drive out of it what is in use.
        let parsed = registry.parse(
            &row.context,
            body.schema_type,
            &body.text,
            &body.references,
            ParseOptions::default(),
        );
        let found: Arc<[SchemaEntity]> = match parsed {
            Ok(schema) => schema::entity::entities(&schema, body.metadata.as_deref()).into(),
            Err(error) => {
                tracing::debug!(id = row.id, %error, "a schema is in the catalog without its fields");
                return Arc::new([]);
            }
        };
        let mut kept = self.kept();
        let count = kept.count.saturating_add(found.len());
        if count <= KEPT_MAX && kept.outlines.insert(key, Arc::clone(&found)).is_none() {
            kept.count = count;
        }
        found
    }

    /// Forgets the schemas that are not among `rows`, if there is no room for more.
    pub(super) fn prune(&self, rows: &[Row]) {
        let mut kept = self.kept();
        if kept.count < KEPT_MAX / 2 {
            return;
        }
        let there: std::collections::HashSet<(&str, Uuid)> = rows
            .iter()
            .map(|row| (&*row.context, row.body.guid))
            .collect();
        kept.outlines
            .retain(|(context, guid), _| there.contains(&(&**context, *guid)));
        kept.count = kept.outlines.values().map(|found| found.len()).sum();
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
