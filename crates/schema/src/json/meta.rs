//! Whether a schema is one: the meta-schema of its draft is asked.
//!
//! Formats in the meta-schema (`uri-reference` for `$ref`, `regex` for `pattern`) are not enforced: people name
//! definitions with spaces in them, and no two regular expression engines agree.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{draft4, draft6, draft7, draft201909, draft202012};

use super::dialect::Draft;
use super::documents::Document;
use super::stack::with_room;
use crate::error::SchemaError;

/// Characters of a message; a meta-schema's message may quote the whole schema.
const MESSAGE_MAX: usize = 300;

/// Asks the meta-schema of the draft.
///
/// # Errors
/// [`SchemaError::Invalid`] with the first rule that is broken, [`SchemaError::TooComplex`].
pub(super) fn check(document: &Document) -> Result<(), SchemaError> {
    let value = document.root.to_serde();
    if document.root.depth() > 40 {
        with_room(|| ask(document.draft, &value))?
    } else {
        ask(document.draft, &value)
    }
}

fn ask(draft: Draft, value: &serde_json::Value) -> Result<(), SchemaError> {
    let validator = match draft {
        Draft::Draft4 => draft4::meta::validator(),
        Draft::Draft6 => draft6::meta::validator(),
        Draft::Draft7 => draft7::meta::validator(),
        Draft::Draft2019 => draft201909::meta::validator(),
        Draft::Draft2020 => draft202012::meta::validator(),
    };
    let broken = validator
        .iter_errors(value)
        .find(|error| !is_about_format(error.kind()));
    match broken {
        None => Ok(()),
        Some(error) => Err(SchemaError::Invalid {
            format: "JSON",
            path: format!("#{}", error.instance_path().as_str()),
            rule: format!(
                "{} (rule {} of the meta-schema)",
                shortened(&error.to_string()),
                error.schema_path().as_str()
            ),
        }),
    }
}

fn is_about_format(kind: &ValidationErrorKind) -> bool {
    match kind {
        ValidationErrorKind::Format { .. } => true,
        // The names in `patternProperties` are held against the format `regex`.
        ValidationErrorKind::PropertyNames { error } => is_about_format(error.kind()),
        _ => false,
    }
}

/// At most [`MESSAGE_MAX`] characters of a message.
pub(super) fn shortened(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_MAX) {
        Some((end, _)) => format!("{}...", message.get(..end).unwrap_or_default()),
        None => message.to_owned(),
    }
}
