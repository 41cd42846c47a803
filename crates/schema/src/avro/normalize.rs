//! The normalised form: what means the same is written the same (`AvroSchemaUtils.toNormalizedString`, 8.2).
//!
//! Properties are sorted, those of a logical type first; aliases are sorted; an empty doc of a type goes; a default
//! is written as its type writes it; an error is a record. The order of fields, symbols and branches means something
//! and stays.

use std::collections::HashMap;

use serde_json::{Number, Value};

use super::model::{Field, Kind, Model, Named, Primitive, Props, Type, TypeId};
use super::names::is_valid_default;
use crate::json_text::java_double;

/// `model` in normalised form, to be printed as any other.
pub(crate) fn normalize(model: &Model) -> Model {
    Model {
        types: model
            .types
            .iter()
            .map(|found| normalize_type(model, found))
            .collect(),
        root: model.root,
        references: model.references.clone(),
    }
}

fn normalize_type(model: &Model, found: &Type) -> Type {
    let mut kind = found.kind.clone();
    let is_logical_first = match &mut kind {
        Kind::Record(record) => {
            normalize_named(&mut record.named);
            record.is_error = false;
            for field in &mut record.fields {
                normalize_field(model, field);
            }
            false
        }
        Kind::Enum(enumeration) => {
            normalize_named(&mut enumeration.named);
            false
        }
        Kind::Fixed(fixed) => {
            normalize_named(&mut fixed.named);
            true
        }
        Kind::Primitive(_) => true,
        Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Forward => false,
    };
    let mut props = Props::new();
    if is_logical_first && let Some(name) = found.logical() {
        let mut first = vec!["logicalType"];
        if name == "decimal" {
            first.push("precision");
            if found.decimal().is_some_and(|(_, scale)| scale != 0) {
                first.push("scale");
            }
        }
        for name in first {
            if let Some(value) = found.props.get(name) {
                props.insert(name.to_owned(), value.clone());
            }
        }
    }
    for (name, value) in sorted(&found.props) {
        props.insert(name, value);
    }
    Type { kind, props }
}

fn normalize_named(named: &mut Named) {
    named.doc = named.doc.take().filter(|doc| !doc.is_empty());
    named.aliases.sort_by_key(super::model::Name::full);
}

fn normalize_field(model: &Model, field: &mut Field) {
    field.aliases.sort();
    field.props = sorted(&field.props);
    let default = field.default.take();
    field.default = default.map(|value| default_of(model, field.type_id, value));
}

fn sorted(props: &Props) -> Props {
    let mut list: Vec<_> = props
        .iter()
        .map(|(name, value)| (name.clone(), sorted_value(value.clone())))
        .collect();
    list.sort_by(|one, other| one.0.cmp(&other.0));
    list.into_iter().collect()
}

/// A value with the names of its objects sorted.
fn sorted_value(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(sorted_value).collect()),
        Value::Object(map) => Value::Object(sorted(&map)),
        other => other,
    }
}

/// A default as its type writes it: `1` of a double is `1.0`.
fn default_of(model: &Model, id: TypeId, value: Value) -> Value {
    match (&model.get(id).kind, value) {
        (Kind::Primitive(Primitive::Double), Value::Number(number)) => {
            float(number.as_f64(), number)
        }
        (Kind::Primitive(Primitive::Float), Value::Number(number)) => {
            // The shortest text that is this float, as Java writes it, read as the double that JSON has.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a float is what the type holds"
            )]
            let single = number.as_f64().map(|double| double as f32);
            float(
                single.and_then(|single| single.to_string().parse().ok()),
                number,
            )
        }
        (Kind::Union(branches), value) => {
            match branches
                .iter()
                .find(|branch| is_valid_default(model, **branch, &value))
            {
                Some(branch) => default_of(model, *branch, value),
                None => sorted_value(value),
            }
        }
        (Kind::Array(inner), Value::Array(items)) => Value::Array(
            items
                .into_iter()
                .map(|item| default_of(model, *inner, item))
                .collect(),
        ),
        (Kind::Map(inner), Value::Object(map)) => {
            let map: Props = map
                .into_iter()
                .map(|(name, item)| (name, default_of(model, *inner, item)))
                .collect();
            Value::Object(sorted(&map))
        }
        (Kind::Record(record), Value::Object(map)) => {
            let types: HashMap<&str, TypeId> = record
                .fields
                .iter()
                .map(|field| (field.name.as_str(), field.type_id))
                .collect();
            let map: Props = map
                .into_iter()
                .map(|(name, item)| match types.get(name.as_str()) {
                    Some(id) => {
                        let item = default_of(model, *id, item);
                        (name, item)
                    }
                    None => (name, item),
                })
                .collect();
            Value::Object(sorted(&map))
        }
        (_, value) => sorted_value(value),
    }
}

fn float(value: Option<f64>, number: Number) -> Value {
    let double = value.filter(|value| value.is_finite());
    // Printed with a point even where it is whole.
    debug_assert!(double.is_none_or(|value| java_double(value).contains('.')));
    Value::Number(double.and_then(Number::from_f64).unwrap_or(number))
}
