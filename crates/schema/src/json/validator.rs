//! Data against a schema.
//!
//! The crate `jsonschema` validates; here it is kept from everything that a schema of a stranger could make it do:
//! it fetches nothing (references come from the schema's own documents), its regular expressions have a limit on
//! size and on steps, and what would take too many visits is refused before it begins ([`super::cost`]).

use std::collections::HashMap;
use std::fmt;

use jsonschema::{PatternOptions, Retrieve, Uri};
use serde_json::{Map, Value};

use super::documents::Document;
use super::meta::shortened;
use super::model::Model;
use super::node::{Node, Object};
use super::stack::with_room;
use super::{cost, pattern, uri};
use crate::error::SchemaError;

/// How many rules of one value are told.
const VIOLATIONS_MAX: usize = 20;

/// Steps back that an expression which is not linear may take on one text; each may look at all of the text.
const BACKTRACKS_MAX: usize = 5_000;

/// Subschemas of an unfolded schema that are compiled.
const UNFOLDED_MAX: u64 = 500_000;

/// The base URI that `jsonschema` gives a schema without one.
const DEFAULT_BASE: &str = "json-schema:///";

/// A rule that a value breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where in the value: a JSON pointer, empty for the whole.
    pub path: String,
    /// Which rule: a JSON pointer into the schema, such as `/properties/age/minimum`.
    pub rule: String,
    /// What is wrong, one sentence. It never quotes the value, which may be nobody's business.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}: {} (rule #{})", self.path, self.message, self.rule)
    }
}

/// Why a value is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// It breaks rules of the schema; the first 20 of them.
    #[error("the value does not follow the schema: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Violations(Vec<Violation>),
    /// The schema itself cannot be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// A schema made ready to validate with.
pub(super) struct Validator {
    compiled: jsonschema::Validator,
    shape: cost::Shape,
}

impl Validator {
    /// Compiles a schema; `model` is that of its documents, which proves that every reference leads somewhere.
    ///
    /// # Errors
    /// [`SchemaError::TooComplex`], [`SchemaError::Invalid`].
    pub(super) fn new(documents: &[Document], model: &Model) -> Result<Self, SchemaError> {
        let shape = cost::shape(model);
        if shape.unfolded > UNFOLDED_MAX {
            return Err(SchemaError::TooComplex {
                what: "subschemas with every reference replaced by what it means",
                max: usize::try_from(UNFOLDED_MAX).unwrap_or(usize::MAX),
            });
        }
        let compiled = if shape.is_recursive || shape.depth > 40 || model.schemas.len() > 2_000 {
            with_room(|| compile(documents))??
        } else {
            compile(documents)?
        };
        Ok(Self { compiled, shape })
    }

    /// Whether the value follows the schema.
    ///
    /// # Errors
    /// [`DataError`].
    pub(super) fn validate(&self, model: &Model, value: &Value) -> Result<(), DataError> {
        if self.shape.is_recursive || self.shape.depth > 40 {
            with_room(|| {
                cost::check(model, value)?;
                self.ask(value)
            })?
        } else {
            if self.shape.unfolded > 1_000 {
                cost::check(model, value)?;
            }
            self.ask(value)
        }
    }

    fn ask(&self, value: &Value) -> Result<(), DataError> {
        if self.compiled.is_valid(value) {
            return Ok(());
        }
        let violations = self
            .compiled
            .iter_errors(value)
            .take(VIOLATIONS_MAX)
            .map(|error| Violation {
                path: error.instance_path().as_str().to_owned(),
                rule: error.schema_path().as_str().to_owned(),
                message: shortened(&error.masked_with("the value").to_string()),
            })
            .collect();
        Err(DataError::Violations(violations))
    }
}

fn compile(documents: &[Document]) -> Result<jsonschema::Validator, SchemaError> {
    let Some((own, references)) = documents.split_first() else {
        return Err(invalid("#", "there is no schema".to_owned()));
    };
    let schema = prepared(&own.root);
    let own_base = schema
        .get(own.draft.id_keyword())
        .and_then(Value::as_str)
        .map_or(DEFAULT_BASE.to_owned(), |id| {
            uri::resolve(DEFAULT_BASE, uri::split_fragment(id).0)
        });
    let mut texts = HashMap::new();
    for document in references {
        let mut text = prepared(&document.root);
        if let Value::Object(members) = &mut text {
            members
                .entry("$schema")
                .or_insert_with(|| meta_schema(document.draft.for_validator()).into());
        }
        let name = uri::encoded(&document.name);
        texts.insert(uri::resolve(DEFAULT_BASE, &name), text.clone());
        texts.insert(uri::resolve(&own_base, &name), text.clone());
        texts.insert(name, text);
    }
    jsonschema::options()
        .with_draft(own.draft.for_validator())
        .with_retriever(Texts(texts))
        .with_pattern_options(patterns())
        .build(&schema)
        .map_err(|error| {
            invalid(
                &format!("#{}", error.instance_path().as_str()),
                shortened(&error.to_string()),
            )
        })
}

fn invalid(path: &str, rule: String) -> SchemaError {
    SchemaError::Invalid {
        format: "JSON",
        path: path.to_owned(),
        rule,
    }
}

fn patterns() -> PatternOptions<jsonschema::FancyRegex> {
    PatternOptions::fancy_regex()
        .backtrack_limit(BACKTRACKS_MAX)
        .size_limit(pattern::COMPILED_BYTES_MAX)
        .dfa_size_limit(pattern::COMPILED_BYTES_MAX)
}

fn meta_schema(draft: jsonschema::Draft) -> &'static str {
    match draft {
        jsonschema::Draft::Draft4 => "http://json-schema.org/draft-04/schema#",
        jsonschema::Draft::Draft6 => "http://json-schema.org/draft-06/schema#",
        jsonschema::Draft::Draft7 => "http://json-schema.org/draft-07/schema#",
        jsonschema::Draft::Draft201909 => "https://json-schema.org/draft/2019-09/schema",
        _ => "https://json-schema.org/draft/2020-12/schema",
    }
}

/// The texts of the references, by every URI under which they may be asked for.
struct Texts(HashMap<String, Value>);

impl Retrieve for Texts {
    /// What nothing of the schema needs (that has been proved) but the validator asks for is `true`.
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let uri = uri.as_str();
        let found = self.0.get(uri).or_else(|| {
            self.0
                .iter()
                .find(|(name, _)| {
                    uri.strip_suffix(name.as_str())
                        .is_some_and(|before| before.ends_with('/'))
                })
                .map(|(_, text)| text)
        });
        Ok(found.cloned().unwrap_or(Value::Bool(true)))
    }
}

/// The schema as the validator takes it: references as URIs, no meta-schema that nobody knows, no regular expression
/// that no engine here takes.
fn prepared(node: &Node) -> Value {
    match node {
        Node::Object(object) => Value::Object(prepared_object(object)),
        Node::Array(items) => Value::Array(items.iter().map(prepared).collect()),
        other => other.to_serde(),
    }
}

fn prepared_object(object: &Object) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, value) in object.iter() {
        let value = match (name, value) {
            ("enum" | "const" | "default" | "examples", _) => value.to_serde(),
            ("pattern", Node::String(text)) if !can_match(text) => continue,
            ("$schema", Node::String(text)) if !text.contains("://json-schema.org/draft") => {
                continue;
            }
            ("$ref" | "$dynamicRef" | "$recursiveRef" | "$id" | "id", Node::String(text)) => {
                uri::encoded(text).into()
            }
            (
                "properties" | "patternProperties" | "definitions" | "$defs" | "dependencies"
                | "dependentSchemas",
                Node::Object(members),
            ) => Value::Object(
                members
                    .iter()
                    .filter(|(key, _)| name != "patternProperties" || can_match(key))
                    .map(|(key, value)| (key.to_owned(), prepared(value)))
                    .collect(),
            ),
            _ => prepared(value),
        };
        out.insert(name.to_owned(), value);
    }
    out
}

/// Whether one of the engines takes the expression.
fn can_match(text: &str) -> bool {
    if text.len() < 200 && pattern::linear(text).is_some() {
        return true;
    }
    let schema = serde_json::json!({ "pattern": text });
    jsonschema::options()
        .with_pattern_options(patterns())
        .build(&schema)
        .is_ok()
}
