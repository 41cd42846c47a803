//! Finding what is registered: by id, GUID, version, or by the schema itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::{Metadata, ParseOptions, ParsedSchema, SchemaType};
use uuid::Uuid;

use super::{Found, NewSchema, Registry, merge};
use crate::error::RegistryError;
use crate::state::{Config, IdEntry, Lookup, SchemaBody, State};
use crate::subject::{self, DEFAULT_CONTEXT};

/// Which version of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionId {
    /// The newest that is not soft deleted.
    Latest,
    /// This one.
    Number(i32),
}

impl VersionId {
    /// Reads `latest` in any case, `-1` or a number from 1 on, with spaces around it or not (`VersionId`).
    ///
    /// # Errors
    /// 42202 for anything else.
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let trimmed = text.trim();
        if trimmed.eq_ignore_ascii_case("latest") {
            return Ok(Self::Latest);
        }
        match trimmed.parse() {
            Ok(-1) => Ok(Self::Latest),
            Ok(number) if number >= 1 => Ok(Self::Number(number)),
            _ => Err(RegistryError::InvalidVersion {
                version: text.to_owned(),
            }),
        }
    }
}

/// A schema in the form in which it is kept, with what it parses to.
#[derive(Debug)]
pub(super) struct Canonical {
    pub(super) body: SchemaBody,
    pub(super) parsed: ParsedSchema,
}

impl Registry {
    /// A version of exactly this subject.
    #[must_use]
    pub fn version(&self, subject: &str, version: VersionId, deleted: bool) -> Option<Found> {
        version_in(&self.state(), subject, version, deleted)
    }

    /// A version of a subject; of an unqualified one also in other contexts, when the default one has none.
    ///
    /// # Errors
    /// 40401 without the subject, 40402 without the version.
    pub fn version_anywhere(
        &self,
        subject: &str,
        version: VersionId,
        deleted: bool,
    ) -> Result<Found, RegistryError> {
        let state = self.state();
        if let Some(found) = version_in(&state, subject, version, deleted) {
            return Ok(found);
        }
        if subject::context_of(subject) == DEFAULT_CONTEXT {
            let elsewhere = state.contexts().find_map(|context| {
                version_in(
                    &state,
                    &subject::qualify(context, subject),
                    version,
                    deleted,
                )
            });
            if let Some(found) = elsewhere {
                return Ok(found);
            }
        }
        let lookup = Lookup::of(deleted, false);
        match version {
            VersionId::Number(version) if state.has_subject(subject, lookup) => {
                Err(RegistryError::VersionNotFound { version })
            }
            VersionId::Latest if state.has_subject(subject, lookup) => {
                Err(RegistryError::VersionNotFound { version: -1 })
            }
            _ => Err(RegistryError::subject_not_found(subject)),
        }
    }

    /// What `id` stands for, with the version that shows it: of the subject when one is given, which may also be in
    /// another context than the default one, else in its context.
    #[must_use]
    pub fn by_id(&self, id: i32, subject: Option<&str>) -> Option<(String, IdEntry)> {
        let state = self.state();
        let (context, name) = subject.map_or((DEFAULT_CONTEXT, ""), subject::split);
        let own = state.index(context).and_then(|index| index.by_id(id));
        let of_subject =
            |entry: &IdEntry, subject: &str| entry.versions.iter().any(|(of, _)| &**of == subject);
        if name.is_empty() || context != DEFAULT_CONTEXT {
            let entry = own?;
            if !name.is_empty() && !of_subject(entry, subject?) {
                return None;
            }
            return Some((context.to_owned(), entry.clone()));
        }
        if let Some(entry) = own.filter(|entry| of_subject(entry, name)) {
            return Some((context.to_owned(), entry.clone()));
        }
        for other in state.contexts() {
            let entry = state.index(other).and_then(|index| index.by_id(id));
            let qualified = subject::qualify(other, name);
            if let Some(entry) = entry.filter(|entry| of_subject(entry, &qualified)) {
                return Some((other.to_owned(), entry.clone()));
            }
        }
        own.map(|entry| (context.to_owned(), entry.clone()))
    }

    /// The ids of a GUID, by context.
    #[must_use]
    pub fn ids_of_guid(&self, guid: &Uuid) -> Vec<(String, i32)> {
        let state = self.state();
        let mut ids: Vec<_> = std::iter::once(DEFAULT_CONTEXT)
            .chain(state.contexts())
            .filter_map(|context| {
                let id = state.index(context)?.id_of(guid)?;
                Some((context.to_owned(), id))
            })
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// The newest version whose metadata has all these properties; without any, the newest.
    #[must_use]
    pub fn latest_with_metadata(
        &self,
        subject: &str,
        wanted: &BTreeMap<String, String>,
        deleted: bool,
    ) -> Option<Found> {
        let state = self.state();
        let lookup = Lookup::of(deleted, false);
        let versions = state.versions(subject)?;
        let has_all = |metadata: &Metadata| {
            let properties = metadata.properties.as_ref();
            properties.is_some_and(|has| {
                wanted
                    .iter()
                    .all(|(key, value)| has.get(key) == Some(value))
            })
        };
        versions
            .iter()
            .rev()
            .filter(|(_, version)| lookup.wants(version.deleted))
            .find(|(_, version)| {
                wanted.is_empty() || version.body.metadata.as_deref().is_some_and(has_all)
            })
            .map(|(number, version)| Found::of(subject, *number, version))
    }

    /// The version under which `new` is registered; of an unqualified subject also in other contexts. What is not found
    /// as it is, is looked for in its normal form.
    ///
    /// # Errors
    /// 42201 for what is no schema; 40401 without the subject, 40403 without the schema.
    pub fn look_up(
        &self,
        subject: &str,
        new: &NewSchema,
        normalize: bool,
        deleted: bool,
    ) -> Result<Found, RegistryError> {
        let normalize = normalize || self.config_in_scope(Some(subject)).normalize == Some(true);
        let forms: &[bool] = if normalize { &[true] } else { &[false, true] };
        for normalize in forms {
            let found = self.look_up_anywhere(subject, new, *normalize, deleted)?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Err(self.not_found(subject, deleted))
    }

    /// What is not there: the subject, or the schema under it.
    #[must_use]
    pub fn not_found(&self, subject: &str, deleted: bool) -> RegistryError {
        if self
            .state()
            .has_subject(subject, Lookup::of(deleted, false))
        {
            RegistryError::SchemaNotFound { id: None }
        } else {
            RegistryError::subject_not_found(subject)
        }
    }

    fn look_up_anywhere(
        &self,
        subject: &str,
        new: &NewSchema,
        normalize: bool,
        deleted: bool,
    ) -> Result<Option<Found>, RegistryError> {
        let found = self.look_up_in(subject, new, normalize, deleted)?;
        if found.is_some() {
            return Ok(found);
        }
        let contexts: Vec<String> = if subject::context_of(subject) == DEFAULT_CONTEXT {
            self.state().contexts().map(str::to_owned).collect()
        } else {
            Vec::new()
        };
        for context in contexts {
            let qualified = subject::qualify(&context, subject);
            let found = self.look_up_in(&qualified, new, normalize, deleted);
            if let Ok(Some(found)) = found {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Looks for `new` as it is, then with what a registration would add from the version before and the config.
    fn look_up_in(
        &self,
        subject: &str,
        new: &NewSchema,
        normalize: bool,
        deleted: bool,
    ) -> Result<Option<Found>, RegistryError> {
        let config = self.config_in_scope(Some(subject));
        let found = self.find(&config, subject, new, normalize, deleted, false)?;
        if found.is_some() {
            return Ok(found);
        }
        let Some(previous) = self.version(subject, VersionId::Latest, false) else {
            return Ok(None);
        };
        let mut populated = new.clone();
        populate_contract(&config, &mut populated, Some(&previous.body), None);
        if populated == *new {
            return Ok(None);
        }
        self.find(&config, subject, &populated, normalize, deleted, false)
    }

    /// The version of `subject` that is `new`.
    pub(super) fn find(
        &self,
        config: &Config,
        subject: &str,
        new: &NewSchema,
        normalize: bool,
        deleted: bool,
        latest_only: bool,
    ) -> Result<Option<Found>, RegistryError> {
        let Some(canonical) = self.canonical(config, subject, new, false, normalize)? else {
            return Ok(None);
        };
        if !latest_only {
            let same = self.same_body(subject, &canonical.body, deleted);
            if same.is_some() {
                return Ok(same);
            }
        }
        let candidates = self.candidates(subject, deleted, latest_only);
        for candidate in candidates {
            if self.can_look_up(&canonical, &candidate) {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    /// The newest version of `subject` with exactly this body.
    pub(super) fn same_body(
        &self,
        subject: &str,
        body: &SchemaBody,
        deleted: bool,
    ) -> Option<Found> {
        let state = self.state();
        let index = state.index(subject::context_of(subject))?;
        let entry = index.by_id(index.id_of(&body.guid)?)?;
        let lookup = Lookup::of(deleted, false);
        entry
            .versions
            .iter()
            .filter(|(of, _)| &**of == subject)
            .filter_map(|(_, number)| Some((*number, state.version(subject, *number)?)))
            .filter(|(_, version)| lookup.wants(version.deleted))
            .max_by_key(|(number, _)| *number)
            .map(|(number, version)| Found::of(subject, number, version))
    }

    fn candidates(&self, subject: &str, deleted: bool, latest_only: bool) -> Vec<Found> {
        let state = self.state();
        if latest_only {
            return version_in(&state, subject, VersionId::Latest, false)
                .into_iter()
                .collect();
        }
        let lookup = Lookup::of(deleted, false);
        let Some(versions) = state.versions(subject) else {
            return Vec::new();
        };
        versions
            .iter()
            .rev()
            .filter(|(_, version)| lookup.wants(version.deleted))
            .map(|(number, version)| Found::of(subject, *number, version))
            .collect()
    }

    /// Whether whoever sends `new` means `found`: the same but for the number in its metadata, or with its references
    /// resolved (`ParsedSchema.canLookup`).
    pub(super) fn can_look_up(&self, new: &Canonical, found: &Found) -> bool {
        let (subject, old) = (&found.subject, &found.body);
        let (new_body, new_metadata) = (&new.body, new.body.metadata.as_deref());
        let old_metadata = old.metadata.as_deref();
        let asked = merge::confluent_version(new_metadata);
        let same_metadata = match (asked, merge::confluent_version(old_metadata)) {
            (None, None) | (Some(_), Some(_)) => new_metadata == old_metadata,
            (None, Some(_)) => {
                new_metadata.cloned() == merge::without_confluent_version(old_metadata)
            }
            // The number that is asked for is the version's, which its metadata does not tell.
            (Some(asked), None) => {
                asked == found.version.to_string()
                    && merge::without_confluent_version(new_metadata) == old_metadata.cloned()
            }
        };
        if new_body.schema_type != old.schema_type
            || new_body.rule_set != old.rule_set
            || !same_metadata
        {
            return false;
        }
        if new_body.references == old.references {
            return new_body.text == old.text;
        }
        if !new_body.references.is_empty() || old.references.is_empty() {
            return false;
        }
        if new_body.text == old.text {
            return true;
        }
        let Ok(old) = self.parsed(subject::context_of(subject), old) else {
            return false;
        };
        let resolved = old.formatted("resolved");
        resolved.is_ok() && resolved == new.parsed.formatted("resolved")
    }

    /// `new` as it would be kept; none for an empty text.
    pub(super) fn canonical(
        &self,
        config: &Config,
        subject: &str,
        new: &NewSchema,
        is_new: bool,
        normalize: bool,
    ) -> Result<Option<Canonical>, RegistryError> {
        if new.text.trim().is_empty() {
            return Ok(None);
        }
        let context = subject::context_of(subject);
        let normalize = normalize || config.normalize == Some(true);
        let mut references = self.pinned(context, &new.references);
        if normalize {
            // Their order is no part of a normal form (`AvroSchema.normalize`).
            references.sort_by(|a, b| (&a.subject, a.version).cmp(&(&b.subject, b.version)));
            references.dedup();
        }
        // Only Avro's texts may be less than the letter (names, defaults); what is no JSON Schema and what the compiler
        // refuses was never let in by Confluent's parsers either.
        // A normal form has no default that is none.
        let validate_new = is_new
            && (new.schema_type != SchemaType::Avro
                || normalize
                || config
                    .validate_new_schemas
                    .unwrap_or(self.config().validate_new_schemas));
        let options = ParseOptions { validate_new };
        let parsed = self.parse(context, new.schema_type, &new.text, &references, options)?;
        let text = if normalize {
            parsed.normalized()
        } else {
            parsed.canonical()
        };
        let body = SchemaBody::new(
            new.schema_type,
            &text,
            &references,
            // Metadata that say nothing are none, but are not those of the version before either.
            new.metadata.clone().filter(|metadata| !metadata.is_empty()),
            new.rule_set.clone(),
        );
        Ok(Some(Canonical { body, parsed }))
    }
}

/// Puts into `new` what config and previous version say of metadata and rules. With `version`, the number goes into
/// the metadata where it belongs: where the request asked for a version, or where metadata speaks of one.
pub(super) fn populate_contract(
    config: &Config,
    new: &mut NewSchema,
    previous: Option<&SchemaBody>,
    version: Option<i32>,
) {
    let specific = new
        .metadata
        .as_ref()
        .or_else(|| previous.and_then(|body| body.metadata.as_deref()));
    let below = merge::metadata(config.default_metadata.as_ref(), specific);
    let mut metadata = merge::metadata(below.as_ref(), config.override_metadata.as_ref());
    let specific = new
        .rule_set
        .as_ref()
        .or_else(|| previous.and_then(|body| body.rule_set.as_deref()));
    let below = merge::rule_set(config.default_rule_set.as_ref(), specific);
    let rule_set = merge::rule_set(below.as_ref(), config.override_rule_set.as_ref());
    if let Some(version) = version
        && (new.version != 0 || merge::confluent_version(metadata.as_ref()).is_some())
    {
        metadata = Some(merge::with_confluent_version(metadata, version));
    }
    if metadata.is_some() || rule_set.is_some() {
        new.metadata = metadata;
        new.rule_set = rule_set;
    }
}

fn version_in(state: &State, subject: &str, version: VersionId, deleted: bool) -> Option<Found> {
    match version {
        VersionId::Latest => state
            .latest(subject)
            .map(|(number, version)| Found::of(subject, number, version)),
        VersionId::Number(number) => state
            .version(subject, number)
            .filter(|version| deleted || !version.deleted)
            .map(|version| Found::of(subject, number, version)),
    }
}

/// The versions of a subject that are not soft deleted, oldest first.
pub(super) fn live_versions(state: &State, subject: &str) -> Vec<(i32, Arc<SchemaBody>)> {
    let Some(versions) = state.versions(subject) else {
        return Vec::new();
    };
    versions
        .iter()
        .filter(|(_, version)| !version.deleted)
        .map(|(number, version)| (*number, Arc::clone(&version.body)))
        .collect()
}
