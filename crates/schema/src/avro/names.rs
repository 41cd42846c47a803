//! What a name may be, and which defaults fit a type.
//!
//! Names follow `NameValidator.UTF_VALIDATOR` of Avro's Java library (1.12): letters of any script, digits, underscore.
//! Differs: a namespace with other characters, a dash most of all, is let pass in schemas that are not new, because
//! registries with Avro before 1.12 took them.

use serde_json::Value;

use super::model::{Kind, Model, Primitive, TypeId};
use crate::limits::{COMPARISONS_MAX, DEPTH_MAX};

/// Why `name` is not one; none if it is.
pub(crate) fn check_name(name: &str) -> Option<String> {
    let mut chars = name.chars();
    let Some(first) = chars.next() else {
        return Some("Empty name".to_owned());
    };
    // Java looks at UTF-16 units, of which a pair is not a letter.
    let is_letter = |ch: char| ch == '_' || (ch.is_alphabetic() && u32::from(ch) < 0x1_0000);
    if !is_letter(first) {
        return Some(format!(
            "Illegal initial character: {name}; a name starts with a letter or an underscore"
        ));
    }
    let is_part = |ch: char| is_letter(ch) || (ch.is_alphanumeric() && u32::from(ch) < 0x1_0000);
    (!chars.all(is_part)).then(|| {
        format!("Illegal character in: {name}; a name has letters, digits and underscores only")
    })
}

/// Whether `value` can stand for a value of the type (`Schema.isValidDefault`).
pub(crate) fn is_valid_default(model: &Model, id: TypeId, value: &Value) -> bool {
    // A record's default may leave fields to their own defaults, and those may do so in a circle.
    let mut check = DefaultCheck { model, steps: 0 };
    check.fits(id, value, 0)
}

struct DefaultCheck<'a> {
    model: &'a Model,
    steps: usize,
}

impl DefaultCheck<'_> {
    fn fits(&mut self, id: TypeId, value: &Value, depth: usize) -> bool {
        self.steps += 1;
        if depth > DEPTH_MAX || self.steps > COMPARISONS_MAX {
            return false;
        }
        match &self.model.get(id).kind {
            Kind::Primitive(primitive) => fits_primitive(*primitive, value),
            Kind::Enum(_) | Kind::Fixed(_) => value.is_string(),
            Kind::Array(inner) => value
                .as_array()
                .is_some_and(|items| items.iter().all(|item| self.fits(*inner, item, depth + 1))),
            Kind::Map(inner) => value
                .as_object()
                .is_some_and(|map| map.values().all(|item| self.fits(*inner, item, depth + 1))),
            Kind::Union(branches) => branches
                .iter()
                .any(|branch| self.fits(*branch, value, depth + 1)),
            Kind::Record(record) => value.as_object().is_some_and(|map| {
                record.fields.iter().all(|field| {
                    map.get(&field.name)
                        .or(field.default.as_ref())
                        .is_some_and(|value| self.fits(field.type_id, value, depth + 1))
                })
            }),
            Kind::Forward => false,
        }
    }
}

fn fits_primitive(primitive: Primitive, value: &Value) -> bool {
    match primitive {
        Primitive::Null => value.is_null(),
        Primitive::Boolean => value.is_boolean(),
        Primitive::Int => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        Primitive::Long => value.as_i64().is_some(),
        Primitive::Float | Primitive::Double => value.is_number(),
        Primitive::Bytes | Primitive::String => value.is_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_letters_digits_and_underscores() {
        for name in ["a", "_", "A1", "größe", "数据", "a_b"] {
            assert_eq!(check_name(name), None, "{name}");
        }
        for name in ["", "1a", "a-b", "a b", "a.b", "a$", "😀", "a\u{301}"] {
            assert!(check_name(name).is_some(), "{name}");
        }
    }
}
