//! From the documents of a schema to its [`Model`].
//!
//! A schema object is taken apart keyword group by keyword group, as Everit's extractors do: `enum`, `allOf` and its
//! kin, `not`, `const`, `type` with the keywords of that type, and last the keywords of other types. One part is the
//! schema; several are an `allOf` of them.
//!
//! **Invariants:** recursion follows the nesting of the text, which the reader bounds; a `$ref` is put on a list
//! instead. A subschema is built once, however many references lead to it.
//!
//! **Not here:** whether a keyword's value makes sense beyond its JSON type; that is the meta-schema's
//! ([`super::meta`]).

use std::collections::HashMap;
use std::rc::Rc;

use super::dialect::Draft;
use super::documents::{Documents, Site, Target, base_within};
use super::model::{
    ArrayRules, Criterion, Kind, Model, NumberRules, ObjectRules, Rest, Schema, SchemaId,
    StringRules,
};
use super::node::{Node, Object};
use super::{number, pattern};
use crate::error::SchemaError;

const ARRAY_KEYWORDS: &[&str] = &[
    "items",
    "additionalItems",
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
];
const MODERN_ARRAY_KEYWORDS: &[&str] = &["prefixItems", "unevaluatedItems"];
const OBJECT_KEYWORDS: &[&str] = &[
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "dependencies",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
];
const MODERN_OBJECT_KEYWORDS: &[&str] = &[
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedProperties",
];
const NUMBER_KEYWORDS: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
];
const STRING_KEYWORDS: &[&str] = &["minLength", "maxLength", "pattern"];

/// The model of the schema whose documents these are.
///
/// # Errors
/// [`SchemaError::Unresolved`] for a reference that leads nowhere, [`SchemaError::Invalid`] for a keyword whose
/// value has the wrong JSON type.
pub(super) fn build(documents: &Documents<'_>) -> Result<Model, SchemaError> {
    let mut builder = Builder {
        documents,
        schemas: Vec::new(),
        known: HashMap::new(),
        to_do: Vec::new(),
    };
    let root = match documents.root() {
        Some(site) => builder.child(&site)?,
        None => builder.add(Kind::Empty),
    };
    while let Some((id, site)) = builder.to_do.pop() {
        builder.fill(id, &site)?;
    }
    Ok(Model {
        schemas: builder.schemas,
        root,
    })
}

struct Builder<'d, 'a> {
    documents: &'d Documents<'a>,
    schemas: Vec<Schema>,
    /// By the address of the node: it identifies a subschema of a document.
    known: HashMap<usize, SchemaId>,
    to_do: Vec<(SchemaId, Site<'a>)>,
}

/// Which groups of keywords the types of a schema have used up.
#[derive(Default)]
struct Used {
    array: bool,
    object: bool,
    number: bool,
    string: bool,
}

impl<'a> Builder<'_, 'a> {
    fn add(&mut self, kind: Kind) -> SchemaId {
        let id = SchemaId(u32::try_from(self.schemas.len()).unwrap_or(u32::MAX));
        self.schemas.push(Schema {
            id: None,
            title: None,
            description: None,
            default: None,
            is_connect_bytes: false,
            fingerprint: 0,
            kind,
        });
        id
    }

    fn reserve(&mut self, node: &Node) -> (SchemaId, bool) {
        let address = std::ptr::from_ref(node) as usize;
        if let Some(&id) = self.known.get(&address) {
            return (id, false);
        }
        let id = self.add(Kind::Empty);
        self.known.insert(address, id);
        (id, true)
    }

    /// The schema within another.
    fn child(&mut self, site: &Site<'a>) -> Result<SchemaId, SchemaError> {
        let (id, is_new) = self.reserve(site.node);
        if is_new {
            self.fill(id, site)?;
        }
        Ok(id)
    }

    /// The schema at a keyword of `site`.
    fn at(
        &mut self,
        site: &Site<'a>,
        keyword: &str,
        node: &'a Node,
    ) -> Result<SchemaId, SchemaError> {
        self.child(&Site {
            node,
            base: Rc::clone(&site.base),
            draft: site.draft,
            path: site.path.join(keyword),
        })
    }

    fn fill(&mut self, id: SchemaId, site: &Site<'a>) -> Result<(), SchemaError> {
        let kind = match site.node {
            Node::Bool(true) => Kind::Empty,
            Node::Bool(false) => Kind::False,
            Node::Object(object) => {
                let within = Site {
                    base: base_within(site.node, site.draft, &site.base),
                    ..site.clone()
                };
                self.of_object(&within, object)?
            }
            other => {
                return Err(wrong(
                    site,
                    "",
                    format!("a schema is an object or a boolean, not {}", other.kind()),
                ));
            }
        };
        let text = |name: &str| site.node.get(name).and_then(Node::text).map(str::to_owned);
        let schema = Schema {
            id: text(site.draft.id_keyword()),
            title: text("title"),
            description: text("description"),
            default: site.node.get("default").cloned(),
            is_connect_bytes: site.node.get("connect.type").and_then(Node::text) == Some("bytes"),
            fingerprint: 0,
            kind,
        };
        if let Some(place) = self.schemas.get_mut(id.0 as usize) {
            let fingerprint = place.fingerprint;
            *place = Schema {
                fingerprint,
                ..schema
            };
        }
        Ok(())
    }

    fn of_object(&mut self, site: &Site<'a>, object: &'a Object) -> Result<Kind, SchemaError> {
        let mut parts = Vec::new();
        if let Some(target) = self.reference(site, object)? {
            if !site.draft.is_modern() {
                return Ok(target);
            }
            parts.push(target);
        }
        if let Some(values) = object.get("enum") {
            let values = values
                .array()
                .ok_or_else(|| expected(site, "enum", "an array", values))?;
            parts.push(Kind::Enum(values.to_vec()));
        }
        for criterion in [Criterion::All, Criterion::Any, Criterion::One] {
            if let Some(list) = object.get(criterion.keyword()) {
                parts.push(self.combined(site, criterion, list)?);
            }
        }
        if let Some(not) = object.get("not") {
            parts.push(Kind::Not(self.at(site, "not", not)?));
        }
        if let Some(value) = object.get("const").filter(|_| site.draft > Draft::Draft4) {
            parts.push(Kind::Const(value.clone()));
        }
        let mut used = Used::default();
        if let Some(types) = object.get("type") {
            parts.push(self.typed(site, object, types, &mut used)?);
        }
        self.untyped(site, object, &used, &mut parts)?;
        Ok(self.joined(parts))
    }

    /// One part is the schema, several are an `allOf`.
    fn joined(&mut self, mut parts: Vec<Kind>) -> Kind {
        if parts.len() > 1 {
            let ids = parts.into_iter().map(|kind| self.add(kind)).collect();
            return Kind::Combined(Criterion::All, ids);
        }
        parts.pop().unwrap_or(Kind::Empty)
    }

    fn reference(&mut self, site: &Site<'a>, object: &Object) -> Result<Option<Kind>, SchemaError> {
        let mut reference = object.get("$ref").map(|value| ("$ref", value));
        if site.draft.is_modern() && reference.is_none() {
            reference = ["$dynamicRef", "$recursiveRef"]
                .into_iter()
                .find_map(|name| object.get(name).map(|value| (name, value)));
        }
        let Some((keyword, value)) = reference else {
            return Ok(None);
        };
        let text = value
            .text()
            .ok_or_else(|| expected(site, keyword, "a string", value))?;
        Ok(Some(match self.documents.resolve(site, text)? {
            Target::MetaSchema(uri) => Kind::MetaSchema(uri),
            Target::Site(target) => {
                let (id, is_new) = self.reserve(target.node);
                if is_new {
                    self.to_do.push((id, target));
                }
                Kind::Reference(id)
            }
        }))
    }

    fn combined(
        &mut self,
        site: &Site<'a>,
        criterion: Criterion,
        list: &'a Node,
    ) -> Result<Kind, SchemaError> {
        let keyword = criterion.keyword();
        let list = list
            .array()
            .ok_or_else(|| expected(site, keyword, "an array", list))?;
        let mut ids = Vec::with_capacity(list.len());
        for (index, node) in list.iter().enumerate() {
            let id = self.at(site, &format!("{keyword}/{index}"), node)?;
            if let Some(schema) = self.schemas.get_mut(id.0 as usize) {
                schema.fingerprint = node.fingerprint();
            }
            ids.push(id);
        }
        Ok(Kind::Combined(criterion, ids))
    }

    fn typed(
        &mut self,
        site: &Site<'a>,
        object: &'a Object,
        types: &Node,
        used: &mut Used,
    ) -> Result<Kind, SchemaError> {
        let Node::Array(names) = types else {
            return self.of_type(site, object, types, used);
        };
        let mut ids = Vec::with_capacity(names.len());
        for name in names {
            let kind = self.of_type(site, object, name, used)?;
            let id = self.add(kind);
            if let Some(schema) = self.schemas.get_mut(id.0 as usize) {
                schema.fingerprint = name.fingerprint();
            }
            ids.push(id);
        }
        Ok(Kind::Combined(Criterion::Any, ids))
    }

    fn of_type(
        &mut self,
        site: &Site<'a>,
        object: &'a Object,
        name: &Node,
        used: &mut Used,
    ) -> Result<Kind, SchemaError> {
        Ok(match name.text() {
            Some("string") => {
                used.string = true;
                Kind::String(Box::new(string_rules(site, object)?))
            }
            Some(name @ ("integer" | "number")) => {
                used.number = true;
                let rules = number_rules(site, object)?;
                Kind::Number(Box::new(NumberRules {
                    is_integer: name == "integer",
                    ..rules
                }))
            }
            Some("boolean") => Kind::Boolean,
            Some("null") => Kind::Null,
            Some("array") => {
                used.array = true;
                Kind::Array(Box::new(self.array_rules(site, object)?))
            }
            Some("object") => {
                used.object = true;
                Kind::Object(Box::new(self.object_rules(site, object)?))
            }
            Some(other) => {
                return Err(wrong(
                    site,
                    "type",
                    format!(
                        "{other:?} is no type; it is one of array, boolean, integer, null, number, object, string"
                    ),
                ));
            }
            None => {
                return Err(expected(
                    site,
                    "type",
                    "a string or an array of strings",
                    name,
                ));
            }
        })
    }

    /// The keywords of types that `type` does not name.
    fn untyped(
        &mut self,
        site: &Site<'a>,
        object: &'a Object,
        used: &Used,
        parts: &mut Vec<Kind>,
    ) -> Result<(), SchemaError> {
        let is_modern = site.draft.is_modern();
        // From 2019-09 on, no property at all is no rule for objects.
        let is_said = |keyword: &str| match object.get(keyword) {
            Some(Node::Object(members)) if is_modern && members.len() == 0 => {
                !matches!(keyword, "properties" | "patternProperties")
            }
            value => value.is_some(),
        };
        let has = |keywords: &[&str]| keywords.iter().any(|keyword| is_said(keyword));
        if !used.array && (has(ARRAY_KEYWORDS) || (is_modern && has(MODERN_ARRAY_KEYWORDS))) {
            parts.push(Kind::Array(Box::new(self.array_rules(site, object)?)));
        }
        if !used.object && (has(OBJECT_KEYWORDS) || (is_modern && has(MODERN_OBJECT_KEYWORDS))) {
            parts.push(Kind::Object(Box::new(self.object_rules(site, object)?)));
        }
        if !used.number && has(NUMBER_KEYWORDS) {
            parts.push(Kind::Number(Box::new(number_rules(site, object)?)));
        }
        // A format alone makes a string schema up to draft 7; from 2019-09 on it is only an annotation.
        if !used.string && (has(STRING_KEYWORDS) || (!is_modern && object.has("format"))) {
            parts.push(Kind::String(Box::new(string_rules(site, object)?)));
        }
        if site.draft >= Draft::Draft7 && has(&["if", "then", "else"]) {
            let mut branches = [None; 3];
            for (branch, keyword) in branches.iter_mut().zip(["if", "then", "else"]) {
                if let Some(node) = object.get(keyword) {
                    *branch = Some(self.at(site, keyword, node)?);
                }
            }
            parts.push(Kind::Conditional(branches));
        }
        Ok(())
    }

    fn object_rules(
        &mut self,
        site: &Site<'a>,
        object: &'a Object,
    ) -> Result<ObjectRules, SchemaError> {
        let mut rules = ObjectRules {
            min_properties: integer(site, object, "minProperties")?,
            max_properties: integer(site, object, "maxProperties")?,
            additional: self.rest(site, object, "additionalProperties")?,
            ..ObjectRules::default()
        };
        for (name, node) in members(site, object, "properties")? {
            let id = self.at(site, &format!("properties/{name}"), node)?;
            rules.properties.insert(name.to_owned(), id);
        }
        if let Some(names) = object.get("required") {
            rules.required = strings(site, "required", names)?.collect();
        }
        for (name, node) in members(site, object, "patternProperties")? {
            let id = self.at(site, &format!("patternProperties/{name}"), node)?;
            rules.patterns.push((pattern::linear(name), id));
        }
        if let Some(node) = object
            .get("propertyNames")
            .filter(|_| site.draft > Draft::Draft4)
        {
            rules.names = Some(self.at(site, "propertyNames", node)?);
        }
        for (name, node) in members(site, object, "dependencies")? {
            match node {
                Node::Array(_) => {
                    let names = strings(site, "dependencies", node)?.collect();
                    rules.needed_with.insert(name.to_owned(), names);
                }
                _ => {
                    let id = self.at(site, &format!("dependencies/{name}"), node)?;
                    rules.holds_with.insert(name.to_owned(), id);
                }
            }
        }
        if site.draft.is_modern() {
            self.modern_object_rules(site, object, &mut rules)?;
        }
        Ok(rules)
    }

    fn modern_object_rules(
        &mut self,
        site: &Site<'a>,
        object: &'a Object,
        rules: &mut ObjectRules,
    ) -> Result<(), SchemaError> {
        for (name, node) in members(site, object, "dependentRequired")? {
            let names = strings(site, "dependentRequired", node)?.collect();
            rules.needed_with.insert(name.to_owned(), names);
        }
        for (name, node) in members(site, object, "dependentSchemas")? {
            let id = self.at(site, &format!("dependentSchemas/{name}"), node)?;
            rules.holds_with.insert(name.to_owned(), id);
        }
        if let Some(node) = object.get("unevaluatedProperties") {
            rules.unevaluated = Some(self.at(site, "unevaluatedProperties", node)?);
        }
        Ok(())
    }

    fn rest(
        &mut self,
        site: &Site<'a>,
        object: &'a Object,
        keyword: &str,
    ) -> Result<Rest, SchemaError> {
        Ok(match object.get(keyword) {
            None => Rest::Unsaid,
            Some(Node::Bool(true)) => Rest::Allowed,
            Some(Node::Bool(false)) => Rest::Forbidden,
            Some(node) => Rest::Schema(self.at(site, keyword, node)?),
        })
    }

    fn array_rules(
        &mut self,
        site: &Site<'a>,
        object: &'a Object,
    ) -> Result<ArrayRules, SchemaError> {
        let mut rules = ArrayRules {
            min_items: integer(site, object, "minItems")?,
            max_items: integer(site, object, "maxItems")?,
            is_unique: match object.get("uniqueItems") {
                None => false,
                Some(Node::Bool(value)) => *value,
                Some(other) => return Err(expected(site, "uniqueItems", "a boolean", other)),
            },
            ..ArrayRules::default()
        };
        if let Some(node) = object
            .get("contains")
            .filter(|_| site.draft > Draft::Draft4)
        {
            rules.contains = Some(self.at(site, "contains", node)?);
        }
        if site.draft.is_modern() {
            if let Some(node) = object.get("unevaluatedItems") {
                rules.unevaluated = Some(self.at(site, "unevaluatedItems", node)?);
            }
            // Without `contains` they mean nothing; with it, at least one has to be there if nothing is said.
            if rules.contains.is_some() {
                rules.min_contains = Some(integer(site, object, "minContains")?.unwrap_or(1));
                rules.max_contains = integer(site, object, "maxContains")?;
            }
        }
        match (object.get("prefixItems"), object.get("items")) {
            (Some(prefix), _) if site.draft.is_modern() => {
                rules.tuple = self.tuple(site, "prefixItems", prefix)?;
                rules.additional = self.rest(site, object, "items")?;
            }
            (_, Some(items @ Node::Array(_))) => {
                rules.tuple = self.tuple(site, "items", items)?;
                rules.additional = self.rest(site, object, "additionalItems")?;
            }
            (_, Some(Node::Bool(false))) if site.draft.is_modern() => {
                rules.additional = Rest::Forbidden
            }
            (_, Some(Node::Bool(true))) if site.draft.is_modern() => {}
            (_, Some(items)) => {
                rules.items = Some(self.at(site, "items", items)?);
                if !site.draft.is_modern() {
                    rules.additional = self.rest(site, object, "additionalItems")?;
                }
            }
            (_, None) => {
                if !site.draft.is_modern() {
                    rules.additional = self.rest(site, object, "additionalItems")?;
                }
            }
        }
        Ok(rules)
    }

    fn tuple(
        &mut self,
        site: &Site<'a>,
        keyword: &str,
        items: &'a Node,
    ) -> Result<Vec<SchemaId>, SchemaError> {
        let items = items
            .array()
            .ok_or_else(|| expected(site, keyword, "an array", items))?;
        items
            .iter()
            .enumerate()
            .map(|(index, node)| self.at(site, &format!("{keyword}/{index}"), node))
            .collect()
    }
}

fn string_rules(site: &Site<'_>, object: &Object) -> Result<StringRules, SchemaError> {
    let pattern = match object.get("pattern") {
        None => None,
        Some(Node::String(pattern)) => Some(pattern.clone()),
        Some(other) => return Err(expected(site, "pattern", "a string", other)),
    };
    Ok(StringRules {
        min_length: integer(site, object, "minLength")?,
        max_length: integer(site, object, "maxLength")?,
        pattern,
    })
}

fn number_rules(site: &Site<'_>, object: &Object) -> Result<NumberRules, SchemaError> {
    let mut rules = NumberRules {
        is_integer: false,
        minimum: double(site, object, "minimum")?,
        maximum: double(site, object, "maximum")?,
        exclusive_minimum: None,
        exclusive_maximum: None,
        multiple_of: double(site, object, "multipleOf")?,
    };
    if site.draft == Draft::Draft4 {
        // There the keyword is a boolean that says how the limit beside it is meant.
        if matches!(object.get("exclusiveMinimum"), Some(Node::Bool(true))) {
            rules.exclusive_minimum = rules.minimum;
        }
        if matches!(object.get("exclusiveMaximum"), Some(Node::Bool(true))) {
            rules.exclusive_maximum = rules.maximum;
        }
    } else {
        rules.exclusive_minimum = double(site, object, "exclusiveMinimum")?;
        rules.exclusive_maximum = double(site, object, "exclusiveMaximum")?;
    }
    if rules.multiple_of == Some(0.0) {
        return Err(wrong(
            site,
            "multipleOf",
            "multipleOf has to be greater than 0".to_owned(),
        ));
    }
    Ok(rules)
}

fn integer(site: &Site<'_>, object: &Object, keyword: &str) -> Result<Option<i64>, SchemaError> {
    match object.get(keyword) {
        None => Ok(None),
        Some(Node::Number(text)) => match number::to_i64(text) {
            Some(value) => Ok(Some(value)),
            None => Err(wrong(
                site,
                keyword,
                format!("{text} is not an integer of 64 bits"),
            )),
        },
        Some(other) => Err(expected(site, keyword, "an integer", other)),
    }
}

fn double(site: &Site<'_>, object: &Object, keyword: &str) -> Result<Option<f64>, SchemaError> {
    match object.get(keyword) {
        None => Ok(None),
        Some(Node::Number(text)) => Ok(Some(number::to_f64(text))),
        Some(other) => Err(expected(site, keyword, "a number", other)),
    }
}

/// The members of the object at a keyword; none if the keyword is absent.
fn members<'a>(
    site: &Site<'_>,
    object: &'a Object,
    keyword: &str,
) -> Result<Vec<(&'a str, &'a Node)>, SchemaError> {
    match object.get(keyword) {
        None => Ok(Vec::new()),
        Some(Node::Object(members)) => Ok(members.iter().collect()),
        Some(other) => Err(expected(site, keyword, "an object", other)),
    }
}

fn strings(
    site: &Site<'_>,
    keyword: &str,
    node: &Node,
) -> Result<impl Iterator<Item = String>, SchemaError> {
    let items = node
        .array()
        .ok_or_else(|| expected(site, keyword, "an array of strings", node))?;
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        let name = item
            .text()
            .ok_or_else(|| expected(site, keyword, "an array of strings", item))?;
        names.push(name.to_owned());
    }
    Ok(names.into_iter())
}

fn expected(site: &Site<'_>, keyword: &str, what: &str, found: &Node) -> SchemaError {
    wrong(
        site,
        keyword,
        format!("{keyword} has to be {what}, not {}", found.kind()),
    )
}

fn wrong(site: &Site<'_>, keyword: &str, rule: String) -> SchemaError {
    let path = if keyword.is_empty() {
        site.path.to_string()
    } else {
        format!("{}/{keyword}", site.path)
    };
    SchemaError::Invalid {
        format: "JSON",
        path,
        rule,
    }
}
