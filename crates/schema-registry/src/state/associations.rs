//! Associations: which subjects a resource, such as a topic, uses for what (`AssociationKey`, `AssociationValue`).
//!
//! A *resource* has an id, a name, a name space and a type. An *association* says that the resource uses a subject for its
//! `key` or its `value`. A *strong* one is the subject's only one, and can take the subject with it when it goes; any
//! number of *weak* ones may share a subject. A *frozen* one is strong and stays as it was made.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Stands for every name space in a look-up by name (`RESOURCE_WILDCARD`).
pub const ANY_NAMESPACE: &str = "-";

/// How closely a subject is bound to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Lifecycle {
    /// The subject is this resource's alone.
    Strong,
    /// Others may use it too.
    Weak,
}

impl Lifecycle {
    /// The lifecycle of that name; none if there is none.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "STRONG" => Some(Self::Strong),
            "WEAK" => Some(Self::Weak),
            _ => None,
        }
    }
}

/// What an association is known by. The order is that of lists.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssociationKey {
    /// Of the resource.
    pub resource_name: String,
    /// Of the resource.
    pub resource_namespace: String,
    /// Of the resource: `topic`.
    pub resource_type: String,
    /// `key` or `value`.
    pub association_type: String,
    /// In normal form.
    pub subject: String,
}

/// The value of an `ASSOC` record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssociationValue {
    /// As in the key.
    pub subject: String,
    /// Made up when the association was.
    pub guid: String,
    /// As in the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// As in the key.
    pub resource_name: String,
    /// As in the key.
    pub resource_namespace: String,
    /// Of the resource.
    pub resource_id: String,
    /// As in the key.
    pub resource_type: String,
    /// As in the key.
    pub association_type: String,
    /// How closely.
    pub lifecycle: Lifecycle,
    /// Whether it may not be changed.
    #[serde(default)]
    pub frozen: bool,
    /// When it was made, in milliseconds since 1970; where absent, when its record was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_ts: Option<i64>,
}

impl AssociationValue {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> AssociationKey {
        AssociationKey {
            resource_name: self.resource_name.clone(),
            resource_namespace: self.resource_namespace.clone(),
            resource_type: self.resource_type.clone(),
            association_type: self.association_type.clone(),
            subject: self.subject.clone(),
        }
    }
}

/// An association, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// What its record says.
    pub value: AssociationValue,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it was changed last.
    pub updated_ms: i64,
}

/// Which associations of a list are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssociationFilter {
    /// Of resources of this type.
    pub resource_type: Option<String>,
    /// Of these types; none: of all.
    pub association_types: Vec<String>,
    /// With this lifecycle.
    pub lifecycle: Option<Lifecycle>,
}

impl AssociationFilter {
    fn wants(&self, value: &AssociationValue) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        is(&self.resource_type, &value.resource_type)
            && (self.association_types.is_empty()
                || self.association_types.contains(&value.association_type))
            && self
                .lifecycle
                .is_none_or(|wanted| wanted == value.lifecycle)
    }
}

/// All associations.
#[derive(Debug, Default)]
pub struct Associations {
    all: BTreeMap<AssociationKey, Arc<Association>>,
    by_id: HashMap<String, BTreeSet<AssociationKey>>,
    by_subject: HashMap<String, BTreeSet<AssociationKey>>,
}

impl Associations {
    pub(super) fn put(&mut self, key: AssociationKey, value: AssociationValue, timestamp_ms: i64) {
        self.remove(&key);
        let id = value.resource_id.clone();
        self.by_id.entry(id).or_default().insert(key.clone());
        let of_subject = self.by_subject.entry(key.subject.clone()).or_default();
        of_subject.insert(key.clone());
        let association = Association {
            created_ms: value.create_ts.unwrap_or(timestamp_ms),
            updated_ms: timestamp_ms,
            value,
        };
        self.all.insert(key, Arc::new(association));
    }

    pub(super) fn remove(&mut self, key: &AssociationKey) {
        let Some(removed) = self.all.remove(key) else {
            return;
        };
        take(&mut self.by_id, &removed.value.resource_id, key);
        take(&mut self.by_subject, &key.subject, key);
    }

    fn listed<'a>(
        &'a self,
        keys: impl Iterator<Item = &'a AssociationKey>,
        filter: &AssociationFilter,
    ) -> Vec<Arc<Association>> {
        keys.filter_map(|key| self.all.get(key))
            .filter(|association| filter.wants(&association.value))
            .map(Arc::clone)
            .collect()
    }

    /// Those of a subject, which is in normal form.
    #[must_use]
    pub fn of_subject(&self, subject: &str, filter: &AssociationFilter) -> Vec<Arc<Association>> {
        self.listed(self.by_subject.get(subject).into_iter().flatten(), filter)
    }

    /// Those of the resource with this id.
    #[must_use]
    pub fn of_resource(&self, id: &str, filter: &AssociationFilter) -> Vec<Arc<Association>> {
        self.listed(self.by_id.get(id).into_iter().flatten(), filter)
    }

    /// Those of resources of this name in a name space, or in all for [`ANY_NAMESPACE`].
    #[must_use]
    pub fn of_name(
        &self,
        namespace: &str,
        name: &str,
        filter: &AssociationFilter,
    ) -> Vec<Arc<Association>> {
        let first = AssociationKey {
            resource_name: name.to_owned(),
            resource_namespace: String::new(),
            resource_type: String::new(),
            association_type: String::new(),
            subject: String::new(),
        };
        let keys = self
            .all
            .range(first..)
            .map(|(key, _)| key)
            .take_while(|key| key.resource_name == name)
            .filter(|key| namespace == ANY_NAMESPACE || key.resource_namespace == namespace);
        self.listed(keys, filter)
    }
}

fn take(index: &mut HashMap<String, BTreeSet<AssociationKey>>, under: &str, key: &AssociationKey) {
    if let Some(keys) = index.get_mut(under) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(under);
        }
    }
}
