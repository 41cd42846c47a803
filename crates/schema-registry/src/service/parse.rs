//! Parsed schemas: references resolved, results kept within a bound.
//!
//! A registered schema is parsed when somebody asks something of it that its text alone does not answer. The result
//! is kept by context and GUID, because the same text with the same references may mean another schema in another
//! context. The cache forgets the entry that was not used for longest (`schema.cache.size`).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use schema::limits::REFERENCES_MAX;
use schema::{ParseOptions, ParsedSchema, ResolvedReference, SchemaReference, SchemaType};
use uuid::Uuid;

use super::Registry;
use crate::error::RegistryError;
use crate::state::SchemaBody;
use crate::subject;

/// The bounded cache.
#[derive(Debug)]
pub struct ParsedSchemas {
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<(String, Uuid), (Arc<ParsedSchema>, u64)>,
    clock: u64,
}

impl ParsedSchemas {
    /// An empty cache of at most `capacity` schemas.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            kept: Mutex::default(),
        }
    }

    fn get(&self, context: &str, guid: Uuid) -> Option<Arc<ParsedSchema>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        let (schema, used) = kept.entries.get_mut(&(context.to_owned(), guid))?;
        *used = now;
        Some(Arc::clone(schema))
    }

    fn put(&self, context: &str, guid: Uuid, schema: Arc<ParsedSchema>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.entries.len() >= self.capacity {
            let oldest = kept.entries.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                kept.entries.remove(&key);
            }
        }
        kept.clock += 1;
        let now = kept.clock;
        kept.entries
            .insert((context.to_owned(), guid), (schema, now));
    }
}

impl Registry {
    /// Parses a registered schema.
    ///
    /// # Errors
    /// What was registered once and cannot be parsed, such as one whose references are gone: 42201.
    pub fn parsed(
        &self,
        context: &str,
        body: &SchemaBody,
    ) -> Result<Arc<ParsedSchema>, RegistryError> {
        if let Some(schema) = self.parsed.get(context, body.guid) {
            return Ok(schema);
        }
        let schema = self.parse(
            context,
            body.schema_type,
            &body.text,
            &body.references,
            ParseOptions::default(),
        )?;
        let schema = Arc::new(schema);
        self.parsed.put(context, body.guid, Arc::clone(&schema));
        Ok(schema)
    }

    /// Parses a text whose references are in `context` where they do not say otherwise.
    ///
    /// # Errors
    /// 42201 with what is wrong, 42209 when there is too much of it.
    pub fn parse(
        &self,
        context: &str,
        schema_type: SchemaType,
        text: &str,
        references: &[SchemaReference],
        options: ParseOptions,
    ) -> Result<ParsedSchema, RegistryError> {
        let resolved = self.resolve(context, references)?;
        ParsedSchema::parse(schema_type, text, &resolved, options).map_err(|error| match error {
            schema::SchemaError::TooLarge { .. } => RegistryError::TooLarge,
            error => RegistryError::invalid_schema(format!(
                "Invalid schema of type {}, details: {error}",
                schema_type.name()
            )),
        })
    }

    /// The texts behind `references` and behind those they refer to themselves, which come first; each name once.
    fn resolve(
        &self,
        context: &str,
        references: &[SchemaReference],
    ) -> Result<Vec<ResolvedReference>, RegistryError> {
        let mut resolved = Vec::new();
        let mut seen = HashSet::new();
        // A stack of its own: a chain of references may be longer than a thread's stack is deep.
        let mut stack: Vec<Step> = references
            .iter()
            .rev()
            .map(|reference| Step::Enter(context.to_owned(), reference.clone()))
            .collect();
        while let Some(step) = stack.pop() {
            match step {
                Step::Leave(reference) => resolved.push(reference),
                Step::Enter(context, reference) => {
                    if !seen.insert(reference.name.clone()) {
                        continue;
                    }
                    if seen.len() > REFERENCES_MAX {
                        return Err(RegistryError::invalid_schema(format!(
                            "the schema refers to more than {REFERENCES_MAX} schemas"
                        )));
                    }
                    let (subject, body) = self.referenced(&context, &reference)?;
                    stack.push(Step::Leave(ResolvedReference {
                        name: reference.name,
                        schema: body.text.to_string(),
                    }));
                    let inner = subject::context_of(&subject);
                    for reference in body.references.iter().rev() {
                        stack.push(Step::Enter(inner.to_owned(), reference.clone()));
                    }
                }
            }
        }
        Ok(resolved)
    }

    /// The schema of a reference, soft deleted or not, with its subject.
    fn referenced(
        &self,
        context: &str,
        reference: &SchemaReference,
    ) -> Result<(String, Arc<SchemaBody>), RegistryError> {
        let subject = subject::in_context_of(context, &reference.subject);
        let state = self.state();
        let found = if reference.version == -1 {
            state.latest(&subject).map(|(_, version)| version)
        } else {
            state.version(&subject, reference.version)
        };
        let body = found.map(|version| Arc::clone(&version.body));
        drop(state);
        body.map(|body| (subject, body)).ok_or_else(|| {
            RegistryError::invalid_schema(format!(
                "Invalid schema, details: No schema reference found for subject \"{}\" and version {}",
                reference.subject, reference.version
            ))
        })
    }

    /// `references` with the number of the latest version in the place of -1, so that they mean the same for ever.
    pub(super) fn pinned(
        &self,
        context: &str,
        references: &[SchemaReference],
    ) -> Vec<SchemaReference> {
        let state = self.state();
        let pin = |reference: &SchemaReference| {
            let subject = subject::in_context_of(context, &reference.subject);
            let latest = (reference.version == -1).then(|| state.latest(&subject));
            SchemaReference {
                version: match latest {
                    Some(Some((number, _))) => number,
                    Some(None) | None => reference.version,
                },
                ..reference.clone()
            }
        };
        references.iter().map(pin).collect()
    }
}

enum Step {
    Enter(String, SchemaReference),
    Leave(ResolvedReference),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_forgets_what_was_not_used_for_longest() {
        let cache = ParsedSchemas::new(2);
        let schema = || {
            let parsed =
                ParsedSchema::parse(SchemaType::Avro, "\"int\"", &[], ParseOptions::default());
            Arc::new(parsed.unwrap())
        };
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        cache.put(".", a, schema());
        cache.put(".", b, schema());
        assert!(cache.get(".", a).is_some());
        cache.put(".", c, schema());
        assert!(cache.get(".", b).is_none());
        assert!(cache.get(".", a).is_some() && cache.get(".", c).is_some());
        assert!(cache.get(".other", a).is_none());
    }
}
