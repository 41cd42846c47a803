//! Registering a schema (`KafkaSchemaRegistry.register`, 8.2).
//!
//! In order: the mode must allow it; what the request leaves out comes from the version before and the config; a schema
//! that is there already is answered with its id; one that another subject of the context has keeps its id; what the
//! level forbids is refused; and a new version is written, in one batch with the `CONTEXT` record of a new context and
//! the removal of soft deleted versions that it replaces.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use schema::{FieldTags, ParseOptions};

use super::lookup::{Canonical, VersionId, live_versions, populate_contract};
use super::{Found, NewSchema, Planned, Registry, rules, shown_context};
use crate::error::RegistryError;
use crate::state::records::{SchemaValue, context_record};
use crate::state::{Config, Key, Mode, Record, SchemaBody, Value};
use crate::subject;

/// What a registration asks for beside the schema.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RegisterOptions {
    /// Keep the normalised text.
    pub normalize: bool,
    /// Tags to write into the schema.
    pub tags_to_add: FieldTags,
    /// Tags to take out of it.
    pub tags_to_remove: FieldTags,
    /// Write the tags of the version before into the schema.
    pub propagate_tags: bool,
}

impl RegisterOptions {
    fn changes_tags(&self) -> bool {
        !self.tags_to_add.is_empty() || !self.tags_to_remove.is_empty()
    }
}

impl Registry {
    /// Registers `new` under `subject`, unless it is there.
    ///
    /// # Errors
    /// 42208 for a name that cannot be a subject's, 42205 where the mode is against it, 42201 for what is no schema,
    /// 409 for what may not follow, and those of [`Registry::change`].
    pub async fn register(
        self: &Arc<Self>,
        subject: String,
        new: NewSchema,
        options: RegisterOptions,
    ) -> Result<Found, RegistryError> {
        self.change("Register schema", move |registry| {
            registry.plan_register(&subject, new, &options)
        })
        .await
    }

    /// What every instance can answer by itself: the schema is registered already, and nothing has to be written.
    ///
    /// # Errors
    /// As of a registration.
    pub fn registered(
        &self,
        subject: &str,
        new: &NewSchema,
        options: &RegisterOptions,
    ) -> Result<Option<Found>, RegistryError> {
        check_request(subject, new)?;
        let config = self.config_in_scope(Some(subject));
        if options.changes_tags()
            || options.propagate_tags
            || config.has_defaults_or_overrides()
            || !subject_is_known(self, subject)
        {
            return Ok(None);
        }
        let is_latest = new.version == -1;
        let found = self.find(&config, subject, new, options.normalize, false, is_latest)?;
        let Some(found) = found else {
            return Ok(None);
        };
        if new.version == 0 || is_latest {
            return Ok(Some(found).filter(|found| new.id < 0 || new.id == found.id));
        }
        if new.id != found.id {
            return Ok(None);
        }
        if new.version == found.version {
            return Ok(Some(found));
        }
        // The same schema may have been imported under several versions.
        let older = self.version(subject, VersionId::Number(new.version), false);
        Ok(older.filter(|older| older.id == found.id && older.body.guid == found.body.guid))
    }

    /// Plans a registration.
    pub(super) fn plan_register(
        &self,
        subject: &str,
        mut new: NewSchema,
        options: &RegisterOptions,
    ) -> Result<Planned<Found>, RegistryError> {
        check_request(subject, &new)?;
        if let Some(found) = self.registered(subject, &new, options)? {
            return Ok(Planned::nothing(found));
        }
        self.check_register_mode(subject, new.id)?;
        let config = self.config_in_scope(Some(subject));
        let mode = self.mode_in_scope(Some(subject));
        if options.changes_tags() {
            self.change_tags(
                subject,
                &mut new,
                &options.tags_to_add,
                &options.tags_to_remove,
            )?;
        }
        let next = self.next_version(subject)?;
        let live = live_versions(&self.state(), subject);
        if !mode.is_import() {
            self.populate(
                &config,
                subject,
                &mut new,
                &live,
                next,
                options.propagate_tags,
            )?;
        }
        let canonical = self
            .canonical(&config, subject, &new, new.id < 0, options.normalize)?
            .ok_or_else(|| RegistryError::invalid_schema("Empty schema"))?;
        let mut id = new.id;
        match self.existing(subject, &new, &canonical) {
            Existing::Version(found) => return Ok(Planned::nothing(found)),
            Existing::Id(existing) => id = existing,
            Existing::Nothing => {}
        }
        if new.version == 0 {
            let state_versions = self.live_found(subject);
            let same = state_versions
                .into_iter()
                .find(|found| (id < 0 || id == found.id) && self.can_look_up(&canonical, found));
            if let Some(found) = same {
                return Ok(Planned::nothing(found));
            }
        }
        if !mode.is_import() {
            self.check_compatible(&config, subject, &canonical, &live)?;
        }
        let version = match new.version {
            ..=0 => next,
            asked if asked != next && !mode.is_import() => {
                return Err(RegistryError::invalid_schema(
                    "Version is not one more than previous version",
                ));
            }
            asked => asked,
        };
        let id = self.choose_id(subject, id, &canonical.body)?;
        Ok(self.new_version(subject, version, id, canonical.body))
    }

    fn check_compatible(
        &self,
        config: &Config,
        subject: &str,
        new: &Canonical,
        live: &[(i32, Arc<SchemaBody>)],
    ) -> Result<(), RegistryError> {
        let metadata = new.body.metadata.as_deref();
        let messages = self.incompatibilities(config, subject, &new.parsed, metadata, live)?;
        if messages.is_empty() {
            return Ok(());
        }
        Err(RegistryError::Incompatible {
            subject: subject.to_owned(),
            messages,
            code: self.config().incompatible_error_code,
        })
    }

    fn check_register_mode(&self, subject: &str, id: i32) -> Result<(), RegistryError> {
        self.check_writable(subject)?;
        let mode = self.mode_in_scope(Some(subject));
        let context = shown_context(subject);
        if id >= 0 && !mode.is_import() {
            return Err(RegistryError::not_permitted(format!(
                "Subject {subject} in context {context} is not in import mode"
            )));
        }
        if id < 0 && mode != Mode::ReadWrite {
            return Err(RegistryError::not_permitted(format!(
                "Subject {subject} in context {context} is not in read-write mode"
            )));
        }
        Ok(())
    }

    /// One more than the highest version, soft deleted ones too.
    fn next_version(&self, subject: &str) -> Result<i32, RegistryError> {
        let state = self.state();
        let last = state
            .versions(subject)
            .and_then(|versions| versions.keys().next_back().copied());
        last.unwrap_or(0).checked_add(1).ok_or_else(|| {
            RegistryError::invalid_schema(format!("subject {subject} has no version numbers left"))
        })
    }

    fn live_found(&self, subject: &str) -> Vec<Found> {
        let state = self.state();
        let Some(versions) = state.versions(subject) else {
            return Vec::new();
        };
        versions
            .iter()
            .rev()
            .filter(|(_, version)| !version.deleted)
            .map(|(number, version)| Found::of(subject, *number, version))
            .collect()
    }

    fn change_tags(
        &self,
        subject: &str,
        new: &mut NewSchema,
        add: &FieldTags,
        remove: &FieldTags,
    ) -> Result<(), RegistryError> {
        let context = subject::context_of(subject);
        let options = ParseOptions::default();
        let parsed = self.parse(
            context,
            new.schema_type,
            &new.text,
            &new.references,
            options,
        )?;
        new.text = parsed
            .with_tags(add, remove)
            .map_err(|error| RegistryError::invalid_schema(error.to_string()))?;
        if new.version == 0 {
            // The number goes into the metadata then, and the next writer of tags can see what it built on.
            new.version = -1;
        }
        Ok(())
    }

    /// Fills in what the request leaves out (`maybePopulateFromPrevious`).
    fn populate(
        &self,
        config: &Config,
        subject: &str,
        new: &mut NewSchema,
        live: &[(i32, Arc<SchemaBody>)],
        next: i32,
        propagate_tags: bool,
    ) -> Result<(), RegistryError> {
        let previous = live.last().map(|(_, body)| &**body);
        if new.text.trim().is_empty() {
            let Some(previous) = previous else {
                return Err(RegistryError::invalid_schema("Empty schema"));
            };
            new.text = previous.text.to_string();
            new.schema_type = previous.schema_type;
            new.references = previous.references.to_vec();
        }
        if let Some(previous) = previous.filter(|_| propagate_tags) {
            let tags = self
                .parsed(subject::context_of(subject), previous)?
                .inline_tags();
            if !tags.is_empty() {
                let asked = new.version;
                self.change_tags(subject, new, &tags, &FieldTags::new())?;
                new.version = asked;
            }
        }
        populate_contract(config, new, previous, Some(next));
        Ok(())
    }

    fn existing(&self, subject: &str, new: &NewSchema, canonical: &Canonical) -> Existing {
        let guid = canonical.body.guid;
        let known = {
            let state = self.state();
            let index = state.index(subject::context_of(subject));
            index.and_then(|index| index.id_of(&guid))
        };
        match known.filter(|known| new.id < 0 || new.id == *known) {
            None => Existing::Nothing,
            Some(known) => match self.same_body(subject, &canonical.body, false) {
                Some(found) if new.version == 0 => Existing::Version(found),
                _ => Existing::Id(known),
            },
        }
    }

    /// The id that was asked for, if it is free or has this schema; else the next.
    fn choose_id(&self, subject: &str, id: i32, body: &SchemaBody) -> Result<i32, RegistryError> {
        let state = self.state();
        let context = subject::context_of(subject);
        if id < 0 {
            let next = state.next_id(context);
            let taken = state.index(context).and_then(|index| index.by_id(next));
            return match taken {
                None => Ok(next),
                Some(_) => Err(RegistryError::Store {
                    message: format!("context {context} has no ids left"),
                }),
            };
        }
        let entry = state.index(context).and_then(|index| index.by_id(id));
        match entry {
            Some(entry) if entry.body.guid != body.guid => {
                let context = shown_context(subject);
                Err(RegistryError::not_permitted(format!(
                    "Overwrite new schema with id {id} in context {context} is not permitted."
                )))
            }
            _ => Ok(id),
        }
    }

    fn new_version(
        &self,
        subject: &str,
        version: i32,
        id: i32,
        body: SchemaBody,
    ) -> Planned<Found> {
        let mut records = Vec::with_capacity(1);
        let state = self.state();
        let context = subject::context_of(subject);
        if !state.has_context(context) {
            records.push(context_record(context));
        }
        let replaced = state
            .versions(subject)
            .into_iter()
            .flatten()
            .filter(|(number, old)| old.deleted && old.id == id && **number < version)
            .filter(|(number, _)| state.referenced_by(subject, **number).is_empty());
        for (number, _) in replaced {
            records.push(Record::tombstone(Key::Schema {
                subject: subject.to_owned(),
                version: *number,
            }));
        }
        drop(state);
        records.push(version_record(subject, version, id, &body, false));
        Planned {
            answer: Found {
                subject: subject.to_owned(),
                version,
                id,
                deleted: false,
                timestamp_ms: 0,
                body: Arc::new(body),
            },
            records,
        }
    }
}

enum Existing {
    Version(Found),
    Id(i32),
    Nothing,
}

fn subject_is_known(registry: &Registry, subject: &str) -> bool {
    registry
        .version(subject, VersionId::Latest, false)
        .is_some()
}

fn check_request(subject: &str, new: &NewSchema) -> Result<(), RegistryError> {
    if !subject::is_valid(subject) {
        return Err(RegistryError::InvalidSubject {
            subject: subject.to_owned(),
        });
    }
    new.rule_set.as_ref().map_or(Ok(()), rules::check)
}

/// The record of a version.
pub(super) fn version_record(
    subject: &str,
    version: i32,
    id: i32,
    body: &SchemaBody,
    deleted: bool,
) -> Record {
    let is_avro = body.schema_type == schema::SchemaType::Avro;
    let value = SchemaValue {
        subject: subject.to_owned(),
        version,
        id,
        md5: Some(BASE64.encode(body.guid.as_bytes())),
        schema_type: (!is_avro).then(|| body.schema_type.name().to_owned()),
        references: body.references.to_vec(),
        metadata: body.metadata.as_deref().cloned(),
        rule_set: body.rule_set.as_deref().cloned(),
        schema: body.text.to_string(),
        deleted,
    };
    Record::new(
        Key::Schema {
            subject: subject.to_owned(),
            version,
        },
        Value::Schema(Box::new(value)),
    )
}
