//! The places of a JSON Schema: its properties, by the way that leads to them in the data, and its definitions.

use serde_json::{Map, Value as Json};

use super::{Places, Traits, join, or_root};

/// Keywords under which schemas have names.
const NAMED: [&str; 2] = ["$defs", "definitions"];
/// Keywords that hold one schema for members or items without a name of their own.
const MEMBERS: [(&str, &str); 4] = [
    ("additionalProperties", "{}"),
    ("unevaluatedProperties", "{}"),
    ("items", "[]"),
    ("additionalItems", "[]"),
];
/// Keywords that hold a list of schemas.
const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];

pub(super) fn outline(schema: &Json, places: &mut Places) {
    place(schema, "", false, places);
}

fn place(schema: &Json, path: &str, required: bool, places: &mut Places) {
    let mut traits = Traits::new();
    if required {
        traits.insert("required".to_owned(), "true".to_owned());
    }
    let Json::Object(object) = schema else {
        // `true` and `false` are schemas.
        traits.insert("type".to_owned(), schema.to_string());
        places.add(or_root(path), traits);
        return;
    };
    keywords(object, &mut traits);
    places.add(or_root(path), traits);
    let demanded: Vec<&str> = object
        .get("required")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    for (name, inner) in members(object, "properties") {
        let is_required = demanded.contains(&name.as_str());
        place(inner, &join(path, name), is_required, places);
    }
    for (name, inner) in members(object, "patternProperties") {
        place(inner, &join(path, &format!("/{name}/")), false, places);
    }
    for (keyword, suffix) in MEMBERS {
        match object.get(keyword) {
            Some(Json::Array(list)) => numbered(list, path, "items", places),
            Some(inner @ Json::Object(_)) => {
                place(inner, &format!("{path}{suffix}"), false, places);
            }
            _ => {}
        }
    }
    for keyword in LISTS {
        if let Some(Json::Array(list)) = object.get(keyword) {
            numbered(list, path, keyword, places);
        }
    }
    for keyword in NAMED {
        for (name, inner) in members(object, keyword) {
            let path = join(path, &format!("{keyword}.{name}"));
            place(inner, &path, false, places);
        }
    }
}

fn numbered(list: &[Json], path: &str, keyword: &str, places: &mut Places) {
    for (index, inner) in list.iter().enumerate() {
        place(inner, &format!("{path}({keyword} {index})"), false, places);
    }
}

fn members<'s>(
    object: &'s Map<String, Json>,
    keyword: &str,
) -> impl Iterator<Item = (&'s String, &'s Json)> {
    object
        .get(keyword)
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
}

/// The keywords that are not places themselves.
fn keywords(object: &Map<String, Json>, traits: &mut Traits) {
    for (name, value) in object {
        let is_place = NAMED.contains(&name.as_str())
            || LISTS.contains(&name.as_str())
            || matches!(
                name.as_str(),
                "properties" | "patternProperties" | "required"
            )
            || (MEMBERS.iter().any(|(keyword, _)| keyword == name) && !value.is_boolean());
        if is_place {
            continue;
        }
        let shown = match name.as_str() {
            "confluent:tags" => "tags",
            other => other,
        };
        let text = match value {
            Json::String(text) => text.clone(),
            Json::Array(list) => list
                .iter()
                .map(|item| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), str::to_owned)
                })
                .collect::<Vec<_>>()
                .join(if name == "type" { " | " } else { ", " }),
            other => other.to_string(),
        };
        traits.insert(shown.to_owned(), text);
    }
}
