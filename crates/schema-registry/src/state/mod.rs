//! What the registry knows: a function of the records of its topic.
//!
//! [`State::apply`] takes one record after the other; two instances that have read the same records know the same,
//! and an instance that starts anew knows what the last one knew. Requests read it and never change it: they write
//! records, and see their own effect once those come back from the topic.
//!
//! Per context there is an index from ids and GUIDs to schemas. A *body* ([`SchemaBody`]) is all that a GUID is the
//! digest of; versions of several subjects that have the same body share it, and their id.
//!
//! **Invariants:** within a context an id has one body, whoever wrote the topic: a record that gives a taken id another
//! text is passed over. [`ContextIndex::max_id`] only grows, over any deletion and any restart ([`records`]).
//!
//! **Not here:** parsing of schemas. A hundred thousand of them are loaded as texts, and parsed when somebody asks.

pub mod associations;
pub mod changes;
pub mod config;
pub mod counts;
pub mod exporters;
pub mod records;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use schema::guid::guid;
use schema::{Metadata, RuleSet, SchemaReference, SchemaType};
use uuid::Uuid;

pub use associations::{Association, AssociationFilter, Associations};
pub use changes::Change;
use changes::Changes;
pub use config::{Config, Mode};
pub use counts::SchemaCounts;
pub use exporters::{Exporter, Exporters};
use records::{DeleteSubjectValue, NoopValue};
pub use records::{Key, Record, SchemaValue, Value};

use crate::log::{Encoded, Replay, Spellings};
use crate::subject::{self, ALL_CONTEXTS, DEFAULT_CONTEXT, GLOBAL_CONTEXT};

/// What a GUID is the digest of.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaBody {
    /// The format.
    pub schema_type: SchemaType,
    /// The text.
    pub text: Box<str>,
    /// What it refers to.
    pub references: Box<[SchemaReference]>,
    /// Tags and properties.
    pub metadata: Option<Box<Metadata>>,
    /// Rules.
    pub rule_set: Option<Box<RuleSet>>,
    /// The digest.
    pub guid: Uuid,
}

impl SchemaBody {
    /// A body with its digest.
    #[must_use]
    pub fn new(
        schema_type: SchemaType,
        text: &str,
        references: &[SchemaReference],
        metadata: Option<Metadata>,
        rule_set: Option<RuleSet>,
    ) -> Self {
        let guid = guid(text, references, metadata.as_ref(), rule_set.as_ref());
        Self {
            schema_type,
            text: text.into(),
            references: references.into(),
            metadata: metadata.map(Box::new),
            rule_set: rule_set.map(Box::new),
            guid,
        }
    }
}

/// A version of a subject.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its id in the context.
    pub id: i32,
    /// Soft deleted.
    pub deleted: bool,
    /// When its record was written, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The offset of the record that made or deleted it.
    pub offset: i64,
    /// The schema.
    pub body: Arc<SchemaBody>,
}

/// What an id stands for.
#[derive(Debug, Clone)]
pub struct IdEntry {
    /// The schema.
    pub body: Arc<SchemaBody>,
    /// The versions that have it, soft deleted ones too, oldest first.
    pub versions: Vec<(Arc<str>, i32)>,
}

/// The ids and GUIDs of a context.
#[derive(Debug, Default)]
pub struct ContextIndex {
    by_id: HashMap<i32, IdEntry>,
    by_guid: HashMap<Uuid, i32>,
    /// Live schemas by what they refer to, with how many versions of each do.
    referenced_by: HashMap<(String, i32), BTreeMap<i32, usize>>,
    max_id: i32,
}

impl ContextIndex {
    /// What `id` stands for.
    #[must_use]
    pub fn by_id(&self, id: i32) -> Option<&IdEntry> {
        self.by_id.get(&id)
    }

    /// The id of the schema with this digest.
    #[must_use]
    pub fn id_of(&self, guid: &Uuid) -> Option<i32> {
        self.by_guid.get(guid).copied()
    }

    /// The highest id ever given; 0 before the first.
    #[must_use]
    pub fn max_id(&self) -> i32 {
        self.max_id
    }
}

/// Subjects with their versions, by name.
pub type Subjects<'a> = Box<dyn Iterator<Item = (&'a Arc<str>, &'a BTreeMap<i32, Version>)> + 'a>;

/// What all records together say.
#[derive(Debug)]
pub struct State {
    subjects: BTreeMap<Arc<str>, BTreeMap<i32, Version>>,
    indexes: HashMap<String, ContextIndex>,
    contexts: BTreeSet<String>,
    configs: BTreeMap<Option<String>, Config>,
    modes: BTreeMap<Option<String>, Mode>,
    associations: Associations,
    exporters: Exporters,
    changes: Changes,
    counts: SchemaCounts,
    /// The offset of the record that is being applied, or was last.
    offset: i64,
    spellings: Spellings<Key>,
    /// Kinds of keys that nobody here knows, each told once.
    unknown_kinds: BTreeSet<String>,
}

/// Which versions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// Those that are not soft deleted.
    Live,
    /// All.
    All,
    /// Only the soft deleted.
    Deleted,
}

impl Lookup {
    /// From the two flags of a query: `deletedOnly` wins.
    #[must_use]
    pub fn of(deleted: bool, deleted_only: bool) -> Self {
        match (deleted, deleted_only) {
            (_, true) => Self::Deleted,
            (true, false) => Self::All,
            (false, false) => Self::Live,
        }
    }

    /// Whether a version with this flag counts.
    #[must_use]
    pub fn wants(self, deleted: bool) -> bool {
        match self {
            Self::Live => !deleted,
            Self::All => true,
            Self::Deleted => deleted,
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            subjects: BTreeMap::default(),
            indexes: HashMap::default(),
            contexts: BTreeSet::default(),
            configs: BTreeMap::default(),
            modes: BTreeMap::default(),
            associations: Associations::default(),
            exporters: Exporters::default(),
            changes: Changes::default(),
            counts: SchemaCounts::default(),
            offset: -1,
            spellings: Spellings::default(),
            unknown_kinds: BTreeSet::default(),
        }
    }
}

impl State {
    /// Takes the record that the topic has after the last one. One of a kind that is not known is passed over.
    ///
    /// # Errors
    /// The record cannot be read; the state is as before.
    pub fn apply_raw(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp_ms: i64,
    ) -> Result<(), records::UnreadableRecord> {
        self.apply_at(self.offset.saturating_add(1), key, value, timestamp_ms)
    }

    /// Takes the record at an offset of the topic.
    ///
    /// # Errors
    /// As [`State::apply_raw`].
    pub fn apply_at(
        &mut self,
        offset: i64,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp_ms: i64,
    ) -> Result<(), records::UnreadableRecord> {
        self.offset = offset;
        let Some(record) = Record::decode(key, value)? else {
            self.tell_unknown(key);
            return Ok(());
        };
        self.spellings
            .note(&record.key, &record.key.encode(), key, value.is_none());
        self.apply(record, timestamp_ms);
        Ok(())
    }

    fn tell_unknown(&mut self, key: &[u8]) {
        const KINDS_MAX: usize = 64;
        let kind = records::kind_of(key);
        if self.unknown_kinds.len() < KINDS_MAX && !self.unknown_kinds.contains(&kind) {
            tracing::warn!(
                kind,
                "the topic has records of a kind that this registry does not know; they stay as they are"
            );
            self.unknown_kinds.insert(kind);
        }
    }

    /// The bytes, other than ours, under which the topic holds this key.
    pub fn other_spellings(&self, key: &Key) -> impl Iterator<Item = &[u8]> {
        self.spellings.of(key)
    }

    /// Takes a record.
    pub fn apply(&mut self, record: Record, timestamp_ms: i64) {
        match (record.key, record.value) {
            (Key::Schema { subject, version }, Some(Value::Schema(value))) => {
                self.put_version(&subject, version, *value, timestamp_ms);
            }
            (Key::Schema { subject, version }, None) => self.remove_version(&subject, version),
            (Key::Config(of), Some(Value::Config(config))) => {
                self.config_changed(of.as_deref());
                self.configs.insert(of, *config);
            }
            (Key::Config(of), None) => {
                self.config_changed(of.as_deref());
                self.configs.remove(&of);
            }
            (Key::Mode(of), Some(Value::Mode(value))) => {
                self.modes.insert(of, value.mode);
            }
            (Key::Mode(of), None) => {
                self.modes.remove(&of);
            }
            (Key::DeleteSubject(subject), Some(Value::DeleteSubject(value))) => {
                self.soft_delete(&subject, &value);
            }
            (Key::ClearSubject(prefix), Some(_)) => self.clear(prefix.as_deref()),
            (Key::Context(context), Some(_)) => {
                self.contexts.insert(context);
            }
            (Key::Context(context), None) => {
                self.contexts.remove(&context);
            }
            (Key::Association(key), Some(Value::Association(value))) => {
                self.associations.put(*key, *value, timestamp_ms);
            }
            (Key::Association(key), None) => self.associations.remove(&key),
            (Key::Exporter(name), Some(Value::Exporter(value))) => {
                self.exporters.put(name, *value, self.offset);
            }
            (Key::Exporter(name), None) => self.exporters.remove(&name),
            (Key::ExporterState(name), Some(Value::ExporterState(progress))) => {
                self.exporters.put_progress(name, progress);
            }
            (Key::ExporterState(name), None) => self.exporters.remove_progress(&name),
            (Key::Noop, Some(Value::Noop(NoopValue { max_ids }))) => {
                for (context, max_id) in max_ids {
                    let index = self.indexes.entry(context).or_default();
                    index.max_id = index.max_id.max(max_id);
                }
            }
            _ => {}
        }
    }

    fn config_changed(&mut self, of: Option<&str>) {
        if let Some(of) = of {
            let change = Change::Config(Arc::from(of));
            self.changes.mark(self.offset, change);
        }
    }

    fn put_version(&mut self, subject: &str, version: i32, value: SchemaValue, timestamp_ms: i64) {
        let name = value.schema_type.as_deref().unwrap_or("AVRO");
        let Some(schema_type) = SchemaType::of(name) else {
            tracing::warn!(
                subject,
                version,
                schema_type = name,
                "a schema of a type that is not known is passed over"
            );
            return;
        };
        let context = subject::context_of(subject).to_owned();
        let body = SchemaBody::new(
            schema_type,
            &value.schema,
            &value.references,
            value.metadata,
            value.rule_set,
        );
        let index = self.indexes.entry(context).or_default();
        let taken = index.by_id.get(&value.id);
        let body = match taken {
            Some(entry) if entry.body.guid == body.guid => Arc::clone(&entry.body),
            Some(entry) if *entry.body.text != *body.text => {
                tracing::error!(
                    subject,
                    version,
                    id = value.id,
                    "a record gives an id that is taken to another schema; it is passed over"
                );
                return;
            }
            _ => Arc::new(body),
        };
        index.max_id = index.max_id.max(value.id);
        self.contexts_seen(subject);
        let was_live = self
            .version(subject, version)
            .map(|version| !version.deleted);
        self.forget_version(subject, version);
        let name: Arc<str> = match self.subjects.get_key_value(subject) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(subject),
        };
        let entry = Version {
            id: value.id,
            deleted: value.deleted,
            timestamp_ms,
            offset: self.offset,
            body: Arc::clone(&body),
        };
        self.counts.put(schema_type, value.deleted, was_live);
        self.changes
            .version(self.offset, Arc::clone(&name), version);
        let index = self.index_mut(subject);
        index.by_guid.insert(body.guid, value.id);
        let id_entry = index.by_id.entry(value.id).or_insert_with(|| IdEntry {
            body: Arc::clone(&body),
            versions: Vec::with_capacity(1),
        });
        id_entry.versions.push((Arc::clone(&name), version));
        if !value.deleted {
            self.refer(subject, &body, value.id, true);
        }
        self.subjects
            .entry(name)
            .or_default()
            .insert(version, entry);
    }

    /// A context whose `CONTEXT` record is missing, as in topics of before contexts had records, is one all the same.
    fn contexts_seen(&mut self, subject: &str) {
        let context = subject::context_of(subject);
        if context != DEFAULT_CONTEXT && !self.contexts.contains(context) {
            self.contexts.insert(context.to_owned());
        }
    }

    fn index_mut(&mut self, subject: &str) -> &mut ContextIndex {
        self.indexes
            .entry(subject::context_of(subject).to_owned())
            .or_default()
    }

    fn remove_version(&mut self, subject: &str, version: i32) {
        let removed = self.version(subject, version);
        if let Some((schema_type, deleted)) =
            removed.map(|removed| (removed.body.schema_type, removed.deleted))
        {
            self.counts.remove(schema_type, deleted);
        }
        self.forget_version(subject, version);
    }

    fn forget_version(&mut self, subject: &str, version: i32) {
        let Some(versions) = self.subjects.get_mut(subject) else {
            return;
        };
        let Some(removed) = versions.remove(&version) else {
            return;
        };
        if versions.is_empty() {
            self.subjects.remove(subject);
            self.changes.unmark(&Change::Deleted(Arc::from(subject)));
        }
        self.changes.forget_version(removed.offset);
        if !removed.deleted {
            self.refer(subject, &removed.body, removed.id, false);
        }
        let index = self.index_mut(subject);
        let Some(entry) = index.by_id.get_mut(&removed.id) else {
            return;
        };
        entry
            .versions
            .retain(|(of, number)| !(&**of == subject && *number == version));
        if entry.versions.is_empty() {
            let guid = entry.body.guid;
            index.by_id.remove(&removed.id);
            if index.by_guid.get(&guid) == Some(&removed.id) {
                index.by_guid.remove(&guid);
            }
        }
    }

    /// Counts a version in or out of those that refer to its references.
    fn refer(&mut self, subject: &str, body: &SchemaBody, id: i32, live: bool) {
        let context = subject::context_of(subject).to_owned();
        for reference in &body.references {
            let of = subject::in_context_of(&context, &reference.subject);
            let index = self.index_mut(&of);
            let key = (of, reference.version);
            let by = index.referenced_by.entry(key.clone()).or_default();
            let count = by.entry(id).or_default();
            *count = if live {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
            if *count == 0 {
                by.remove(&id);
            }
            if by.is_empty() {
                index.referenced_by.remove(&key);
            }
        }
    }

    fn soft_delete(&mut self, subject: &str, up_to: &DeleteSubjectValue) {
        let Some(versions) = self.subjects.get_mut(subject) else {
            return;
        };
        let mut dead = Vec::new();
        for version in versions
            .range_mut(..=up_to.version)
            .map(|(_, version)| version)
        {
            if !version.deleted {
                version.deleted = true;
                dead.push((Arc::clone(&version.body), version.id));
            }
        }
        for (body, id) in dead {
            self.counts.delete(body.schema_type);
            self.refer(subject, &body, id, false);
        }
        let change = Change::Deleted(Arc::from(subject));
        self.changes.mark(self.offset, change);
    }

    fn clear(&mut self, prefix: Option<&str>) {
        let dead: Vec<(Arc<str>, i32)> = self
            .subjects_under(prefix)
            .flat_map(|(name, versions)| {
                versions
                    .iter()
                    .filter(|(_, version)| version.deleted)
                    .map(move |(number, _)| (Arc::clone(name), *number))
            })
            .collect();
        for (name, version) in dead {
            self.remove_version(&name, version);
        }
    }

    /// A version, soft deleted or not.
    #[must_use]
    pub fn version(&self, subject: &str, version: i32) -> Option<&Version> {
        self.subjects.get(subject)?.get(&version)
    }

    /// All versions of a subject, by number.
    #[must_use]
    pub fn versions(&self, subject: &str) -> Option<&BTreeMap<i32, Version>> {
        self.subjects.get(subject)
    }

    /// The newest version that is not soft deleted.
    #[must_use]
    pub fn latest(&self, subject: &str) -> Option<(i32, &Version)> {
        let versions = self.subjects.get(subject)?;
        versions
            .iter()
            .rev()
            .find(|(_, version)| !version.deleted)
            .map(|(number, version)| (*number, version))
    }

    /// Whether the subject has versions that count.
    #[must_use]
    pub fn has_subject(&self, subject: &str, lookup: Lookup) -> bool {
        self.subjects.get(subject).is_some_and(|versions| {
            versions
                .values()
                .any(|version| lookup.wants(version.deleted))
        })
    }

    /// Subjects whose normal name starts with `prefix`, by name; `:*:` before it stands for every context.
    pub fn subjects_with_prefix<'a>(&'a self, prefix: &'a str) -> Subjects<'a> {
        match prefix.split_once(ALL_CONTEXTS) {
            Some((_, name)) => Box::new(
                self.subjects
                    .iter()
                    .filter(move |(subject, _)| subject::split(subject).1.starts_with(name)),
            ),
            None => {
                let is_qualified = prefix.starts_with(":.");
                Box::new(
                    self.subjects
                        .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
                        .take_while(move |(subject, _)| subject.starts_with(prefix))
                        .filter(move |(subject, _)| {
                            is_qualified || subject::context_of(subject) == DEFAULT_CONTEXT
                        }),
                )
            }
        }
    }

    /// The subjects that a mode or config of `of` is about: one, those of a context, or all.
    pub fn subjects_under<'a>(&'a self, of: Option<&'a str>) -> Subjects<'a> {
        match of {
            None => Box::new(self.subjects.iter()),
            Some(of) if subject::split(of).1.is_empty() => self.subjects_with_prefix(of),
            Some(of) => Box::new(self.subjects.get_key_value(of).into_iter()),
        }
    }

    /// The ids of a context; none before its first schema.
    #[must_use]
    pub fn index(&self, context: &str) -> Option<&ContextIndex> {
        self.indexes.get(context)
    }

    /// The id that the next new schema of a context gets.
    #[must_use]
    pub fn next_id(&self, context: &str) -> i32 {
        self.index(context)
            .map_or(0, ContextIndex::max_id)
            .saturating_add(1)
    }

    /// The highest ids ever given, for a `NOOP` record.
    #[must_use]
    pub fn noop(&self) -> Record {
        let max_ids = self
            .indexes
            .iter()
            .filter(|(_, index)| index.max_id > 0)
            .map(|(context, index)| (context.clone(), index.max_id))
            .collect();
        Record::new(Key::Noop, Value::Noop(NoopValue { max_ids }))
    }

    /// The contexts but the default one, by name.
    pub fn contexts(&self) -> impl Iterator<Item = &str> {
        self.contexts.iter().map(String::as_str)
    }

    /// Whether a `CONTEXT` record, or a schema, made the context known.
    #[must_use]
    pub fn has_context(&self, context: &str) -> bool {
        context == DEFAULT_CONTEXT || self.contexts.contains(context)
    }

    /// The ids of live schemas that refer to a version, by number.
    #[must_use]
    pub fn referenced_by(&self, subject: &str, version: i32) -> Vec<i32> {
        let index = self.index(subject::context_of(subject));
        index
            .and_then(|index| index.referenced_by.get(&(subject.to_owned(), version)))
            .map(|by| by.keys().copied().collect())
            .unwrap_or_default()
    }

    /// The config that was set for exactly this subject, context, or, without one, for everybody.
    #[must_use]
    pub fn config_of(&self, of: Option<&str>) -> Option<&Config> {
        self.configs.get(&of.map(str::to_owned))
    }

    /// The mode that was set for exactly this.
    #[must_use]
    pub fn mode_of(&self, of: Option<&str>) -> Option<Mode> {
        self.modes.get(&of.map(str::to_owned)).copied()
    }

    /// What resources use.
    #[must_use]
    pub fn associations(&self) -> &Associations {
        &self.associations
    }

    /// What is mirrored, and where to.
    #[must_use]
    pub fn exporters(&self) -> &Exporters {
        &self.exporters
    }

    /// How many schemas there are, by type.
    #[must_use]
    pub fn counts(&self) -> SchemaCounts {
        self.counts
    }

    /// The offset of the last record.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Changes after an offset, oldest first.
    pub fn changes_after(&self, offset: i64) -> impl Iterator<Item = (i64, &Change)> {
        self.changes.after(offset)
    }

    /// All configs.
    pub fn configs(&self) -> impl Iterator<Item = (Option<&str>, &Config)> {
        self.configs
            .iter()
            .map(|(of, config)| (of.as_deref(), config))
    }

    /// Subjects and contexts with a mode of their own.
    pub fn modes(&self) -> impl Iterator<Item = (Option<&str>, Mode)> {
        self.modes.iter().map(|(of, mode)| (of.as_deref(), *mode))
    }

    /// What holds for `of`, field by field.
    #[must_use]
    pub fn config_in_scope(&self, of: Option<&str>) -> Config {
        let mut config = Config::default();
        for level in scope(of) {
            if let Some(found) = self.configs.get(&level) {
                let is_own = level.as_deref() == of;
                config = if is_own {
                    found.clone()
                } else {
                    config.or(found)
                };
            }
        }
        config
    }

    /// What may be done under `of`. A read-only mode of the global context, or `READONLY_OVERRIDE` of everybody, is
    /// stronger than what a subject says.
    #[must_use]
    pub fn mode_in_scope(&self, of: Option<&str>) -> Mode {
        let global = self.mode_of(Some(&global_context()));
        let top = self.mode_of(None);
        if let Some(mode) = global.filter(|mode| mode.is_read_only()) {
            return mode;
        }
        if top == Some(Mode::ReadOnlyOverride) {
            return Mode::ReadOnlyOverride;
        }
        scope(of)
            .iter()
            .find_map(|level| self.modes.get(level).copied())
            .unwrap_or_default()
    }
}

impl Replay for State {
    type Record = Record;

    fn replay(
        &mut self,
        offset: i64,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp_ms: i64,
    ) -> Result<(), records::UnreadableRecord> {
        self.apply_at(offset, key, value, timestamp_ms)
    }

    fn offset(&self) -> i64 {
        self.offset
    }

    fn encode(&self, record: &Record) -> Vec<Encoded> {
        self.spellings
            .encode(&record.key, record.key.encode(), record.encode_value())
    }

    fn opening(&self) -> Record {
        self.noop()
    }
}

/// The subject of the global context's config and mode.
fn global_context() -> String {
    subject::qualify(GLOBAL_CONTEXT, "")
}

/// Where a setting of `of` may stand, its own first.
fn scope(of: Option<&str>) -> Vec<Option<String>> {
    let mut levels = Vec::with_capacity(4);
    if let Some(of) = of {
        levels.push(Some(of.to_owned()));
        let (context, name) = subject::split(of);
        if context != DEFAULT_CONTEXT && !name.is_empty() {
            levels.push(Some(subject::qualify(context, "")));
        }
    }
    levels.push(None);
    let global = Some(global_context());
    if !levels.contains(&global) {
        levels.push(global);
    }
    levels
}

#[cfg(test)]
mod tests;
