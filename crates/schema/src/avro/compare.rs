//! Whether one schema reads what another wrote, as `org.apache.avro.SchemaCompatibility` (1.12) answers it.
//!
//! The rules are Java's to the letter, where they are odd, too: names are compared without their namespace, logical
//! types count for nothing, string and bytes read each other. A pair of types is looked at once; one that is being
//! looked at counts as compatible, which ends recursion.
//!
//! **Bounds:** pairs by [`COMPARISONS_MAX`], depth by [`DEPTH_MAX`], what is listed by [`LISTED_MAX`].

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::model::{
    Enum, FORMAT, Field, Fixed, Kind, Model, Named, Primitive, Record, Type, TypeId,
};
use crate::compatibility::{Incompatibility, READER, WRITER};
use crate::error::SchemaError;
use crate::limits::{COMPARISONS_MAX, DEPTH_MAX};

/// How many incompatibilities a comparison lists; there may be more where types are used in many places.
const LISTED_MAX: usize = 1_000;

/// What stands in the way of reading `writer`'s data with `reader`.
pub(crate) fn reading(reader: &Model, writer: &Model) -> Result<Vec<Incompatibility>, SchemaError> {
    let found = Comparison::new(reader, writer).pair(reader.root, writer.root)?;
    Ok(found.as_ref().clone())
}

#[derive(Clone, Copy)]
enum Step {
    Word(&'static str),
    At(usize),
}

type Found = Rc<Vec<Incompatibility>>;

/// One comparison of two schemas, with what it has found so far.
pub(crate) struct Comparison<'a> {
    reader: &'a Model,
    writer: &'a Model,
    /// None: being looked at.
    seen: HashMap<(TypeId, TypeId), Option<Found>>,
    /// What is found where all is well.
    nothing: Found,
    location: Vec<Step>,
    depth: usize,
}

impl<'a> Comparison<'a> {
    pub(crate) fn new(reader: &'a Model, writer: &'a Model) -> Self {
        Self {
            reader,
            writer,
            seen: HashMap::new(),
            nothing: Rc::default(),
            location: Vec::new(),
            depth: 0,
        }
    }

    /// Whether the one type reads what the other wrote.
    pub(crate) fn reads(&mut self, reader: TypeId, writer: TypeId) -> Result<bool, SchemaError> {
        Ok(self.pair(reader, writer)?.is_empty())
    }

    fn pair(&mut self, reader: TypeId, writer: TypeId) -> Result<Found, SchemaError> {
        if self.is_plain(reader, writer) {
            // Most of any comparison, and not worth remembering.
            return Ok(Rc::clone(&self.nothing));
        }
        match self.seen.get(&(reader, writer)) {
            Some(Some(found)) => return Ok(Rc::clone(found)),
            Some(None) => return Ok(Rc::clone(&self.nothing)),
            None => {}
        }
        if self.seen.len() >= COMPARISONS_MAX {
            return Err(SchemaError::TooComplex {
                what: "the pairs of types of a comparison",
                max: COMPARISONS_MAX,
            });
        }
        if self.depth >= DEPTH_MAX {
            return Err(SchemaError::TooComplex {
                what: "the depth of types of a comparison",
                max: DEPTH_MAX,
            });
        }
        self.seen.insert((reader, writer), None);
        self.depth += 1;
        let mut found = Vec::new();
        let result = self.compare(reader, writer, &mut found);
        self.depth -= 1;
        result?;
        let found = if found.is_empty() {
            Rc::clone(&self.nothing)
        } else {
            Rc::new(found)
        };
        self.seen.insert((reader, writer), Some(Rc::clone(&found)));
        Ok(found)
    }

    /// Whether a primitive type is read by one, alone or in a union.
    fn is_plain(&self, reader: TypeId, writer: TypeId) -> bool {
        let Kind::Primitive(wrote) = self.writer.get(writer).kind else {
            return false;
        };
        let reads = |id: &TypeId| match self.reader.get(*id).kind {
            Kind::Primitive(reads) => promotes(wrote, reads),
            _ => false,
        };
        match &self.reader.get(reader).kind {
            Kind::Union(branches) => branches.iter().any(reads),
            _ => reads(&reader),
        }
    }

    fn pair_at(
        &mut self,
        step: Step,
        reader: TypeId,
        writer: TypeId,
        out: &mut Vec<Incompatibility>,
    ) -> Result<(), SchemaError> {
        self.location.push(step);
        let found = self.pair(reader, writer);
        self.location.pop();
        let room = LISTED_MAX.saturating_sub(out.len());
        out.extend(found?.iter().take(room).cloned());
        Ok(())
    }

    /// A pair whose own location does not matter, because the caller only asks whether it fits: Java starts a new
    /// path there.
    fn pair_apart(&mut self, reader: TypeId, writer: TypeId) -> Result<Found, SchemaError> {
        let location = std::mem::take(&mut self.location);
        let found = self.pair(reader, writer);
        self.location = location;
        found
    }

    fn compare(
        &mut self,
        reader_id: TypeId,
        writer_id: TypeId,
        out: &mut Vec<Incompatibility>,
    ) -> Result<(), SchemaError> {
        let reader: &'a Type = self.reader.get(reader_id);
        let writer: &'a Type = self.writer.get(writer_id);
        match (&reader.kind, &writer.kind) {
            (Kind::Primitive(reads), Kind::Primitive(wrote)) => {
                if !promotes(*wrote, *reads) {
                    self.type_mismatch(reader, writer, out);
                }
                Ok(())
            }
            (Kind::Array(reads), Kind::Array(wrote)) => {
                self.pair_at(Step::Word("items"), *reads, *wrote, out)
            }
            (Kind::Map(reads), Kind::Map(wrote)) => {
                self.pair_at(Step::Word("values"), *reads, *wrote, out)
            }
            (Kind::Fixed(reads), Kind::Fixed(wrote)) => {
                self.names(&reads.named, &wrote.named, out);
                self.fixed(reads, wrote, out);
                Ok(())
            }
            (Kind::Enum(reads), Kind::Enum(wrote)) => {
                self.names(&reads.named, &wrote.named, out);
                self.symbols(reads, wrote, out);
                Ok(())
            }
            (Kind::Record(reads), Kind::Record(wrote)) => {
                self.names(&reads.named, &wrote.named, out);
                self.fields(reads, wrote, writer_id, out)
            }
            (Kind::Union(_), Kind::Union(branches)) => {
                for (index, branch) in branches.iter().enumerate() {
                    if !self.pair_apart(reader_id, *branch)?.is_empty() {
                        self.location.push(Step::At(index));
                        let missing = self.writer.get(*branch);
                        self.missing_branch(missing, out);
                        self.location.pop();
                    }
                }
                Ok(())
            }
            (_, Kind::Union(branches)) => {
                for (index, branch) in branches.iter().enumerate() {
                    self.pair_at(Step::At(index), reader_id, *branch, out)?;
                }
                Ok(())
            }
            (Kind::Union(branches), _) => {
                for branch in branches {
                    if self.pair_apart(*branch, writer_id)?.is_empty() {
                        return Ok(());
                    }
                }
                self.missing_branch(writer, out);
                Ok(())
            }
            _ => {
                self.type_mismatch(reader, writer, out);
                Ok(())
            }
        }
    }

    fn fields(
        &mut self,
        reader: &'a Record,
        writer: &'a Record,
        writer_id: TypeId,
        out: &mut Vec<Incompatibility>,
    ) -> Result<(), SchemaError> {
        for (index, field) in reader.fields.iter().enumerate() {
            self.location.push(Step::Word("fields"));
            self.location.push(Step::At(index));
            let result = self.field(field, writer, writer_id, out);
            self.location.pop();
            self.location.pop();
            result?;
        }
        Ok(())
    }

    fn field(
        &mut self,
        field: &'a Field,
        writer: &'a Record,
        writer_id: TypeId,
        out: &mut Vec<Incompatibility>,
    ) -> Result<(), SchemaError> {
        if let Some(written) = self.written_field(field, writer)? {
            return self.pair_at(Step::Word("type"), field.type_id, written.type_id, out);
        }
        if field.default.is_some() {
            return Ok(());
        }
        if let Kind::Enum(Enum {
            default: Some(_), ..
        }) = &self.reader.get(field.type_id).kind
        {
            // Java compares the enum with the record then, which never fits.
            return self.pair_at(Step::Word("type"), field.type_id, writer_id, out);
        }
        let path = self.path();
        self.add(
            out,
            path.clone(),
            "READER_FIELD_MISSING_DEFAULT_VALUE",
            format!(
                "The field '{}' at path '{path}' in the {READER} schema has no default value and is missing in the {WRITER} schema",
                field.name
            ),
            field.name.clone(),
            format!(
                "Give the field '{0}' of the {READER} schema a default, or keep it in the {WRITER} schema",
                field.name
            ),
        );
        Ok(())
    }

    /// The writer's field that the reader's one means, by its name or one of its aliases.
    fn written_field(
        &self,
        field: &Field,
        writer: &'a Record,
    ) -> Result<Option<&'a Field>, SchemaError> {
        let mut found = std::iter::once(&field.name)
            .chain(&field.aliases)
            .filter_map(|name| writer.field(name));
        let first = found.next();
        if found.next().is_some() {
            return Err(SchemaError::Invalid {
                format: FORMAT,
                path: self.path(),
                rule: format!(
                    "Reader record field {} matches multiple fields in writer record schema {}",
                    field.name,
                    writer.named.name.full()
                ),
            });
        }
        Ok(first)
    }

    fn names(&mut self, reader: &Named, writer: &Named, out: &mut Vec<Incompatibility>) {
        let written = writer.name.full();
        let is_alias = |alias: &crate::avro::model::Name| {
            // An alias without a namespace on a name with one starts with a dot (`NamedSchema.getAliases`).
            (alias.namespace.is_some() || reader.name.namespace.is_none())
                && alias.full() == written
        };
        if reader.name.short == writer.name.short || reader.aliases.iter().any(is_alias) {
            return;
        }
        self.location.push(Step::Word("name"));
        let path = self.path();
        self.location.pop();
        self.add(
            out,
            path.clone(),
            "NAME_MISMATCH",
            format!("The name of the schema has changed (path '{path}')"),
            format!("expected: {written}"),
            format!(
                "Name it {} again, or add the alias {written:?} to {}",
                writer.name.short,
                reader.name.full()
            ),
        );
    }

    fn fixed(&mut self, reader: &Fixed, writer: &Fixed, out: &mut Vec<Incompatibility>) {
        if reader.size == writer.size {
            return;
        }
        self.location.push(Step::Word("size"));
        let path = self.path();
        self.location.pop();
        self.add(
            out,
            path.clone(),
            "FIXED_SIZE_MISMATCH",
            format!(
                "The size of FIXED type field at path '{path}' in the {READER} schema does not match with the {WRITER} schema"
            ),
            format!("expected: {}, found: {}", writer.size, reader.size),
            format!("Keep the size {} of {}; a new size needs a new name", writer.size, writer.named.name.full()),
        );
    }

    fn symbols(&mut self, reader: &Enum, writer: &Enum, out: &mut Vec<Incompatibility>) {
        if reader.default.is_some() {
            return;
        }
        let known: BTreeSet<&str> = reader.symbols.iter().map(String::as_str).collect();
        let missing: BTreeSet<&str> = writer
            .symbols
            .iter()
            .map(String::as_str)
            .filter(|symbol| !known.contains(symbol))
            .collect();
        if missing.is_empty() {
            return;
        }
        let list = missing.into_iter().collect::<Vec<_>>().join(", ");
        self.location.push(Step::Word("symbols"));
        let path = self.path();
        self.location.pop();
        self.add(
            out,
            path.clone(),
            "MISSING_ENUM_SYMBOLS",
            format!(
                "The {READER} schema is missing enum symbols '[{list}]' at path '{path}' in the {WRITER} schema"
            ),
            format!("[{list}]"),
            format!(
                "Keep the symbols {list} in {0}, or give {0} of the {READER} schema a \"default\" symbol",
                reader.named.name.full()
            ),
        );
    }

    fn missing_branch(&mut self, missing: &Type, out: &mut Vec<Incompatibility>) {
        let path = self.path();
        let name = missing.union_name();
        self.add(
            out,
            path.clone(),
            "MISSING_UNION_BRANCH",
            format!(
                "The {READER} schema is missing a type inside a union field at path '{path}' in the {WRITER} schema"
            ),
            format!("reader union lacking writer type: {}", word(missing)),
            format!("Add {name} to the union in the {READER} schema"),
        );
    }

    fn type_mismatch(&mut self, reader: &Type, writer: &Type, out: &mut Vec<Incompatibility>) {
        let path = self.path();
        let remedy = match (&reader.kind, &writer.kind) {
            (Kind::Primitive(reads), Kind::Primitive(wrote)) if promotes(*reads, *wrote) => {
                format!(
                    "Keep {} in the {READER} schema: {} reads {}, not the other way round",
                    wrote.name(),
                    wrote.name(),
                    reads.name()
                )
            }
            _ => format!(
                "Keep {0} in the {READER} schema, or make it a union of {0} and {1}",
                writer.union_name(),
                reader.union_name()
            ),
        };
        self.add(
            out,
            path.clone(),
            "TYPE_MISMATCH",
            format!(
                "The type (path '{path}') of a field in the {READER} schema does not match with the {WRITER} schema"
            ),
            format!(
                "reader type: {} not compatible with writer type: {}",
                word(reader),
                word(writer)
            ),
            remedy,
        );
    }

    fn add(
        &self,
        out: &mut Vec<Incompatibility>,
        path: String,
        rule: &'static str,
        description: String,
        additional_info: String,
        remedy: String,
    ) {
        if out.len() < LISTED_MAX {
            out.push(Incompatibility {
                rule,
                path,
                description,
                additional_info,
                remedy,
            });
        }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.location {
            path.push('/');
            match step {
                Step::Word(word) => path.push_str(word),
                Step::At(index) => path.push_str(&index.to_string()),
            }
        }
        if path.is_empty() {
            path.push('/');
        }
        path
    }
}

/// A type's word as Java's `Schema.Type` prints it.
fn word(found: &Type) -> String {
    found.word().to_ascii_uppercase()
}

/// Whether data of `wrote` is read as `reads`.
pub(crate) fn promotes(wrote: Primitive, reads: Primitive) -> bool {
    use Primitive::{Bytes, Double, Float, Int, Long, String};
    wrote == reads
        || matches!(
            (wrote, reads),
            (Int, Long | Float | Double)
                | (Long, Float | Double)
                | (Float, Double)
                | (String, Bytes)
                | (Bytes, String)
        )
}
