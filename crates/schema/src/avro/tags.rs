//! Tags within a schema: `confluent:tags` of records and fields.
//!
//! An entity is named by path: a record by its full name (`sr_record`), a field by that, a dot and its name
//! (`sr_field`), as `SchemaEntity` of Confluent's API. A path without a namespace means the first record of that name.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::model::{FORMAT, Kind, Model, TAGS, TypeId, tags};
use crate::entity::{ENTITIES_MAX, SchemaEntity};
use crate::error::SchemaError;
use crate::format::FieldTags;

/// All tags, those of types in references too.
pub(crate) fn inline(model: &Model) -> FieldTags {
    let mut found = FieldTags::new();
    for id in records(model, &HashSet::new()) {
        let Kind::Record(record) = &model.get(id).kind else {
            continue;
        };
        let full = record.named.name.full();
        let own = model.get(id).tags();
        for field in &record.fields {
            let tags = tags(&field.props);
            if !tags.is_empty() {
                found.insert(format!("{full}.{}", field.name), tags);
            }
        }
        if !own.is_empty() {
            found.insert(full, own);
        }
    }
    found
}

/// The records and their fields but for those that `known` names, with their tags.
pub(crate) fn entities(model: &Model, known: &HashSet<String>) -> Vec<SchemaEntity> {
    let mut found = Vec::new();
    for id in records(model, known) {
        let Kind::Record(record) = &model.get(id).kind else {
            continue;
        };
        let full = record.named.name.full();
        let own = model.get(id).tags();
        found.push(SchemaEntity::record(&full, &record.named.name.short, own));
        let fields = record.fields.iter();
        found.extend(
            fields.map(|field| SchemaEntity::field(&full, &field.name, tags(&field.props))),
        );
        if found.len() >= ENTITIES_MAX {
            found.truncate(ENTITIES_MAX);
            break;
        }
    }
    found
}

/// The full names of the records that have tags.
pub(crate) fn types(model: &Model) -> BTreeSet<String> {
    let tagged = records(model, &HashSet::new())
        .into_iter()
        .filter(|id| !model.get(*id).tags().is_empty());
    tagged
        .filter_map(|id| model.get(id).named().map(|named| named.name.full()))
        .collect()
}

/// The model with tags added and removed. What `known` names is not this schema's to change.
pub(crate) fn changed(
    model: &Model,
    known: &HashSet<String>,
    add: &FieldTags,
    remove: &FieldTags,
) -> Result<Model, SchemaError> {
    let own = records(model, known);
    let mut changed = model.clone();
    let none = BTreeSet::new();
    let paths: BTreeSet<&String> = add.keys().chain(remove.keys()).collect();
    for path in paths {
        let (id, field) = entity(model, &own, path).ok_or_else(|| SchemaError::Invalid {
            format: FORMAT,
            path: path.clone(),
            rule: format!(
                "No matching path '{path}' found in the schema; a path is the full name of a record, or that, a dot and a field"
            ),
        })?;
        let Some(found) = changed.types.get_mut(id.0 as usize) else {
            continue;
        };
        let props = match (&mut found.kind, field) {
            (Kind::Record(record), Some(at)) => match record.fields.get_mut(at) {
                Some(field) => &mut field.props,
                None => continue,
            },
            _ => &mut found.props,
        };
        let add = add.get(path).unwrap_or(&none);
        let remove = remove.get(path).unwrap_or(&none);
        let mut list = props
            .get(TAGS)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        for tag in add {
            if !list.iter().any(|known| known.as_str() == Some(tag)) {
                list.push(Value::String(tag.clone()));
            }
        }
        list.retain(|tag| !tag.as_str().is_some_and(|tag| remove.contains(tag)));
        if list.is_empty() {
            props.shift_remove(TAGS);
        } else {
            props.insert(TAGS.to_owned(), Value::Array(list));
        }
    }
    Ok(changed)
}

/// The record that `path` names, and the place of the field in it if it names one.
fn entity(model: &Model, own: &[TypeId], path: &str) -> Option<(TypeId, Option<usize>)> {
    let find = |path: &str| {
        own.iter().copied().find(|id| {
            model.get(*id).named().is_some_and(|named| {
                named.name.full() == path || (!path.contains('.') && named.name.short == path)
            })
        })
    };
    if let Some(id) = find(path) {
        return Some((id, None));
    }
    let (record, field) = path.rsplit_once('.')?;
    let id = find(record)?;
    match &model.get(id).kind {
        Kind::Record(found) => found.index.get(field).map(|at| (id, Some(*at))),
        _ => None,
    }
}

/// Every record, in the order of the text; those that `known` names and what only they use are left out.
fn records(model: &Model, known: &HashSet<String>) -> Vec<TypeId> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut stack = vec![model.root];
    while let Some(id) = stack.pop() {
        if let Some(named) = model.get(id).named()
            && (!seen.insert(id) || known.contains(&named.name.full()))
        {
            continue;
        }
        if matches!(model.get(id).kind, Kind::Record(_)) {
            found.push(id);
        }
        stack.extend(model.children(id).into_iter().rev());
    }
    found
}
