//! The rules of single fields: types, labels, defaults, options.

use super::Check;
use super::enums::is_closed;
use crate::error::SchemaError;
use crate::protobuf::ast::{Field, FieldType, Label, Scalar, Syntax, Value};
use crate::protobuf::lexer::integer;
use crate::protobuf::names::{Declared, join};

impl Check<'_> {
    pub(super) fn field(
        &self,
        field: &Field,
        scope: &str,
        in_oneof: bool,
    ) -> Result<(), SchemaError> {
        let full = join(scope, &field.name);
        match &field.kind {
            FieldType::Map(key, value) => {
                if matches!(key, Scalar::Float | Scalar::Double | Scalar::Bytes) {
                    let rule = format!("the keys of a map cannot be {}", key.name());
                    return self.invalid(field.at, &full, rule);
                }
                if in_oneof {
                    return self.invalid(field.at, &full, "a map cannot be in a oneof");
                }
                self.named_type(field, value, scope, &full)?;
            }
            kind => self.named_type(field, kind, scope, &full)?,
        }
        self.default_value(field, scope, &full)?;
        if let Some(packed) = field.option("packed")
            && packed.value == Value::Bool(true)
            && (field.label != Some(Label::Repeated) || !self.is_packable(&field.kind, scope))
        {
            let rule = "packed is for repeated fields of numbers, bool and enums";
            return self.invalid(packed.at, &full, rule);
        }
        Ok(())
    }

    fn named_type(
        &self,
        field: &Field,
        kind: &FieldType,
        scope: &str,
        full: &str,
    ) -> Result<(), SchemaError> {
        let FieldType::Named(name) = kind else {
            return Ok(());
        };
        let (type_name, named) = self.find(name, scope, field.at, full)?;
        self.visible(&type_name, named, field.at, full)?;
        let syntax = named.source.file.syntax();
        if let Declared::Enum(each) = named.declared
            && self.syntax == Syntax::Proto3
            && is_closed(each, &syntax, &named.source.file.options)
        {
            let rule = format!(
                "{type_name:?} is a closed enum, which proto3 cannot hold: move it to a proto3 file"
            );
            return self.invalid(field.at, full, rule);
        }
        Ok(())
    }

    fn is_packable(&self, kind: &FieldType, scope: &str) -> bool {
        match kind {
            FieldType::Scalar(scalar) => !matches!(scalar, Scalar::String | Scalar::Bytes),
            FieldType::Named(name) => matches!(
                self.names.resolve(name, scope),
                Some((_, named)) if matches!(named.declared, Declared::Enum(_))
            ),
            FieldType::Map(..) => false,
        }
    }

    fn default_value(&self, field: &Field, scope: &str, full: &str) -> Result<(), SchemaError> {
        let Some(default) = field.option("default") else {
            return Ok(());
        };
        if self.syntax == Syntax::Proto3 {
            let rule = "explicit default values are not allowed in proto3";
            return self.invalid(default.at, full, rule);
        }
        if field.label == Some(Label::Repeated) {
            return self.invalid(
                default.at,
                full,
                "a repeated field cannot have a default value",
            );
        }
        match &field.kind {
            FieldType::Scalar(scalar) if fits(*scalar, &default.value) => Ok(()),
            FieldType::Scalar(scalar) => {
                let rule = format!("the default value is no {}", scalar.name());
                self.invalid(default.at, full, rule)
            }
            FieldType::Map(..) => {
                self.invalid(default.at, full, "a map cannot have a default value")
            }
            FieldType::Named(name) => {
                let (type_name, named) = self.find(name, scope, field.at, full)?;
                let Declared::Enum(each) = named.declared else {
                    return self.invalid(default.at, full, "a message cannot have a default value");
                };
                let known =
                    |word: &str| each.constants.iter().any(|constant| constant.name == word);
                match &default.value {
                    Value::Word(word) if known(word) => Ok(()),
                    _ => {
                        let rule =
                            format!("the default value is no value of the enum {type_name:?}");
                        self.invalid(default.at, full, rule)
                    }
                }
            }
        }
    }
}

/// Whether the value can be one of that type.
fn fits(scalar: Scalar, value: &Value) -> bool {
    let whole = |signed: bool, bits: u32| match value {
        Value::Number(text) => {
            let (negative, digits) = match text.strip_prefix('-') {
                Some(digits) => (true, digits),
                None => (false, text.as_str()),
            };
            let Some(number) = integer(digits) else {
                return false;
            };
            let number = i128::from(number);
            let number = if negative { -number } else { number };
            let magnitude = 1i128 << (if signed { bits - 1 } else { bits });
            let least = if signed { -magnitude } else { 0 };
            (least..magnitude).contains(&number)
        }
        _ => false,
    };
    match scalar {
        Scalar::Int32 | Scalar::Sint32 | Scalar::Sfixed32 => whole(true, 32),
        Scalar::Int64 | Scalar::Sint64 | Scalar::Sfixed64 => whole(true, 64),
        Scalar::Uint32 | Scalar::Fixed32 => whole(false, 32),
        Scalar::Uint64 | Scalar::Fixed64 => whole(false, 64),
        Scalar::Bool => matches!(value, Value::Bool(_)),
        Scalar::String | Scalar::Bytes => matches!(value, Value::Str(_)),
        Scalar::Float | Scalar::Double => match value {
            Value::Number(_) => true,
            Value::Word(word) => matches!(word.as_str(), "inf" | "infinity" | "nan"),
            _ => false,
        },
    }
}
