//! Avro's binary encoding to values, with the writer's schema resolved to a reader's (specification 1.12, "Schema
//! Resolution").
//!
//! The bytes are never trusted: every length is held against what is left, what costs no bytes (an array of nulls)
//! is counted, depth is bounded. Where the reader has a union, the branch is the first that `compare` finds
//! to read what was written, one of the same type before one that it is promoted to; so what a compatibility check lets
//! pass is decoded.

use std::collections::HashMap;

use super::AvroSchema;
use super::compare::Comparison;
use super::json::default_value;
use super::model::{Enum, Kind, Model, Primitive, Record, TypeId};
use super::value::{DataError, Value};
use crate::limits::DEPTH_MAX;

/// How many values may come without a byte for each.
const FREE_VALUES_MAX: usize = 1_000_000;

impl AvroSchema {
    /// The value that `bytes` hold, written with this schema.
    ///
    /// # Errors
    /// [`DataError::Bytes`] when they hold none, or more than one; [`DataError::TooComplex`].
    pub fn decode(&self, bytes: &[u8]) -> Result<Value, DataError> {
        let mut reader = Reader::new(&self.model, bytes);
        let value = reader.value(self.model.root, 0)?;
        reader.end()?;
        Ok(value)
    }

    /// The value that `bytes` hold, written with `writer`, as this schema has it.
    ///
    /// # Errors
    /// Those of [`AvroSchema::decode`]; [`DataError::Unresolved`] when this schema has no place for what was written.
    pub fn decode_from(&self, writer: &Self, bytes: &[u8]) -> Result<Value, DataError> {
        let mut resolver = Resolver {
            reader: &self.model,
            bytes: Reader::new(&writer.model, bytes),
            comparison: Comparison::new(&self.model, &writer.model),
            branches: HashMap::new(),
        };
        let value = resolver.value(self.model.root, writer.model.root, 0)?;
        resolver.bytes.end()?;
        Ok(value)
    }
}

struct Reader<'a> {
    model: &'a Model,
    bytes: &'a [u8],
    at: usize,
    path: Vec<String>,
    /// How many more values there may be.
    room: usize,
}

impl<'a> Reader<'a> {
    fn new(model: &'a Model, bytes: &'a [u8]) -> Self {
        Self {
            model,
            bytes,
            at: 0,
            path: Vec::new(),
            room: bytes
                .len()
                .saturating_mul(4)
                .saturating_add(FREE_VALUES_MAX),
        }
    }

    fn error(&self, what: impl Into<String>) -> DataError {
        DataError::Bytes {
            at: self.at,
            path: self.place(),
            what: what.into(),
        }
    }

    fn place(&self) -> String {
        format!("/{}", self.path.join("/"))
    }

    fn end(&self) -> Result<(), DataError> {
        if self.at < self.bytes.len() {
            return Err(self.error(format!(
                "{} bytes are left after the value",
                self.bytes.len() - self.at
            )));
        }
        Ok(())
    }

    /// Counts one value at `depth`.
    fn count(&mut self, depth: usize) -> Result<(), DataError> {
        if depth > DEPTH_MAX {
            return Err(DataError::TooComplex {
                what: "the depth of the data",
                max: DEPTH_MAX,
            });
        }
        self.room = self.room.checked_sub(1).ok_or(DataError::TooComplex {
            what: "values that take no bytes",
            max: FREE_VALUES_MAX,
        })?;
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], DataError> {
        let end = self.at.checked_add(count);
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(taken) => {
                self.at += count;
                Ok(taken)
            }
            None => Err(self.error(format!(
                "{count} bytes are expected, {} are left",
                self.bytes.len() - self.at
            ))),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DataError> {
        let mut out = [0; N];
        for (out, byte) in out.iter_mut().zip(self.take(N)?) {
            *out = *byte;
        }
        Ok(out)
    }

    fn long(&mut self) -> Result<i64, DataError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(self.error("a number of more than 64 bits"))
    }

    fn int(&mut self) -> Result<i32, DataError> {
        let number = self.long()?;
        i32::try_from(number).map_err(|_| self.error(format!("{number} is no int")))
    }

    fn data(&mut self) -> Result<&'a [u8], DataError> {
        let length = self.long()?;
        let length = usize::try_from(length)
            .map_err(|_| self.error(format!("Malformed data. Length is negative: {length}")))?;
        self.take(length)
    }

    fn string(&mut self) -> Result<String, DataError> {
        let data = self.data()?;
        String::from_utf8(data.to_vec()).map_err(|_| self.error("a string that is not UTF-8"))
    }

    fn index(&mut self, count: usize, what: &str) -> Result<usize, DataError> {
        let number = self.long()?;
        match usize::try_from(number) {
            Ok(index) if index < count => Ok(index),
            _ => Err(self.error(format!("{number} is none of the {count} {what}"))),
        }
    }

    /// The size of the next block of an array or map; 0 at its end.
    fn block(&mut self) -> Result<usize, DataError> {
        let count = self.long()?;
        if count < 0 {
            // The size in bytes, for those who want to pass over the block.
            self.long()?;
        }
        usize::try_from(count.unsigned_abs())
            .map_err(|_| self.error(format!("a block of {count} items")))
    }

    fn value(&mut self, id: TypeId, depth: usize) -> Result<Value, DataError> {
        self.count(depth)?;
        let depth = depth + 1;
        match &self.model.get(id).kind {
            Kind::Primitive(primitive) => self.primitive(*primitive),
            Kind::Fixed(fixed) => Ok(Value::Fixed(self.take(fixed.size as usize)?.to_vec())),
            Kind::Enum(enumeration) => self.symbol(enumeration).map(Value::Enum),
            Kind::Array(inner) => {
                let mut items = Vec::new();
                loop {
                    let count = self.block()?;
                    if count == 0 {
                        return Ok(Value::Array(items));
                    }
                    for _ in 0..count {
                        items.push(self.value(*inner, depth)?);
                    }
                }
            }
            Kind::Map(inner) => {
                let mut entries = Vec::new();
                loop {
                    let count = self.block()?;
                    if count == 0 {
                        return Ok(Value::Map(entries));
                    }
                    for _ in 0..count {
                        let name = self.string()?;
                        entries.push((name, self.value(*inner, depth)?));
                    }
                }
            }
            Kind::Union(branches) => {
                let at = self.index(branches.len(), "branches of the union")?;
                let branch = branches.get(at).copied();
                let branch = branch.ok_or_else(|| self.error("no such branch"))?;
                Ok(Value::Union(at, Box::new(self.value(branch, depth)?)))
            }
            Kind::Record(record) => {
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    self.path.push(field.name.clone());
                    fields.push((field.name.clone(), self.value(field.type_id, depth)?));
                    self.path.pop();
                }
                Ok(Value::Record(fields))
            }
            Kind::Forward => Err(self.error("a type without definition")),
        }
    }

    fn symbol(&mut self, enumeration: &Enum) -> Result<String, DataError> {
        let at = self.index(enumeration.symbols.len(), "symbols")?;
        let symbol = enumeration.symbols.get(at).cloned();
        symbol.ok_or_else(|| self.error("no such symbol"))
    }

    fn primitive(&mut self, primitive: Primitive) -> Result<Value, DataError> {
        Ok(match primitive {
            Primitive::Null => Value::Null,
            Primitive::Boolean => match self.array()? {
                [0] => Value::Boolean(false),
                [1] => Value::Boolean(true),
                [other] => return Err(self.error(format!("{other} is no boolean"))),
            },
            Primitive::Int => Value::Int(self.int()?),
            Primitive::Long => Value::Long(self.long()?),
            Primitive::Float => Value::Float(f32::from_le_bytes(self.array()?)),
            Primitive::Double => Value::Double(f64::from_le_bytes(self.array()?)),
            Primitive::Bytes => Value::Bytes(self.data()?.to_vec()),
            Primitive::String => Value::String(self.string()?),
        })
    }
}

struct Resolver<'a> {
    reader: &'a Model,
    /// What is left of the data, with the writer's schema.
    bytes: Reader<'a>,
    comparison: Comparison<'a>,
    /// Which branch of a reader's union takes a writer's type.
    branches: HashMap<(TypeId, TypeId), Option<usize>>,
}

impl<'a> Resolver<'a> {
    fn unresolved(&self, what: impl Into<String>) -> DataError {
        DataError::Unresolved {
            path: self.bytes.place(),
            what: what.into(),
        }
    }

    fn value(&mut self, reads: TypeId, wrote: TypeId, depth: usize) -> Result<Value, DataError> {
        self.bytes.count(depth)?;
        let depth = depth + 1;
        let reader = self.reader.get(reads);
        let writer = self.bytes.model.get(wrote);
        match (&reader.kind, &writer.kind) {
            (_, Kind::Union(branches)) => {
                let at = self.bytes.index(branches.len(), "branches of the union")?;
                let branch = branches.get(at).copied();
                let branch = branch.ok_or_else(|| self.unresolved("no such branch"))?;
                self.value(reads, branch, depth)
            }
            (Kind::Union(branches), _) => {
                let at = self.branch(reads, wrote, branches)?;
                let branch = at.and_then(|at| Some((at, *branches.get(at)?)));
                let Some((at, branch)) = branch else {
                    return Err(self.unresolved(format!(
                        "{}, because no branch of the union reads it",
                        writer.union_name()
                    )));
                };
                Ok(Value::Union(
                    at,
                    Box::new(self.value(branch, wrote, depth)?),
                ))
            }
            (Kind::Primitive(reads), Kind::Primitive(wrote)) => {
                let value = self.bytes.primitive(*wrote)?;
                self.promote(value, *wrote, *reads)
            }
            (Kind::Array(reads), Kind::Array(wrote)) => self.array(*reads, *wrote, depth),
            (Kind::Map(reads), Kind::Map(wrote)) => self.map(*reads, *wrote, depth),
            (Kind::Fixed(reads), Kind::Fixed(wrote)) if reads.size == wrote.size => {
                Ok(Value::Fixed(self.bytes.take(wrote.size as usize)?.to_vec()))
            }
            (Kind::Enum(reads), Kind::Enum(wrote)) => {
                let symbol = self.bytes.symbol(wrote)?;
                if reads.symbols.contains(&symbol) {
                    return Ok(Value::Enum(symbol));
                }
                let default = reads.default.clone().map(Value::Enum);
                default.ok_or_else(|| self.unresolved(format!("the symbol {symbol}")))
            }
            (Kind::Record(reads), Kind::Record(wrote)) => self.record(reads, wrote, depth),
            _ => Err(self.unresolved(format!(
                "{} as {}",
                writer.union_name(),
                reader.union_name()
            ))),
        }
    }

    fn array(&mut self, reads: TypeId, wrote: TypeId, depth: usize) -> Result<Value, DataError> {
        let mut items = Vec::new();
        loop {
            let count = self.bytes.block()?;
            if count == 0 {
                return Ok(Value::Array(items));
            }
            for _ in 0..count {
                items.push(self.value(reads, wrote, depth)?);
            }
        }
    }

    fn map(&mut self, reads: TypeId, wrote: TypeId, depth: usize) -> Result<Value, DataError> {
        let mut entries = Vec::new();
        loop {
            let count = self.bytes.block()?;
            if count == 0 {
                return Ok(Value::Map(entries));
            }
            for _ in 0..count {
                let name = self.bytes.string()?;
                entries.push((name, self.value(reads, wrote, depth)?));
            }
        }
    }

    /// The branch that reads what was written: one of the same type before any other.
    fn branch(
        &mut self,
        union: TypeId,
        wrote: TypeId,
        branches: &[TypeId],
    ) -> Result<Option<usize>, DataError> {
        if let Some(known) = self.branches.get(&(union, wrote)) {
            return Ok(*known);
        }
        let word = self.bytes.model.get(wrote).word();
        let name = self.bytes.model.get(wrote).union_name();
        let mut best = None;
        for (at, branch) in branches.iter().enumerate() {
            let reads = self.comparison.reads(*branch, wrote);
            if !reads.map_err(|error| self.unresolved(error.to_string()))? {
                continue;
            }
            let branch = self.reader.get(*branch);
            let rank = match (branch.union_name() == name, branch.word() == word) {
                (true, _) => 0,
                (_, true) => 1,
                _ => 2,
            };
            if best.is_none_or(|(known, _)| rank < known) {
                best = Some((rank, at));
            }
        }
        let at = best.map(|(_, at)| at);
        self.branches.insert((union, wrote), at);
        Ok(at)
    }

    fn record(
        &mut self,
        reads: &'a Record,
        wrote: &'a Record,
        depth: usize,
    ) -> Result<Value, DataError> {
        let mut found: Vec<Option<Value>> = vec![None; reads.fields.len()];
        for written in &wrote.fields {
            self.bytes.path.push(written.name.clone());
            let place = reads.index.get(&written.name).copied().or_else(|| {
                let is_alias = |alias: &String| *alias == written.name;
                reads
                    .fields
                    .iter()
                    .position(|field| field.aliases.iter().any(is_alias))
            });
            match place.and_then(|at| Some((reads.fields.get(at)?, found.get_mut(at)?))) {
                Some((field, slot)) => {
                    *slot = Some(self.value(field.type_id, written.type_id, depth)?);
                }
                // Passed over.
                None => drop(self.bytes.value(written.type_id, depth)?),
            }
            self.bytes.path.pop();
        }
        let mut fields = Vec::with_capacity(found.len());
        for (field, value) in reads.fields.iter().zip(found) {
            let value = match (value, &field.default) {
                (Some(value), _) => value,
                (None, Some(default)) => default_value(self.reader, field.type_id, default)?,
                (None, None) => {
                    return Err(self.unresolved(format!(
                        "a record without the field {}, which has no default",
                        field.name
                    )));
                }
            };
            fields.push((field.name.clone(), value));
        }
        Ok(Value::Record(fields))
    }

    fn promote(
        &self,
        value: Value,
        wrote: Primitive,
        reads: Primitive,
    ) -> Result<Value, DataError> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "the nearest float is what the specification asks for"
        )]
        let promoted = match (reads, value) {
            (Primitive::Long, Value::Int(number)) => Value::Long(i64::from(number)),
            (Primitive::Float, Value::Int(number)) => Value::Float(number as f32),
            (Primitive::Float, Value::Long(number)) => Value::Float(number as f32),
            (Primitive::Double, Value::Int(number)) => Value::Double(f64::from(number)),
            (Primitive::Double, Value::Long(number)) => Value::Double(number as f64),
            (Primitive::Double, Value::Float(number)) => Value::Double(f64::from(number)),
            (Primitive::Bytes, Value::String(text)) => Value::Bytes(text.into_bytes()),
            (Primitive::String, Value::Bytes(bytes)) => match String::from_utf8(bytes) {
                Ok(text) => Value::String(text),
                Err(_) => return Err(self.unresolved("bytes that are not UTF-8 as string")),
            },
            (reads, value) if reads == wrote => value,
            _ => {
                return Err(self.unresolved(format!("{} as {}", wrote.name(), reads.name())));
            }
        };
        Ok(promoted)
    }
}
