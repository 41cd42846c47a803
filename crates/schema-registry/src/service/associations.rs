//! Associations of resources with subjects (`KafkaSchemaRegistry.createOrUpdateAssociation`, `deleteAssociations`).
//!
//! A request brings several associations of one resource, each perhaps with a schema. All of it is looked at before
//! anything is written; then the schemas are registered, each as any other; then the associations are written as one
//! batch, after another look, since others may have written between.
//!
//! Differs: a name of a resource may have dots, as topics' names have.

use std::sync::Arc;

use uuid::Uuid;

use super::compatibility::Against;
use super::register::RegisterOptions;
use super::{Found, NewSchema, Planned, Registry, read_only};
use crate::error::RegistryError;
use crate::state::associations::{AssociationValue, Lifecycle};
use crate::state::records::TENANT;
use crate::state::{Association, AssociationFilter, Key, Lookup, Mode, Record, Value};
use crate::subject;

/// The only type of resources there is.
pub const TOPIC: &str = "topic";

/// `key` or `value`, the latter where nothing is said.
const ASSOCIATION_TYPES: [&str; 2] = ["key", "value"];

/// `RestValidation.NAME_MAX_LENGTH`.
const NAME_CHARS_MAX: usize = 256;

/// The most associations of one resource that a request brings; there are two types.
const ASSOCIATIONS_MAX: usize = 16;

/// A resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the state's records")]
pub struct Resource {
    pub name: String,
    pub namespace: String,
    pub id: String,
    pub resource_type: String,
}

/// What a request says of one association; what it does not say comes from what there is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// None: named after the resource, in a context named after its name space.
    pub subject: Option<String>,
    /// `key` or `value`.
    pub association_type: Option<String>,
    /// How closely.
    pub lifecycle: Option<Lifecycle>,
    /// Whether it is to stay as it is made.
    pub frozen: Option<bool>,
    /// To be registered first.
    pub schema: Option<(NewSchema, RegisterOptions)>,
}

/// What to do with associations of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Of what.
    pub resource: Resource,
    /// What is to be.
    pub associations: Vec<Wanted>,
    /// Where subjects are that name no context.
    pub context: String,
    /// Whether what is there already is in the way.
    pub create_only: bool,
    /// Look, but write nothing.
    pub dry_run: bool,
}

/// An association that was made or changed, with the schema that was registered for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// What it is now.
    pub value: AssociationValue,
    /// What was registered.
    pub schema: Option<Found>,
}

/// One association, with everything filled in.
#[derive(Debug, Clone)]
struct Item {
    subject: String,
    association_type: String,
    lifecycle: Option<Lifecycle>,
    frozen: Option<bool>,
    schema: Option<(NewSchema, RegisterOptions)>,
}

/// Which associations a deletion takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removal {
    /// Of the resource with this id.
    pub resource_id: String,
    /// Of resources of this type.
    pub resource_type: String,
    /// Of these types; none: all.
    pub association_types: Vec<String>,
    /// Whether the subjects of strong ones go too.
    pub cascade: bool,
    /// Look, but write nothing.
    pub dry_run: bool,
}

fn invalid(property: &str, reason: impl Into<String>) -> RegistryError {
    RegistryError::InvalidAssociation {
        property: property.to_owned(),
        reason: reason.into(),
    }
}

fn check_name(property: &str, name: &str) -> Result<(), RegistryError> {
    if name.is_empty() {
        return Err(invalid(property, "cannot be null or empty"));
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(invalid(
            property,
            format!("exceeds max length of {NAME_CHARS_MAX}"),
        ));
    }
    match name
        .chars()
        .find(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
    {
        Some(bad) => Err(invalid(property, format!("illegal character '{bad}'"))),
        None => Ok(()),
    }
}

/// The type of an association, checked.
///
/// # Errors
/// 42212 for one that is neither.
pub fn association_type(asked: Option<&str>) -> Result<String, RegistryError> {
    let asked = asked.filter(|name| !name.is_empty()).unwrap_or("value");
    if ASSOCIATION_TYPES.contains(&asked) {
        return Ok(asked.to_owned());
    }
    Err(invalid(
        "associationType",
        "must be either 'key' or 'value'",
    ))
}

impl Order {
    /// Checks what needs no state, and fills in what the request leaves out
    /// (`AssociationCreateOrUpdateRequest.validate`).
    ///
    /// # Errors
    /// 42212 with the property and what is wrong with it.
    pub fn validate(&mut self) -> Result<(), RegistryError> {
        let resource = &mut self.resource;
        check_name("resourceName", &resource.name)?;
        check_name("resourceNamespace", &resource.namespace)?;
        if !self.dry_run && resource.id.is_empty() {
            return Err(invalid("resourceId", "cannot be null or empty"));
        }
        if resource.resource_type.is_empty() {
            TOPIC.clone_into(&mut resource.resource_type);
        }
        if resource.resource_type != TOPIC {
            return Err(invalid("resourceType", format!("must be '{TOPIC}'")));
        }
        if self.associations.is_empty() {
            return Err(invalid("associations", "cannot be null or empty"));
        }
        if self.associations.len() > ASSOCIATIONS_MAX {
            return Err(invalid("associations", "are too many"));
        }
        let mut frozen = None;
        for wanted in &mut self.associations {
            let kind = association_type(wanted.association_type.as_deref())?;
            wanted.association_type = Some(kind);
            if let Some(subject) = &wanted.subject
                && !subject::is_valid(subject)
            {
                return Err(invalid("subject", "must not be empty"));
            }
            if self.create_only && wanted.lifecycle.is_none() {
                wanted.lifecycle = Some(Lifecycle::Weak);
            }
            if wanted.lifecycle == Some(Lifecycle::Weak) && wanted.frozen == Some(true) {
                return Err(weak_and_frozen());
            }
            match (frozen, wanted.frozen) {
                (Some(before), Some(now)) if before != now => return Err(mixed()),
                (None, now) => frozen = now,
                _ => {}
            }
        }
        Ok(())
    }
}

fn weak_and_frozen() -> RegistryError {
    invalid(
        "frozen",
        "association with lifecycle of WEAK cannot be frozen",
    )
}

fn mixed() -> RegistryError {
    invalid(
        "frozen",
        "all associations for a resource must be consistently frozen or non-frozen",
    )
}

impl Registry {
    /// Makes or changes associations of a resource.
    ///
    /// # Errors
    /// 42212 for what cannot be, 40903 to 40908 for what others or earlier ones are in the way of, those of a
    /// registration, those of [`Registry::change`].
    pub async fn associate(self: &Arc<Self>, mut order: Order) -> Result<Vec<Made>, RegistryError> {
        order.validate()?;
        let order = Arc::new(order);
        let asked = Arc::clone(&order);
        let items = self
            .change("Create association", move |registry| {
                let items = registry.look_at(&asked)?;
                Ok(Planned::nothing(items))
            })
            .await?;
        if order.dry_run {
            return Ok(Vec::new());
        }
        let mut registered = Vec::new();
        for item in &items {
            let importing = self.mode_in_scope(Some(&item.subject)) == Mode::Import;
            if let Some((new, options)) = item.schema.clone().filter(|_| !importing) {
                let found = self.register(item.subject.clone(), new, options).await?;
                registered.push((item.association_type.clone(), found));
            }
        }
        let made = self
            .change("Create association", move |registry| {
                registry.plan_associations(&order, &items)
            })
            .await?;
        let schema_of = |kind: &str| {
            let found = registered.iter().find(|(of, _)| of == kind);
            found.map(|(_, found)| found.clone())
        };
        let made = made.into_iter().map(|value| Made {
            schema: schema_of(&value.association_type),
            value,
        });
        Ok(made.collect())
    }

    /// The associations that are wanted, each seen to be possible, with what can be told of its schema beforehand.
    fn look_at(&self, order: &Order) -> Result<Vec<Item>, RegistryError> {
        let mut items: Vec<Item> = Vec::with_capacity(order.associations.len());
        for wanted in &order.associations {
            let item = self.item(order, wanted)?;
            if items
                .iter()
                .any(|other| other.association_type == item.association_type)
            {
                return Err(invalid(
                    "associationType",
                    format!("Duplicate association type: {}", item.association_type),
                ));
            }
            items.push(item);
        }
        for item in &items {
            let found = self.association_of(&order.resource, &item.association_type);
            if found.is_none() && item.frozen == Some(true) {
                if item.schema.is_none() {
                    return Err(invalid(
                        "schema",
                        "schema must be provided when creating a frozen association",
                    ));
                }
                if self.state().has_subject(&item.subject, Lookup::Live) {
                    return Err(invalid(
                        "frozen",
                        "cannot create a frozen association when schemas already exist in the subject",
                    ));
                }
            }
            self.check_item(order, item, found.as_deref())?;
            self.check_schema(item)?;
        }
        Ok(items)
    }

    /// What is wanted, its subject by its own name and in its context.
    fn item(&self, order: &Order, wanted: &Wanted) -> Result<Item, RegistryError> {
        let kind = wanted.association_type.clone().unwrap_or_default();
        let subject = match &wanted.subject {
            Some(subject) => subject.clone(),
            None => {
                let resource = &order.resource;
                let found = self.association_of(resource, &kind);
                let lifecycle = found.map(|found| found.value.lifecycle);
                let name = format!(":.{}:{}-{kind}", resource.namespace, resource.name);
                if lifecycle.or(wanted.lifecycle) != Some(Lifecycle::Strong) {
                    return Err(invalid(
                        "subject",
                        format!("subject '{name}' is only allowed for strong associations"),
                    ));
                }
                name
            }
        };
        let subject = self.unaliased(subject::in_context_of(&order.context, &subject));
        if self.mode_in_scope(Some(&subject)).is_read_only() {
            return Err(read_only(&subject));
        }
        Ok(Item {
            subject,
            association_type: kind,
            lifecycle: wanted.lifecycle,
            frozen: wanted.frozen,
            schema: wanted.schema.clone(),
        })
    }

    fn association_of(&self, resource: &Resource, kind: &str) -> Option<Arc<Association>> {
        let filter = AssociationFilter {
            resource_type: Some(resource.resource_type.clone()),
            association_types: vec![kind.to_owned()],
            lifecycle: None,
        };
        let state = self.state();
        let found = state.associations().of_resource(&resource.id, &filter);
        found.into_iter().next()
    }

    /// What speaks against an association, as far as it does not go away by registering its schema.
    fn check_item(
        &self,
        order: &Order,
        item: &Item,
        found: Option<&Association>,
    ) -> Result<(), RegistryError> {
        let resource = &order.resource;
        let frozen_before = {
            let state = self.state();
            let filter = AssociationFilter {
                resource_type: Some(resource.resource_type.clone()),
                ..AssociationFilter::default()
            };
            let all = state.associations().of_resource(&resource.id, &filter);
            all.first().map(|one| one.value.frozen)
        };
        if found.is_none()
            && frozen_before.is_some_and(|before| item.frozen.is_some_and(|now| now != before))
        {
            return Err(mixed());
        }
        if let Some(found) = found
            && !is_same(&found.value, item)
        {
            check_change(order, item, &found.value)?;
        }
        if let Some(found) = found
            && order.create_only
            && is_same(&found.value, item)
            && let Some((new, options)) = &item.schema
            && self
                .look_up(&item.subject, new, options.normalize, false)
                .is_err()
        {
            return Err(RegistryError::AssociationForResourceExists {
                association_type: item.association_type.clone(),
                resource: resource.name.clone(),
            });
        }
        self.check_subject(item, found)
    }

    /// Whether the subject is there, and may have one more association.
    fn check_subject(&self, item: &Item, found: Option<&Association>) -> Result<(), RegistryError> {
        let subject = item.subject.clone();
        let state = self.state();
        if item.schema.is_none() && !state.has_subject(&subject, Lookup::Live) {
            return Err(RegistryError::NoActiveSubjectVersion { subject });
        }
        let filter = AssociationFilter::default();
        let mut others = state.associations().of_subject(&subject, &filter);
        if let Some(found) = found {
            others.retain(|other| {
                (&other.value.resource_id, &other.value.association_type)
                    != (&found.value.resource_id, &found.value.association_type)
            });
        }
        let lifecycle = lifecycle_of(item, found);
        if lifecycle == Lifecycle::Strong && !others.is_empty() {
            return Err(RegistryError::AssociationForSubjectExists { subject });
        }
        let is_strong = |other: &Arc<Association>| other.value.lifecycle == Lifecycle::Strong;
        if others.iter().any(is_strong) {
            return Err(RegistryError::StrongAssociationExists { subject });
        }
        Ok(())
    }

    fn check_schema(&self, item: &Item) -> Result<(), RegistryError> {
        let Some((new, options)) = &item.schema else {
            return Ok(());
        };
        if self.mode_in_scope(Some(&item.subject)) == Mode::Import {
            return Ok(());
        }
        let messages =
            self.check_compatibility(&item.subject, new, Against::All, options.normalize)?;
        if messages.is_empty() {
            return Ok(());
        }
        Err(RegistryError::Incompatible {
            subject: item.subject.clone(),
            messages,
            code: self.config().incompatible_error_code,
        })
    }

    fn plan_associations(
        &self,
        order: &Order,
        items: &[Item],
    ) -> Result<Planned<Vec<AssociationValue>>, RegistryError> {
        let mut answer = Vec::with_capacity(items.len());
        let mut records = Vec::with_capacity(items.len());
        for item in items {
            let found = self.association_of(&order.resource, &item.association_type);
            // Its schema is registered by now, but for imports, whose schemas come another way.
            let is_registered = self.state().has_subject(&item.subject, Lookup::Live);
            let item = &Item {
                schema: item.schema.clone().filter(|_| !is_registered),
                ..item.clone()
            };
            self.check_item(order, item, found.as_deref())?;
            let value = match found {
                Some(found) if is_same(&found.value, item) => continue,
                found => value_of(&order.resource, item, found.as_deref()),
            };
            records.push(Record::new(
                Key::Association(Box::new(value.key())),
                Value::Association(Box::new(value.clone())),
            ));
            answer.push(value);
        }
        Ok(Planned { answer, records })
    }

    /// Deletes associations of a resource; with `cascade`, what strong ones are with, too.
    ///
    /// # Errors
    /// 40410 without any, 40908 for a frozen one without `cascade`, 42205 where the mode is against it, those of
    /// [`Registry::delete_subject`], those of [`Registry::change`].
    pub async fn dissociate(self: &Arc<Self>, removal: Removal) -> Result<(), RegistryError> {
        let (cascade, dry_run) = (removal.cascade, removal.dry_run);
        let removed = self
            .change("Delete association", move |registry| {
                registry.plan_dissociate(&removal)
            })
            .await?;
        if dry_run || !cascade {
            return Ok(());
        }
        for value in removed {
            let importing = self.mode_in_scope(Some(&value.subject)) == Mode::Import;
            if value.lifecycle != Lifecycle::Strong || importing {
                continue;
            }
            let subject = value.subject;
            if self.state().has_subject(&subject, Lookup::Live) {
                self.delete_subject(subject.clone(), false).await?;
            }
            if self.state().has_subject(&subject, Lookup::All) {
                self.delete_subject(subject, true).await?;
            }
        }
        Ok(())
    }

    fn plan_dissociate(
        &self,
        removal: &Removal,
    ) -> Result<Planned<Vec<AssociationValue>>, RegistryError> {
        let filter = AssociationFilter {
            resource_type: Some(removal.resource_type.clone()),
            association_types: removal.association_types.clone(),
            lifecycle: None,
        };
        let found = {
            let state = self.state();
            state
                .associations()
                .of_resource(&removal.resource_id, &filter)
        };
        if found.is_empty() {
            return Err(RegistryError::AssociationNotFound {
                resource: removal.resource_id.clone(),
            });
        }
        let mut answer = Vec::with_capacity(found.len());
        let mut records = Vec::with_capacity(found.len());
        for association in found {
            let value = &association.value;
            if self.mode_in_scope(Some(&value.subject)).is_read_only() {
                return Err(read_only(&value.subject));
            }
            if value.frozen && !removal.cascade {
                return Err(frozen(value));
            }
            records.push(Record::tombstone(Key::Association(Box::new(value.key()))));
            answer.push(value.clone());
        }
        if removal.dry_run {
            records.clear();
        }
        Ok(Planned { answer, records })
    }
}

fn frozen(value: &AssociationValue) -> RegistryError {
    RegistryError::AssociationFrozen {
        association_type: value.association_type.clone(),
        subject: value.subject.clone(),
    }
}

/// Whether an association is what is wanted already (`Association.isEquivalent`).
fn is_same(value: &AssociationValue, item: &Item) -> bool {
    value.subject == item.subject
        && value.association_type == item.association_type
        && item
            .lifecycle
            .is_none_or(|wanted| wanted == value.lifecycle)
        && item.frozen.is_none_or(|wanted| wanted == value.frozen)
}

/// Whether an association may become what is wanted.
fn check_change(order: &Order, item: &Item, value: &AssociationValue) -> Result<(), RegistryError> {
    if order.create_only {
        return Err(RegistryError::AssociationForResourceExists {
            association_type: item.association_type.clone(),
            resource: order.resource.name.clone(),
        });
    }
    if value.subject != item.subject {
        return Err(invalid(
            "subject",
            "subject of association cannot be changed",
        ));
    }
    if item.frozen.is_some_and(|wanted| wanted != value.frozen) {
        return Err(invalid(
            "frozen",
            "frozen attribute of association cannot be changed",
        ));
    }
    if value.frozen {
        return Err(frozen(value));
    }
    Ok(())
}

fn lifecycle_of(item: &Item, found: Option<&Association>) -> Lifecycle {
    let before = found.map(|found| found.value.lifecycle);
    item.lifecycle.or(before).unwrap_or(Lifecycle::Weak)
}

fn value_of(resource: &Resource, item: &Item, found: Option<&Association>) -> AssociationValue {
    let lifecycle = lifecycle_of(item, found);
    if let Some(found) = found {
        return AssociationValue {
            lifecycle,
            frozen: item.frozen.unwrap_or(found.value.frozen),
            create_ts: Some(found.created_ms),
            ..found.value.clone()
        };
    }
    AssociationValue {
        subject: item.subject.clone(),
        guid: new_guid().to_string(),
        tenant: Some(TENANT.to_owned()),
        resource_name: resource.name.clone(),
        resource_namespace: resource.namespace.clone(),
        resource_id: resource.id.clone(),
        resource_type: resource.resource_type.clone(),
        association_type: item.association_type.clone(),
        lifecycle,
        frozen: item.frozen == Some(true),
        create_ts: None,
    }
}

/// A version 4 UUID.
fn new_guid() -> Uuid {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid()
}
