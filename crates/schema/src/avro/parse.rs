//! From text to [`Model`], as `Schema.Parser` of Avro's Java library (1.12) does it.
//!
//! A name may be used before it is defined; the same definition may come twice, a different one under the same name
//! may not. What Avro does not know is kept as a property, but for words that mean something elsewhere
//! (`SCHEMA_RESERVED`), which Java drops, too. Depth is bounded by the JSON reader, so recursion here is.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::model::{
    Enum, FORMAT, Field, Fixed, Kind, Model, Name, Named, Order, Primitive, Props, Record, Type,
    TypeId,
};
use super::names::{check_name, is_valid_default};
use super::print::definition;
use crate::error::SchemaError;
use crate::format::ParseOptions;
use crate::json_text;
use crate::limits::{REFERENCES_MAX, SCHEMA_BYTES_MAX};
use crate::model::ResolvedReference;

/// How many types a schema and its references may have, each use of a primitive one counted: the largest schemas in
/// public registries have some ten thousand.
const TYPES_MAX: usize = 250_000;

/// Attributes that are no properties of a type.
const TYPE_RESERVED: [&str; 10] = [
    "doc",
    "fields",
    "items",
    "name",
    "namespace",
    "size",
    "symbols",
    "values",
    "type",
    "aliases",
];
/// Attributes that are no properties of a field.
const FIELD_RESERVED: [&str; 6] = ["default", "doc", "name", "order", "type", "aliases"];

/// Reads `text` after the references, which may define what it names.
pub(crate) fn parse(
    text: &str,
    references: &[ResolvedReference],
    options: ParseOptions,
) -> Result<Model, SchemaError> {
    if references.len() > REFERENCES_MAX {
        return Err(SchemaError::TooComplex {
            what: "the references of a schema",
            max: REFERENCES_MAX,
        });
    }
    let mut parser = Parser {
        types: Vec::new(),
        names: HashMap::new(),
        path: Vec::new(),
        origin: String::new(),
        forwards: Vec::new(),
        unions: Vec::new(),
        defaults: Vec::new(),
        options,
    };
    let mut roots = Vec::new();
    for reference in references {
        parser.origin = format!("(reference {}) ", reference.name);
        // What a reference holds was let in when it was registered.
        parser.options.validate_new = false;
        roots.push(parser.text(&reference.schema)?);
    }
    parser.origin.clear();
    parser.options = options;
    let root = parser.text(text)?;
    parser.finish(root, roots)
}

struct Forward {
    id: TypeId,
    full: String,
    bare: String,
    path: String,
}

struct Parser {
    types: Vec<Type>,
    names: HashMap<String, TypeId>,
    path: Vec<Step>,
    /// Which reference the text is; empty for the schema itself.
    origin: String,
    forwards: Vec<Forward>,
    unions: Vec<(TypeId, String)>,
    /// Fields of new schemas whose default is to be checked: the record, the field's place, the path.
    defaults: Vec<(TypeId, usize, String)>,
    options: ParseOptions,
}

#[derive(Clone, Copy)]
enum Step {
    Word(&'static str),
    At(usize),
}

impl Parser {
    fn text(&mut self, text: &str) -> Result<TypeId, SchemaError> {
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(SchemaError::TooLarge {
                bytes: text.len(),
                max: SCHEMA_BYTES_MAX,
            });
        }
        let value = json_text::read(text).map_err(|error| SchemaError::Syntax {
            format: FORMAT,
            place: format!("{}{}", self.origin, error.place()),
            what: error.what,
        })?;
        self.path.clear();
        self.schema(&value, None)
    }

    fn here(&self) -> String {
        let mut path = self.origin.clone();
        for step in &self.path {
            path.push('/');
            match step {
                Step::Word(word) => path.push_str(word),
                Step::At(index) => path.push_str(&index.to_string()),
            }
        }
        if self.path.is_empty() {
            path.push('/');
        }
        path
    }

    fn invalid(&self, rule: impl Into<String>) -> SchemaError {
        SchemaError::Invalid {
            format: FORMAT,
            path: self.here(),
            rule: rule.into(),
        }
    }

    fn under<T>(&mut self, steps: &[Step], inner: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.path.len();
        self.path.extend_from_slice(steps);
        let result = inner(self);
        self.path.truncate(before);
        result
    }

    fn add(&mut self, kind: Kind, props: Props) -> Result<TypeId, SchemaError> {
        let number = u32::try_from(self.types.len()).ok();
        let Some(number) = number.filter(|_| self.types.len() < TYPES_MAX) else {
            return Err(SchemaError::TooComplex {
                what: "the types of a schema and its references",
                max: TYPES_MAX,
            });
        };
        self.types.push(Type { kind, props });
        Ok(TypeId(number))
    }

    fn schema(&mut self, value: &Value, space: Option<&str>) -> Result<TypeId, SchemaError> {
        match value {
            Value::String(name) => self.find(name, space),
            Value::Array(branches) => {
                let mut ids = Vec::with_capacity(branches.len());
                for (index, branch) in branches.iter().enumerate() {
                    ids.push(self.under(&[Step::At(index)], |parser| parser.schema(branch, space))?);
                }
                let id = self.add(Kind::Union(ids), Props::new())?;
                let path = self.here();
                self.unions.push((id, path));
                Ok(id)
            }
            Value::Object(map) => self.object(map, space),
            _ => Err(self.invalid(format!(
                "{} is no schema; a schema is the name of a type, an object with \"type\", or an array, which is a union",
                json_text::to_text(value)
            ))),
        }
    }

    fn object(
        &mut self,
        map: &Map<String, Value>,
        space: Option<&str>,
    ) -> Result<TypeId, SchemaError> {
        let Some(word) = text(map, "type") else {
            return Err(self.invalid(
                "No type: an object has the attribute \"type\" with the name of a type in it",
            ));
        };
        if let Some(primitive) = Primitive::of(word) {
            return self.add(Kind::Primitive(primitive), props(map, &TYPE_RESERVED));
        }
        match word {
            "record" | "error" => self.record(map, space, word == "error"),
            "enum" => self.enumeration(map, space),
            "fixed" => self.fixed(map, space),
            "array" => {
                let inner = self.inner(map, "items", space)?;
                self.add(Kind::Array(inner), props(map, &TYPE_RESERVED))
            }
            "map" => {
                let inner = self.inner(map, "values", space)?;
                self.add(Kind::Map(inner), props(map, &TYPE_RESERVED))
            }
            name => self.find(name, space),
        }
    }

    fn inner(
        &mut self,
        map: &Map<String, Value>,
        key: &'static str,
        space: Option<&str>,
    ) -> Result<TypeId, SchemaError> {
        match map.get(key) {
            Some(inner) => self.under(&[Step::Word(key)], |parser| parser.schema(inner, space)),
            None => Err(self.invalid(format!(
                "No {key} type: {} has the attribute {key:?}",
                if key == "items" { "an array" } else { "a map" }
            ))),
        }
    }

    /// The type that `name` means; one that is yet to come if nothing of that name is known.
    fn find(&mut self, name: &str, space: Option<&str>) -> Result<TypeId, SchemaError> {
        if let Some(primitive) = Primitive::of(name) {
            return self.add(Kind::Primitive(primitive), Props::new());
        }
        let full = match space {
            Some(space) if !name.contains('.') => format!("{space}.{name}"),
            _ => name.to_owned(),
        };
        if let Some(&id) = self.names.get(&full).or_else(|| self.names.get(name)) {
            return Ok(id);
        }
        let id = self.add(Kind::Forward, Props::new())?;
        let path = self.here();
        self.forwards.push(Forward {
            id,
            full,
            bare: name.to_owned(),
            path,
        });
        Ok(id)
    }

    fn named(
        &mut self,
        map: &Map<String, Value>,
        space: Option<&str>,
    ) -> Result<Named, SchemaError> {
        let Some(written) = text(map, "name") else {
            return Err(self.invalid("No name in schema: records, enums and fixed types have one"));
        };
        let space = text(map, "namespace").or(space);
        let name = Name::new(written, space);
        self.check(&name.short, "name")?;
        if self.options.validate_new {
            for part in name.namespace.iter().flat_map(|space| space.split('.')) {
                self.check(part, "namespace")?;
            }
        }
        if Primitive::of(&name.full()).is_some() {
            return Err(self.invalid(format!(
                "Schemas may not be named after primitives: {}",
                name.full()
            )));
        }
        let mut aliases = Vec::new();
        let mut known = HashSet::new();
        for alias in self.aliases(map)? {
            let alias = Name::new(&alias, name.namespace.as_deref());
            self.check(&alias.short, "aliases")?;
            if known.insert(alias.full()) {
                aliases.push(alias);
            }
        }
        Ok(Named {
            name,
            doc: text(map, "doc").map(str::to_owned),
            aliases,
        })
    }

    fn check(&mut self, name: &str, word: &'static str) -> Result<(), SchemaError> {
        match check_name(name) {
            None => Ok(()),
            Some(why) => self.under(&[Step::Word(word)], |parser| Err(parser.invalid(why))),
        }
    }

    fn aliases(&self, map: &Map<String, Value>) -> Result<Vec<String>, SchemaError> {
        let Some(value) = map.get("aliases") else {
            return Ok(Vec::new());
        };
        let Some(list) = value.as_array() else {
            return Err(self.invalid("aliases not an array of strings"));
        };
        let mut aliases: Vec<String> = Vec::new();
        let mut known = HashSet::new();
        for alias in list {
            let Some(alias) = alias.as_str() else {
                return Err(
                    self.invalid(format!("alias not a string: {}", json_text::to_text(alias)))
                );
            };
            if known.insert(alias) {
                aliases.push(alias.to_owned());
            }
        }
        Ok(aliases)
    }

    fn record(
        &mut self,
        map: &Map<String, Value>,
        space: Option<&str>,
        is_error: bool,
    ) -> Result<TypeId, SchemaError> {
        let named = self.named(map, space)?;
        let Some(list) = map.get("fields").and_then(Value::as_array) else {
            return Err(self.invalid(format!(
                "Record has no fields: {} has the attribute \"fields\" with an array",
                named.name.full()
            )));
        };
        let mut fields: Vec<Field> = Vec::with_capacity(list.len());
        let mut index = HashMap::with_capacity(list.len());
        for (at, field) in list.iter().enumerate() {
            let steps = [Step::Word("fields"), Step::At(at)];
            let field = self.under(&steps, |parser| {
                let field = parser.field(field, named.name.namespace.as_deref())?;
                if index.insert(field.name.clone(), at).is_some() {
                    return Err(parser.invalid(format!(
                        "Duplicate field {} in record {}",
                        field.name,
                        named.name.full()
                    )));
                }
                Ok(field)
            })?;
            fields.push(field);
        }
        let record = Record {
            named,
            is_error,
            fields,
            index,
        };
        self.define(Kind::Record(record), props(map, &TYPE_RESERVED))
    }

    fn field(&mut self, value: &Value, space: Option<&str>) -> Result<Field, SchemaError> {
        let empty = Map::new();
        let map = value.as_object().unwrap_or(&empty);
        let Some(name) = text(map, "name") else {
            return Err(self.invalid("No field name: a field is an object with a \"name\""));
        };
        self.check(name, "name")?;
        let Some(inner) = map.get("type") else {
            return Err(self.invalid(format!(
                "No field type: the field {name:?} has the attribute \"type\""
            )));
        };
        let type_id = self.under(&[Step::Word("type")], |parser| parser.schema(inner, space))?;
        let order = match map.get("order") {
            None => Order::Ascending,
            Some(order) => match order.as_str().map(str::to_ascii_lowercase).as_deref() {
                Some("ascending") => Order::Ascending,
                Some("descending") => Order::Descending,
                Some("ignore") => Order::Ignore,
                _ => {
                    return Err(
                        self.invalid("order is \"ascending\", \"descending\" or \"ignore\"")
                    );
                }
            },
        };
        Ok(Field {
            name: name.to_owned(),
            type_id,
            doc: text(map, "doc").map(str::to_owned),
            default: self.default(map, type_id)?,
            order,
            aliases: self.aliases(map)?,
            props: props(map, &FIELD_RESERVED),
        })
    }

    /// The default of a field; that of a float may be written as a string.
    fn default(
        &self,
        map: &Map<String, Value>,
        type_id: TypeId,
    ) -> Result<Option<Value>, SchemaError> {
        let kind = self.types.get(type_id.0 as usize).map(|found| &found.kind);
        match (map.get("default"), kind) {
            (
                Some(Value::String(number)),
                Some(Kind::Primitive(Primitive::Float | Primitive::Double)),
            ) => match number
                .trim()
                .parse::<f64>()
                .ok()
                .and_then(serde_json::Number::from_f64)
            {
                Some(number) => Ok(Some(Value::Number(number))),
                None => Err(self.invalid(format!("Invalid default: {number:?} is not a number"))),
            },
            (default, _) => Ok(default.cloned()),
        }
    }

    fn enumeration(
        &mut self,
        map: &Map<String, Value>,
        space: Option<&str>,
    ) -> Result<TypeId, SchemaError> {
        let named = self.named(map, space)?;
        let Some(list) = map.get("symbols").and_then(Value::as_array) else {
            return Err(self.invalid(
                "Enum has no symbols: it has the attribute \"symbols\" with an array of names",
            ));
        };
        let mut symbols: Vec<String> = Vec::with_capacity(list.len());
        let mut known = HashSet::with_capacity(list.len());
        for (at, symbol) in list.iter().enumerate() {
            let steps = [Step::Word("symbols"), Step::At(at)];
            self.under(&steps, |parser| {
                let symbol = symbol
                    .as_str()
                    .ok_or_else(|| parser.invalid("Null name: a symbol is a string"))?;
                match check_name(symbol) {
                    Some(why) => Err(parser.invalid(why)),
                    None if !known.insert(symbol) => {
                        Err(parser.invalid(format!("Duplicate enum symbol: {symbol}")))
                    }
                    None => {
                        symbols.push(symbol.to_owned());
                        Ok(())
                    }
                }
            })?;
        }
        let default = text(map, "default").map(str::to_owned);
        if let Some(default) = default
            .as_deref()
            .filter(|default| !known.contains(default))
        {
            return Err(self.invalid(format!(
                "The Enum Default: {default} is not in the enum symbol set: [{}]",
                symbols.join(", ")
            )));
        }
        let mut reserved = TYPE_RESERVED.to_vec();
        reserved.push("default");
        let kind = Kind::Enum(Enum {
            named,
            symbols,
            default,
        });
        self.define(kind, props(map, &reserved))
    }

    fn fixed(
        &mut self,
        map: &Map<String, Value>,
        space: Option<&str>,
    ) -> Result<TypeId, SchemaError> {
        let named = self.named(map, space)?;
        let size = map
            .get("size")
            .and_then(Value::as_i64)
            .and_then(|size| i32::try_from(size).ok())
            .and_then(|size| u32::try_from(size).ok());
        match size {
            Some(size) => self.define(
                Kind::Fixed(Fixed { named, size }),
                props(map, &TYPE_RESERVED),
            ),
            None => Err(self.invalid(
                "Invalid or no size: a fixed type has the attribute \"size\" with a number of bytes",
            )),
        }
    }

    /// Adds a named type, or finds that it is there already.
    fn define(&mut self, kind: Kind, props: Props) -> Result<TypeId, SchemaError> {
        let found = Type { kind, props };
        let full = found.union_name();
        if let Some(&known) = self.names.get(&full) {
            let same = self
                .types
                .get(known.0 as usize)
                .is_some_and(|known| self.shape(known) == self.shape(&found));
            return if same {
                Ok(known)
            } else {
                Err(self.invalid(format!(
                    "Can't redefine: {full} is defined before, differently"
                )))
            };
        }
        let id = self.add(found.kind, found.props)?;
        if self.options.validate_new
            && let Some(Type {
                kind: Kind::Record(record),
                ..
            }) = self.types.get(id.0 as usize)
        {
            let path = self.here();
            for (at, field) in record.fields.iter().enumerate() {
                if field.default.is_some() {
                    self.defaults.push((
                        id,
                        at,
                        format!("{}/fields/{at}", path.trim_end_matches('/')),
                    ));
                }
            }
        }
        self.names.insert(full, id);
        Ok(id)
    }

    /// A definition as text with every named type within by its name, to compare two.
    fn shape(&self, found: &Type) -> String {
        let forward = |id: TypeId| {
            // Numbers only grow, so the list is in their order.
            self.forwards
                .binary_search_by_key(&id, |forward| forward.id)
                .ok()
                .and_then(|at| self.forwards.get(at))
                .map_or("", |forward| forward.full.as_str())
        };
        definition(&self.types, found, &forward)
    }

    fn finish(mut self, root: TypeId, roots: Vec<TypeId>) -> Result<Model, SchemaError> {
        let mut targets = HashMap::new();
        for forward in &self.forwards {
            let found = self
                .names
                .get(&forward.full)
                .or_else(|| self.names.get(&forward.bare));
            match found {
                Some(&found) => targets.insert(forward.id, found),
                None => {
                    return Err(SchemaError::Unresolved {
                        format: FORMAT,
                        path: forward.path.clone(),
                        name: forward.full.clone(),
                    });
                }
            };
        }
        let target = |id: &mut TypeId| {
            if let Some(&found) = targets.get(id) {
                *id = found;
            }
        };
        for found in &mut self.types {
            match &mut found.kind {
                Kind::Array(inner) | Kind::Map(inner) => target(inner),
                Kind::Union(branches) => branches.iter_mut().for_each(target),
                Kind::Record(record) => record
                    .fields
                    .iter_mut()
                    .for_each(|field| target(&mut field.type_id)),
                Kind::Primitive(_) | Kind::Enum(_) | Kind::Fixed(_) | Kind::Forward => {}
            }
        }
        let mut model = Model {
            types: self.types,
            root,
            references: roots,
        };
        target(&mut model.root);
        model.references.iter_mut().for_each(target);
        check_unions(&model, &self.unions)?;
        model.check_depth()?;
        check_defaults(&model, &self.defaults)?;
        Ok(model)
    }
}

fn check_unions(model: &Model, unions: &[(TypeId, String)]) -> Result<(), SchemaError> {
    for (id, path) in unions {
        let mut known = HashSet::new();
        for branch in model.children(*id) {
            let branch = model.get(branch);
            let rule = match &branch.kind {
                Kind::Union(_) => "Nested union: a union has no union as a branch".to_owned(),
                _ if known.insert(branch.union_name()) => continue,
                _ => format!(
                    "Duplicate in union: {}; a union has each type that is not named once, and each name once",
                    branch.union_name()
                ),
            };
            return Err(SchemaError::Invalid {
                format: FORMAT,
                path: path.clone(),
                rule,
            });
        }
    }
    Ok(())
}

fn check_defaults(model: &Model, defaults: &[(TypeId, usize, String)]) -> Result<(), SchemaError> {
    for (id, at, path) in defaults {
        let Kind::Record(record) = &model.get(*id).kind else {
            continue;
        };
        let Some((field, default)) = record
            .fields
            .get(*at)
            .and_then(|field| Some((field, field.default.as_ref()?)))
        else {
            continue;
        };
        if !is_valid_default(model, field.type_id, default) {
            return Err(SchemaError::Invalid {
                format: FORMAT,
                path: path.clone(),
                rule: format!(
                    "Invalid default for field {}: {} not a {}",
                    field.name,
                    json_text::to_text(default),
                    super::print::brief(model, field.type_id)
                ),
            });
        }
    }
    Ok(())
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    map.get(key).and_then(Value::as_str)
}

fn props(map: &Map<String, Value>, reserved: &[&str]) -> Props {
    map.iter()
        .filter(|(name, _)| !reserved.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
