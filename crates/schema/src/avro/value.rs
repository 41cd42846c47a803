//! Avro data in memory, and how rules walk over it.
//!
//! A value does not know its schema, but for the branch of a union and the names of fields and symbols. What a rule
//! sees of a field is a [`FieldContext`]: its full name, its type and its tags (`RuleContext.FieldContext`, 8.2).

use std::collections::BTreeSet;

use super::AvroSchema;
use super::model::{Kind, Primitive, Type, TypeId, tags};
use crate::limits::DEPTH_MAX;

/// Why data does not fit a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// JSON or a value that is none of the type at its place.
    #[error("at {path}: {what}")]
    Mismatch {
        /// Where in the data: `/user/emails/0`.
        path: String,
        /// What was expected, and what was found.
        what: String,
    },
    /// Bytes that are not what the writer's schema writes.
    #[error("at byte {at} ({path}): {what}")]
    Bytes {
        /// From 0.
        at: usize,
        /// Where in the data.
        path: String,
        /// What was expected, and what was found.
        what: String,
    },
    /// Data of the writer's schema that the reader's has no place for.
    #[error("at {path}: the reader's schema cannot take {what}")]
    Unresolved {
        /// Where in the data.
        path: String,
        /// What the writer wrote.
        what: String,
    },
    /// Data that costs more than it may.
    #[error("the data exceeds a limit: {what} (limit {max})")]
    TooComplex {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `boolean`
    Boolean(bool),
    /// `int`
    Int(i32),
    /// `long`
    Long(i64),
    /// `float`
    Float(f32),
    /// `double`
    Double(f64),
    /// `bytes`
    Bytes(Vec<u8>),
    /// `string`
    String(String),
    /// `fixed`: as many bytes as its type says.
    Fixed(Vec<u8>),
    /// `enum`: the symbol.
    Enum(String),
    /// `array`
    Array(Vec<Value>),
    /// `map`, in the order written.
    Map(Vec<(String, Value)>),
    /// `record`: the fields in the order of the schema.
    Record(Vec<(String, Value)>),
    /// A branch of a union, by its place.
    Union(usize, Box<Value>),
}

impl Value {
    /// The field of a record or the entry of a map; looks through unions.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Record(entries) | Self::Map(entries) => entries
                .iter()
                .find_map(|(known, value)| (known == name).then_some(value)),
            Self::Union(_, inner) => inner.get(name),
            _ => None,
        }
    }

    /// The value within unions.
    pub fn inner(&self) -> &Self {
        match self {
            Self::Union(_, inner) => inner.inner(),
            other => other,
        }
    }

    /// A string or a symbol; looks through unions.
    pub fn as_str(&self) -> Option<&str> {
        match self.inner() {
            Self::String(text) | Self::Enum(text) => Some(text),
            _ => None,
        }
    }

    /// An int or a long; looks through unions.
    pub fn as_i64(&self) -> Option<i64> {
        match self.inner() {
            Self::Int(number) => Some(i64::from(*number)),
            Self::Long(number) => Some(*number),
            _ => None,
        }
    }
}

/// What kind of field a rule looks at (`RuleContext.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// `record`
    Record,
    /// `enum`
    Enum,
    /// `array`
    Array,
    /// `map`
    Map,
    /// `union`
    Combined,
    /// `fixed`
    Fixed,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// `int`
    Int,
    /// `long`
    Long,
    /// `float`
    Float,
    /// `double`
    Double,
    /// `boolean`
    Boolean,
    /// `null`
    Null,
}

impl FieldType {
    /// The name that expressions compare with: `STRING`, `INT`, ...
    pub fn name(self) -> &'static str {
        match self {
            Self::Record => "RECORD",
            Self::Enum => "ENUM",
            Self::Array => "ARRAY",
            Self::Map => "MAP",
            Self::Combined => "COMBINED",
            Self::Fixed => "FIXED",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Int => "INT",
            Self::Long => "LONG",
            Self::Float => "FLOAT",
            Self::Double => "DOUBLE",
            Self::Boolean => "BOOLEAN",
            Self::Null => "NULL",
        }
    }

    fn of(found: &Type) -> Self {
        match &found.kind {
            Kind::Record(_) | Kind::Forward => Self::Record,
            Kind::Enum(_) => Self::Enum,
            Kind::Array(_) => Self::Array,
            Kind::Map(_) => Self::Map,
            Kind::Union(_) => Self::Combined,
            Kind::Fixed(_) => Self::Fixed,
            Kind::Primitive(primitive) => match primitive {
                Primitive::Null => Self::Null,
                Primitive::Boolean => Self::Boolean,
                Primitive::Int => Self::Int,
                Primitive::Long => Self::Long,
                Primitive::Float => Self::Float,
                Primitive::Double => Self::Double,
                Primitive::Bytes => Self::Bytes,
                Primitive::String => Self::String,
            },
        }
    }
}

/// The field that a value is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldContext {
    /// The record's full name, a dot, the field's name.
    pub full_name: String,
    /// The field's name.
    pub name: String,
    /// The type of the value at hand: within an array, that of the item.
    pub field_type: FieldType,
    /// The tags written at the field.
    pub tags: BTreeSet<String>,
}

impl AvroSchema {
    /// Gives every value within a field that has no parts (no record, array or map) to `change`, which returns what
    /// takes its place. Values of a union come without it and go back into the branch that fits.
    ///
    /// # Errors
    /// What `change` returns; nothing is changed halfway, because the value is consumed.
    pub fn transform<E>(
        &self,
        value: Value,
        change: &mut impl FnMut(&FieldContext, Value) -> Result<Value, E>,
    ) -> Result<Value, E> {
        let mut walk = Walk {
            schema: self,
            change,
        };
        walk.value(self.model.root, value, None, 0)
    }
}

struct Walk<'a, F> {
    schema: &'a AvroSchema,
    change: &'a mut F,
}

impl<F> Walk<'_, F> {
    fn value<E>(
        &mut self,
        id: TypeId,
        value: Value,
        field: Option<&FieldContext>,
        depth: usize,
    ) -> Result<Value, E>
    where
        F: FnMut(&FieldContext, Value) -> Result<Value, E>,
    {
        let found = self.schema.model.get(id);
        if depth > DEPTH_MAX {
            return Ok(value);
        }
        let depth = depth + 1;
        match (&found.kind, value) {
            (Kind::Union(branches), Value::Union(at, inner)) => {
                let Some(branch) = branches.get(at) else {
                    return Ok(Value::Union(at, inner));
                };
                let changed = self.value(*branch, *inner, field, depth)?;
                let fits = |id: &TypeId| super::encode::fits(&self.schema.model, *id, &changed);
                let at = if fits(branch) {
                    at
                } else {
                    branches.iter().position(fits).unwrap_or(at)
                };
                Ok(Value::Union(at, Box::new(changed)))
            }
            (Kind::Array(inner), Value::Array(items)) => items
                .into_iter()
                .map(|item| self.value(*inner, item, field, depth))
                .collect::<Result<_, E>>()
                .map(Value::Array),
            (Kind::Map(inner), Value::Map(entries)) => entries
                .into_iter()
                .map(|(name, item)| Ok((name, self.value(*inner, item, field, depth)?)))
                .collect::<Result<_, E>>()
                .map(Value::Map),
            (Kind::Record(record), Value::Record(entries)) => {
                let full = record.named.name.full();
                let mut changed = Vec::with_capacity(entries.len());
                for (name, item) in entries {
                    let Some(field) = record.field(&name) else {
                        changed.push((name, item));
                        continue;
                    };
                    let context = FieldContext {
                        full_name: format!("{full}.{name}"),
                        name: name.clone(),
                        field_type: FieldType::of(self.schema.model.get(field.type_id)),
                        tags: tags(&field.props),
                    };
                    let item = self.value(field.type_id, item, Some(&context), depth)?;
                    changed.push((name, item));
                }
                Ok(Value::Record(changed))
            }
            (_, value) => match field {
                Some(field) => {
                    let context = FieldContext {
                        field_type: FieldType::of(found),
                        ..field.clone()
                    };
                    (self.change)(&context, value)
                }
                None => Ok(value),
            },
        }
    }
}
