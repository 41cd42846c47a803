//! The places of an Avro schema: its fields, by the way that leads to them.

use serde_json::{Map, Value as Json};

use super::{Places, Traits, join, or_root};

/// `schema` is it in the format `resolved`: each named type is written out where it is first used.
pub(super) fn outline(schema: &Json, places: &mut Places) {
    let mut traits = Traits::from([("type".to_owned(), type_name(schema))]);
    if let Json::Object(object) = schema {
        annotations(object, &mut traits);
    }
    places.add("/", traits);
    inner(schema, "", places);
}

/// The fields within a type.
fn inner(schema: &Json, path: &str, places: &mut Places) {
    match schema {
        Json::Array(branches) => {
            for branch in branches {
                inner(branch, path, places);
            }
        }
        Json::Object(object) => match object.get("type") {
            Some(Json::String(name)) => match name.as_str() {
                "record" | "error" => fields(object, path, places),
                "array" => within(object.get("items"), &format!("{path}[]"), places),
                "map" => within(object.get("values"), &format!("{path}{{}}"), places),
                _ => {}
            },
            Some(nested) => inner(nested, path, places),
            None => {}
        },
        _ => {}
    }
}

fn within(schema: Option<&Json>, path: &str, places: &mut Places) {
    if let Some(schema) = schema {
        inner(schema, path, places);
    }
}

fn fields(record: &Map<String, Json>, path: &str, places: &mut Places) {
    let fields = record.get("fields").and_then(Json::as_array);
    for field in fields.into_iter().flatten().filter_map(Json::as_object) {
        let name = text(field.get("name"));
        let path = join(path, &name);
        let kind = field.get("type").unwrap_or(&Json::Null);
        let mut traits = Traits::from([("type".to_owned(), type_name(kind))]);
        if let Some(default) = field.get("default") {
            traits.insert("default".to_owned(), default.to_string());
        }
        if let Json::Object(inner) = kind {
            annotations(inner, &mut traits);
        }
        annotations(field, &mut traits);
        places.add(or_root(&path), traits);
        inner(kind, &path, places);
    }
}

/// What is said of a type or a field beside its type: doc, aliases, tags and whatever else is there.
fn annotations(object: &Map<String, Json>, traits: &mut Traits) {
    for (name, value) in object {
        let shown = match name.as_str() {
            "type" | "name" | "namespace" | "fields" | "items" | "values" | "symbols" | "size"
            | "logicalType" | "precision" | "scale" | "default" => continue,
            "confluent:tags" => "tags",
            other => other,
        };
        let text = match value {
            Json::Array(list) => list
                .iter()
                .map(|item| text(Some(item)))
                .collect::<Vec<_>>()
                .join(", "),
            other => text(Some(other)),
        };
        traits.insert(shown.to_owned(), text);
    }
}

/// A type in one line: `null | string`, `array<record Item>`, `long (timestamp-millis)`, `enum E {A, B}`.
fn type_name(schema: &Json) -> String {
    match schema {
        Json::String(name) => name.clone(),
        Json::Array(branches) => branches
            .iter()
            .map(type_name)
            .collect::<Vec<_>>()
            .join(" | "),
        Json::Object(object) => named_type(object),
        other => other.to_string(),
    }
}

fn named_type(object: &Map<String, Json>) -> String {
    let kind = match object.get("type") {
        Some(Json::String(kind)) => kind.as_str(),
        Some(nested) => return type_name(nested),
        None => return "?".to_owned(),
    };
    let name = || text(object.get("name"));
    let of = |key: &str| object.get(key).map_or_else(|| "?".to_owned(), type_name);
    let base = match kind {
        "array" => format!("array<{}>", of("items")),
        "map" => format!("map<{}>", of("values")),
        "record" | "error" => format!("{kind} {}", name()),
        "enum" => {
            let symbols = object.get("symbols").and_then(Json::as_array);
            let symbols: Vec<String> = symbols
                .into_iter()
                .flatten()
                .map(|symbol| text(Some(symbol)))
                .collect();
            format!("enum {} {{{}}}", name(), symbols.join(", "))
        }
        "fixed" => format!("fixed {} ({} bytes)", name(), text(object.get("size"))),
        primitive => primitive.to_owned(),
    };
    match object.get("logicalType") {
        Some(logical) => {
            let details: Vec<String> = ["precision", "scale"]
                .into_iter()
                .filter_map(|key| object.get(key).map(Json::to_string))
                .collect();
            let details = match details.as_slice() {
                [] => String::new(),
                some => format!(" {}", some.join(", ")),
            };
            format!("{base} ({}{details})", text(Some(logical)))
        }
        None => base,
    }
}

fn text(value: Option<&Json>) -> String {
    match value {
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
