//! A proposal as JSON Schema, draft 7, which all of Confluent's clients read.

use serde_json::{Map, Value as Json, json};

use super::guess::{Guess, Slot};
use crate::json_text::to_text;

/// The text of the schema.
pub(crate) fn text(root: &Slot, name: &str) -> String {
    let mut schema = Map::new();
    schema.insert(
        "$schema".to_owned(),
        json!("http://json-schema.org/draft-07/schema#"),
    );
    schema.insert("title".to_owned(), json!(name));
    if let Json::Object(inner) = slot(root) {
        schema.extend(inner);
    }
    to_text(&Json::Object(schema))
}

fn slot(slot: &Slot) -> Json {
    let mut kinds = match &slot.guess {
        Guess::Any(kinds) => kinds.iter().map(guess).collect(),
        Guess::Null => return json!({"type": ["null", "string"]}),
        kind => vec![guess(kind)],
    };
    if slot.is_nullable {
        kinds.insert(0, json!({"type": "null"}));
    }
    match kinds.len() {
        1 => kinds.remove(0),
        _ => json!({"oneOf": kinds}),
    }
}

fn guess(guess: &Guess) -> Json {
    match guess {
        Guess::Boolean => json!({"type": "boolean"}),
        Guess::Long | Guess::TimestampMillis => json!({"type": "integer"}),
        Guess::Double => json!({"type": "number"}),
        Guess::Null | Guess::Any(_) | Guess::String => json!({"type": "string"}),
        Guess::Uuid => json!({"type": "string", "format": "uuid"}),
        Guess::DateTime => json!({"type": "string", "format": "date-time"}),
        Guess::Date => json!({"type": "string", "format": "date"}),
        Guess::Array(inner) => json!({"type": "array", "items": slot(inner)}),
        Guess::Map(inner) => json!({"type": "object", "additionalProperties": slot(inner)}),
        Guess::Record(members) => {
            let mut properties = Map::new();
            let mut required = Vec::new();
            for member in members {
                let mut property = slot(&member.slot);
                if let (Json::Object(map), false) = (&mut property, member.tags.is_empty()) {
                    map.insert("confluent:tags".to_owned(), json!(member.tags));
                }
                properties.insert(member.name.clone(), property);
                if member.is_required {
                    required.push(json!(member.name));
                }
            }
            let mut schema = Map::new();
            schema.insert("type".to_owned(), json!("object"));
            schema.insert("properties".to_owned(), Json::Object(properties));
            if !required.is_empty() {
                schema.insert("required".to_owned(), Json::Array(required));
            }
            Json::Object(schema)
        }
    }
}
