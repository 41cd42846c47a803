//! Types of attributes and their values.
//!
//! A type is a primitive of Atlas, `array<..>` or `map<string,..>` of one. A value that is written as a text, as clients that know only
//! texts do, becomes one of its type.

use serde_json::{Map, Number, Value};

use super::error::CatalogError;
use super::model::{AttributeDef, Cardinality};

/// Characters of a text where its attribute says nothing (`maxStrLength`).
const TEXT_CHARS: usize = 5_000;

/// The most characters of a text that an attribute may ask for.
const TEXT_CHARS_MAX: usize = 50_000;

/// The most items of a list or a map.
const ITEMS_MAX: usize = 1_000;

/// The digits of a number without bounds.
const DIGITS_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Primitive {
    Boolean,
    /// From the first to the second.
    Integer(i64, i64),
    Float,
    /// Any number, as a text where it came as one.
    Big,
    /// Milliseconds since 1970, or as Atlas writes it.
    Date,
    Text,
}

impl Primitive {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "boolean" => Self::Boolean,
            "byte" => Self::Integer(i64::from(i8::MIN), i64::from(i8::MAX)),
            "short" => Self::Integer(i64::from(i16::MIN), i64::from(i16::MAX)),
            "int" => Self::Integer(i64::from(i32::MIN), i64::from(i32::MAX)),
            "long" => Self::Integer(i64::MIN, i64::MAX),
            "float" | "double" => Self::Float,
            "biginteger" | "bigdecimal" => Self::Big,
            "date" => Self::Date,
            "string" => Self::Text,
            _ => return None,
        })
    }

    fn normal(self, value: &Value, chars_max: usize) -> Option<Value> {
        match (self, value) {
            (Self::Boolean, Value::Bool(_)) => Some(value.clone()),
            (Self::Boolean, Value::String(text)) => text.parse().ok().map(Value::Bool),
            (Self::Integer(min, max), _) => {
                let number = integer(value)?;
                (min..=max).contains(&number).then(|| Value::from(number))
            }
            (Self::Float, Value::Number(_)) => Some(value.clone()),
            (Self::Float, Value::String(text)) => {
                let number: f64 = text.parse().ok()?;
                Number::from_f64(number).map(Value::Number)
            }
            (Self::Big, Value::Number(_)) => Some(value.clone()),
            (Self::Big, Value::String(text)) => is_number(text).then(|| value.clone()),
            (Self::Date, Value::String(text)) if is_date(text) => Some(value.clone()),
            (Self::Date, _) => integer(value).map(Value::from),
            (Self::Text, Value::String(text)) => {
                (text.chars().count() <= chars_max).then(|| value.clone())
            }
            _ => None,
        }
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let are_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= DIGITS_MAX && are_digits(whole) && are_digits(part)
}

/// As in `2026-01-31T12:00:00.000Z`.
fn is_date(text: &str) -> bool {
    has_form(text, "dddd-dd-ddTdd:dd:dd.dddZ")
}

/// Whether a text is `form`, with any digit where that has a `d`.
pub(super) fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text
            .bytes()
            .zip(form.bytes())
            .all(|(byte, form)| match form {
                b'd' => byte.is_ascii_digit(),
                form => byte == form,
            })
}

/// The type of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AttributeType {
    One(Primitive),
    List(Primitive),
    Map(Primitive),
}

impl AttributeType {
    fn of(name: &str) -> Option<Self> {
        let inner = |prefix: &str| {
            let inner = name.strip_prefix(prefix)?.strip_suffix('>')?;
            Primitive::of(inner.trim())
        };
        Primitive::of(name)
            .map(Self::One)
            .or_else(|| inner("array<").map(Self::List))
            .or_else(|| inner("map<string,").map(Self::Map))
    }

    fn normal(self, value: &Value, chars_max: usize) -> Option<Value> {
        match (self, value) {
            (Self::One(of), _) => of.normal(value, chars_max),
            (Self::List(of), Value::Array(items)) if items.len() <= ITEMS_MAX => {
                let items = items.iter().map(|item| of.normal(item, chars_max));
                items.collect::<Option<Vec<_>>>().map(Value::Array)
            }
            (Self::Map(of), Value::Object(items)) if items.len() <= ITEMS_MAX => {
                let items = items.iter().map(|(key, item)| {
                    let is_short = key.chars().count() <= chars_max;
                    Some((
                        key.clone(),
                        of.normal(item, chars_max).filter(|_| is_short)?,
                    ))
                });
                items.collect::<Option<Map<_, _>>>().map(Value::Object)
            }
            _ => None,
        }
    }
}

/// Whether an attribute of the definition `name` can be.
///
/// # Errors
/// 4000001 for its type, 4000018 for a list that is none, 4000040 for a default that is no value of it.
pub(super) fn check_type(name: &str, attribute: &AttributeDef) -> Result<(), CatalogError> {
    let Some(found) = AttributeType::of(&attribute.type_name) else {
        return Err(CatalogError::UnknownAttributeType {
            type_name: attribute.type_name.clone(),
            name: name.to_owned(),
            attribute: attribute.name.clone(),
        });
    };
    let is_list = matches!(found, AttributeType::List(_));
    if attribute.cardinality != Cardinality::Single && !is_list {
        return Err(CatalogError::Cardinality {
            name: name.to_owned(),
            attribute: attribute.name.clone(),
        });
    }
    let of_default = attribute.default_value.as_ref();
    of_default.map_or(Ok(()), |text| {
        normal(name, attribute, &Value::String(text.clone())).map(drop)
    })
}

fn normal(name: &str, attribute: &AttributeDef, value: &Value) -> Result<Value, CatalogError> {
    let asked = attribute.options.get("maxStrLength");
    let asked = asked.and_then(|text| text.parse::<usize>().ok());
    let chars_max = asked.unwrap_or(TEXT_CHARS).min(TEXT_CHARS_MAX);
    let found = AttributeType::of(&attribute.type_name);
    let found = found.and_then(|found| found.normal(value, chars_max));
    found.ok_or_else(|| CatalogError::InvalidValue {
        name: name.to_owned(),
        attribute: attribute.name.clone(),
        type_name: attribute.type_name.clone(),
    })
}

/// The values of a definition's attributes as they are kept: each of its type, defaults in the place of those that are missing.
///
/// # Errors
/// 4000035 for an attribute that there is not, 4000040 for a value of another type, 4000043 for one that is missing.
pub(super) fn check_values(
    name: &str,
    attributes: &[&AttributeDef],
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, CatalogError> {
    let unknown = given
        .keys()
        .find(|key| !attributes.iter().any(|attribute| attribute.name == **key));
    if let Some(attribute) = unknown {
        return Err(CatalogError::UnknownAttribute {
            name: name.to_owned(),
            attribute: attribute.clone(),
        });
    }
    let mut values = Map::new();
    for attribute in attributes {
        let given = given.get(&attribute.name).filter(|value| !value.is_null());
        let default = attribute.default_value.clone().map(Value::String);
        match (given, default) {
            (Some(value), _) => {
                values.insert(attribute.name.clone(), normal(name, attribute, value)?);
            }
            (None, Some(value)) => {
                values.insert(attribute.name.clone(), normal(name, attribute, &value)?);
            }
            (None, None) if attribute.is_optional => {}
            (None, None) => {
                return Err(CatalogError::MissingAttribute {
                    name: name.to_owned(),
                    attribute: attribute.name.clone(),
                });
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_of_its_type_or_none() {
        let normal = |name: &str, value: Value| AttributeType::of(name).unwrap().normal(&value, 3);
        for (name, value, kept) in [
            ("int", json!("7"), json!(7)),
            ("byte", json!(-128), json!(-128)),
            ("boolean", json!("true"), json!(true)),
            ("double", json!(1.5), json!(1.5)),
            ("bigdecimal", json!("-1.50"), json!("-1.50")),
            (
                "date",
                json!("2026-01-31T12:00:00.000Z"),
                json!("2026-01-31T12:00:00.000Z"),
            ),
            ("date", json!(7), json!(7)),
            ("string", json!("abc"), json!("abc")),
            ("array<int>", json!([1, "2"]), json!([1, 2])),
            (
                "map<string,boolean>",
                json!({"a": true}),
                json!({"a": true}),
            ),
        ] {
            assert_eq!(normal(name, value), Some(kept), "{name}");
        }
        for (name, value) in [
            ("int", json!(2_147_483_648_i64)),
            ("byte", json!(128)),
            ("int", json!(1.5)),
            ("boolean", json!("yes")),
            ("double", json!("NaN")),
            ("biginteger", json!("1x")),
            ("date", json!("yesterday")),
            ("string", json!("abcd")),
            ("string", json!(1)),
            ("array<int>", json!(1)),
            ("array<int>", json!(["x"])),
        ] {
            assert_eq!(normal(name, value.clone()), None, "{name} {value}");
        }
        for name in [
            "",
            "Integer",
            "array<>",
            "array<array<int>>",
            "map<int,int>",
            "hive_table",
        ] {
            assert_eq!(AttributeType::of(name), None, "{name}");
        }
    }
}
