//! JSON Schema, drafts 4 to 2020-12: texts, references, compatibility, tags, data.
//!
//! A text goes three ways. As a [`node::Node`] it keeps what its author wrote, for the canonical and the normalised
//! text and for tags. Its [`model::Model`] is what it means, references resolved, for the comparison of versions
//! ([`diff`]). The crate `jsonschema` compiles it to validate data ([`validator`]).
//!
//! **Invariants:** nothing is fetched; a `$ref` leads into the text, into its references or to a draft's meta-schema,
//! or it is an error. Model and validator are made when they are first asked for, once.
//!
//! Differs from Confluent's registry: text after the schema, `NaN` and lone surrogates are errors; a schema is held
//! against the meta-schema of its draft when it is registered; draft 4's boolean `exclusiveMinimum` is compared;
//! `multipleOf` is compared by ratio; `unevaluatedProperties: true` is no change. The same as there, and worth
//! knowing: `format`, `contains`, `propertyNames`, `patternProperties` for themselves and `if`/`then`/`else` are not
//! compared.

mod build;
mod change;
mod cost;
mod dialect;
mod diff;
mod documents;
mod meta;
mod model;
mod node;
mod number;
mod path;
mod pattern;
mod propose;
mod reader;
mod stack;
mod tags;
mod uri;
mod validator;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

pub use dialect::Draft;
pub use validator::{DataError, Violation};

use self::change::Change;
use self::documents::{Document, Documents};
use self::model::Model;
use self::node::Node;
use self::validator::Validator;
use crate::compatibility::{CompatibilityPolicy, Incompatibility};
use crate::entity::SchemaEntity;
use crate::error::SchemaError;
use crate::format::{FieldTags, Format, ParseOptions};
use crate::limits::REFERENCES_MAX;
use crate::model::{ResolvedReference, SchemaType};

/// Levels of nesting beyond which making a model gets a stack of its own.
const LEVELS_ON_STACK: usize = 40;

/// Pairs of subschemas beyond which a comparison gets a stack of its own.
const PAIRS_ON_STACK: usize = 100;

/// A JSON Schema. Copies share what was made of it.
#[derive(Clone)]
pub struct JsonSchema {
    inner: Arc<Inner>,
}

struct Inner {
    /// Its own text first, then its references.
    documents: Vec<Document>,
    model: OnceLock<Result<Model, SchemaError>>,
    validator: OnceLock<Result<Validator, SchemaError>>,
}

impl fmt::Debug for JsonSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonSchema")
            .field(&self.canonical())
            .finish()
    }
}

impl Inner {
    fn root(&self) -> &Node {
        // `parse` puts the schema's own text first; a schema without documents is not made.
        self.documents
            .first()
            .map_or(&Node::Null, |document| &document.root)
    }

    fn model(&self) -> Result<&Model, SchemaError> {
        self.model
            .get_or_init(|| {
                let make = || build::build(&Documents::new(&self.documents));
                if self
                    .documents
                    .iter()
                    .any(|document| document.root.depth() > LEVELS_ON_STACK)
                {
                    stack::with_room(make)?
                } else {
                    make()
                }
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    fn validator(&self) -> Result<&Validator, SchemaError> {
        let model = self.model()?;
        self.validator
            .get_or_init(|| Validator::new(&self.documents, model))
            .as_ref()
            .map_err(Clone::clone)
    }
}

impl JsonSchema {
    /// Its objects and their properties.
    pub(crate) fn entities(&self) -> Vec<SchemaEntity> {
        tags::entities(self.inner.root())
    }

    /// The draft it follows: what `$schema` says, draft 7 where it says nothing that is known.
    pub fn draft(&self) -> Draft {
        self.inner
            .documents
            .first()
            .map_or(Draft::Draft7, |document| document.draft)
    }

    /// Whether a value follows the schema. The first call compiles the schema; the compiled form is kept.
    ///
    /// It may take some milliseconds for large values and should not run on a thread that serves others.
    ///
    /// # Errors
    /// [`DataError::Violations`] with path and rule of each, [`DataError::Schema`] when the schema cannot be used or
    /// validating would take too long.
    pub fn validate(&self, value: &serde_json::Value) -> Result<(), DataError> {
        let validator = self.inner.validator()?;
        validator.validate(self.inner.model()?, value)
    }

    fn changes(
        &self,
        writer: &Self,
        policy: CompatibilityPolicy,
        only_incompatible: bool,
    ) -> Result<Vec<Change>, SchemaError> {
        let (original, update) = (writer.inner.model()?, self.inner.model()?);
        let compare = || diff::compare(original, update, policy, only_incompatible);
        // A pair may be in progress within any other.
        if original.schemas.len() * update.schemas.len() > PAIRS_ON_STACK {
            stack::with_room(compare)?
        } else {
            compare()
        }
    }
}

fn document(name: &str, text: &str) -> Result<Document, SchemaError> {
    let root = reader::read(text)?;
    if !matches!(root, Node::Object(_) | Node::Bool(_)) {
        return Err(SchemaError::Invalid {
            format: "JSON",
            path: format!("{name}#"),
            rule: format!("a schema is an object or a boolean, not {}", root.kind()),
        });
    }
    Ok(Document {
        name: name.to_owned(),
        draft: Draft::of(&root),
        root,
    })
}

impl Format for JsonSchema {
    const TYPE: SchemaType = SchemaType::Json;

    /// With [`ParseOptions::validate_new`] the meta-schema is asked and every reference has to lead somewhere; without
    /// it only the text has to be JSON, as for schemas that a registry has held for long.
    fn parse(
        text: &str,
        references: &[ResolvedReference],
        options: ParseOptions,
    ) -> Result<Self, SchemaError> {
        if references.len() > REFERENCES_MAX {
            return Err(SchemaError::TooComplex {
                what: "references",
                max: REFERENCES_MAX,
            });
        }
        let mut documents = vec![document("", text)?];
        for reference in references {
            documents.push(document(&reference.name, &reference.schema)?);
        }
        let schema = Self {
            inner: Arc::new(Inner {
                documents,
                model: OnceLock::new(),
                validator: OnceLock::new(),
            }),
        };
        if options.validate_new {
            if let Some(own) = schema.inner.documents.first() {
                meta::check(own)?;
            }
            schema.inner.model()?;
        }
        Ok(schema)
    }

    /// The text without white space, numbers as Java prints them.
    fn canonical(&self) -> String {
        writer::canonical(self.inner.root())
    }

    /// The canonical text with the members of every object sorted by name.
    fn normalized(&self) -> String {
        writer::sorted(self.inner.root())
    }

    fn formatted(&self, format: &str) -> Result<String, SchemaError> {
        if format.trim().is_empty() {
            return Ok(self.canonical());
        }
        Err(SchemaError::UnknownFormat {
            schema_type: Self::TYPE.name(),
            format: format.to_owned(),
            known: "only the one without a name",
        })
    }

    fn name(&self) -> Option<String> {
        self.inner
            .root()
            .get("title")
            .and_then(Node::text)
            .map(str::to_owned)
    }

    fn reading(
        &self,
        writer: &Self,
        policy: CompatibilityPolicy,
    ) -> Result<Vec<Incompatibility>, SchemaError> {
        let changes = self.changes(writer, policy, true)?;
        Ok(changes.into_iter().map(Change::told).collect())
    }

    fn inline_tags(&self) -> FieldTags {
        tags::inline(self.inner.root())
    }

    fn tagged_types(&self) -> BTreeSet<String> {
        tags::types(self.inner.root())
    }

    fn with_tags(&self, add: &FieldTags, remove: &FieldTags) -> Result<String, SchemaError> {
        tags::changed(self.inner.root(), add, remove).map(|root| writer::canonical(&root))
    }

    fn top_level_fields(&self) -> Vec<String> {
        self.inner
            .root()
            .get("properties")
            .and_then(Node::object)
            .into_iter()
            .flat_map(node::Object::iter)
            .map(|(name, _)| name.to_owned())
            .collect()
    }
}
