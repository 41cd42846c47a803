//! A proposal as Avro: what is optional is a union with null, whose default is null.
//!
//! Strings that are dates stay strings, because that is what the data holds; a UUID has its logical type. A name that
//! Avro does not allow is replaced, with the original in the property `source`.

use std::collections::HashSet;

use serde_json::{Map, Value as Json, json};

use super::guess::{Guess, Member, Slot, field_name, type_name, unique};
use crate::avro::is_name;
use crate::json_text::to_text;

/// The text of the schema.
pub(crate) fn text(root: &Slot, name: &str, namespace: Option<&str>) -> String {
    let mut writer = Writer {
        taken: HashSet::new(),
    };
    let mut schema = writer.slot(root, name);
    if let (Json::Object(map), Some(namespace)) = (&mut schema, namespace)
        && matches!(root.guess, Guess::Record(_))
    {
        map.insert("namespace".to_owned(), json!(namespace));
    }
    to_text(&schema)
}

struct Writer {
    /// The names of types so far.
    taken: HashSet<String>,
}

impl Writer {
    fn slot(&mut self, slot: &Slot, name: &str) -> Json {
        let mut branches = match &slot.guess {
            Guess::Any(kinds) => kinds.iter().map(|kind| self.guess(kind, name)).collect(),
            // Nothing was seen but null: a string is what it may become.
            Guess::Null => return json!(["null", "string"]),
            kind => vec![self.guess(kind, name)],
        };
        if slot.is_nullable {
            branches.insert(0, json!("null"));
        }
        match branches.len() {
            1 => branches.remove(0),
            _ => Json::Array(branches),
        }
    }

    fn guess(&mut self, guess: &Guess, name: &str) -> Json {
        match guess {
            Guess::Boolean => json!("boolean"),
            Guess::Long => json!("long"),
            Guess::TimestampMillis => json!({"type": "long", "logicalType": "timestamp-millis"}),
            Guess::Double => json!("double"),
            Guess::Uuid => json!({"type": "string", "logicalType": "uuid"}),
            Guess::Null | Guess::Any(_) | Guess::String | Guess::DateTime | Guess::Date => {
                json!("string")
            }
            Guess::Array(inner) => json!({"type": "array", "items": self.slot(inner, name)}),
            Guess::Map(inner) => json!({"type": "map", "values": self.slot(inner, name)}),
            Guess::Record(members) => self.record(members, name),
        }
    }

    fn record(&mut self, members: &[Member], name: &str) -> Json {
        let name = unique(type_name(name), &mut self.taken);
        let mut known = HashSet::new();
        let fields: Vec<Json> = members
            .iter()
            .map(|member| self.field(member, &mut known))
            .collect();
        json!({"type": "record", "name": name, "fields": fields})
    }

    fn field(&mut self, member: &Member, known: &mut HashSet<String>) -> Json {
        let optional = Slot {
            guess: member.slot.guess.clone(),
            is_nullable: member.slot.is_nullable || !member.is_required,
        };
        let kind = self.slot(&optional, &member.name);
        let is_valid = is_name(&member.name);
        let name = if is_valid {
            member.name.clone()
        } else {
            field_name(&member.name)
        };
        let mut field = Map::new();
        field.insert("name".to_owned(), json!(unique(name, known)));
        if kind.get(0) == Some(&json!("null")) {
            field.insert("type".to_owned(), kind);
            field.insert("default".to_owned(), Json::Null);
        } else {
            field.insert("type".to_owned(), kind);
        }
        if !is_valid {
            field.insert("source".to_owned(), json!(member.name));
        }
        if !member.tags.is_empty() {
            field.insert("confluent:tags".to_owned(), json!(member.tags));
        }
        Json::Object(field)
    }
}
