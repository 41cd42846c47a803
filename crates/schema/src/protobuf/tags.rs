//! Tags in the schema itself: `(confluent.field_meta).tags` of a field, `(confluent.message_meta).tags` of a message.
//!
//! A path is the names of the messages and the field with dots between, without the package: `Order.Item.price`,
//! `Order` for a message (`SchemaEntity.entityPath`); a dot before it and the package are let through.

use std::collections::BTreeSet;

use super::FORMAT;
use super::ast::{
    Enum, Field, File, Import, ImportKind, Message, NamePart, OptionDecl, Place, Type, Value,
};
use super::names::join;
use super::print::options::{gathered, merge};
use crate::entity::{ENTITIES_MAX, SchemaEntity};
use crate::error::SchemaError;
use crate::format::FieldTags;

const MESSAGE_META: &str = "confluent.message_meta";
const FIELD_META: &str = "confluent.field_meta";
const ENUM_META: &str = "confluent.enum_meta";
const ENUM_VALUE_META: &str = "confluent.enum_value_meta";
/// The file that declares them.
const META_FILE: &str = "confluent/meta.proto";

/// The tags of everything that has some.
pub(crate) fn inline(file: &File) -> FieldTags {
    let mut found = FieldTags::new();
    types(&file.types, "", &mut found);
    found
}

/// The messages and their fields, with their tags.
pub(crate) fn entities(file: &File) -> Vec<SchemaEntity> {
    let mut found = Vec::new();
    let mut open: Vec<(String, &Type)> = file
        .types
        .iter()
        .rev()
        .map(|each| (String::new(), each))
        .collect();
    while let Some((scope, each)) = open.pop() {
        let Type::Message(message) = each else {
            continue;
        };
        if found.len() >= ENTITIES_MAX {
            break;
        }
        if message.is_map_entry() {
            continue;
        }
        let path = join(&scope, &message.name);
        let own = tags(&message.options, MESSAGE_META);
        found.push(SchemaEntity::record(&path, &message.name, own));
        let fields = message.all_fields();
        found
            .extend(fields.map(|field| SchemaEntity::field(&path, &field.name, field_tags(field))));
        let inner = message.types.iter().rev();
        open.extend(inner.map(|inner| (path.clone(), inner)));
    }
    found.truncate(ENTITIES_MAX);
    found
}

/// The paths of the messages and enums that have tags.
pub(crate) fn tagged_types(file: &File) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<(String, &Type)> = file
        .types
        .iter()
        .map(|each| (String::new(), each))
        .collect();
    while let Some((scope, each)) = open.pop() {
        let (name, options, meta) = match each {
            Type::Message(message) => (&message.name, &message.options, MESSAGE_META),
            Type::Enum(each) => (&each.name, &each.options, ENUM_META),
        };
        let path = join(&scope, name);
        if let Type::Message(message) = each {
            open.extend(message.types.iter().map(|inner| (path.clone(), inner)));
        }
        if !tags(options, meta).is_empty() {
            found.insert(path);
        }
    }
    found
}

fn types(all: &[Type], scope: &str, found: &mut FieldTags) {
    for each in all {
        match each {
            Type::Message(message) => message_tags(message, scope, found),
            Type::Enum(each) => enum_tags(each, scope, found),
        }
    }
}

fn message_tags(message: &Message, scope: &str, found: &mut FieldTags) {
    let path = join(scope, &message.name);
    put(found, &path, tags(&message.options, MESSAGE_META));
    for field in message.all_fields() {
        put(
            found,
            &join(&path, &field.name),
            tags(&field.options, FIELD_META),
        );
    }
    types(&message.types, &path, found);
}

fn enum_tags(each: &Enum, scope: &str, found: &mut FieldTags) {
    let path = join(scope, &each.name);
    put(found, &path, tags(&each.options, ENUM_META));
    for constant in &each.constants {
        let of_constant = tags(&constant.options, ENUM_VALUE_META);
        put(found, &join(&path, &constant.name), of_constant);
    }
}

fn put(found: &mut FieldTags, path: &str, tags: BTreeSet<String>) {
    if !tags.is_empty() {
        found.entry(path.to_owned()).or_default().extend(tags);
    }
}

/// The tags of a field.
pub(crate) fn field_tags(field: &Field) -> BTreeSet<String> {
    tags(&field.options, FIELD_META)
}

fn tags(options: &[OptionDecl], meta: &str) -> BTreeSet<String> {
    let Some(Value::Map(entries)) = meta_of(options, meta) else {
        return BTreeSet::new();
    };
    let set = gathered(&entries)
        .into_iter()
        .find(|(key, _)| key == "tags");
    set.map(|(_, value)| strings(&value).into_iter().collect())
        .unwrap_or_default()
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::Str(bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
        Value::List(values) => values.iter().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

fn is_meta(option: &OptionDecl, meta: &str) -> bool {
    option
        .extension()
        .is_some_and(|name| name.trim_start_matches('.') == meta)
}

/// All settings of one meta option as one aggregate.
fn meta_of(options: &[OptionDecl], meta: &str) -> Option<Value> {
    options
        .iter()
        .filter(|option| is_meta(option, meta))
        .map(aggregate)
        .reduce(merge)
}

fn aggregate(option: &OptionDecl) -> Value {
    let parts = option.name.iter().skip(1).rev();
    parts.fold(option.value.clone(), |value, part| {
        Value::Map(vec![(part.name.clone(), value)])
    })
}

/// Adds and removes tags; a schema that had none gets the import of Confluent's file.
pub(crate) fn change(
    file: &mut File,
    add: &FieldTags,
    remove: &FieldTags,
) -> Result<(), SchemaError> {
    let none = BTreeSet::new();
    let paths: BTreeSet<&String> = add.keys().chain(remove.keys()).collect();
    let package = file.package().to_owned();
    for path in paths {
        let (options, meta) =
            entity(file, &package, path).ok_or_else(|| SchemaError::Invalid {
                format: FORMAT,
                path: path.clone(),
                rule: "there is no such message or field: write Message.field, nested messages with dots between"
                    .to_owned(),
            })?;
        let (add, remove) = (
            add.get(path).unwrap_or(&none),
            remove.get(path).unwrap_or(&none),
        );
        set_tags(options, meta, add, remove);
    }
    let has_meta = inline(file).values().any(|tags| !tags.is_empty());
    if has_meta && !file.imports.iter().any(|import| import.path == META_FILE) {
        file.imports.push(Import {
            kind: ImportKind::Plain,
            path: META_FILE.to_owned(),
            at: Place::default(),
        });
    }
    Ok(())
}

fn entity<'f>(
    file: &'f mut File,
    package: &str,
    path: &str,
) -> Option<(&'f mut Vec<OptionDecl>, &'static str)> {
    let path = path.strip_prefix('.').unwrap_or(path);
    let first = path.split('.').next()?;
    let local = if file.types.iter().any(|each| each.name() == first) {
        path
    } else {
        path.strip_prefix(package)?.strip_prefix('.')?
    };
    let mut parts = local.split('.');
    let first = parts.next()?;
    let mut message = message_mut(&mut file.types, first)?;
    let parts: Vec<&str> = parts.collect();
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        if last && message.all_fields().any(|field| field.name == *part) {
            let of_oneofs = message
                .oneofs
                .iter_mut()
                .flat_map(|oneof| oneof.fields.iter_mut());
            let mut fields = message.fields.iter_mut().chain(of_oneofs);
            let field = fields.find(|field| field.name == *part)?;
            return Some((&mut field.options, FIELD_META));
        }
        message = message_mut(&mut message.types, part)?;
    }
    Some((&mut message.options, MESSAGE_META))
}

fn message_mut<'f>(types: &'f mut [Type], name: &str) -> Option<&'f mut Message> {
    types.iter_mut().find_map(|each| match each {
        Type::Message(message) if message.name == name => Some(message),
        _ => None,
    })
}

fn set_tags(
    options: &mut Vec<OptionDecl>,
    meta: &str,
    add: &BTreeSet<String>,
    remove: &BTreeSet<String>,
) {
    let mut entries = match meta_of(options, meta) {
        Some(Value::Map(entries)) => gathered(&entries),
        _ => Vec::new(),
    };
    let mut tags: Vec<String> = Vec::new();
    if let Some(place) = entries.iter().position(|(key, _)| key == "tags") {
        tags = strings(&entries.remove(place).1);
    }
    for tag in add {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    tags.retain(|tag| !remove.contains(tag));
    if !tags.is_empty() {
        let values = tags.into_iter().map(|tag| Value::Str(tag.into_bytes()));
        entries.push(("tags".to_owned(), Value::List(values.collect())));
    }
    let place = options.iter().position(|option| is_meta(option, meta));
    options.retain(|option| !is_meta(option, meta));
    if entries.is_empty() {
        return;
    }
    let place = place.unwrap_or(options.len()).min(options.len());
    options.insert(
        place,
        OptionDecl {
            name: vec![NamePart {
                name: meta.to_owned(),
                extension: true,
            }],
            value: Value::Map(entries),
            at: Place::default(),
        },
    );
}
