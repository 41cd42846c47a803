//! Whether a schema may follow others, told as Confluent's registry tells it.

use std::sync::Arc;

use schema::{CompatibilityLevel, Metadata, ParsedSchema, SchemaError};

use super::lookup::{VersionId, live_versions};
use super::{NewSchema, Registry};
use crate::error::RegistryError;
use crate::state::{Config, SchemaBody};
use crate::subject;

/// The metadata property that names fields nobody may use.
const CONFLUENT_RESERVED: &str = "confluent:reserved";

/// What a new schema is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// One version.
    Version(VersionId),
    /// All that the subject's level wants.
    All,
}

impl Registry {
    /// What stands in the way of registering `new`; empty when nothing does. Without anything to compare with, there
    /// is nothing in the way.
    ///
    /// # Errors
    /// 42201 for what is no schema; 40402 for a version that is not there.
    pub fn check_compatibility(
        &self,
        subject: &str,
        new: &NewSchema,
        against: Against,
        normalize: bool,
    ) -> Result<Vec<String>, RegistryError> {
        let config = self.config_in_scope(Some(subject));
        let olds = match against {
            Against::All => live_versions(&self.state(), subject),
            Against::Version(version) => match (self.version(subject, version, false), version) {
                (Some(found), _) => vec![(found.version, found.body)],
                (None, VersionId::Latest) => Vec::new(),
                (None, VersionId::Number(version)) => {
                    return Err(RegistryError::VersionNotFound { version });
                }
            },
        };
        let canonical = self
            .canonical(&config, subject, new, true, normalize)?
            .ok_or_else(|| RegistryError::invalid_schema("Empty schema"))?;
        self.incompatibilities(
            &config,
            subject,
            &canonical.parsed,
            canonical.body.metadata.as_deref(),
            olds,
        )
    }

    /// What stands in the way of `new` after `olds`, which are in order, oldest first.
    pub(super) fn incompatibilities(
        &self,
        config: &Config,
        subject: &str,
        new: &ParsedSchema,
        metadata: Option<&Metadata>,
        mut olds: Vec<(i32, Arc<SchemaBody>)>,
    ) -> Result<Vec<String>, RegistryError> {
        let level = config.compatibility_level.unwrap_or_default();
        let validate_fields = config
            .validate_fields
            .unwrap_or(self.config().validate_fields);
        let mut messages = Vec::new();
        if validate_fields {
            let last = olds.last().and_then(|(_, body)| body.metadata.as_deref());
            check_reserved(new, metadata, last, &mut messages);
        }
        if let Some(group) = &config.compatibility_group {
            let wanted = property(metadata, group);
            olds.retain(|(_, body)| property(body.metadata.as_deref(), group) == wanted);
        }
        if !level.is_transitive() && olds.len() > 1 {
            olds.drain(..olds.len() - 1);
        }
        if level == CompatibilityLevel::None {
            olds.clear();
        }
        let context = subject::context_of(subject);
        let policy = config.compatibility_policy.unwrap_or_default();
        for (version, body) in olds.iter().rev() {
            let old = self.parsed(context, body)?;
            let mut found: Vec<String> = Vec::new();
            let schema_type = new.schema_type();
            if level.is_backward() {
                let reading = new.reading(&old, policy).map_err(too_complex)?;
                found.extend(
                    reading
                        .iter()
                        .map(|one| one.message(schema_type, "new", "old")),
                );
            }
            if level.is_forward() {
                let reading = old.reading(new, policy).map_err(too_complex)?;
                found.extend(
                    reading
                        .iter()
                        .map(|one| one.message(schema_type, "old", "new")),
                );
            }
            if !found.is_empty() {
                messages.append(&mut found);
                messages.push(format!("{{oldSchemaVersion: {version}}}"));
                messages.push(format!("{{oldSchema: '{}'}}", body.text));
                break;
            }
        }
        if !messages.is_empty() {
            messages.push(format!(
                "{{validateFields: '{validate_fields}', compatibility: '{}'}}",
                level.name()
            ));
        }
        Ok(messages)
    }
}

fn too_complex(error: SchemaError) -> RegistryError {
    RegistryError::invalid_schema(format!("the schemas cannot be compared: {error}"))
}

fn property<'a>(metadata: Option<&'a Metadata>, name: &str) -> Option<&'a str> {
    metadata?.properties.as_ref()?.get(name).map(String::as_str)
}

fn reserved(metadata: Option<&Metadata>) -> Vec<&str> {
    property(metadata, CONFLUENT_RESERVED)
        .into_iter()
        .flat_map(|names| names.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect()
}

/// A reserved name stays reserved, and no field has it.
fn check_reserved(
    new: &ParsedSchema,
    metadata: Option<&Metadata>,
    previous: Option<&Metadata>,
    messages: &mut Vec<String>,
) {
    let now = reserved(metadata);
    for name in reserved(previous) {
        if !now.contains(&name) {
            messages.push(format!(
                "{{The new schema has reserved field {name} removed from its metadata which is present in the old schema's metadata.}}"
            ));
        }
    }
    let fields = new.top_level_fields();
    for name in now {
        if fields.iter().any(|field| field == name) {
            messages.push(format!(
                "{{The new schema has field that conflicts with the reserved field {name}.}}"
            ));
        }
    }
}
