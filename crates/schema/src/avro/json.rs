//! Data between JSON and values, in Avro's JSON encoding, which console tools and REST proxies use.
//!
//! A union's value is wrapped in the name of its branch, `{"string": "a"}`, but for null; bytes and fixed are strings
//! of the characters U+0000 to U+00FF. What Java's `JsonDecoder` (1.12) refuses is refused in its words: a field that is
//! not there, one that is not known. Differs: a number with a fraction is no int, where Java cuts it off.

use serde_json::{Map, Number, Value as Json};

use super::AvroSchema;
use super::model::{Kind, Model, Primitive, TypeId};
use super::value::{DataError, Value};
use crate::json_text::to_text;
use crate::limits::DEPTH_MAX;

impl AvroSchema {
    /// The value that `json` is in Avro's JSON encoding.
    ///
    /// # Errors
    /// [`DataError::Mismatch`] with the path; [`DataError::TooComplex`] beyond [`DEPTH_MAX`].
    pub fn value_from_json(&self, json: &Json) -> Result<Value, DataError> {
        let mut reader = Reader {
            model: &self.model,
            path: Vec::new(),
            unions: Unions::Wrapped,
            room: usize::MAX,
        };
        reader.value(self.model.root, json)
    }

    /// The same of JSON that an expression may have made: a value of a union may be without the name of its branch, and
    /// is then of the first branch that takes it.
    ///
    /// # Errors
    /// As [`AvroSchema::value_from_json`].
    pub fn value_from_plain_json(&self, json: &Json) -> Result<Value, DataError> {
        let mut reader = Reader {
            model: &self.model,
            path: Vec::new(),
            unions: Unions::Plain,
            room: PLAIN_VALUES_MAX,
        };
        reader.value(self.model.root, json)
    }

    /// A value in Avro's JSON encoding.
    ///
    /// # Errors
    /// [`DataError::Mismatch`] when the value is none of this schema.
    pub fn value_to_json(&self, value: &Value) -> Result<Json, DataError> {
        write(&self.model, self.model.root, value, Form::Avro)
    }

    /// A value as plain JSON, as expressions see it: unions without wrapping; bytes as in Avro's encoding.
    ///
    /// # Errors
    /// [`DataError::Mismatch`] when the value is none of this schema.
    pub fn value_to_plain_json(&self, value: &Value) -> Result<Json, DataError> {
        write(&self.model, self.model.root, value, Form::Plain)
    }
}

/// How many values one default may have.
const DEFAULT_VALUES_MAX: usize = 100_000;
/// How many values plain data may have; those of branches that turn out to be others count, too.
const PLAIN_VALUES_MAX: usize = 10_000_000;

/// The value that a field has where data leaves it out.
pub(crate) fn default_value(model: &Model, id: TypeId, json: &Json) -> Result<Value, DataError> {
    let mut reader = Reader {
        model,
        path: Vec::new(),
        unions: Unions::Default,
        room: DEFAULT_VALUES_MAX,
    };
    reader.value(id, json)
}

struct Reader<'a> {
    model: &'a Model,
    path: Vec<String>,
    unions: Unions,
    /// How many more values there may be: defaults may have each other in a circle.
    room: usize,
}

/// How JSON has values of unions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unions {
    /// In the name of their branch.
    Wrapped,
    /// Without, or in it.
    Plain,
    /// Without; and records are without the fields that have defaults themselves.
    Default,
}

impl Reader<'_> {
    fn mismatch(&self, what: impl Into<String>) -> DataError {
        DataError::Mismatch {
            path: format!("/{}", self.path.join("/")),
            what: what.into(),
        }
    }

    fn under(&mut self, step: String, id: TypeId, json: &Json) -> Result<Value, DataError> {
        self.path.push(step);
        if self.path.len() > DEPTH_MAX {
            return Err(DataError::TooComplex {
                what: "the depth of the data",
                max: DEPTH_MAX,
            });
        }
        let value = self.value(id, json)?;
        self.path.pop();
        Ok(value)
    }

    fn value(&mut self, id: TypeId, json: &Json) -> Result<Value, DataError> {
        self.room = self.room.checked_sub(1).ok_or(DataError::TooComplex {
            what: "the values of the data",
            max: match self.unions {
                Unions::Default => DEFAULT_VALUES_MAX,
                Unions::Wrapped | Unions::Plain => PLAIN_VALUES_MAX,
            },
        })?;
        let found = self.model.get(id);
        match (&found.kind, json) {
            (Kind::Primitive(primitive), json) => self.primitive(*primitive, json),
            (Kind::Union(branches), json) => self.union(branches, json),
            (Kind::Array(inner), Json::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(at, item)| self.under(at.to_string(), *inner, item))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            (Kind::Map(inner), Json::Object(map)) => map
                .iter()
                .map(|(name, item)| Ok((name.clone(), self.under(name.clone(), *inner, item)?)))
                .collect::<Result<_, _>>()
                .map(Value::Map),
            (Kind::Record(_), Json::Object(map)) => self.record(id, map),
            (Kind::Enum(enumeration), Json::String(symbol)) => {
                if enumeration.symbols.contains(symbol) {
                    Ok(Value::Enum(symbol.clone()))
                } else {
                    Err(self.mismatch(format!(
                        "Unknown symbol in enum {symbol}; {} has [{}]",
                        enumeration.named.name.full(),
                        enumeration.symbols.join(", ")
                    )))
                }
            }
            (Kind::Fixed(fixed), Json::String(text)) => {
                let bytes = self.latin1(text)?;
                if bytes.len() == fixed.size as usize {
                    Ok(Value::Fixed(bytes))
                } else {
                    Err(self.mismatch(format!(
                        "Expected fixed length {}, but got {}",
                        fixed.size,
                        bytes.len()
                    )))
                }
            }
            _ => Err(self.mismatch(format!(
                "Expected {}. Got {}",
                found.union_name(),
                shown(json)
            ))),
        }
    }

    fn primitive(&self, primitive: Primitive, json: &Json) -> Result<Value, DataError> {
        let wrong = || {
            self.mismatch(format!(
                "Expected {}. Got {}",
                primitive.name(),
                shown(json)
            ))
        };
        let value = match (primitive, json) {
            (Primitive::Null, Json::Null) => Some(Value::Null),
            (Primitive::Boolean, Json::Bool(value)) => Some(Value::Boolean(*value)),
            (Primitive::Int, Json::Number(number)) => integer(number)
                .and_then(|number| i32::try_from(number).ok())
                .map(Value::Int),
            (Primitive::Long, Json::Number(number)) => integer(number).map(Value::Long),
            (Primitive::Float, json) =>
            {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "the nearest float is what is meant"
                )]
                double(json).map(|number| Value::Float(number as f32))
            }
            (Primitive::Double, json) => double(json).map(Value::Double),
            (Primitive::Bytes, Json::String(text)) => Some(Value::Bytes(self.latin1(text)?)),
            (Primitive::String, Json::String(text)) => Some(Value::String(text.clone())),
            _ => None,
        };
        value.ok_or_else(wrong)
    }

    fn union(&mut self, branches: &[TypeId], json: &Json) -> Result<Value, DataError> {
        match self.unions {
            Unions::Wrapped => self.wrapped(branches, json),
            Unions::Plain => self.first_that_takes(branches, json),
            Unions::Default => {
                let fits = |id: &TypeId| super::names::is_valid_default(self.model, *id, json);
                let Some((at, branch)) = branches.iter().enumerate().find(|(_, id)| fits(id))
                else {
                    return Err(self.no_branch(json));
                };
                Ok(Value::Union(at, Box::new(self.value(*branch, json)?)))
            }
        }
    }

    fn no_branch(&self, json: &Json) -> DataError {
        self.mismatch(format!("no branch of the union takes {}", shown(json)))
    }

    fn first_that_takes(&mut self, branches: &[TypeId], json: &Json) -> Result<Value, DataError> {
        let depth = self.path.len();
        let mut found = self.wrapped(branches, json);
        for (at, branch) in branches.iter().enumerate() {
            match found {
                // It is none of that branch.
                Err(DataError::Mismatch { .. }) => {}
                found => return found,
            }
            self.path.truncate(depth);
            let inner = self.value(*branch, json);
            found = inner.map(|inner| Value::Union(at, Box::new(inner)));
        }
        if matches!(found, Err(DataError::Mismatch { .. })) {
            self.path.truncate(depth);
            return Err(self.no_branch(json));
        }
        found
    }

    fn wrapped(&mut self, branches: &[TypeId], json: &Json) -> Result<Value, DataError> {
        let (name, inner) = match json {
            Json::Null => ("null", json),
            Json::Object(map) if map.len() == 1 => match map.iter().next() {
                Some((name, inner)) => (name.as_str(), inner),
                None => return Err(self.mismatch("Expected start-union. Got an empty object")),
            },
            _ => {
                return Err(self.mismatch(format!(
                    "Expected start-union. Got {}; a value of a union is null or an object with the name of its branch, such as {{\"string\": \"a\"}}",
                    shown(json)
                )));
            }
        };
        let branch = branches
            .iter()
            .position(|branch| self.model.get(*branch).union_name() == name);
        match branch.and_then(|at| Some((at, *branches.get(at)?))) {
            Some((at, branch)) => {
                let inner = if name == "null" {
                    self.value(branch, inner)?
                } else {
                    self.under(name.to_owned(), branch, inner)?
                };
                Ok(Value::Union(at, Box::new(inner)))
            }
            None => {
                let names: Vec<String> = branches
                    .iter()
                    .map(|branch| self.model.get(*branch).union_name())
                    .collect();
                Err(self.mismatch(format!(
                    "Unknown union branch {name}; the union has [{}]",
                    names.join(", ")
                )))
            }
        }
    }

    fn record(&mut self, id: TypeId, map: &Map<String, Json>) -> Result<Value, DataError> {
        let Kind::Record(record) = &self.model.get(id).kind else {
            return Err(self.mismatch("Expected a record"));
        };
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let default = field
                .default
                .as_ref()
                .filter(|_| self.unions == Unions::Default);
            let Some(json) = map.get(&field.name).or(default) else {
                return Err(self.mismatch(format!("Expected field name not found: {}", field.name)));
            };
            let value = self.under(field.name.clone(), field.type_id, json)?;
            fields.push((field.name.clone(), value));
        }
        let unknown: Vec<&str> = map
            .keys()
            .map(String::as_str)
            .filter(|name| !record.index.contains_key(*name))
            .collect();
        if unknown.is_empty() || self.unions == Unions::Default {
            Ok(Value::Record(fields))
        } else {
            Err(self.mismatch(format!("Unknown fields: [{}]", unknown.join(", "))))
        }
    }

    fn latin1(&self, text: &str) -> Result<Vec<u8>, DataError> {
        text.chars()
            .map(|ch| u8::try_from(u32::from(ch)))
            .collect::<Result<_, _>>()
            .map_err(|_| self.mismatch("bytes are a string of the characters U+0000 to U+00FF"))
    }
}

/// A number that is whole.
fn integer(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let double = number.as_f64()?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is whole and within range"
        )]
        (double.fract() == 0.0 && double.abs() < 9.0e15).then_some(double as i64)
    })
}

fn double(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" | "INF" => Some(f64::INFINITY),
            "-Infinity" | "-INF" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// A piece of JSON for a message.
fn shown(json: &Json) -> String {
    let text = to_text(json);
    match text.get(..text.floor_char_boundary(100)) {
        Some(cut) if cut.len() < text.len() => format!("{cut}..."),
        _ => text,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Avro,
    Plain,
}

fn write(model: &Model, id: TypeId, value: &Value, form: Form) -> Result<Json, DataError> {
    let found = model.get(id);
    let json = match (&found.kind, value) {
        (Kind::Union(branches), Value::Union(at, inner)) => {
            let branch = branches
                .get(*at)
                .copied()
                .ok_or_else(|| mismatch(model, id, value))?;
            let json = write(model, branch, inner, form)?;
            if form == Form::Plain || matches!(**inner, Value::Null) {
                json
            } else {
                let mut map = Map::new();
                map.insert(model.get(branch).union_name(), json);
                Json::Object(map)
            }
        }
        (Kind::Array(inner), Value::Array(items)) => Json::Array(
            items
                .iter()
                .map(|item| write(model, *inner, item, form))
                .collect::<Result<_, _>>()?,
        ),
        (Kind::Map(inner), Value::Map(entries)) => Json::Object(
            entries
                .iter()
                .map(|(name, item)| Ok((name.clone(), write(model, *inner, item, form)?)))
                .collect::<Result<_, DataError>>()?,
        ),
        (Kind::Record(record), Value::Record(entries)) => {
            let mut map = Map::new();
            for (field, (name, item)) in record.fields.iter().zip(entries) {
                map.insert(name.clone(), write(model, field.type_id, item, form)?);
            }
            Json::Object(map)
        }
        (Kind::Primitive(_) | Kind::Enum(_) | Kind::Fixed(_), value) => {
            scalar(value).ok_or_else(|| mismatch(model, id, value))?
        }
        _ => return Err(mismatch(model, id, value)),
    };
    Ok(json)
}

fn mismatch(model: &Model, id: TypeId, value: &Value) -> DataError {
    DataError::Mismatch {
        path: "/".to_owned(),
        what: format!("{value:?} is no {}", model.get(id).union_name()),
    }
}

fn scalar(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => Json::Bool(*value),
        Value::Int(number) => Json::from(*number),
        Value::Long(number) => Json::from(*number),
        // The shortest text of the float, not that of the double it is near.
        Value::Float(number) => float(number.to_string().parse().unwrap_or(f64::from(*number))),
        Value::Double(number) => float(*number),
        Value::Bytes(bytes) | Value::Fixed(bytes) => {
            Json::String(bytes.iter().map(|&byte| char::from(byte)).collect())
        }
        Value::String(text) | Value::Enum(text) => Json::String(text.clone()),
        Value::Array(_) | Value::Map(_) | Value::Record(_) | Value::Union(..) => return None,
    })
}

fn float(number: f64) -> Json {
    match Number::from_f64(number) {
        Some(number) => Json::Number(number),
        None if number.is_nan() => Json::from("NaN"),
        None if number > 0.0 => Json::from("Infinity"),
        None => Json::from("-Infinity"),
    }
}
