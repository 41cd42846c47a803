//! Values to Avro's binary encoding (specification 1.12, "Binary encoding").

use super::AvroSchema;
use super::model::{Kind, Model, Primitive, TypeId};
use super::value::{DataError, Value};

impl AvroSchema {
    /// The bytes of a value.
    ///
    /// # Errors
    /// [`DataError::Mismatch`] when the value is none of this schema.
    pub fn encode(&self, value: &Value) -> Result<Vec<u8>, DataError> {
        let mut writer = Writer {
            model: &self.model,
            path: Vec::new(),
            out: Vec::new(),
        };
        writer.value(self.model.root, value)?;
        Ok(writer.out)
    }
}

/// Whether a value can be one of the type, by its outermost layer.
pub(crate) fn fits(model: &Model, id: TypeId, value: &Value) -> bool {
    match (&model.get(id).kind, value) {
        (Kind::Primitive(primitive), value) => matches!(
            (primitive, value),
            (Primitive::Null, Value::Null)
                | (Primitive::Boolean, Value::Boolean(_))
                | (Primitive::Int, Value::Int(_))
                | (Primitive::Long, Value::Long(_))
                | (Primitive::Float, Value::Float(_))
                | (Primitive::Double, Value::Double(_))
                | (Primitive::Bytes, Value::Bytes(_))
                | (Primitive::String, Value::String(_))
        ),
        (Kind::Array(_), Value::Array(_)) | (Kind::Map(_), Value::Map(_)) => true,
        (Kind::Union(branches), Value::Union(at, _)) => *at < branches.len(),
        (Kind::Enum(enumeration), Value::Enum(symbol)) => enumeration.symbols.contains(symbol),
        (Kind::Fixed(fixed), Value::Fixed(bytes)) => bytes.len() == fixed.size as usize,
        (Kind::Record(record), Value::Record(entries)) => {
            record.fields.len() == entries.len()
                && record
                    .fields
                    .iter()
                    .zip(entries)
                    .all(|(field, (name, _))| field.name == *name)
        }
        _ => false,
    }
}

struct Writer<'a, 'v> {
    model: &'a Model,
    path: Vec<&'v str>,
    out: Vec<u8>,
}

impl<'v> Writer<'_, 'v> {
    fn value(&mut self, id: TypeId, value: &'v Value) -> Result<(), DataError> {
        if !fits(self.model, id, value) {
            return Err(DataError::Mismatch {
                path: format!("/{}", self.path.join("/")),
                what: format!("{value:?} is no {}", self.model.get(id).union_name()),
            });
        }
        match (&self.model.get(id).kind, value) {
            (Kind::Union(branches), Value::Union(at, inner)) => {
                self.length(*at);
                match branches.get(*at) {
                    Some(branch) => self.value(*branch, inner)?,
                    None => return Ok(()),
                }
            }
            (Kind::Array(inner), Value::Array(items)) => {
                if !items.is_empty() {
                    self.length(items.len());
                    for item in items {
                        self.value(*inner, item)?;
                    }
                }
                self.length(0);
            }
            (Kind::Map(inner), Value::Map(entries)) => {
                if !entries.is_empty() {
                    self.length(entries.len());
                    for (name, item) in entries {
                        self.bytes(name.as_bytes());
                        self.path.push(name);
                        self.value(*inner, item)?;
                        self.path.pop();
                    }
                }
                self.length(0);
            }
            (Kind::Record(record), Value::Record(entries)) => {
                for (field, (name, item)) in record.fields.iter().zip(entries) {
                    self.path.push(name);
                    self.value(field.type_id, item)?;
                    self.path.pop();
                }
            }
            (Kind::Enum(enumeration), Value::Enum(symbol)) => {
                let at = enumeration.symbols.iter().position(|known| known == symbol);
                self.length(at.unwrap_or_default());
            }
            (_, value) => self.scalar(value),
        }
        Ok(())
    }

    fn scalar(&mut self, value: &Value) {
        match value {
            Value::Boolean(value) => self.out.push(u8::from(*value)),
            Value::Int(number) => self.long(i64::from(*number)),
            Value::Long(number) => self.long(*number),
            Value::Float(number) => self.out.extend_from_slice(&number.to_le_bytes()),
            Value::Double(number) => self.out.extend_from_slice(&number.to_le_bytes()),
            Value::Bytes(bytes) => self.bytes(bytes),
            Value::String(text) => self.bytes(text.as_bytes()),
            Value::Fixed(bytes) => self.out.extend_from_slice(bytes),
            // Null is nothing, and the rest is not scalar.
            _ => {}
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    fn length(&mut self, length: usize) {
        // No length in memory is beyond an i64.
        self.long(i64::try_from(length).unwrap_or(i64::MAX));
    }

    fn long(&mut self, number: i64) {
        // Zigzag: the sign is the lowest bit.
        let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
        loop {
            let low = u8::try_from(rest & 0x7f).unwrap_or_default();
            rest >>= 7;
            if rest == 0 {
                self.out.push(low);
                return;
            }
            self.out.push(low | 0x80);
        }
    }
}
